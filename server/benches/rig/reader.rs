//! The reader: a helper process that subscribes, reads all connections in one epoll loop, and counts events.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use protocol::envelope::websocket::parse_extended;
use protocol::http2::{FrameWalker, Kind, PREFACE, Part};
use protocol::transport::{Carrier, Coding, Exchange};
use protocol::{Cursor, Transport};
use rustix::event::epoll;

/// A subscriber's connection.
struct Connection {
    stream: TcpStream,
    counter: Counter,
    cursor: Cursor,
    /// The number of its next request, from 0.
    request: u32,
}

/// Counts the events in the bytes of a connection.
enum Counter {
    /// The closing braces that end the events' JSON in every envelope; the payloads contain none.
    Braces,
    /// The same, in the content of DATA frames.
    Http2(FrameWalker),
    /// The frames of a WebSocket with compression, after the blank line that ends the handshake: bytes that were not counted yet.
    Frames(Vec<u8>, bool),
}

impl Counter {
    fn of(transport: Option<Transport>) -> Self {
        match transport.map(|transport| (transport.carrier(), transport.row().coding)) {
            Some((Carrier::H2, _)) => Self::Http2(FrameWalker::server()),
            Some((_, Coding::Deflate | Coding::DeflateTakeover)) => Self::Frames(Vec::new(), false),
            None | Some((_, Coding::Identity)) => Self::Braces,
        }
    }

    fn count(&mut self, bytes: &[u8]) -> usize {
        let braces = |bytes: &[u8]| bytes.iter().filter(|&&byte| byte == b'}').count();
        match self {
            Self::Braces => braces(bytes),
            Self::Http2(frames) => {
                let mut count = 0;
                frames.walk(bytes, |part| {
                    if let Part::Payload(header, payload, _) = part
                        && header.kind == Kind::Data
                    {
                        count += braces(payload);
                    }
                });
                count
            }
            Self::Frames(left, is_open) => {
                left.extend_from_slice(bytes);
                if !*is_open {
                    let Some(end) = left.windows(4).position(|end| end == b"\r\n\r\n") else { return 0 };
                    left.drain(..end + 4);
                    *is_open = true;
                }
                let (mut count, mut at) = (0, 0);
                while let Ok(Some(header)) = parse_extended(&left[at..]) {
                    let end = at + header.length + header.payload_length as usize;
                    if end > left.len() {
                        break;
                    }
                    (count, at) = (count + 1, end);
                }
                left.drain(..at);
                count
            }
        }
    }
}

/// Runs this number of subscribers of a server over `transport`, or of the floor if that is `None`.
pub fn reader(address: SocketAddr, transport: Option<Transport>, subscribers: usize) {
    let exchange = transport.map(Transport::exchange);
    let mut connections: Vec<Connection> = (0..subscribers).map(|_| subscribe(address, transport)).collect();
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).expect("cannot create an epoll instance");
    for (number, connection) in connections.iter().enumerate() {
        connection.stream.set_nonblocking(true).expect("cannot make a socket non-blocking");
        let data = epoll::EventData::new_u64(number as u64);
        epoll::add(&epoll, &connection.stream, data, epoll::EventFlags::IN).expect("cannot register a socket");
    }
    super::report(0);
    let mut ready = Vec::with_capacity(1024);
    let mut buffer = vec![0; 64 << 10];
    let (mut events, mut expected) = (0, 0);
    while super::wait_for_command() {
        expected += subscribers;
        if exchange == Some(Exchange::Poll) {
            connections.iter_mut().for_each(|connection| connection.send(transport));
        }
        while events < expected {
            ready.clear();
            epoll::wait(&epoll, rustix::buffer::spare_capacity(&mut ready), None).expect("cannot wait for events");
            for number in ready.iter().map(|event| event.data.u64() as usize) {
                let connection = &mut connections[number];
                let received = match connection.stream.read(&mut buffer) {
                    Ok(0) => panic!("the server closed a connection"),
                    Ok(read) => connection.counter.count(&buffer[..read]),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
                    Err(error) => panic!("a connection failed: {error}"),
                };
                events += received;
                connection.cursor.0 += received as u64;
                if exchange == Some(Exchange::LongPoll) && received > 0 {
                    connection.send(transport);
                }
            }
        }
        super::report(0);
    }
}

impl Connection {
    /// Sends the next request for events.
    fn send(&mut self, transport: Option<Transport>) {
        let Some(row) = transport.map(Transport::row) else { return };
        let target = match row.coding {
            Coding::Identity | Coding::Deflate => format!("{}?after={}", row.path.unwrap_or("/"), self.cursor),
            Coding::DeflateTakeover => {
                format!("{}?after={}&compression=takeover", row.path.unwrap_or("/"), self.cursor)
            }
        };
        let extension = match row.coding {
            Coding::Identity => "",
            Coding::Deflate | Coding::DeflateTakeover => "Sec-WebSocket-Extensions: permessage-deflate\r\n",
        };
        let request = match (row.carrier, row.exchange) {
            (Carrier::Tcp, _) => b"SUB 0\n".to_vec(),
            (Carrier::H2, exchange) => http2_request(2 * self.request + 1, &target, exchange),
            (_, Exchange::Socket) => format!(
                "GET {target} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{extension}\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            )
            .into_bytes(),
            (_, _) => format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes(),
        };
        self.request += 1;
        self.stream.write_all(&request).expect("cannot send a request");
    }
}

/// The HEADERS frame of a request, without compression (RFC 9113, section 6.2; RFC 7541, section 6.2.2).
fn http2_request(stream: u32, target: &str, exchange: Exchange) -> Vec<u8> {
    let websocket = exchange == Exchange::Socket;
    let fields = [(":method", if websocket { "CONNECT" } else { "GET" }), (":scheme", "http"), (":path", target)];
    let more = [(":authority", "localhost"), (":protocol", "websocket"), ("sec-websocket-version", "13")];
    let more = if websocket { &more[..] } else { &more[..1] };
    let field = |(name, value): &(&str, &str)| {
        [&[0, name.len() as u8][..], name.as_bytes(), &[value.len() as u8], value.as_bytes()].concat()
    };
    let block: Vec<u8> = fields.iter().chain(more).flat_map(field).collect();
    // END_HEADERS, and END_STREAM for a request without a body.
    frame(1, if websocket { 4 } else { 5 }, stream, &block)
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

fn subscribe(address: SocketAddr, transport: Option<Transport>) -> Connection {
    let mut stream = TcpStream::connect(address).expect("cannot connect");
    stream.set_nodelay(true).expect("cannot set TCP_NODELAY");
    if transport.is_some_and(|transport| transport.carrier() == Carrier::H2) {
        // Windows that are never full.
        let window = 0x7fff_0000u32.to_be_bytes();
        let settings = [&[0, 4][..], &window].concat();
        let opening = [PREFACE, &frame(4, 0, 0, &settings), &frame(8, 0, 0, &window)].concat();
        stream.write_all(&opening).expect("cannot send the preface");
    }
    let mut connection = Connection { stream, counter: Counter::of(transport), cursor: Cursor(0), request: 0 };
    match transport.map(Transport::exchange) {
        None | Some(Exchange::Poll) => {}
        Some(Exchange::LongPoll | Exchange::Stream | Exchange::Socket) => connection.send(transport),
    }
    connection
}
