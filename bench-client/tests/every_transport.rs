//! Walks every transport, so that a new one is tested the moment it exists: order, resumption, gaps, and each byte's layer.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bench_client::control::Control;
use bench_client::counted::SharedLedger;
use bench_client::place::Place;
use bench_client::recorder::{Recorder, Shared};
use bench_client::session;
use bench_client::stop::Stop;
use bench_client::subscriber::Target;
use protocol::framing::chunked;
use protocol::network::Network;
use protocol::result::Faults;
use protocol::{Cursor, Event, Layer, Ledger, Transport, clock};
use server::{Options, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// Guards against a hang; nothing is measured by it.
const GUARD: Duration = Duration::from_secs(20);

fn server(history: usize) -> Server {
    Server::start(&options(history)).unwrap()
}

fn options(history: usize) -> Options {
    let free: SocketAddr = "127.0.0.1:0".parse().unwrap();
    Options { listen: free, tcp_listen: free, rate: 0.0, payload: 0, history, ..Options::default() }
}

/// A server that speaks TLS, and how it is spoken to over a network.
fn secured(network: Network) -> (Server, Target) {
    let server = Server::start(&Options { tls_self_signed: true, ..options(1_000) }).unwrap();
    let place = Place::named(&server.addresses().http_url(), true).unwrap();
    let target = Target::lean(place, server.addresses().tcp);
    (server, Target { poll_interval: Duration::from_millis(5), network, ..target })
}

/// A subscriber under test, started behind cursor 0.
struct Subject {
    recorder: Shared,
    stop: Stop,
    task: JoinHandle<()>,
}

impl Subject {
    fn start(transport: Transport, http: SocketAddr, tcp: SocketAddr) -> Self {
        Self::over(Network::default(), transport, http, tcp)
    }

    /// Over a modelled network.
    fn over(network: Network, transport: Transport, http: SocketAddr, tcp: SocketAddr) -> Self {
        Self::at(
            transport,
            Target { poll_interval: Duration::from_millis(5), network, ..Target::lean(Place::plain(http), tcp) },
        )
    }

    /// With a server that is to be spoken to so.
    fn at(transport: Transport, target: Target) -> Self {
        let recorder = Rc::new(RefCell::new(Recorder::new(0..u64::MAX, 0, Arc::default())));
        let stop = Stop::default();
        let subject = recorder.clone();
        let run = session::run(transport, Rc::new(target), Cursor(0).into(), Duration::ZERO, subject, stop.told());
        Self { recorder, stop, task: tokio::task::spawn_local(run) }
    }

    /// Waits until that many events have come.
    async fn has(&self, events: usize) {
        while self.recorder.borrow().samples.len() < events {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Lets the subscriber leave: the seqs that it got, what went wrong, and its ledger, in which every byte has its layer.
    async fn leave(self) -> (Vec<u64>, Faults, Ledger) {
        self.stop.tell();
        self.task.await.unwrap();
        let recorder = self.recorder.borrow();
        assert_eq!(recorder.given_up, [""; 0]);
        let ledger = *recorder.ledger.borrow();
        assert_eq!(ledger.unexplained_bytes(), 0);
        // Of a connection that was ended and then reset, the kernel does not say whether it has counted the end as a byte.
        if ledger.connections == 1 {
            borne_out(&ledger);
        }
        (recorder.samples.iter().map(|sample| sample.seq).collect(), recorder.faults, ledger)
    }
}

/// The kernel counted the same bytes.
fn borne_out(ledger: &Ledger) {
    assert_eq!((ledger.received_bytes, ledger.sent_bytes), (ledger.kernel_received_bytes, ledger.kernel_sent_bytes));
}

/// Runs a test once for each transport.
fn each_transport(test: impl AsyncFn(Transport)) {
    for transport in Transport::ALL {
        let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).unwrap();
        runtime.block_on(async {
            let guarded = tokio::time::timeout(GUARD, test(transport)).await;
            guarded.unwrap_or_else(|_| panic!("{transport}: hung"));
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
    let chunks: Vec<u8> = lines.iter().flat_map(|line| chunked::frame(line)).collect();
    let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (transport, said) in [(Transport::Tcp, lines.concat()), (Transport::Ndjson, [&head[..], &chunks].concat())] {
        let framing = said.len() - 2 * event(1).len() - if transport == Transport::Ndjson { head.len() } else { 0 };
        let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let subject = Subject::start(transport, address, address);
            let (mut peer, _) = listener.accept().await.unwrap();
            let _request = peer.read(&mut [0; 1_000]).await.unwrap();
            peer.write_all(&said).await.unwrap();
            tokio::time::timeout(GUARD, subject.has(2)).await.unwrap();
            while subject.recorder.borrow().ledger.borrow().received_bytes < said.len() as u64 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let (seqs, faults, ledger) = subject.leave().await;
            assert_eq!((seqs, faults), (vec![1, 2], Faults::default()), "{transport}");
            assert_eq!(ledger[Layer::Framing], framing as u64, "{transport}");
        });
    }
}

#[test]
fn every_event_comes_once_and_in_order() {
    each_transport(async |transport| {
        let server = server(1_000);
        publish(&server, 100);
        let subject = Subject::start(transport, server.addresses().http, server.addresses().tcp);
        subject.has(100).await;
        publish(&server, 100);
        subject.has(200).await;
        let (seqs, faults, _) = subject.leave().await;
        assert_eq!(seqs, (1..=200).collect::<Vec<_>>(), "{transport}");
        assert_eq!(faults, Faults::default(), "{transport}");
    });
}

#[test]
fn over_a_modelled_network_every_event_comes_later_but_once_and_in_order_and_every_byte_has_its_layer() {
    each_transport(async |transport| {
        const DELAY_NS: u64 = 3_000_000;
        let network: Network = "delay=3ms,jitter=1ms,bandwidth=10mbit".parse().unwrap();
        let least = DELAY_NS - 1_000_000;
        let server = server(1_000);
        let subject = Subject::over(network, transport, server.addresses().http, server.addresses().tcp);
        while subject.recorder.borrow().connected == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        for number in 1..=20 {
            server.feed().publish(clock::now_ns(), "0123456789");
            subject.has(number).await;
        }
        let early = subject.recorder.borrow().samples.iter().filter(|event| event.received < event.at + least).count();
        let (seqs, faults, _) = subject.leave().await;
        assert_eq!(seqs, (1..=20).collect::<Vec<_>>(), "{transport}");
        assert_eq!((early, faults), (0, Faults::default()), "{transport}");
    });
}

#[test]
fn within_tls_every_event_comes_once_and_in_order_and_every_byte_has_its_layer() {
    for network in ["loopback", "delay=3ms,jitter=1ms,bandwidth=10mbit"] {
        each_transport(async |transport| {
            let (server, target) = secured(network.parse().unwrap());
            publish(&server, 100);
            let subject = Subject::at(transport, target);
            subject.has(100).await;
            publish(&server, 100);
            subject.has(200).await;
            let (seqs, faults, _) = subject.leave().await;
            assert_eq!(seqs, (1..=200).collect::<Vec<_>>(), "{transport}");
            assert_eq!(faults, Faults::default(), "{transport}");
        });
    }
}

#[test]
fn a_connection_whose_tls_handshake_fails_is_in_the_ledger_whole() {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let peer = tokio::task::spawn_local(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            // A fatal alert: no handshake can be agreed on (RFC 8446, section 6.2).
            stream.write_all(&[21, 3, 3, 0, 2, 2, 40]).await.unwrap();
            stream.read_to_end(&mut Vec::new()).await
        });
        let place = Place::named(&format!("https://{address}"), true).unwrap();
        let ledger = SharedLedger::default();
        let refused = Target::lean(place, address).connect(Transport::Sse, 0, ledger.clone()).await;
        assert!(refused.is_err_and(|error| error.to_string().contains("HandshakeFailure")));
        peer.await.unwrap().unwrap();
        let ledger = *ledger.borrow();
        assert!(ledger.sent_bytes > 0 && ledger.received_bytes == 7, "{ledger:?}");
        assert_eq!((ledger.connections, ledger.handshake_bytes), (1, ledger.wire_bytes()));
        borne_out(&ledger);
    });
}

#[test]
fn of_a_server_that_has_no_room_every_byte_has_its_layer_too() {
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

/// Five bytes of header, one that says what it holds, and a tag of 16 (RFC 8446, section 5.2).
#[test]
fn tls_adds_22_bytes_to_each_write_either_way() {
    each_transport(async |transport| {
        const EVENTS: u64 = 9;
        let (server, target) = secured(Network::default());
        let subject = Subject::at(transport, target);
        while subject.recorder.borrow().connected == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        for number in 1..=EVENTS {
            publish(&server, 1);
            subject.has(number as usize).await;
        }
        let (_, _, ledger) = subject.leave().await;
        let writes = match transport {
            // Each request is answered, but the last one's answer may come too late: a long poll's comes when the server hears that
            // the subscriber leaves.
            Transport::Polling | Transport::LongPolling => {
                assert!(transport == Transport::Polling || ledger.requests == EVENTS + 1, "{ledger:?}");
                let writes = ledger.tls_bytes.div_ceil(22);
                assert!((2 * ledger.requests - 1..=2 * ledger.requests).contains(&writes), "{transport}: {ledger:?}");
                writes
            }
            Transport::Ndjson | Transport::Sse => 2 + EVENTS,
            // The handshake before the events, and the closing one behind them.
            Transport::WebSocket => 4 + EVENTS,
            Transport::Tcp => 1 + EVENTS,
        };
        assert_eq!(ledger.tls_bytes, 22 * writes, "{transport}");
    });
}

#[test]
fn a_certificate_that_nobody_vouches_for_is_taken_only_if_one_is_told_to() {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).unwrap();
    runtime.block_on(async {
        let (server, target) = secured(Network::default());
        let url = server.addresses().http_url();
        assert!(Control::connect(&target.place).await.unwrap().load().await.is_ok());
        // A system that trusts nobody says so at once.
        let refused = match Place::named(&url, false) {
            Ok(place) => Control::connect(&place).await.err().unwrap(),
            Err(error) => error,
        };
        assert!(format!("{refused:#}").contains("--insecure"), "{refused:#}");
        let plain = Place::plain(target.place.address);
        assert!(Control::connect(&plain).await.unwrap().load().await.is_err(), "spoken to without TLS");
    });
}

/// Stands between subscriber and server, and cuts all connections when told to.
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
        subject.has(5).await;
        cut.notify_waiters();
        publish(&server, 5);
        subject.has(10).await;
        let (seqs, faults, ledger) = subject.leave().await;
        assert_eq!(seqs, (1..=10).collect::<Vec<_>>(), "{transport}");
        assert_eq!(faults, Faults { reconnects: 1, ..Faults::default() }, "{transport}");
        assert_eq!(ledger.connections, 2, "{transport}");
    });
}

#[test]
fn a_subscriber_that_the_history_has_overrun_is_told_how_much_is_gone() {
    each_transport(async |transport| {
        let server = server(4);
        publish(&server, 10);
        let subject = Subject::start(transport, server.addresses().http, server.addresses().tcp);
        subject.has(4).await;
        publish(&server, 1);
        subject.has(5).await;
        let (seqs, faults, _) = subject.leave().await;
        assert_eq!(seqs, [7, 8, 9, 10, 11], "{transport}");
        assert_eq!((faults.gaps, faults.lost, faults.duplicates), (6, 0, 0), "{transport}");
    });
}

#[test]
fn the_ledger_gives_every_byte_the_layer_that_the_framing_predicts() {
    each_transport(async |transport| {
        const EVENTS: u64 = 9;
        let server = server(1_000);
        let subject = Subject::start(transport, server.addresses().http, server.addresses().tcp);
        // One at a time, so that a long poll's answer holds one event. Seqs and times have one digit.
        for number in 1..=EVENTS {
            publish(&server, 1);
            subject.has(number as usize).await;
        }
        let (_, _, ledger) = subject.leave().await;
        let event = r#"{"seq":1,"at":0,"data":"0123456789"}"#.len() as u64;
        let line = event + 1;
        let chunk = |data: u64| format!("{data:x}").len() as u64 + 4;
        let framing = match transport {
            Transport::Polling | Transport::LongPolling | Transport::Tcp => 1,
            Transport::Ndjson => 1 + chunk(line),
            Transport::Sse => "id: 1\ndata: \n\n".len() as u64 + chunk(line + 13),
            Transport::WebSocket => 2,
        };
        assert_eq!(ledger.events, EVENTS, "{transport}");
        assert_eq!(ledger.event_bytes, EVENTS * event, "{transport}");
        assert_eq!(ledger.framing_bytes, EVENTS * framing, "{transport}");
        assert_eq!(ledger.connections, 1, "{transport}");

        let host = server.addresses().http;
        let request = |path: &str| format!("GET {path}?after=0 HTTP/1.1\r\nHost: {host}\r\n\r\n").len() as u64;
        let answered = ledger.requests - ledger.empty_polls;
        match transport {
            Transport::Polling => {
                assert!(answered <= EVENTS);
                assert_eq!(ledger.request_head_bytes, answered * request("/poll"));
                assert_eq!(ledger.handshake_bytes, 0);
            }
            Transport::LongPolling => {
                // The last request was waiting when the subscriber left, and its answer came while it was leaving.
                let answer = "HTTP/1.1 204 No Content\r\ncursor: 9\r\ncache-control: no-store\r\n\
                    date: Thu, 01 Jan 1970 00:00:00 GMT\r\n\r\n";
                assert_eq!((answered, ledger.empty_polls), (EVENTS, 1));
                assert_eq!(ledger.request_head_bytes, EVENTS * request("/long-poll"));
                assert_eq!(ledger.empty_poll_bytes, request("/long-poll") + answer.len() as u64);
            }
            Transport::Ndjson => {
                assert_eq!((ledger.requests, ledger.request_head_bytes), (1, request("/stream")));
            }
            Transport::Sse => {
                let accept = "Accept: text/event-stream\r\n".len() as u64;
                assert_eq!((ledger.requests, ledger.request_head_bytes), (1, request("/sse") + accept));
            }
            Transport::WebSocket => {
                // All of HTTP is the handshake; after it, heads are no more.
                assert_eq!((ledger.requests, ledger.request_head_bytes, ledger.response_head_bytes), (1, 0, 0));
            }
            Transport::Tcp => {
                assert_eq!((ledger.requests, ledger.handshake_bytes), (0, "SUB 0\n".len() as u64));
            }
        }
    });
}
