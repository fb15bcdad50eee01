//! A counted socket behind a modelled link and TLS, if there are these: its bytes as the parsers see them.
//!
//! Bytes are counted at the socket, from the return values of read and write. What the records of TLS add to their content is attributed here.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use protocol::{Layer, Ledger};
use tokio::time::timeout;

use super::link::Link;
use super::linked::LinkedSocket;
use super::socket::{SharedLedger, with_buffer};
use super::tls::{Session, Tls};

/// The most bytes that are read after we have closed our side: more than a socket's buffer has, but bounded.
const MAX_LATE_BYTES: usize = 16 << 20;
/// How long the server may take to close its side of a connection once we have closed ours.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// A socket, decrypted.
pub struct SecuredSocket {
    wire: LinkedSocket,
    tls: Option<Box<Session>>,
    /// Whether our side is closed.
    closed: bool,
}

impl SecuredSocket {
    /// Connects, over a modelled link and with TLS if these are given. Bytes that come right after the handshake of TLS are appended to
    /// `received`.
    ///
    /// # Errors
    /// Those of the socket, and `InvalidData` where the peer does not speak TLS, or its certificate is not trusted.
    pub async fn connect(
        address: SocketAddr,
        link: Option<Link>,
        tls: Option<&Tls>,
        ledger: SharedLedger,
        received: &mut BytesMut,
    ) -> io::Result<Self> {
        let wire = LinkedSocket::connect(address, link, ledger).await?;
        let mut socket = Self { wire, tls: None, closed: false };
        if let Some(tls) = tls
            && let Err(error) = socket.handshake(Session::new(tls)?, received).await
        {
            socket.finish(received, &mut 0);
            socket.attribute(Layer::Handshake, received.len());
            return Err(error);
        }
        Ok(socket)
    }

    /// The handshake of TLS.
    async fn handshake(&mut self, session: Session, received: &mut BytesMut) -> io::Result<()> {
        self.tls = Some(session.into());
        while let Some(session) = self.tls.as_mut() {
            let records = session.pending_records()?;
            let done = !session.is_handshaking();
            self.wire.write(&records).await?;
            self.attribute(Layer::Handshake, records.len());
            if done {
                break;
            }
            self.fill_encrypted(received).await?;
            self.decrypt(received)?;
        }
        Ok(())
    }

    /// Waits for more bytes and appends them to `received`.
    ///
    /// # Errors
    /// Those of the socket, and `UnexpectedEof` when the peer has ended the connection. Dropping the future loses no bytes.
    pub async fn fill(&mut self, received: &mut BytesMut) -> io::Result<()> {
        if self.tls.is_none() {
            return self.wire.fill(received).await;
        }
        let before = received.len();
        while received.len() == before {
            self.fill_encrypted(received).await?;
            self.decrypt(received)?;
        }
        Ok(())
    }

    async fn fill_encrypted(&mut self, received: &mut BytesMut) -> io::Result<()> {
        let Self { wire, tls, .. } = self;
        wire.fill(undecrypted(tls, received)).await
    }

    /// Decrypts the complete records, and attributes what they add to their content.
    fn decrypt(&mut self, received: &mut BytesMut) -> io::Result<()> {
        let Self { tls: Some(session), wire, .. } = self else { return Ok(()) };
        while let Some(opened) = session.open(received)? {
            let layer = if opened.content > 0 { Layer::Tls } else { Layer::Handshake };
            wire.socket.ledger().borrow_mut()[layer] += (opened.record - opened.content) as u64;
        }
        Ok(())
    }

    /// Whether the parsers read the bytes of the socket directly, without any layer in between.
    pub fn is_bare(&self) -> bool {
        !self.wire.has_link() && self.tls.is_none()
    }

    /// Whether the server has chosen this protocol in the handshake of TLS (RFC 7301).
    pub fn has_negotiated(&self, protocol: &[u8]) -> bool {
        self.tls.as_ref().is_some_and(|session| session.negotiated() == Some(protocol))
    }

    /// Reads from the socket into `buffer`; returns how many bytes. Only for a bare socket.
    ///
    /// # Errors
    /// Those of the socket, and `UnexpectedEof` when the peer has ended the connection.
    pub fn poll_read(&mut self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.wire.socket.poll_read(context, buffer)
    }

    /// Writes all of `bytes`. The caller attributes them.
    ///
    /// # Errors
    /// Those of the socket.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(session) = &mut self.tls else { return self.wire.write(bytes).await };
        let records = session.seal(bytes)?;
        let added = records.len() - bytes.len();
        self.wire.write(&records).await?;
        self.attribute(Layer::Tls, added);
        Ok(())
    }

    fn attribute(&self, layer: Layer, length: usize) {
        self.ledger().borrow_mut()[layer] += length as u64;
    }

    /// The ledger that the bytes are entered into.
    pub fn ledger(&self) -> &SharedLedger {
        self.wire.socket.ledger()
    }

    /// Closes our side, and reads into `received` what the server still sends until it has closed its side: for instance the response to the
    /// last poll, which is a part of the `unanswered` bytes. A connection on which the server goes on sending for more than a second is counted
    /// as cut off.
    pub async fn close(&mut self, received: &mut BytesMut, unanswered: &mut u64) {
        self.close_our_side(received, unanswered);
        let until_end = poll_fn(|context| {
            loop {
                let Self { wire, tls, .. } = self;
                let received = undecrypted(tls, received);
                let read = with_buffer(|buffer| {
                    let read = ready!(wire.socket.poll_read(context, buffer));
                    Poll::Ready(read.map(|read| received.extend_from_slice(&buffer[..read])))
                });
                // An error is the end, or a reset, which ends the connection as well.
                if ready!(read).is_err() {
                    return Poll::Ready(true);
                }
                if received.len() > MAX_LATE_BYTES {
                    return Poll::Ready(false);
                }
            }
        });
        let ended = timeout(CLOSE_TIMEOUT, until_end).await.unwrap_or(false);
        self.ledger().borrow_mut().cut_off += u64::from(!ended);
    }

    fn close_our_side(&mut self, received: &mut BytesMut, unanswered: &mut u64) {
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        if let Some(session) = &mut self.tls {
            let alert = session.close();
            let written = self.wire.write_now(&alert);
            self.attribute(Layer::Handshake, written);
        }
        let Self { wire, tls, .. } = self;
        let lost = wire.drain_link(undecrypted(tls, received));
        // Bytes that the peer does not receive any more were not sent, and are subtracted from the layer that they were attributed to.
        let request = lost.min(*unanswered);
        *unanswered -= request;
        let mut ledger = self.ledger().borrow_mut();
        ledger[Layer::Handshake] = ledger[Layer::Handshake].saturating_sub(lost - request);
        drop(ledger);
        self.wire.socket.shut_down_write();
    }

    /// Closes our side, appends what still comes to `received`, and adds what the kernel has counted to the ledger.
    pub fn finish(&mut self, received: &mut BytesMut, unanswered: &mut u64) {
        self.close_our_side(received, unanswered);
        let Self { wire, tls, .. } = self;
        let raw = undecrypted(tls, received);
        // The kernel also counts bytes that we have not read. So we read until no byte has come between two of its counts.
        let mut late = 0;
        let mut kernel = wire.socket.kernel_count();
        while late <= MAX_LATE_BYTES {
            let read = wire.socket.read_now(raw);
            late += read;
            // The peer's FIN may come between the kernel's reading of the connection's state and that of its counts.
            let again = wire.socket.kernel_count();
            if read == 0 && again == kernel {
                break;
            }
            kernel = again;
        }
        *self.ledger().borrow_mut() += Ledger { kernel, ..Ledger::default() };
        // Records that cannot be decrypted are cut off, like every incomplete message.
        let _ = self.decrypt(received);
        let encrypted = self.tls.as_mut().map_or(0, |session| session.encrypted().len());
        self.attribute(Layer::Handshake, encrypted);
    }
}

/// The buffer to which bytes from the wire are appended: the session's records, or the received bytes.
fn undecrypted<'a>(tls: &'a mut Option<Box<Session>>, received: &'a mut BytesMut) -> &'a mut BytesMut {
    match tls {
        None => received,
        Some(session) => session.encrypted(),
    }
}
