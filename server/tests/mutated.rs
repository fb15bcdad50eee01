//! Sends thousands of randomly changed requests to each endpoint: nothing panics, the memory stays bounded, and another subscriber receives
//! all events meanwhile.

mod mutation;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use protocol::{Event, clock};
use rand_pcg::Pcg32;
use rand_pcg::rand_core::SeedableRng;
use server::{Options, Server};

use mutation::mutate;

/// Number of changed requests to each endpoint: fewer than in CI, where `CI=true` is set, so that a local run is short.
fn requests() -> usize {
    if std::env::var("CI").as_deref() == Ok("true") { 10_000 } else { 500 }
}

const HANDSHAKE: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n\u{0}\u{1}hello";

/// A valid request to each endpoint.
fn valid() -> Vec<String> {
    let get = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n");
    let mut requests: Vec<String> = [
        "/",
        "/poll?after=0",
        "/long-poll?after=0&wait=1s",
        "/stream?after=0",
        "/sse?after=0",
        "/time",
        "/load",
        "/metrics",
        "/published?after=0",
        "/viewers",
        "/hall",
        "/hall/state",
        "/hall/run.csv",
        "/page/main.js",
        "/slides",
        "/jsonp?after=0&wait=1s&callback=f",
        "/multipart?after=0",
        "/iframe?after=0&callback=f",
        "/sockjs/info",
        "/sockjs/000/a/eventsource?after=0",
        "/socket.io/?EIO=4&transport=polling",
    ]
    .map(get)
    .into();
    let websockets = [
        "/ws?after=0",
        "/echo",
        "/watch?session=a",
        "/sockjs/000/a/websocket?after=0",
        "/socket.io/?EIO=4&transport=websocket",
    ];
    for path in websockets {
        requests.push(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{HANDSHAKE}"));
    }
    requests.push("POST /publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello".into());
    requests.push(
        "POST /publish HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n".into(),
    );
    requests.push("POST /control HTTP/1.1\r\nHost: localhost\r\nContent-Length: 11\r\n\r\n{\"burst\":1}".into());
    requests
}

/// Sends `bytes` on a new connection, ends its side, and reads until the end.
fn send(address: SocketAddr, bytes: &[u8]) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    // The server may have ended the connection already.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    match stream.read_to_end(&mut Vec::new()) {
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
            panic!("the server does not close the connection: {}", bytes.escape_ascii())
        }
        _ => {}
    }
}

fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[test]
fn randomly_changed_requests_harm_neither_the_server_nor_other_subscribers() {
    static PANICS: AtomicUsize = AtomicUsize::new(0);
    let default_hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        PANICS.fetch_add(1, Ordering::Relaxed);
        default_hook(info);
    }));
    let any_port: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let options = Options { listen: any_port, tcp_listen: any_port, rate: 0.0, payload: 20, ..Options::default() };
    let server = Server::start(&options).unwrap();
    let (http, tcp) = (server.addresses().http, server.addresses().tcp);
    let mut subscriber = TcpStream::connect(tcp).unwrap();
    subscriber.write_all(b"SUB 0\n").unwrap();
    // The first request of each kind allocates memory that is kept, such as the rendered slides.
    valid().iter().for_each(|request| send(http, request.as_bytes()));
    let before = resident_bytes();

    std::thread::scope(|scope| {
        let subscription = scope.spawn(|| {
            // Empty lines are heartbeats.
            let lines = BufReader::new(&subscriber).lines().map(|line| line.unwrap()).filter(|line| !line.is_empty());
            let mut last_seq = 0;
            for line in lines {
                let event = Event::decode(line.as_bytes()).unwrap();
                assert_eq!(event.seq, last_seq + 1);
                last_seq = event.seq;
                if event.data == "the end" {
                    return;
                }
            }
            panic!("the subscriber was disconnected");
        });
        let senders: Vec<_> = (0..2)
            .map(|sender: usize| {
                scope.spawn(move || {
                    let mut random = Pcg32::seed_from_u64(sender as u64);
                    for request in valid().iter().skip(sender).step_by(2) {
                        for _ in 0..requests() {
                            let mut bytes = request.clone().into_bytes();
                            mutate(&mut bytes, &mut random);
                            send(http, &bytes);
                        }
                    }
                    for _ in 0..requests() / 2 {
                        let mut bytes = b"SUB 0\n".to_vec();
                        mutate(&mut bytes, &mut random);
                        send(tcp, &bytes);
                    }
                })
            })
            .collect();
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        server.feed().publish(clock::now_ns(), "the end");
        subscription.join().unwrap();
    });
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < 32 << 20, "memory grew by {grown} bytes");
    assert_eq!(PANICS.load(Ordering::Relaxed), 0);
}
