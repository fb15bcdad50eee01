//! The only place that opens a connection: a socket that counts every byte that crosses it, both ways.
//!
//! Counting happens here, from what read and write return. Explaining happens where the bytes are understood: each parser
//! says to which [`Layer`] the bytes belong that it took. Neither knows of the other, so that the two sums can disagree.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;

use bytes::BytesMut;
use protocol::{Layer, Ledger};
use rustix::net::RecvFlags;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::tcp_info;

/// What a read asks for at the least, in bytes.
const READ: usize = 4 << 10;

/// A connection, what was read from it and not yet taken, and the ledger of its bytes.
pub struct Counted {
    stream: TcpStream,
    /// Bytes as they came.
    pub received: BytesMut,
    /// Bytes of a body out of which the chunks' marks have been taken.
    pub body: BytesMut,
    /// Bytes counted, and explained.
    pub ledger: Ledger,
    /// Bytes of the request that is not answered yet: only the answer says what they were for.
    unanswered: u64,
}

impl Counted {
    /// Connects.
    ///
    /// # Errors
    /// Those of the socket.
    pub async fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        // Without this, a small request waits for the acknowledgement of the one before it (Nagle).
        stream.set_nodelay(true)?;
        let ledger = Ledger { connections: 1, ..Ledger::default() };
        Ok(Self { stream, received: BytesMut::new(), body: BytesMut::new(), ledger, unanswered: 0 })
    }

    /// Waits for more bytes and appends them to `received`.
    ///
    /// # Errors
    /// Those of the socket, and `UnexpectedEof` when the peer has ended the connection. Dropping the future loses nothing.
    pub async fn fill(&mut self) -> io::Result<()> {
        self.received.reserve(READ);
        let read = self.stream.read_buf(&mut self.received).await?;
        self.ledger.received_bytes += read as u64;
        if read == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    /// Sends bytes whose layer is known.
    ///
    /// # Errors
    /// Those of the socket.
    pub async fn send(&mut self, bytes: &[u8], layer: Layer) -> io::Result<()> {
        self.write(bytes).await?;
        self.ledger[layer] += bytes.len() as u64;
        Ok(())
    }

    /// Sends a request; [`Self::answered`] will say what it was for.
    ///
    /// # Errors
    /// Those of the socket.
    pub async fn request(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.ledger.requests += 1;
        self.write(bytes).await?;
        self.unanswered += bytes.len() as u64;
        Ok(())
    }

    async fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = self.stream.write(bytes).await?;
            self.ledger.sent_bytes += written as u64;
            bytes = &bytes[written..];
        }
        Ok(())
    }

    /// Explains the request that was just answered.
    pub fn answered(&mut self, layer: Layer) {
        self.ledger[layer] += std::mem::take(&mut self.unanswered);
    }

    /// Explains `length` bytes that were taken from what came.
    pub fn explain(&mut self, layer: Layer, length: usize) {
        self.ledger[layer] += length as u64;
    }

    /// Ends the ledger: what leaving cuts off is explained, and the kernel is asked what it counted.
    ///
    /// A request without its answer is a poll that brought nothing; bytes that came too late to be a whole event belong to the
    /// closing.
    pub fn finish(&mut self) {
        // What has come and was not read is in the kernel's count; it is read until none comes while the kernel is asked.
        let info = loop {
            let info = tcp_info::read(self.stream.as_fd()).unwrap_or_default();
            if !self.read_at_once() {
                break info;
            }
        };
        self.ledger.kernel_received_bytes += info.bytes_received;
        self.ledger.kernel_sent_bytes += info.bytes_sent;
        self.ledger.segments_received += info.segments_received;
        self.ledger.segments_sent += info.segments_sent;
        self.ledger.empty_polls += u64::from(self.unanswered > 0);
        self.answered(Layer::EmptyPoll);
        let rest = self.received.len() + self.body.len();
        self.received.clear();
        self.body.clear();
        self.explain(Layer::Handshake, rest);
    }

    /// Reads what is there, if anything is. The kernel is asked itself: tokio learns of what has come only at its next turn.
    fn read_at_once(&mut self) -> bool {
        let mut buffer = [0; READ];
        match rustix::net::recv(&self.stream, &mut buffer, RecvFlags::DONTWAIT) {
            Ok((_, read)) if read > 0 => {
                self.received.extend_from_slice(&buffer[..read]);
                self.ledger.received_bytes += read as u64;
                true
            }
            _ => false,
        }
    }
}
