//! The only place that opens a connection: a socket that counts every byte that crosses it, both ways.
//!
//! Counting happens here, from what read and write return. Explaining happens where the bytes are understood: each parser
//! says to which [`Layer`] the bytes belong that it took. Neither knows of the other, so that the two sums can disagree. Within
//! TLS, the parsers see what was in its records; what the records are longer is explained here, a record at a time.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use protocol::{Layer, Ledger, clock};
use rustix::net::RecvFlags;
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;

use crate::link::Link;
use crate::tcp_info;
use crate::tls::{Session, Tls};

/// What a read asks for at the least, in bytes.
const READ: usize = 4 << 10;
/// What is read of what came too late, in bytes: more than a socket holds, but not all that somebody may send for ever.
const MOST_LEFT: u64 = 16 << 20;

thread_local! {
    /// What all connections read into, one after another: a buffer of its own for each would have left the processor's caches by
    /// the time of its next event.
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; 64 << 10].into());
}

/// A connection, what was read from it and not yet taken, and the ledger of its bytes.
pub struct Counted {
    stream: TcpStream,
    link: Option<Modelled>,
    tls: Option<Box<Session>>,
    /// Bytes as they came, out of their records where there is TLS.
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
    /// Connects, over a modelled link and within TLS where these are given.
    ///
    /// # Errors
    /// Those of the socket, and `InvalidData` where the peer does not speak TLS, or is not to be trusted.
    pub async fn connect(address: SocketAddr, link: Option<Link>, tls: Option<&Tls>) -> io::Result<Self> {
        let mut link = link.map(|link| Modelled { link, unsent: Bytes::new(), ended: false });
        if let Some(modelled) = &mut link {
            modelled.link.open().await?;
        }
        let stream = TcpStream::connect(address).await?;
        // Without this, a small request waits for the acknowledgement of the one before it (Nagle).
        stream.set_nodelay(true)?;
        let ledger = Ledger { connections: 1, ..Ledger::default() };
        let (received, body) = (BytesMut::new(), BytesMut::new());
        let mut wire = Self { stream, link, tls: None, received, body, ledger, unanswered: 0 };
        if let Some(tls) = tls {
            wire.shake_hands(Session::new(tls)?).await?;
        }
        Ok(wire)
    }

    async fn shake_hands(&mut self, session: Session) -> io::Result<()> {
        self.tls = Some(session.into());
        while let Some(session) = self.tls.as_mut() {
            let words = session.own_words()?;
            let done = !session.is_handshaking();
            self.write_wire(&words).await?;
            self.ledger[Layer::Handshake] += words.len() as u64;
            if done {
                break;
            }
            self.fill_wire().await?;
            self.open_records()?;
        }
        Ok(())
    }

    /// Waits for more bytes and appends them to `received`.
    ///
    /// # Errors
    /// Those of the socket, and `UnexpectedEof` when the peer has ended the connection. Dropping the future loses nothing.
    pub async fn fill(&mut self) -> io::Result<()> {
        if self.tls.is_none() {
            return self.fill_wire().await;
        }
        let before = self.received.len();
        while self.received.len() == before {
            self.fill_wire().await?;
            self.open_records()?;
        }
        Ok(())
    }

    /// Takes the first `length` bytes of what has come.
    pub fn take(&mut self, length: usize) -> BytesMut {
        front(&mut self.received, length)
    }

    /// Takes the first `length` bytes of the body that has come.
    pub fn take_body(&mut self, length: usize) -> BytesMut {
        front(&mut self.body, length)
    }

    /// Opens the records that have come whole, and explains what they are longer than what was in them.
    fn open_records(&mut self) -> io::Result<()> {
        let Self { tls: Some(session), received, ledger, .. } = self else { return Ok(()) };
        while let Some(opened) = session.open(received)? {
            let layer = if opened.content > 0 { Layer::Tls } else { Layer::Handshake };
            ledger[layer] += (opened.record - opened.content) as u64;
        }
        Ok(())
    }

    /// Waits for more bytes on the wire and appends them to `received`, or to the session's.
    async fn fill_wire(&mut self) -> io::Result<()> {
        if self.link.is_some() {
            return self.fill_from_link().await;
        }
        let Self { stream, tls, received, ledger, .. } = self;
        let received = match tls {
            None => received,
            Some(session) => session.sealed(),
        };
        let read = poll_fn(|context| {
            BUFFER.with_borrow_mut(|buffer| {
                let mut buffer = ReadBuf::new(buffer);
                ready!(Pin::new(&mut *stream).poll_read(context, &mut buffer))?;
                received.extend_from_slice(buffer.filled());
                Poll::Ready(io::Result::Ok(buffer.filled().len()))
            })
        })
        .await?;
        ledger.received_bytes += read as u64;
        if read == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    /// Keeps the link going, both ways, until bytes come out of it at our end.
    async fn fill_from_link(&mut self) -> io::Result<()> {
        let Self { stream, link: Some(Modelled { link, unsent, ended }), tls, received, ledger, .. } = self else {
            return Ok(());
        };
        let received = match tls {
            None => received,
            Some(session) => session.sealed(),
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

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(session) = &mut self.tls else { return self.write_wire(bytes).await };
        let records = session.seal(bytes)?;
        let added = records.len() - bytes.len();
        self.write_wire(&records).await?;
        self.ledger[Layer::Tls] += added as u64;
        Ok(())
    }

    async fn write_wire(&mut self, mut bytes: &[u8]) -> io::Result<()> {
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
        self.take_leave();
        self.empty_link();
        // What has come and was not read is in the kernel's count; it is read until none comes while the kernel is asked.
        let before = self.ledger.received_bytes;
        let mut info = tcp_info::read(self.stream.as_fd()).unwrap_or_default();
        while self.ledger.received_bytes - before <= MOST_LEFT {
            let drained = !self.read_at_once();
            // The peer's FIN may come while the kernel answers, which says first how the connection stands and then what it counted.
            let again = tcp_info::read(self.stream.as_fd()).unwrap_or_default();
            if drained && again == info {
                break;
            }
            info = again;
        }
        self.ledger.kernel_received_bytes += info.bytes_received;
        self.ledger.kernel_sent_bytes += info.bytes_sent;
        self.ledger.segments_received += info.segments_received;
        self.ledger.segments_sent += info.segments_sent;
        self.ledger.empty_polls += u64::from(self.unanswered > 0);
        self.answered(Layer::EmptyPoll);
        // Records that cannot be opened are cut off like all that is not whole.
        let _ = self.open_records();
        let sealed = self.tls.as_mut().map_or(0, |session| session.sealed().len());
        self.explain(Layer::Handshake, sealed);
        let rest = self.received.len() + self.body.len();
        self.received.clear();
        self.body.clear();
        self.explain(Layer::Handshake, rest);
    }

    /// Says that nothing follows, where TLS has a word for it.
    fn take_leave(&mut self) {
        let Some(session) = &mut self.tls else { return };
        let words = session.close();
        let taken = match &mut self.link {
            Some(modelled) => {
                modelled.link.up.enter(clock::now_ns(), Bytes::copy_from_slice(&words));
                words.len()
            }
            // The peer may be gone.
            None => {
                let taken = self.stream.try_write(&words).unwrap_or(0);
                self.ledger.sent_bytes += taken as u64;
                taken
            }
        };
        self.explain(Layer::Handshake, taken);
    }

    /// Ends the link: what is under way arrives at once, since nobody waits for it any more.
    fn empty_link(&mut self) {
        let Some(Modelled { mut link, mut unsent, .. }) = self.link.take() else { return };
        while let Some(bytes) = link.down.leave(u64::MAX) {
            self.unopened().extend_from_slice(&bytes);
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

    /// Where bytes from the wire are appended.
    fn unopened(&mut self) -> &mut BytesMut {
        match &mut self.tls {
            None => &mut self.received,
            Some(session) => session.sealed(),
        }
    }

    /// Reads what is there, if anything is. The kernel is asked itself: tokio learns of what has come only at its next turn.
    fn read_at_once(&mut self) -> bool {
        let mut buffer = [0; READ];
        match rustix::net::recv(&self.stream, &mut buffer, RecvFlags::DONTWAIT) {
            Ok((_, read)) if read > 0 => {
                self.unopened().extend_from_slice(&buffer[..read]);
                self.ledger.received_bytes += read as u64;
                true
            }
            _ => false,
        }
    }
}

/// Takes the first `length` bytes of a buffer.
fn front(buffer: &mut BytesMut, length: usize) -> BytesMut {
    // Most often an event is all there is, and its memory is free for the next connection's.
    if length == buffer.len() { std::mem::take(buffer) } else { buffer.split_to(length) }
}

/// A result without "not now".
fn unless_blocked(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Ok(done) => Ok(Some(done)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}
