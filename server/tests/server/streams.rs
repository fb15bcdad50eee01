//! The streaming transports: the bytes of `/stream`, `/sse` and raw TCP.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use protocol::Event;
use server::Server;

use crate::support::chunks::chunk;
use crate::support::figures::wait_until;
use crate::support::{Response, TIMEOUT, Wire, event, publish, start, start_with_history};

fn subscribe(server: &Server, target: &str, headers: &[&str]) -> (Response, Wire) {
    let mut wire = Wire::request(server, "GET", target, headers);
    let response = wire.headers();
    assert_eq!(response.status, 200);
    (response, wire)
}

fn tcp(server: &Server, request: &str) -> Wire {
    let mut wire = Wire::connect(server.addresses().tcp);
    wire.send(request);
    wire
}

fn gap(server: &Server, after: u64, oldest: u64) -> String {
    format!(r#"{{"gap":{{"after":{after},"oldest":{oldest},"epoch":{}}}}}"#, server.feed().epoch.0)
}

fn line(seq: u64, data: &str) -> String {
    event(seq, data) + "\n"
}

fn block(seq: u64, data: &str) -> String {
    format!("id: {seq}\ndata: {}\n\n", event(seq, data))
}

#[test]
fn an_endless_response_must_not_be_cached_or_buffered_and_pages_of_any_origin_may_read_it() {
    let server = start();
    for (target, content_type) in [("/stream", "application/x-ndjson"), ("/sse", "text/event-stream")] {
        let (response, _) = subscribe(&server, target, &["Origin: http://other.example"]);
        assert_eq!(response.header("content-type"), Some(content_type));
        assert_eq!(response.header("cache-control"), Some("no-store"));
        assert_eq!(response.header("x-accel-buffering"), Some("no"));
        assert_eq!(response.header("access-control-allow-origin"), Some("*"));
        assert_eq!(response.header("transfer-encoding"), Some("chunked"));
        assert_eq!(response.header("content-length"), None);
    }
}

#[test]
fn a_stream_has_one_chunk_per_event_and_one_line_per_chunk() {
    let server = start();
    let long = "x".repeat(64 << 10);
    publish(&server, &["a", &long, ""]);
    let (_, mut stream) = subscribe(&server, "/stream?after=0", &[]);
    for (seq, data) in (1..).zip(["a", &long, ""]) {
        assert!(chunk(&mut stream) == Some(line(seq, data)), "event {seq}");
    }
    publish(&server, &["live"]);
    assert_eq!(chunk(&mut stream), Some(line(4, "live")));
}

#[test]
fn an_sse_stream_has_one_chunk_per_event_and_one_block_per_chunk() {
    let server = start();
    publish(&server, &["a", "b"]);
    let (_, mut stream) = subscribe(&server, "/sse?after=0", &[]);
    for (seq, data) in [(1, "a"), (2, "b")] {
        assert_eq!(chunk(&mut stream), Some(block(seq, data)));
    }
    publish(&server, &["live"]);
    assert_eq!(chunk(&mut stream), Some(block(3, "live")));
}

#[test]
fn a_line_break_in_the_data_does_not_end_a_line_or_a_block() {
    let server = start();
    server.feed().publish(0, "one\ntwo\r\n\n\u{2028}three");
    let json = "{\"seq\":1,\"at\":0,\"data\":\"one\\ntwo\\r\\n\\n\u{2028}three\"}";
    assert_eq!(chunk(&mut subscribe(&server, "/stream?after=0", &[]).1), Some(format!("{json}\n")));
    assert_eq!(chunk(&mut subscribe(&server, "/sse?after=0", &[]).1), Some(format!("id: 1\ndata: {json}\n\n")));
    assert_eq!(tcp(&server, "SUB 0\n").line(), format!("{json}\n"));
}

#[test]
fn a_subscriber_without_a_cursor_receives_future_events_only() {
    let server = start();
    publish(&server, &["before"]);
    let (_, mut stream) = subscribe(&server, "/stream", &[]);
    let (_, mut sse) = subscribe(&server, "/sse", &[]);
    publish(&server, &["after"]);
    assert_eq!(chunk(&mut stream), Some(line(2, "after")));
    assert_eq!(chunk(&mut sse), Some(block(2, "after")));
}

#[test]
fn a_stream_resumes_after_its_cursor() {
    let server = start();
    publish(&server, &["a", "b", "c"]);
    assert_eq!(chunk(&mut subscribe(&server, "/stream?after=2", &[]).1), Some(line(3, "c")));
    assert_eq!(chunk(&mut subscribe(&server, "/sse?after=2", &[]).1), Some(block(3, "c")));
    assert_eq!(tcp(&server, "SUB 2\n").line(), line(3, "c"));
}

#[test]
fn last_event_id_has_precedence_over_after() {
    let server = start();
    publish(&server, &["a", "b", "c"]);
    for target in ["/sse?after=0", "/sse?after=99", "/sse"] {
        let (_, mut stream) = subscribe(&server, target, &["Last-Event-ID: 2"]);
        assert_eq!(chunk(&mut stream), Some(block(3, "c")), "{target}");
    }
    let (_, mut stream) = subscribe(&server, "/sse?after=2", &["Last-Event-ID: 0"]);
    assert_eq!(chunk(&mut stream), Some(block(1, "a")));
}

#[test]
fn a_gap_is_sent_in_the_stream_s_envelope_and_the_stream_continues() {
    let server = start_with_history(2);
    publish(&server, &["a", "b", "c", "d", "e"]);
    let gap = gap(&server, 1, 4);
    let epoch = server.feed().epoch.0;

    let (_, mut stream) = subscribe(&server, "/stream?after=1", &[]);
    assert_eq!(chunk(&mut stream), Some(format!("{gap}\n")));
    assert_eq!(chunk(&mut stream), Some(line(4, "d")));

    let (_, mut stream) = subscribe(&server, "/sse?after=1", &[]);
    assert_eq!(chunk(&mut stream), Some(format!("event: gap\nid: 3-{epoch}\ndata: {gap}\n\n")));
    assert_eq!(chunk(&mut stream), Some(block(4, "d")));

    let mut stream = tcp(&server, "SUB 1\n");
    assert_eq!((stream.line(), stream.line()), (format!("{gap}\n"), line(4, "d")));
}

#[test]
fn a_cursor_of_another_feed_gets_a_gap_instead_of_waiting() {
    let server = start();
    publish(&server, &["a", "b"]);
    let epoch = server.feed().epoch.0;
    // The first cursor is beyond the newest event. The second is a number of this feed, but with the epoch of another.
    for (after, cursor) in [("7", 7), ("1-17", 1)] {
        let gap = gap(&server, cursor, 1);
        let (_, mut stream) = subscribe(&server, &format!("/stream?after={after}"), &[]);
        assert_eq!(chunk(&mut stream), Some(format!("{gap}\n")));
        assert_eq!(chunk(&mut stream), Some(line(1, "a")));

        let gap_block = Some(format!("event: gap\nid: 0-{epoch}\ndata: {gap}\n\n"));
        let (_, mut stream) = subscribe(&server, "/sse", &[&format!("Last-Event-ID: {after}")]);
        assert_eq!(chunk(&mut stream), gap_block);
        assert_eq!(chunk(&mut stream), Some(block(1, "a")));

        let mut stream = tcp(&server, &format!("SUB {after}\n"));
        assert_eq!((stream.line(), stream.line()), (format!("{gap}\n"), line(1, "a")));
    }
}

#[test]
fn a_last_event_id_without_an_epoch_has_that_of_after() {
    let server = start();
    publish(&server, &["a", "b"]);
    let own = server.feed().epoch.0;
    for (epoch, id, first) in [(own, "1", "id: 2\n"), (17, "1", "event: gap\n"), (17, &*format!("1-{own}"), "id: 2\n")]
    {
        let target = format!("/sse?after=0-{epoch}");
        let (_, mut stream) = subscribe(&server, &target, &[&format!("Last-Event-ID: {id}")]);
        assert!(chunk(&mut stream).unwrap().starts_with(first), "{target} {id}");
    }
}

// HTTP/1.0 has no chunks (RFC 9112, section 6.1): the body ends with the connection.
#[test]
fn a_stream_in_http_1_0_has_no_chunks() {
    let server = start();
    publish(&server, &["a"]);
    let mut wire = Wire::connect(server.addresses().http);
    wire.send("GET /stream?after=0 HTTP/1.0\r\n\r\n");
    assert_eq!(wire.headers().header("transfer-encoding"), None);
    assert_eq!(wire.line(), line(1, "a"));
}

#[test]
fn every_subscriber_receives_every_event_in_order_also_from_several_publishers() {
    const EVENTS: u64 = 1_000;
    let server = start();
    let (_, mut stream) = subscribe(&server, "/stream?after=0", &[]);
    let mut raw = tcp(&server, "SUB 0\n");
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| (0..EVENTS / 2).for_each(|_| publish(&server, &["x"])));
        }
        scope.spawn(|| (1..=EVENTS).for_each(|seq| assert_eq!(chunk(&mut stream), Some(line(seq, "x")))));
        (1..=EVENTS).for_each(|seq| assert_eq!(raw.line(), line(seq, "x")));
    });
}

#[test]
fn a_subscriber_that_does_not_read_does_not_delay_others_and_gets_gaps() {
    let server = start_with_history(4);
    let (_, mut slow) = subscribe(&server, "/stream", &[]);
    let (_, mut fast) = subscribe(&server, "/stream", &[]);
    let data = "x".repeat(64 << 10);
    // More than fit into the buffers of both sockets.
    const EVENTS: u64 = 1_000;
    for seq in 1..=EVENTS {
        publish(&server, &[&data]);
        assert!(chunk(&mut fast) == Some(line(seq, &data)), "event {seq}");
    }
    let (mut next, mut gaps) = (1, 0);
    while next <= EVENTS {
        let text = chunk(&mut slow).unwrap();
        if let Ok(gap) = protocol::Gap::decode(text.as_bytes()) {
            assert_eq!(gap.after.next_seq(), next);
            next = gap.oldest;
            gaps += 1;
        } else {
            assert_eq!(Event::decode(text.as_bytes()).unwrap().seq, next);
            next += 1;
        }
    }
    assert!(gaps > 0);
}

#[test]
fn a_tcp_subscriber_resumes_after_its_cursor() {
    let server = start();
    publish(&server, &["a", "b"]);
    for request in ["SUB 1\n", "SUB 1\r\n", "SUB 01\n", "SUB 00000000000000000001\r\n"] {
        assert_eq!(tcp(&server, request).line(), line(2, "b"), "{request:?}");
    }
}

#[test]
fn a_tcp_request_may_arrive_in_pieces() {
    let server = start();
    publish(&server, &["a"]);
    let mut wire = Wire::connect(server.addresses().tcp);
    for piece in ["S", "UB", " ", "0", "\r", "\n"] {
        wire.send(piece);
    }
    assert_eq!(wire.line(), line(1, "a"));
}

#[test]
fn a_tcp_subscriber_without_a_cursor_receives_future_events_only() {
    let server = start();
    for request in ["SUB\n", "SUB\r\n"] {
        let before = server.feed().head().0;
        publish(&server, &["before", "before"]);
        let mut stream = TcpStream::connect(server.addresses().tcp).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        let deadline = Instant::now() + TIMEOUT;
        // The protocol does not confirm a subscription, so events are published until one is received.
        let mut first = [0];
        loop {
            publish(&server, &["after"]);
            match stream.read(&mut first) {
                Ok(length) => break assert_eq!((length, first), (1, *b"{")),
                Err(error) => assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}"),
            }
            assert!(Instant::now() < deadline, "no event was received");
        }
        let mut text = String::from("{");
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        while !text.ends_with('\n') {
            assert_eq!(stream.read(&mut first).unwrap(), 1);
            text.push(first[0].into());
        }
        let event = Event::decode(text.as_bytes()).unwrap();
        assert_eq!(event.data, "after");
        assert!(event.seq > before + 2);
    }
}

#[test]
fn bytes_after_the_request_of_a_tcp_subscriber_are_ignored() {
    let server = start();
    let mut wire = tcp(&server, "SUB 0\nSUB 0\n");
    publish(&server, &["a"]);
    assert_eq!(wire.line(), line(1, "a"));
    wire.send("SUB 0\nQUIT\n");
    publish(&server, &["b"]);
    assert_eq!(wire.line(), line(2, "b"));
}

#[test]
fn an_invalid_tcp_request_gets_an_error_and_the_connection_is_closed() {
    let server = start();
    publish(&server, &["a"]);
    let wrong =
        ["\n", "SUB  0\n", "SUB 0 \n", "SUB -1\n", "SUB +1\n", "SUB x\n", "SUB0\n", "sub 0\n", " SUB 0\n", "SUB \n"];
    for request in wrong.into_iter().chain(["SUB 18446744073709551616\n", "GET / HTTP/1.1\r\n", "SUB\u{e9}\n"]) {
        assert_eq!(tcp(&server, request).rest(), b"ERR this port expects: SUB N\n", "{request:?}");
    }
    let mut wire = Wire::connect(server.addresses().tcp);
    wire.send(b"SUB \xff\n");
    assert_eq!(wire.rest(), b"ERR this port expects: SUB N\n");
}

#[test]
fn a_tcp_request_that_is_too_long_gets_an_error() {
    let server = start();
    for request in ["x".repeat(47), format!("SUB {}", "0".repeat(43)), "x".repeat(10_000)] {
        let mut wire = tcp(&server, &request);
        assert_eq!(wire.line(), "ERR this port expects: SUB N\n", "{} bytes", request.len());
    }
}

#[test]
fn the_subscription_of_a_tcp_client_ends_when_the_client_ends_its_side() {
    let server = start();
    publish(&server, &["a"]);
    let mut stream = TcpStream::connect(server.addresses().tcp).unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    stream.write_all(b"SUB 1\n").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    let mut stream = TcpStream::connect(server.addresses().tcp).unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    stream.write_all(b"SUB").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    assert_eq!(response, "ERR this port expects: SUB N\n");
}

#[test]
fn the_connections_of_disconnected_subscribers_are_closed_even_if_nothing_is_published() {
    let server = start();
    let (_, stream) = subscribe(&server, "/stream", &[]);
    let (_, sse) = subscribe(&server, "/sse", &[]);
    let long_poll = Wire::request(&server, "GET", "/long-poll?wait=60s", &[]);
    let raw = tcp(&server, "SUB 0\n");
    drop((stream, sse, long_poll, raw));
    // All four were accepted, and only the connection that requests /load is left.
    wait_until(&server, |load| load.connections_accepted >= 5 && load.connections_open == 1);
}
