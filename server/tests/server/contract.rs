//! HTTP as the standards have it: methods, hosts, queries, bodies, and what is answered to whatever is wrong with them.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use protocol::{Cursor, Event};
use server::Server;

use crate::support::{Head, PATIENCE, Wire, get, publish, start};

const LARGEST: usize = 64 << 10;

fn ask(server: &Server, method: &str, target: &str, headers: &[&str]) -> (Head, String) {
    Wire::request(server, method, target, headers).answer()
}

fn post(server: &Server, headers: &[&str], body: &[u8]) -> (Head, String) {
    let length = format!("Content-Length: {}", body.len());
    let mut wire = Wire::request(server, "POST", "/publish", &[&[&length[..]], headers].concat());
    wire.send(body);
    wire.answer()
}

/// Sends what the server may refuse before it has read it all, and reads all that comes back before the end.
fn refused(server: &Server, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.addresses().http).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // The refusal may come, and end the connection, while this is being written.
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8(answer).unwrap()
}

#[test]
fn an_unknown_path_is_404_and_names_the_index() {
    let server = start();
    for target in ["/nothing", "/poll/", "/Poll", "//", "/poll%20"] {
        let (head, body) = get(&server, target);
        assert_eq!(head.status, 404, "{target}");
        assert_eq!(body, "nothing here; the index is at /\n");
    }
    assert_eq!(ask(&server, "POST", "/nothing", &["Content-Length: 0"]).0.status, 404);
}

#[test]
fn a_wrong_method_is_405_with_the_methods_that_are_right() {
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
    // A WebSocket is opened by GET alone (RFC 6455, section 4.1).
    let opened = ["/ws", "/echo"];
    for (path, allow) in read.map(|path| (path, "GET, HEAD")).into_iter().chain(opened.map(|path| (path, "GET"))) {
        for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "get"] {
            let (head, body) = ask(&server, method, path, &["Content-Length: 0"]);
            assert_eq!((head.status, head.header("allow")), (405, Some(allow)), "{method} {path}");
            assert_eq!(body, format!("this path serves {allow}\n"));
        }
    }
    for method in ["GET", "PUT", "DELETE", "OPTIONS"] {
        let (head, _) = ask(&server, method, "/publish", &[]);
        assert_eq!((head.status, head.header("allow")), (405, Some("POST")), "{method}");
    }
    let head = Wire::request(&server, "HEAD", "/publish", &[]).head();
    assert_eq!((head.status, head.header("allow")), (405, Some("POST")));
}

#[test]
fn head_is_answered_like_get_without_the_body() {
    let server = start();
    publish(&server, &["a"]);
    for target in ["/", "/poll?after=0", "/long-poll?after=0", "/poll?after=9", "/published", "/healthz", "/nothing"] {
        let (got, body) = get(&server, target);
        let mut wire = Wire::request(&server, "HEAD", target, &[]);
        let head = wire.head();
        assert_eq!(head.status, got.status, "{target}");
        for name in ["content-type", "content-length", "cursor", "cache-control"] {
            assert_eq!(head.header(name), got.header(name), "{name} of {target}");
        }
        assert!(!body.is_empty());
        // Were there a body, it would stand where the next answer's status line is looked for.
        wire.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert_eq!(wire.answer().1, "ok\n", "{target}");
    }
}

#[test]
fn head_of_an_endless_response_ends_with_its_head() {
    let server = start();
    publish(&server, &["a"]);
    for (target, content_type) in [("/stream?after=0", "application/x-ndjson"), ("/sse?after=0", "text/event-stream")] {
        let mut wire = Wire::request(&server, "HEAD", target, &[]);
        let head = wire.head();
        assert_eq!((head.status, head.header("content-type")), (200, Some(content_type)));
        wire.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert_eq!(wire.answer().1, "ok\n");
    }
}

#[test]
fn a_wrong_query_is_400_and_the_body_says_what_is_right() {
    let server = start();
    let no_cursor = "after: a cursor is an event's number in digits, like 41, or that with its feed's epoch, like 41-1763740800123\n";
    for path in ["/poll", "/long-poll", "/stream", "/sse", "/ws", "/published"] {
        for value in ["x", "", "-1", "+1", "1.0", "0x1", "%31", "18446744073709551616"] {
            let (head, body) = get(&server, &format!("{path}?after={value}"));
            assert_eq!((head.status, body.as_str()), (400, no_cursor), "{path} {value:?}");
        }
        let (head, body) = get(&server, &format!("{path}?after=1&after=1"));
        assert_eq!((head.status, body.as_str()), (400, "after is given twice\n"), "{path}");
        let (head, body) = get(&server, &format!("{path}?afer=1"));
        let takes = match path {
            "/long-poll" => "after and wait and lane",
            "/published" => "after",
            _ => "after and lane",
        };
        assert_eq!((head.status, body), (400, format!("unknown parameter; this path takes {takes}\n")), "{path}");
        assert_eq!(get(&server, &format!("{path}?After=1")).0.status, 400, "names are written small");
    }
    for path in ["/", "/echo", "/time", "/load", "/metrics", "/healthz"] {
        let (head, body) = get(&server, &format!("{path}?after=1"));
        assert_eq!((head.status, body.as_str()), (400, "this path takes no parameters\n"), "{path}");
    }
    let (head, body) = ask(&server, "POST", "/publish?after=1", &["Content-Length: 0"]);
    assert_eq!((head.status, body.as_str()), (400, "unknown parameter; this path takes lane\n"));
    assert_eq!(server.feed().head(), Cursor(0));
    assert_eq!(get(&server, "/poll?wait=1s").1, "unknown parameter; this path takes after and lane\n");
}

#[test]
fn an_empty_query_is_as_good_as_none() {
    let server = start();
    for target in ["/healthz?", "/healthz?&", "/poll?", "/poll?&after=0&"] {
        assert!(matches!(get(&server, target).0.status, 200 | 204), "{target}");
    }
}

#[test]
fn a_wrong_wait_is_400_and_the_body_says_what_is_right() {
    let server = start();
    for wait in ["61s", "-1s", "", "5", "s", "soon", "1h", "1e3s", "99999999999999999999999s"] {
        let (head, body) = get(&server, &format!("/long-poll?wait={wait}"));
        let right = "wait: a duration like 25s or 500ms, at most 60s\n";
        assert_eq!((head.status, body.as_str()), (400, right), "{wait:?}");
    }
    assert_eq!(get(&server, "/long-poll?wait=1ms&wait=1ms").1, "wait is given twice\n");
}

#[test]
fn a_wrong_last_event_id_is_400() {
    let server = start();
    for id in ["x", "-1", "1 2", "18446744073709551616", "\u{e9}"] {
        let (head, body) = ask(&server, "GET", "/sse", &[&format!("Last-Event-ID: {id}")]);
        assert_eq!(head.status, 400, "{id:?}");
        assert!(body.starts_with("Last-Event-ID: a cursor is an event's number"), "{body}");
    }
}

#[test]
fn what_is_not_http_is_refused_and_the_server_serves_on() {
    let server = start();
    for garbage in
        ["SUB 0\n\r\n\r\n", "\x16\x03\x01\x02\0\x01\0\x01\u{fc}\x03\x03\r\n\r\n", "GET /poll HTTP/9.9\r\n\r\n"]
    {
        let answer = refused(&server, garbage.as_bytes());
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{answer}");
    }
    let long = format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "a".repeat(1 << 20));
    let answer = refused(&server, long.as_bytes());
    assert!(["HTTP/1.1 414 ", "HTTP/1.1 431 "].iter().any(|status| answer.starts_with(status)), "{answer}");
    assert_eq!(get(&server, "/healthz").1, "ok\n");
}

// RFC 9112, section 3.2.
#[test]
fn a_request_without_exactly_one_host_is_400() {
    let server = start();
    for host in ["", "Host: localhost\r\nHost: localhost\r\n"] {
        let answer = refused(&server, format!("GET /healthz HTTP/1.1\r\nConnection: close\r\n{host}\r\n").as_bytes());
        assert!(answer.starts_with("HTTP/1.1 400 "), "{host:?} is answered with {answer:?}");
    }
    // HTTP/1.0 knew no such header.
    assert!(refused(&server, b"GET /healthz HTTP/1.0\r\n\r\n").starts_with("HTTP/1.0 200 "));
}

#[test]
fn what_is_posted_is_published_and_the_answer_gives_its_seq() {
    let server = start();
    let (head, body) = post(&server, &[], "h\u{e9}llo \"\n".as_bytes());
    assert_eq!((head.status, head.header("content-type")), (202, Some("application/json")));
    assert_eq!(body, "{\"seq\":1}\n");
    assert_eq!(post(&server, &[], b"").1, "{\"seq\":2}\n");
    let (_, body) = get(&server, "/poll?after=0");
    let events: Vec<_> = body.lines().map(|line| Event::decode(line.as_bytes()).unwrap()).collect();
    assert_eq!(events.iter().map(|event| event.seq).collect::<Vec<_>>(), [1, 2]);
    assert_eq!((events[0].data.as_ref(), events[1].data.as_ref()), ("h\u{e9}llo \"\n", ""));
    assert!(0 < events[0].at && events[0].at <= events[1].at);
}

#[test]
fn a_chunked_post_is_one_event() {
    let server = start();
    let mut wire = Wire::request(&server, "POST", "/publish", &["Transfer-Encoding: chunked"]);
    for part in ["3\r\nabc\r\n", "1", "\r\nd\r\n", "0\r\n\r\n"] {
        wire.send(part);
    }
    assert_eq!(wire.answer().1, "{\"seq\":1}\n");
    assert!(get(&server, "/poll?after=0").1.contains(r#""data":"abcd""#));
}

#[test]
fn a_client_that_expects_to_be_told_to_continue_is_told_so() {
    let server = start();
    let headers = ["Content-Length: 1", "Expect: 100-continue"];
    let mut wire = Wire::request(&server, "POST", "/publish", &headers);
    assert_eq!(wire.head().status, 100);
    wire.send("a");
    assert_eq!(wire.answer().0.status, 202);
    let headers = ["Content-Length: 65537", "Expect: 100-continue"];
    assert_eq!(Wire::request(&server, "POST", "/publish", &headers).head().status, 413);
}

#[test]
fn a_post_of_64_kib_is_published_and_one_of_a_byte_more_is_413() {
    let server = start();
    assert_eq!(post(&server, &[], &[b'a'; LARGEST]).0.status, 202);
    let chunked = |length: usize| {
        let head =
            "POST /publish HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
        // Two chunks, neither of them too large by itself.
        let (first, second) = (length / 2, length - length / 2);
        let body = [first, second].map(|length| format!("{length:x}\r\n{}\r\n", "a".repeat(length))).concat();
        refused(&server, format!("{head}{body}0\r\n\r\n").as_bytes())
    };
    assert!(chunked(LARGEST).starts_with("HTTP/1.1 202 "));
    let announced = format!("POST /publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", LARGEST + 1);
    for answer in [
        refused(&server, announced.as_bytes()),
        refused(&server, [announced.as_bytes(), &[b'a'; LARGEST + 1]].concat().as_slice()),
        chunked(LARGEST + 1),
        refused(&server, b"POST /publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9223372036854775807\r\n\r\n"),
    ] {
        assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
        assert!(answer.ends_with("\r\n\r\nan event's data is at most 65536 bytes\n"), "{answer}");
    }
    assert_eq!(server.feed().head(), Cursor(2), "what is refused is not published");
}

#[test]
fn a_post_that_is_not_utf8_or_not_whole_is_400() {
    let server = start();
    for body in [&b"\xff"[..], b"caf\xc3", b"\xed\xa0\x80"] {
        let (head, text) = post(&server, &[], body);
        assert_eq!((head.status, text.as_str()), (400, "an event's data is UTF-8 text\n"));
    }
    let mut stream = TcpStream::connect(server.addresses().http).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"POST /publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nabc").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the end of the connection");
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{answer}");
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
        let (head, body) = post(&server, &[origin], b"a");
        assert_eq!((head.status, body.as_str()), (403, "only pages of this server may publish\n"), "{origin}");
    }
    assert_eq!(post(&server, &[&own, foreign[0]], b"a").0.status, 403);
    assert_eq!(server.feed().head(), Cursor(1));
}

#[test]
fn a_connection_ends_behind_the_answer_when_the_client_asks_for_that() {
    let server = start();
    let mut wire = Wire::request(&server, "GET", "/healthz", &["Connection: close"]);
    let (head, body) = wire.answer();
    assert_eq!((head.header("connection"), body.as_str()), (Some("close"), "ok\n"));
    assert_eq!(wire.rest(), b"");
}
