//! Faults in the middle of it all: a server that is killed or ended under load, and peers that behave as badly as they can beside
//! honest subscribers.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bench_client::control::Control;
use bench_client::crowd::{Crowd, Share};
use bench_client::place::Place;
use bench_client::recorder::Recorder;
use bench_client::subscriber::{BackOff, Target};
use protocol::framing::websocket::{Opcode, frame_masked};
use protocol::result::Faults;
use protocol::{Bookmark, Cursor, Epoch, Transport, clock};
use rustix::net::sockopt::set_socket_linger;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::{Builder, LocalOptions};

/// Guards against a hang; nothing is measured by it.
const GUARD: Duration = Duration::from_secs(60);

/// A server in a process of its own.
struct Process {
    child: Child,
    http: SocketAddr,
    tcp: SocketAddr,
}

impl Process {
    fn start(listen: [&str; 2], arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_bench-client"))
            .args(["serve", "--with-parent", "--listen", listen[0], "--tcp-listen", listen[1]])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
        let mut address = || lines.next().unwrap().unwrap().split_once("://").unwrap().1.parse().unwrap();
        let (http, tcp) = (address(), address());
        Self { child, http, tcp }
    }

    /// Ends it by `signal`: whether it went well, and what it had to say.
    fn end(mut self, signal: Signal) -> (bool, String) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
        let success = self.child.wait().unwrap().success();
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        (success, said)
    }

    fn target(&self) -> Target {
        Target {
            poll_interval: Duration::from_millis(20),
            // Longer than a server needs to start.
            back_off: BackOff { least: Duration::from_millis(500), jitter: Duration::from_millis(300) },
            ..Target::lean(Place::plain(self.http), self.tcp)
        }
    }

    async fn control(&self) -> Control {
        Control::connect(&Place::plain(self.http)).await.unwrap()
    }
}

/// Runs a test on an event loop, but not for ever.
fn run(test: impl Future<Output = ()>) {
    server::limits::raise_open_files();
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).unwrap();
    runtime.block_on(async { tokio::time::timeout(GUARD, test).await.expect("a hang") });
}

/// So many subscribers of every transport, connected at the beginning of a feed.
async fn gather(target: &Target, each: u32, epoch: Option<Epoch>) -> Vec<(Transport, Crowd)> {
    let mut crowds = Vec::new();
    let beginning = Bookmark { cursor: Cursor(0), epoch };
    for transport in Transport::ALL {
        let recorder = Recorder::new(0..u64::MAX, 0, Arc::default());
        let deadline = clock::now_ns() + GUARD.as_nanos() as u64;
        let crowd = Crowd::gather(transport, target.clone(), beginning, Share::all(each), recorder, 1, deadline).await;
        assert_eq!(crowd.connected(), each, "{transport}");
        crowds.push((transport, crowd));
    }
    crowds
}

/// Waits until each crowd has had all of the `events` that were due since `since`, and sends it home: every event came to every
/// subscriber once, whatever happened before.
async fn all_had(crowds: Vec<(Transport, Crowd)>, each: u32, since: u64, events: u64) {
    for (transport, crowd) in crowds {
        let times = |crowd: &Crowd| {
            let mut times = vec![0; events as usize];
            for sample in crowd.recorder.borrow().samples.iter().filter(|sample| sample.at >= since) {
                times[sample.seq as usize - 1] += 1;
            }
            times
        };
        while times(&crowd).iter().sum::<u64>() < events * u64::from(each) {
            assert_eq!(crowd.recorder.borrow().given_up, [""; 0], "{transport}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(times(&crowd), vec![u64::from(each); events as usize], "{transport}");
        let (recorder, all_left) = crowd.leave().await;
        assert!(all_left, "{transport}");
        let Faults { lost, duplicates, reordered, .. } = recorder.faults;
        assert_eq!((lost, duplicates, reordered), (0, 0, 0), "{transport}");
    }
}

/// How far a new feed is when those come back who were subscribed to the one before.
enum NewFeed {
    /// Their cursors are beyond it.
    Behind,
    /// It has gone past their cursors: what follows them there is no more than a part of it.
    Ahead,
}

/// Ends a server under load, starts another at the same place, and sees that everyone comes back and loses nothing of its feed.
async fn restart(signal: Signal, each: u32, rate: &str, feed: NewFeed) -> (bool, String) {
    const EVENTS: u64 = 5;
    let server = Process::start(["127.0.0.1:0"; 2], &["--rate", rate]);
    // As many polls a second however many poll.
    let target = Target { poll_interval: Duration::from_millis(2) * each, ..server.target() };
    // Who does not know of which feed its cursor is, can only be told where that is beyond the new one's head.
    let epoch = match feed {
        NewFeed::Behind => None,
        NewFeed::Ahead => Some(server.control().await.load().await.unwrap().epoch),
    };
    let crowds = gather(&target, each, epoch).await;
    for (_, crowd) in &crowds {
        crowd.have(u64::from(each) * 4 * EVENTS).await;
    }
    let (http, tcp) = (server.http.to_string(), server.tcp.to_string());
    let ended = tokio::task::spawn_blocking(move || server.end(signal)).await.unwrap();
    let since = clock::now_ns();
    let again = Process::start([&http, &tcp], &["--rate=0"]);
    let mut control = again.control().await;
    let furthest = |crowd: &Crowd| crowd.recorder.borrow().samples.iter().map(|sample| sample.seq).max();
    let events = match feed {
        NewFeed::Behind => EVENTS,
        NewFeed::Ahead => crowds.iter().filter_map(|(_, crowd)| furthest(crowd)).max().unwrap() + EVENTS,
    };
    for number in 0..events {
        control.publish(&format!("event {number}")).await.unwrap();
    }
    all_had(crowds, each, since, events).await;
    assert_eq!(again.end(Signal::TERM), (true, String::new()));
    ended
}

#[test]
fn a_server_killed_under_load_is_come_back_to_and_its_new_feed_is_had_whole() {
    run(async {
        let (success, said) = restart(Signal::KILL, 10, "300", NewFeed::Ahead).await;
        assert_eq!((success, &*said), (false, ""));
    });
}

#[test]
fn a_server_with_two_thousand_connected_ends_in_good_order_and_its_ports_are_free_at_once() {
    run(async {
        let (success, said) = restart(Signal::TERM, 350, "20", NewFeed::Behind).await;
        assert_eq!((success, &*said), (true, ""));
    });
}

/// The headers of a WebSocket's handshake.
const UPGRADE: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

fn get(target: &str, more: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{more}\r\n")
}

/// Sends bytes and goes without a farewell: the connection is reset.
fn reset(address: SocketAddr, bytes: &[u8]) {
    let Ok(mut stream) = TcpStream::connect(address) else { return };
    set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
    let _ = stream.write_all(bytes);
    // So that some resets meet the request, and some what comes of it.
    std::thread::sleep(Duration::from_millis(u64::from(stream.local_addr().unwrap().port()) % 4));
}

/// Sends bytes and keeps the connection, without another word.
fn silent(address: SocketAddr, bytes: &[u8]) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.write_all(bytes).ok()?;
    Some(stream)
}

#[test]
fn beside_peers_that_reset_stall_trickle_and_flood_honest_subscribers_lose_nothing() {
    const EACH: u32 = 3;
    run(async {
        let bounds = ["--idle-timeout=300ms", "--stall-timeout=500ms", "--max-connections=200"];
        let server = Process::start(["127.0.0.1:0"; 2], &[&["--rate=200", "--history=100000"][..], &bounds].concat());
        let (http, tcp) = (server.http, server.tcp);
        // A connection of its own for each question: between two, it would be silent for too long.
        let load = async || server.control().await.load().await.unwrap();
        let crowds = gather(&server.target(), EACH, None).await;
        let before = load().await;

        let mut half_a_frame = get("/ws", UPGRADE).into_bytes();
        half_a_frame.extend_from_slice(&frame_masked(Opcode::Text, &[b'?'; 1_000], [1, 2, 3, 4])[..500]);
        let half_a_body = b"POST /publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nhalf".to_vec();
        let half_a_chunk =
            b"POST /publish HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nha".to_vec();
        let partial = [
            (http, half_a_frame),
            (http, half_a_body),
            (http, half_a_chunk),
            (http, get("/long-poll?wait=60s", "").into_bytes()),
            (http, get("/stream?after=0", "").into_bytes()),
            (http, get("/sse?after=0", "").into_bytes()),
            (http, b"GET /poll HT".to_vec()),
            (tcp, b"SU".to_vec()),
            (tcp, b"SUB 0\n".to_vec()),
        ];
        let misbehave = move || {
            for _ in 0..30 {
                for (address, bytes) in &partial {
                    reset(*address, bytes);
                }
            }
            // More than there is room for, each with a part of a request or nothing read of the answer.
            let mut held: Vec<_> = (0..40).flat_map(|_| &partial).map(|(to, bytes)| silent(*to, bytes)).collect();
            let mut trickling: Vec<_> = (0..10).filter_map(|_| TcpStream::connect(http).ok()).collect();
            for byte in get("/poll", "").as_bytes().iter().cycle().take(100) {
                trickling.iter_mut().for_each(|stream| _ = stream.write_all(&[*byte]));
                std::thread::sleep(Duration::from_millis(10));
            }
            held.clear();
        };
        tokio::task::spawn_blocking(misbehave).await.unwrap();

        // Everyone who misbehaved is gone in the end, by the server's doing or by their own.
        let honest = before.connections_open;
        let after = loop {
            let now = load().await;
            if now.connections_open <= honest {
                break now;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        assert!(after.connections_refused > 0, "the flood met the limit");
        let growth =
            (after.resident_bytes - after.history_bytes).saturating_sub(before.resident_bytes - before.history_bytes);
        assert!(growth < 32 << 20, "memory grew by {growth} bytes");
        let head = load().await.head;
        for (transport, crowd) in crowds {
            crowd.have(head * u64::from(EACH)).await;
            let (recorder, _) = crowd.leave().await;
            assert_eq!(recorder.faults, Faults::default(), "{transport}");
        }
        assert_eq!(server.end(Signal::TERM), (true, String::new()));
    });
}

/// Tells a test that it is alone in its network.
const OWN_NETWORK: &str = "TRANSPORT_LAB_OWN_NETWORK";

/// Runs a test of this file again in a network namespace of its own, where there is a loopback interface and nothing else; or says that
/// this cannot be done here.
fn in_own_network(test: &str) {
    let unshared = |program: &OsStr| {
        let mut command = Command::new("unshare");
        command.arg("--net").arg(program);
        command
    };
    let set_up = unshared("ip".as_ref()).args(["link", "set", "lo", "up"]).output();
    if !set_up.is_ok_and(|set_up| set_up.status.success()) {
        // Past the test harness, which would keep it to itself.
        let _ =
            writeln!(std::io::stderr(), "skipped: it takes root, unshare and ip to make a network namespace ({test})");
        return;
    }
    let again = std::env::current_exe().unwrap();
    let output = unshared(again.as_ref()).args(["--exact", test]).env(OWN_NETWORK, "1").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains(" 1 passed"), "{said}");
}

fn ip(arguments: &str) {
    assert!(Command::new("ip").args(arguments.split(' ')).status().unwrap().success(), "ip {arguments}");
}

/// A peer without power or network says nothing: no end, no reset, no acknowledgement.
#[test]
fn peers_that_vanish_are_given_up_and_others_lose_nothing() {
    const EACH: u32 = 3;
    if std::env::var_os(OWN_NETWORK).is_none() {
        return in_own_network("peers_that_vanish_are_given_up_and_others_lose_nothing");
    }
    ip("link set lo up");
    run(async {
        let bounds = ["--rate=200", "--history=100000", "--stall-timeout=250ms", "--idle-timeout=1s"];
        let server = Process::start(["127.0.0.1:0"; 2], &bounds);
        let crowds = gather(&server.target(), EACH, None).await;
        let load = async || server.control().await.load().await.unwrap();
        let honest = load().await.connections_open;

        let mut vanishing = Vec::new();
        for (to, request) in [
            (server.http, get("/poll?after=0", "")),
            (server.http, get("/long-poll", "")),
            (server.http, get("/stream", "")),
            (server.http, get("/sse", "")),
            (server.http, get("/ws", UPGRADE)),
            (server.tcp, "SUB\n".into()),
        ] {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.bind("127.0.0.5:0".parse().unwrap()).unwrap();
            let mut peer = socket.connect(to).await.unwrap();
            peer.write_all(request.as_bytes()).await.unwrap();
            // Subscribed, and answered once at least.
            assert!(peer.read(&mut [0; 100]).await.unwrap() > 0);
            vanishing.push(peer);
        }
        assert!(load().await.connections_open >= honest + 6);
        // Nothing reaches them any more, so nothing comes from them either.
        ip("route add table local blackhole 127.0.0.5");
        while load().await.connections_open > honest {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let head = load().await.head;
        for (transport, crowd) in crowds {
            crowd.have(head * u64::from(EACH)).await;
            let (recorder, _) = crowd.leave().await;
            assert_eq!(recorder.faults, Faults::default(), "{transport}");
        }
        drop(vanishing);
        assert_eq!(server.end(Signal::TERM), (true, String::new()));
    });
}
