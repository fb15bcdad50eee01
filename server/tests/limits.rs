//! Bounds, and what happens at them: connections, hosts, slow bodies and readers; who is honest is served beside.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use protocol::framing::websocket::{Opcode, frame_masked};
use protocol::status::Load;
use protocol::{clock, schedule};
use server::{Options, Server};

fn start(options: Options) -> Server {
    let free: SocketAddr = "127.0.0.1:0".parse().unwrap();
    Server::start(&Options { listen: free, tcp_listen: free, rate: 0.0, ..options }).unwrap()
}

/// Sends `request` to a port, and gives all that comes until the end.
fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Asks for `/load` until it is as wanted; a server that has no room is asked again.
fn wait_until(server: &Server, mut wanted: impl FnMut(&Load) -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let answer = ask(server.addresses().http, "GET /load HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        if serde_json::from_str(body).is_ok_and(|load| wanted(&load)) {
            return;
        }
        assert!(Instant::now() < deadline, "{answer}");
    }
}

#[test]
fn a_connection_too_many_is_refused_in_words_and_one_that_leaves_makes_room() {
    let server = start(Options { max_connections: 3, ..Options::default() });
    let (http, tcp) = (server.addresses().http, server.addresses().tcp);
    let stream = "GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut held: Vec<TcpStream> = (0..3)
        .map(|_| {
            let mut held = TcpStream::connect(http).unwrap();
            held.write_all(stream.as_bytes()).unwrap();
            held.read_exact(&mut [0; 12]).unwrap();
            held
        })
        .collect();
    let refused = ask(http, stream);
    assert!(refused.starts_with("HTTP/1.1 503 ") && refused.contains("\r\nRetry-After: 1\r\n"), "{refused}");
    assert!(refused.ends_with("\r\n\r\ntoo many connections\n"), "{refused}");
    assert_eq!(ask(tcp, "SUB\n"), "ERR too many connections; try again in 1 s\n");
    held.pop();
    wait_until(&server, |load| load.connections_refused >= 2);
}

#[test]
fn a_request_for_another_host_is_421_and_a_name_that_was_given_is_served() {
    let server = start(Options { hosts: vec!["lab.example".into()], ..Options::default() });
    let http = server.addresses().http;
    let get = |target: &str, host: &str| {
        let answer = ask(http, &format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"));
        answer.split(' ').nth(1).unwrap().to_string()
    };
    assert_eq!([get("/healthz", "lab.example:80"), get("/healthz", "localhost")], ["200", "200"]);
    for path in
        ["/", "/poll", "/stream", "/sse", "/ws", "/publish", "/watch", "/page/main.js", "/slides/en.html", "/load"]
    {
        assert_eq!(get(path, "evil.example"), "421", "{path}");
    }
    assert_eq!(get("http://evil.example/healthz", "localhost"), "421");
    assert_eq!(get("http://localhost/healthz", "localhost"), "200");
    assert_eq!(get("http://localhost:abc/healthz", "localhost"), "400");
    for malformed in ["a b", "127.0.0.1:abc", "127.0.0.1:", "localhost:65536"] {
        for path in ["/healthz", "/poll"] {
            assert_eq!(get(path, malformed), "400", "{path} {malformed}");
        }
    }
}

#[test]
fn who_has_ended_its_side_still_gets_its_answer() {
    let server = start(Options::default());
    for path in ["/healthz", "/poll", "/long-poll?wait=60s"] {
        let mut stream = TcpStream::connect(server.addresses().http).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 20"), "{path}: {answer}");
    }
}

#[test]
fn what_could_be_read_in_two_ways_is_not_read_on() {
    let server = start(Options::default());
    let smuggled = "GET /load HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for headers in [
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Content-Length: 5\r\nContent-Length: 6",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: identity",
        "Content-Length: +5",
        "Content-Length : 5",
    ] {
        let request = format!("POST /publish HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n\r\n0\r\n\r\n{smuggled}");
        let answer = ask(server.addresses().http, &request);
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{headers}: {answer}");
        assert!(!answer.contains("cpu_ns"), "{headers}: what followed was taken for a request: {answer}");
    }
    for chunks in ["5\r\nhelloX", "-1\r\n", "5;\r\nhello\r\n0\r\n\r\n\0", "FFFFFFFFFFFFFFFFF\r\n", "g\r\n"] {
        let head =
            "POST /publish HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
        let answer = ask(server.addresses().http, &format!("{head}{chunks}\r\n{smuggled}"));
        assert!(answer.matches("HTTP/1.1 ").count() <= 1 && !answer.contains("cpu_ns"), "{chunks}: {answer}");
    }
    for target in ["CONNECT localhost:80", "CONNECT /", "OPTIONS *", "GET *", "GET //load", "GET http:///load"] {
        let answer =
            ask(server.addresses().http, &format!("{target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"));
        assert!(answer.starts_with("HTTP/1.1 4"), "{target}: {answer}");
    }
}

#[test]
fn a_subscriber_that_takes_nothing_is_given_up_and_an_honest_one_loses_nothing() {
    let server = start(Options { stall_timeout: Duration::from_millis(300), history: 20_000, ..Options::default() });
    let (http, tcp) = (server.addresses().http, server.addresses().tcp);
    let handshake = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let subscribe = |address: SocketAddr, request: String| {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        stream
    };
    let get = |path: &str, more: &str| subscribe(http, format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{more}\r\n"));
    let _silent = [
        get("/stream?after=0", ""),
        get("/sse?after=0", ""),
        get("/ws?after=0", handshake),
        subscribe(tcp, "SUB 0\n".into()),
    ];
    let honest = subscribe(tcp, "SUB 0\n".into());
    let data = schedule::payload(1, 1, 8_000);
    const EVENTS: usize = 3_000;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let lines = BufReader::new(&honest).lines();
            let seqs = lines.take(EVENTS).map(|line| protocol::Event::decode(line.unwrap().as_bytes()).unwrap().seq);
            assert!(seqs.eq(1..=EVENTS as u64));
        });
        for _ in 0..EVENTS {
            server.feed().publish(clock::now_ns(), &data);
        }
    });
    wait_until(&server, |load| load.connections_stalled == 4);
}

/// A server in a process of its own, ended when this is dropped.
struct Process {
    child: std::process::Child,
    http: SocketAddr,
}

impl Process {
    /// Starts one that may open so many files.
    fn with_files(files: u32) -> Self {
        let start = format!("ulimit -n {files}; exec \"$0\" --listen 127.0.0.1:0 --tcp-listen 127.0.0.1:0 --rate 0");
        let mut child = Command::new("sh")
            .args(["-c", &start, env!("CARGO_BIN_EXE_server")])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let http = line.trim().strip_prefix("http://").unwrap().parse().unwrap();
        Self { child, http }
    }

    /// How many files it has open.
    fn open_files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count()
    }

    /// How many threads it has.
    fn threads(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap().count()
    }

    /// The most memory that it ever had resident, in bytes.
    fn most_memory(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")).unwrap();
        most.parse::<usize>().unwrap() * 1024
    }

    /// Ends it, and gives what it said on stderr.
    fn complaints(mut self) -> String {
        self.child.kill().unwrap();
        let mut complaints = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut complaints).unwrap();
        complaints
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A connection on which `request` was sent, and the status that it was answered with; 0 where it was closed without a word.
fn status(http: SocketAddr, request: &str) -> (TcpStream, u16) {
    let mut stream = TcpStream::connect(http).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut start = [0; 12];
    // An error is a connection that was closed.
    let answered = stream.write_all(request.as_bytes()).and_then(|()| stream.read_exact(&mut start));
    let status = answered.map_or(0, |()| std::str::from_utf8(&start[9..]).unwrap().parse().unwrap());
    (stream, status)
}

#[test]
fn a_server_out_of_files_refuses_with_503_and_serves_on_when_there_are_some() {
    let server = Process::with_files(48);
    let get = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut held = Vec::new();
    let refused = loop {
        match status(server.http, get) {
            (stream, 200) => held.push(stream),
            (_, status) => break status,
        }
        assert!(held.len() < 48);
    };
    assert_eq!(refused, 503);
    assert!(held.len() >= 16, "{}", held.len());
    // It reads its own figures all the same, which takes files.
    let mut load = held[0].try_clone().unwrap();
    load.write_all(b"GET /load HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    load.read_to_string(&mut answer).unwrap();
    let load: Load = serde_json::from_str(answer.rsplit_once("\r\n\r\n").unwrap().1).unwrap();
    assert!(load.resident_bytes > 0 && load.context_switches > 0);
    assert_eq!(load.connections_open, held.len() as u64);
    // Far more than it has files for, none of which says a word or ends.
    let flood: Vec<TcpStream> = (0..100).map(|_| TcpStream::connect(server.http).unwrap()).collect();
    drop((flood, held));
    let deadline = Instant::now() + Duration::from_secs(20);
    while status(server.http, get).1 != 200 {
        assert!(Instant::now() < deadline);
    }
    assert_eq!(server.complaints(), "");
}

#[test]
fn a_page_that_watches_takes_no_further_file_of_any_connection_and_can_cut_its_own() {
    let server = Process::with_files(1_000);
    let handshake = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let get =
        |path: &str, more: &str| status(server.http, &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{more}\r\n"));
    let before = server.open_files();
    let (_watching, switched) = get("/watch?session=page", handshake);
    let lanes: Vec<_> = (0..10).map(|lane| get(&format!("/stream?lane=page.{lane}"), "")).collect();
    let (others, _): (Vec<_>, Vec<_>) = (0..10).map(|_| get("/poll", "")).unzip();
    assert!(switched == 101 && lanes.iter().all(|lane| lane.1 == 200));
    assert_eq!(server.open_files() - before, 1 + lanes.len() + others.len());
    let cut = r#"{"cut":"page"}"#;
    let post = format!("POST /control HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{cut}", cut.len());
    let (_control, done) = status(server.http, &post);
    assert_eq!(done, 204);
    for (mut lane, _) in lanes {
        lane.read_to_end(&mut Vec::new()).unwrap();
    }
}

#[test]
fn the_slides_are_rendered_once_in_little_memory_however_many_ask_first() {
    let server = Process::with_files(1_000);
    let (threads, memory) = (server.threads(), server.most_memory());
    let get = b"GET /slides/en.html HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let asked: Vec<TcpStream> = (0..50)
        .map(|_| {
            let mut stream = TcpStream::connect(server.http).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
            stream.write_all(get).unwrap();
            stream
        })
        .collect();
    let mut pages = asked.into_iter().map(|mut stream| {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        answer.split_once("\r\n\r\n").unwrap().1.to_string()
    });
    let page = pages.next().unwrap();
    assert!(pages.all(|other| other == page));
    // One rendered, and may be about to end; nobody else had a thread to wait on.
    assert!(server.threads() <= threads + 1);
    // Three times what it takes, and a quarter of what the whole of the recorded run would.
    assert!(server.most_memory() - memory < 128 << 20, "{} bytes", server.most_memory() - memory);
}

#[test]
fn a_server_whose_output_nobody_reads_serves_on() {
    let mut server = Process::with_files(48);
    drop((server.child.stdout.take(), server.child.stderr.take()));
    // More than it has files for, so that it has something to complain of.
    let held: Vec<TcpStream> = (0..64).map(|_| TcpStream::connect(server.http).unwrap()).collect();
    std::thread::sleep(Duration::from_millis(300));
    drop(held);
    let deadline = Instant::now() + Duration::from_secs(20);
    while status(server.http, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").1 != 200 {
        assert!(Instant::now() < deadline);
    }
}

#[test]
fn who_asks_and_asks_and_never_reads_is_let_go() {
    let server = start(Options { stall_timeout: Duration::from_millis(300), ..Options::default() });
    let http = server.addresses().http;
    let handshake = format!(
        "GET /ws HTTP/1.1\r\nHost: {http}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    let ping = frame_masked(Opcode::Ping, &[b'?'; 100], [1, 2, 3, 4]).repeat(100);
    let poll = format!("GET /page/main.js HTTP/1.1\r\nHost: {http}\r\n\r\n").repeat(100).into_bytes();
    for (first, again) in [(handshake, ping), (String::new(), poll)] {
        let mut stream = TcpStream::connect(http).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(first.as_bytes()).unwrap();
        // Both ways fill up, and then the server ends it.
        let error = (0..1_000_000).find_map(|_| stream.write_all(&again).err()).expect("an end");
        assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "the server lets itself be held up");
    }
}

/// A WebSocket to `/echo` on which the handshake is done.
fn echo(server: &Server) -> TcpStream {
    let mut stream = TcpStream::connect(server.addresses().http).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
        .write_all(
            b"GET /echo HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
            Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        )
        .unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "));
    stream
}

/// Reads a close frame: its code, and its reason.
fn close_frame(stream: &mut TcpStream) -> (u16, String) {
    let mut header = [0; 2];
    stream.read_exact(&mut header).unwrap();
    assert_eq!(header[0], 0x88, "a close frame");
    let mut payload = vec![0; header[1].into()];
    stream.read_exact(&mut payload).unwrap();
    (u16::from_be_bytes([payload[0], payload[1]]), String::from_utf8(payload.split_off(2)).unwrap())
}

#[test]
fn echoes_hold_32_mib_together_and_what_is_announced_beyond_that_closes_with_1013() {
    let server = start(Options::default());
    let message = frame_masked(Opcode::Binary, &[7; 1 << 20], [1, 2, 3, 4]);
    // All but the last byte has come of 32 messages; nothing of them can be echoed yet.
    let (most, last) = message.split_at(message.len() - 1);
    let mut held: Vec<TcpStream> = (0..32)
        .map(|_| {
            let mut stream = echo(&server);
            stream.write_all(most).unwrap();
            stream
        })
        .collect();
    // Until the server has read them all, there is room for one byte more.
    let answered = |message: &[u8]| {
        let mut stream = echo(&server);
        stream.write_all(message).unwrap();
        let mut first = [0];
        stream.read_exact(&mut first).unwrap();
        first[0]
    };
    while answered(&frame_masked(Opcode::Binary, b"?", [0; 4])) != 0x88 {}
    // The header alone says how much it will be.
    let mut stream = echo(&server);
    stream.write_all(&message[..14]).unwrap();
    assert_eq!(close_frame(&mut stream).0, 1013);
    wait_until(&server, |load| load.echoes_refused == 2);
    // Connections from before are served.
    for stream in &mut held {
        stream.write_all(last).unwrap();
        let mut echoed = vec![0; 10 + (1 << 20)];
        stream.read_exact(&mut echoed).unwrap();
        assert!(echoed[10..].iter().all(|&byte| byte == 7));
    }
    // One that leaves makes room for another.
    held.pop();
    while answered(&message) != 0x82 {}
}

#[test]
fn an_echo_without_a_message_for_too_long_closes_with_1001_and_pings_do_not_put_that_off() {
    let server = start(Options { idle_timeout: Duration::from_millis(300), ..Options::default() });
    let mut silent = echo(&server);
    let (code, reason) = close_frame(&mut silent);
    assert_eq!((code, reason.as_str()), (1001, "no message came for 300ms"));
    let mut half = echo(&server);
    half.write_all(&frame_masked(Opcode::Text, b"hello", [0; 4])[..8]).unwrap();
    assert_eq!(close_frame(&mut half).0, 1001);
    let pinging = echo(&server);
    let mut sender = pinging.try_clone().unwrap();
    let ping = frame_masked(Opcode::Ping, b"", [0; 4]);
    std::thread::scope(|scope| {
        // Until the server has ended it.
        scope.spawn(move || {
            while sender.write_all(&ping).is_ok() {
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        let mut frames = BufReader::new(&pinging);
        let mut header = [0; 2];
        while header[0] != 0x88 {
            frames.read_exact(&mut header).unwrap();
            assert!(header[0] == 0x88 || header == [0x8a, 0], "{header:?}");
        }
        let _ = pinging.shutdown(Shutdown::Both);
    });
}

#[test]
fn who_does_not_read_its_echoes_is_given_up() {
    let server = start(Options { stall_timeout: Duration::from_millis(300), ..Options::default() });
    let mut stream = echo(&server);
    stream.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
    let message = frame_masked(Opcode::Binary, &[7; 1 << 20], [0; 4]);
    let error = (0..1_000).find_map(|_| stream.write_all(&message).err()).expect("an end");
    assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "the server lets itself be held up");
    wait_until(&server, |load| load.connections_stalled == 1);
}

/// What the kernel holds of the server's end of a connection, in bytes: sent but not read by the peer, and received but not read.
fn queued(server: SocketAddr, peer: SocketAddr) -> (usize, usize) {
    let connections = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let ends = [server, peer].map(|end| format!("0100007F:{:04X}", end.port()));
    let of = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (sent, received) = fields[4].split_once(':').unwrap();
        let bytes = |hex| usize::from_str_radix(hex, 16).unwrap();
        (fields[1..3] == ends).then(|| (bytes(sent), bytes(received)))
    };
    connections.lines().skip(1).find_map(of).expect("the connection is there")
}

#[test]
fn the_kernel_holds_little_for_who_asks_and_never_reads() {
    let server = start(Options::default());
    let http = server.addresses().http;
    (0..100).for_each(|_| _ = server.feed().publish(0, &"x".repeat(60_000)));
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").repeat(100).into_bytes();
    for again in [get("/poll?after=0"), get("/page/main.js")] {
        let mut stream = TcpStream::connect(http).unwrap();
        // Answers that are read let the kernel's buffers grow, where they may.
        stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
        for _ in 0..20 {
            stream.write_all(&again[..again.len() / 100]).unwrap();
            stream.read_exact(&mut [0; 10_000]).unwrap();
        }
        // Until both ways are full: nothing more is taken for half a second.
        while stream.write_all(&again).is_ok() {}
        let (sent, received) = queued(http, stream.local_addr().unwrap());
        // Twice what is set, and the segment that goes beyond it.
        assert!((1..=1 << 20).contains(&sent), "{sent} bytes of answers");
        assert!((1..=512 << 10).contains(&received), "{received} bytes of requests");
    }
}
