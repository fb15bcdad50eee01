//! A subscriber's socket, which two write to in turn: whoever speaks its protocol (hyper, tungstenite, or we ourselves), and the
//! fan-out, which puts an event's shared bytes past them.
//!
//! Both run on the connection's own worker, so they never write at the same time; what must not happen is that one of them
//! writes in the middle of what the other has begun. The fan-out writes only while the connection's task waits for the feed
//! (see `fan_out.rs`), with nothing of its own left to write. Whether hyper has, it does not say; [`Socket::hold`] and the
//! flush that follows tell. Where the server speaks TLS, both write into the connection's session (see `tls.rs`).

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use rustix::io::Errno;
use rustix::net::sockopt::{set_socket_keepalive, set_tcp_keepidle, set_tcp_user_timeout};
use rustix::net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::farewell;
use crate::requests::{Part, Requests};
use crate::site::Site;
use crate::tap::{Cut, Tap};
use crate::tls::{self, Refusal, Session};

/// How long a connection may be silent before the kernel asks whether the peer is there.
const KEEPALIVE: Duration = Duration::from_secs(60);
/// How many parts one write takes at the most.
const MOST_PARTS: usize = 64;

/// Bytes that are still to be written, in order.
pub type Unsent = VecDeque<Bytes>;

/// A connection's socket.
pub struct Socket {
    stream: TcpStream,
    /// What its bytes are sealed in, where the server speaks TLS. Nobody waits for this lock: it is for the compiler, who does not
    /// know that all of a connection's users share a thread.
    tls: Option<Box<Mutex<Session>>>,
    /// Whose it is.
    pub site: Arc<Site>,
    /// Tells a page what crosses it.
    pub tap: Tap,
    /// Whether whoever speaks its protocol may have begun something that is not written yet.
    held: AtomicBool,
}

impl Socket {
    /// The socket of a new connection, once hands are shaken where the server speaks TLS. Who does not is told so in `plain`'s words.
    pub async fn open(stream: TcpStream, site: Arc<Site>, plain: &str) -> Option<Arc<Self>> {
        // Each is a help and no more: without it, the connection works all the same.
        // A small write must not wait for the acknowledgement of the one before it (Nagle).
        let _ = stream.set_nodelay(true);
        // A peer that has gone without a word is found out, though nothing is sent to it;
        let _ = set_socket_keepalive(&stream, true).and_then(|()| set_tcp_keepidle(&stream, KEEPALIVE));
        // and so is one that takes nothing of what hyper or tungstenite has for it. Deliveries have a clock of their own.
        let _ = set_tcp_user_timeout(&stream, 4 * site.stall_timeout.as_millis().min(1 << 30) as u32);
        let tls = match &site.tls {
            None => None,
            Some(identity) => {
                let accepted = tokio::select! {
                    accepted = timeout(tls::PATIENCE, Session::accept(&stream, identity)) => accepted,
                    () = site.closing() => return None,
                };
                match accepted.unwrap_or(Err(Refusal::Failed)) {
                    Ok(session) => Some(Box::new(Mutex::new(session))),
                    Err(refusal) => {
                        site.counters.handshake_failed();
                        if let Refusal::Plain = refusal {
                            farewell::tell(stream, plain).await;
                        }
                        return None;
                    }
                }
            }
        };
        Some(Arc::new_cyclic(|socket: &Weak<Self>| {
            let tap = Tap::new(site.taps.clone(), socket.clone());
            Self { stream, tls, site, tap, held: AtomicBool::new(false) }
        }))
    }

    fn session(&self) -> Option<MutexGuard<'_, Session>> {
        Some(self.tls.as_ref()?.lock().expect("no holder of the session panics"))
    }

    /// A request's head has come, for a lane, SESSION.NAME, or for nobody's.
    pub fn trace_request(&self, head: &[u8], lane: Option<&str>) {
        self.tap.request(head, lane);
    }

    /// What is written from here on answers a request of that lane, or of nobody's.
    pub fn trace_answer(&self, lane: Option<&str>) {
        self.tap.answer(lane);
    }

    /// The peer's address.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn peer(&self) -> io::Result<IpAddr> {
        Ok(self.stream.peer_addr()?.ip().to_canonical())
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
        if self.session().is_some_and(|session| session.has_opened()) {
            return Poll::Ready(Ok(()));
        }
        self.stream.poll_read_ready(context)
    }

    /// Polls until the peer has ended its side, without reading: what it still sent is for whoever speaks its protocol, and as long as
    /// that is not read, an end behind it is not seen.
    pub fn poll_end(&self, context: &mut Context<'_>) -> Poll<()> {
        if let Some(mut session) = self.session() {
            while !session.has_opened() {
                if ready!(self.stream.poll_read_ready(context)).is_err() {
                    return Poll::Ready(());
                }
                // An error is kept, and is an end as well.
                let _ = session.receive(&self.stream);
            }
            return if session.has_ended() { Poll::Ready(()) } else { Poll::Pending };
        }
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

    /// Takes note that a read left room: there is nothing more to read until the kernel says so, and asking again would be a system
    /// call for nothing (epoll(7), on edge-triggered events).
    fn note_drained(&self) {
        // What is said to have blocked is not tried again before that.
        let _ = self.stream.try_io(Interest::READABLE, || Err::<(), _>(ErrorKind::WouldBlock.into()));
    }

    /// Polls until something was read, or the end was.
    fn poll_read_some(&self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.poll_read_ready(context))?;
            let read = match self.session() {
                None => self.stream.try_read_buf(buffer).map(|_| {
                    if buffer.remaining() > 0 {
                        self.note_drained();
                    }
                }),
                Some(mut session) => {
                    session.read(&self.stream, buffer.initialize_unfilled()).map(|read| buffer.advance(read))
                }
            };
            match read {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                read => return Poll::Ready(read),
            }
        }
    }

    /// Reads what there is, without waiting.
    ///
    /// # Errors
    /// Those of the socket; `WouldBlock` where there is nothing.
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.session() {
            None => self.stream.try_read(buffer),
            Some(mut session) => session.read(&self.stream, buffer),
        }
    }

    /// Bytes that were taken and that the socket still has no room for: records of TLS.
    pub fn backlog(&self) -> usize {
        self.session().map_or(0, |session| session.backlog())
    }

    /// Writes the backlog as far as the socket takes it; whether none is left.
    fn settle(&self) -> io::Result<bool> {
        self.session().map_or(Ok(true), |mut session| session.flush(&self.stream))
    }

    fn poll_settle(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.settle()? {
            ready!(self.stream.poll_write_ready(context))?;
        }
        Poll::Ready(Ok(()))
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

    /// Writes all of `unsent`, and the backlog, waiting for the socket where it is full.
    pub fn poll_write_all(&self, context: &mut Context<'_>, unsent: &mut Unsent) -> Poll<io::Result<()>> {
        while !unsent.is_empty() {
            ready!(self.stream.poll_write_ready(context))?;
            let taken = self.try_write(unsent.make_contiguous())?;
            advance(unsent, taken);
        }
        self.poll_settle(context)
    }

    /// Writes as much of the backlog, or else of `unsent`, as the socket takes now; whether it took anything. The kernel tells of room
    /// only when a third of the buffer is free; this asks whether there is any.
    ///
    /// # Errors
    /// Those of the socket; a full one is none.
    pub fn write_now(&self, unsent: &mut Unsent) -> io::Result<bool> {
        if let Some(mut session) = self.session() {
            if session.backlog() == 0
                && let Some(part) = unsent.front().cloned()
            {
                let taken = session.write(&self.stream, &[IoSlice::new(&part)])?;
                self.tap.wrote(&[IoSlice::new(&part)], taken);
                advance(unsent, taken);
                if session.backlog() == 0 {
                    return Ok(taken > 0);
                }
            }
            return Ok(session.write_now(&self.stream)? > 0);
        }
        let Some(part) = unsent.front() else { return Ok(false) };
        match send(&self.stream, part, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
            Ok(written) => {
                self.tap.wrote(&[IoSlice::new(part)], written);
                advance(unsent, written);
                Ok(written > 0)
            }
            Err(Errno::AGAIN) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn try_write_vectored(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let written = match (self.session(), parts) {
            (Some(mut session), parts) => session.write(&self.stream, parts)?,
            // One part takes the simpler system call.
            (None, [part]) => self.stream.try_write(part)?,
            (None, parts) => self.stream.try_write_vectored(parts)?,
        };
        self.tap.wrote(parts, written);
        Ok(written)
    }
}

impl Cut for Socket {
    fn cut(&self) {
        // An error is a socket that has ended already.
        let _ = shutdown(&self.stream, Shutdown::Both);
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let Some(tls) = self.tls.take() {
            // A thread that panicked is past all farewells.
            let Ok(mut session) = tls.into_inner() else { return };
            session.close();
            // Who reads nothing will not hear it.
            let _ = session.flush(&self.stream);
        }
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
pub struct Stream {
    socket: Arc<Socket>,
    /// What was read already, and is to be read again.
    early: Bytes,
    /// Where in the requests it is, if what is read are requests and their reader does not say so.
    requests: Option<Box<Requests>>,
}

impl Stream {
    /// The socket as it is.
    pub fn new(socket: Arc<Socket>) -> Self {
        Self::behind(Bytes::new(), socket)
    }

    /// The socket, and before it `early`, which came from there.
    pub fn behind(early: Bytes, socket: Arc<Socket>) -> Self {
        Self { socket, early, requests: None }
    }

    /// The same where `early` begins a request, and requests are all that comes: they are followed for the wire trace.
    pub fn with_requests(early: Bytes, socket: Arc<Socket>) -> Self {
        Self { requests: Some(Box::new(Requests::default())), ..Self::behind(early, socket) }
    }

    /// What was not read again.
    pub fn into_early(self) -> Bytes {
        self.early
    }

    /// The socket.
    pub fn socket(&self) -> &Arc<Socket> {
        &self.socket
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Self { socket, early, requests } = self.get_mut();
        let tap = &socket.tap;
        let before = buffer.filled().len();
        let again = !early.is_empty();
        if again {
            buffer.put_slice(&early.split_to(early.len().min(buffer.remaining())));
        } else {
            ready!(socket.poll_read_some(context, buffer))?;
        }
        match requests {
            Some(requests) => requests.follow(&mut buffer.filled_mut()[before..], |part| match part {
                Part::Head(head, lane) => tap.request(head, lane),
                Part::Body(bytes) => tap.body(bytes),
            }),
            None if again => {}
            None => tap.read(&buffer.filled()[before..]),
        }
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
            ready!(self.socket.stream.poll_write_ready(context))?;
            match self.socket.try_write_vectored(parts) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.socket.poll_settle(context))?;
        self.socket.held.store(false, Relaxed);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(mut session) = self.socket.session() {
            session.close();
        }
        ready!(self.socket.poll_settle(context))?;
        Poll::Ready(match shutdown(&self.socket.stream, Shutdown::Write) {
            // The peer was faster.
            Err(Errno::NOTCONN) => Ok(()),
            done => Ok(done?),
        })
    }
}
