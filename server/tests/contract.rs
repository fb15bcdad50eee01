//! The HTTP endpoints, as their documentation promises them, and what they answer to bad input.

#[path = "support/figures.rs"]
mod figures;
mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use figures::{load, wait_until};
use protocol::status::{Published, Time};
use protocol::{Cursor, Epoch, Event, Gap};
use server::Server;
use support::{Head, PATIENCE, Wire, event, get, publish, start, start_with_history};

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

fn cursor(head: &Head) -> Option<u64> {
    head.header("cursor").map(|cursor| cursor.parse().unwrap())
}

fn lines(body: &str) -> Vec<&str> {
    assert!(body.is_empty() || body.ends_with('\n'));
    body.lines().collect()
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
            "/ws" => "after and lane and token",
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
    assert_eq!((head.status, body.as_str()), (400, "unknown parameter; this path takes lane and token\n"));
    assert_eq!(server.feed().head(), Cursor(0));
    assert_eq!(get(&server, "/poll?wait=1s").1, "unknown parameter; this path takes after and lane\n");
}

#[test]
fn a_browser_gets_the_page_at_the_root_and_each_of_its_files_is_there() {
    let server = start();
    let (head, page) = ask(&server, "GET", "/", &["Accept: text/html,*/*"]);
    assert_eq!((head.status, head.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert_eq!(ask(&server, "POST", "/", &["Accept: text/html", "Content-Length: 0"]).0.status, 405);
    let (head, script) = get(&server, "/page/transport/websocket.js");
    assert_eq!((head.status, head.header("content-type")), (200, Some("text/javascript; charset=utf-8")));
    assert!(page.contains("/page/main.js") && script.contains("new WebSocket"));
    assert_eq!(get(&server, "/page/nothing.js").0.status, 404);
}

#[test]
fn the_slides_are_there_in_the_language_that_the_browser_asks_for() {
    let server = start();
    let (head, _) = ask(&server, "GET", "/slides?token=secret", &["Accept-Language: ko-KR, en"]);
    assert_eq!((head.status, head.header("location")), (302, Some("/slides/ko.html?token=secret")));
    for (path, language) in [("/slides/en.html", "en"), ("/slides/ko.html#3", "ko")] {
        let (head, page) = get(&server, path.split('#').next().unwrap());
        assert_eq!((head.status, head.header("content-type")), (200, Some("text/html; charset=utf-8")));
        assert!(page.contains(&format!("<html lang=\"{language}\"")));
    }
    assert_eq!(get(&server, "/slides?\u{7f}").0.status, 400);
    assert_eq!(get(&server, "/slides/fr.html").0.status, 404);
    assert_eq!(get(&server, "/slidesen.html").0.status, 404);
}

#[test]
fn the_viewers_address_is_the_servers_own() {
    let server = start();
    let (head, body) = get(&server, "/viewers");
    let told: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!((head.status, &told["this_machine_only"]), (200, &serde_json::json!(true)));
    assert_eq!(told["url"], format!("http://{}/", server.addresses().http));
}

#[test]
fn a_control_does_what_it_can_and_says_what_is_wrong_with_the_rest() {
    let server = start();
    let wish = |wish: &str| {
        let mut wire = Wire::request(&server, "POST", "/control", &[&format!("Content-Length: {}", wish.len())]);
        wire.send(wish);
        let (head, body) = wire.answer();
        (head.status, body)
    };
    assert_eq!(wish(r#"{"burst":3}"#), (204, String::new()));
    assert_eq!(server.feed().head(), Cursor(3));
    assert_eq!(wish(r#"{"payload":7,"cut":"nobody"}"#).0, 204);
    for (wrong, right) in [
        ("{", "a wish is JSON"),
        (r#"{"speed":1}"#, "rate, payload, burst or cut"),
        (r#"{"rate":-1}"#, "rate: events a second"),
        (r#"{"payload":70000}"#, "payload: bytes"),
        (r#"{"burst":1001}"#, "burst: events"),
    ] {
        let (status, body) = wish(wrong);
        assert!(status == 400 && body.contains(right), "{wrong}: {status} {body}");
    }
    assert_eq!(server.feed().head(), Cursor(3), "a wish that is wrong in part is not done in part");
    assert_eq!(get(&server, "/control").0.status, 405);
    assert_eq!(get(&server, "/watch").0.status, 400);
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
    let events: Vec<_> = lines(&body).into_iter().map(|line| Event::decode(line.as_bytes()).unwrap()).collect();
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
    let foreign = ["Origin: http://evil.example", "Origin: null", "Origin: http://127.0.0.1:1", "Origin:"];
    for origin in foreign {
        let (head, body) = post(&server, &[origin], b"a");
        assert_eq!((head.status, body.as_str()), (403, "only pages of this server may publish\n"), "{origin}");
    }
    assert_eq!(post(&server, &[&own, foreign[0]], b"a").0.status, 403);
    assert_eq!(server.feed().head(), Cursor(1));
}

#[test]
fn a_poll_gives_all_that_follows_its_cursor_and_the_next_cursor() {
    let server = start();
    publish(&server, &["a", "b", "c"]);
    for path in ["/poll", "/long-poll"] {
        let (head, body) = get(&server, &format!("{path}?after=1"));
        assert_eq!((head.status, cursor(&head)), (200, Some(3)));
        assert_eq!(head.header("content-type"), Some("application/x-ndjson"));
        assert_eq!(head.header("cache-control"), Some("no-store"));
        assert_eq!(lines(&body), [event(2, "b"), event(3, "c")]);
    }
    let (head, _) = get(&server, "/poll?after=3");
    assert_eq!((head.status, cursor(&head)), (204, Some(3)));
}

// RFC 9110, sections 8.6 and 15.3.5.
#[test]
fn an_answer_without_content_has_neither_body_nor_length() {
    let server = start();
    for target in ["/poll", "/long-poll?wait=10ms"] {
        let mut wire = Wire::request(&server, "GET", target, &[]);
        let head = wire.head();
        assert_eq!((head.status, cursor(&head)), (204, Some(0)));
        for name in ["content-length", "transfer-encoding", "content-type"] {
            assert_eq!(head.header(name), None);
        }
        wire.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert_eq!(wire.answer().1, "ok\n");
    }
}

// A script sees no headers of a foreign answer but a few basic ones, unless they are named (Fetch, section 3.3).
#[test]
fn a_page_of_another_origin_may_read_the_cursor() {
    let server = start_with_history(1);
    publish(&server, &["a", "b"]);
    for (target, status) in [("/poll?after=1", 200), ("/poll", 204), ("/poll?after=0", 410)] {
        let (head, _) = ask(&server, "GET", target, &["Origin: http://other.example"]);
        assert_eq!((head.status, head.header("access-control-allow-origin")), (status, Some("*")));
        let exposed = head.header("access-control-expose-headers").unwrap_or_default().to_ascii_lowercase();
        assert!(exposed.split(',').any(|name| matches!(name.trim(), "cursor" | "*")), "{target}: {head:?}");
    }
}

#[test]
fn a_poll_without_a_cursor_starts_at_the_head() {
    let server = start();
    publish(&server, &["a", "b"]);
    for target in ["/poll", "/long-poll?wait=10ms"] {
        let (head, _) = get(&server, target);
        assert_eq!((head.status, cursor(&head)), (204, Some(2)));
    }
}

#[test]
fn many_large_events_take_several_polls_and_each_comes_once() {
    let server = start();
    let data = "x".repeat(LARGEST);
    (0..40).for_each(|_| publish(&server, &[&data]));
    for path in ["/poll?", "/long-poll?wait=1ms&"] {
        let (mut after, mut seqs, mut polls) = (0, Vec::new(), 0);
        loop {
            let (head, body) = get(&server, &format!("{path}after={after}"));
            after = cursor(&head).unwrap();
            if head.status == 204 {
                break;
            }
            assert!(body.len() < 2 * LARGEST + (1 << 20), "{} bytes", body.len());
            seqs.extend(lines(&body).into_iter().map(|line| Event::decode(line.as_bytes()).unwrap().seq));
            assert_eq!(seqs.last(), Some(&after));
            polls += 1;
        }
        assert_eq!(seqs, (1..=40).collect::<Vec<u64>>());
        assert!(polls > 1);
    }
}

#[test]
fn a_poll_whose_cursor_has_left_the_history_is_410_with_the_gap_and_the_next_cursor() {
    let server = start_with_history(2);
    publish(&server, &["a", "b", "c", "d", "e"]);
    for path in ["/poll", "/long-poll", "/published"] {
        let (head, body) = get(&server, &format!("{path}?after=1"));
        assert_eq!((head.status, cursor(&head)), (410, Some(3)), "{path}");
        assert_eq!(head.header("content-type"), Some("application/json"));
        assert_eq!(body, format!("{{\"gap\":{{\"after\":1,\"oldest\":4,\"epoch\":{}}}}}\n", server.feed().epoch.0));
        assert_eq!(get(&server, &format!("{path}?after=3")).0.status, 200, "the cursor to go on from works");
    }
}

#[test]
fn a_cursor_from_before_a_restart_is_told_as_a_gap_and_not_waited_for() {
    let server = start();
    for path in ["/poll", "/long-poll", "/published"] {
        for after in [7, u64::MAX] {
            let (head, body) = get(&server, &format!("{path}?after={after}"));
            assert_eq!((head.status, cursor(&head)), (410, Some(0)), "{path}");
            let gap = Gap::decode(body.as_bytes()).unwrap();
            assert_eq!((gap.after, gap.oldest, gap.epoch), (Cursor(after), 1, server.feed().epoch));
        }
    }
}

#[test]
fn a_cursor_that_says_it_is_of_another_feed_is_told_so_even_where_this_one_has_its_number() {
    let server = start();
    publish(&server, &["a", "b", "c"]);
    let Epoch(epoch) = server.feed().epoch;
    for path in ["/poll", "/long-poll", "/published"] {
        assert_eq!(get(&server, &format!("{path}?after=1-{epoch}")).0.status, 200, "{path}");
        let (head, body) = get(&server, &format!("{path}?after=1-17"));
        assert_eq!((head.status, cursor(&head)), (410, Some(0)), "{path}");
        assert_eq!(Gap::decode(body.as_bytes()).unwrap().epoch, server.feed().epoch);
    }
}

#[test]
fn a_long_poll_waits_for_the_next_event() {
    let server = start();
    publish(&server, &["before"]);
    let mut poll = Wire::request(&server, "GET", "/long-poll?wait=60s", &[]);
    // A request beside our own is the poll. It waits by then: one thread serves, and took them in turn.
    let mut own = 0;
    wait_until(&server, |load| {
        own += 1;
        load.requests > own
    });
    publish(&server, &["now"]);
    let (head, body) = poll.answer();
    assert_eq!((head.status, cursor(&head), body), (200, Some(2), event(2, "now") + "\n"));
}

#[test]
fn a_waiting_long_poll_is_answered_with_204_when_its_wait_is_over() {
    let server = start();
    publish(&server, &["a"]);
    for wait in ["10ms", "0s"] {
        let (head, body) = get(&server, &format!("/long-poll?after=1&wait={wait}"));
        assert_eq!((head.status, cursor(&head), body.as_str()), (204, Some(1), ""));
    }
}

#[test]
fn one_connection_carries_one_poll_after_another() {
    let server = start();
    let mut wire = Wire::connect(server.addresses().http);
    for seq in 1..=5u64 {
        publish(&server, &["a"]);
        let target = if seq % 2 == 0 { "/poll" } else { "/long-poll" };
        wire.send(format!("GET {target}?after={} HTTP/1.1\r\nHost: localhost\r\n\r\n", seq - 1));
        let (head, body) = wire.answer();
        assert_eq!((cursor(&head), body), (Some(seq), event(seq, "a") + "\n"));
    }
    wire.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(3));
    (0..3).for_each(|_| assert_eq!(wire.answer().1, "ok\n", "pipelined requests are answered too"));
}

#[test]
fn a_connection_ends_behind_the_answer_when_the_client_asks_for_that() {
    let server = start();
    let mut wire = Wire::request(&server, "GET", "/healthz", &["Connection: close"]);
    let (head, body) = wire.answer();
    assert_eq!((head.header("connection"), body.as_str()), (Some("close"), "ok\n"));
    assert_eq!(wire.rest(), b"");
}

#[test]
fn the_clock_is_that_of_the_events() {
    let server = start();
    let time = || {
        let (head, body) = get(&server, "/time");
        assert_eq!((head.status, head.header("content-type")), (200, Some("application/json")));
        assert_eq!(head.header("cache-control"), Some("no-store"));
        serde_json::from_str::<Time>(&body).unwrap().now_ns
    };
    let before = time();
    post(&server, &[], b"a");
    let after = time();
    let (_, body) = get(&server, "/poll?after=0");
    let at = Event::decode(body.trim_end().as_bytes()).unwrap().at;
    assert!(before < at && at < after);
}

#[test]
fn the_load_counts_connections_requests_and_events() {
    let server = start();
    let first = load(&server);
    assert_eq!((first.connections_accepted, first.requests, first.head, first.rate), (1, 1, 0, 0.0));
    assert_eq!(first.tcp_port, server.addresses().tcp.port());
    publish(&server, &["a", "b"]);
    let streams = [(); 2].map(|()| {
        let mut stream = Wire::request(&server, "GET", "/stream", &[]);
        assert_eq!(stream.head().status, 200);
        stream
    });
    let second = load(&server);
    assert_eq!((second.connections_accepted, second.requests, second.head), (4, 4, 2));
    // The connections of earlier requests may not have been seen to end yet.
    assert!(second.connections_open >= 3, "{second:?}");
    assert!(second.history_bytes > first.history_bytes && second.now_ns > first.now_ns && first.started_ns > 0);
    drop(streams);
    wait_until(&server, |load| load.connections_open == 1);
}

#[test]
fn the_metrics_are_in_the_text_format_of_prometheus() {
    let server = start();
    publish(&server, &["a"]);
    let (head, body) = get(&server, "/metrics");
    let content_type = Some("text/plain; version=0.0.4; charset=utf-8");
    assert_eq!((head.status, head.header("content-type")), (200, content_type));
    assert!(body.ends_with('\n'));
    for metric in body.lines().collect::<Vec<_>>().chunks(3) {
        let [help, kind, value] = metric else { panic!("three lines a metric: {metric:?}") };
        let (name, value) = value.split_once(' ').unwrap();
        assert!(help.starts_with(&format!("# HELP {name} ")), "{help}");
        assert!(kind.starts_with(&format!("# TYPE {name} ")), "{kind}");
        assert!(value.parse::<f64>().is_ok_and(|value| value >= 0.0), "{name} {value}");
        assert_eq!(name.ends_with("_total"), kind.ends_with(" counter"), "{name}");
    }
    assert!(body.contains("\nlab_events_published_total 1\n") && body.contains("\nlab_requests_total 1\n"));
}

#[test]
fn the_publish_times_are_given_a_line_an_event() {
    let server = start();
    assert_eq!(get(&server, "/published").1, "");
    publish(&server, &["a", "b", "c"]);
    let times = |target| {
        let (head, body) = get(&server, target);
        assert_eq!((head.status, head.header("content-type")), (200, Some("application/x-ndjson")));
        lines(&body).into_iter().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Published>>()
    };
    let all = times("/published");
    assert_eq!(all.iter().map(|times| times.seq).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(all.iter().all(|times| times.at == 0 && times.entered > 0));
    assert!(all.is_sorted_by_key(|times| times.entered));
    assert_eq!(times("/published?after=2"), all[2..]);
}

#[test]
fn the_index_names_every_endpoint_and_both_ports() {
    let server = start();
    let (head, body) = get(&server, "/");
    assert_eq!((head.status, head.header("content-type")), (200, Some("text/plain; charset=utf-8")));
    let (http, tcp) = (server.addresses().http, server.addresses().tcp);
    for path in [
        "poll",
        "long-poll",
        "stream",
        "sse",
        "ws",
        "publish",
        "echo",
        "time",
        "load",
        "metrics",
        "published",
        "viewers",
        "healthz",
    ] {
        let urls = ["http", "ws"].map(|scheme| format!("{scheme}://{http}/{path}"));
        let named = body.split([' ', '\'', '?', '\n']).any(|word| urls.iter().any(|url| url == word));
        assert!(named, "{path} is missing:\n{body}");
    }
    assert!(body.contains(&format!("nc {} {}", tcp.ip(), tcp.port())));
}

#[test]
fn the_server_says_that_it_lives() {
    let (head, body) = get(&start(), "/healthz");
    assert_eq!((head.status, body.as_str()), (200, "ok\n"));
    assert_eq!(head.header("content-type"), Some("text/plain; charset=utf-8"));
}
