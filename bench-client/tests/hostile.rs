//! Servers that mean harm: whatever comes, the client ends in bounded time and memory, and says why.

use std::cell::{Cell, RefCell};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bench_client::place::Place;
use bench_client::recorder::{Recorder, Shared};
use bench_client::session;
use bench_client::stop::Stop;
use bench_client::subscriber::{BackOff, Target};
use protocol::schedule::{Spacing, seeded, uniform};
use protocol::status::Load;
use protocol::{Bookmark, Cursor, Epoch, Transport, clock};
use server::{Options, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::{Builder, LocalOptions};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// Guards against a hang; nothing is measured by it.
const GUARD: Duration = Duration::from_secs(120);

/// Connections whose bytes are changed, for each transport: under `CI=true` many, elsewhere as many as one likes to wait for.
fn connections() -> u64 {
    if std::env::var("CI").as_deref() == Ok("true") { 1_000 } else { 100 }
}

fn run(test: impl Future<Output = ()>) {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).unwrap();
    runtime.block_on(async { tokio::time::timeout(GUARD, test).await.expect("a hang") });
}

fn target(address: SocketAddr) -> Target {
    Target {
        poll_interval: Duration::from_millis(1),
        back_off: BackOff { least: Duration::ZERO, jitter: Duration::ZERO },
        ..Target::lean(Place::plain(address), address)
    }
}

/// Runs one subscriber until it gives up; why it did.
async fn until_given_up(transport: Transport, target: Target) -> String {
    let recorder: Shared = Rc::new(RefCell::new(Recorder::new(0..u64::MAX, 0, Arc::default())));
    session::run(
        transport,
        Rc::new(target),
        Cursor(0).into(),
        Duration::ZERO,
        recorder.clone(),
        Stop::default().told(),
    )
    .await;
    let given_up = recorder.borrow().given_up.clone();
    given_up.into_iter().next().expect("a reason")
}

/// However often it failed before that.
#[test]
fn to_be_told_of_another_feed_is_to_come_on() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let events: String = (1..=3).map(|seq| format!("{{\"seq\":{seq},\"at\":1,\"data\":\"\"}}\n")).collect();
    std::thread::spawn(move || {
        let mut last = None;
        for (number, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            let words = match number {
                // The connection is lost, and then four times there is nothing.
                0 => &events,
                1..=4 => "",
                5 => "{\"gap\":{\"after\":3,\"oldest\":1,\"epoch\":2}}\n",
                _ => &events,
            };
            stream.write_all(words.as_bytes()).unwrap();
            last = (number > 5).then_some(stream);
        }
        drop(last);
    });
    run(async {
        let recorder: Shared = Rc::new(RefCell::new(Recorder::new(0..u64::MAX, 0, Arc::default())));
        let stop = Stop::default();
        let after = Bookmark { cursor: Cursor(0), epoch: Some(Epoch(1)) };
        let target = Rc::new(target(address));
        let session = session::run(Transport::Tcp, target, after, Duration::ZERO, recorder.clone(), stop.told());
        let all = async {
            while recorder.borrow().samples.len() < 6 && recorder.borrow().given_up.is_empty() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            stop.tell();
        };
        tokio::join!(session, all);
        let recorder = recorder.borrow();
        assert_eq!((recorder.faults.duplicates, recorder.faults.lost, recorder.given_up.len()), (0, 0, 0));
    });
}

/// Stands between client and server, and changes one of so many pieces of what comes down: bits, bytes gone, twice or new. Behind the
/// end it puts what looks like a record of TLS.
async fn meddler(to: SocketAddr, one_of: usize, passed: Rc<Cell<u64>>) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::task::spawn_local(async move {
        loop {
            let (near, _) = listener.accept().await.unwrap();
            let mut chance = seeded(passed.replace(passed.get() + 1));
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
                    let mut below = |bound: usize| (uniform(&mut chance) * bound as f64) as usize;
                    let at = below(read);
                    match below(4 * one_of) {
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
fn no_bytes_whatever_they_are_crash_or_hang_a_subscriber() {
    for transport in Transport::ALL {
        run(async {
            let free: SocketAddr = "127.0.0.1:0".parse().unwrap();
            let options = Options { listen: free, tcp_listen: free, rate: 2_000.0, payload: 50, ..Options::default() };
            let server = Server::start(&options).unwrap();
            let at = server.addresses();
            let passed = Rc::new(Cell::new(0));
            let meddler = meddler(if transport == Transport::Tcp { at.tcp } else { at.http }, 8, passed.clone()).await;
            while passed.get() < connections() {
                // One that is never lied to in a fatal way, or that makes progress each time, goes on; that is no fault.
                let _ =
                    tokio::time::timeout(Duration::from_millis(500), until_given_up(transport, target(meddler))).await;
            }
        });
    }
}

#[test]
fn within_tls_changed_bytes_and_records_behind_the_end_crash_or_hang_nobody() {
    run(async {
        let free: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let options = Options { listen: free, tcp_listen: free, tls_self_signed: true, ..Options::default() };
        // One that has no room for anyone says so, and takes leave in TLS's own way.
        for (max_connections, one_of) in [(100, 2), (0, usize::MAX >> 8)] {
            let server = Server::start(&Options { max_connections, rate: 2_000.0, ..options.clone() }).unwrap();
            let passed = Rc::new(Cell::new(0));
            let tls = Place::named(&server.addresses().http_url(), true).unwrap().tls;
            let meddler = meddler(server.addresses().tcp, one_of, passed.clone()).await;
            while passed.get() < connections() / 10 {
                let place = Place { tls: tls.clone(), ..Place::plain(meddler) };
                let subscriber = until_given_up(Transport::Tcp, Target { place, ..target(meddler) });
                let _ = tokio::time::timeout(Duration::from_millis(500), subscriber).await;
            }
        }
    });
}

/// A server that answers each connection with `begin` and then with `more` for ever; how many bytes went down at the most.
fn endless(begin: fn(&str) -> String, more: &'static [u8]) -> (SocketAddr, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let most = Arc::new(AtomicU64::new(0));
    let seen = most.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, seen) = (stream.unwrap(), seen.clone());
            std::thread::spawn(move || {
                let mut request = vec![0; 4_096];
                let read = stream.read(&mut request).unwrap_or(0);
                let begin = begin(&String::from_utf8_lossy(&request[..read]));
                let mut sent = begin.len() as u64;
                let mut going = stream.write_all(begin.as_bytes()).is_ok();
                let more = more.repeat(4_096 / more.len());
                while going {
                    going = stream.write_all(&more).is_ok();
                    sent += more.len() as u64;
                }
                seen.fetch_max(sent, Relaxed);
            });
        }
    });
    (address, most)
}

fn upgrade(request: &str) -> String {
    let key = request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap_or_default();
    let accept = derive_accept_key(key.as_bytes());
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    )
}

#[test]
fn what_never_ends_is_given_up_before_it_fills_the_memory() {
    const HEAD: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let nothing = |_: &str| String::new();
    type Case = (Transport, fn(&str) -> String, &'static [u8], &'static str);
    let cases: [Case; 12] = [
        (Transport::Polling, |_| "HTTP/1.1 200 OK\r\nA: ".into(), b"a", "a head of more than"),
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
        (Transport::Sse, |_| HEAD.into(), b"b\r\n0123456789\n\r\n", "an event of more than"),
        (Transport::WebSocket, |request| upgrade(request) + "\u{1}\u{7f}\0\0\u{1}\0\0\0\0\0", b"a", "a frame that is"),
        (Transport::WebSocket, upgrade, b"\x01\x01a", "a frame that is"),
        (Transport::Tcp, nothing, b"a", "without end"),
        (Transport::Tcp, nothing, b" \n", "not an event"),
    ];
    for (transport, begin, more, reason) in cases {
        let (address, most) = endless(begin, more);
        run(async {
            let said = until_given_up(transport, target(address)).await;
            assert!(said.contains(reason), "{transport}: {said}, not {reason}");
            // 16 MiB of an event, each of its pieces with its marks; what is read in leaving; and the sockets' own buffers.
            assert!(most.load(Relaxed) < 64 << 20, "{transport}: {} bytes were taken", most.load(Relaxed));
        });
    }
}

/// A server over HTTP whose answers, by path, are what `answer` makes of the path.
fn liar(answer: impl Fn(&str) -> Option<String> + Clone + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, answer) = (stream.unwrap(), answer.clone());
            std::thread::spawn(move || {
                while let Some(path) = asked(&mut stream) {
                    let Some(body) = answer(&path) else { continue };
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

/// The path that the next request names; for raw TCP, its one line. `None` at the end.
fn asked(stream: &mut TcpStream) -> Option<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        head.push(char::from(byte[0]));
    }
    Some(head.split([' ', '?']).nth(1)?.to_owned())
}

/// What `/load` would say, with one field's value replaced.
fn load(field: &str, value: u64) -> String {
    let now = clock::now_ns();
    let honest = Load {
        now_ns: now,
        started_ns: now,
        schedule_started_ns: now,
        schedule_first: 1,
        cpu_ns: 0,
        resident_bytes: 0,
        context_switches: 0,
        connections_open: 0,
        connections_accepted: 0,
        connections_refused: 0,
        connections_stalled: 0,
        handshakes_failed: 0,
        echoes_refused: 0,
        tokens_refused: 0,
        watches_refused: 0,
        requests: 0,
        head: 0,
        epoch: Epoch(1),
        history_bytes: 0,
        tcp_port: 1,
        rate: 10.0,
        schedule: Spacing::Periodic,
        payload_bytes: 200,
        seed: 1,
        threads: 1,
    };
    let mut load = serde_json::to_value(honest).unwrap();
    assert!(field.is_empty() || load.get(field).is_some(), "{field}");
    if !field.is_empty() {
        load[field] = value.into();
    }
    assert!(serde_json::from_value::<Load>(load.clone()).is_ok(), "a lie about {field} is understood");
    load.to_string()
}

#[test]
fn a_server_that_lies_about_itself_ends_the_comparison_in_a_line_and_no_panic() {
    type Lie = (&'static str, fn(&str) -> Option<String>);
    let lies: [Lie; 13] = [
        ("no JSON", |_| Some("hello".into())),
        ("nothing at all", |_| None),
        ("ever the same publish times", |path| {
            Some(if path == "/published" { "{\"seq\":1,\"at\":1,\"entered\":1}\n".into() } else { load("", 0) })
        }),
        ("a feed from the end of time", |_| Some(load("started_ns", u64::MAX))),
        ("a schedule that began before all clocks", |_| Some(load("schedule_started_ns", 0).replace("10.0", "1e6"))),
        ("a clock at the end of time", |_| Some(load("now_ns", u64::MAX))),
        ("a clock that begins", |_| Some(load("now_ns", 0))),
        ("countless requests", |_| Some(load("requests", u64::MAX))),
        ("countless connections", |_| Some(load("connections_accepted", u64::MAX))),
        ("endless CPU time", |_| Some(load("cpu_ns", u64::MAX))),
        ("a head at the end of numbers", |_| Some(load("head", u64::MAX))),
        ("endless memory", |_| Some(load("history_bytes", u64::MAX))),
        ("a rate beyond all", |_| Some(load("rate", u64::MAX))),
    ];
    let out = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("lied-to");
    std::thread::scope(|scope| {
        for (number, (lie, answer)) in lies.into_iter().enumerate() {
            let out = out.join(number.to_string());
            scope.spawn(move || {
                let mut command = Command::new("timeout");
                command.args(["60", env!("CARGO_BIN_EXE_bench-client"), "--transports=polling,tcp", "--rounds=1"]);
                command.args([
                    "--duration=200ms",
                    "--subscribers=2",
                    "--url",
                    &format!("http://{}", liar(answer)),
                    "--out",
                ]);
                let output = command.arg(out).output().unwrap();
                let said = String::from_utf8_lossy(&output.stderr);
                assert_eq!(output.status.code(), Some(1), "{lie}: {said}");
                assert!(said.lines().count() == 1 && said.starts_with("bench-client: "), "{lie}: {said}");
            });
        }
    });
}
