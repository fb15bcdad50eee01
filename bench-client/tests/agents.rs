//! Load from several machines: agents, here other processes, share the subscribers of a comparison; one that disappears marks its round.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use protocol::result::{Incident, Round};
use reports::judge::failures;
use server::{Options, Server};

/// A process that is ended with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(arguments: &[&str]) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bench-client"));
    Process(command.args(arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap())
}

/// A server with 50 events a second, and a free address for agents.
fn setup() -> (Server, String, String) {
    let free: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let options = Options { listen: free, tcp_listen: free, rate: 50.0, ..Options::default() };
    let server = Server::start(&options).unwrap();
    let (url, listen) = (format!("http://{}", server.addresses().http), TcpListener::bind(free).unwrap().local_addr());
    (server, url, listen.unwrap().to_string())
}

fn compare(url: &str, listen: &str, out: &Path, rounds: &str) -> Process {
    let out = out.to_str().unwrap();
    let agents = ["--agents=2", "--agents-listen", listen, "--url", url, "--out", out];
    let settings = ["--subscribers=11", "--transports=sse,websocket", "--duration=1s", "--rounds", rounds];
    start(&[&["compare"], &agents[..], &settings[..]].concat())
}

fn rounds(out: &Path) -> Vec<Round> {
    reports::read(&out.join("run.json")).unwrap().comparison().unwrap().rounds.clone()
}

fn scratch(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&directory);
    directory
}

#[test]
fn two_agents_share_the_subscribers_and_their_latencies_have_a_bound() {
    let (_server, url, listen) = setup();
    let out = scratch("two-agents");
    // Agents may be started before the comparison.
    let mut agents = [(); 2].map(|()| start(&["agent", "--join", &listen]));
    let mut comparison = compare(&url, &listen, &out, "2");
    assert!(comparison.0.wait().unwrap().success());
    for agent in &mut agents {
        assert!(agent.0.wait().unwrap().success(), "an agent ends with the comparison");
        let lines: Vec<String> = BufReader::new(agent.0.stderr.take().unwrap()).lines().map(Result::unwrap).collect();
        assert_eq!(lines.last().unwrap(), "the comparison has ended after 4 rounds");
    }
    let rounds = rounds(&out);
    assert_eq!(rounds.len(), 4);
    for round in &rounds {
        assert_eq!(failures(round), [], "{}", round.transport);
        assert_eq!((round.client.processes, round.delivered), (2, round.sent * 11));
        assert_eq!(round.latency_ns.count(), round.delivered);
        assert!(round.clock_bound_ns.is_some_and(|bound| bound > 0 && bound < 1_000_000_000));
    }
}

#[test]
fn a_round_whose_agent_disappears_is_rejected_and_another_agent_can_take_over() {
    let (_server, url, listen) = setup();
    let out = scratch("lost-agent");
    let mut comparison = compare(&url, &listen, &out, "2");
    let _staying = start(&["agent", "--join", &listen]);
    let mut leaving = start(&["agent", "--join", &listen]);
    // The first round has begun when the server has the subscribers of both.
    let line = BufReader::new(leaving.0.stderr.take().unwrap()).lines().next().unwrap().unwrap();
    assert!(line.starts_with("joined"), "{line}");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while load(&url).connections_open < 12 {
        assert!(std::time::Instant::now() < deadline, "the subscribers do not connect");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    drop(leaving);
    let _replacing = start(&["agent", "--join", &listen]);
    assert!(comparison.0.wait().unwrap().success());
    let rounds = rounds(&out);
    let lost = |round: &Round| round.incidents.iter().any(|incident| matches!(incident, Incident::AgentLost { .. }));
    assert_eq!(rounds.iter().filter(|round| lost(round)).count(), 1);
    for round in &rounds {
        assert_eq!(failures(round).is_empty(), !lost(round), "{:?}", failures(round));
    }
}

fn load(url: &str) -> protocol::status::Load {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(url.trim_start_matches("http://")).unwrap();
    stream.write_all(b"GET /load HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    serde_json::from_str(response.split_once("\r\n\r\n").unwrap().1).unwrap()
}

#[test]
fn with_fewer_subscribers_than_workers_some_have_nothing_to_do() {
    let out = scratch("few-subscribers");
    let arguments = ["--subscribers=2", "--processes=5", "--transports=sse", "--duration=300ms", "--rounds=1", "--out"];
    let mut comparison = start(&[&arguments[..], &[out.to_str().unwrap()]].concat());
    assert!(comparison.0.wait().unwrap().success());
    assert_eq!(failures(&rounds(&out)[0]), []);
}

#[test]
fn a_program_that_is_no_agent_is_not_taken_for_one() {
    let (_server, url, listen) = setup();
    let out = scratch("no-agent");
    let mut comparison = compare(&url, &listen, &out, "1");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    let stray = loop {
        match std::net::TcpStream::connect(&listen) {
            Ok(stray) => break stray,
            Err(_) => assert!(std::time::Instant::now() < deadline, "the comparison does not wait for agents"),
        }
    };
    std::io::Write::write_all(&mut &stray, b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let _agents = [(); 2].map(|()| start(&["agent", "--join", &listen]));
    assert!(comparison.0.wait().unwrap().success());
    assert!(rounds(&out).iter().all(|round| failures(round).is_empty()));
}

#[test]
fn what_cannot_be_is_one_line() {
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_bench-client")).args(arguments).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, message) = run(&["compare", "--agents=2"]);
    assert!(code == Some(1) && message.contains("--url"), "{message}");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let (_server, url, _) = setup();
    let listen = taken.local_addr().unwrap().to_string();
    let out = scratch("taken");
    let (code, message) =
        run(&["compare", "--url", &url, "--agents=1", "--agents-listen", &listen, "--out", out.to_str().unwrap()]);
    assert!(code == Some(1) && message.contains(&format!("cannot listen for agents on {listen}")), "{message}");
}
