//! Faults under load: a server that is killed or terminated, and malicious or vanished peers besides well-behaved subscribers.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bench_client::endpoint::Endpoint;
use bench_client::round::group::{Share, SubscriberGroup};
use bench_client::round::recorder::Recorder;
use bench_client::subscriber::{BackOff, Target};
use bench_client::test_bed::control::Control;
use protocol::envelope::websocket::{Opcode, encode_masked};
use protocol::result::Faults;
use protocol::{Bookmark, Cursor, Epoch, Transport, clock};
use rustix::net::sockopt::set_socket_linger;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::{Builder, LocalOptions};

/// Ends a test that hangs.
const TEST_TIMEOUT: Duration = Duration::from_secs(60);

/// A server process.
struct Process {
    child: Child,
    http: SocketAddr,
    tcp: SocketAddr,
}

impl Process {
    fn start(listen: [&str; 2], arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_bench-client"))
            .args(["serve", "--listen", listen[0], "--tcp-listen", listen[1]])
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

    /// Ends it by `signal`; returns whether it exited successfully, and what it has printed on standard error.
    fn end(mut self, signal: Signal) -> (bool, String) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
        let success = self.child.wait().unwrap().success();
        let mut stderr = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        (success, stderr)
    }

    fn target(&self) -> Target {
        Target {
            poll_interval: Duration::from_millis(20),
            // Longer than a server takes to start.
            back_off: BackOff { min: Duration::from_millis(500), jitter: Duration::from_millis(300) },
            ..Target::lean(Endpoint::plain(self.http), self.tcp)
        }
    }

    async fn control(&self) -> Control {
        Control::connect(&Endpoint::plain(self.http)).await.unwrap()
    }
}

/// Runs a test on an event loop; fails if it hangs.
fn run(test: impl Future<Output = ()>) {
    server::limits::raise_open_files();
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).unwrap();
    runtime.block_on(async { tokio::time::timeout(TEST_TIMEOUT, test).await.expect("a hang") });
}

/// Connects `each` subscribers of every transport over TCP, at the beginning of the feed.
async fn connect(target: &Target, each: u32, epoch: Option<Epoch>) -> Vec<(Transport, SubscriberGroup)> {
    let mut groups = Vec::new();
    let beginning = Bookmark { cursor: Cursor(0), epoch };
    for transport in Transport::all_where(Transport::is_over_tcp) {
        let recorder = Recorder::new(0..u64::MAX, 0, Arc::default());
        let deadline = clock::now_ns() + TEST_TIMEOUT.as_nanos() as u64;
        let group =
            SubscriberGroup::connect(transport, target.clone(), beginning, Share::all(each), recorder, 1, deadline)
                .await;
        assert_eq!(group.connected(), each, "{transport}");
        groups.push((transport, group));
    }
    groups
}

/// Waits until each group has received all of the `events` that were due since `since`, and closes it. Fails if a subscriber has not received
/// each of them exactly once.
async fn assert_all_received(groups: Vec<(Transport, SubscriberGroup)>, each: u32, since: u64, events: u64) {
    for (transport, group) in groups {
        // The number of deliveries of each event.
        let deliveries = |group: &SubscriberGroup| {
            let mut deliveries = vec![0; events as usize];
            for sample in group.recorder.borrow().samples.iter().filter(|sample| sample.at >= since) {
                deliveries[sample.seq as usize - 1] += 1;
            }
            deliveries
        };
        while deliveries(&group).iter().sum::<u64>() < events * u64::from(each) {
            assert_eq!(group.recorder.borrow().given_up, [""; 0], "{transport}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(deliveries(&group), vec![u64::from(each); events as usize], "{transport}");
        let (recorder, all_closed) = group.close().await;
        assert!(all_closed, "{transport}");
        let Faults { lost, duplicates, reordered, .. } = recorder.faults;
        assert_eq!((lost, duplicates, reordered), (0, 0, 0), "{transport}");
    }
}

/// The length of the new server's feed when the subscribers resume.
enum NewFeed {
    /// Shorter: their cursors are after its newest event.
    Shorter,
    /// Longer: it already has events after their cursors, which are only a part of it.
    Longer,
}

/// Ends a server under load, and starts another one at the same endpoint. Checks that all subscribers resume and receive every event of the
/// new feed. Returns how the first server ended (see [`Process::end`]).
async fn restart(signal: Signal, each: u32, rate: &str, feed: NewFeed) -> (bool, String) {
    const EVENTS: u64 = 5;
    let server = Process::start(["127.0.0.1:0"; 2], &["--rate", rate]);
    // So the number of polls per second does not depend on the number of pollers.
    let target = Target { poll_interval: Duration::from_millis(2) * each, ..server.target() };
    // Without an epoch, the new server can recognise a cursor of the old feed only if it is after the newest event.
    let epoch = match feed {
        NewFeed::Shorter => None,
        NewFeed::Longer => Some(server.control().await.load().await.unwrap().epoch),
    };
    let groups = connect(&target, each, epoch).await;
    for (_, group) in &groups {
        group.wait_for(u64::from(each) * 4 * EVENTS).await;
    }
    let (http, tcp) = (server.http.to_string(), server.tcp.to_string());
    let ended = tokio::task::spawn_blocking(move || server.end(signal)).await.unwrap();
    let since = clock::now_ns();
    let restarted = Process::start([&http, &tcp], &["--rate=0"]);
    let mut control = restarted.control().await;
    let newest = |group: &SubscriberGroup| group.recorder.borrow().samples.iter().map(|sample| sample.seq).max();
    let events = match feed {
        NewFeed::Shorter => EVENTS,
        NewFeed::Longer => groups.iter().filter_map(|(_, group)| newest(group)).max().unwrap() + EVENTS,
    };
    for number in 0..events {
        control.publish(&format!("event {number}")).await.unwrap();
    }
    assert_all_received(groups, each, since, events).await;
    assert_eq!(restarted.end(Signal::TERM), (true, String::new()));
    ended
}

#[test]
fn after_a_server_was_killed_under_load_all_subscribers_receive_the_whole_feed_of_the_new_one() {
    run(async {
        let (success, stderr) = restart(Signal::KILL, 6, "300", NewFeed::Longer).await;
        assert_eq!((success, &*stderr), (false, ""));
    });
}

#[test]
fn a_server_with_two_thousand_subscribers_shuts_down_and_its_ports_are_free_at_once() {
    run(async {
        let (success, stderr) = restart(Signal::TERM, 110, "20", NewFeed::Shorter).await;
        assert_eq!((success, &*stderr), (true, ""));
    });
}

/// The headers of a WebSocket handshake.
const UPGRADE: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

fn get(target: &str, more: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{more}\r\n")
}

/// Sends bytes and then resets the connection.
fn reset(address: SocketAddr, bytes: &[u8]) {
    let Ok(mut stream) = TcpStream::connect(address) else { return };
    set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
    let _ = stream.write_all(bytes);
    // Between 0 and 3 ms, so that some resets come while the request is read, and some while it is handled.
    std::thread::sleep(Duration::from_millis(u64::from(stream.local_addr().unwrap().port()) % 4));
}

/// Sends bytes, and keeps the connection open without sending more.
fn silent(address: SocketAddr, bytes: &[u8]) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.write_all(bytes).ok()?;
    Some(stream)
}

#[test]
fn peers_that_reset_stall_trickle_and_flood_do_not_make_other_subscribers_lose_events() {
    const EACH: u32 = 3;
    run(async {
        let bounds = ["--idle-timeout=300ms", "--stall-timeout=500ms", "--max-connections=200"];
        let server = Process::start(["127.0.0.1:0"; 2], &[&["--rate=200", "--history=100000"][..], &bounds].concat());
        let (http, tcp) = (server.http, server.tcp);
        // A new connection for each reading, since one connection would exceed the idle timeout between two readings.
        let load = async || server.control().await.load().await.unwrap();
        let groups = connect(&server.target(), EACH, None).await;
        let before = load().await;

        let mut half_a_frame = get("/ws", UPGRADE).into_bytes();
        half_a_frame.extend_from_slice(&encode_masked(Opcode::Text, &[b'?'; 1_000], [1, 2, 3, 4])[..500]);
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
            // More connections than the server accepts, each with an incomplete request or an unread response.
            let mut stalled: Vec<_> = (0..40).flat_map(|_| &partial).map(|(to, bytes)| silent(*to, bytes)).collect();
            let mut trickling: Vec<_> = (0..10).filter_map(|_| TcpStream::connect(http).ok()).collect();
            for byte in get("/poll", "").as_bytes().iter().cycle().take(100) {
                trickling.iter_mut().for_each(|stream| _ = stream.write_all(&[*byte]));
                std::thread::sleep(Duration::from_millis(10));
            }
            stalled.clear();
        };
        tokio::task::spawn_blocking(misbehave).await.unwrap();

        // All connections of these peers are closed in the end, by the server or by the peers.
        let others = before.connections_open;
        let after = loop {
            let now = load().await;
            if now.connections_open <= others {
                break now;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        assert!(after.connections_refused > 0, "the flood exceeds the limit on connections");
        let growth =
            (after.resident_bytes - after.history_bytes).saturating_sub(before.resident_bytes - before.history_bytes);
        assert!(growth < 32 << 20, "memory grew by {growth} bytes");
        let head = load().await.head;
        for (transport, group) in groups {
            group.wait_for(head * u64::from(EACH)).await;
            let (recorder, _) = group.close().await;
            assert_eq!(recorder.faults, Faults::default(), "{transport}");
        }
        assert_eq!(server.end(Signal::TERM), (true, String::new()));
    });
}

/// The environment variable that is set when a test runs in its own network namespace.
const OWN_NETWORK: &str = "TRANSPORT_LAB_OWN_NETWORK";

/// Runs a test of this file again in its own network namespace, which has only a loopback interface. If that is not possible here, prints a
/// message instead.
fn in_own_network(test: &str) {
    let unshared = |program: &OsStr| {
        let mut command = Command::new("unshare");
        command.arg("--net").arg(program);
        command
    };
    let set_up = unshared("ip".as_ref()).args(["link", "set", "lo", "up"]).output();
    if !set_up.is_ok_and(|set_up| set_up.status.success()) {
        // Not with eprintln!, whose output the test harness captures.
        let _ = writeln!(std::io::stderr(), "skipped: a network namespace needs root, unshare and ip ({test})");
        return;
    }
    let executable = std::env::current_exe().unwrap();
    let output = unshared(executable.as_ref()).args(["--exact", test]).env(OWN_NETWORK, "1").output().unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && stdout.contains(" 1 passed"), "{stdout}");
}

fn ip(arguments: &str) {
    assert!(Command::new("ip").args(arguments.split(' ')).status().unwrap().success(), "ip {arguments}");
}

/// A peer that has lost power or network sends nothing: no FIN, no reset, no acknowledgement.
#[test]
fn the_server_gives_up_peers_that_vanish_and_others_lose_no_events() {
    const EACH: u32 = 3;
    if std::env::var_os(OWN_NETWORK).is_none() {
        return in_own_network("the_server_gives_up_peers_that_vanish_and_others_lose_no_events");
    }
    ip("link set lo up");
    run(async {
        let bounds = ["--rate=200", "--history=100000", "--stall-timeout=250ms", "--idle-timeout=1s"];
        let server = Process::start(["127.0.0.1:0"; 2], &bounds);
        let groups = connect(&server.target(), EACH, None).await;
        let load = async || server.control().await.load().await.unwrap();
        let others = load().await.connections_open;

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
            // The peer is subscribed once it has received something.
            assert!(peer.read(&mut [0; 100]).await.unwrap() > 0);
            vanishing.push(peer);
        }
        assert!(load().await.connections_open >= others + 6);
        // From now on, no packet reaches these peers, so they do not acknowledge any.
        ip("route add table local blackhole 127.0.0.5");
        while load().await.connections_open > others {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let head = load().await.head;
        for (transport, group) in groups {
            group.wait_for(head * u64::from(EACH)).await;
            let (recorder, _) = group.close().await;
            assert_eq!(recorder.faults, Faults::default(), "{transport}");
        }
        drop(vanishing);
        assert_eq!(server.end(Signal::TERM), (true, String::new()));
    });
}
