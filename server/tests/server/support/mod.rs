//! Shared by the tests: a server in this process, and a client that reads and writes bytes.

pub mod chunks;
pub mod figures;
pub mod frames;
pub mod secured;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use server::{Options, Server};

/// How long a test waits for bytes from the server before it fails. It is less than the server's timeout of 10 s for the request of a raw
/// TCP client, so that a test fails if the server responds only after that.
pub const TIMEOUT: Duration = Duration::from_secs(8);

/// Starts a server on free ports that publishes nothing by itself.
pub fn start() -> Server {
    start_with_history(1_000)
}

/// Starts such a server with a history of this many events.
pub fn start_with_history(history: usize) -> Server {
    Server::start(&options(history)).expect("cannot start a server")
}

/// The options of such a server.
pub fn options(history: usize) -> Options {
    let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    Options { listen: any_port, tcp_listen: any_port, rate: 0.0, payload: 0, history, ..Options::default() }
}

/// Publishes one event for each of `data`.
pub fn publish(server: &Server, data: &[&str]) {
    for data in data {
        server.feed().publish(0, data);
    }
}

/// The JSON of an event that [`publish`] published.
pub fn event(seq: u64, data: &str) -> String {
    format!(r#"{{"seq":{seq},"at":0,"data":"{data}"}}"#)
}

/// The status and headers of an HTTP response.
#[derive(Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The headers, with their names in lower case.
    pub headers: Vec<(String, String)>,
}

impl Response {
    /// The value of the header with that name, if there is one. The header must not be repeated.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(other, _)| other == name).map(|(_, value)| value.as_str());
        let value = found.next();
        assert_eq!(found.next(), None, "{name} is repeated");
        value
    }
}

/// A connection from which bytes are read and to which they are written.
pub struct Wire(BufReader<TcpStream>);

impl Wire {
    /// Connects.
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        stream.set_write_timeout(Some(TIMEOUT)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(BufReader::new(stream))
    }

    /// Connects to the HTTP port and sends a request without a body; `headers` are complete lines without their line breaks.
    pub fn request(server: &Server, method: &str, target: &str, headers: &[&str]) -> Self {
        let address = server.addresses().http;
        let mut wire = Self::connect(address);
        let lines: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
        wire.send(format!("{method} {target} HTTP/1.1\r\nHost: {address}\r\n{lines}\r\n"));
        wire
    }

    /// Sends all of `bytes`.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.get_mut().write_all(bytes.as_ref()).unwrap();
    }

    /// Reads exactly `length` bytes.
    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.0.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// Reads a line, including its line feed; returns an empty string at the end of the connection.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line
    }

    /// Reads the status line and headers of a response.
    pub fn headers(&mut self) -> Response {
        let first = self.line();
        let status = first.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no status line: {first:?}"));
        let mut headers = Vec::new();
        loop {
            let line = self.line();
            let line = line.strip_suffix("\r\n").unwrap_or_else(|| panic!("no header line: {line:?}"));
            if line.is_empty() {
                return Response { status, headers };
            }
            let (name, value) = line.split_once(": ").unwrap();
            headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
    }

    /// Reads a response and its body, whose length is that in `Content-Length`, or 0 without that header.
    pub fn response(&mut self) -> (Response, String) {
        let response = self.headers();
        let length = response.header("content-length").map_or(0, |length| length.parse().unwrap());
        let body = String::from_utf8(self.bytes(length)).unwrap();
        (response, body)
    }

    /// Reads until the end of the connection.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        self.0.read_to_end(&mut rest).unwrap();
        rest
    }
}

/// Sends a GET request for `target` on a new connection, and reads the response and its body.
pub fn get(server: &Server, target: &str) -> (Response, String) {
    Wire::request(server, "GET", target, &[]).response()
}
