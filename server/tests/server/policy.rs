//! Response headers for browsers, and which responses go without them.

use std::io::{Read, Write};
use std::net::TcpStream;

use server::{Options, Server};

use crate::support::frames::HANDSHAKE;
use crate::support::{Head, Wire, get, options, publish, start, start_with_history};

const NOTHING: &str = "default-src 'none'; frame-ancestors 'none'";

/// The three headers, where they are.
fn policy(head: &Head) -> [Option<&str>; 3] {
    ["x-content-type-options", "referrer-policy", "content-security-policy"].map(|name| head.header(name))
}

#[test]
fn every_answer_but_an_event_s_is_no_page_for_others_and_names_its_address_to_nobody() {
    let server = start();
    for (method, target, status) in [
        ("GET", "/", 200),
        ("GET", "/load", 200),
        ("GET", "/metrics", 200),
        ("GET", "/page/main.js", 200),
        ("GET", "/nothing", 404),
        ("GET", "/page/nothing", 404),
        ("GET", "/publish", 405),
        ("GET", "/poll?x=1", 400),
        ("GET", "/echo", 426),
        ("GET", "/slides", 302),
        ("POST", "/publish", 202),
        ("POST", "/control", 400),
        ("POST", "/presenter", 204),
    ] {
        let (head, _) = Wire::request(&server, method, target, &["Content-Length: 0"]).answer();
        assert_eq!(head.status, status, "{target}");
        assert_eq!(policy(&head), [Some("nosniff"), Some("no-referrer"), Some(NOTHING)], "{method} {target}");
    }
    let (head, _) = Wire::request(&server, "POST", "/publish", &["Content-Length: 0", "Origin: null"]).answer();
    assert_eq!((head.status, policy(&head)), (403, [Some("nosniff"), Some("no-referrer"), Some(NOTHING)]));
}

#[test]
fn pages_run_nothing_but_what_the_server_gives_out_and_stand_in_no_foreign_frame() {
    let server = start();
    for target in ["/", "/presenter", "/page/worker.js", "/slides/en.html", "/slides/ko.html"] {
        let (head, page) = Wire::request(&server, "GET", target, &["Accept: text/html"]).answer();
        let [sniff, referrer, policy] = policy(&head);
        assert_eq!((sniff, referrer), (Some("nosniff"), Some("no-referrer")), "{target}");
        let policy = policy.unwrap();
        assert!(policy.starts_with("default-src '") && policy.ends_with("; frame-ancestors 'self'"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        if !target.starts_with("/slides") {
            assert!(!page.contains("<style") && !page.contains("<script>"), "{target} has something of its own to run");
        }
    }
}

#[test]
fn refusals_before_http_say_it_as_well() {
    let refused = |options: Options, sent: &[u8]| {
        let server = Server::start(&options).unwrap();
        let mut stream = TcpStream::connect(server.addresses().http).unwrap();
        stream.write_all(sent).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    let full = refused(Options { max_connections: 0, ..options(1) }, b"");
    let plain = refused(Options { tls_self_signed: true, ..options(1) }, b"GET / HTTP/1.1\r\n\r\n");
    for (answer, status) in [(full, 503), (plain, 400)] {
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        for line in [
            "X-Content-Type-Options: nosniff\r\n",
            "Referrer-Policy: no-referrer\r\n",
            &format!("Content-Security-Policy: {NOTHING}\r\n"),
        ] {
            assert!(answer.contains(line), "{answer}");
        }
    }
}

#[test]
fn answers_that_carry_events_have_not_a_byte_more_than_before() {
    let server = start_with_history(1);
    publish(&server, &["a", "b"]);
    for (target, headers) in [
        ("/poll?after=1", ["cursor", "content-length", "content-type", "cache-control", "date"].as_slice()),
        ("/poll?after=2", &["cursor", "cache-control", "date"]),
        ("/poll?after=0", &["cursor", "content-length", "content-type", "cache-control", "date"]),
        ("/long-poll?after=1", &["cursor", "content-length", "content-type", "cache-control", "date"]),
        ("/stream", &["content-type", "cache-control", "x-accel-buffering", "transfer-encoding", "date"]),
        ("/sse", &["content-type", "cache-control", "x-accel-buffering", "transfer-encoding", "date"]),
    ] {
        for foreign in [false, true] {
            // With an Origin, hyper answers polls as well.
            let origin: &[&str] = if foreign { &["Origin: http://other.example"] } else { &[] };
            let head = Wire::request(&server, "GET", target, origin).head();
            let mut names: Vec<_> = head.headers.iter().map(|(name, _)| name.as_str()).collect();
            names.retain(|name| !name.starts_with("access-control-"));
            names.sort_unstable();
            let mut expected = headers.to_vec();
            expected.sort_unstable();
            assert_eq!(names, expected, "{target}, foreign: {foreign}");
        }
    }
    let head = Wire::request(&server, "GET", "/ws", &HANDSHAKE).head();
    let names: Vec<_> = head.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["upgrade", "connection", "sec-websocket-accept", "date"]);
    assert_eq!(get(&server, "/healthz").0.status, 200);
}
