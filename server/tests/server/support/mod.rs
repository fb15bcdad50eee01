//! What the tests share: a server in this process, and a client that sees the very bytes.

pub mod chunks;
pub mod figures;
pub mod frames;
pub mod secured;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use server::{Options, Server};

/// How long a test waits for a byte that must come; only a hanging server makes it wait that long. It is less than the 10 s
/// that the server gives a TCP client for its request, so that no answer that comes only then is taken for a right one.
pub const PATIENCE: Duration = Duration::from_secs(8);

/// A server on free ports that publishes nothing by itself.
pub fn start() -> Server {
    start_with_history(1_000)
}

/// The same, with a history of so many events.
pub fn start_with_history(history: usize) -> Server {
    Server::start(&options(history)).expect("port 0 is always free")
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

/// The head of an HTTP answer.
#[derive(Debug)]
pub struct Head {
    /// The status code.
    pub status: u16,
    /// The header lines, their names in lower case.
    pub headers: Vec<(String, String)>,
}

impl Head {
    /// The one header of that name, if there is one.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(other, _)| other == name).map(|(_, value)| value.as_str());
        let value = found.next();
        assert_eq!(found.next(), None, "{name} is given once");
        value
    }
}

/// A connection, seen byte by byte.
pub struct Wire(BufReader<TcpStream>);

impl Wire {
    /// Connects.
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(BufReader::new(stream))
    }

    /// Connects to the HTTP port and sends a request without a body; `headers` are whole lines.
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

    /// Reads exactly so many bytes.
    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.0.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// Reads a line, its line feed included; empty at the end.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line
    }

    /// Reads an answer's head.
    pub fn head(&mut self) -> Head {
        let first = self.line();
        let status = first.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no status line: {first:?}"));
        let mut headers = Vec::new();
        loop {
            let line = self.line();
            let line = line.strip_suffix("\r\n").unwrap_or_else(|| panic!("no header line: {line:?}"));
            if line.is_empty() {
                return Head { status, headers };
            }
            let (name, value) = line.split_once(": ").unwrap();
            headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
    }

    /// Reads a head and the body whose length it announces.
    pub fn answer(&mut self) -> (Head, String) {
        let head = self.head();
        let length = head.header("content-length").map_or(0, |length| length.parse().unwrap());
        let body = String::from_utf8(self.bytes(length)).unwrap();
        (head, body)
    }

    /// Reads up to the end of the connection.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        self.0.read_to_end(&mut rest).unwrap();
        rest
    }
}

/// Asks for `target` on a connection of its own.
pub fn get(server: &Server, target: &str) -> (Head, String) {
    Wire::request(server, "GET", target, &[]).answer()
}
