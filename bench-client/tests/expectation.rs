//! What a round must bring follows from the schedule and the seed: a server that stands still at the window's end, and a peer in the
//! middle that changes events, are found out.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use protocol::result::Round;

/// A server that runs already; it ends with its owner.
struct Running(Child, SocketAddr);

impl Running {
    fn start(options: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_bench-client"))
            .args(["serve", "--listen=127.0.0.1:0", "--tcp-listen=127.0.0.1:0"])
            .args(options)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().split_once("://").unwrap().1.parse().unwrap();
        Self(child, address)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// One round against a server that runs already, whatever comes of it.
fn measure(name: &str, address: SocketAddr, options: &[&str]) -> Round {
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&out);
    let output = Command::new(env!("CARGO_BIN_EXE_bench-client"))
        .args(["compare", "--rounds=1", "--url", &format!("http://{address}"), "--out"])
        .arg(&out)
        .args(options)
        .output()
        .unwrap();
    let run = reports::read(&out.join("run.json"))
        .unwrap_or_else(|error| panic!("{error:#}: {}", String::from_utf8_lossy(&output.stderr)));
    run.comparison().unwrap().rounds[0].clone()
}

#[test]
fn events_that_were_due_before_a_stall_at_the_windows_end_are_expected_and_waited_for() {
    // The window opens about half a second after the client has connected and lasts a second; the stall goes far beyond it.
    let server = Running::start(&["--rate=50", "--stall=1s,1500ms"]);
    let options = ["--transports=websocket", "--subscribers=5", "--duration=1s"];
    let round = measure("stalled", server.1, &options);
    assert_eq!(round.failures, [""; 0]);
    assert_eq!((round.sent, round.delivered), (50, 250), "as many as the schedule has in a second");
    assert!(round.latency_ns.max().unwrap() > 1_000_000_000, "what was held up is in the latency");
    assert!(round.warnings.iter().any(|warning| warning.starts_with("the server stood still")), "{:?}", round.warnings);
}

#[test]
fn an_event_that_is_never_published_rejects_the_round() {
    let server = Running::start(&["--rate=50", "--stall=1s,30s"]);
    let round = measure("never", server.1, &["--transports=websocket", "--subscribers=5", "--duration=1s"]);
    assert_eq!(round.sent, 50);
    assert!(round.failures.iter().any(|why| why.ends_with("were never published")), "{:?}", round.failures);
}

/// Stands between a client and a server, and has `change` change what the server sends where it holds an event.
fn in_the_middle(server: SocketAddr, change: fn(&mut [u8])) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for near in listener.incoming().flatten() {
            let far = TcpStream::connect(server).unwrap();
            near.set_nodelay(true).unwrap();
            far.set_nodelay(true).unwrap();
            let (up, down) = ((near.try_clone().unwrap(), far.try_clone().unwrap()), (far, near));
            std::thread::spawn(move || carry(up.0, up.1, |_| ()));
            std::thread::spawn(move || carry(down.0, down.1, change));
        }
    });
    address
}

fn carry(mut from: TcpStream, mut to: TcpStream, change: impl Fn(&mut [u8])) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        change(&mut buffer[..read]);
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Write);
}

/// Where `text` begins in `bytes`.
fn find(bytes: &[u8], text: &str) -> Option<usize> {
    bytes.windows(text.len()).position(|window| window == text.as_bytes())
}

#[test]
fn a_payload_that_was_changed_on_the_way_rejects_the_round() {
    let server = Running::start(&["--rate=50"]);
    let middle = in_the_middle(server.1, |bytes| {
        let mut from = 0;
        while let Some(at) = find(&bytes[from..], "\"data\":\"") {
            from += at + 8;
            bytes[from] = if bytes[from] == b'a' { b'b' } else { b'a' };
        }
    });
    let round = measure("changed", middle, &["--transports=ndjson", "--subscribers=1", "--duration=500ms"]);
    assert_eq!(round.faults.altered, round.sent, "each event of the window: {:?}", round.failures);
    assert!(!round.is_sound());
}

#[test]
fn a_time_that_was_moved_on_the_way_rejects_the_round() {
    let server = Running::start(&["--rate=50"]);
    let middle = in_the_middle(server.1, |bytes| {
        if let (Some(_), Some(comma)) = (find(bytes, "\"at\":"), find(bytes, ",\"data\"")) {
            // A nanosecond or a few earlier, so that it looks fresher than it is.
            bytes[comma - 1] = b'0'.max(bytes[comma - 1] - 1);
            bytes[comma - 2] = if bytes[comma - 2] == b'0' { b'1' } else { b'0' };
        }
    });
    let round = measure("moved", middle, &["--transports=ndjson", "--subscribers=1", "--duration=500ms"]);
    assert!(round.faults.altered > 0 && !round.is_sound(), "{:?}", round.failures);
}
