//! A subscriber's connection: a socket behind the layers of the wire, the bytes that were received and not parsed yet, and their ledger.
//!
//! Bytes are counted at the socket, from the return values of read and write. The parser that understands them attributes them to a
//! [`Layer`]. The two do not depend on each other, so their sums can disagree, which reveals an error. With TLS, the parsers see the content
//! of the records, and what the records add to it is attributed here.

use std::cell::RefMut;
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
pub use super::socket::SharedLedger;
use super::socket::with_buffer;
use super::tls::{Session, Tls};

/// The most bytes that are read after we have closed our side: more than a socket's buffer has, but bounded.
const MAX_LATE_BYTES: usize = 16 << 20;
/// How long the server may take to close its side of a connection once we have closed ours.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// A connection. Dropping it closes it, and completes its part of the ledger.
pub struct Connection {
    wire: LinkedSocket,
    tls: Option<Box<Session>>,
    /// Received bytes that were not parsed yet, decrypted if there is TLS.
    pub received: BytesMut,
    /// Bytes of a chunked body, without the chunk sizes, that were not parsed yet.
    pub body: BytesMut,
    /// Bytes of the request without response; to which layer they belong depends on the response.
    unanswered: u64,
    /// Whether our side is closed.
    closed: bool,
}

impl Connection {
    /// Connects, over a modelled link and with TLS if these are given; the bytes are entered into `ledger`.
    ///
    /// # Errors
    /// Those of the socket, and `InvalidData` where the peer does not speak TLS, or its certificate is not trusted.
    pub async fn connect(
        address: SocketAddr,
        link: Option<Link>,
        tls: Option<&Tls>,
        ledger: SharedLedger,
    ) -> io::Result<Self> {
        let wire = LinkedSocket::connect(address, link, ledger).await?;
        let (received, body) = (BytesMut::new(), BytesMut::new());
        let mut connection = Self { wire, tls: None, received, body, unanswered: 0, closed: false };
        if let Some(tls) = tls {
            connection.handshake(Session::new(tls)?).await?;
        }
        Ok(connection)
    }

    /// The handshake of TLS.
    async fn handshake(&mut self, session: Session) -> io::Result<()> {
        self.tls = Some(session.into());
        while let Some(session) = self.tls.as_mut() {
            let records = session.pending_records()?;
            let done = !session.is_handshaking();
            self.wire.write(&records).await?;
            self.attribute(Layer::Handshake, records.len());
            if done {
                break;
            }
            self.fill_encrypted().await?;
            self.decrypt()?;
        }
        Ok(())
    }

    /// Waits for more bytes and appends them to `received`.
    ///
    /// # Errors
    /// Those of the socket, and `UnexpectedEof` when the peer has ended the connection. Dropping the future loses no bytes.
    pub async fn fill(&mut self) -> io::Result<()> {
        if self.tls.is_none() {
            return self.wire.fill(&mut self.received).await;
        }
        let before = self.received.len();
        while self.received.len() == before {
            self.fill_encrypted().await?;
            self.decrypt()?;
        }
        Ok(())
    }

    async fn fill_encrypted(&mut self) -> io::Result<()> {
        let Self { wire, tls, received, .. } = self;
        wire.fill(undecrypted(tls, received)).await
    }

    /// Decrypts the complete records, and attributes what they add to their content.
    fn decrypt(&mut self) -> io::Result<()> {
        let Self { tls: Some(session), received, wire, .. } = self else { return Ok(()) };
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

    /// Reads from the socket into `buffer`; returns how many bytes. Only for a bare connection.
    ///
    /// # Errors
    /// Those of the socket, and `UnexpectedEof` when the peer has ended the connection.
    pub fn poll_read(&mut self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.wire.socket.poll_read(context, buffer)
    }

    /// Sends bytes of a known layer.
    ///
    /// # Errors
    /// Those of the socket.
    pub async fn send(&mut self, bytes: &[u8], layer: Layer) -> io::Result<()> {
        self.write(bytes).await?;
        self.attribute(layer, bytes.len());
        Ok(())
    }

    /// Sends a request; [`Self::attribute_request`] has to follow when its response has come.
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
        let Some(session) = &mut self.tls else { return self.wire.write(bytes).await };
        let records = session.seal(bytes)?;
        let added = records.len() - bytes.len();
        self.wire.write(&records).await?;
        self.attribute(Layer::Tls, added);
        Ok(())
    }

    /// Attributes the request whose response has come.
    pub fn attribute_request(&mut self, layer: Layer) {
        let request = std::mem::take(&mut self.unanswered);
        self.ledger()[layer] += request;
    }

    /// Attributes `length` parsed bytes to a layer.
    pub fn attribute(&self, layer: Layer, length: usize) {
        self.ledger()[layer] += length as u64;
    }

    /// The ledger that the connection's bytes are entered into.
    pub fn ledger(&self) -> RefMut<'_, Ledger> {
        self.wire.socket.ledger().borrow_mut()
    }

    /// Closes our side, and reads what the server still sends until it has closed its side: for instance the response to the last poll. A
    /// connection on which the server goes on sending for more than a second is counted as cut off.
    pub async fn close(&mut self) {
        self.close_our_side();
        let until_end = poll_fn(|context| {
            loop {
                let Self { wire, tls, received, .. } = self;
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
        self.ledger().cut_off += u64::from(!ended);
    }

    fn close_our_side(&mut self) {
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        if let Some(session) = &mut self.tls {
            let alert = session.close();
            let written = self.wire.write_now(&alert);
            self.attribute(Layer::Handshake, written);
        }
        let Self { wire, tls, received, .. } = self;
        let lost = wire.drain_link(undecrypted(tls, received));
        // Bytes that the peer does not receive any more were not sent, and are subtracted from the layer that they were attributed to.
        let request = lost.min(self.unanswered);
        self.unanswered -= request;
        let mut ledger = self.ledger();
        ledger[Layer::Handshake] = ledger[Layer::Handshake].saturating_sub(lost - request);
        drop(ledger);
        self.wire.socket.shut_down_write();
    }

    /// Completes the ledger: attributes what closing cut off, and adds what the kernel has counted.
    ///
    /// A request whose response was not parsed is a poll that brought nothing, and so is that response. Other bytes that came too late to be
    /// a complete message belong to the closing.
    fn finish(&mut self) {
        self.close_our_side();
        let Self { wire, tls, received, .. } = self;
        let received = undecrypted(tls, received);
        // The kernel also counts bytes that we have not read. So we read until no byte has come between two of its counts.
        let mut late = 0;
        let mut kernel = wire.socket.kernel_count();
        while late <= MAX_LATE_BYTES {
            let read = wire.socket.read_now(received);
            late += read;
            // The peer's FIN may come between the kernel's reading of the connection's state and that of its counts.
            let again = wire.socket.kernel_count();
            if read == 0 && again == kernel {
                break;
            }
            kernel = again;
        }
        let mut ledger = self.ledger();
        *ledger += Ledger { kernel, ..Ledger::default() };
        let late_layer = if self.unanswered > 0 { Layer::EmptyPoll } else { Layer::Handshake };
        ledger.empty_polls += u64::from(self.unanswered > 0);
        drop(ledger);
        self.attribute_request(Layer::EmptyPoll);
        // Records that cannot be decrypted are cut off, like every incomplete message.
        let _ = self.decrypt();
        let encrypted = self.tls.as_mut().map_or(0, |session| session.encrypted().len());
        self.attribute(Layer::Handshake, encrypted);
        self.attribute(late_layer, self.received.len() + self.body.len());
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.finish();
    }
}

/// The buffer to which bytes from the wire are appended: the session's records, or the received bytes.
fn undecrypted<'a>(tls: &'a mut Option<Box<Session>>, received: &'a mut BytesMut) -> &'a mut BytesMut {
    match tls {
        None => received,
        Some(session) => session.encrypted(),
    }
}
