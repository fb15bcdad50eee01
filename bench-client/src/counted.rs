//! The only place that opens a connection: a socket that counts every byte that crosses it, both ways.
//!
//! Counting happens here, from what read and write return. Explaining happens where the bytes are understood: each parser
//! says to which [`Layer`] the bytes belong that it took. Neither knows of the other, so that the two sums can disagree. Within
//! TLS, the parsers see what was in its records; what the records are longer is explained here, a record at a time.

use std::cell::{RefCell, RefMut};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use protocol::{Layer, Ledger, clock};
use rustix::net::{RecvFlags, Shutdown};
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::link::Link;
use crate::tcp_info;
use crate::tls::{Session, Tls};

/// What a read asks for at the least, in bytes.
const READ: usize = 4 << 10;
/// What is read of what came too late, in bytes: more than a socket holds, but not all that somebody may send for ever.
const MOST_LEFT: usize = 16 << 20;
/// How long the server may take to end its side of a connection once we have ended ours.
const LEAVE: Duration = Duration::from_secs(1);

thread_local! {
    /// What all connections read into, one after another: a buffer of its own for each would have left the processor's caches by
    /// the time of its next event.
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; 64 << 10].into());
}

/// Lends the buffer that all connections read into.
pub fn with_buffer<T>(read: impl FnOnce(&mut [u8]) -> T) -> T {
    BUFFER.with_borrow_mut(|buffer| read(buffer))
}

/// A ledger that several connections, one after another or all of a round, enter their bytes into.
pub type SharedLedger = Rc<RefCell<Ledger>>;

/// A connection, and what was read from it and not yet taken. Dropping it ends it, and completes what the ledger has of it.
pub struct Counted {
    stream: TcpStream,
    link: Option<Box<Modelled>>,
    tls: Option<Box<Session>>,
    /// Bytes as they came, out of their records where there is TLS.
    pub received: BytesMut,
    /// Bytes of a body out of which the chunks' marks have been taken.
    pub body: BytesMut,
    ledger: SharedLedger,
    /// Bytes of the request that is not answered yet: only the answer says what they were for.
    unanswered: u64,
    /// Whether our side has been ended.
    left: bool,
    /// Whether a read has come upon the peer's end.
    ended: bool,
}

/// A modelled link before the socket, and what has come out of it and not yet gone into the socket.
struct Modelled {
    link: Link,
    unsent: Bytes,
    /// The peer has ended the connection; what is under way still comes.
    ended: bool,
}

impl Counted {
    /// Connects, over a modelled link and within TLS where these are given; its bytes go into `ledger`.
    ///
    /// # Errors
    /// Those of the socket, and `InvalidData` where the peer does not speak TLS, or is not to be trusted.
    pub async fn connect(
        address: SocketAddr,
        link: Option<Link>,
        tls: Option<&Tls>,
        ledger: SharedLedger,
    ) -> io::Result<Self> {
        let mut link = link.map(|link| Box::new(Modelled { link, unsent: Bytes::new(), ended: false }));
        if let Some(modelled) = &mut link {
            modelled.link.open().await?;
        }
        let stream = TcpStream::connect(address).await?;
        // Without this, a small request waits for the acknowledgement of the one before it (Nagle).
        stream.set_nodelay(true)?;
        ledger.borrow_mut().connections += 1;
        let (received, body) = (BytesMut::new(), BytesMut::new());
        let mut wire =
            Self { stream, link, tls: None, received, body, ledger, unanswered: 0, left: false, ended: false };
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
            self.explain(Layer::Handshake, words.len());
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

    /// Opens the records that have come whole, and explains what they are longer than what was in them.
    fn open_records(&mut self) -> io::Result<()> {
        let Self { tls: Some(session), received, ledger, .. } = self else { return Ok(()) };
        while let Some(opened) = session.open(received)? {
            let layer = if opened.content > 0 { Layer::Tls } else { Layer::Handshake };
            ledger.borrow_mut()[layer] += (opened.record - opened.content) as u64;
        }
        Ok(())
    }

    /// Waits for more bytes on the wire and appends them to `received`, or to the session's.
    async fn fill_wire(&mut self) -> io::Result<()> {
        if self.link.is_some() {
            return self.fill_from_link().await;
        }
        poll_fn(|context| {
            with_buffer(|buffer| {
                let read = ready!(self.poll_read(context, buffer))?;
                self.unopened().extend_from_slice(&buffer[..read]);
                Poll::Ready(Ok(()))
            })
        })
        .await
    }

    /// Whether bytes are for the parsers just as they come out of the socket.
    pub fn is_bare(&self) -> bool {
        self.link.is_none() && self.tls.is_none()
    }

    /// Reads from the socket: how many bytes of `buffer`.
    ///
    /// # Errors
    /// Those of the socket, and `UnexpectedEof` when the peer has ended the connection.
    pub fn poll_read(&mut self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(buffer);
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer))?;
        let read = buffer.filled().len();
        self.ended |= read == 0;
        self.ledger().received_bytes += read as u64;
        Poll::Ready(if read == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(read) })
    }

    /// Keeps the link going, both ways, until bytes come out of it at our end.
    async fn fill_from_link(&mut self) -> io::Result<()> {
        let Self { stream, link: Some(modelled), tls, received, ledger, .. } = self else { return Ok(()) };
        let Modelled { link, unsent, ended } = &mut **modelled;
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
                        ledger.borrow_mut().sent_bytes += written as u64;
                        unsent.advance(written);
                    }
                }
                ready = stream.readable(), if !*ended && link.down.has_room() => {
                    ready?;
                    let mut bytes = BytesMut::with_capacity(READ);
                    if let Some(read) = unless_blocked(stream.try_read_buf(&mut bytes))? {
                        ledger.borrow_mut().received_bytes += read as u64;
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
        self.explain(layer, bytes.len());
        Ok(())
    }

    /// Sends a request; [`Self::answered`] will say what it was for.
    ///
    /// # Errors
    /// Those of the socket.
    pub async fn request(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.ledger().requests += 1;
        self.write(bytes).await?;
        self.unanswered += bytes.len() as u64;
        Ok(())
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(session) = &mut self.tls else { return self.write_wire(bytes).await };
        let records = session.seal(bytes)?;
        let added = records.len() - bytes.len();
        self.write_wire(&records).await?;
        self.explain(Layer::Tls, added);
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
            self.ledger().sent_bytes += written as u64;
            bytes = &bytes[written..];
        }
        Ok(())
    }

    /// Explains the request that was just answered.
    pub fn answered(&mut self, layer: Layer) {
        let request = std::mem::take(&mut self.unanswered);
        self.ledger()[layer] += request;
    }

    /// Explains `length` bytes that were taken from what came.
    pub fn explain(&self, layer: Layer, length: usize) {
        self.ledger()[layer] += length as u64;
    }

    /// The ledger that the connection's bytes go into.
    pub fn ledger(&self) -> RefMut<'_, Ledger> {
        self.ledger.borrow_mut()
    }

    /// Ends our side, and takes what the server still sends until it has ended its own: the answer to a poll that was under way, for
    /// one. A server that goes on sending for longer than a second is cut off, and the ledger counts that connection.
    pub async fn leave(&mut self) {
        self.end_our_side();
        let until_end = poll_fn(|context| {
            loop {
                let read = with_buffer(|buffer| {
                    let read = ready!(self.poll_read(context, buffer));
                    Poll::Ready(read.map(|read| self.unopened().extend_from_slice(&buffer[..read])))
                });
                // An error is the end, or a reset, which is one as well.
                if ready!(read).is_err() {
                    return Poll::Ready(true);
                }
                if self.unopened().len() > MOST_LEFT {
                    return Poll::Ready(false);
                }
            }
        });
        let ended = timeout(LEAVE, until_end).await.unwrap_or(false);
        self.ledger().cut_off += u64::from(!ended);
    }

    fn end_our_side(&mut self) {
        if std::mem::replace(&mut self.left, true) {
            return;
        }
        self.take_leave();
        self.empty_link();
        // The peer may be gone.
        let _ = rustix::net::shutdown(&self.stream, Shutdown::Write);
    }

    /// Ends the ledger: what leaving cuts off is explained, and the kernel is asked what it counted.
    ///
    /// A request whose answer was not taken is a poll that brought nothing, and so is that answer; other bytes that came too late to
    /// be a whole event belong to the closing.
    fn finish(&mut self) {
        self.end_our_side();
        // What has come and was not read is in the kernel's count; it is read until none comes while the kernel is asked.
        let mut left = 0;
        let mut info = tcp_info::read(self.stream.as_fd(), self.ended).unwrap_or_default();
        while left <= MOST_LEFT {
            let read = self.read_at_once();
            left += read;
            // The peer's FIN may come while the kernel answers, which says first how the connection stands and then what it counted.
            let again = tcp_info::read(self.stream.as_fd(), self.ended).unwrap_or_default();
            if read == 0 && again == info {
                break;
            }
            info = again;
        }
        let mut ledger = self.ledger();
        ledger.kernel_received_bytes += info.bytes_received;
        ledger.kernel_sent_bytes += info.bytes_sent;
        ledger.segments_received += info.segments_received;
        ledger.segments_sent += info.segments_sent;
        let late_answer = if self.unanswered > 0 { Layer::EmptyPoll } else { Layer::Handshake };
        ledger.empty_polls += u64::from(self.unanswered > 0);
        drop(ledger);
        self.answered(Layer::EmptyPoll);
        // Records that cannot be opened are cut off like all that is not whole.
        let _ = self.open_records();
        let sealed = self.tls.as_mut().map_or(0, |session| session.sealed().len());
        self.explain(Layer::Handshake, sealed);
        self.explain(late_answer, self.received.len() + self.body.len());
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
                self.ledger().sent_bytes += taken as u64;
                taken
            }
        };
        self.explain(Layer::Handshake, taken);
    }

    /// Ends the link: what is under way arrives at once, since nobody waits for it any more.
    fn empty_link(&mut self) {
        let Some(modelled) = self.link.take() else { return };
        let Modelled { mut link, mut unsent, ended } = *modelled;
        self.ended |= ended;
        while let Some(bytes) = link.down.leave(u64::MAX) {
            self.unopened().extend_from_slice(&bytes);
        }
        loop {
            match self.stream.try_write(&unsent) {
                _ if unsent.is_empty() => {}
                Ok(written) => {
                    self.ledger().sent_bytes += written as u64;
                    unsent.advance(written);
                    continue;
                }
                // The peer is gone: what it will not get was never sent, whatever it was to be.
                Err(_) => {
                    let never = unsent.len() as u64;
                    let request = never.min(self.unanswered);
                    self.unanswered -= request;
                    let said = &mut self.ledger()[Layer::Handshake];
                    *said = said.saturating_sub(never - request);
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

    /// Reads what is there: how many bytes. The kernel is asked itself: tokio learns of what has come only at its next turn.
    fn read_at_once(&mut self) -> usize {
        let mut buffer = [0; READ];
        match rustix::net::recv(&self.stream, &mut buffer, RecvFlags::DONTWAIT) {
            Ok((_, read)) => {
                self.ended |= read == 0;
                self.unopened().extend_from_slice(&buffer[..read]);
                self.ledger().received_bytes += read as u64;
                read
            }
            Err(_) => 0,
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.finish();
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
