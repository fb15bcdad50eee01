//! Subscribers that read slowly, so that their sockets are full most of the time: they receive every byte once and in order.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use protocol::Envelope;
use protocol::envelope::websocket::{Opcode, encode, encode_masked};
use protocol::{Cursor, clock, payload};
use server::feed::{Encoding, Next};
use server::{Options, Server};

use crate::support::secured::Certificate;

/// Events that are published before the subscribers read: more than fit into the sockets' buffers.
const BEFORE: u64 = 6_000;
/// Events that are published while they are read.
const DURING: u64 = 4_000;

/// Publishes events with payloads of many sizes, so that writes end anywhere within an event.
fn publish(server: &Server, events: u64) {
    for number in 0..events {
        let size = (number * 7_919 % 3_001) as usize;
        server.feed().publish(clock::now_ns(), &payload::random(1, number, size));
    }
}

/// Opens a connection with a small receive buffer.
fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    rustix::net::sockopt::set_socket_recv_buffer_size(&stream, 32 << 10).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
}

/// Reads a response's headers, and nothing after them.
fn skip_headers(stream: &mut impl Read) {
    let mut headers = Vec::new();
    while !headers.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        headers.push(byte[0]);
    }
}

/// Reads in small pieces, and compares the bytes with those of the events in the feed.
fn follow(server: &Server, stream: &mut impl Read, encoding: &Encoding) {
    let mut cursor = Cursor(0);
    while cursor.0 < BEFORE + DURING {
        let Next::Event(event) = server.feed().next(cursor) else {
            std::thread::yield_now();
            continue;
        };
        cursor = Cursor(event.seq);
        let expected = event.encoded(encoding);
        let mut received = vec![0; expected.len()];
        for piece in received.chunks_mut(700) {
            stream.read_exact(piece).unwrap();
        }
        assert!(received == expected, "event {} differs from its encoding", event.seq);
    }
}

fn options() -> Options {
    let any_port: SocketAddr = "127.0.0.1:0".parse().unwrap();
    Options { listen: any_port, tcp_listen: any_port, rate: 0.0, history: 20_000, threads: 2, ..Options::default() }
}

#[test]
fn slow_consumers_receive_complete_streams_in_order() {
    assert_complete_streams(&Server::start(&options()).unwrap(), connect);
}

#[test]
fn slow_consumers_receive_complete_streams_in_order_over_tls() {
    let certificate = Certificate::new("slow");
    let server = Server::start(&certificate.options(options())).unwrap();
    assert_complete_streams(&server, |address| certificate.client(connect(address)));
}

/// The subscriber reads so slowly that for longer than the stall timeout, the kernel does not report the socket writable.
#[test]
fn a_subscriber_that_reads_slowly_but_steadily_is_not_disconnected() {
    let certificate = Certificate::new("trickle");
    let options = Options { stall_timeout: STALL_TIMEOUT, ..options() };
    let secured = certificate.options(options.clone());
    std::thread::scope(|scope| {
        scope.spawn(|| assert_not_disconnected(&options, |stream| stream));
        scope.spawn(|| assert_not_disconnected(&secured, |stream| certificate.client(stream)));
    });
}

const STALL_TIMEOUT: Duration = Duration::from_secs(1);
/// So many reads empty the receive buffer, so that the server learns that there is room.
const STEADY_READS: usize = 10;

/// On a busy machine, the reader itself may be paused for longer than the stall timeout, and is rightly disconnected. Such an attempt shows
/// nothing, and there is another one.
fn assert_not_disconnected<S: Read + Write>(options: &Options, client: impl Fn(TcpStream) -> S) {
    for _ in 0..5 {
        match read_slowly(&Server::start(options).unwrap(), &client) {
            Slowly::Complete => return,
            Slowly::Unsteady => {}
            Slowly::Disconnected => panic!("a subscriber that read steadily was disconnected"),
        }
    }
    panic!("this machine is too busy to read steadily");
}

/// How a slow reader has fared.
enum Slowly {
    Complete,
    /// It was disconnected, and had not read steadily.
    Unsteady,
    Disconnected,
}

fn read_slowly<S: Read + Write>(server: &Server, client: impl Fn(TcpStream) -> S) -> Slowly {
    publish(server, BEFORE);
    let mut stream = client(connect(server.addresses().tcp));
    stream.write_all(b"SUB 0\n").unwrap();
    let mut lines = BufReader::with_capacity(8_000, stream);
    let mut complete = 0;
    let mut times = vec![Instant::now()];
    for _ in 0..125 {
        let Ok(read) = lines.fill_buf() else { break };
        times.push(Instant::now());
        complete += read.iter().filter(|&&byte| byte == b'\n').count();
        let length = read.len();
        lines.consume(length);
        std::thread::sleep(Duration::from_millis(40));
    }
    let left = BEFORE as usize - complete;
    let is_steady = times.windows(STEADY_READS).all(|reads| reads[STEADY_READS - 1] - reads[0] < STALL_TIMEOUT);
    match lines.lines().take(left).map_while(Result::ok).count() == left {
        true => Slowly::Complete,
        false if is_steady => Slowly::Disconnected,
        false => Slowly::Unsteady,
    }
}

fn assert_complete_streams<S: Read + Write + Send>(server: &Server, connect: impl Fn(SocketAddr) -> S) {
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
    type EncodingOf = fn(Envelope) -> Encoding;
    let subscribers = [
        (get("/stream", "1.1", ""), Encoding::chunked as EncodingOf, Envelope::Line),
        (get("/stream", "1.0", ""), Encoding::plain as EncodingOf, Envelope::Line),
        (get("/sse", "1.1", ""), Encoding::chunked as EncodingOf, Envelope::Sse),
        (get("/sse", "1.0", ""), Encoding::plain as EncodingOf, Envelope::Sse),
        (get("/ws", "1.1", handshake), Encoding::plain as EncodingOf, Envelope::WebSocket),
        (subscribe(tcp, "SUB 0\n"), Encoding::plain as EncodingOf, Envelope::Line),
    ];
    publish(server, BEFORE);
    std::thread::scope(|scope| {
        for (number, (mut stream, encoding, envelope)) in subscribers.into_iter().enumerate() {
            scope.spawn(move || {
                if number < 5 {
                    skip_headers(&mut stream);
                }
                follow(server, &mut stream, &encoding(envelope));
            });
        }
        publish(server, DURING);
    });
}

#[test]
fn pongs_are_sent_between_frames_and_not_within_one() {
    let server = Server::start(&options()).unwrap();
    let http = server.addresses().http;
    let mut stream = connect(http);
    write!(
        stream,
            "GET /ws?after=0 HTTP/1.1\r\nHost: {http}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    .unwrap();
    skip_headers(&mut stream);
    publish(&server, BEFORE);
    std::thread::scope(|scope| {
        let (server, pong) = (&server, encode(Opcode::Pong, b"?"));
        let mut sender = stream.try_clone().unwrap();
        scope.spawn(move || {
            let mut received = Vec::new();
            let mut buffer = [0; 900];
            let expected = |seq| match server.feed().next(Cursor(seq)) {
                Next::Event(event) => Some(event.encoded(&Encoding::plain(Envelope::WebSocket))),
                _ => None,
            };
            let (mut seq, mut pongs) = (0, 0);
            while seq < BEFORE + DURING {
                let read = stream.read(&mut buffer).unwrap();
                assert!(read > 0, "the server ended the connection after event {seq}");
                received.extend_from_slice(&buffer[..read]);
                loop {
                    if received.starts_with(&pong) {
                        received.drain(..pong.len());
                        pongs += 1;
                    } else if let Some(event) =
                        expected(seq).filter(|event| received.len() >= event.len().max(pong.len()))
                    {
                        assert!(received.starts_with(&event), "event {} differs from its encoding", seq + 1);
                        received.drain(..event.len());
                        seq += 1;
                    } else {
                        break;
                    }
                }
            }
            assert!(pongs > 0, "the server sent no pong while it delivered events");
        });
        scope.spawn(move || {
            for _ in 0..500 {
                if sender.write_all(&encode_masked(Opcode::Ping, b"?", [1, 2, 3, 4])).is_err() {
                    return;
                }
                std::thread::yield_now();
            }
        });
        publish(server, DURING);
    });
}
