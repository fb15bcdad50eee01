//! Security headers for browsers, and the responses that do not have them.

use std::io::{Read, Write};
use std::net::TcpStream;

use server::{Options, Server};

use crate::support::frames::HANDSHAKE;
use crate::support::{Response, Wire, get, options, publish, start, start_with_history};

const NOTHING: &str = "default-src 'none'; frame-ancestors 'none'";

/// The three security headers of a response, as far as it has them.
fn policy(response: &Response) -> [Option<&str>; 3] {
    ["x-content-type-options", "referrer-policy", "content-security-policy"].map(|name| response.header(name))
}

#[test]
fn responses_without_events_have_all_security_headers() {
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
        let (response, _) = Wire::request(&server, method, target, &["Content-Length: 0"]).response();
        assert_eq!(response.status, status, "{target}");
        assert_eq!(policy(&response), [Some("nosniff"), Some("no-referrer"), Some(NOTHING)], "{method} {target}");
    }
    let (response, _) = Wire::request(&server, "POST", "/publish", &["Content-Length: 0", "Origin: null"]).response();
    assert_eq!((response.status, policy(&response)), (403, [Some("nosniff"), Some("no-referrer"), Some(NOTHING)]));
}

#[test]
fn pages_may_load_only_the_server_s_files_and_be_framed_only_by_its_pages() {
    let server = start();
    for target in ["/", "/presenter", "/page/worker.js", "/slides/en.html", "/slides/ko.html"] {
        let (response, page) = Wire::request(&server, "GET", target, &["Accept: text/html"]).response();
        let [sniff, referrer, policy] = policy(&response);
        assert_eq!((sniff, referrer), (Some("nosniff"), Some("no-referrer")), "{target}");
        let policy = policy.unwrap();
        assert!(policy.starts_with("default-src '") && policy.ends_with("; frame-ancestors 'self'"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        if !target.starts_with("/slides") {
            assert!(!page.contains("<style") && !page.contains("<script>"), "{target} has an inline style or script");
        }
    }
}

#[test]
fn refusals_of_connections_have_the_security_headers_too() {
    let refused = |options: Options, sent: &[u8]| {
        let server = Server::start(&options).unwrap();
        let mut stream = TcpStream::connect(server.addresses().http).unwrap();
        stream.write_all(sent).unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        response
    };
    let full = refused(Options { max_connections: 0, ..options(1) }, b"");
    let plain = refused(Options { tls_self_signed: true, ..options(1) }, b"GET / HTTP/1.1\r\n\r\n");
    for (response, status) in [(full, 503), (plain, 400)] {
        assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{response}");
        for line in [
            "X-Content-Type-Options: nosniff\r\n",
            "Referrer-Policy: no-referrer\r\n",
            &format!("Content-Security-Policy: {NOTHING}\r\n"),
        ] {
            assert!(response.contains(line), "{response}");
        }
    }
}

#[test]
fn responses_with_events_have_no_further_headers() {
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
            // With an Origin, polls are served by hyper instead of the poll loop.
            let origin: &[&str] = if foreign { &["Origin: http://other.example"] } else { &[] };
            let response = Wire::request(&server, "GET", target, origin).headers();
            let mut names: Vec<_> = response.headers.iter().map(|(name, _)| name.as_str()).collect();
            names.retain(|name| !name.starts_with("access-control-"));
            names.sort_unstable();
            let mut expected = headers.to_vec();
            expected.sort_unstable();
            assert_eq!(names, expected, "{target}, foreign: {foreign}");
        }
    }
    let response = Wire::request(&server, "GET", "/ws", &HANDSHAKE).headers();
    let names: Vec<_> = response.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["upgrade", "connection", "sec-websocket-accept", "date"]);
    assert_eq!(get(&server, "/healthz").0.status, 200);
}
