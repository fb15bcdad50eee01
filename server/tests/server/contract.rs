//! HTTP: methods, hosts, queries and bodies, and the responses to invalid ones.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use protocol::{Cursor, Event};
use server::Server;

use crate::support::{Response, TIMEOUT, Wire, get, publish, start};

const MAX_PAYLOAD_BYTES: usize = 64 << 10;

fn fetch(server: &Server, method: &str, target: &str, headers: &[&str]) -> (Response, String) {
    Wire::request(server, method, target, headers).response()
}

fn post(server: &Server, headers: &[&str], body: &[u8]) -> (Response, String) {
    let length = format!("Content-Length: {}", body.len());
    let mut wire = Wire::request(server, "POST", "/publish", &[&[&length[..]], headers].concat());
    wire.send(body);
    wire.response()
}

/// Sends a request that the server may reject before it has read all of it, and reads until the end of the connection.
fn send_and_read(server: &Server, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.addresses().http).unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    // The server may respond, and close the connection, before all of this is written.
    let _ = stream.write_all(request);
    let mut response = Vec::new();
    let _ = stream.read_to_end(&mut response);
    String::from_utf8(response).unwrap()
}

#[test]
fn an_unknown_path_is_404_with_the_path_of_the_index() {
    let server = start();
    for target in ["/nothing", "/poll/", "/Poll", "//", "/poll%20"] {
        let (response, body) = get(&server, target);
        assert_eq!(response.status, 404, "{target}");
        assert_eq!(body, "nothing here; the index is at /\n");
    }
    assert_eq!(fetch(&server, "POST", "/nothing", &["Content-Length: 0"]).0.status, 404);
}

#[test]
fn a_wrong_method_is_405_with_the_allowed_methods() {
    let server = start();
    let read = [
        "/",
        "/poll",
        "/long-poll",
        "/stream",
        "/sse",
        "/time",
        "/load",
        "/metrics",
        "/published",
        "/viewers",
        "/healthz",
        "/slides",
    ];
    // A WebSocket can be opened with GET only (RFC 6455, section 4.1).
    let websockets = ["/ws", "/echo"];
    for (path, allow) in read.map(|path| (path, "GET, HEAD")).into_iter().chain(websockets.map(|path| (path, "GET"))) {
        for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "get"] {
            let (response, body) = fetch(&server, method, path, &["Content-Length: 0"]);
            assert_eq!((response.status, response.header("allow")), (405, Some(allow)), "{method} {path}");
            assert_eq!(body, format!("this path allows {allow}\n"));
        }
    }
    for method in ["GET", "PUT", "DELETE", "OPTIONS"] {
        let (response, _) = fetch(&server, method, "/publish", &[]);
        assert_eq!((response.status, response.header("allow")), (405, Some("POST")), "{method}");
    }
    let response = Wire::request(&server, "HEAD", "/publish", &[]).headers();
    assert_eq!((response.status, response.header("allow")), (405, Some("POST")));
}

#[test]
fn the_response_to_head_is_that_to_get_without_the_body() {
    let server = start();
    publish(&server, &["a"]);
    for target in ["/", "/poll?after=0", "/long-poll?after=0", "/poll?after=9", "/published", "/healthz", "/nothing"] {
        let (got, body) = get(&server, target);
        let mut wire = Wire::request(&server, "HEAD", target, &[]);
        let response = wire.headers();
        assert_eq!(response.status, got.status, "{target}");
        for name in ["content-type", "content-length", "cursor", "cache-control"] {
            assert_eq!(response.header(name), got.header(name), "{name} of {target}");
        }
        assert!(!body.is_empty());
        // If there were a body, it would be parsed as the status line of the next response.
        wire.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert_eq!(wire.response().1, "ok\n", "{target}");
    }
}

#[test]
fn the_response_to_head_of_a_stream_ends_after_its_headers() {
    let server = start();
    publish(&server, &["a"]);
    for (target, content_type) in [("/stream?after=0", "application/x-ndjson"), ("/sse?after=0", "text/event-stream")] {
        let mut wire = Wire::request(&server, "HEAD", target, &[]);
        let response = wire.headers();
        assert_eq!((response.status, response.header("content-type")), (200, Some(content_type)));
        wire.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert_eq!(wire.response().1, "ok\n");
    }
}

#[test]
fn an_invalid_query_is_400_with_the_error_and_the_valid_values() {
    let server = start();
    let invalid_cursor = "after: a cursor is an event's number in digits, like 41, or that with its feed's epoch, like 41-1763740800123\n";
    for path in ["/poll", "/long-poll", "/stream", "/sse", "/ws", "/published"] {
        for value in ["x", "", "-1", "+1", "1.0", "0x1", "%31", "18446744073709551616"] {
            let (response, body) = get(&server, &format!("{path}?after={value}"));
            assert_eq!((response.status, body.as_str()), (400, invalid_cursor), "{path} {value:?}");
        }
        let (response, body) = get(&server, &format!("{path}?after=1&after=1"));
        assert_eq!((response.status, body.as_str()), (400, "after is given twice\n"), "{path}");
        let (response, body) = get(&server, &format!("{path}?afer=1"));
        let known = match path {
            "/long-poll" => "after and wait and lane",
            "/published" => "after",
            "/ws" => "after and lane and compression",
            _ => "after and lane",
        };
        assert_eq!((response.status, body), (400, format!("unknown parameter; this path has {known}\n")), "{path}");
        assert_eq!(get(&server, &format!("{path}?After=1")).0.status, 400, "names are case-sensitive");
    }
    for path in ["/", "/time", "/load", "/metrics", "/healthz"] {
        let (response, body) = get(&server, &format!("{path}?after=1"));
        assert_eq!((response.status, body.as_str()), (400, "this path has no parameters\n"), "{path}");
    }
    let (response, body) = fetch(&server, "POST", "/publish?after=1", &["Content-Length: 0"]);
    assert_eq!((response.status, body.as_str()), (400, "unknown parameter; this path has lane\n"));
    assert_eq!(server.feed().head(), Cursor(0));
    assert_eq!(get(&server, "/poll?wait=1s").1, "unknown parameter; this path has after and lane\n");
}

#[test]
fn an_empty_query_is_the_same_as_none() {
    let server = start();
    for target in ["/healthz?", "/healthz?&", "/poll?", "/poll?&after=0&"] {
        assert!(matches!(get(&server, target).0.status, 200 | 204), "{target}");
    }
}

#[test]
fn an_invalid_wait_is_400_with_the_valid_values() {
    let server = start();
    for wait in ["61s", "-1s", "", "5", "s", "soon", "1h", "1e3s", "99999999999999999999999s"] {
        let (response, body) = get(&server, &format!("/long-poll?wait={wait}"));
        let error = "wait: a duration like 25s or 500ms, at most 60s\n";
        assert_eq!((response.status, body.as_str()), (400, error), "{wait:?}");
    }
    assert_eq!(get(&server, "/long-poll?wait=1ms&wait=1ms").1, "wait is given twice\n");
}

#[test]
fn an_invalid_last_event_id_is_400() {
    let server = start();
    for id in ["x", "-1", "1 2", "18446744073709551616", "\u{e9}"] {
        let (response, body) = fetch(&server, "GET", "/sse", &[&format!("Last-Event-ID: {id}")]);
        assert_eq!(response.status, 400, "{id:?}");
        assert!(body.starts_with("Last-Event-ID: a cursor is an event's number"), "{body}");
    }
}

#[test]
fn bytes_that_are_not_http_are_rejected_and_other_connections_are_served() {
    let server = start();
    for garbage in
        ["SUB 0\n\r\n\r\n", "\x16\x03\x01\x02\0\x01\0\x01\u{fc}\x03\x03\r\n\r\n", "GET /poll HTTP/9.9\r\n\r\n"]
    {
        let response = send_and_read(&server, garbage.as_bytes());
        assert!(response.is_empty() || response.starts_with("HTTP/1.1 400 "), "{response}");
    }
    let long = format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "a".repeat(1 << 20));
    let response = send_and_read(&server, long.as_bytes());
    assert!(["HTTP/1.1 414 ", "HTTP/1.1 431 "].iter().any(|status| response.starts_with(status)), "{response}");
    assert_eq!(get(&server, "/healthz").1, "ok\n");
}

// RFC 9112, section 3.2.
#[test]
fn a_request_without_exactly_one_host_is_400() {
    let server = start();
    for host in ["", "Host: localhost\r\nHost: localhost\r\n"] {
        let response =
            send_and_read(&server, format!("GET /healthz HTTP/1.1\r\nConnection: close\r\n{host}\r\n").as_bytes());
        assert!(response.starts_with("HTTP/1.1 400 "), "{host:?}: {response:?}");
    }
    // HTTP/1.0 has no such header.
    assert!(send_and_read(&server, b"GET /healthz HTTP/1.0\r\n\r\n").starts_with("HTTP/1.0 200 "));
}

#[test]
fn a_posted_body_is_published_and_the_response_has_its_sequence_number() {
    let server = start();
    let (response, body) = post(&server, &[], "h\u{e9}llo \"\n".as_bytes());
    assert_eq!((response.status, response.header("content-type")), (202, Some("application/json")));
    assert_eq!(body, "{\"seq\":1}\n");
    assert_eq!(post(&server, &[], b"").1, "{\"seq\":2}\n");
    let (_, body) = get(&server, "/poll?after=0");
    let events: Vec<_> = body.lines().map(|line| Event::decode(line.as_bytes()).unwrap()).collect();
    assert_eq!(events.iter().map(|event| event.seq).collect::<Vec<_>>(), [1, 2]);
    assert_eq!((events[0].data.as_ref(), events[1].data.as_ref()), ("h\u{e9}llo \"\n", ""));
    assert!(0 < events[0].at && events[0].at <= events[1].at);
}

#[test]
fn a_chunked_body_is_published_as_one_event() {
    let server = start();
    let mut wire = Wire::request(&server, "POST", "/publish", &["Transfer-Encoding: chunked"]);
    for part in ["3\r\nabc\r\n", "1", "\r\nd\r\n", "0\r\n\r\n"] {
        wire.send(part);
    }
    assert_eq!(wire.response().1, "{\"seq\":1}\n");
    assert!(get(&server, "/poll?after=0").1.contains(r#""data":"abcd""#));
}

#[test]
fn a_client_that_expects_100_continue_gets_it() {
    let server = start();
    let headers = ["Content-Length: 1", "Expect: 100-continue"];
    let mut wire = Wire::request(&server, "POST", "/publish", &headers);
    assert_eq!(wire.headers().status, 100);
    wire.send("a");
    assert_eq!(wire.response().0.status, 202);
    let headers = ["Content-Length: 65537", "Expect: 100-continue"];
    assert_eq!(Wire::request(&server, "POST", "/publish", &headers).headers().status, 413);
}

#[test]
fn a_body_of_64_kib_is_published_and_one_byte_more_is_413() {
    let server = start();
    assert_eq!(post(&server, &[], &[b'a'; MAX_PAYLOAD_BYTES]).0.status, 202);
    let chunked = |length: usize| {
        let headers =
            "POST /publish HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
        // Two chunks, neither of which is too large by itself.
        let (first, second) = (length / 2, length - length / 2);
        let body = [first, second].map(|length| format!("{length:x}\r\n{}\r\n", "a".repeat(length))).concat();
        send_and_read(&server, format!("{headers}{body}0\r\n\r\n").as_bytes())
    };
    assert!(chunked(MAX_PAYLOAD_BYTES).starts_with("HTTP/1.1 202 "));
    let announced =
        format!("POST /publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", MAX_PAYLOAD_BYTES + 1);
    for response in [
        send_and_read(&server, announced.as_bytes()),
        send_and_read(&server, [announced.as_bytes(), &[b'a'; MAX_PAYLOAD_BYTES + 1]].concat().as_slice()),
        chunked(MAX_PAYLOAD_BYTES + 1),
        send_and_read(
            &server,
            b"POST /publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9223372036854775807\r\n\r\n",
        ),
    ] {
        assert!(response.starts_with("HTTP/1.1 413 "), "{response}");
        assert!(response.ends_with("\r\n\r\nthe body must be at most 65536 bytes\n"), "{response}");
    }
    assert_eq!(server.feed().head(), Cursor(2), "rejected bodies are not published");
}

#[test]
fn a_body_that_is_not_utf8_or_not_complete_is_400() {
    let server = start();
    for body in [&b"\xff"[..], b"caf\xc3", b"\xed\xa0\x80"] {
        let (response, text) = post(&server, &[], body);
        assert_eq!((response.status, text.as_str()), (400, "an event's data must be UTF-8 text\n"));
    }
    let mut stream = TcpStream::connect(server.addresses().http).unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    stream.write_all(b"POST /publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nabc").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).expect("the server does not close the connection");
    assert!(response.is_empty() || response.starts_with("HTTP/1.1 400 "), "{response}");
    assert_eq!(server.feed().head(), Cursor(0));
}

#[test]
fn only_the_servers_own_pages_may_publish() {
    let server = start();
    let own = format!("Origin: http://{}", server.addresses().http);
    assert_eq!(post(&server, &[&own], b"a").0.status, 202);
    let secure = format!("Origin: https://{}", server.addresses().http);
    let foreign = ["Origin: http://evil.example", "Origin: null", "Origin: http://127.0.0.1:1", "Origin:", &secure];
    for origin in foreign {
        let (response, body) = post(&server, &[origin], b"a");
        assert_eq!((response.status, body.as_str()), (403, "only pages of this server may publish\n"), "{origin}");
    }
    assert_eq!(post(&server, &[&own, foreign[0]], b"a").0.status, 403);
    assert_eq!(server.feed().head(), Cursor(1));
}

#[test]
fn a_connection_is_closed_after_the_response_if_the_client_requests_that() {
    let server = start();
    let mut wire = Wire::request(&server, "GET", "/healthz", &["Connection: close"]);
    let (response, body) = wire.response();
    assert_eq!((response.header("connection"), body.as_str()), (Some("close"), "ok\n"));
    assert_eq!(wire.rest(), b"");
}
