//! The connection of a publisher, which waits for a limited time, however the bytes come.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::Context;

/// How long the server may take to accept a connection, to respond, and to take what is sent.
pub const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection that reads and writes until a deadline. A timeout of the socket alone would begin anew with each byte that comes, and never end
/// while there are bytes at once.
pub struct Bounded {
    stream: TcpStream,
    until: Instant,
}

impl Bounded {
    /// Connects, and sets the deadline for the first response.
    ///
    /// # Errors
    /// When the server cannot be reached.
    pub fn connect(to: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect_timeout(&to, RESPONSE_TIMEOUT)
            .with_context(|| format!("cannot reach the server at {to}"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, until: Instant::now() + RESPONSE_TIMEOUT })
    }

    /// Sets the deadline of what follows.
    pub fn within(&mut self, time: Duration) {
        self.until = Instant::now() + time;
    }

    /// The socket.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// The time until the deadline, which is not zero.
    fn left(&self) -> io::Result<Duration> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(too_late()) } else { Ok(left) }
    }
}

/// The error after the deadline. The handshake of a WebSocket expects this kind; for a timeout, some systems report another.
fn too_late() -> io::Error {
    io::Error::new(ErrorKind::WouldBlock, "the server has taken too long")
}

fn as_too_late(error: io::Error) -> io::Error {
    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) { too_late() } else { error }
}

impl Read for Bounded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(self.left()?))?;
        self.stream.read(buffer).map_err(as_too_late)
    }
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(self.left()?))?;
        self.stream.write(bytes).map_err(as_too_late)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

#[cfg(test)]
pub mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// A server of a test, which handles each connection until it is closed; returns its address.
    pub fn server(handle: fn(TcpStream) -> io::Result<()>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || listener.incoming().try_for_each(|stream| stream.map(|stream| _ = handle(stream))));
        address
    }

    /// Sends a byte now and then, until the connection is closed.
    pub fn drip(mut stream: TcpStream) -> io::Result<()> {
        loop {
            stream.write_all(b"x")?;
            thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn reading_and_writing_end_at_the_deadline_whatever_the_server_does() {
        let mut dripping = Bounded::connect(server(drip)).unwrap();
        dripping.within(Duration::from_millis(100));
        assert_eq!(dripping.read_to_end(&mut Vec::new()).unwrap_err().kind(), ErrorKind::WouldBlock);
        let flood = |mut stream: TcpStream| loop {
            stream.write_all(&[b'x'; 1 << 16])?;
        };
        let mut flooding = Bounded::connect(server(flood)).unwrap();
        flooding.within(Duration::from_millis(100));
        assert_eq!(io::copy(&mut flooding, &mut io::sink()).unwrap_err().kind(), ErrorKind::WouldBlock);
        let ignore = |stream: TcpStream| loop {
            stream.peek(&mut [0])?;
            thread::sleep(Duration::from_millis(10));
        };
        let mut ignoring = Bounded::connect(server(ignore)).unwrap();
        ignoring.within(Duration::from_millis(100));
        assert_eq!(io::copy(&mut io::repeat(0), &mut ignoring).unwrap_err().kind(), ErrorKind::WouldBlock);
    }
}
