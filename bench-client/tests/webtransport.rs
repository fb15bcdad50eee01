//! The load client's half of WebTransport against the server: every event once and in order, resumed, slow, refused, and over a modelled network;
//! and the bytes of its ledger.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bench_client::endpoint::Endpoint;
use bench_client::round::recorder::{Recorder, Shared};
use bench_client::subscriber::stop::Stop;
use bench_client::subscriber::{Target, session};
use bench_client::test_bed::control::Control;
use bench_client::wire::QuicEndpoint;
use protocol::network::Network;
use protocol::{Bookmark, Cursor, Layer, Ledger, Transport};
use server::{Options, Server};
use tokio::runtime::{Builder, LocalOptions};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// Ends a test that hangs.
const TEST_TIMEOUT: Duration = Duration::from_secs(20);

fn options() -> Options {
    let free: SocketAddr = "127.0.0.1:0".parse().unwrap();
    Options { listen: free, tcp_listen: free, rate: 0.0, ..Options::default() }
}

fn run(test: impl Future<Output = ()>) {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).unwrap();
    runtime.block_on(async { timeout(TEST_TIMEOUT, test).await.expect("a hang") });
}

fn target(server: &Server) -> Target {
    let addresses = server.addresses();
    let quic = QuicEndpoint { address: addresses.quic.unwrap(), certificate: server.quic_certificate().into() };
    Target { quic: Some(quic), ..Target::lean(Endpoint::plain(addresses.http), addresses.tcp) }
}

/// A subscriber under test.
struct Subject {
    recorder: Shared,
    stop: Stop,
    task: JoinHandle<()>,
}

impl Subject {
    fn start(target: Target, after: Bookmark) -> Self {
        Self::over(Transport::WebTransport, target, after)
    }

    fn over(transport: Transport, target: Target, after: Bookmark) -> Self {
        let recorder = Rc::new(RefCell::new(Recorder::new(0..u64::MAX, 0, Arc::default())));
        let stop = Stop::default();
        let (target, shared) = (Rc::new(target), recorder.clone());
        let run = session::run(transport, target, after, Duration::ZERO, Rc::default(), shared, stop.stopped());
        Self { recorder, stop, task: tokio::task::spawn_local(run) }
    }

    async fn wait_for(&self, events: usize) {
        while self.recorder.borrow().samples.len() < events {
            sleep(Duration::from_millis(1)).await;
        }
    }

    /// Closes it; returns the sequence numbers that it has received, and its ledger, of which every byte must have a layer.
    async fn close(self) -> (Vec<u64>, Ledger) {
        self.stop.stop();
        self.task.await.unwrap();
        let recorder = self.recorder.borrow();
        assert_eq!(recorder.given_up, [""; 0]);
        let faults = recorder.faults;
        assert_eq!((faults.lost, faults.duplicates), (0, 0));
        let ledger = *recorder.ledger.borrow();
        assert_eq!(ledger.unexplained_bytes(), 0);
        (recorder.samples.iter().map(|sample| sample.seq).collect(), ledger)
    }
}

#[test]
fn events_arrive_once_and_in_order_and_every_byte_has_a_layer() {
    run(async {
        let server = Server::start(&options()).unwrap();
        for number in 0..50 {
            server.feed().publish(number, "from the history");
        }
        let subject = Subject::start(target(&server), Cursor(0).into());
        subject.wait_for(50).await;
        for number in 0..50 {
            server.feed().publish(number, "live");
            subject.wait_for(51 + number as usize).await;
        }
        let (seqs, ledger) = subject.close().await;
        assert!(seqs.into_iter().eq(1..=100));
        assert_eq!((ledger.events, ledger.requests, ledger.connections), (100, 1, 1));
        assert_eq!((ledger.content_bytes, ledger[Layer::Framing]), (ledger[Layer::Event], 100));
        // The client's first datagram, and the server's with its certificate, have at least 1,200 bytes (RFC 9000, section 14.1).
        assert!(ledger[Layer::Handshake] >= 2 * 1_200 && ledger[Layer::Quic] > 50 * 30, "{ledger:?}");
        assert_eq!(ledger.kernel, None);
    });
}

#[test]
fn a_stream_or_a_datagram_for_each_event_brings_every_event_and_every_byte_has_a_layer() {
    for transport in [Transport::WebTransportStreams, Transport::WebTransportDatagrams] {
        run(async {
            let server = Server::start(&options()).unwrap();
            for number in 0..20 {
                server.feed().publish(number, "from the history");
            }
            // Too long for a datagram, so it comes on a stream.
            server.feed().publish(20, &"long ".repeat(2_000));
            let subject = Subject::over(transport, target(&server), Cursor(0).into());
            subject.wait_for(21).await;
            for number in 0..20 {
                server.feed().publish(number, "live");
                subject.wait_for(22 + number as usize).await;
            }
            let (mut seqs, ledger) = subject.close().await;
            seqs.sort_unstable();
            assert!(seqs.into_iter().eq(1..=41), "{transport}");
            assert_eq!((ledger.events, ledger.requests, ledger.connections), (41, 1, 1), "{transport}");
            assert_eq!((ledger.content_bytes, ledger[Layer::Framing]), (ledger[Layer::Event], 41), "{transport}");
        });
    }
}

#[test]
fn a_gap_is_told_with_datagrams_too() {
    run(async {
        let server = Server::start(&Options { history: 10, ..options() }).unwrap();
        for number in 0..30 {
            server.feed().publish(number, "x");
        }
        let late = Subject::over(Transport::WebTransportDatagrams, target(&server), Cursor(5).into());
        late.wait_for(10).await;
        assert_eq!(late.recorder.borrow().faults.gaps, 15);
        late.close().await;
    });
}

#[test]
fn over_a_network_with_a_delay_the_first_event_takes_at_least_two_round_trips() {
    run(async {
        let server = Server::start(&options()).unwrap();
        server.feed().publish(0, "the first event");
        let delay = Duration::from_millis(50);
        let began = tokio::time::Instant::now();
        let network = Network::with_delay(delay);
        let subject = Subject::start(Target { network, ..target(&server) }, Cursor(0).into());
        subject.wait_for(1).await;
        // The handshake of QUIC, the settings that the client waits for, and the request share two round trips at least.
        assert!(began.elapsed() >= 4 * delay, "{:?}", began.elapsed());
        let (seqs, _) = subject.close().await;
        assert_eq!(seqs, [1]);
    });
}

#[test]
fn a_subscriber_resumes_with_a_new_session_and_learns_of_a_gap() {
    run(async {
        let server = Server::start(&Options { history: 10, ..options() }).unwrap();
        for number in 0..30 {
            server.feed().publish(number, "x");
        }
        let resumed = Subject::start(target(&server), Cursor(25).into());
        resumed.wait_for(5).await;
        assert_eq!(resumed.close().await.0, [26, 27, 28, 29, 30]);
        let late = Subject::start(target(&server), Cursor(5).into());
        late.wait_for(10).await;
        assert_eq!(late.recorder.borrow().faults.gaps, 15);
        assert!(late.close().await.0.into_iter().eq(21..=30));
    });
}

#[test]
fn a_wrong_certificate_is_not_trusted_and_a_full_server_refuses() {
    run(async {
        let server = Server::start(&options()).unwrap();
        let mut target = target(&server);
        target.quic.as_mut().unwrap().certificate = "00".repeat(32);
        let subject = Subject::start(target, Cursor(0).into());
        subject.task.await.unwrap();
        assert_eq!(subject.recorder.borrow().given_up.len(), 1);

        let full = Server::start(&Options { max_connections: 0, ..options() }).unwrap();
        let subject = Subject::start(self::target(&full), Cursor(0).into());
        subject.task.await.unwrap();
        let recorder = subject.recorder.borrow();
        let ledger = *recorder.ledger.borrow();
        assert!(recorder.given_up.len() == 1 && ledger.received_bytes > 0, "{ledger:?}");
        assert_eq!((ledger.unexplained_bytes(), ledger.events), (0, 0));
    });
}

#[test]
fn a_refused_session_has_its_status_and_leaves_no_connection_behind() {
    run(async {
        let server = Server::start(&options()).unwrap();
        let target = Target { feed: "/nothing".into(), ..target(&server) };
        let mut control = Control::connect(&target.endpoint).await.unwrap();
        let subject = Subject::start(target, Cursor(0).into());
        subject.task.await.unwrap();
        let given_up = subject.recorder.borrow().given_up.clone();
        assert!(given_up.len() == 1 && given_up[0].contains("404"), "{given_up:?}");
        while control.load().await.unwrap().connections_open > 1 {
            sleep(Duration::from_millis(20)).await;
        }
    });
}

#[test]
fn when_the_server_shuts_down_the_session_ends_after_the_last_event() {
    run(async {
        let server = Server::start(&options()).unwrap();
        let subject = Subject::start(target(&server), Cursor(0).into());
        server.feed().publish(0, "last");
        subject.wait_for(1).await;
        let began = tokio::time::Instant::now();
        tokio::task::spawn_blocking(move || server.shutdown()).await.unwrap();
        assert!(began.elapsed() < Duration::from_secs(3), "the connection was cut");
        // It tries again until it gives up.
        subject.task.await.unwrap();
        assert_eq!(subject.recorder.borrow().given_up.len(), 1);
    });
}
