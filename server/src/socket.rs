//! A subscriber's socket, which two write to in turn: whoever speaks its protocol (hyper, tungstenite, or we ourselves), and the
//! fan-out, which puts an event's shared bytes past them.
//!
//! Both run on the connection's own worker, so they never write at the same time; what must not happen is that one of them
//! writes in the middle of what the other has begun. The fan-out writes only while the connection's task waits for the feed
//! (see `fan_out.rs`), with nothing of its own left to write. Whether hyper has, it does not say; [`Socket::hold`] and the
//! flush that follows tell.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use rustix::io::Errno;
use rustix::net::sockopt::{set_socket_keepalive, set_tcp_keepidle, set_tcp_user_timeout};
use rustix::net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

use crate::site::Site;
use crate::tap::Tap;

/// How long a connection may be silent before the kernel asks whether the peer is there.
const KEEPALIVE: Duration = Duration::from_secs(60);
/// How many parts one write takes at the most.
const MOST_PARTS: usize = 64;

/// Bytes that are still to be written, in order.
pub type Unsent = VecDeque<Bytes>;

/// A connection's socket.
pub struct Socket {
    stream: TcpStream,
    /// Whose it is.
    pub site: Arc<Site>,
    /// Tells a page what crosses it.
    pub tap: Tap,
    /// Whether whoever speaks its protocol may have begun something that is not written yet.
    held: AtomicBool,
}

impl Socket {
    /// The socket of a new connection.
    pub fn new(stream: TcpStream, site: Arc<Site>) -> Arc<Self> {
        // Each is a help and no more: without it, the connection works all the same.
        // A small write must not wait for the acknowledgement of the one before it (Nagle).
        let _ = stream.set_nodelay(true);
        // A peer that has gone without a word is found out, though nothing is sent to it;
        let _ = set_socket_keepalive(&stream, true).and_then(|()| set_tcp_keepidle(&stream, KEEPALIVE));
        // and so is one that takes nothing of what hyper or tungstenite has for it. Deliveries have a clock of their own.
        let _ = set_tcp_user_timeout(&stream, 4 * site.stall_timeout.as_millis().min(1 << 30) as u32);
        let tap = Tap::new(site.taps.clone());
        Arc::new(Self { stream, site, tap, held: AtomicBool::new(false) })
    }

    /// From here on, something is about to be written by whoever speaks the protocol, until it flushes.
    pub fn hold(&self) {
        self.held.store(true, Relaxed);
    }

    /// Whether something may not be written yet.
    pub fn is_held(&self) -> bool {
        self.held.load(Relaxed)
    }

    /// Polls until there is something to read, without reading it.
    pub fn poll_read_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.poll_read_ready(context)
    }

    /// Polls until the peer has ended its side, without reading: what it still sent is for whoever speaks its protocol, and as long as
    /// that is not read, an end behind it is not seen.
    pub fn poll_end(&self, context: &mut Context<'_>) -> Poll<()> {
        let look = || Ok(recv(&self.stream, &mut [0u8; 1], RecvFlags::PEEK | RecvFlags::DONTWAIT)?.0);
        while ready!(self.stream.poll_read_ready(context)).is_ok() {
            match self.stream.try_io(Interest::READABLE, look) {
                Ok(0) => break,
                Ok(_) => return Poll::Pending,
                // Nothing is there after all; the next look waits for it.
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => break,
            }
        }
        Poll::Ready(())
    }

    /// Reads what there is, without waiting.
    ///
    /// # Errors
    /// Those of the socket; `WouldBlock` where there is nothing.
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.try_read(buffer)
    }

    /// Writes `parts`, in order, as far as the socket takes them without waiting; gives how many bytes it took. Parts go together in
    /// one call, up to 64.
    ///
    /// # Errors
    /// Those of the socket; a full one is none.
    pub fn try_write(&self, parts: &[Bytes]) -> io::Result<usize> {
        let mut taken = 0;
        for parts in parts.chunks(MOST_PARTS) {
            let mut slices = [IoSlice::new(&[]); MOST_PARTS];
            for (slice, part) in slices.iter_mut().zip(parts) {
                *slice = IoSlice::new(part);
            }
            let whole = parts.iter().map(Bytes::len).sum();
            match self.try_write_vectored(&slices[..parts.len()]) {
                Ok(0) if whole > 0 => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => {
                    taken += written;
                    if written < whole {
                        break;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(taken)
    }

    /// Writes all of `unsent`, waiting for the socket where it is full.
    pub fn poll_write_all(&self, context: &mut Context<'_>, unsent: &mut Unsent) -> Poll<io::Result<()>> {
        while !unsent.is_empty() {
            ready!(self.stream.poll_write_ready(context))?;
            let taken = self.try_write(unsent.make_contiguous())?;
            advance(unsent, taken);
        }
        Poll::Ready(Ok(()))
    }

    /// Writes as much of `part` as the socket takes now. The kernel tells of room only when a third of the buffer is free; this asks
    /// whether there is any.
    ///
    /// # Errors
    /// Those of the socket; a full one is none.
    pub fn write_now(&self, part: &Bytes) -> io::Result<usize> {
        match send(&self.stream, part, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
            Ok(written) => {
                self.tap.wrote(&[IoSlice::new(part)], written);
                Ok(written)
            }
            Err(Errno::AGAIN) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    fn try_write_vectored(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let written = match parts {
            // One part takes the simpler system call.
            [part] => self.stream.try_write(part)?,
            parts => self.stream.try_write_vectored(parts)?,
        };
        self.tap.wrote(parts, written);
        Ok(written)
    }
}

/// Takes the first `taken` bytes away.
pub fn advance(unsent: &mut Unsent, mut taken: usize) {
    while let Some(first) = unsent.front_mut() {
        if taken < first.len() {
            first.advance(taken);
            return;
        }
        taken -= first.len();
        unsent.pop_front();
    }
}

/// The socket, for whoever speaks its protocol.
pub struct Stream(pub Arc<Socket>);

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Socket { stream, tap, .. } = &*self.0;
        let before = buffer.filled().len();
        loop {
            ready!(stream.poll_read_ready(context))?;
            match stream.try_read_buf(buffer) {
                Ok(_) => break,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        tap.read(&buffer.filled()[before..], stream);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.0.stream.poll_write_ready(context))?;
            match self.0.try_write_vectored(parts) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.held.store(false, Relaxed);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(match shutdown(&self.0.stream, Shutdown::Write) {
            // The peer was faster.
            Err(Errno::NOTCONN) => Ok(()),
            done => Ok(done?),
        })
    }
}
