//! Malicious servers: whatever bytes they send, the client ends in bounded time and memory, with an error message.

use std::cell::{Cell, RefCell};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bench_client::endpoint::Endpoint;
use bench_client::round::recorder::{Recorder, Shared};
use bench_client::subscriber::session;
use bench_client::subscriber::stop::Stop;
use bench_client::subscriber::{BackOff, Target};
use protocol::payload::PayloadKind;
use protocol::schedule::{Spacing, seeded, uniform};
use protocol::status::Load;
use protocol::transport::Carrier;
use protocol::{Bookmark, Cursor, Epoch, Transport, clock};
use server::{Options, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::{Builder, LocalOptions};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// Ends a test that hangs.
const TEST_TIMEOUT: Duration = Duration::from_secs(120);

/// The number of connections whose bytes are changed, for each transport: many with `CI=true`, otherwise few, so that the test is quick.
fn connections() -> u64 {
    if std::env::var("CI").as_deref() == Ok("true") { 300 } else { 100 }
}

fn run(test: impl Future<Output = ()>) {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).unwrap();
    runtime.block_on(async { tokio::time::timeout(TEST_TIMEOUT, test).await.expect("a hang") });
}

fn target(address: SocketAddr) -> Target {
    Target {
        poll_interval: Duration::from_millis(1),
        back_off: BackOff { min: Duration::ZERO, jitter: Duration::ZERO },
        ..Target::lean(Endpoint::plain(address), address)
    }
}

/// Runs one subscriber until it gives up; returns the reason.
async fn until_given_up(transport: Transport, target: Target) -> String {
    let recorder: Shared = Rc::new(RefCell::new(Recorder::new(0..u64::MAX, 0, Arc::default())));
    session::run(
        transport,
        Rc::new(target),
        Cursor(0).into(),
        Duration::ZERO,
        Rc::default(),
        recorder.clone(),
        Stop::default().stopped(),
    )
    .await;
    let given_up = recorder.borrow().given_up.clone();
    given_up.into_iter().next().expect("a reason")
}

/// Failures before that are not counted any more.
#[test]
fn learning_of_another_feed_is_progress() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let events: String = (1..=3).map(|seq| format!("{{\"seq\":{seq},\"at\":1,\"data\":\"\"}}\n")).collect();
    std::thread::spawn(move || {
        let mut last = None;
        for (number, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            let messages = match number {
                // The first connection ends after its events, and the next four have none.
                0 => &events,
                1..=4 => "",
                5 => "{\"gap\":{\"after\":3,\"oldest\":1,\"epoch\":2}}\n",
                _ => &events,
            };
            stream.write_all(messages.as_bytes()).unwrap();
            last = (number > 5).then_some(stream);
        }
        drop(last);
    });
    run(async {
        let recorder: Shared = Rc::new(RefCell::new(Recorder::new(0..u64::MAX, 0, Arc::default())));
        let stop = Stop::default();
        let after = Bookmark { cursor: Cursor(0), epoch: Some(Epoch(1)) };
        let target = Rc::new(target(address));
        let (slot, subject) = (Rc::default(), recorder.clone());
        let session = session::run(Transport::Tcp, target, after, Duration::ZERO, slot, subject, stop.stopped());
        let all = async {
            while recorder.borrow().samples.len() < 6 && recorder.borrow().given_up.is_empty() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            stop.stop();
        };
        tokio::join!(session, all);
        let recorder = recorder.borrow();
        assert_eq!((recorder.faults.duplicates, recorder.faults.lost, recorder.given_up.len()), (0, 0, 0));
    });
}

/// Forwards connections to `to`, counts them in `connections`, and returns its address. In every `one_in`-th piece that the server sends, at
/// random, it flips a bit, or removes, repeats or inserts bytes. After the end, it adds bytes that look like a TLS record.
async fn corrupting_relay(to: SocketAddr, one_in: usize, connections: Rc<Cell<u64>>) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::task::spawn_local(async move {
        loop {
            let (near, _) = listener.accept().await.unwrap();
            let mut random = seeded(connections.replace(connections.get() + 1));
            tokio::task::spawn_local(async move {
                let far = tokio::net::TcpStream::connect(to).await?;
                let (mut from_near, mut to_near) = near.into_split();
                let (mut from_far, mut to_far) = far.into_split();
                let up = tokio::task::spawn_local(async move { tokio::io::copy(&mut from_near, &mut to_far).await });
                let mut piece = vec![0; 700];
                loop {
                    let read = from_far.read(&mut piece).await?;
                    if read == 0 {
                        to_near.write_all(&[23, 3, 3, 0, 1, 0]).await?;
                        break;
                    }
                    let mut bytes = piece[..read].to_vec();
                    let mut below = |bound: usize| (uniform(&mut random) * bound as f64) as usize;
                    let at = below(read);
                    match below(4 * one_in) {
                        0 => bytes[at] ^= 1 << below(8),
                        1 => drop(bytes.drain(at..(at + below(9)).min(read))),
                        2 => bytes.extend_from_within(at..),
                        3 => drop(bytes.splice(at..at, (0..below(9)).map(|digit| b"0f9\r\n\0{\"\xff"[digit]))),
                        _ => {}
                    }
                    to_near.write_all(&bytes).await?;
                }
                up.abort();
                std::io::Result::Ok(())
            });
        }
    });
    address
}

#[test]
fn no_bytes_make_a_subscriber_crash_or_hang() {
    for transport in Transport::all_where(Transport::is_over_tcp) {
        run(async {
            let free: SocketAddr = "127.0.0.1:0".parse().unwrap();
            let options = Options { listen: free, tcp_listen: free, rate: 2_000.0, payload: 50, ..Options::default() };
            let server = Server::start(&options).unwrap();
            let to = match transport.carrier() {
                Carrier::Tcp => server.addresses().tcp,
                _ => server.addresses().http,
            };
            let count = Rc::new(Cell::new(0));
            let relay = corrupting_relay(to, 8, count.clone()).await;
            // A broken connection of HTTP/2 is closed with a goodbye, which takes longer.
            let connections = if transport.carrier() == Carrier::H2 { connections() / 10 } else { connections() };
            while count.get() < connections {
                // A subscriber that receives no fatal error, or that makes progress on each connection, does not give up. That is correct.
                let _ =
                    tokio::time::timeout(Duration::from_millis(500), until_given_up(transport, target(relay))).await;
            }
        });
    }
}

#[test]
fn with_tls_neither_changed_bytes_nor_a_record_after_the_end_make_a_subscriber_crash_or_hang() {
    run(async {
        let free: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let options = Options { listen: free, tcp_listen: free, tls_self_signed: true, ..Options::default() };
        // The second server accepts no connection. It sends an error, and a close alert of TLS; the relay changes almost nothing.
        for (max_connections, one_in) in [(100, 2), (0, usize::MAX >> 8)] {
            let server = Server::start(&Options { max_connections, rate: 2_000.0, ..options.clone() }).unwrap();
            let count = Rc::new(Cell::new(0));
            let tls = Endpoint::named(&server.addresses().http_url(), true).unwrap().tls;
            let relay = corrupting_relay(server.addresses().tcp, one_in, count.clone()).await;
            while count.get() < connections() / 10 {
                let endpoint = Endpoint { tls: tls.clone(), ..Endpoint::plain(relay) };
                let subscriber = until_given_up(Transport::Tcp, Target { endpoint, ..target(relay) });
                let _ = tokio::time::timeout(Duration::from_millis(500), subscriber).await;
            }
        }
    });
}

/// A server that sends `begin` of the request on each connection, and then `more` for ever. Returns its address, and the most bytes that it
/// could send on a connection.
fn endless(begin: fn(&str) -> String, more: &'static [u8]) -> (SocketAddr, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let max_sent = Arc::new(AtomicU64::new(0));
    let max = max_sent.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, max) = (stream.unwrap(), max.clone());
            std::thread::spawn(move || {
                let mut request = vec![0; 4_096];
                let read = stream.read(&mut request).unwrap_or(0);
                let begin = begin(&String::from_utf8_lossy(&request[..read]));
                let mut sent = begin.len() as u64;
                let mut open = stream.write_all(begin.as_bytes()).is_ok();
                let more = more.repeat(4_096 / more.len());
                while open {
                    open = stream.write_all(&more).is_ok();
                    sent += more.len() as u64;
                }
                max.fetch_max(sent, Relaxed);
            });
        }
    });
    (address, max_sent)
}

fn upgrade(request: &str) -> String {
    let key = request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap_or_default();
    let accept = derive_accept_key(key.as_bytes());
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    )
}

#[test]
fn a_message_that_never_ends_is_given_up_before_it_fills_the_memory() {
    const HEAD: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let nothing = |_: &str| String::new();
    type Case = (Transport, fn(&str) -> String, &'static [u8], &'static str);
    let cases: [Case; 12] = [
        (Transport::Polling, |_| "HTTP/1.1 200 OK\r\nA: ".into(), b"a", "headers of more than"),
        (Transport::Polling, |_| "HTTP/1.1 200 OK\r\n".into(), b"A: b\r\n", "many headers"),
        (Transport::Polling, |_| "HTTP/1.1 200 OK\r\nContent-Length: 16000000\r\n\r\n".into(), b"a", "without end"),
        (
            Transport::LongPolling,
            |_| "HTTP/1.1 200 OK\r\nContent-Length: 99000000\r\n\r\n".into(),
            b"a",
            "more than 16 MiB",
        ),
        (
            Transport::LongPolling,
            |_| "HTTP/1.1 100 Continue\r\n\r\n".into(),
            b"HTTP/1.1 100 Continue\r\n\r\n",
            "status 100",
        ),
        (Transport::Ndjson, |_| HEAD.into(), b"a\r\n0123456789\r\n", "without end"),
        (Transport::Ndjson, |_| HEAD.into(), b"0", "size line without end"),
        (Transport::Sse, |_| HEAD.into(), b"b\r\n0123456789\n\r\n", "without end"),
        (Transport::WebSocket, |request| upgrade(request) + "\u{1}\u{7f}\0\0\u{1}\0\0\0\0\0", b"a", "a frame that is"),
        (Transport::WebSocket, upgrade, b"\x01\x01a", "a frame that is"),
        (Transport::Tcp, nothing, b"a", "without end"),
        (Transport::Tcp, nothing, b" \n", "not an event"),
    ];
    for (transport, begin, more, reason) in cases {
        let (address, max_sent) = endless(begin, more);
        run(async {
            let given_up = until_given_up(transport, target(address)).await;
            assert!(given_up.contains(reason), "{transport}: {given_up}, not {reason}");
            // 16 MiB of an event, with the sizes of its chunks; the bytes that are read while closing; and the buffers of the sockets.
            let sent = max_sent.load(Relaxed);
            assert!(sent < 64 << 20, "{transport}: {sent} bytes were received");
        });
    }
}

/// An HTTP server whose response to a path has the body `body(path)`; there is no response for `None`. Returns its address.
fn fake_server(body: impl Fn(&str) -> Option<String> + Clone + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, body) = (stream.unwrap(), body.clone());
            std::thread::spawn(move || {
                while let Some(path) = requested_path(&mut stream) {
                    let Some(body) = body(&path) else { continue };
                    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
                    if stream.write_all((head + &body).as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

/// The path of the next request; `None` at the end of the connection.
fn requested_path(stream: &mut TcpStream) -> Option<String> {
    let mut request = String::new();
    while !request.ends_with("\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        request.push(char::from(byte[0]));
    }
    Some(request.split([' ', '?']).nth(1)?.to_owned())
}

/// The body of a response to `/load`, with the value of one field replaced.
fn load(field: &str, value: u64) -> String {
    let now = clock::now_ns();
    let valid = Load {
        now_ns: now,
        started_ns: now,
        schedule_started_ns: now,
        schedule_first: 1,
        cpu_ns: 0,
        resident_bytes: 0,
        context_switches: None,
        connections_open: 0,
        connections_accepted: 0,
        connections_refused: 0,
        connections_stalled: 0,
        handshakes_failed: 0,
        streams_refused: 0,
        floods: 0,
        compressions_refused: 0,
        echoes_refused: 0,
        tokens_refused: 0,
        watches_refused: 0,
        quic_port: 0,
        quic_certificate: String::new(),
        quic_retries: 0,
        answers_refused: 0,
        tokens_generated: 0,
        is_shared: false,
        events_missing: 0,
        requests: 0,
        head: 0,
        epoch: Epoch(1),
        history_bytes: 0,
        tcp_port: 1,
        rate: 10.0,
        schedule: Spacing::Periodic,
        payload_bytes: 200,
        payload_kind: PayloadKind::Random,
        seed: 1,
        threads: 1,
    };
    let mut load = serde_json::to_value(valid).unwrap();
    assert!(field.is_empty() || load.get(field).is_some(), "{field}");
    if !field.is_empty() {
        load[field] = value.into();
    }
    assert!(serde_json::from_value::<Load>(load.clone()).is_ok(), "the client has to accept the type of {field}");
    load.to_string()
}

#[test]
fn a_server_that_reports_impossible_figures_ends_the_comparison_with_one_line_and_no_panic() {
    type Case = (&'static str, fn(&str) -> Option<String>);
    let cases: [Case; 13] = [
        ("no JSON", |_| Some("hello".into())),
        ("no response", |_| None),
        ("always the same publish times", |path| {
            Some(if path == "/published" { "{\"seq\":1,\"at\":1,\"entered\":1}\n".into() } else { load("", 0) })
        }),
        ("the latest start of the feed", |_| Some(load("started_ns", u64::MAX))),
        ("the earliest start of the schedule, at a high rate", |_| {
            Some(load("schedule_started_ns", 0).replace("10.0", "1e6"))
        }),
        ("the largest time", |_| Some(load("now_ns", u64::MAX))),
        ("the smallest time", |_| Some(load("now_ns", 0))),
        ("the most requests", |_| Some(load("requests", u64::MAX))),
        ("the most connections", |_| Some(load("connections_accepted", u64::MAX))),
        ("the largest CPU time", |_| Some(load("cpu_ns", u64::MAX))),
        ("the largest sequence number", |_| Some(load("head", u64::MAX))),
        ("the largest history", |_| Some(load("history_bytes", u64::MAX))),
        ("the highest rate", |_| Some(load("rate", u64::MAX))),
    ];
    let out = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("impossible-figures");
    std::thread::scope(|scope| {
        for (number, (name, body)) in cases.into_iter().enumerate() {
            let out = out.join(number.to_string());
            scope.spawn(move || {
                let mut command = Command::new("timeout");
                command.args(["60", env!("CARGO_BIN_EXE_bench-client"), "--transports=polling,tcp", "--rounds=1"]);
                command.args([
                    "--duration=200ms",
                    "--subscribers=2",
                    "--url",
                    &format!("http://{}", fake_server(body)),
                    "--out",
                ]);
                let output = command.arg(out).output().unwrap();
                let stderr = String::from_utf8_lossy(&output.stderr);
                assert_eq!(output.status.code(), Some(1), "{name}: {stderr}");
                assert!(stderr.lines().count() == 1 && stderr.starts_with("bench-client: "), "{name}: {stderr}");
            });
        }
    });
}
