//! The expected events of a round follow from the schedule and the seed. So a server that is stalled at the window's end, and a relay that
//! changes events, are found.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use protocol::result::{Incident, Round};
use reports::judge::{Warning, failures, is_sound, warnings};

/// A server that is not started by the load client, and its address; it is killed when this is dropped.
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

/// Measures one round on the server at `address`; returns it even if it was rejected.
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
    // The window begins about half a second after the client has connected, and lasts a second. The stall ends long after it.
    let server = Running::start(&["--rate=50", "--stall=1s,1500ms"]);
    let options = ["--transports=websocket", "--subscribers=5", "--duration=1s"];
    let round = measure("stalled", server.1, &options);
    assert_eq!(failures(&round), []);
    assert_eq!((round.sent, round.delivered), (50, 250), "all events that the schedule has in a second");
    assert!(round.latency_ns.max().unwrap() > 1_000_000_000, "the latency has to include the stall");
    let warnings = warnings(&round);
    assert!(warnings.iter().any(|warning| matches!(warning, Warning::ServerUnresponsive(_))), "{warnings:?}");
}

#[test]
fn an_event_that_is_never_published_rejects_the_round() {
    let server = Running::start(&["--rate=50", "--stall=1s,30s"]);
    let round = measure("never", server.1, &["--transports=websocket", "--subscribers=5", "--duration=1s"]);
    assert_eq!(round.sent, 50);
    let unpublished = |incident: &Incident| matches!(incident, Incident::Unpublished { .. });
    assert!(round.incidents.iter().any(unpublished), "{:?}", round.incidents);
}

/// Forwards connections to `server`, and calls `change` on all bytes that the server sends; returns its address.
fn relay(server: SocketAddr, change: fn(&mut [u8])) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for near in listener.incoming().flatten() {
            let far = TcpStream::connect(server).unwrap();
            near.set_nodelay(true).unwrap();
            far.set_nodelay(true).unwrap();
            let (up, down) = ((near.try_clone().unwrap(), far.try_clone().unwrap()), (far, near));
            std::thread::spawn(move || forward(up.0, up.1, |_| ()));
            std::thread::spawn(move || forward(down.0, down.1, change));
        }
    });
    address
}

fn forward(mut from: TcpStream, mut to: TcpStream, change: impl Fn(&mut [u8])) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        change(&mut buffer[..read]);
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Write);
}

/// The index of `text` in `bytes`.
fn find(bytes: &[u8], text: &str) -> Option<usize> {
    bytes.windows(text.len()).position(|window| window == text.as_bytes())
}

#[test]
fn a_payload_that_was_changed_on_the_way_rejects_the_round() {
    let server = Running::start(&["--rate=50"]);
    let relay = relay(server.1, |bytes| {
        let mut from = 0;
        while let Some(at) = find(&bytes[from..], "\"data\":\"") {
            from += at + 8;
            bytes[from] = if bytes[from] == b'a' { b'b' } else { b'a' };
        }
    });
    let round = measure("changed", relay, &["--transports=ndjson", "--subscribers=1", "--duration=500ms"]);
    assert_eq!(round.faults.altered, round.sent, "every event of the window was changed: {:?}", failures(&round));
    assert!(!is_sound(&round));
}

#[test]
fn a_time_that_was_changed_on_the_way_rejects_the_round() {
    let server = Running::start(&["--rate=50"]);
    let relay = relay(server.1, |bytes| {
        if let (Some(_), Some(comma)) = (find(bytes, "\"at\":"), find(bytes, ",\"data\"")) {
            // Changes one or both of the last two digits of the time, in ns.
            bytes[comma - 1] = b'0'.max(bytes[comma - 1] - 1);
            bytes[comma - 2] = if bytes[comma - 2] == b'0' { b'1' } else { b'0' };
        }
    });
    let round = measure("changed-time", relay, &["--transports=ndjson", "--subscribers=1", "--duration=500ms"]);
    assert!(round.faults.altered > 0 && !is_sound(&round), "{:?}", failures(&round));
}
