//! How the server starts and ends: what subscribers get last, and what the ports and the errors are like.

use std::net::TcpListener;
use std::thread::JoinHandle;

use protocol::framing::websocket::Opcode;
use server::{Options, Server};

use crate::support::chunks::chunk;
use crate::support::figures::wait_until;
use crate::support::frames::{close_frame, frame, masked, open};
use crate::support::{Wire, event, get, options, publish, start};

/// Shuts the server down while the test goes on to play the clients.
fn shut_down(server: Server) -> JoinHandle<()> {
    std::thread::spawn(move || server.shutdown())
}

fn subscribe(server: &Server, target: &str) -> Wire {
    let mut wire = Wire::request(server, "GET", target, &[]);
    assert_eq!(wire.head().status, 200);
    wire
}

#[test]
fn a_stream_ends_with_the_last_chunk_and_then_the_connection() {
    let server = start();
    let mut streams = ["/stream", "/sse"].map(|target| subscribe(&server, target));
    let ended = shut_down(server);
    for stream in &mut streams {
        assert_eq!(stream.rest(), b"0\r\n\r\n");
    }
    ended.join().unwrap();
}

#[test]
fn a_waiting_long_poll_is_answered() {
    let server = start();
    publish(&server, &["a"]);
    let mut poll = Wire::request(&server, "GET", "/long-poll?after=1&wait=60s", &[]);
    // A request beside our own is the poll. It waits by then: one thread serves, and took them in turn.
    let mut own = 0;
    wait_until(&server, |load| {
        own += 1;
        load.requests > own
    });
    let ended = shut_down(server);
    let head = poll.head();
    assert_eq!((head.status, head.header("cursor")), (204, Some("1")));
    assert_eq!(poll.rest(), b"");
    ended.join().unwrap();
}

#[test]
fn a_websocket_is_closed_with_1001() {
    for target in ["/ws", "/echo"] {
        let server = start();
        let mut wire = open(&server, target);
        // A pong shows that the session has begun.
        wire.send(masked(Opcode::Ping, b""));
        assert_eq!(frame(&mut wire).0, Opcode::Pong);
        let ended = shut_down(server);
        assert_eq!(close_frame(&mut wire).0, 1001, "{target}");
        wire.send(masked(Opcode::Close, &1001u16.to_be_bytes()));
        assert_eq!(wire.rest(), b"", "{target}");
        ended.join().unwrap();
    }
}

#[test]
fn a_websocket_whose_client_does_not_answer_the_close_ends_all_the_same() {
    let server = start();
    let mut wire = open(&server, "/ws");
    let ended = shut_down(server);
    assert_eq!(close_frame(&mut wire).0, 1001);
    assert_eq!(wire.rest(), b"");
    ended.join().unwrap();
}

#[test]
fn all_that_was_published_before_is_delivered_first() {
    const EVENTS: u64 = 500;
    let server = start();
    let mut stream = subscribe(&server, "/stream?after=0");
    let mut sse = subscribe(&server, "/sse?after=0");
    let mut socket = open(&server, "/ws?after=0");
    let mut raw = Wire::connect(server.addresses().tcp);
    raw.send("SUB 0\n");
    publish(&server, &["first"]);
    // What was delivered shows that the subscription had begun; what follows is still under way when the end comes.
    assert_eq!(chunk(&mut stream), Some(event(1, "first") + "\n"));
    assert!(chunk(&mut sse).unwrap().starts_with("id: 1\n"));
    assert_eq!(frame(&mut socket).1, event(1, "first").into_bytes());
    assert_eq!(raw.line(), event(1, "first") + "\n");

    let data = "x".repeat(1_000);
    (2..=EVENTS).for_each(|_| publish(&server, &[&data]));
    let ended = shut_down(server);
    for seq in 2..=EVENTS {
        let json = event(seq, &data);
        assert_eq!(chunk(&mut stream).as_ref(), Some(&format!("{json}\n")));
        assert_eq!(chunk(&mut sse).as_ref(), Some(&format!("id: {seq}\ndata: {json}\n\n")));
        assert_eq!(frame(&mut socket), (Opcode::Text, json.clone().into_bytes()));
        assert_eq!(raw.line(), format!("{json}\n"));
    }
    assert_eq!((chunk(&mut stream), stream.rest()), (None, vec![]));
    assert_eq!((chunk(&mut sse), sse.rest()), (None, vec![]));
    assert_eq!(close_frame(&mut socket).0, 1001);
    drop(socket);
    assert_eq!(raw.rest(), b"");
    ended.join().unwrap();
}

#[test]
fn a_tcp_subscriber_sees_the_end() {
    let server = start();
    let mut raw = Wire::connect(server.addresses().tcp);
    raw.send("SUB 0\n");
    publish(&server, &["a"]);
    assert_eq!(raw.line(), event(1, "a") + "\n");
    let ended = shut_down(server);
    assert_eq!(raw.rest(), b"");
    ended.join().unwrap();
}

#[test]
fn idle_connections_are_ended() {
    let server = start();
    let mut silent = Wire::connect(server.addresses().http);
    let mut kept = Wire::request(&server, "GET", "/healthz", &[]);
    assert_eq!(kept.answer().1, "ok\n");
    wait_until(&server, |load| load.connections_accepted >= 3);
    let ended = shut_down(server);
    assert_eq!((silent.rest(), kept.rest()), (vec![], vec![]));
    ended.join().unwrap();
}

#[test]
fn the_ports_can_be_taken_again_at_once() {
    let mut server = start();
    for _ in 0..3 {
        let addresses = server.addresses();
        // Connections of every kind, some of which the server ends first and the kernel keeps in TIME_WAIT.
        let (stream, socket) = (subscribe(&server, "/stream"), open(&server, "/ws"));
        let raw = Wire::connect(addresses.tcp);
        drop((stream, socket, raw));
        assert_eq!(get(&server, "/healthz").1, "ok\n");
        server.shutdown();
        let again = Options { listen: addresses.http, tcp_listen: addresses.tcp, ..options(1) };
        server = Server::start(&again).expect("the old server has left its ports");
        assert_eq!(server.addresses(), addresses);
        assert_eq!(get(&server, "/healthz").1, "ok\n");
    }
}

#[test]
fn nothing_is_accepted_any_more_after_the_end() {
    let server = start();
    let addresses = server.addresses();
    server.shutdown();
    for address in [addresses.http, addresses.tcp] {
        // Were the server still listening there, this would be refused.
        TcpListener::bind(address).unwrap();
    }
}

#[test]
fn dropping_the_server_cuts_its_connections() {
    let server = start();
    let mut stream = subscribe(&server, "/stream");
    drop(server);
    assert_eq!(stream.rest(), b"", "no last chunk: the body was cut short, and shows it");
}

#[test]
fn an_address_that_is_taken_is_an_error_that_names_it_and_the_option() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let free = options(1);
    for (option, options) in [
        ("--listen", Options { listen: address, ..free.clone() }),
        ("--tcp-listen", Options { tcp_listen: address, ..free }),
    ] {
        let Err(error) = Server::start(&options) else { panic!("{option} {address} is taken") };
        let text = error.to_string();
        assert!(text.contains(&address.to_string()) && text.contains(&format!(" {option} ")), "{text}");
        assert!(format!("{error:#}").len() > text.len(), "the system's own reason follows");
    }
}

#[test]
fn the_two_ports_cannot_be_one() {
    let any = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = any.local_addr().unwrap();
    drop(any);
    let Err(error) = Server::start(&Options { listen: address, tcp_listen: address, ..options(1) }) else {
        panic!("{address} is taken twice")
    };
    assert!(error.to_string().contains("--tcp-listen"), "{error}");
}
