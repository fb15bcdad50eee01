//! Publishing by HTTP requests, on a connection that is used again. The status of a response confirms an event.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;

use anyhow::{Context, ensure};

use super::connect::{Bounded, RESPONSE_TIMEOUT};
use crate::fault::Fault;
use crate::target::publish::Publish;
use crate::wire::http1::{Incoming, Response};

/// A connection for HTTP requests.
pub struct Http {
    connection: Bounded,
    to: SocketAddr,
    publish: Publish,
    /// The request line and the headers that all requests have.
    head: String,
    /// Whether the server has said that it closes the connection.
    closing: bool,
}

impl Http {
    /// Connects.
    ///
    /// # Errors
    /// When the server cannot be reached.
    pub fn connect(publish: Publish, host: &str, to: SocketAddr) -> anyhow::Result<Self> {
        let head =
            format!("{} {} HTTP/1.1\r\nHost: {host}\r\n{}", publish.method(), publish.path, publish.header_lines());
        Ok(Self { connection: Bounded::connect(to)?, to, publish, head, closing: false })
    }

    /// The request that publishes an event.
    pub fn request(&self, event: &str) -> String {
        let body = self.publish.body(event);
        format!("{}Content-Length: {}\r\n\r\n{body}", self.head, body.len())
    }

    /// Connects anew if the server has said that it closes the connection, or has ended it while it was idle, as many do after some seconds.
    /// What has come without a request, such as a timeout's status, would be taken for the response to the next one.
    ///
    /// # Errors
    /// When the server cannot be reached.
    pub fn reopen(&mut self) -> anyhow::Result<()> {
        let stream = self.connection.stream();
        stream.set_nonblocking(true)?;
        let is_idle = stream.peek(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
        stream.set_nonblocking(false)?;
        if self.closing || !is_idle {
            self.connection = Bounded::connect(self.to)?;
            self.closing = false;
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
        let response = self.response().context("no response")?;
        self.closing = response.close;
        ensure!((200..300).contains(&response.status), "status {}", response.status);
        Ok(())
    }

    fn response(&mut self) -> Result<Response, Fault> {
        let (mut incoming, mut received) = (Incoming::default(), Vec::new());
        loop {
            let mut buffer = [0; 4 << 10];
            let read = self.connection.read(&mut buffer)?;
            received.extend_from_slice(&buffer[..read]);
            if let Some(response) = incoming.response(&received, read == 0)? {
                return Ok(response);
            }
            if read == 0 {
                return Err(Fault::Lost(ErrorKind::UnexpectedEof.into()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io;
    use std::net::TcpStream;
    use std::thread;
    use std::time::Duration;

    use super::super::connect::tests::server;
    use super::*;
    use crate::target::publish::Over;

    fn publish_thrice(to: SocketAddr) {
        let publish = Publish {
            over: Over::Http,
            path: "/".into(),
            method: None,
            headers: BTreeMap::new(),
            body: "{event}".into(),
            acknowledgement: None,
        };
        let mut http = Http::connect(publish, "test", to).unwrap();
        for _ in 0..3 {
            http.reopen().unwrap();
            http.send(&http.request("{}")).unwrap();
            http.confirm().unwrap();
        }
    }

    #[test]
    fn a_connection_that_the_server_closes_after_a_response_is_not_used_again() {
        // It reads no further request, but ends the connection only later.
        publish_thrice(server(|mut stream| {
            let _ = stream.read(&mut [0; 4 << 10])?;
            stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")?;
            thread::spawn(move || {
                thread::sleep(Duration::from_secs(1));
                drop(stream);
            });
            Ok(())
        }));
    }

    #[test]
    fn a_chunk_that_looks_like_the_last_one_does_not_end_a_response() {
        fn respond(mut stream: TcpStream) -> io::Result<()> {
            while stream.read(&mut [0; 4 << 10])? > 0 {
                stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n0\r\n\r\n")?;
                thread::sleep(Duration::from_millis(50));
                stream.write_all(b"\r\n0\r\n\r\n")?;
            }
            Ok(())
        }
        publish_thrice(server(respond));
    }
}
