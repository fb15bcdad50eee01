//! TLS: what a client sees of it, right and wrong.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;

use server::{Options, Server};

use crate::support::secured::{Certificate, Secured};
use crate::support::{PATIENCE, Wire, event, get, options, publish};

fn start(certificate: &Certificate) -> Server {
    Server::start(&certificate.shown(options(1_000))).unwrap()
}

fn connect(certificate: &Certificate, address: SocketAddr) -> Secured {
    certificate.over(TcpStream::connect(address).unwrap())
}

fn until(stream: &mut Secured, end: &str) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(end.as_bytes()) {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        bytes.push(byte[0]);
    }
    String::from_utf8(bytes).unwrap()
}

#[test]
fn a_client_that_trusts_the_certificate_in_the_files_gets_its_answers() {
    let certificate = Certificate::new("trusted");
    let server = start(&certificate);
    publish(&server, &["hello"]);
    let mut stream = connect(&certificate, server.addresses().http);
    for _ in 0..2 {
        stream.write_all(b"GET /poll?after=0 HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        assert!(until(&mut stream, "\r\n\r\n").starts_with("HTTP/1.1 200 OK\r\n"));
        assert_eq!(until(&mut stream, "\n"), event(1, "hello") + "\n");
    }
}

#[test]
fn people_are_given_the_name_that_the_certificate_is_for() {
    let certificate = Certificate::new("named");
    let options = Options { hosts: vec!["localhost".into()], ..certificate.shown(options(1)) };
    let server = Server::start(&options).unwrap();
    assert_eq!(
        server.presenter_page(&server.url(), ""),
        format!("https://localhost:{}/", server.addresses().http.port())
    );
}

#[test]
fn the_end_of_each_transport_is_said_within_tls() {
    let certificate = Certificate::new("ended");
    let server = start(&certificate);
    publish(&server, &["hello"]);
    let mut raw = connect(&certificate, server.addresses().tcp);
    raw.write_all(b"SUB 0\n").unwrap();
    assert_eq!(until(&mut raw, "\n"), event(1, "hello") + "\n");
    let mut stream = connect(&certificate, server.addresses().http);
    stream.write_all(b"GET /stream?after=0 HTTP/1.0\r\n\r\n").unwrap();
    until(&mut stream, "\r\n\r\n");
    assert_eq!(until(&mut stream, "\n"), event(1, "hello") + "\n");
    server.shutdown();
    for mut left in [raw, stream] {
        // An end without a farewell could have been anybody's, and rustls says so.
        assert_eq!(left.read_to_end(&mut Vec::new()).unwrap(), 0);
    }
}

#[test]
fn a_client_that_has_ended_its_side_still_gets_its_answer() {
    let certificate = Certificate::new("half-closed");
    let server = start(&certificate);
    let mut stream = connect(&certificate, server.addresses().http);
    stream.write_all(b"GET /long-poll?after=0&wait=60s HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    stream.conn.send_close_notify();
    stream.flush().unwrap();
    assert!(until(&mut stream, "\r\n\r\n").starts_with("HTTP/1.1 204 "));
}

#[test]
fn who_speaks_no_tls_is_told_in_the_port_s_own_words_and_who_speaks_nonsense_is_let_go() {
    let certificate = Certificate::new("plain");
    let server = start(&certificate);
    let (head, body) = get(&server, "/");
    assert_eq!((head.status, &*body), (400, "this port speaks TLS: use https://\r\n"));
    let mut raw = Wire::connect(server.addresses().tcp);
    raw.send("SUB\n");
    assert_eq!(raw.line(), "ERR this port speaks TLS\n");
    // A ClientHello without anything in it.
    let mut nonsense = Wire::connect(server.addresses().http);
    nonsense.send([22, 3, 1, 0, 4, 1, 0, 0, 0]);
    let alert = nonsense.rest();
    assert_eq!(alert.first(), Some(&21), "an alert says what is wrong: {alert:?}");
    // A peer that leaves in the middle.
    let mut brief = Wire::connect(server.addresses().http);
    brief.send([22, 3, 1, 2, 0]);
    drop(brief);
    let mut stream = connect(&certificate, server.addresses().http);
    let failed = loop {
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let head = until(&mut stream, "\r\n\r\n");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        let mut body = vec![0; length.parse().unwrap()];
        stream.read_exact(&mut body).unwrap();
        let body = String::from_utf8(body).unwrap();
        let count = body.lines().find_map(|line| line.strip_prefix("lab_tls_handshakes_failed_total ")).unwrap();
        if count == "4" {
            break count.to_owned();
        }
    };
    assert_eq!(failed, "4");
}

/// A client's own TLS, whose records are to be tampered with.
fn records(stream: &mut Secured, content: &[u8]) -> Vec<u8> {
    stream.conn.writer().write_all(content).unwrap();
    let mut records = Vec::new();
    while stream.conn.wants_write() {
        stream.conn.write_tls(&mut records).unwrap();
    }
    records
}

#[test]
fn a_broken_record_behind_a_whole_one_ends_its_connection_and_holds_up_nobody() {
    let certificate = Certificate::new("broken");
    let server = start(&certificate);
    let (http, tcp) = (server.addresses().http, server.addresses().tcp);
    let long_poll = "GET /long-poll?wait=60s HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for (address, first, then) in
        [(tcp, "", "SU"), (http, "", "GET /po"), (http, long_poll, "GET"), (tcp, "SUB 0\n", "SUB")]
    {
        let mut stream = connect(&certificate, address);
        stream.conn.complete_io(&mut stream.sock).unwrap();
        stream.write_all(first.as_bytes()).unwrap();
        let whole = records(&mut stream, then.as_bytes());
        let mut broken = records(&mut stream, b"?");
        *broken.last_mut().unwrap() ^= 1;
        stream.sock.write_all(&[whole, broken].concat()).unwrap();
        // An alert, maybe behind an answer; then the end.
        stream.sock.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut rest = [0; 4_096];
        while !matches!(
            stream.sock.read(&mut rest).map_err(|error| error.kind()),
            Ok(0) | Err(ErrorKind::ConnectionReset)
        ) {}
        let mut honest = connect(&certificate, http);
        honest.write_all(b"GET /poll?after=0 HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        assert!(until(&mut honest, "\r\n\r\n").starts_with("HTTP/1.1 204 "));
    }
}

#[test]
fn connections_too_many_hear_it_within_tls() {
    let certificate = Certificate::new("full");
    let server = Server::start(&Options { max_connections: 1, ..certificate.shown(options(1)) }).unwrap();
    let mut first = connect(&certificate, server.addresses().http);
    first.write_all(b"GET /time HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    until(&mut first, "\r\n\r\n");
    let mut second = connect(&certificate, server.addresses().http);
    second.write_all(b"GET /time HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut told = String::new();
    second.read_to_string(&mut told).unwrap();
    assert!(told.starts_with("HTTP/1.1 503 ") && told.contains("Retry-After: 1\r\n"), "{told}");
}

#[test]
fn files_that_hold_no_certificate_or_another_s_key_are_refused_by_name() {
    let (one, other) = (Certificate::new("one"), Certificate::new("other"));
    let refused = |certificate: &PathBuf, key: &PathBuf| {
        let (tls_cert, tls_key) = (Some(certificate.clone()), Some(key.clone()));
        format!("{:#}", Server::start(&Options { tls_cert, tls_key, ..options(1) }).err().expect("a refusal"))
    };
    assert!(refused(&"/nowhere".into(), &one.key).contains("--tls-cert /nowhere"));
    assert!(refused(&one.certificate, &"/nowhere".into()).contains("--tls-key /nowhere"));
    assert!(refused(&one.key, &one.key).contains("no certificate"));
    assert!(refused(&one.certificate, &one.certificate).contains("no private key"));
    assert!(refused(&one.certificate, &other.key).contains("do not belong together"));
}
