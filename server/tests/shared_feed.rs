//! A feed that three servers share, in a stream of a real broker (NATS JetStream): nothing is lost, repeated or reordered when a server is killed
//! and the broker is restarted under load; what is missing is told; what cannot be continued ends.
//!
//! Needs nats-server: the one that `server/tests/clients/install` installs, or one in the path.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use protocol::{Event, payload};

/// How long a test waits before it fails.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Payload of the events of the servers' schedules, in bytes.
const PAYLOAD: usize = 24;

/// The broker's program; `None`, with a line on stderr, if it is not installed.
fn nats_server() -> Option<PathBuf> {
    let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/clients/python/bin/nats-server");
    for program in [installed, "nats-server".into()] {
        if Command::new(&program).arg("--version").stdout(Stdio::null()).status().is_ok() {
            return Some(program);
        }
    }
    assert!(std::env::var("CI").as_deref() != Ok("true"), "nats-server is missing: server/tests/clients/install");
    let _ = writeln!(std::io::stderr(), "skipped: nats-server is not available; see server/tests/clients/install");
    None
}

/// A program that is killed when it is dropped.
struct Process(Child);

impl Process {
    fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

struct Broker {
    program: PathBuf,
    port: u16,
    store: PathBuf,
    process: Process,
}

impl Broker {
    /// A broker with an empty store on a free port; `None` if there is no broker on this machine.
    fn start(name: &str) -> Option<Self> {
        Self::start_with(name, &[])
    }

    /// The same with options for a login.
    fn start_with(name: &str, login: &[&str]) -> Option<Self> {
        let program = nats_server()?;
        let store = Path::new(env!("CARGO_TARGET_TMPDIR")).join("broker").join(name);
        let _ = std::fs::remove_dir_all(&store);
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let process = Self::process(&program, port, &store, login);
        Some(Self { program, port, store, process })
    }

    fn process(program: &Path, port: u16, store: &Path, login: &[&str]) -> Process {
        let mut command = Command::new(program);
        command.args(["-js", "-a", "127.0.0.1", "-p", &port.to_string(), "-sd"]).arg(store).args(login);
        let process = Process(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        let deadline = Instant::now() + TIMEOUT;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "the broker does not start");
            sleep(Duration::from_millis(20));
        }
        process
    }

    fn restart(&mut self) {
        self.process.kill();
        sleep(Duration::from_millis(500));
        self.process = Self::process(&self.program, self.port, &self.store, &[]);
    }

    fn feed(&self) -> String {
        format!("nats://127.0.0.1:{}/test", self.port)
    }

    /// Changes the stream directly, as an administrator would.
    fn administer<T>(&self, change: impl AsyncFnOnce(async_nats::jetstream::Context) -> T) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let client = async_nats::connect(format!("127.0.0.1:{}", self.port)).await.unwrap();
            change(async_nats::jetstream::new(client)).await
        })
    }
}

struct Server {
    address: SocketAddr,
    process: Process,
}

impl Server {
    fn start(feed: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_server"));
        command.args(["--listen", "127.0.0.1:0", "--tcp-listen", "127.0.0.1:0", "--feed", feed]).args(arguments);
        let mut process = Process(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
        let mut line = String::new();
        BufReader::new(process.0.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("http://").unwrap_or_else(|| panic!("{line:?}")).parse().unwrap();
        Self { address, process }
    }

    /// Requests `target`; returns the status and the body.
    fn request(&self, method: &str, target: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        let length = body.len();
        let head = format!(
            "{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
        );
        stream.write_all((head + body).as_bytes()).unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_string())
    }

    fn publish(&self, data: &str) -> u64 {
        let (status, body) = self.request("POST", "/publish", data);
        assert_eq!(status, 202, "{body}");
        body.trim_start_matches("{\"seq\":").trim_end_matches(['}', '\n']).parse().unwrap()
    }

    fn load(&self) -> protocol::status::Load {
        serde_json::from_str(&self.request("GET", "/load", "").1).unwrap()
    }
}

/// An event as it was received.
struct Received {
    seq: u64,
    data: String,
}

/// A subscriber that resumes at the next server, from where it was, whenever its connection ends.
struct Subscriber {
    events: Arc<Mutex<Vec<Received>>>,
    stop: Arc<AtomicBool>,
    connections: Arc<AtomicU64>,
    thread: std::thread::JoinHandle<()>,
}

impl Subscriber {
    fn start(servers: Vec<SocketAddr>, epoch: u64) -> Self {
        let (events, stop) = (Arc::<Mutex<Vec<Received>>>::default(), Arc::<AtomicBool>::default());
        let connections = Arc::<AtomicU64>::default();
        let (received, stopped, connected) = (events.clone(), stop.clone(), connections.clone());
        let thread = spawn(move || {
            for address in servers.iter().cycle() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(mut stream) = TcpStream::connect(address) else { continue };
                connected.fetch_add(1, Ordering::Relaxed);
                stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
                let after = received.lock().unwrap().last().map_or(0, |event| event.seq);
                let request = format!("GET /stream?after={after}-{epoch} HTTP/1.1\r\nHost: localhost\r\n\r\n");
                if stream.write_all(request.as_bytes()).is_err() {
                    continue;
                }
                let mut lines = BufReader::new(stream);
                let mut line = String::new();
                loop {
                    match lines.read_line(&mut line) {
                        Ok(0) => break,
                        // The lines between are those of the headers and of the chunks.
                        Ok(_) => {
                            if line.starts_with('{') && line.ends_with('\n') {
                                let event = Event::decode(line.trim_end().as_bytes()).unwrap();
                                received.lock().unwrap().push(Received { seq: event.seq, data: event.data.into() });
                            }
                            line.clear();
                        }
                        // What was read of a line stays in it.
                        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                            if stopped.load(Ordering::Relaxed) {
                                return;
                            }
                        }
                        Err(_) => break,
                    }
                }
            }
        });
        Self { events, stop, connections, thread }
    }

    /// Waits for the event `last`; returns all events, and how often the subscriber has connected.
    fn finish(self, last: u64) -> (Vec<Received>, u64) {
        let deadline = Instant::now() + TIMEOUT;
        while self.events.lock().unwrap().last().is_none_or(|event| event.seq < last) {
            let newest = self.events.lock().unwrap().last().map(|event| event.seq);
            assert!(Instant::now() < deadline, "the newest event is {newest:?}, and the last one {last}");
            sleep(Duration::from_millis(20));
        }
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
        (Arc::into_inner(self.events).unwrap().into_inner().unwrap(), self.connections.load(Ordering::Relaxed))
    }
}

#[test]
fn nothing_is_lost_repeated_or_reordered_when_a_server_is_killed_and_the_broker_restarted() {
    let Some(mut broker) = Broker::start("survives") else { return };
    let size = PAYLOAD.to_string();
    let mut servers: Vec<Server> = ["1", "2", "3"]
        .map(|seed| Server::start(&broker.feed(), &["--rate", "100", "--seed", seed, "--payload", &size]))
        .into();
    let addresses: Vec<SocketAddr> = servers.iter().map(|server| server.address).collect();
    let epochs = servers.iter().map(|server| server.load().epoch.0).collect::<Vec<_>>();
    assert!(epochs.iter().all(|epoch| *epoch == epochs[0]), "all servers have the stream's epoch");
    let subscribers: Vec<Subscriber> = (0..9)
        .map(|index| {
            let mut servers = addresses.clone();
            servers.rotate_left(index % 3);
            Subscriber::start(servers, epochs[0])
        })
        .collect();
    let mut published = BTreeMap::new();
    let mut publish = |server: &Server, text: String| {
        let seq = server.publish(&text);
        assert_eq!(published.insert(seq, text), None, "a number was given twice");
    };
    for number in 0..60 {
        publish(&servers[number % 3], format!("client's event {number}"));
        sleep(Duration::from_millis(10));
    }
    servers[1].process.kill();
    for number in 60..90 {
        publish(&servers[2 * (number % 2)], format!("client's event {number}"));
        sleep(Duration::from_millis(10));
    }
    broker.restart();
    for number in 90..120 {
        publish(&servers[2 * (number % 2)], format!("client's event {number}"));
        sleep(Duration::from_millis(10));
    }
    for index in [0, 2] {
        assert_eq!(servers[index].request("POST", "/control", "{\"rate\":0}").0, 204);
    }
    // Events of the schedules may still be on their way to the broker, before this one at either server.
    let last = [0, 2].map(|index| servers[index].publish("the last one")).into_iter().max().unwrap();
    assert!(last > 200, "only {last} events were published");

    let received: Vec<_> = subscribers.into_iter().map(|subscriber| subscriber.finish(last)).collect();
    let reference = &received[0].0;
    for (events, _) in &received {
        let seqs: Vec<u64> = events.iter().map(|event| event.seq).collect();
        assert!(seqs.iter().copied().eq(1..=last), "an event is missing or repeated: {} of {last}", seqs.len());
        for (event, other) in events.iter().zip(reference) {
            assert_eq!((event.seq, &event.data), (other.seq, &other.data));
        }
    }
    let reconnections: u64 = received.iter().map(|(_, connections)| connections - 1).sum();
    assert!(reconnections >= 3, "three subscribers have lost their server");
    for (seq, text) in &published {
        assert_eq!(&reference[*seq as usize - 1].data, text);
    }
    // Each server's schedule is in the stream once, and in its order.
    let mut counts = [0u64; 3];
    for event in reference.iter().filter(|event| event.data.len() == PAYLOAD && !event.data.contains(' ')) {
        let server = (0..3).find(|&index| event.data == payload::random(index as u64 + 1, counts[index] + 1, PAYLOAD));
        counts
            [server.unwrap_or_else(|| panic!("{} is not the next event of a server, after {counts:?}", event.data))] +=
            1;
    }
    assert_eq!(counts.iter().sum::<u64>() + published.len() as u64 + 2, last);
    assert!(counts.iter().all(|&count| count > 0), "{counts:?}");
}

#[test]
fn a_server_that_starts_later_has_the_newest_events_and_tells_of_those_that_are_missing() {
    let Some(broker) = Broker::start("later") else { return };
    let first = Server::start(&broker.feed(), &["--rate", "0"]);
    (1..=10).for_each(|number| assert_eq!(first.publish(&format!("event {number}")), number));
    let polled = |server: &Server, after: u64| {
        let (status, body) = server.request("GET", &format!("/poll?after={after}"), "");
        (status, body.lines().filter_map(|line| Some(Event::decode(line.as_bytes()).ok()?.seq)).collect::<Vec<_>>())
    };
    let later = Server::start(&broker.feed(), &["--rate", "0", "--history", "4"]);
    assert_eq!(polled(&later, 6), (200, vec![7, 8, 9, 10]));
    assert_eq!(polled(&later, 5).0, 410, "the history has the four newest events");
    assert_eq!(polled(&first, 5), (200, (6..=10).collect()));

    broker.administer(async |stream| {
        let stream = stream.get_stream("test").await.unwrap();
        assert!(stream.delete_message(8).await.unwrap());
    });
    let last = Server::start(&broker.feed(), &["--rate", "0"]);
    assert_eq!(polled(&last, 8), (200, vec![9, 10]));
    for after in [0, 6, 7] {
        assert_eq!(polled(&last, after).0, 410, "event 8 is missing");
    }
    assert_eq!(last.load().events_missing, 1);
    assert_eq!(
        (first.load().events_missing, polled(&first, 7)),
        (0, (200, vec![8, 9, 10])),
        "it has received the event"
    );
}

#[test]
fn without_the_broker_publishing_is_an_error_and_what_was_published_can_still_be_read() {
    let Some(mut broker) = Broker::start("absent") else { return };
    // Events of a schedule wait for the broker, too, and must not let a client wait with them.
    let server = Server::start(&broker.feed(), &["--rate", "2"]);
    server.publish("before");
    broker.process.kill();
    sleep(Duration::from_secs(1));
    let (status, body) = server.request("POST", "/publish", "meanwhile");
    assert_eq!(
        (status, body.as_str()),
        (503, "the broker of the feed does not respond; whether the event was published is unknown\n")
    );
    assert!(server.request("GET", "/poll?after=0", "").1.contains("before"));
    broker.restart();
    // The event that was not confirmed may be in the stream: it has been given up, not withdrawn.
    let after = server.publish("afterwards") - 1;
    let polled = server.request("GET", &format!("/long-poll?after={after}&wait=20s"), "").1;
    assert!(polled.contains("afterwards"), "{polled}");
}

#[test]
fn the_user_and_the_password_of_the_address_are_used() {
    let Some(broker) = Broker::start_with("login", &["--user", "lab", "--pass", "p@ss"]) else { return };
    let server = Server::start(&format!("nats://lab:p%40ss@127.0.0.1:{}/test", broker.port), &["--rate", "0"]);
    assert_eq!(server.publish("with a login"), 1);
}

#[test]
fn a_server_starts_although_the_newest_event_was_deleted() {
    let Some(broker) = Broker::start("deleted") else { return };
    let first = Server::start(&broker.feed(), &["--rate", "0"]);
    (1..=3).for_each(|number| assert_eq!(first.publish("an event"), number));
    broker.administer(async |stream| {
        assert!(stream.get_stream("test").await.unwrap().delete_message(3).await.unwrap());
    });
    let later = Server::start(&broker.feed(), &["--rate", "0"]);
    assert_eq!(later.publish("the next one"), 4);
    let deadline = Instant::now() + TIMEOUT;
    while later.load().head < 4 {
        assert!(Instant::now() < deadline);
        sleep(Duration::from_millis(20));
    }
    assert_eq!((later.load().events_missing, first.load().events_missing), (1, 0));
}

#[test]
fn a_feed_that_cannot_be_used_or_continued_ends_the_server_with_one_line() {
    let server = |feed: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_server"))
            .args(["--listen", "127.0.0.1:0", "--tcp-listen", "127.0.0.1:0", "--feed", feed])
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, message) = server("http://localhost");
    assert!(code != Some(0) && message.contains("a feed is nats://HOST:PORT/STREAM"), "{message}");
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (code, message) = server(&format!("nats://{nobody}/x"));
    assert!(code != Some(0) && message.contains(&format!("cannot use the feed nats://{nobody}/x")), "{message}");

    let Some(broker) = Broker::start("replaced") else { return };
    let mut running = Server::start(&broker.feed(), &["--rate", "0"]);
    broker.administer(async |stream| {
        stream.delete_stream("test").await.unwrap();
        let subjects = vec!["test.events".into()];
        let config = async_nats::jetstream::stream::Config { name: "test".into(), subjects, ..Default::default() };
        stream.create_stream(config).await.unwrap();
        let other = async_nats::jetstream::stream::Config {
            name: "other".into(),
            subjects: vec!["a".into()],
            ..Default::default()
        };
        stream.create_stream(other).await.unwrap();
    });
    assert_ne!(running.process.0.wait().unwrap().code(), Some(0));
    let mut message = String::new();
    running.process.0.stderr.as_mut().unwrap().read_to_string(&mut message).unwrap();
    assert!(message.contains("the stream was deleted and made anew; start the server again"), "{message}");
    let (code, message) = server(&format!("nats://127.0.0.1:{}/other", broker.port));
    assert!(code != Some(0) && message.contains("give the feed another name"), "{message}");
}
