//! Limits: the number of connections, host names, ambiguous requests, clients that do not read, and memory. Well-behaved clients are served
//! all the time.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use protocol::envelope::websocket::{Opcode, encode_masked};
use protocol::status::Load;
use protocol::{clock, payload};
use server::{Options, Server};

/// How long a test waits for the server before it fails.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Starts a server on free ports that publishes nothing by itself.
fn start(options: Options) -> Server {
    let any_port: SocketAddr = "127.0.0.1:0".parse().unwrap();
    Server::start(&Options { listen: any_port, tcp_listen: any_port, rate: 0.0, ..options }).unwrap()
}

/// Sends `request` on a new connection, and reads until its end.
fn exchange(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response
}

/// Requests `/load` until `condition` is true for it; also repeats requests that the server refuses.
fn wait_until(server: &Server, mut condition: impl FnMut(&Load) -> bool) {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let request = "GET /load HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        let response = exchange(server.addresses().http, request);
        let body = response.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        if serde_json::from_str(body).is_ok_and(|load| condition(&load)) {
            return;
        }
        assert!(Instant::now() < deadline, "{response}");
    }
}

#[test]
fn connections_beyond_the_limit_are_refused_with_an_error_until_others_are_closed() {
    let server = start(Options { max_connections: 3, ..Options::default() });
    let (http, tcp) = (server.addresses().http, server.addresses().tcp);
    let stream = "GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut open: Vec<TcpStream> = (0..3)
        .map(|_| {
            let mut open = TcpStream::connect(http).unwrap();
            open.write_all(stream.as_bytes()).unwrap();
            open.read_exact(&mut [0; 12]).unwrap();
            open
        })
        .collect();
    let refused = exchange(http, stream);
    assert!(refused.starts_with("HTTP/1.1 503 ") && refused.contains("\r\nRetry-After: 1\r\n"), "{refused}");
    assert!(refused.ends_with("\r\n\r\ntoo many connections\n"), "{refused}");
    assert_eq!(exchange(tcp, "SUB\n"), "ERR too many connections; try again in 1 s\n");
    open.pop();
    wait_until(&server, |load| load.connections_refused >= 2);
}

#[test]
fn a_request_for_another_host_is_421_and_host_names_of_the_options_are_accepted() {
    let server = start(Options { hosts: vec!["lab.example".into()], ..Options::default() });
    let http = server.addresses().http;
    let get = |target: &str, host: &str| {
        let response = exchange(http, &format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"));
        response.split(' ').nth(1).unwrap().to_string()
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
fn a_client_that_has_ended_its_side_still_gets_its_response() {
    let server = start(Options::default());
    for path in ["/healthz", "/poll", "/long-poll?wait=60s"] {
        let mut stream = TcpStream::connect(server.addresses().http).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        assert!(response.starts_with("HTTP/1.1 20"), "{path}: {response}");
    }
}

#[test]
fn after_a_request_with_an_ambiguous_end_nothing_more_is_parsed() {
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
        let response = exchange(server.addresses().http, &request);
        assert_eq!(response.matches("HTTP/1.1 ").count(), 1, "{headers}: {response}");
        assert!(!response.contains("cpu_ns"), "{headers}: the following bytes were parsed as a request: {response}");
    }
    for chunks in ["5\r\nhelloX", "-1\r\n", "5;\r\nhello\r\n0\r\n\r\n\0", "FFFFFFFFFFFFFFFFF\r\n", "g\r\n"] {
        let headers =
            "POST /publish HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
        let response = exchange(server.addresses().http, &format!("{headers}{chunks}\r\n{smuggled}"));
        assert!(response.matches("HTTP/1.1 ").count() <= 1 && !response.contains("cpu_ns"), "{chunks}: {response}");
    }
    for target in ["CONNECT localhost:80", "CONNECT /", "OPTIONS *", "GET *", "GET //load", "GET http:///load"] {
        let response = exchange(
            server.addresses().http,
            &format!("{target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"),
        );
        assert!(response.starts_with("HTTP/1.1 4"), "{target}: {response}");
    }
}

#[test]
fn subscribers_that_do_not_read_are_disconnected_and_another_receives_everything() {
    let server = start(Options { stall_timeout: Duration::from_millis(300), history: 20_000, ..Options::default() });
    let (http, tcp) = (server.addresses().http, server.addresses().tcp);
    let handshake = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let subscribe = |address: SocketAddr, request: String| {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        stream
    };
    let get = |path: &str, more: &str| subscribe(http, format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{more}\r\n"));
    let _not_reading = [
        get("/stream?after=0", ""),
        get("/sse?after=0", ""),
        get("/ws?after=0", handshake),
        subscribe(tcp, "SUB 0\n".into()),
    ];
    let reading = subscribe(tcp, "SUB 0\n".into());
    let data = payload::random(1, 1, 8_000);
    const EVENTS: usize = 3_000;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let lines = BufReader::new(&reading).lines();
            let seqs = lines.take(EVENTS).map(|line| protocol::Event::decode(line.unwrap().as_bytes()).unwrap().seq);
            assert!(seqs.eq(1..=EVENTS as u64));
        });
        for _ in 0..EVENTS {
            server.feed().publish(clock::now_ns(), &data);
        }
    });
    wait_until(&server, |load| load.connections_stalled == 4);
}

/// A server in another process, which is killed when this is dropped.
struct Process {
    child: std::process::Child,
    http: SocketAddr,
}

impl Process {
    /// Starts a server with this limit on open files.
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

    /// The number of files that it has open.
    fn open_files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count()
    }

    /// The number of its threads.
    fn threads(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap().count()
    }

    /// The maximum of its resident memory so far, in bytes.
    fn max_resident_bytes(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let max = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")).unwrap();
        max.parse::<usize>().unwrap() * 1024
    }

    /// Kills it, and returns its output on stderr.
    fn stderr(mut self) -> String {
        self.child.kill().unwrap();
        let mut text = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        text
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends `request` on a new connection. Returns the connection and the status of the response; 0 if it was closed without a response.
fn status(http: SocketAddr, request: &str) -> (TcpStream, u16) {
    let mut stream = TcpStream::connect(http).unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    let mut start = [0; 12];
    // An error means that the connection was closed.
    let received = stream.write_all(request.as_bytes()).and_then(|()| stream.read_exact(&mut start));
    let status = received.map_or(0, |()| std::str::from_utf8(&start[9..]).unwrap().parse().unwrap());
    (stream, status)
}

#[test]
fn a_server_at_its_limit_on_open_files_refuses_with_503_until_connections_are_closed() {
    let server = Process::with_files(48);
    let get = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut open = Vec::new();
    let refused = loop {
        match status(server.http, get) {
            (stream, 200) => open.push(stream),
            (_, status) => break status,
        }
        assert!(open.len() < 48);
    };
    assert_eq!(refused, 503);
    assert!(open.len() >= 16, "{}", open.len());
    // It can still read its own figures, for which it opens files.
    let mut load = open[0].try_clone().unwrap();
    load.write_all(b"GET /load HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut response = String::new();
    load.read_to_string(&mut response).unwrap();
    let load: Load = serde_json::from_str(response.rsplit_once("\r\n\r\n").unwrap().1).unwrap();
    assert!(load.resident_bytes > 0 && load.context_switches > Some(0));
    assert_eq!(load.connections_open, open.len() as u64);
    // Far more connections than it may open files, which send nothing and are not closed by the client.
    let flood: Vec<TcpStream> = (0..100).map(|_| TcpStream::connect(server.http).unwrap()).collect();
    drop((flood, open));
    let deadline = Instant::now() + TIMEOUT;
    while status(server.http, get).1 != 200 {
        assert!(Instant::now() < deadline);
    }
    assert_eq!(server.stderr(), "");
}

#[test]
fn a_trace_session_opens_no_additional_files_and_can_cut_its_connections() {
    let server = Process::with_files(1_000);
    let handshake = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let get =
        |path: &str, more: &str| status(server.http, &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{more}\r\n"));
    let before = server.open_files();
    let (_trace, upgraded) = get("/watch?session=page", handshake);
    let lanes: Vec<_> = (0..10).map(|lane| get(&format!("/stream?lane=page.{lane}"), "")).collect();
    let (others, _): (Vec<_>, Vec<_>) = (0..10).map(|_| get("/poll", "")).unzip();
    assert!(upgraded == 101 && lanes.iter().all(|lane| lane.1 == 200));
    assert_eq!(server.open_files() - before, 1 + lanes.len() + others.len());
    let cut = r#"{"cut":"page"}"#;
    let post = format!("POST /control HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{cut}", cut.len());
    let (_control, controlled) = status(server.http, &post);
    assert_eq!(controlled, 204);
    for (mut lane, _) in lanes {
        lane.read_to_end(&mut Vec::new()).unwrap();
    }
}

#[test]
fn the_slides_are_rendered_once_for_many_simultaneous_requests_and_in_little_memory() {
    let server = Process::with_files(1_000);
    let (threads, memory) = (server.threads(), server.max_resident_bytes());
    let get = b"GET /slides/en.html HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let requests: Vec<TcpStream> = (0..50)
        .map(|_| {
            let mut stream = TcpStream::connect(server.http).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
            stream.write_all(get).unwrap();
            stream
        })
        .collect();
    let mut pages = requests.into_iter().map(|mut stream| {
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
        response.split_once("\r\n\r\n").unwrap().1.to_string()
    });
    let page = pages.next().unwrap();
    assert!(pages.all(|other| other == page));
    // Only the rendering thread was started, and it may not have ended yet.
    assert!(server.threads() <= threads + 1);
    // Histograms stay packed; as counts, those of one experiment would take more.
    assert!(server.max_resident_bytes() - memory < 96 << 20, "{} bytes", server.max_resident_bytes() - memory);
}

#[test]
fn a_server_whose_output_pipes_are_closed_continues_to_serve() {
    let mut server = Process::with_files(48);
    drop((server.child.stdout.take(), server.child.stderr.take()));
    // More connections than it may open files, so that it prints an error.
    let open: Vec<TcpStream> = (0..64).map(|_| TcpStream::connect(server.http).unwrap()).collect();
    std::thread::sleep(Duration::from_millis(300));
    drop(open);
    let deadline = Instant::now() + TIMEOUT;
    while status(server.http, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").1 != 200 {
        assert!(Instant::now() < deadline);
    }
}

#[test]
fn a_client_that_sends_requests_and_reads_no_responses_is_disconnected() {
    let server = start(Options { stall_timeout: Duration::from_millis(300), ..Options::default() });
    let http = server.addresses().http;
    let handshake = format!(
        "GET /ws HTTP/1.1\r\nHost: {http}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    let ping = encode_masked(Opcode::Ping, &[b'?'; 100], [1, 2, 3, 4]).repeat(100);
    let get = format!("GET /page/main.js HTTP/1.1\r\nHost: {http}\r\n\r\n").repeat(100).into_bytes();
    for (first, repeated) in [(handshake, ping), (String::new(), get)] {
        let mut stream = TcpStream::connect(http).unwrap();
        stream.set_write_timeout(Some(TIMEOUT)).unwrap();
        stream.write_all(first.as_bytes()).unwrap();
        // The buffers of both directions fill up, and then the server closes the connection.
        let error = (0..1_000_000).find_map(|_| stream.write_all(&repeated).err()).expect("the connection is open");
        assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "the server does not close the connection");
    }
}

/// Opens a WebSocket to `/echo`.
fn echo(server: &Server) -> TcpStream {
    let mut stream = TcpStream::connect(server.addresses().http).unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    stream
        .write_all(
            b"GET /echo HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
            Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        )
        .unwrap();
    let mut headers = Vec::new();
    while !headers.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        headers.extend(byte);
    }
    assert!(headers.starts_with(b"HTTP/1.1 101 "));
    stream
}

/// Reads a close frame, and returns its code and its reason.
fn close_frame(stream: &mut TcpStream) -> (u16, String) {
    let mut header = [0; 2];
    stream.read_exact(&mut header).unwrap();
    assert_eq!(header[0], 0x88, "this is not a close frame");
    let mut payload = vec![0; header[1].into()];
    stream.read_exact(&mut payload).unwrap();
    (u16::from_be_bytes([payload[0], payload[1]]), String::from_utf8(payload.split_off(2)).unwrap())
}

#[test]
fn echoes_hold_up_to_64_mib_together_and_a_message_beyond_that_closes_its_connection_with_1013() {
    let server = start(Options::default());
    let message = encode_masked(Opcode::Binary, &[7; 1 << 20], [1, 2, 3, 4]);
    // Of 64 messages, all bytes but the last are sent, so none of them can be echoed yet.
    let (incomplete, last) = message.split_at(message.len() - 1);
    let mut open: Vec<TcpStream> = (0..64)
        .map(|_| {
            let mut stream = echo(&server);
            stream.write_all(incomplete).unwrap();
            stream
        })
        .collect();
    // Until the server has read all of them, there is room for one more byte.
    let first_byte = |message: &[u8]| {
        let mut stream = echo(&server);
        stream.write_all(message).unwrap();
        let mut first = [0];
        stream.read_exact(&mut first).unwrap();
        first[0]
    };
    while first_byte(&encode_masked(Opcode::Binary, b"?", [0; 4])) != 0x88 {}
    // The header alone announces the length of the message.
    let mut stream = echo(&server);
    stream.write_all(&message[..14]).unwrap();
    assert_eq!(close_frame(&mut stream).0, 1013);
    wait_until(&server, |load| load.echoes_refused == 2);
    // The earlier connections are still served.
    for stream in &mut open {
        stream.write_all(last).unwrap();
        let mut echoed = vec![0; 10 + (1 << 20)];
        stream.read_exact(&mut echoed).unwrap();
        assert!(echoed[10..].iter().all(|&byte| byte == 7));
    }
    // Closing a connection makes room for another.
    open.pop();
    while first_byte(&message) != 0x82 {}
}

#[test]
fn websockets_beyond_the_memory_for_compressors_are_not_compressed_until_others_end() {
    let server = start(Options { compression_bytes: 320 << 10, ..Options::default() });
    let open = |target: &str| {
        let mut stream = TcpStream::connect(server.addresses().http).unwrap();
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\
             Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        (stream, head.to_lowercase().contains("permessage-deflate"))
    };
    let (first, is_compressed) = open("/echo");
    assert!(is_compressed);
    for (target, expected) in [("/echo", false), ("/ws?compression=takeover", false), ("/ws", true)] {
        assert_eq!(open(target).1, expected, "{target}");
    }
    wait_until(&server, |load| load.compressions_refused == 2);
    drop(first);
    wait_until(&server, |_| open("/echo").1);
}

#[test]
fn an_echo_connection_without_a_message_is_closed_with_1001_even_if_pings_are_sent() {
    let server = start(Options { idle_timeout: Duration::from_millis(300), ..Options::default() });
    let mut idle = echo(&server);
    let (code, reason) = close_frame(&mut idle);
    assert_eq!((code, reason.as_str()), (1001, "no message was received for 300ms"));
    let mut incomplete = echo(&server);
    incomplete.write_all(&encode_masked(Opcode::Text, b"hello", [0; 4])[..8]).unwrap();
    assert_eq!(close_frame(&mut incomplete).0, 1001);
    let pinging = echo(&server);
    let mut sender = pinging.try_clone().unwrap();
    let ping = encode_masked(Opcode::Ping, b"", [0; 4]);
    std::thread::scope(|scope| {
        // Sends pings until the server closes the connection.
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
fn a_client_that_does_not_read_its_echoes_is_disconnected() {
    let server = start(Options { stall_timeout: Duration::from_millis(300), ..Options::default() });
    let mut stream = echo(&server);
    stream.set_write_timeout(Some(TIMEOUT)).unwrap();
    let message = encode_masked(Opcode::Binary, &[7; 1 << 20], [0; 4]);
    let error = (0..1_000).find_map(|_| stream.write_all(&message).err()).expect("the connection is open");
    assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "the server does not close the connection");
    wait_until(&server, |load| load.connections_stalled == 1);
}

/// Bytes in the kernel's buffers of the server's end of a connection: those in the send queue, and those in the receive queue.
fn queued(server: SocketAddr, peer: SocketAddr) -> (usize, usize) {
    let connections = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let ends = [server, peer].map(|end| format!("0100007F:{:04X}", end.port()));
    let of = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (sent, received) = fields[4].split_once(':').unwrap();
        let bytes = |hex| usize::from_str_radix(hex, 16).unwrap();
        (fields[1..3] == ends).then(|| (bytes(sent), bytes(received)))
    };
    connections.lines().skip(1).find_map(of).expect("there is no such connection")
}

#[test]
fn the_kernel_s_buffers_stay_small_for_a_client_that_reads_no_responses() {
    let server = start(Options::default());
    let http = server.addresses().http;
    (0..100).for_each(|_| _ = server.feed().publish(0, &"x".repeat(60_000)));
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").repeat(100).into_bytes();
    for requests in [get("/poll?after=0"), get("/page/main.js")] {
        let mut stream = TcpStream::connect(http).unwrap();
        // Reading responses would let the kernel's buffers grow if their sizes were not set.
        stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
        for _ in 0..20 {
            stream.write_all(&requests[..requests.len() / 100]).unwrap();
            stream.read_exact(&mut [0; 10_000]).unwrap();
        }
        // Until the buffers of both directions are full, and nothing more is accepted for half a second.
        while stream.write_all(&requests).is_ok() {}
        let (sent, received) = queued(http, stream.local_addr().unwrap());
        // Twice the sizes that are set, and some more, since the last segment may exceed them.
        assert!((1..=1 << 20).contains(&sent), "{sent} bytes of responses");
        assert!((1..=512 << 10).contains(&received), "{received} bytes of requests");
    }
}
