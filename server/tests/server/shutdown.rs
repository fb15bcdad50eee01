//! Starting and shutting down the server: the last bytes of each connection, the ports, and the errors.

use std::net::TcpListener;
use std::thread::JoinHandle;

use protocol::envelope::websocket::Opcode;
use server::{Options, Server};

use crate::support::chunks::chunk;
use crate::support::figures::wait_until;
use crate::support::frames::{close_frame, frame, masked, open};
use crate::support::{Wire, event, get, options, publish, start};

/// Shuts the server down on another thread, while the test continues with its clients.
fn shut_down(server: Server) -> JoinHandle<()> {
    std::thread::spawn(move || server.shutdown())
}

fn subscribe(server: &Server, target: &str) -> Wire {
    let mut wire = Wire::request(server, "GET", target, &[]);
    assert_eq!(wire.headers().status, 200);
    wire
}

#[test]
fn a_stream_ends_with_the_last_chunk_and_its_connection_is_closed() {
    let server = start();
    let mut streams = ["/stream", "/sse"].map(|target| subscribe(&server, target));
    let shutdown = shut_down(server);
    for stream in &mut streams {
        assert_eq!(stream.rest(), b"0\r\n\r\n");
    }
    shutdown.join().unwrap();
}

#[test]
fn a_waiting_long_poll_gets_its_response() {
    let server = start();
    publish(&server, &["a"]);
    let mut poll = Wire::request(&server, "GET", "/long-poll?after=1&wait=60s", &[]);
    // All requests but the poll are those of `wait_until`. One thread serves them in turn, so the poll waits once it is counted.
    let mut own_requests = 0;
    wait_until(&server, |load| {
        own_requests += 1;
        load.requests > own_requests
    });
    let shutdown = shut_down(server);
    let response = poll.headers();
    assert_eq!((response.status, response.header("cursor")), (204, Some("1")));
    assert_eq!(poll.rest(), b"");
    shutdown.join().unwrap();
}

#[test]
fn a_websocket_is_closed_with_1001() {
    for target in ["/ws", "/echo"] {
        let server = start();
        let mut wire = open(&server, target);
        // A pong shows that the session has begun.
        wire.send(masked(Opcode::Ping, b""));
        assert_eq!(frame(&mut wire).0, Opcode::Pong);
        let shutdown = shut_down(server);
        assert_eq!(close_frame(&mut wire).0, 1001, "{target}");
        wire.send(masked(Opcode::Close, &1001u16.to_be_bytes()));
        assert_eq!(wire.rest(), b"", "{target}");
        shutdown.join().unwrap();
    }
}

#[test]
fn a_websocket_is_closed_even_if_the_client_does_not_reply_to_the_close_frame() {
    let server = start();
    let mut wire = open(&server, "/ws");
    let shutdown = shut_down(server);
    assert_eq!(close_frame(&mut wire).0, 1001);
    assert_eq!(wire.rest(), b"");
    shutdown.join().unwrap();
}

#[test]
fn events_published_before_the_shutdown_are_delivered() {
    const EVENTS: u64 = 500;
    let server = start();
    let mut stream = subscribe(&server, "/stream?after=0");
    let mut sse = subscribe(&server, "/sse?after=0");
    let mut socket = open(&server, "/ws?after=0");
    let mut raw = Wire::connect(server.addresses().tcp);
    raw.send("SUB 0\n");
    publish(&server, &["first"]);
    // The delivery of this event shows that the subscriptions have started. The next events are not delivered yet when the shutdown begins.
    assert_eq!(chunk(&mut stream), Some(event(1, "first") + "\n"));
    assert!(chunk(&mut sse).unwrap().starts_with("id: 1\n"));
    assert_eq!(frame(&mut socket).1, event(1, "first").into_bytes());
    assert_eq!(raw.line(), event(1, "first") + "\n");

    let data = "x".repeat(1_000);
    (2..=EVENTS).for_each(|_| publish(&server, &[&data]));
    let shutdown = shut_down(server);
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
    shutdown.join().unwrap();
}

#[test]
fn the_connection_of_a_tcp_subscriber_is_closed() {
    let server = start();
    let mut raw = Wire::connect(server.addresses().tcp);
    raw.send("SUB 0\n");
    publish(&server, &["a"]);
    assert_eq!(raw.line(), event(1, "a") + "\n");
    let shutdown = shut_down(server);
    assert_eq!(raw.rest(), b"");
    shutdown.join().unwrap();
}

#[test]
fn idle_connections_are_closed() {
    let server = start();
    let mut silent = Wire::connect(server.addresses().http);
    let mut kept = Wire::request(&server, "GET", "/healthz", &[]);
    assert_eq!(kept.response().1, "ok\n");
    wait_until(&server, |load| load.connections_accepted >= 3);
    let shutdown = shut_down(server);
    assert_eq!((silent.rest(), kept.rest()), (vec![], vec![]));
    shutdown.join().unwrap();
}

#[test]
fn a_new_server_can_use_the_ports_at_once() {
    let mut server = start();
    for _ in 0..3 {
        let addresses = server.addresses();
        // Some of these connections are closed by the server first, and the kernel keeps them in TIME_WAIT.
        let (stream, socket) = (subscribe(&server, "/stream"), open(&server, "/ws"));
        let raw = Wire::connect(addresses.tcp);
        drop((stream, socket, raw));
        assert_eq!(get(&server, "/healthz").1, "ok\n");
        server.shutdown();
        let again = Options { listen: addresses.http, tcp_listen: addresses.tcp, ..options(1) };
        server = Server::start(&again).expect("the ports of the old server are not free");
        assert_eq!(server.addresses(), addresses);
        assert_eq!(get(&server, "/healthz").1, "ok\n");
    }
}

#[test]
fn after_the_shutdown_the_server_does_not_listen_any_more() {
    let server = start();
    let addresses = server.addresses();
    server.shutdown();
    for address in [addresses.http, addresses.tcp] {
        // This would fail if the server still listened there.
        TcpListener::bind(address).unwrap();
    }
}

#[test]
fn dropping_the_server_cuts_its_connections() {
    let server = start();
    let mut stream = subscribe(&server, "/stream");
    drop(server);
    assert_eq!(stream.rest(), b"", "without the last chunk, the client can detect that the body is incomplete");
}

#[test]
fn the_error_of_an_address_in_use_names_the_address_and_the_option() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let free = options(1);
    for (option, options) in [
        ("--listen", Options { listen: address, ..free.clone() }),
        ("--tcp-listen", Options { tcp_listen: address, ..free }),
    ] {
        let Err(error) = Server::start(&options) else {
            panic!("{option} {address} is in use, but the server started")
        };
        let text = error.to_string();
        assert!(text.contains(&address.to_string()) && text.contains(&format!(" {option} ")), "{text}");
        assert!(format!("{error:#}").len() > text.len(), "the system's error is included");
    }
}

#[test]
fn both_ports_cannot_be_the_same() {
    let any = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = any.local_addr().unwrap();
    drop(any);
    let Err(error) = Server::start(&Options { listen: address, tcp_listen: address, ..options(1) }) else {
        panic!("the server listens on {address} twice")
    };
    assert!(error.to_string().contains("--tcp-listen"), "{error}");
}
