//! Tests of every transport in the table, so that a new one is tested as soon as it has a row: order, resumption, gaps, and the layer of each
//! byte.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bench_client::endpoint::Endpoint;
use bench_client::round::recorder::{Recorder, Shared};
use bench_client::subscriber::Target;
use bench_client::subscriber::session;
use bench_client::subscriber::stop::Stop;
use bench_client::test_bed::control::Control;
use bench_client::wire::SharedLedger;
use bench_client::wire::http2::Slot;
use protocol::chunked;
use protocol::network::Network;
use protocol::result::Faults;
use protocol::transport::{Carrier, Coding, Exchange};
use protocol::{Cursor, Envelope, Event, Layer, Ledger, Transport, clock};
use server::{Options, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// Ends a test that hangs.
const TEST_TIMEOUT: Duration = Duration::from_secs(20);

fn server(history: usize) -> Server {
    Server::start(&options(history)).unwrap()
}

fn options(history: usize) -> Options {
    let free: SocketAddr = "127.0.0.1:0".parse().unwrap();
    Options { listen: free, tcp_listen: free, rate: 0.0, payload: 0, history, ..Options::default() }
}

/// A server that speaks TLS, and the target for its subscribers over a modelled network.
fn server_with_tls(network: Network) -> (Server, Target) {
    let server = Server::start(&Options { tls_self_signed: true, ..options(1_000) }).unwrap();
    let endpoint = Endpoint::named(&server.addresses().http_url(), true).unwrap();
    let target = Target::lean(endpoint, server.addresses().tcp);
    (server, Target { poll_interval: Duration::from_millis(5), network, ..target })
}

/// A subscriber under test, which starts at cursor 0.
struct Subject {
    recorder: Shared,
    stop: Stop,
    task: JoinHandle<()>,
}

impl Subject {
    fn start(transport: Transport, http: SocketAddr, tcp: SocketAddr) -> Self {
        Self::start_over(Network::default(), transport, http, tcp)
    }

    /// Starts it over a modelled network.
    fn start_over(network: Network, transport: Transport, http: SocketAddr, tcp: SocketAddr) -> Self {
        Self::start_at(
            transport,
            Target { poll_interval: Duration::from_millis(5), network, ..Target::lean(Endpoint::plain(http), tcp) },
        )
    }

    /// Starts it with this target.
    fn start_at(transport: Transport, target: Target) -> Self {
        let recorder = Rc::new(RefCell::new(Recorder::new(0..u64::MAX, 0, Arc::default())));
        let stop = Stop::default();
        let subject = recorder.clone();
        let (target, slot) = (Rc::new(target), Rc::default());
        let run = session::run(transport, target, Cursor(0).into(), Duration::ZERO, slot, subject, stop.stopped());
        Self { recorder, stop, task: tokio::task::spawn_local(run) }
    }

    /// Waits until it has received that many events.
    async fn wait_for(&self, events: usize) {
        while self.recorder.borrow().samples.len() < events {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Closes the subscription; returns the sequence numbers that it has received, its faults, and its ledger. Fails if a byte has no layer.
    async fn close(self) -> (Vec<u64>, Faults, Ledger) {
        self.stop.stop();
        self.task.await.unwrap();
        let recorder = self.recorder.borrow();
        assert_eq!(recorder.given_up, [""; 0]);
        let ledger = *recorder.ledger.borrow();
        assert_eq!(ledger.unexplained_bytes(), 0);
        // When a connection was ended and then reset, it is unknown whether the kernel has counted the peer's end as a byte. So only a
        // subscription that was not resumed is checked.
        if ledger.connections == 1 {
            assert_kernel_agrees(&ledger);
        }
        (recorder.samples.iter().map(|sample| sample.seq).collect(), recorder.faults, ledger)
    }
}

/// Fails if the kernel has counted other bytes.
fn assert_kernel_agrees(ledger: &Ledger) {
    assert_eq!((ledger.received_bytes, ledger.sent_bytes), {
        let kernel = ledger.kernel.expect("Linux counts them");
        (kernel.received_bytes, kernel.sent_bytes)
    });
}

/// Runs a test once for each transport over TCP.
fn each_transport(test: impl AsyncFn(Transport)) {
    for transport in Transport::all_where(Transport::is_over_tcp) {
        let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).unwrap();
        runtime.block_on(async {
            let in_time = tokio::time::timeout(TEST_TIMEOUT, test(transport)).await;
            in_time.unwrap_or_else(|_| panic!("{transport}: hung"));
        });
    }
}

fn publish(server: &Server, count: u64) {
    (0..count).for_each(|number| _ = server.feed().publish(number, "0123456789"));
}

#[test]
fn an_empty_line_is_a_heartbeat_and_counts_as_framing() {
    let event = |seq| Event { seq, at: 0, data: "x".into() }.encode();
    let line = |seq| [&event(seq)[..], b"\n"].concat();
    let lines = [b"\n", &line(1)[..], b"\n", b"\n", &line(2), b"\n"];
    let chunks: Vec<u8> = lines.iter().flat_map(|line| chunked::encode(line)).collect();
    let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let http_response = [&head[..], &chunks].concat();
    for (transport, sent, head_bytes) in
        [(Transport::Tcp, lines.concat(), 0), (Transport::Ndjson, http_response, head.len())]
    {
        let framing = sent.len() - 2 * event(1).len() - head_bytes;
        let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let subject = Subject::start(transport, address, address);
            let (mut peer, _) = listener.accept().await.unwrap();
            let _request = peer.read(&mut [0; 1_000]).await.unwrap();
            peer.write_all(&sent).await.unwrap();
            tokio::time::timeout(TEST_TIMEOUT, subject.wait_for(2)).await.unwrap();
            while subject.recorder.borrow().ledger.borrow().received_bytes < sent.len() as u64 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let (seqs, faults, ledger) = subject.close().await;
            assert_eq!((seqs, faults), (vec![1, 2], Faults::default()), "{transport}");
            assert_eq!(ledger[Layer::Framing], framing as u64, "{transport}");
        });
    }
}

#[test]
fn every_event_is_delivered_once_and_in_order() {
    each_transport(async |transport| {
        let server = server(1_000);
        publish(&server, 100);
        let subject = Subject::start(transport, server.addresses().http, server.addresses().tcp);
        subject.wait_for(100).await;
        publish(&server, 100);
        subject.wait_for(200).await;
        let (seqs, faults, _) = subject.close().await;
        assert_eq!(seqs, (1..=200).collect::<Vec<_>>(), "{transport}");
        assert_eq!(faults, Faults::default(), "{transport}");
    });
}

#[test]
fn over_a_modelled_network_every_event_is_delayed_but_delivered_once_and_in_order_and_every_byte_has_a_layer() {
    each_transport(async |transport| {
        const DELAY_NS: u64 = 3_000_000;
        let network: Network = "delay=3ms,jitter=1ms,bandwidth=10mbit".parse().unwrap();
        let min_ns = DELAY_NS - 1_000_000;
        let server = server(1_000);
        let subject = Subject::start_over(network, transport, server.addresses().http, server.addresses().tcp);
        while subject.recorder.borrow().connected == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        for number in 1..=20 {
            server.feed().publish(clock::now_ns(), "0123456789");
            subject.wait_for(number).await;
        }
        let early = subject.recorder.borrow().samples.iter().filter(|event| event.received < event.at + min_ns).count();
        let (seqs, faults, _) = subject.close().await;
        assert_eq!(seqs, (1..=20).collect::<Vec<_>>(), "{transport}");
        assert_eq!((early, faults), (0, Faults::default()), "{transport}");
    });
}

#[test]
fn with_tls_every_event_is_delivered_once_and_in_order_and_every_byte_has_a_layer() {
    for network in ["loopback", "delay=3ms,jitter=1ms,bandwidth=10mbit"] {
        each_transport(async |transport| {
            let (server, target) = server_with_tls(network.parse().unwrap());
            publish(&server, 100);
            let subject = Subject::start_at(transport, target);
            subject.wait_for(100).await;
            publish(&server, 100);
            subject.wait_for(200).await;
            let (seqs, faults, _) = subject.close().await;
            assert_eq!(seqs, (1..=200).collect::<Vec<_>>(), "{transport}");
            assert_eq!(faults, Faults::default(), "{transport}");
        });
    }
}

#[test]
fn the_ledger_has_all_bytes_of_a_connection_whose_tls_handshake_fails() {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let peer = tokio::task::spawn_local(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            // A fatal alert: handshake_failure (RFC 8446, section 6.2).
            stream.write_all(&[21, 3, 3, 0, 2, 2, 40]).await.unwrap();
            stream.read_to_end(&mut Vec::new()).await
        });
        let endpoint = Endpoint::named(&format!("https://{address}"), true).unwrap();
        let ledger = SharedLedger::default();
        let connected =
            Target::lean(endpoint, address).connect(Transport::Sse, 0, &Slot::default(), ledger.clone()).await;
        assert!(connected.is_err_and(|error| error.to_string().contains("HandshakeFailure")));
        peer.await.unwrap().unwrap();
        let ledger = *ledger.borrow();
        assert!(ledger.sent_bytes > 0 && ledger.received_bytes == 7, "{ledger:?}");
        assert_eq!((ledger.connections, ledger[Layer::Handshake]), (1, ledger.wire_bytes()));
        assert_kernel_agrees(&ledger);
    });
}

#[test]
fn when_a_server_rejects_every_connection_every_byte_has_a_layer() {
    each_transport(async |transport| {
        let free: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let options = Options { listen: free, tcp_listen: free, rate: 0.0, max_connections: 0, ..Options::default() };
        let server = Server::start(&options).unwrap();
        let subject = Subject::start(transport, server.addresses().http, server.addresses().tcp);
        subject.task.await.unwrap();
        let recorder = subject.recorder.borrow();
        assert_eq!(recorder.given_up.len(), 1, "{transport}");
        let ledger = *recorder.ledger.borrow();
        assert!(ledger.received_bytes > 0, "{transport}: {ledger:?}");
        assert_eq!(ledger.unexplained_bytes(), 0, "{transport}: {ledger:?}");
    });
}

/// A record has a header of five bytes, a byte for the content type, and an authentication tag of 16 bytes (RFC 8446, section 5.2).
#[test]
fn tls_adds_22_bytes_to_each_write_in_either_direction() {
    each_transport(async |transport| {
        const EVENTS: u64 = 9;
        let (server, target) = server_with_tls(Network::default());
        let subject = Subject::start_at(transport, target);
        while subject.recorder.borrow().connected == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        for number in 1..=EVENTS {
            publish(&server, 1);
            subject.wait_for(number as usize).await;
        }
        let (_, _, ledger) = subject.close().await;
        if transport.carrier() == Carrier::H2 {
            // How many frames share a write depends on the time between them.
            assert_eq!(ledger[Layer::Tls] % 22, 0, "{transport}");
            assert!(ledger[Layer::Tls] >= 22 * EVENTS, "{transport}");
            return;
        }
        let writes = match (transport.exchange(), transport.carrier()) {
            // Each request has a response, but the last response may come too late: that of a long poll comes when the server notices
            // that the subscriber has closed its side.
            (exchange @ (Exchange::Poll | Exchange::LongPoll), _) => {
                assert!(exchange == Exchange::Poll || ledger.requests == EVENTS + 1, "{ledger:?}");
                let writes = ledger[Layer::Tls].div_ceil(22);
                assert!((2 * ledger.requests - 1..=2 * ledger.requests).contains(&writes), "{transport}: {ledger:?}");
                writes
            }
            // The request, and the headers of the response.
            (Exchange::Stream, Carrier::H1) => 2 + u64::from(!transport.envelope().prelude("f").is_empty()) + EVENTS,
            // Two writes each for the opening and the closing handshake, and those with which a session is opened.
            (Exchange::Socket, _) => {
                4 + EVENTS
                    + match transport.envelope() {
                        // CONNECT, CONNECTED, SUBSCRIBE.
                        Envelope::Stomp => 3,
                        Envelope::SockJs => 1,
                        // Three requests and responses, a probe and its reply, and the upgrade.
                        Envelope::SocketIo => 6 + 3,
                        _ => 0,
                    }
            }
            // The line that subscribes.
            (Exchange::Stream, _) => 1 + EVENTS,
        };
        assert_eq!(ledger[Layer::Tls], 22 * writes, "{transport}");
    });
}

#[test]
fn a_self_signed_certificate_is_accepted_only_with_insecure() {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).unwrap();
    runtime.block_on(async {
        let (server, target) = server_with_tls(Network::default());
        let url = server.addresses().http_url();
        assert!(Control::connect(&target.endpoint).await.unwrap().load().await.is_ok());
        // On a system without trusted certificates, `named` fails already.
        let error = match Endpoint::named(&url, false) {
            Ok(endpoint) => Control::connect(&endpoint).await.err().unwrap(),
            Err(error) => error,
        };
        assert!(format!("{error:#}").contains("--insecure"), "{error:#}");
        let plain = Endpoint::plain(target.endpoint.address);
        assert!(Control::connect(&plain).await.unwrap().load().await.is_err(), "a request without TLS has to fail");
    });
}

/// Forwards connections to `to`, and drops all of them on a notification; returns its address.
async fn relay(to: SocketAddr, cut: Rc<Notify>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::task::spawn_local(async move {
        loop {
            let (mut near, _) = listener.accept().await.unwrap();
            let cut = cut.clone();
            tokio::task::spawn_local(async move {
                let mut far = TcpStream::connect(to).await.unwrap();
                tokio::select! {
                    _ = copy_bidirectional(&mut near, &mut far) => {}
                    () = cut.notified() => {}
                }
            });
        }
    });
    address
}

#[test]
fn a_dropped_connection_is_resumed_without_loss() {
    each_transport(async |transport| {
        let server = server(1_000);
        let cut = Rc::new(Notify::new());
        let http = relay(server.addresses().http, cut.clone()).await;
        let tcp = relay(server.addresses().tcp, cut.clone()).await;
        let subject = Subject::start(transport, http, tcp);
        publish(&server, 5);
        subject.wait_for(5).await;
        cut.notify_waiters();
        publish(&server, 5);
        subject.wait_for(10).await;
        let (seqs, faults, ledger) = subject.close().await;
        assert_eq!(seqs, (1..=10).collect::<Vec<_>>(), "{transport}");
        assert_eq!(faults, Faults { reconnects: 1, ..Faults::default() }, "{transport}");
        assert_eq!(ledger.connections, 2, "{transport}");
    });
}

#[test]
fn a_gap_has_the_number_of_events_that_were_removed_from_the_history() {
    each_transport(async |transport| {
        let server = server(4);
        publish(&server, 10);
        let subject = Subject::start(transport, server.addresses().http, server.addresses().tcp);
        subject.wait_for(4).await;
        publish(&server, 1);
        subject.wait_for(5).await;
        let (seqs, faults, _) = subject.close().await;
        assert_eq!(seqs, [7, 8, 9, 10, 11], "{transport}");
        assert_eq!((faults.gaps, faults.lost, faults.duplicates), (6, 0, 0), "{transport}");
    });
}

#[test]
fn every_byte_is_attributed_to_the_layer_that_follows_from_the_formats() {
    each_transport(async |transport| {
        const EVENTS: u64 = 9;
        let server = server(1_000);
        let subject = Subject::start(transport, server.addresses().http, server.addresses().tcp);
        // One at a time, so that the response to a long poll has one event. Sequence numbers and times have one digit.
        for number in 1..=EVENTS {
            publish(&server, 1);
            subject.wait_for(number as usize).await;
        }
        let (_, _, ledger) = subject.close().await;
        let event = r#"{"seq":1,"at":0,"data":"0123456789"}"#.len() as u64;
        // The exact bytes that each envelope adds, written out here so that they do not depend on the code under test.
        let envelope = match transport.envelope() {
            Envelope::Line => "\n".len() as u64,
            Envelope::Sse => "id: 1\ndata: \n\n".len() as u64,
            // The header of a short frame without a mask.
            Envelope::WebSocket => 2,
            Envelope::Multipart => "Content-Type: application/json\r\n\r\n\r\n--event\r\n".len() as u64,
            Envelope::Jsonp => "f();\n".len() as u64,
            Envelope::Iframe => "<script>p()</script>\n".len() as u64,
            Envelope::Stomp => {
                2 + "MESSAGE\nsubscription:0\nmessage-id:1\ndestination:/feed\ncontent-type:application/json\n\n\0"
                    .len() as u64
            }
            // A backslash for each of the eight quotation marks of the event.
            Envelope::SockJs => 2 + "a[\"\"]".len() as u64 + 8,
            Envelope::SocketIo => 2 + "42[\"event\",]".len() as u64,
        };
        // What a response has once, before the first event: a delimiter, or the beginning of a page.
        let prelude = match transport.envelope() {
            Envelope::Multipart => "9\r\n--event\r\n\r\n".len() as u64,
            Envelope::Iframe => 1_024 + "400\r\n\r\n".len() as u64,
            Envelope::Line | Envelope::Sse | Envelope::WebSocket | Envelope::Jsonp => 0,
            Envelope::Stomp | Envelope::SockJs | Envelope::SocketIo => 0,
        };
        let chunk = match (transport.exchange(), transport.carrier()) {
            // Each event is a chunk: its size in hexadecimal digits, and two line ends.
            (Exchange::Stream, Carrier::H1) => format!("{:x}", event + envelope).len() as u64 + 4,
            // Each event is a DATA frame, whose header has nine bytes.
            (_, Carrier::H2) => 9,
            (Exchange::Stream, _) | (Exchange::Poll | Exchange::LongPoll | Exchange::Socket, _) => 0,
        };
        assert_eq!(ledger.events, EVENTS, "{transport}");
        assert_eq!(ledger.content_bytes, EVENTS * event, "{transport}");
        match transport.row().coding {
            // An event this short does not become shorter by itself.
            Coding::Identity | Coding::Deflate => assert_eq!(ledger[Layer::Event], EVENTS * event, "{transport}"),
            Coding::DeflateTakeover => assert!(ledger[Layer::Event] < EVENTS * event / 2, "{ledger:?}"),
        }
        // Over HTTP/2, the close frames of a WebSocket, and the end of its stream, are in DATA frames as well.
        let closing = match (transport.exchange(), transport.carrier()) {
            (Exchange::Socket, Carrier::H2) => 3 * 9,
            _ => 0,
        };
        assert_eq!(ledger[Layer::Framing], prelude + EVENTS * (envelope + chunk) + closing, "{transport}");
        assert_eq!(ledger.connections, 1, "{transport}");
        if transport.carrier() == Carrier::H2 {
            // The headers are compressed: after the first requests, those that are repeated take a byte each.
            let (requests, headers) = (ledger.requests, ledger[Layer::RequestHeaders] + ledger[Layer::EmptyPoll]);
            assert!(requests == 1 || headers / requests < 80, "{transport}: {ledger:?}");
            // The preface, and the settings of both sides with their acknowledgements.
            assert!(ledger[Layer::Handshake] >= 24 + 4 * 9, "{transport}: {ledger:?}");
            return;
        }

        let (host, path) = (server.addresses().http, transport.row().path.unwrap_or_default());
        let accept = if transport.envelope() == Envelope::Sse { "Accept: text/event-stream\r\n" } else { "" };
        let callback = if transport.envelope().has_callback() { "&callback=f" } else { "" };
        let request = format!("GET {path}?after=0{callback} HTTP/1.1\r\nHost: {host}\r\n{accept}\r\n").len() as u64;
        let with_events = ledger.requests - ledger.empty_polls;
        match (transport.exchange(), transport.carrier()) {
            (Exchange::Poll, _) => {
                assert!(with_events <= EVENTS);
                assert_eq!(ledger[Layer::RequestHeaders], with_events * request);
                assert_eq!(ledger[Layer::Handshake], 0);
            }
            (Exchange::LongPoll, _) => {
                // The last request was waiting when the subscriber closed its side, and its response came while it was closing.
                let response = "HTTP/1.1 204 No Content\r\ncursor: 9\r\ncache-control: no-store\r\n\
                    date: Thu, 01 Jan 1970 00:00:00 GMT\r\n\r\n";
                assert_eq!((with_events, ledger.empty_polls), (EVENTS, 1));
                assert_eq!(ledger[Layer::RequestHeaders], EVENTS * request);
                assert_eq!(ledger[Layer::EmptyPoll], request + response.len() as u64);
            }
            (Exchange::Stream, Carrier::H1) => {
                assert_eq!((ledger.requests, ledger[Layer::RequestHeaders]), (1, request));
            }
            (Exchange::Socket, _) => {
                // All HTTP bytes belong to the handshake. There are no request or response headers after it.
                let requests = if transport.envelope() == Envelope::SocketIo { 4 } else { 1 };
                let headers = (ledger[Layer::RequestHeaders], ledger[Layer::ResponseHeaders]);
                assert_eq!((ledger.requests, headers), (requests, (0, 0)), "{transport}");
            }
            (Exchange::Stream, _) => {
                assert_eq!((ledger.requests, ledger[Layer::Handshake]), (0, "SUB 0\n".len() as u64));
            }
        }
    });
}
