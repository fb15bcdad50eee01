//! A connection's socket. Two parts of the server write to it: the implementation of its protocol (hyper, tungstenite, or our own), and the
//! dispatcher, which writes an event's shared bytes directly.
//!
//! Both run on the worker thread that serves the connection, so they never write at the same time. But neither may write into the middle
//! of a message that the other has begun. The dispatcher writes only while the connection's task waits for the feed and has nothing left to
//! write (see `fan_out/subscriber.rs`). hyper does not report whether it has something left to write; instead, [`Socket::mark_unflushed`]
//! marks the beginning of a message, and hyper's flush marks its end. With TLS, both write to the connection's TLS session (see `tls.rs`).
//!
//! A stream of an HTTP/2 connection, or of a WebTransport session, has the same operations (see `substream.rs`), so that deliveries do not differ.

use std::cell::{Cell, RefCell, RefMut};
use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};
use std::mem::MaybeUninit;
use std::net::{IpAddr, Shutdown};
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use protocol::platform;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tracing::debug;

use super::floods::FloodGuard;
use super::reject;
use super::stream_traces::StreamTraces;
use super::substream::Substream;
use super::tls::{self, Refusal, Session};
use crate::state::ServerState;
use crate::trace::{ConnectionNumber, Part, Requests, WireTrace};

/// How long a connection may be silent before the kernel probes whether the peer is still there.
const KEEPALIVE: Duration = Duration::from_secs(60);
/// The longest timeout for what the peer does not acknowledge that Linux accepts.
const MAX_USER_TIMEOUT: Duration = Duration::from_millis(1 << 30);
/// The most parts that go into one write.
const MAX_PARTS: usize = 64;

/// Bytes that are still to be written, in order.
pub type Unsent = VecDeque<Bytes>;

/// Where a socket's bytes go.
enum Link {
    /// To a TCP connection, through its TLS session if the server uses TLS.
    Tcp(TcpStream, Option<Box<RefCell<Session>>>),
    /// To a stream of an HTTP/2 connection, or of a WebTransport session.
    Substream(Rc<Substream>),
}

/// A connection's socket.
pub struct Socket {
    link: Link,
    /// The state of the server.
    pub state: Arc<ServerState>,
    /// Sends the live page copies of the bytes that are read and written.
    pub trace: Rc<WireTrace>,
    /// Whether the implementation of the protocol may have begun a message that is not completely written yet.
    unflushed: Cell<bool>,
}

impl Socket {
    /// Opens the socket of a new connection. If the server uses TLS, this includes the handshake, and `plain` is sent to a peer that does
    /// not use TLS. `None` if the handshake fails.
    pub async fn open(stream: TcpStream, state: Arc<ServerState>, plain: &str) -> Option<Rc<Self>> {
        // The connection works without each of these options, so errors are ignored.
        // A small write must not wait for the acknowledgement of the one before it (Nagle's algorithm).
        let _ = stream.set_nodelay(true);
        // Detects a peer that has failed while nothing is sent to it.
        let _ = SockRef::from(&stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE));
        // Detects a peer that reads nothing of what hyper or tungstenite writes. Deliveries have a timeout of their own.
        let _ = platform::set_user_timeout(SockRef::from(&stream), (4 * state.stall_timeout).min(MAX_USER_TIMEOUT));
        let tls = match &state.tls {
            None => None,
            Some(identity) => {
                let accepted = tokio::select! {
                    accepted = timeout(tls::HANDSHAKE_TIMEOUT, Session::accept(&stream, identity)) => accepted,
                    () = state.closing() => return None,
                };
                match accepted.unwrap_or(Err(Refusal::Failed)) {
                    Ok(session) => Some(Box::new(RefCell::new(session))),
                    Err(refusal) => {
                        state.counters.handshake_failed();
                        debug!("the TLS handshake failed");
                        if let Refusal::Plain = refusal {
                            reject::send(stream, plain).await;
                        }
                        return None;
                    }
                }
            }
        };
        Some(Rc::new_cyclic(|socket: &Weak<Self>| {
            let socket = socket.clone();
            let cut = move || {
                if let Some(Self { link: Link::Tcp(stream, _), .. }) = socket.upgrade().as_deref() {
                    // An error means that the connection has ended already.
                    let _ = SockRef::from(stream).shutdown(Shutdown::Both);
                }
            };
            let trace = Rc::new(WireTrace::new(state.traces.clone(), Rc::new(cut), Rc::default()));
            Self { link: Link::Tcp(stream, tls), state, trace, unflushed: Cell::new(false) }
        }))
    }

    /// The socket of a stream of an HTTP/2 connection with that number, which `cut` resets.
    pub fn of_stream(
        stream: Rc<Substream>,
        state: Arc<ServerState>,
        cut: Rc<dyn Fn()>,
        connection: ConnectionNumber,
    ) -> Rc<Self> {
        let trace = Rc::new(WireTrace::new(state.traces.clone(), cut, connection));
        Rc::new(Self { link: Link::Substream(stream), state, trace, unflushed: Cell::new(false) })
    }

    /// Ends a connection whose peer reads nothing: what is still to be written is lost.
    pub fn abort(&self) {
        self.trace.cut();
    }

    /// Whether it is a stream of an HTTP/2 connection.
    fn is_stream(&self) -> bool {
        matches!(self.link, Link::Substream(_))
    }

    /// The TLS session of a TCP connection.
    fn session(&self) -> Option<RefMut<'_, Session>> {
        match &self.link {
            Link::Tcp(_, Some(session)) => Some(session.borrow_mut()),
            Link::Tcp(_, None) | Link::Substream(_) => None,
        }
    }

    /// Whether the client has chosen HTTP/2 in the handshake of TLS; `None` if no protocol was negotiated there.
    pub fn negotiated_http2(&self) -> Option<bool> {
        self.session()?.negotiated_http2()
    }

    /// The peer's address.
    ///
    /// # Errors
    /// When the connection has been closed.
    pub fn peer(&self) -> io::Result<IpAddr> {
        match &self.link {
            Link::Tcp(stream, _) => Ok(self.state.relay.client(stream.peer_addr()?)),
            Link::Substream(stream) => Ok(stream.peer),
        }
    }

    /// Marks that the implementation of the protocol is about to write a message. The message is completely written when it flushes.
    pub fn mark_unflushed(&self) {
        self.unflushed.set(true);
    }

    /// Whether a message may have been begun that is not completely written yet.
    pub fn is_unflushed(&self) -> bool {
        self.unflushed.get()
    }

    /// Polls until there is something to read, without reading it.
    pub fn poll_read_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &self.link {
            Link::Tcp(_, Some(session)) if session.borrow().is_read_ready() => Poll::Ready(Ok(())),
            Link::Tcp(stream, _) => stream.poll_read_ready(context),
            Link::Substream(stream) => stream.poll_read_ready(context),
        }
    }

    fn poll_write_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &self.link {
            Link::Tcp(stream, _) => stream.poll_write_ready(context),
            Link::Substream(stream) => stream.poll_write_ready(context),
        }
    }

    /// Polls until the peer has ended its side, without reading. Bytes that it sent before are left to the implementation of the protocol;
    /// the end after them is noticed only once they have been read.
    pub fn poll_end(&self, context: &mut Context<'_>) -> Poll<()> {
        let stream = match &self.link {
            Link::Tcp(stream, None) => stream,
            Link::Tcp(stream, Some(session)) => {
                let mut session = session.borrow_mut();
                while !session.is_read_ready() {
                    if ready!(stream.poll_read_ready(context)).is_err() {
                        return Poll::Ready(());
                    }
                    // The session stores an error and reports it as the end.
                    let _ = session.receive(stream);
                }
                return if session.has_ended() { Poll::Ready(()) } else { Poll::Pending };
            }
            Link::Substream(stream) => return stream.poll_end(context),
        };
        let look = || SockRef::from(stream).peek(&mut [MaybeUninit::uninit(); 1]);
        while ready!(stream.poll_read_ready(context)).is_ok() {
            match stream.try_io(Interest::READABLE, look) {
                Ok(0) => break,
                Ok(_) => return Poll::Pending,
                // There is nothing to read after all; the next iteration waits.
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => break,
            }
        }
        Poll::Ready(())
    }

    /// Polls until bytes or the end were read.
    fn poll_read_some(&self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.poll_read_ready(context))?;
            let read = match &self.link {
                Link::Tcp(stream, None) => stream.try_read_buf(buffer).map(|_| {
                    if buffer.remaining() > 0 {
                        note_drained(stream);
                    }
                }),
                _ => self.try_read(buffer.initialize_unfilled()).map(|read| buffer.advance(read)),
            };
            match read {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                read => return Poll::Ready(read),
            }
        }
    }

    /// Reads the available bytes, without waiting.
    ///
    /// # Errors
    /// Those of the socket; `WouldBlock` if nothing is available.
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match &self.link {
            Link::Tcp(stream, None) => stream.try_read(buffer),
            Link::Tcp(stream, Some(session)) => session.borrow_mut().read(stream, buffer),
            Link::Substream(stream) => stream.try_read(buffer),
        }
    }

    /// Bytes of TLS records that are still to be written to the socket.
    pub fn backlog(&self) -> usize {
        self.session().map_or(0, |session| session.backlog())
    }

    /// Writes as much of the backlog as the socket accepts. Returns whether none is left.
    fn flush_backlog(&self) -> io::Result<bool> {
        match &self.link {
            Link::Tcp(stream, Some(session)) => session.borrow_mut().flush(stream),
            Link::Tcp(_, None) | Link::Substream(_) => Ok(true),
        }
    }

    fn poll_flush_backlog(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.flush_backlog()? {
            ready!(self.poll_write_ready(context))?;
        }
        Poll::Ready(Ok(()))
    }

    /// Writes as much of `parts`, in order, as the socket accepts without waiting, up to 64 parts per system call. Returns how many bytes
    /// were written.
    ///
    /// # Errors
    /// Those of the socket; that it is full is not an error.
    pub fn try_write(&self, parts: &[Bytes]) -> io::Result<usize> {
        if let Link::Substream(stream) = &self.link {
            // The trace sees the bytes when they are sent, in their frames.
            return match stream.try_send(parts) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
                added => added,
            };
        }
        let mut total = 0;
        for parts in parts.chunks(MAX_PARTS) {
            let mut slices = [IoSlice::new(&[]); MAX_PARTS];
            for (slice, part) in slices.iter_mut().zip(parts) {
                *slice = IoSlice::new(part);
            }
            let length = parts.iter().map(Bytes::len).sum();
            match self.try_write_vectored(&slices[..parts.len()]) {
                Ok(0) if length > 0 => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => {
                    total += written;
                    if written < length {
                        break;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(total)
    }

    /// Writes all of `unsent`, and the backlog; waits whenever the socket is full.
    pub fn poll_write_all(&self, context: &mut Context<'_>, unsent: &mut Unsent) -> Poll<io::Result<()>> {
        while !unsent.is_empty() {
            ready!(self.poll_write_ready(context))?;
            let written = self.try_write(unsent.make_contiguous())?;
            advance(unsent, written);
        }
        self.poll_flush_backlog(context)
    }

    /// Writes as much as the socket accepts now: of the backlog or, if the backlog is empty, of the first part of `unsent`. Returns whether
    /// the socket accepted anything. The kernel reports a socket as writable only when a third of its buffer is free; this function writes
    /// regardless of that report.
    ///
    /// # Errors
    /// Those of the socket; that it is full is not an error.
    pub fn write_now(&self, unsent: &mut Unsent) -> io::Result<bool> {
        let stream = match &self.link {
            Link::Tcp(stream, None) => stream,
            Link::Tcp(stream, Some(session)) => {
                let mut session = session.borrow_mut();
                if session.backlog() == 0
                    && let Some(part) = unsent.front().cloned()
                {
                    let at_ns = self.trace.before_write();
                    let written = session.write(stream, &[IoSlice::new(&part)])?;
                    self.trace.wrote(&[IoSlice::new(&part)], written, at_ns);
                    advance(unsent, written);
                    if session.backlog() == 0 {
                        return Ok(written > 0);
                    }
                }
                return Ok(session.write_now(stream)? > 0);
            }
            // There is no report that could be late.
            Link::Substream(_) => return Ok(false),
        };
        let Some(part) = unsent.front() else { return Ok(false) };
        let at_ns = self.trace.before_write();
        match SockRef::from(stream).send(part) {
            Ok(written) => {
                self.trace.wrote(&[IoSlice::new(part)], written, at_ns);
                advance(unsent, written);
                Ok(written > 0)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn try_write_vectored(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let at_ns = self.trace.before_write();
        let written = match (&self.link, parts) {
            (Link::Tcp(stream, Some(session)), parts) => session.borrow_mut().write(stream, parts)?,
            // A single part needs only the simpler system call.
            (Link::Tcp(stream, None), [part]) => stream.try_write(part)?,
            (Link::Tcp(stream, None), parts) => stream.try_write_vectored(parts)?,
            (Link::Substream(stream), parts) => return stream.try_write(parts),
        };
        self.trace.wrote(parts, written, at_ns);
        Ok(written)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        match &self.link {
            Link::Tcp(stream, Some(session)) => {
                let mut session = session.borrow_mut();
                session.close();
                // An error means that the peer has disconnected.
                let _ = session.flush(stream);
            }
            Link::Tcp(_, None) => {}
            Link::Substream(stream) => stream.end(),
        }
    }
}

/// Marks that a read left room in its buffer. Then there is nothing more to read until the kernel reports it, and another read would be a
/// useless system call (epoll(7), on edge-triggered events).
fn note_drained(stream: &TcpStream) {
    // tokio waits for the kernel's report after an operation that would block.
    let _ = stream.try_io(Interest::READABLE, || Err::<(), _>(ErrorKind::WouldBlock.into()));
}

/// Removes the first `written` bytes.
pub fn advance(unsent: &mut Unsent, mut written: usize) {
    while let Some(first) = unsent.front_mut() {
        if written < first.len() {
            first.advance(written);
            return;
        }
        written -= first.len();
        unsent.pop_front();
    }
}

/// The socket as a stream, for hyper and tungstenite.
pub struct Stream {
    socket: Rc<Socket>,
    /// Bytes that were already read from the socket; they are returned first.
    early: Bytes,
    /// Finds the requests for the wire trace, on a connection whose reader does not report them to the trace itself.
    requests: Option<Box<Requests>>,
    /// Watches the frames of an HTTP/2 connection.
    frames: Option<Box<Http2Frames>>,
}

/// What watches the frames of an HTTP/2 connection.
struct Http2Frames {
    floods: FloodGuard,
    traces: Rc<StreamTraces>,
}

impl Stream {
    /// A stream over a socket from which nothing was read before.
    pub fn new(socket: Rc<Socket>) -> Self {
        Self::after(Bytes::new(), socket)
    }

    /// A stream that returns first `early`, which was already read from the socket, and then the bytes of the socket.
    pub fn after(early: Bytes, socket: Rc<Socket>) -> Self {
        Self { socket, early, requests: None, frames: None }
    }

    /// The same as [`Self::after`], for a connection on which only requests are received; `early` is the beginning of a request. The wire
    /// trace records the requests.
    pub fn with_requests(early: Bytes, socket: Rc<Socket>) -> Self {
        Self { requests: Some(Box::new(Requests::default())), ..Self::after(early, socket) }
    }

    /// The same as [`Self::after`], for an HTTP/2 connection; `early` is its beginning. A client that floods the server ends it.
    pub fn with_frames(early: Bytes, socket: Rc<Socket>, traces: Rc<StreamTraces>) -> Self {
        let frames = Http2Frames { floods: FloodGuard::new(), traces };
        Self { frames: Some(Box::new(frames)), ..Self::after(early, socket) }
    }

    /// The bytes of `early` that have not been returned yet.
    pub fn into_early(self) -> Bytes {
        self.early
    }

    /// The socket.
    pub fn socket(&self) -> &Rc<Socket> {
        &self.socket
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Self { socket, early, requests, frames } = self.get_mut();
        let trace = &socket.trace;
        let before = buffer.filled().len();
        let again = !early.is_empty();
        if again {
            buffer.put_slice(&early.split_to(early.len().min(buffer.remaining())));
        } else {
            ready!(socket.poll_read_some(context, buffer))?;
        }
        if let Some(Http2Frames { floods, traces }) = frames.as_deref_mut() {
            if !floods.admit(&buffer.filled()[before..], Instant::now()) {
                socket.state.counters.flooded();
                debug!("disconnected: a flood of HTTP/2 frames");
                return Poll::Ready(Err(ErrorKind::InvalidData.into()));
            }
            traces.received(&buffer.filled()[before..]);
            return Poll::Ready(Ok(()));
        }
        match requests {
            Some(requests) => requests.follow(&mut buffer.filled_mut()[before..], |part| match part {
                Part::Headers(headers, lane) => trace.request(headers, lane),
                Part::Body(bytes) => trace.body(bytes),
            }),
            // The creator of this stream has traced `early` already.
            None if again || socket.is_stream() => {}
            None => trace.read(&buffer.filled()[before..]),
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
            ready!(self.socket.poll_write_ready(context))?;
            let at_ns = self.frames.as_deref().and_then(|frames| frames.traces.before_write());
            let written = match self.socket.try_write_vectored(parts) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                done => done?,
            };
            if let Some(Http2Frames { traces, .. }) = self.frames.as_deref() {
                let mut left = written;
                for part in parts {
                    let length = part.len().min(left);
                    traces.sent(&part[..length], at_ns);
                    left -= length;
                }
            }
            return Poll::Ready(Ok(written));
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.socket.poll_flush_backlog(context))?;
        self.socket.unflushed.set(false);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(mut session) = self.socket.session() {
            session.close();
        }
        ready!(self.socket.poll_flush_backlog(context))?;
        let stream = match &self.socket.link {
            Link::Tcp(stream, _) => stream,
            Link::Substream(stream) => {
                stream.end();
                return Poll::Ready(Ok(()));
            }
        };
        Poll::Ready(match SockRef::from(stream).shutdown(Shutdown::Write) {
            // The peer has closed the connection already.
            Err(error) if error.kind() == ErrorKind::NotConnected => Ok(()),
            done => done,
        })
    }
}
