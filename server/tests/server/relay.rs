//! The relay for the live page's lanes: its delay, its faults, and who may set them.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use protocol::envelope::websocket::Opcode;
use serde_json::{Value, json};
use server::{Options, Server};

use crate::support::frames::{HANDSHAKE, frame, open};
use crate::support::{TIMEOUT, Wire, event, options, publish, start};

/// How long nothing must come before it counts as silence.
const SILENCE: Duration = Duration::from_millis(300);

/// The settings that a page receives.
fn settings(server: &Server) -> Value {
    let (opcode, text) = frame(&mut open(server, "/watch?session=settings"));
    assert_eq!(opcode, Opcode::Text);
    serde_json::from_slice(&text).unwrap()
}

fn relay(server: &Server) -> SocketAddr {
    let port = settings(server)["relay_port"].as_u64().unwrap();
    SocketAddr::new(server.addresses().http.ip(), port.try_into().unwrap())
}

/// Posts to `/control`; returns the status and the response's text.
fn control(server: &Server, body: &str) -> (u16, String) {
    let length = format!("Content-Length: {}", body.len());
    let mut wire = Wire::request(server, "POST", "/control", &[&length]);
    wire.send(body);
    let (response, text) = wire.response();
    (response.status, text)
}

fn set(server: &Server, change: &Value) {
    assert_eq!(control(server, &change.to_string()), (204, String::new()));
}

/// Connects to the relay and sends a request.
fn request(relay: SocketAddr, target: &str, headers: &[&str]) -> TcpStream {
    let mut stream = TcpStream::connect(relay).unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    let lines: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
    stream.write_all(format!("GET {target} HTTP/1.1\r\nHost: {relay}\r\n{lines}\r\n").as_bytes()).unwrap();
    stream
}

/// Reads until what was read contains `end`.
fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let (mut text, mut buffer) = (String::new(), [0; 4096]);
    while !text.contains(end) {
        let read = stream.read(&mut buffer).unwrap();
        assert!(read > 0, "the connection ended after {text:?}");
        text += &String::from_utf8_lossy(&buffer[..read]);
    }
    text
}

/// Whether nothing comes for a while, although the connection is open.
fn is_silent(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(SILENCE)).unwrap();
    let read = stream.read(&mut [0; 1]);
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    read.is_err_and(|error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut))
}

/// Whether the connection ends, by a reset or not.
fn ends(stream: &mut TcpStream) -> bool {
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() == ErrorKind::ConnectionReset,
        }
    }
}

#[test]
fn bytes_arrive_in_order_and_not_before_the_delay_and_a_changed_delay_keeps_the_connection() {
    const DELAY: Duration = Duration::from_millis(100);
    let server = start();
    let relay = relay(&server);
    set(&server, &json!({ "delay_ms": 100 }));
    assert_eq!(settings(&server)["delay_ms"], 100);
    let began = Instant::now();
    let mut stream = request(relay, "/stream?after=0", &[]);
    read_until(&mut stream, "\r\n\r\n");
    assert!(began.elapsed() >= 4 * DELAY, "a round trip to connect, and one for the request and its response");
    let names: Vec<String> = (0..50).map(|number| format!("event {number}")).collect();
    let published = Instant::now();
    for (number, name) in names.iter().enumerate() {
        publish(&server, &[name]);
        if number == 25 {
            set(&server, &json!({ "delay_ms": 0 }));
        }
    }
    let text = read_until(&mut stream, "event 49");
    assert!(published.elapsed() >= DELAY, "no event overtakes those that were delayed");
    let expected: Vec<String> = names.iter().zip(1..).map(|(name, seq)| event(seq, name)).collect();
    let found: Vec<&str> = text.lines().filter(|line| line.starts_with('{')).collect();
    assert_eq!(found, expected);
}

#[test]
fn a_proxy_that_buffers_holds_streams_back_and_lets_polls_and_websockets_pass() {
    let server = start();
    let relay = relay(&server);
    let mut before = request(relay, "/stream", &[]);
    read_until(&mut before, "\r\n\r\n");
    set(&server, &json!({ "fault": "buffer" }));
    assert!(ends(&mut before), "the proxy is another one");
    let mut stream = request(relay, "/stream?after=0", &[]);
    let mut socket = request(relay, "/ws?after=0", &HANDSHAKE);
    read_until(&mut socket, "\r\n\r\n");
    publish(&server, &["one"]);
    assert!(is_silent(&mut stream));
    read_until(&mut socket, "\"one\"");
    read_until(&mut request(relay, "/poll?after=0", &[]), "\"one\"");
    // What is held back comes once there are 64 kB.
    publish(&server, &["x".repeat(40_000).as_str(), &"y".repeat(40_000)]);
    read_until(&mut stream, "\"one\"");
    set(&server, &json!({ "fault": "off" }));
    assert!(ends(&mut stream));
    read_until(&mut request(relay, "/stream?after=0", &[]), "\"one\"");
}

#[test]
fn a_proxy_that_drops_upgrade_headers_fails_only_websockets() {
    let server = start();
    let relay = relay(&server);
    set(&server, &json!({ "fault": "drop-upgrade" }));
    publish(&server, &["one"]);
    let mut socket = request(relay, "/ws?after=0", &HANDSHAKE);
    let status = read_until(&mut socket, "\r\n\r\n");
    assert!(status.starts_with("HTTP/1.1 4"), "{status}");
    // The connection goes on with the next request.
    socket.write_all(format!("GET /poll?after=0 HTTP/1.1\r\nHost: {relay}\r\n\r\n").as_bytes()).unwrap();
    read_until(&mut socket, "\"one\"");
    read_until(&mut request(relay, "/stream?after=0", &[]), "\"one\"");
}

#[test]
fn a_slow_reader_receives_everything_at_its_own_pace() {
    const BYTES_PER_SECOND: usize = 5_000;
    let server = start();
    let relay = relay(&server);
    set(&server, &json!({ "fault": "slow-reader" }));
    let mut stream = request(relay, "/stream?after=0", &[]);
    read_until(&mut stream, "\r\n\r\n");
    let began = Instant::now();
    (0..20).for_each(|number| publish(&server, &[&format!("{}{number}", "x".repeat(200))]));
    let text = read_until(&mut stream, "x19");
    // The last bytes need not be waited for.
    let paced = text.len() - 500;
    assert!(
        began.elapsed() >= Duration::from_millis((1_000 * paced / BYTES_PER_SECOND) as u64),
        "{} bytes",
        text.len()
    );
    let found = text.lines().filter(|line| line.starts_with('{')).count();
    assert_eq!(found, 20);
}

#[test]
fn a_half_open_connection_is_silent_until_the_fault_is_over() {
    let server = start();
    let relay = relay(&server);
    let mut stream = request(relay, "/stream", &[]);
    read_until(&mut stream, "\r\n\r\n");
    set(&server, &json!({ "fault": "half-open" }));
    let mut later = request(relay, "/poll?after=0", &[]);
    publish(&server, &["one"]);
    assert!(is_silent(&mut stream) && is_silent(&mut later));
    set(&server, &json!({ "fault": "off" }));
    assert!(ends(&mut stream) && ends(&mut later));
    read_until(&mut request(relay, "/poll?after=0", &[]), "\"one\"");
}

#[test]
fn a_proxy_that_cuts_silence_closes_idle_connections_only() {
    let server = start();
    let relay = relay(&server);
    set(&server, &json!({ "fault": "cut-idle" }));
    let began = Instant::now();
    let mut idle = request(relay, "/stream", &[]);
    let mut busy = request(relay, "/stream", &[]);
    read_until(&mut idle, "\r\n\r\n");
    read_until(&mut busy, "\r\n\r\n");
    // A client that sends something now and then is not cut.
    for _ in 0..6 {
        std::thread::sleep(Duration::from_secs(1));
        busy.write_all(b"x").unwrap();
    }
    assert!(ends(&mut idle) && began.elapsed() >= Duration::from_secs(5));
    assert!(is_silent(&mut busy));
}

#[test]
fn after_a_crash_connections_are_reset_until_it_is_over() {
    let server = start();
    let relay = relay(&server);
    let mut stream = request(relay, "/stream", &[]);
    read_until(&mut stream, "\r\n\r\n");
    set(&server, &json!({ "fault": "crash", "delay_ms": 1 }));
    assert!(ends(&mut stream));
    // The relay may reset the connection before the request is sent.
    let refused = TcpStream::connect(relay).map(|mut stream| ends(&mut stream));
    assert!(matches!(refused, Ok(true) | Err(_)));
    let deadline = Instant::now() + 2 * TIMEOUT;
    while settings(&server)["fault"] != "off" {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(settings(&server)["delay_ms"], 1, "the delay stays");
    publish(&server, &["one"]);
    read_until(&mut request(relay, "/poll?after=0", &[]), "\"one\"");
}

#[test]
fn what_cannot_be_set_is_refused_and_changes_nothing() {
    let server = start();
    for (body, mentioned) in [
        (r#"{"delay_ms":2001}"#, "from 0 to 2000"),
        (r#"{"delay_ms":-1}"#, "-1"),
        (r#"{"delay_ms":0.5}"#, "0.5"),
        (r#"{"fault":"fire"}"#, "half-open"),
        (r#"{"fault":"buffer","delay_ms":2001}"#, "from 0 to 2000"),
        (r#"{"fault":"buffer","burst":1001}"#, "from 0 to 1000"),
        (r#"{"schedule":"sometimes"}"#, "poisson"),
    ] {
        let (status, text) = control(&server, body);
        assert!(status == 400 && text.contains(mentioned), "{body}: {status} {text}");
    }
    let now = settings(&server);
    assert_eq!((&now["delay_ms"], &now["fault"]), (&json!(0), &json!("off")));

    let server = Server::start(&Options { token: Some("abcdefgh12345678".into()), ..options(1) }).unwrap();
    assert_eq!(control(&server, r#"{"fault":"crash"}"#).0, 403);
    assert_eq!(settings(&server)["fault"], "off");
}

#[test]
fn a_page_of_the_server_may_open_a_websocket_through_the_relay_and_another_may_not() {
    let server = start();
    let relay = relay(&server);
    let status = |origin: &str| {
        let origin = format!("Origin: {origin}");
        let mut stream = request(relay, "/ws", &[&HANDSHAKE[..], &[&origin]].concat());
        read_until(&mut stream, "\r\n\r\n")[9..12].to_string()
    };
    assert_eq!(status(&server.url()), "101");
    assert_eq!(status("http://127.0.0.1:9"), "403");
    assert_eq!(status("http://evil.example"), "403");
}
