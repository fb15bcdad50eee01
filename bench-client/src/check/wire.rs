//! A connection to a server under check. Every step is bounded in time and bytes, so that a server that hangs or floods fails a requirement and
//! does not hold up the check.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long a step may take.
pub const STEP: Duration = Duration::from_secs(2);
/// The most bytes that are received on a connection.
const MAX_BYTES: usize = 8 << 20;
/// The most characters of a message that a report shows.
const SHOWN_CHARS: usize = 200;

/// A server under check.
#[derive(Debug, Clone)]
pub struct Server {
    /// Its address.
    pub address: SocketAddr,
    /// The value of `Host`.
    pub host: String,
}

/// Why a requirement is not met: what was sent, and what came instead of what is required.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What was sent.
    pub sent: String,
    /// What came.
    pub came: String,
}

/// Whether a requirement is met.
pub type Outcome = Result<(), Fault>;

/// An event that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its sequence number.
    pub seq: u64,
    /// Its payload.
    pub data: String,
}

/// The status line and headers of a response.
#[derive(Debug, Clone, Default)]
pub struct Head {
    /// The status.
    pub status: u16,
    headers: Vec<(String, String)>,
}

impl Head {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|header| header.0.eq_ignore_ascii_case(name));
        found.map(|header| header.1.as_str())
    }

    fn is_chunked(&self) -> bool {
        self.header("Transfer-Encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"))
    }
}

/// A connection.
pub struct Wire {
    stream: TcpStream,
    /// Received bytes that no step has taken yet.
    pub received: Vec<u8>,
    total: usize,
    /// What was sent last, for the report.
    sent: String,
    /// What is left of the chunk that is being received.
    chunk: usize,
}

impl Wire {
    /// Opens a connection.
    ///
    /// # Errors
    /// When the server does not accept it.
    pub fn open(server: &Server) -> Result<Self, Fault> {
        let refused = |error: std::io::Error| Fault { sent: "a request to connect".into(), came: error.to_string() };
        let stream = TcpStream::connect_timeout(&server.address, STEP).map_err(refused)?;
        stream.set_nodelay(true).map_err(refused)?;
        stream.set_write_timeout(Some(STEP)).map_err(refused)?;
        Ok(Self { stream, received: Vec::new(), total: 0, sent: String::new(), chunk: 0 })
    }

    /// Opens a connection and sends a request on it.
    ///
    /// # Errors
    /// When the server does not accept it.
    pub fn request(server: &Server, method: &str, target: &str, headers: &[&str], body: &[u8]) -> Result<Self, Fault> {
        let mut wire = Self::open(server)?;
        wire.again(server, method, target, headers, body)?;
        Ok(wire)
    }

    /// Sends a request on this connection.
    ///
    /// # Errors
    /// When the connection has ended.
    pub fn again(
        &mut self,
        server: &Server,
        method: &str,
        target: &str,
        headers: &[&str],
        body: &[u8],
    ) -> Result<(), Fault> {
        let mut request = format!("{method} {target} HTTP/1.1\r\nHost: {}\r\n", server.host);
        headers.iter().for_each(|header| request += &format!("{header}\r\n"));
        if method == "POST" {
            request += &format!("Content-Length: {}\r\n", body.len());
        }
        let told = headers.iter().map(|header| format!(", {header}")).collect::<String>();
        let told = format!(
            "{method} {target}{told}{}",
            if body.is_empty() { String::new() } else { format!(", {} bytes", body.len()) }
        );
        self.send(&[request.as_bytes(), b"\r\n", body].concat(), &told)
    }

    /// Sends bytes, which the report describes by `told`.
    ///
    /// # Errors
    /// When the connection has ended.
    pub fn send(&mut self, bytes: &[u8], told: &str) -> Result<(), Fault> {
        self.sent = told.chars().take(SHOWN_CHARS).collect();
        match self.stream.write_all(bytes) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Err(self.fault("it reads nothing for 2 s"))
            }
            // The server may have rejected it before it has read everything. What it says is still to be read.
            _ => Ok(()),
        }
    }

    /// A fault at this point of the connection.
    pub fn fault(&self, came: impl Into<String>) -> Fault {
        // Nothing that a server sends may control the terminal in which this is read.
        let shown = |c: char| if c.is_control() { '\u{fffd}' } else { c };
        Fault { sent: self.sent.clone(), came: came.into().chars().map(shown).take(SHOWN_CHARS).collect() }
    }

    /// Receives more bytes until the deadline; returns whether some came.
    ///
    /// # Errors
    /// When the connection has ended, or too many bytes have come.
    pub fn fill(&mut self, deadline: Instant) -> Result<bool, Fault> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        let _ = self.stream.set_read_timeout(Some(left.max(Duration::from_millis(1))));
        let mut buffer = [0; 16 << 10];
        match self.stream.read(&mut buffer) {
            Ok(0) => Err(self.fault("the end of the connection")),
            Ok(length) => {
                self.total += length;
                if self.total > MAX_BYTES {
                    return Err(self.fault("more than 8 MiB"));
                }
                self.received.extend_from_slice(&buffer[..length]);
                Ok(true)
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(false),
            Err(error) => Err(self.fault(format!("the end of the connection: {error}"))),
        }
    }

    /// Begins to count received bytes anew, for a connection on which many are wanted.
    pub fn forget(&mut self) {
        self.total = 0;
    }

    /// Whether the server ends the connection in time; what comes before that is discarded.
    pub fn ends(&mut self) -> bool {
        let deadline = Instant::now() + STEP;
        loop {
            match self.fill(deadline) {
                Ok(true) => self.received.clear(),
                Ok(false) => return false,
                Err(_) => return true,
            }
        }
    }

    /// Receives the headers of a response within a time.
    ///
    /// # Errors
    /// When it does not come in time, or is no HTTP.
    pub fn head_within(&mut self, time: Duration) -> Result<Head, Fault> {
        let deadline = Instant::now() + time;
        loop {
            let mut headers = [httparse::EMPTY_HEADER; 64];
            let mut response = httparse::Response::new(&mut headers);
            match response.parse(&self.received) {
                Err(error) => return Err(self.fault(format!("no HTTP response: {error}"))),
                Ok(httparse::Status::Complete(length)) => {
                    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
                    let headers = response.headers.iter().map(|header| (header.name.to_string(), text(header.value)));
                    let head = Head { status: response.code.unwrap_or(0), headers: headers.collect() };
                    self.received.drain(..length);
                    return Ok(head);
                }
                Ok(httparse::Status::Partial) => {}
            }
            if !self.fill(deadline)? {
                return Err(self.fault(format!("no response within {} ms", time.as_millis())));
            }
        }
    }

    /// As [`Self::head_within`], within a step.
    ///
    /// # Errors
    /// Those of [`Self::head_within`].
    pub fn head(&mut self) -> Result<Head, Fault> {
        self.head_within(STEP)
    }

    /// Receives a whole response.
    ///
    /// # Errors
    /// When it does not come in time, or is no HTTP.
    pub fn response(&mut self) -> Result<(Head, String), Fault> {
        let head = self.head()?;
        let body = self.body(&head)?;
        Ok((head, body))
    }

    /// Receives the whole body of a response.
    ///
    /// # Errors
    /// When it does not end in time.
    pub fn body(&mut self, head: &Head) -> Result<String, Fault> {
        let deadline = Instant::now() + STEP;
        if matches!(head.status, 204 | 304) || head.status < 200 {
            return Ok(String::new());
        }
        if head.is_chunked() {
            let mut body = Vec::new();
            loop {
                match self.part(head, deadline)? {
                    Some(part) if part.is_empty() => return Ok(String::from_utf8_lossy(&body).into_owned()),
                    Some(part) => body.extend(part),
                    None => return Err(self.fault("a body that does not end")),
                }
            }
        }
        let Some(length) = head.header("Content-Length").and_then(|length| length.parse::<usize>().ok()) else {
            return Err(self.fault("a response with neither Content-Length nor chunks"));
        };
        while self.received.len() < length {
            if !self.fill(deadline)? {
                return Err(self.fault(format!("{} of {length} bytes of the body", self.received.len())));
            }
        }
        Ok(String::from_utf8_lossy(&self.received.drain(..length).collect::<Vec<u8>>()).into_owned())
    }

    /// The next part of a body that goes on, until the deadline; empty at the end, `None` if nothing came.
    ///
    /// # Errors
    /// When the connection ends, or a chunk is malformed.
    pub fn part(&mut self, head: &Head, deadline: Instant) -> Result<Option<Vec<u8>>, Fault> {
        if !head.is_chunked() {
            if self.received.is_empty() && !self.fill(deadline)? {
                return Ok(None);
            }
            return Ok(Some(std::mem::take(&mut self.received)));
        }
        loop {
            if self.chunk == 0 {
                match protocol::chunked::size(&self.received) {
                    Err(error) => return Err(self.fault(format!("a malformed chunk: {error}"))),
                    Ok(Some((0, start))) => {
                        // Trailers may follow, and then an empty line (RFC 9112, section 7.1.2).
                        let rest = &self.received[start..];
                        let end = match rest.starts_with(b"\r\n") {
                            true => Some(2),
                            false => rest.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4),
                        };
                        if let Some(end) = end {
                            self.received.drain(..start + end);
                            return Ok(Some(Vec::new()));
                        }
                    }
                    Ok(Some((size, start))) => {
                        self.received.drain(..start);
                        self.chunk = size + protocol::chunked::END.len();
                    }
                    Ok(None) => {}
                }
            }
            if self.chunk > 0 && !self.received.is_empty() {
                let taken = self.chunk.min(self.received.len());
                let content = self.chunk.saturating_sub(protocol::chunked::END.len()).min(taken);
                let part: Vec<u8> = self.received[..content].to_vec();
                self.received.drain(..taken);
                self.chunk -= taken;
                if !part.is_empty() {
                    return Ok(Some(part));
                }
                continue;
            }
            if !self.fill(deadline)? {
                return Ok(None);
            }
        }
    }
}

impl Server {
    /// Publishes a text; returns the event's sequence number.
    ///
    /// # Errors
    /// When the server does not accept it.
    pub fn publish(&self, text: &str) -> Result<u64, Fault> {
        let mut wire = Wire::request(self, "POST", "/publish", &[], text.as_bytes())?;
        let (head, body) = wire.response()?;
        let seq = serde_json::from_str::<Value>(&body).ok().and_then(|json| json["seq"].as_u64());
        match (head.status, seq) {
            (202, Some(seq)) => Ok(seq),
            (status, _) => Err(wire.fault(format!("{status}, {body:?}"))),
        }
    }

    /// Publishes numbered texts; returns their sequence numbers.
    ///
    /// # Errors
    /// When the server does not accept one.
    pub fn publish_all(&self, count: u64) -> Result<Vec<u64>, Fault> {
        (0..count).map(|number| self.publish(&format!("text {number}"))).collect()
    }
}

/// Parses the JSON of an event.
///
/// # Errors
/// What came instead.
pub fn event(json: &str) -> Result<Event, String> {
    let value: Value = serde_json::from_str(json).map_err(|error| format!("{json:?}, which is no JSON: {error}"))?;
    match (value["seq"].as_u64(), value["at"].as_u64(), value["data"].as_str()) {
        (Some(seq), Some(_), Some(data)) => Ok(Event { seq, data: data.into() }),
        _ => Err(format!("{json:?}, which lacks seq or at as a whole number, or data as a text")),
    }
}

/// The sequence numbers of events in words.
pub fn seqs(events: &[Event]) -> String {
    match events {
        [] => "no event".into(),
        events => format!("events {}", events.iter().map(|event| event.seq.to_string()).collect::<Vec<_>>().join(", ")),
    }
}
