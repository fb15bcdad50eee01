//! The reader: a process that subscribes, reads all subscribers in one epoll loop, and counts events. What ends an event in
//! every framing is the brace that ends its JSON, and our payloads hold none.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use protocol::{Cursor, Transport};
use rustix::event::epoll;

/// Plays so many subscribers of a server over a transport, or of the floor.
pub fn reader(address: SocketAddr, transport: Option<Transport>, subscribers: usize) {
    let mut streams: Vec<TcpStream> = (0..subscribers).map(|_| subscribe(address, transport)).collect();
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).expect("an epoll");
    for (number, stream) in streams.iter().enumerate() {
        stream.set_nonblocking(true).expect("non-blocking");
        let data = epoll::EventData::new_u64(number as u64);
        epoll::add(&epoll, stream, data, epoll::EventFlags::IN).expect("a registration");
    }
    super::answer(0);
    let mut ready = Vec::with_capacity(1024);
    let mut cursors = vec![Cursor(0); subscribers];
    let mut buffer = vec![0; 64 << 10];
    let (mut events, mut expected) = (0, 0);
    while super::told() {
        expected += subscribers;
        if transport == Some(Transport::Polling) {
            for (stream, cursor) in streams.iter_mut().zip(&cursors) {
                stream.write_all(&get("/poll", *cursor)).expect("a request");
            }
        }
        while events < expected {
            ready.clear();
            epoll::wait(&epoll, rustix::buffer::spare_capacity(&mut ready), None).expect("events");
            for number in ready.iter().map(|event| event.data.u64() as usize) {
                let got = match streams[number].read(&mut buffer) {
                    Ok(0) => panic!("a subscriber was lost"),
                    Ok(read) => buffer[..read].iter().filter(|&&byte| byte == b'}').count(),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
                    Err(error) => panic!("a subscriber was lost: {error}"),
                };
                events += got;
                cursors[number].0 += got as u64;
                if got > 0 && transport == Some(Transport::LongPolling) {
                    streams[number].write_all(&get("/long-poll", cursors[number])).expect("a request");
                }
            }
        }
        super::answer(0);
    }
}

fn get(path: &str, after: Cursor) -> Vec<u8> {
    format!("GET {path}?after={after} HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes()
}

fn subscribe(address: SocketAddr, transport: Option<Transport>) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.set_nodelay(true).expect("no delay");
    let request = match transport {
        None | Some(Transport::Polling) => Vec::new(),
        Some(Transport::LongPolling) => get("/long-poll", Cursor(0)),
        Some(Transport::Ndjson) => get("/stream", Cursor(0)),
        Some(Transport::Sse) => get("/sse", Cursor(0)),
        Some(Transport::WebSocket) => {
            b"GET /ws?after=0 HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
              Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
                .to_vec()
        }
        Some(Transport::Tcp) => b"SUB 0\n".to_vec(),
    };
    stream.write_all(&request).expect("a request");
    stream
}
