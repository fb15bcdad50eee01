//! A subscriber's connection: a socket of its own or a stream of an HTTP/2 connection, and the bytes that were received and not parsed yet.
//!
//! Bytes are counted at the socket, from the return values of read and write. The parser that understands them attributes them to a
//! [`Layer`]. The two do not depend on each other, so their sums can disagree, which reveals an error. With TLS, the parsers see the content
//! of the records; over HTTP/2, the content of the stream's DATA frames.

use std::cell::RefMut;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use bytes::{Buf, BytesMut};
use protocol::{Layer, Ledger, Transport};

use super::http1::{self, Head};
use super::http2::Stream;
use super::link::Link;
use super::quic::Quic;
use super::secured::SecuredSocket;
pub use super::socket::SharedLedger;
use super::tls::Tls;
use crate::fault::Fault;

/// A connection. Dropping it closes it, and completes its part of the ledger.
pub struct Connection {
    link: Carrier,
    /// Received bytes that were not parsed yet, decrypted if there is TLS.
    pub received: BytesMut,
    /// Bytes of a chunked body, without the chunk sizes, that were not parsed yet.
    pub body: BytesMut,
    /// Bytes of the request without response; to which layer they belong depends on the response.
    unanswered: u64,
}

/// Where the bytes of a connection go.
enum Carrier {
    /// To a socket.
    Socket(SecuredSocket),
    /// To a stream of an HTTP/2 connection; each request has a stream of its own.
    Http2(Box<Stream>),
    /// To a WebTransport session.
    Quic(Box<Quic>),
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
        let mut received = BytesMut::new();
        let socket = SecuredSocket::connect(address, link, tls, ledger, &mut received).await?;
        Ok(Self { link: Carrier::Socket(socket), received, body: BytesMut::new(), unanswered: 0 })
    }

    /// A connection whose requests are streams of an HTTP/2 connection.
    pub fn over_http2(stream: Stream) -> Self {
        Self { link: Carrier::Http2(stream.into()), received: BytesMut::new(), body: BytesMut::new(), unanswered: 0 }
    }

    /// A connection over QUIC.
    pub fn over_quic(quic: Quic) -> Self {
        Self { link: Carrier::Quic(quic.into()), received: BytesMut::new(), body: BytesMut::new(), unanswered: 0 }
    }

    /// Opens the WebTransport session of a connection over QUIC.
    ///
    /// # Errors
    /// Those of the connection; `Unsupported` over another carrier.
    pub async fn open_session(&mut self, path: &str, transport: Transport) -> Result<(), Fault> {
        match &mut self.link {
            Carrier::Quic(quic) => quic.open(path, transport).await,
            Carrier::Socket(_) | Carrier::Http2(_) => Err(Fault::Lost(io::ErrorKind::Unsupported.into())),
        }
    }

    /// Waits for more bytes and appends them to `received`.
    ///
    /// # Errors
    /// Those of the socket, and `UnexpectedEof` when the peer has ended the connection. Dropping the future loses no bytes.
    pub async fn fill(&mut self) -> io::Result<()> {
        let Self { link, received, .. } = self;
        match link {
            Carrier::Socket(socket) => socket.fill(received).await,
            Carrier::Http2(stream) => stream.fill(received).await,
            Carrier::Quic(quic) => quic.fill(received).await,
        }
    }

    /// Whether the parsers read the bytes of the socket directly, without any layer in between.
    pub fn is_bare(&self) -> bool {
        match &self.link {
            Carrier::Socket(socket) => socket.is_bare(),
            Carrier::Http2(_) | Carrier::Quic(_) => false,
        }
    }

    /// Reads from the socket into `buffer`; returns how many bytes. Only for a bare connection.
    ///
    /// # Errors
    /// Those of the socket, and `UnexpectedEof` when the peer has ended the connection.
    pub fn poll_read(&mut self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        match &mut self.link {
            Carrier::Socket(socket) => socket.poll_read(context, buffer),
            Carrier::Http2(_) | Carrier::Quic(_) => Poll::Ready(Err(io::ErrorKind::Unsupported.into())),
        }
    }

    /// Sends bytes of a known layer.
    ///
    /// # Errors
    /// Those of the socket.
    pub async fn send(&mut self, bytes: &[u8], layer: Layer) -> io::Result<()> {
        match &mut self.link {
            Carrier::Socket(socket) => {
                socket.write(bytes).await?;
                self.attribute(layer, bytes.len());
                Ok(())
            }
            Carrier::Http2(stream) => stream.send(bytes, layer).await,
            Carrier::Quic(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Sends a request, as HTTP/1.1 would; [`Self::attribute_request`] has to follow when its response has come. Over HTTP/2, its line and
    /// headers become the fields of a new stream.
    ///
    /// # Errors
    /// Those of the socket.
    pub async fn request(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.ledger().requests += 1;
        match &mut self.link {
            Carrier::Socket(socket) => {
                socket.write(bytes).await?;
                self.unanswered += bytes.len() as u64;
                Ok(())
            }
            Carrier::Http2(stream) => stream.request(bytes).await,
            Carrier::Quic(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Receives a response's status line and headers. The caller has to attribute their bytes.
    ///
    /// # Errors
    /// When the connection ends, or what comes is not HTTP.
    pub async fn head(&mut self) -> Result<Head, Fault> {
        if let Carrier::Http2(stream) = &mut self.link {
            let (head, request_bytes) = stream.head().await?;
            self.unanswered += request_bytes;
            return Ok(head);
        }
        loop {
            if let Some(head) = http1::parse(&self.received)? {
                self.received.advance(head.bytes);
                return Ok(head);
            }
            self.fill().await?;
        }
    }

    /// Whether requests are streams of HTTP/2.
    pub fn is_http2(&self) -> bool {
        matches!(self.link, Carrier::Http2(_))
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
        match &self.link {
            Carrier::Socket(socket) => socket.ledger().borrow_mut(),
            Carrier::Http2(stream) => stream.ledger().borrow_mut(),
            Carrier::Quic(quic) => quic.ledger().borrow_mut(),
        }
    }

    /// Closes our side, and reads what the server still sends until it has closed its side: for instance the response to the last poll. A
    /// connection on which the server goes on sending for more than a second is counted as cut off. An HTTP/2 connection is closed with its
    /// last stream.
    pub async fn close(&mut self) {
        let Self { link, received, unanswered, .. } = self;
        match link {
            Carrier::Socket(socket) => socket.close(received, unanswered).await,
            Carrier::Http2(stream) => stream.close().await,
            Carrier::Quic(quic) => quic.close().await,
        }
    }

    /// Completes the ledger: attributes what closing cut off, and adds what the kernel has counted.
    ///
    /// A request whose response was not parsed is a poll that brought nothing, and so is that response. Other bytes that came too late to be
    /// a complete message belong to the closing.
    fn finish(&mut self) {
        let Self { link, received, unanswered, .. } = self;
        match link {
            Carrier::Socket(socket) => socket.finish(received, unanswered),
            Carrier::Http2(stream) => *unanswered += stream.release(),
            Carrier::Quic(quic) => quic.finish(),
        }
        let late_layer = if self.unanswered > 0 { Layer::EmptyPoll } else { Layer::Handshake };
        self.ledger().empty_polls += u64::from(self.unanswered > 0);
        self.attribute_request(Layer::EmptyPoll);
        self.attribute(late_layer, self.received.len() + self.body.len());
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.finish();
    }
}
