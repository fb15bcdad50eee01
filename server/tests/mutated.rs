//! Requests that no program would send, thousands to each endpoint: nothing panics, memory stays bounded, and who is honest beside
//! them loses nothing.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use protocol::{Event, clock};
use rand_pcg::Pcg32;
use rand_pcg::rand_core::{Rng, SeedableRng};
use server::{Options, Server};

/// Requests to each endpoint: under `CI=true` all that are wanted, elsewhere as many as one likes to wait for.
fn requests() -> usize {
    if std::env::var("CI").as_deref() == Ok("true") { 10_000 } else { 500 }
}

const HANDSHAKE: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n\u{0}\u{1}hello";

/// What each endpoint is right to be asked.
fn right() -> Vec<String> {
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
        "/page/main.js",
        "/slides",
    ]
    .map(get)
    .into();
    for path in ["/ws?after=0", "/echo", "/watch?session=a"] {
        requests.push(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{HANDSHAKE}"));
    }
    requests.push("POST /publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello".into());
    requests.push(
        "POST /publish HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n".into(),
    );
    requests.push("POST /control HTTP/1.1\r\nHost: localhost\r\nContent-Length: 11\r\n\r\n{\"burst\":1}".into());
    requests
}

/// Changes some bytes: other values, some gone, some twice, some that were never there, or the end missing.
fn mutate(bytes: &mut Vec<u8>, chance: &mut Pcg32) {
    let mut below = |bound: usize| chance.next_u32() as usize % bound.max(1);
    for _ in 0..=below(4) {
        let at = below(bytes.len());
        let end = (at + below(12)).min(bytes.len());
        match below(6) {
            0 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << below(8)),
            1 => drop(bytes.drain(at..end)),
            2 => {
                let twice = bytes[at..end].to_vec();
                bytes.splice(at..at, twice);
            }
            3 => {
                let new: Vec<u8> = (0..below(20)).map(|_| below(256) as u8).collect();
                bytes.splice(at..at, new);
            }
            4 => bytes.truncate(at),
            _ => {
                let word: &[u8] =
                    [&b"\r\n"[..], b"\0", b" ", b":", b"%00", b"99999999999999999999", b"chunked"][below(7)];
                bytes.splice(at..at, word.iter().copied());
            }
        }
    }
}

/// Sends it, ends its side, and reads what comes.
fn send(address: SocketAddr, bytes: &[u8]) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    // The server may have ended the connection already.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    match stream.read_to_end(&mut Vec::new()) {
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
            panic!("no answer and no end: {}", bytes.escape_ascii())
        }
        _ => {}
    }
}

fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[test]
fn no_request_whatever_it_holds_harms_the_server_or_those_beside_it() {
    static PANICS: AtomicUsize = AtomicUsize::new(0);
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        PANICS.fetch_add(1, Ordering::Relaxed);
        usual(info);
    }));
    let free: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let options = Options { listen: free, tcp_listen: free, rate: 0.0, payload: 20, ..Options::default() };
    let server = Server::start(&options).unwrap();
    let (http, tcp) = (server.addresses().http, server.addresses().tcp);
    let mut honest = TcpStream::connect(tcp).unwrap();
    honest.write_all(b"SUB 0\n").unwrap();
    // The first of each kind makes what is kept.
    right().iter().for_each(|request| send(http, request.as_bytes()));
    let before = resident_bytes();

    std::thread::scope(|scope| {
        let listening = scope.spawn(|| {
            // Empty lines are heartbeats.
            let lines = BufReader::new(&honest).lines().map(|line| line.unwrap()).filter(|line| !line.is_empty());
            let mut seqs = 0;
            for line in lines {
                let event = Event::decode(line.as_bytes()).unwrap();
                assert_eq!(event.seq, seqs + 1);
                seqs = event.seq;
                if event.data == "the end" {
                    return;
                }
            }
            panic!("the honest subscriber was let go");
        });
        let senders: Vec<_> = (0..2)
            .map(|sender: usize| {
                scope.spawn(move || {
                    let mut chance = Pcg32::seed_from_u64(sender as u64);
                    for request in right().iter().skip(sender).step_by(2) {
                        for _ in 0..requests() {
                            let mut bytes = request.clone().into_bytes();
                            mutate(&mut bytes, &mut chance);
                            send(http, &bytes);
                        }
                    }
                    for _ in 0..requests() / 2 {
                        let mut bytes = b"SUB 0\n".to_vec();
                        mutate(&mut bytes, &mut chance);
                        send(tcp, &bytes);
                    }
                })
            })
            .collect();
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        server.feed().publish(clock::now_ns(), "the end");
        listening.join().unwrap();
    });
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < 32 << 20, "memory grew by {grown} bytes");
    assert_eq!(PANICS.load(Ordering::Relaxed), 0);
}
