//! Subscribers whose sockets are full most of the time: every byte they get, they get once and in its place.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use protocol::framing::websocket::{Opcode, frame, frame_masked};
use protocol::{Cursor, clock, schedule};
use server::feed::{Framing, Next};
use server::{Options, Server};

use crate::support::secured::Certificate;

/// Events that are published before anyone reads: more than the sockets hold.
const BEFORE: u64 = 6_000;
/// Events that are published while they are read.
const DURING: u64 = 4_000;

/// Payloads of all sizes, so that writes end anywhere.
fn publish(server: &Server, events: u64) {
    for number in 0..events {
        let size = (number * 7_919 % 3_001) as usize;
        server.feed().publish(clock::now_ns(), &schedule::payload(1, number, size));
    }
}

/// A connection that takes little at a time.
fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    rustix::net::sockopt::set_socket_recv_buffer_size(&stream, 32 << 10).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
}

/// Reads a response's head, byte by byte.
fn skip_head(stream: &mut impl Read) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
}

/// Reads in small pieces and compares with the events' bytes.
fn follow(server: &Server, stream: &mut impl Read, framing: Framing) {
    let mut cursor = Cursor(0);
    while cursor.0 < BEFORE + DURING {
        let Next::Event(event) = server.feed().next(cursor) else {
            std::thread::yield_now();
            continue;
        };
        cursor = Cursor(event.seq);
        let expected = event.framed(framing);
        let mut got = vec![0; expected.len()];
        for piece in got.chunks_mut(700) {
            stream.read_exact(piece).unwrap();
        }
        assert!(got == expected, "event {} is not as it was framed", event.seq);
    }
}

fn options() -> Options {
    let free: SocketAddr = "127.0.0.1:0".parse().unwrap();
    Options { listen: free, tcp_listen: free, rate: 0.0, history: 20_000, threads: 2, ..Options::default() }
}

#[test]
fn streams_are_whole_and_in_order_however_slowly_they_are_read() {
    streams_are_whole(&Server::start(&options()).unwrap(), connect);
}

#[test]
fn within_tls_streams_are_whole_and_in_order_too() {
    let certificate = Certificate::new("slow");
    let server = Server::start(&certificate.shown(options())).unwrap();
    streams_are_whole(&server, |address| certificate.over(connect(address)));
}

/// So little that for longer than the server has patience the kernel does not say that there is room.
#[test]
fn who_reads_slowly_but_steadily_is_not_given_up_within_tls_either() {
    let certificate = Certificate::new("trickle");
    let options = Options { stall_timeout: Duration::from_secs(1), ..options() };
    let secured = certificate.shown(options.clone());
    std::thread::scope(|scope| {
        scope.spawn(|| reads_slowly(&Server::start(&options).unwrap(), |stream| stream));
        scope.spawn(|| reads_slowly(&Server::start(&secured).unwrap(), |stream| certificate.over(stream)));
    });
}

fn reads_slowly<S: Read + Write>(server: &Server, over: impl FnOnce(TcpStream) -> S) {
    publish(server, BEFORE);
    let mut stream = over(connect(server.addresses().tcp));
    stream.write_all(b"SUB 0\n").unwrap();
    let mut lines = BufReader::with_capacity(8_000, stream);
    let mut whole = 0;
    for _ in 0..125 {
        let read = lines.fill_buf().unwrap();
        whole += read.iter().filter(|&&byte| byte == b'\n').count();
        let length = read.len();
        lines.consume(length);
        std::thread::sleep(Duration::from_millis(40));
    }
    let left = BEFORE as usize - whole;
    assert_eq!(lines.lines().take(left).map_while(Result::ok).count(), left);
}

fn streams_are_whole<S: Read + Write + Send>(server: &Server, connect: impl Fn(SocketAddr) -> S) {
    let (http, tcp) = (server.addresses().http, server.addresses().tcp);
    let subscribe = |address, request: &str| {
        let mut stream = connect(address);
        stream.write_all(request.as_bytes()).unwrap();
        stream
    };
    let get = |path: &str, version: &str, more: &str| {
        subscribe(http, &format!("GET {path}?after=0 HTTP/{version}\r\nHost: {http}\r\n{more}\r\n"))
    };
    let handshake = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let subscribers = [
        (get("/stream", "1.1", ""), Framing::ChunkedLine),
        (get("/stream", "1.0", ""), Framing::Line),
        (get("/sse", "1.1", ""), Framing::ChunkedBlock),
        (get("/sse", "1.0", ""), Framing::Block),
        (get("/ws", "1.1", handshake), Framing::WebSocket),
        (subscribe(tcp, "SUB 0\n"), Framing::Line),
    ];
    publish(server, BEFORE);
    std::thread::scope(|scope| {
        for (number, (mut stream, framing)) in subscribers.into_iter().enumerate() {
            scope.spawn(move || {
                if number < 5 {
                    skip_head(&mut stream);
                }
                follow(server, &mut stream, framing);
            });
        }
        publish(server, DURING);
    });
}

#[test]
fn pongs_come_between_frames_and_never_within_one() {
    let server = Server::start(&options()).unwrap();
    let http = server.addresses().http;
    let mut stream = connect(http);
    write!(
        stream,
            "GET /ws?after=0 HTTP/1.1\r\nHost: {http}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    .unwrap();
    skip_head(&mut stream);
    publish(&server, BEFORE);
    std::thread::scope(|scope| {
        let (server, pong) = (&server, frame(Opcode::Pong, b"?"));
        let mut sender = stream.try_clone().unwrap();
        scope.spawn(move || {
            let mut received = Vec::new();
            let mut buffer = [0; 900];
            let expected = |seq| match server.feed().next(Cursor(seq)) {
                Next::Event(event) => Some(event.framed(Framing::WebSocket)),
                _ => None,
            };
            let (mut seq, mut pongs) = (0, 0);
            while seq < BEFORE + DURING {
                let read = stream.read(&mut buffer).unwrap();
                assert!(read > 0, "the server ended the connection behind event {seq}");
                received.extend_from_slice(&buffer[..read]);
                loop {
                    if received.starts_with(&pong) {
                        received.drain(..pong.len());
                        pongs += 1;
                    } else if let Some(event) =
                        expected(seq).filter(|event| received.len() >= event.len().max(pong.len()))
                    {
                        assert!(received.starts_with(&event), "event {} is not as it was framed", seq + 1);
                        received.drain(..event.len());
                        seq += 1;
                    } else {
                        break;
                    }
                }
            }
            assert!(pongs > 0, "the server answered while it delivered");
        });
        scope.spawn(move || {
            for _ in 0..500 {
                if sender.write_all(&frame_masked(Opcode::Ping, b"?", [1, 2, 3, 4])).is_err() {
                    return;
                }
                std::thread::yield_now();
            }
        });
        publish(server, DURING);
    });
}
