//! Servers of another kind, measured by their target files: the ready ones, as far as their programs are here, and faulty ones.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use protocol::result::Round;
use protocol::run::Run;
use protocol::{Ledger, Transport};
use reports::judge::failures;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("targets")
}

/// The packages that `server/tests/clients/install` has installed.
fn packages() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/clients/node_modules")
}

fn is_installed(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok()
}

/// An empty directory for one test.
fn scratch(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).unwrap();
    directory
}

fn target(arguments: &[&str], out: &Path) -> Output {
    let short = ["--duration=500ms", "--subscribers=5", "--rate=50"];
    Command::new(env!("CARGO_BIN_EXE_bench-client"))
        .arg("target")
        .args(arguments)
        .args(short)
        .arg("--out")
        .arg(out)
        .env("NODE_PATH", packages())
        .output()
        .unwrap()
}

/// Skips what is not installed; under `CI`, its absence is a failure.
fn or_skipped(name: &str, is_here: bool) -> bool {
    if !is_here {
        assert!(std::env::var_os("CI").is_none(), "{name} is not installed");
        eprintln!("skipped: {name} is not installed");
    }
    is_here
}

#[test]
fn the_ready_targets_are_measured_beside_this_lab_in_one_run() {
    let node = is_installed("node");
    let ready = [
        ("node-sse", node),
        ("node-ws", node && packages().join("ws").exists()),
        ("socket-io", node && packages().join("socket.io").exists()),
        ("nchan", Path::new("/usr/lib/nginx/modules/ngx_nchan_module.so").exists()),
    ];
    let here: Vec<&str> =
        ready.into_iter().filter(|(name, is_here)| or_skipped(name, *is_here)).map(|of| of.0).collect();
    if here.is_empty() {
        return;
    }
    let files: Vec<String> =
        here.iter().map(|name| folder().join(name).join("target.toml").display().to_string()).collect();
    let out = scratch("ready");
    let output = target(&[&files.iter().map(String::as_str).collect::<Vec<_>>()[..], &["--rounds=1"]].concat(), &out);
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stdout}{stderr}");
    let run: Run = reports::read(&out.join("run.json")).unwrap();
    assert_eq!(run.comparisons().count(), here.len() + 1);
    for comparison in run.comparisons() {
        let name = comparison.scenario.target.as_deref().unwrap_or("this lab");
        assert!(stdout.contains(name), "{stdout}");
        for round in &comparison.rounds {
            assert_eq!(failures(round), [], "{name}, {}", round.transport);
            assert_eq!((round.sent, round.delivered), (25, 125), "{name}, {}", round.transport);
            assert!(round.server.cpu_ns > 0 && round.server.resident_before_bytes > 1 << 20, "{name}");
        }
    }
    let page = fs::read_to_string(out.join("index.html")).unwrap();
    assert!(page.contains("Several servers") && page.contains("the comparison with 5 subscribers"));
}

#[test]
fn a_target_without_its_server_or_with_a_fault_is_an_error_in_one_line() {
    let out = scratch("faulty");
    let error = |text: &str| {
        let file = out.join("target.toml");
        fs::write(&file, text).unwrap();
        let output = target(&[file.to_str().unwrap(), "--alone", "--rounds=1"], &out.join("report"));
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(!stderr.contains("panicked") && stderr.lines().count() <= 2, "{stderr}");
        stderr
    };
    let of = |url: &str| {
        format!("name = \"x\"\nurl = \"{url}\"\n[publish]\npath = \"/p\"\n[transports.sse]\npath = \"/e\"\n")
    };
    assert!(error("name = 1\n").contains("target.toml:1: invalid type"));
    assert!(error(&of("http://127.0.0.1:1")).contains("cannot reach the server at 127.0.0.1:1"));
    let absent = of("http://127.0.0.1:{port}") + "\n";
    let absent = absent.replacen("[publish]", "command = [\"./nothing\"]\n[publish]", 1);
    assert!(error(&absent).contains("cannot start x: ./nothing"));
    let ends = absent.replace("./nothing", "false");
    assert!(error(&ends).contains("x ended at its start"));
    // A server that does not accept what is published.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                while stream.read(&mut [0; 4096]).is_ok_and(|read| read > 0) {
                    let _ = stream.write_all(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n");
                }
            });
        }
    });
    let refused = of(&format!("http://127.0.0.1:{port}"));
    assert!(error(&refused).contains("publishing has failed: status 500"));
    let refused = refused.replacen("[publish]", "[publish]\nover = \"websocket\"", 1);
    assert!(error(&refused).contains("cannot open the WebSocket at /p: HTTP error: 500"));
}

/// The response of a server of the test to a poll, with these events, which have the server's own numbers.
type Style = fn(&[(usize, String)]) -> String;

/// Ways to respond, each with its path.
const STYLES: [(&str, Style); 6] = [
    ("pieces", pieces),
    ("closing", closing),
    ("tagged", tagged),
    ("latest", |events| tagged(&events[events.len().saturating_sub(1)..])),
    ("losing", |events| pieces(&events.iter().filter(|event| event.0 % 5 != 0).cloned().collect::<Vec<_>>())),
    ("repeating", |events| pieces(&events.iter().flat_map(|event| [event.clone(), event.clone()]).collect::<Vec<_>>())),
];

/// A chunk of seven bytes after another, with JSON of which each item has a number and the event as text.
fn pieces(events: &[(usize, String)]) -> String {
    let items: Vec<String> = events
        .iter()
        .map(|(number, event)| format!("{{\"id\":{number},\"text\":{}}}", serde_json::Value::from(event.as_str())))
        .collect();
    let body = format!("{{\"items\": [ {} ]}}", items.join(" , "));
    let chunks: String = body
        .as_bytes()
        .chunks(7)
        .map(|part| format!("{:x}\r\n{}\r\n", part.len(), str::from_utf8(part).unwrap()))
        .collect();
    format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n")
}

/// HTTP/1.0: the connection ends with the response. Lines, and the next cursor in a header.
fn closing(events: &[(usize, String)]) -> String {
    let Some((last, _)) = events.last() else { return "HTTP/1.0 304 Not Modified\r\n\r\n".into() };
    let lines: String = events.iter().map(|(_, event)| format!("{event}\r\n")).collect();
    format!("HTTP/1.0 200 OK\r\nCursor: a {last}\r\n\r\n{lines}")
}

/// One event is the body, and its tag the cursor; a timeout has a body, too.
fn tagged(events: &[(usize, String)]) -> String {
    match events.first() {
        Some((number, event)) => {
            format!("HTTP/1.1 200 OK\r\nETag: {number}\r\nContent-Length: {}\r\n\r\n{event}", event.len())
        }
        None => "HTTP/1.1 408 Request Timeout\r\nContent-Length: 4\r\n\r\nnone".into(),
    }
}

/// A server that keeps all events, of all rounds, and counts the bytes of polls.
#[derive(Default)]
struct PollServer {
    events: Mutex<Vec<String>>,
    published: Condvar,
    received: AtomicU64,
    sent: AtomicU64,
}

impl PollServer {
    /// Starts it; returns its port, too.
    fn start() -> (Arc<Self>, u16) {
        let server = Arc::<Self>::default();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = server.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (server, stream) = (shared.clone(), stream.unwrap());
                thread::spawn(move || server.serve(stream));
            }
        });
        (server, port)
    }

    /// Responds to the requests of a connection, until it ends or is to be closed.
    fn serve(&self, stream: TcpStream) {
        stream.set_nodelay(true).unwrap();
        let mut reader = BufReader::new(stream);
        loop {
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                if reader.read_line(&mut head).unwrap_or(0) == 0 {
                    return;
                }
            }
            let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
            let mut body = vec![0; header("Content-Length").map_or(0, |length| length.parse().unwrap())];
            reader.read_exact(&mut body).unwrap();
            if head.starts_with("POST /publish ") {
                self.events.lock().unwrap().push(String::from_utf8(body).unwrap());
                self.published.notify_all();
                write!(reader.get_mut(), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
                continue;
            }
            self.received.fetch_add(head.len() as u64, Relaxed);
            let (name, query) = head.split(' ').nth(1).unwrap()[1..].split_once('?').unwrap();
            let after = query.split_once("after=").map(|(_, after)| after.trim_start_matches("a%20"));
            let after = header("If-None-Match").or(after).map_or(0, |after| after.parse::<usize>().unwrap());
            let wait = Duration::from_millis(if query.starts_with("wait") { 100 } else { 0 });
            let events = self.events.lock().unwrap();
            let none = |events: &mut Vec<String>| events.len() <= after;
            let (events, _) = self.published.wait_timeout_while(events, wait, none).unwrap();
            let after: Vec<_> = (1..).zip(events.iter().cloned()).skip(after).collect();
            drop(events);
            let response = STYLES.iter().find(|style| style.0 == name).unwrap().1(&after);
            for part in response.as_bytes().chunks(1_000) {
                self.sent.fetch_add(part.len() as u64, Relaxed);
                let _ = reader.get_mut().write_all(part);
            }
            if response.starts_with("HTTP/1.0") {
                return;
            }
        }
    }
}

/// A target file for a server of the test, which keeps running.
fn poll_target(port: u16, name: &str, transports: &[(Transport, &str)]) -> String {
    let head = format!("name = \"{name}\"\nurl = \"http://127.0.0.1:{port}\"\n[publish]\npath = \"/publish\"\n");
    let tables = transports.iter().map(|(transport, lines)| {
        let wait = if *transport == Transport::LongPolling { "wait&" } else { "" };
        format!("[transports.{transport}]\n{}\n", lines.replace("WAIT", wait))
    });
    head + &tables.collect::<String>()
}

/// Measures a server of the test that has the lines for each transport; returns all rounds, and the output.
fn poll_rounds(port: u16, name: &str, transports: &[(Transport, &str)], rounds: u32) -> (Vec<Round>, Output) {
    let out = scratch(name);
    let file = out.join("target.toml");
    fs::write(&file, poll_target(port, name, transports)).unwrap();
    let rounds = format!("--rounds={rounds}");
    let arguments = [file.to_str().unwrap(), "--alone", &rounds, "--poll-interval=50ms"];
    let output = target(&arguments, &out.join("report"));
    let run: Run = reports::read(&out.join("report/run.json")).unwrap();
    (run.comparisons().flat_map(|comparison| comparison.rounds.clone()).collect(), output)
}

const PIECES: &str = "path = \"/pieces?WAITafter={cursor}\"\nevent = \"/text\"\nmessages = { array = \"/items\" }\n\
    next.cursor = { first = \"0\", message = \"/id\" }";

#[test]
fn every_byte_of_polls_in_any_form_is_explained_and_events_of_earlier_rounds_are_no_duplicates() {
    let closing = "path = \"/closing?WAITafter={cursor}\"\nnext.cursor = { first = \"a 0\", header = \"cursor\" }";
    let tagged = "path = \"/tagged?WAIT\"\nheaders = { If-None-Match = \"{tag}\" }\nmessages = \"body\"\n\
        next.tag = { header = \"Etag\" }";
    for (name, lines) in [("pieces", PIECES), ("closing", closing), ("tagged", tagged)] {
        let (server, port) = PollServer::start();
        let both = [Transport::Polling, Transport::LongPolling].map(|transport| (transport, lines));
        let (rounds, output) = poll_rounds(port, name, &both, 2);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(rounds.len(), 4);
        let mut all = Ledger::default();
        for round in &rounds {
            assert_eq!(failures(round), [], "{name}, {}", round.transport);
            assert_eq!((round.sent, round.delivered), (25, 125), "{name}, {}", round.transport);
            assert!(round.ledger.empty_polls > 0);
            if name == "closing" {
                assert_eq!((round.ledger.requests, round.faults.reconnects), (round.ledger.connections, 0));
            } else {
                assert_eq!(round.ledger.connections, 5, "{name}");
            }
            all += Ledger { kernel: None, ..round.ledger };
        }
        let counted = (server.received.load(Relaxed), server.sent.load(Relaxed));
        assert_eq!((all.sent_bytes, all.received_bytes), counted, "{name}");
    }
}

#[test]
fn losses_and_repetitions_of_a_poll_are_counted_and_a_missing_cursor_is_told() {
    let of = |name: &str, lines: &str| {
        let (_server, port) = PollServer::start();
        let (mut rounds, output) = poll_rounds(port, name, &[(Transport::Polling, lines)], 1);
        assert_eq!(output.status.code(), Some(1), "no sound round");
        let round = rounds.pop().unwrap();
        assert_eq!(round.ledger.unexplained_bytes(), 0, "{name}");
        let told: Vec<String> = failures(&round).iter().map(ToString::to_string).collect();
        (round, told.join("; "))
    };
    let (round, told) = of("losing", &PIECES.replace("pieces", "losing"));
    assert!(round.delivered == 100 && told.contains("100 of 125 deliveries were received"), "{told}");
    let (round, told) = of("repeating", &PIECES.replace("pieces", "repeating"));
    assert_eq!((round.delivered, 2 * round.faults.duplicates), (125, round.ledger.events), "{told}");
    let (round, told) = of("stuck", &PIECES.replace("/id", "/number"));
    assert_eq!(round.delivered, 0);
    assert!(
        told.contains("5 subscribers gave up: the peer sent something unexpected: a response without 'cursor'"),
        "{told}"
    );
}

#[test]
fn a_poller_whose_responses_always_have_the_last_event_waits_for_its_interval() {
    let (_server, port) = PollServer::start();
    let lines = "path = \"/latest?\"\nmessages = \"body\"";
    let (mut rounds, output) = poll_rounds(port, "latest", &[(Transport::Polling, lines)], 1);
    let round = rounds.pop().unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    assert_eq!(round.ledger.unexplained_bytes(), 0);
    assert!(round.faults.duplicates > 0 && round.faults.duplicates < round.ledger.events);
    // After each of 25 events at most one poll follows at once, and each poller has at most one at each interval of 50 ms. A round takes some
    // seconds at most; without the interval, there would be thousands in each.
    assert!(round.ledger.requests < 5 * (25 + 10 * 20), "{} requests", round.ledger.requests);
}

#[test]
fn events_are_published_by_a_websocket_with_and_without_acknowledgements() {
    if !or_skipped("ws for Node", is_installed("node") && packages().join("ws").exists()) {
        return;
    }
    let out = scratch("socket");
    let ready = fs::read_to_string(folder().join("node-ws/target.toml")).unwrap();
    fs::copy(folder().join("node-ws/server.cjs"), out.join("server.cjs")).unwrap();
    let measured = |acknowledgement: &str| {
        let file = out.join("target.toml");
        fs::write(&file, ready.replace("acknowledgement = \"/sent\"", acknowledgement)).unwrap();
        target(&[file.to_str().unwrap(), "--alone", "--rounds=1"], &out.join("report"))
    };
    // The ready target itself is measured in the test of all of them.
    let without = measured("");
    assert!(without.status.success(), "{}", String::from_utf8_lossy(&without.stderr));
    let run: Run = reports::read(&out.join("report/run.json")).unwrap();
    let round = &run.comparisons().next().unwrap().rounds[0];
    assert_eq!((failures(round), round.delivered), (vec![], 125));
    let other = measured("acknowledgement = \"/accepted\"");
    let stderr = String::from_utf8_lossy(&other.stderr);
    assert_eq!(other.status.code(), Some(1));
    assert!(stderr.contains("publishing has failed: no acknowledgement within 2 s"), "{stderr}");
}
