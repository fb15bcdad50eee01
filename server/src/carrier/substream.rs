//! A stream of an HTTP/2 connection, with the operations of a socket.
//!
//! hyper writes all streams of a connection to its socket, as far as HTTP/2's flow control allows. So a delivery, or a WebSocket, cannot write
//! to the socket itself; it adds its bytes to the stream's queue. hyper takes them from there: as the body of the response or, for a
//! WebSocket, through an upgraded stream. While the queue is full, the subscriber is a slow consumer, as with a full socket.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Instant;

use bytes::{Buf, Bytes, BytesMut};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The most bytes that wait in the queue. Those of events are shared by all subscribers.
const MAX_QUEUED_BYTES: usize = 64 << 10;
/// The most bytes that are read ahead.
const READ_BYTES: usize = 4 << 10;

/// A stream.
pub struct Substream {
    /// The address of the connection's peer.
    pub peer: IpAddr,
    output: RefCell<Output>,
    input: RefCell<Input>,
}

/// The bytes to be sent.
#[derive(Default)]
struct Output {
    queue: VecDeque<Bytes>,
    queued_bytes: usize,
    /// Whether nothing is added any more.
    ended: bool,
    /// Whether the stream has ended: nothing is sent any more, and nothing is received.
    closed: bool,
    /// Wakes hyper's task, which sends the bytes.
    sender: Option<Waker>,
    /// Wakes the task that waits for room.
    writer: Option<Waker>,
    /// Since when bytes wait of which none was taken: in the queue, or as a part that hyper cannot send yet.
    waiting_since: Option<Instant>,
}

/// The received bytes.
#[derive(Default)]
struct Input {
    /// The stream of a WebSocket; the stream of a response receives nothing.
    upgraded: Option<TokioIo<Upgraded>>,
    /// Received bytes that have not been read yet.
    ahead: BytesMut,
    /// Whether the peer has ended its side.
    ended: bool,
    /// Wakes the task that waits for bytes, when the stream is closed.
    reader: Option<Waker>,
}

impl Substream {
    /// A new stream of a connection with this peer.
    pub fn new(peer: IpAddr) -> Self {
        Self { peer, output: RefCell::default(), input: RefCell::default() }
    }

    /// Continues as a WebSocket.
    pub fn upgrade(&self, upgraded: Upgraded) {
        let mut input = self.input.borrow_mut();
        input.upgraded = Some(TokioIo::new(upgraded));
        input.reader.take().into_iter().for_each(Waker::wake);
    }

    /// Since when bytes wait of which none was taken.
    pub fn waiting_since(&self) -> Option<Instant> {
        self.output.borrow().waiting_since
    }

    /// Polls until the stream has ended.
    pub fn poll_end(&self, context: &mut Context<'_>) -> Poll<()> {
        if self.output.borrow().closed {
            return Poll::Ready(());
        }
        self.input.borrow_mut().reader = Some(context.waker().clone());
        Poll::Pending
    }

    /// Polls until there is something to read: bytes, the peer's end, or the end of the stream.
    pub fn poll_read_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut input = self.input.borrow_mut();
        let Input { upgraded, ahead, ended, reader } = &mut *input;
        if !ahead.is_empty() || *ended || self.output.borrow().closed {
            return Poll::Ready(Ok(()));
        }
        let Some(upgraded) = upgraded else {
            *reader = Some(context.waker().clone());
            return Poll::Pending;
        };
        let mut bytes = [0; READ_BYTES];
        let mut buffer = ReadBuf::new(&mut bytes);
        ready!(Pin::new(upgraded).poll_read(context, &mut buffer))?;
        *ended = buffer.filled().is_empty();
        ahead.extend_from_slice(buffer.filled());
        Poll::Ready(Ok(()))
    }

    /// Reads the bytes that have been received; 0 at the end.
    ///
    /// # Errors
    /// `WouldBlock` if there are none.
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut input = self.input.borrow_mut();
        if input.ahead.is_empty() {
            return if input.ended || self.output.borrow().closed { Ok(0) } else { Err(ErrorKind::WouldBlock.into()) };
        }
        let length = input.ahead.len().min(buffer.len());
        input.ahead.copy_to_slice(&mut buffer[..length]);
        if input.ahead.is_empty() {
            input.ahead = BytesMut::new();
        }
        Ok(length)
    }

    /// Polls until there is room in the queue.
    pub fn poll_write_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut output = self.output.borrow_mut();
        if output.closed || output.queued_bytes < MAX_QUEUED_BYTES {
            return Poll::Ready(Ok(()));
        }
        output.writer = Some(context.waker().clone());
        Poll::Pending
    }

    /// Adds as many of the parts as there is room for, without copying them; returns how many bytes.
    ///
    /// # Errors
    /// `WouldBlock` if the queue is full, `BrokenPipe` if the stream has ended.
    pub fn try_send(&self, parts: &[Bytes]) -> io::Result<usize> {
        let mut output = self.output.borrow_mut();
        let mut added = 0;
        output.check()?;
        for part in parts.iter().filter(|part| !part.is_empty()) {
            if output.queued_bytes >= MAX_QUEUED_BYTES {
                break;
            }
            output.queue.push_back(part.clone());
            output.queued_bytes += part.len();
            added += part.len();
        }
        if added > 0 {
            output.waiting_since.get_or_insert_with(Instant::now);
        }
        output.wake_sender();
        Ok(added)
    }

    /// Sends a complete body and nothing after it, however long it is.
    pub fn finish_with(&self, parts: VecDeque<Bytes>) {
        let mut output = self.output.borrow_mut();
        output.queued_bytes += parts.iter().map(Bytes::len).sum::<usize>();
        output.queue.extend(parts.into_iter().filter(|part| !part.is_empty()));
        output.ended = true;
        output.waiting_since.get_or_insert_with(Instant::now);
        output.wake_sender();
    }

    /// Whether everything was taken, and nothing is added any more.
    fn is_finished(&self) -> bool {
        let output = self.output.borrow();
        output.queue.is_empty() && (output.ended || output.closed)
    }

    /// As [`Self::try_send`], for bytes that are not shared: they are copied, as one part.
    ///
    /// # Errors
    /// Those of [`Self::try_send`].
    pub fn try_write(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let length = parts.iter().map(|part| part.len()).sum();
        let mut copy = BytesMut::with_capacity(length);
        parts.iter().for_each(|part| copy.extend_from_slice(part));
        self.try_send(&[copy.freeze()])
    }

    /// Ends what we send, after the bytes in the queue.
    pub fn end(&self) {
        let mut output = self.output.borrow_mut();
        output.ended = true;
        output.wake_sender();
    }

    /// Ends the stream. What is in the queue is lost.
    pub fn close(&self) {
        let mut output = self.output.borrow_mut();
        (output.closed, output.queue, output.queued_bytes) = (true, VecDeque::new(), 0);
        output.waiting_since = None;
        let (writer, sender) = (output.writer.take(), output.sender.take());
        drop(output);
        let reader = self.input.borrow_mut().reader.take();
        [reader, writer, sender].into_iter().flatten().for_each(Waker::wake);
    }

    /// Polls for the next part to be sent; `None` at the end.
    pub fn poll_next(&self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let mut output = self.output.borrow_mut();
        let Some(part) = output.queue.pop_front() else {
            // hyper polls again only after it has sent the part before.
            output.waiting_since = None;
            if output.ended || output.closed {
                return Poll::Ready(None);
            }
            output.sender = Some(context.waker().clone());
            return Poll::Pending;
        };
        output.queued_bytes -= part.len();
        output.waiting_since = Some(Instant::now());
        let has_room = output.queued_bytes < MAX_QUEUED_BYTES;
        let writer = output.writer.take_if(|_| has_room);
        drop(output);
        writer.into_iter().for_each(Waker::wake);
        Poll::Ready(Some(part))
    }

    /// Sends what is added to the queue through the upgraded stream, until the end.
    pub fn poll_forward(&self, context: &mut Context<'_>, unsent: &mut Bytes) -> Poll<io::Result<()>> {
        loop {
            while !unsent.is_empty() {
                let mut input = self.input.borrow_mut();
                let Some(upgraded) = &mut input.upgraded else { return Poll::Ready(Ok(())) };
                let written = ready!(Pin::new(upgraded).poll_write(context, unsent))?;
                unsent.advance(written);
            }
            match ready!(self.poll_next(context)) {
                Some(part) => *unsent = part,
                None => {
                    let mut input = self.input.borrow_mut();
                    let Some(upgraded) = &mut input.upgraded else { return Poll::Ready(Ok(())) };
                    return Pin::new(upgraded).poll_shutdown(context);
                }
            }
        }
    }
}

impl Output {
    fn check(&self) -> io::Result<()> {
        if self.closed || self.ended {
            return Err(ErrorKind::BrokenPipe.into());
        }
        if self.queued_bytes >= MAX_QUEUED_BYTES {
            return Err(ErrorKind::WouldBlock.into());
        }
        Ok(())
    }

    fn wake_sender(&mut self) {
        self.sender.take().into_iter().for_each(Waker::wake);
    }
}

/// The body of an endless response: what its session adds to the stream's queue.
pub struct StreamBody(Rc<Substream>);

impl StreamBody {
    /// The body that a stream's queue provides.
    pub fn new(stream: Rc<Substream>) -> Self {
        Self(stream)
    }

    /// Whether the part that was taken last was the last one of all.
    pub fn is_finished(&self) -> bool {
        self.0.is_finished()
    }

    /// Polls for the next part; `None` at the end.
    pub fn poll_next(&self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        self.0.poll_next(context)
    }
}

impl Drop for StreamBody {
    /// The stream has ended, or the client has reset it.
    fn drop(&mut self) {
        self.0.close();
    }
}
