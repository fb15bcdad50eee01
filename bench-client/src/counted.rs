//! The only place that opens a connection: a socket that counts every byte that crosses it, both ways.
//!
//! Counting happens here, from what read and write return. Explaining happens where the bytes are understood: each parser
//! says to which [`Layer`] the bytes belong that it took. Neither knows of the other, so that the two sums can disagree.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;

use bytes::{Buf, Bytes, BytesMut};
use protocol::{Layer, Ledger, clock};
use rustix::net::RecvFlags;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::link::Link;
use crate::tcp_info;

/// What a read asks for at the least, in bytes.
const READ: usize = 4 << 10;

/// A connection, what was read from it and not yet taken, and the ledger of its bytes.
pub struct Counted {
    stream: TcpStream,
    link: Option<Modelled>,
    /// Bytes as they came.
    pub received: BytesMut,
    /// Bytes of a body out of which the chunks' marks have been taken.
    pub body: BytesMut,
    /// Bytes counted, and explained.
    pub ledger: Ledger,
    /// Bytes of the request that is not answered yet: only the answer says what they were for.
    unanswered: u64,
}

/// A modelled link before the socket, and what has come out of it and not yet gone into the socket.
struct Modelled {
    link: Link,
    unsent: Bytes,
    /// The peer has ended the connection; what is under way still comes.
    ended: bool,
}

impl Counted {
    /// Connects, over a modelled link where one is given.
    ///
    /// # Errors
    /// Those of the socket.
    pub async fn connect(address: SocketAddr, link: Option<Link>) -> io::Result<Self> {
        let mut link = link.map(|link| Modelled { link, unsent: Bytes::new(), ended: false });
        if let Some(modelled) = &mut link {
            modelled.link.open().await?;
        }
        let stream = TcpStream::connect(address).await?;
        // Without this, a small request waits for the acknowledgement of the one before it (Nagle).
        stream.set_nodelay(true)?;
        let ledger = Ledger { connections: 1, ..Ledger::default() };
        Ok(Self { stream, link, received: BytesMut::new(), body: BytesMut::new(), ledger, unanswered: 0 })
    }

    /// Waits for more bytes and appends them to `received`.
    ///
    /// # Errors
    /// Those of the socket, and `UnexpectedEof` when the peer has ended the connection. Dropping the future loses nothing.
    pub async fn fill(&mut self) -> io::Result<()> {
        if self.link.is_some() {
            return self.fill_from_link().await;
        }
        self.received.reserve(READ);
        let read = self.stream.read_buf(&mut self.received).await?;
        self.ledger.received_bytes += read as u64;
        if read == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    /// Keeps the link going, both ways, until bytes come out of it at our end.
    async fn fill_from_link(&mut self) -> io::Result<()> {
        let Self { stream, link: Some(Modelled { link, unsent, ended }), received, ledger, .. } = self else {
            return Ok(());
        };
        loop {
            let now = clock::now_ns();
            if let Some(bytes) = link.down.leave(now) {
                received.extend_from_slice(&bytes);
                return Ok(());
            }
            if unsent.is_empty() {
                *unsent = link.up.leave(now).unwrap_or_default();
            }
            // While bytes wait for the socket, those behind them do too; what comes down does not.
            let due = if unsent.is_empty() { link.next_due() } else { link.down.due() };
            if *ended && link.down.due().is_none() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            tokio::select! {
                ready = stream.writable(), if !unsent.is_empty() => {
                    ready?;
                    if let Some(written) = unless_blocked(stream.try_write(unsent))? {
                        ledger.sent_bytes += written as u64;
                        unsent.advance(written);
                    }
                }
                ready = stream.readable(), if !*ended && link.down.has_room() => {
                    ready?;
                    let mut bytes = BytesMut::with_capacity(READ);
                    if let Some(read) = unless_blocked(stream.try_read_buf(&mut bytes))? {
                        ledger.received_bytes += read as u64;
                        *ended = read == 0;
                        if read > 0 {
                            link.down.enter(clock::now_ns(), bytes.freeze());
                        }
                    }
                }
                woken = link.alarm.until(due.unwrap_or(0)), if due.is_some() => woken?,
            }
        }
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
        if let Some(modelled) = &mut self.link {
            // It goes into the socket when it has come out of the link, which `fill` sees to.
            modelled.link.up.enter(clock::now_ns(), Bytes::copy_from_slice(bytes));
            return Ok(());
        }
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
        self.empty_link();
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

    /// Ends the link: what is under way arrives at once, since nobody waits for it any more.
    fn empty_link(&mut self) {
        let Some(Modelled { mut link, mut unsent, .. }) = self.link.take() else { return };
        while let Some(bytes) = link.down.leave(u64::MAX) {
            self.received.extend_from_slice(&bytes);
        }
        loop {
            match self.stream.try_write(&unsent) {
                _ if unsent.is_empty() => {}
                Ok(written) => {
                    self.ledger.sent_bytes += written as u64;
                    unsent.advance(written);
                    continue;
                }
                // The peer is gone: what it will not get was never sent, whatever it was to be.
                Err(_) => {
                    let never = unsent.len() as u64;
                    let request = never.min(self.unanswered);
                    self.unanswered -= request;
                    self.ledger[Layer::Handshake] = self.ledger[Layer::Handshake].saturating_sub(never - request);
                }
            }
            match link.up.leave(u64::MAX) {
                Some(bytes) => unsent = bytes,
                None => return,
            }
        }
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

/// A result without "not now".
fn unless_blocked(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Ok(done) => Ok(Some(done)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}
