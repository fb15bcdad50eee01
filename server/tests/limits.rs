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

#[test]
fn a_server_out_of_files_waits_and_serves_on_when_there_are_some() {
    out_of_files(true);
}

#[test]
fn a_server_whose_output_nobody_reads_serves_on() {
    out_of_files(false);
}

fn out_of_files(complaints_are_read: bool) {
    let mut server = Command::new("sh")
        .args([
            "-c",
            "ulimit -n 48; exec \"$0\" --listen 127.0.0.1:0 --tcp-listen 127.0.0.1:0 --rate 0",
            env!("CARGO_BIN_EXE_server"),
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(server.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let http: SocketAddr = line.trim().strip_prefix("http://").unwrap().parse().unwrap();
    if !complaints_are_read {
        drop((server.stdout.take(), server.stderr.take()));
    }
    // More than it has files for; the kernel holds the rest.
    let held: Vec<TcpStream> = (0..64).map(|_| TcpStream::connect(http).unwrap()).collect();
    if complaints_are_read {
        let mut complaint = String::new();
        BufReader::new(server.stderr.as_mut().unwrap()).read_line(&mut complaint).unwrap();
        assert!(complaint.starts_with("cannot accept a connection"), "{complaint}");
    } else {
        // More than once the time between two attempts.
        std::thread::sleep(Duration::from_millis(300));
    }
    drop(held);
    let answer = ask(http, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    server.kill().unwrap();
    server.wait().unwrap();
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
