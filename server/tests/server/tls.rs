//! TLS: clients that use it correctly, and clients that do not.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;

use server::{Options, Server};

use crate::support::secured::{Certificate, Secured};
use crate::support::{TIMEOUT, Wire, event, get, options, publish};

fn start(certificate: &Certificate) -> Server {
    Server::start(&certificate.options(options(1_000))).unwrap()
}

fn connect(certificate: &Certificate, address: SocketAddr) -> Secured {
    certificate.client(TcpStream::connect(address).unwrap())
}

/// Reads up to and including `end`.
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
fn a_client_that_trusts_the_certificate_gets_responses() {
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
fn the_presenter_s_link_contains_the_host_name_of_the_certificate() {
    let certificate = Certificate::new("named");
    let options = Options { hosts: vec!["localhost".into()], ..certificate.options(options(1)) };
    let server = Server::start(&options).unwrap();
    assert_eq!(
        server.presenter_page(&server.url(), ""),
        format!("https://localhost:{}/", server.addresses().http.port())
    );
}

#[test]
fn tls_connections_end_with_a_closing_alert() {
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
    for mut connection in [raw, stream] {
        // An attacker could have caused an end without a closing alert, so rustls returns an error then.
        assert_eq!(connection.read_to_end(&mut Vec::new()).unwrap(), 0);
    }
}

#[test]
fn a_client_that_has_ended_its_side_still_gets_its_response() {
    let certificate = Certificate::new("half-closed");
    let server = start(&certificate);
    let mut stream = connect(&certificate, server.addresses().http);
    stream.write_all(b"GET /long-poll?after=0&wait=60s HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    stream.conn.send_close_notify();
    stream.flush().unwrap();
    assert!(until(&mut stream, "\r\n\r\n").starts_with("HTTP/1.1 204 "));
}

#[test]
fn a_client_without_tls_gets_an_error_in_the_protocol_of_the_port_and_a_failed_handshake_is_counted() {
    let certificate = Certificate::new("plain");
    let server = start(&certificate);
    let (response, body) = get(&server, "/");
    assert_eq!((response.status, &*body), (400, "this port requires TLS: use https://\r\n"));
    let mut raw = Wire::connect(server.addresses().tcp);
    raw.send("SUB\n");
    assert_eq!(raw.line(), "ERR this port requires TLS\n");
    // An empty ClientHello.
    let mut invalid = Wire::connect(server.addresses().http);
    invalid.send([22, 3, 1, 0, 4, 1, 0, 0, 0]);
    let alert = invalid.rest();
    assert_eq!(alert.first(), Some(&21), "the server sends an alert: {alert:?}");
    // A client that disconnects during the handshake.
    let mut aborted = Wire::connect(server.addresses().http);
    aborted.send([22, 3, 1, 2, 0]);
    drop(aborted);
    let mut stream = connect(&certificate, server.addresses().http);
    let failed = loop {
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let headers = until(&mut stream, "\r\n\r\n");
        let length = headers.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
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

/// Encrypts `content` with the client's session, and returns the records instead of sending them.
fn records(stream: &mut Secured, content: &[u8]) -> Vec<u8> {
    stream.conn.writer().write_all(content).unwrap();
    let mut records = Vec::new();
    while stream.conn.wants_write() {
        stream.conn.write_tls(&mut records).unwrap();
    }
    records
}

#[test]
fn a_corrupt_record_ends_its_connection_and_does_not_delay_others() {
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
        let valid = records(&mut stream, then.as_bytes());
        let mut corrupt = records(&mut stream, b"?");
        *corrupt.last_mut().unwrap() ^= 1;
        stream.sock.write_all(&[valid, corrupt].concat()).unwrap();
        // The server sends an alert, perhaps after a response, and closes the connection.
        stream.sock.set_read_timeout(Some(TIMEOUT)).unwrap();
        let mut rest = [0; 4_096];
        while !matches!(
            stream.sock.read(&mut rest).map_err(|error| error.kind()),
            Ok(0) | Err(ErrorKind::ConnectionReset)
        ) {}
        let mut other = connect(&certificate, http);
        other.write_all(b"GET /poll?after=0 HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        assert!(until(&mut other, "\r\n\r\n").starts_with("HTTP/1.1 204 "));
    }
}

#[test]
fn connections_beyond_the_limit_are_refused_over_tls() {
    let certificate = Certificate::new("full");
    let server = Server::start(&Options { max_connections: 1, ..certificate.options(options(1)) }).unwrap();
    let mut first = connect(&certificate, server.addresses().http);
    first.write_all(b"GET /time HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    until(&mut first, "\r\n\r\n");
    let mut second = connect(&certificate, server.addresses().http);
    second.write_all(b"GET /time HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut response = String::new();
    second.read_to_string(&mut response).unwrap();
    assert!(response.starts_with("HTTP/1.1 503 ") && response.contains("Retry-After: 1\r\n"), "{response}");
}

#[test]
fn the_error_names_the_option_of_a_file_without_certificate_or_matching_key() {
    let (one, other) = (Certificate::new("one"), Certificate::new("other"));
    let error = |certificate: &PathBuf, key: &PathBuf| {
        let (tls_cert, tls_key) = (Some(certificate.clone()), Some(key.clone()));
        format!("{:#}", Server::start(&Options { tls_cert, tls_key, ..options(1) }).err().expect("the server started"))
    };
    assert!(error(&"/nowhere".into(), &one.key).contains("--tls-cert /nowhere"));
    assert!(error(&one.certificate, &"/nowhere".into()).contains("--tls-key /nowhere"));
    assert!(error(&one.key, &one.key).contains("no certificate"));
    assert!(error(&one.certificate, &one.certificate).contains("no private key"));
    assert!(error(&one.certificate, &other.key).contains("do not belong together"));
}
