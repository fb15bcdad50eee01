//! Publishing by HTTP requests, on a connection that is used again. The status of a response confirms an event.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;

use anyhow::{Context, ensure};

use super::connect::{Bounded, RESPONSE_TIMEOUT};
use crate::target::publish::Publish;

/// The longest response, in bytes.
const MAX_RESPONSE_BYTES: usize = 64 << 10;

/// A connection for HTTP requests.
pub struct Http {
    connection: Bounded,
    to: SocketAddr,
    publish: Publish,
    /// The request line and the headers that all requests have.
    head: String,
}

impl Http {
    /// Connects.
    ///
    /// # Errors
    /// When the server cannot be reached.
    pub fn connect(publish: Publish, host: &str, to: SocketAddr) -> anyhow::Result<Self> {
        let head =
            format!("{} {} HTTP/1.1\r\nHost: {host}\r\n{}", publish.method(), publish.path, publish.header_lines());
        Ok(Self { connection: Bounded::connect(to)?, to, publish, head })
    }

    /// The request that publishes an event.
    pub fn request(&self, event: &str) -> String {
        let body = self.publish.body(event);
        format!("{}Content-Length: {}\r\n\r\n{body}", self.head, body.len())
    }

    /// Connects anew if the server has ended the idle connection, as many do after some seconds.
    ///
    /// # Errors
    /// When the server cannot be reached.
    pub fn reopen(&mut self) -> anyhow::Result<()> {
        let stream = self.connection.stream();
        let ended = stream.set_nonblocking(true).is_err() || matches!(stream.peek(&mut [0]), Ok(0));
        if ended || stream.set_nonblocking(false).is_err() {
            self.connection = Bounded::connect(self.to)?;
        }
        Ok(())
    }

    /// Sends a request.
    ///
    /// # Errors
    /// When the connection is lost.
    pub fn send(&mut self, request: &str) -> anyhow::Result<()> {
        self.connection.within(RESPONSE_TIMEOUT);
        self.connection.write_all(request.as_bytes()).context("the connection was lost")
    }

    /// Waits for the response.
    ///
    /// # Errors
    /// When it does not come, or its status is not one of success.
    pub fn confirm(&mut self) -> anyhow::Result<()> {
        self.connection.within(RESPONSE_TIMEOUT);
        let status = response(&mut self.connection).context("no response")?;
        ensure!((200..300).contains(&status), "status {status}");
        Ok(())
    }
}

/// Reads a response and returns its status.
fn response(stream: &mut Bounded) -> io::Result<u16> {
    let mut received = Vec::new();
    let invalid = |what: &str| io::Error::new(ErrorKind::InvalidData, what.to_string());
    loop {
        let mut buffer = [0; 4 << 10];
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        received.extend_from_slice(&buffer[..read]);
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut parsed = httparse::Response::new(&mut headers);
        let length = match parsed.parse(&received) {
            Err(error) => return Err(invalid(&format!("what came is no HTTP: {error}"))),
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) if received.len() > MAX_RESPONSE_BYTES => {
                return Err(invalid("headers without end"));
            }
            Ok(httparse::Status::Partial) => continue,
        };
        let status = parsed.code.unwrap_or(0);
        let header = |name: &str| {
            let header = parsed.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
            std::str::from_utf8(header.value).ok()
        };
        let body = &received[length..];
        let complete = match (header("Content-Length"), header("Transfer-Encoding")) {
            (Some(length), _) => body.len() >= length.parse().map_err(|_| invalid("a wrong Content-Length"))?,
            (None, Some(_)) => body.ends_with(b"0\r\n\r\n"),
            (None, None) if status == 204 => true,
            (None, None) => {
                return Err(invalid(
                    "a response needs a Content-Length or chunks, so that the connection can be used again",
                ));
            }
        };
        if complete {
            return Ok(status);
        }
        if received.len() > MAX_RESPONSE_BYTES {
            return Err(invalid("a body without end"));
        }
    }
}
