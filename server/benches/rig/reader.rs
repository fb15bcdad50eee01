//! The reader: a helper process that subscribes, reads all connections in one epoll loop, and counts events. It counts the closing braces
//! that end the events' JSON in every envelope; the payloads contain none.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use protocol::transport::{Carrier, Exchange};
use protocol::{Cursor, Transport};
use rustix::event::epoll;

/// Runs this number of subscribers of a server over `transport`, or of the floor if that is `None`.
pub fn reader(address: SocketAddr, transport: Option<Transport>, subscribers: usize) {
    let polls = transport.and_then(|transport| Some((transport.exchange(), transport.row().path?)));
    let mut streams: Vec<TcpStream> = (0..subscribers).map(|_| subscribe(address, transport)).collect();
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).expect("cannot create an epoll instance");
    for (number, stream) in streams.iter().enumerate() {
        stream.set_nonblocking(true).expect("cannot make a socket non-blocking");
        let data = epoll::EventData::new_u64(number as u64);
        epoll::add(&epoll, stream, data, epoll::EventFlags::IN).expect("cannot register a socket");
    }
    super::report(0);
    let mut ready = Vec::with_capacity(1024);
    let mut cursors = vec![Cursor(0); subscribers];
    let mut buffer = vec![0; 64 << 10];
    let (mut events, mut expected) = (0, 0);
    while super::wait_for_command() {
        expected += subscribers;
        if let Some((Exchange::Poll, path)) = polls {
            for (stream, cursor) in streams.iter_mut().zip(&cursors) {
                stream.write_all(&get(path, *cursor)).expect("cannot send a request");
            }
        }
        while events < expected {
            ready.clear();
            epoll::wait(&epoll, rustix::buffer::spare_capacity(&mut ready), None).expect("cannot wait for events");
            for number in ready.iter().map(|event| event.data.u64() as usize) {
                let received = match streams[number].read(&mut buffer) {
                    Ok(0) => panic!("the server closed a connection"),
                    Ok(read) => buffer[..read].iter().filter(|&&byte| byte == b'}').count(),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
                    Err(error) => panic!("a connection failed: {error}"),
                };
                events += received;
                cursors[number].0 += received as u64;
                if let Some((Exchange::LongPoll, path)) = polls
                    && received > 0
                {
                    streams[number].write_all(&get(path, cursors[number])).expect("cannot send a request");
                }
            }
        }
        super::report(0);
    }
}

fn get(path: &str, after: Cursor) -> Vec<u8> {
    format!("GET {path}?after={after} HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes()
}

fn subscribe(address: SocketAddr, transport: Option<Transport>) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("cannot connect");
    stream.set_nodelay(true).expect("cannot set TCP_NODELAY");
    let row = transport.map(Transport::row);
    let request = match row.map(|row| (row.exchange, row.path.unwrap_or("/"))) {
        None | Some((Exchange::Poll, _)) => Vec::new(),
        Some((Exchange::LongPoll, path)) => get(path, Cursor(0)),
        Some((Exchange::Stream, _)) if row.is_some_and(|row| row.carrier == Carrier::Tcp) => b"SUB 0\n".to_vec(),
        Some((Exchange::Stream, path)) => get(path, Cursor(0)),
        Some((Exchange::Socket, path)) => format!(
            "GET {path}?after=0 HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        .into_bytes(),
    };
    stream.write_all(&request).expect("cannot send a request");
    stream
}
