//! HTTP/1.1 on the connection to a server under check: requests, responses, and bodies that go on.

use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};

use super::wire::{Fault, Outcome, STEP, Server, Wire};

/// The status line and headers of a response.
#[derive(Debug, Clone, Default)]
pub struct Head {
    /// The status.
    pub status: u16,
    headers: Vec<(String, String)>,
    /// Whether the connection ends after the response (RFC 9112, section 9.3).
    pub is_last: bool,
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

impl Wire {
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
    /// When the server does not read it in time.
    pub fn again(&mut self, server: &Server, method: &str, target: &str, headers: &[&str], body: &[u8]) -> Outcome {
        let mut request = format!("{method} {target} HTTP/1.1\r\nHost: {}\r\n", server.host());
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
                    let mut head =
                        Head { status: response.code.unwrap_or(0), headers: headers.collect(), is_last: false };
                    let connection = head.header("Connection").map(str::to_ascii_lowercase).unwrap_or_default();
                    head.is_last = match response.version {
                        Some(0) => !connection.contains("keep-alive"),
                        _ => connection.contains("close"),
                    };
                    self.received.advance(length);
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
            let mut body = BytesMut::new();
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
        Ok(String::from_utf8_lossy(&self.received.split_to(length)).into_owned())
    }

    /// The next part of a body that goes on, until the deadline; empty at the end, `None` if nothing came.
    ///
    /// # Errors
    /// When the connection ends, a chunk is malformed, or the requirement's time is over.
    pub fn part(&mut self, head: &Head, deadline: Instant) -> Result<Option<BytesMut>, Fault> {
        self.in_time()?;
        if !head.is_chunked() {
            if self.received.is_empty() && !self.fill(deadline)? {
                return Ok(None);
            }
            return Ok(Some(self.received.split()));
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
                            self.received.advance(start + end);
                            return Ok(Some(BytesMut::new()));
                        }
                    }
                    Ok(Some((size, start))) => {
                        self.received.advance(start);
                        self.chunk = size + protocol::chunked::END.len();
                    }
                    Ok(None) => {}
                }
            }
            if self.chunk > 0 && !self.received.is_empty() {
                let taken = self.chunk.min(self.received.len());
                let content = self.chunk.saturating_sub(protocol::chunked::END.len()).min(taken);
                let part = self.received.split_to(content);
                self.received.advance(taken - content);
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
