//! A WebTransport session on a QUIC connection of its own, whose UDP bytes are counted.
//!
//! QUIC encrypts its packets and everything around the content of streams, so only three kinds of bytes can be told apart: those up to the
//! beginning of the session, the content of streams and datagrams, and the rest of what was counted at the socket. The kernel does not count the bytes of a
//! UDP socket, so there is no second count.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use protocol::status::Load;
use protocol::{Layer, Transport};
use rustls::crypto::ring::default_provider;
use rustls::{ClientConfig, version};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tokio::time::timeout;
use url::Url;
use web_transport_quinn::quinn::crypto::rustls::QuicClientConfig;
use web_transport_quinn::quinn::{self, Connection, Endpoint, EndpointConfig, TokioRuntime, TransportConfig};
use web_transport_quinn::{ALPN, ClientError, ConnectError, RecvStream, Session, proto};

use super::datagrams::{CountedDatagrams, Counts};
use super::link::Link;
use super::socket::SharedLedger;
use super::tls::Unissued;
use crate::fault::Fault;

/// How many bytes a stream may receive before we acknowledge them, as over HTTP/2.
const STREAM_WINDOW_BYTES: u32 = 6 << 20;
/// The most bytes that are read at once.
const READ_BYTES: usize = 64 << 10;
/// How many streams of the server's may be open at a time: more than are waiting for a lost packet.
const MAX_STREAMS: u32 = 1_024;
/// The longest message on a stream of its own, in bytes: more than the largest event.
const MAX_MESSAGE_BYTES: usize = 1 << 20;
/// How long a connection may be silent: longer than the server allows, which decides.
const IDLE_TIMEOUT: Duration = Duration::from_secs(120);
/// How long the server may take to acknowledge the end.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Where a server offers WebTransport.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct QuicEndpoint {
    /// Its UDP address.
    pub address: SocketAddr,
    /// The SHA-256 hash of its certificate, in hex: the only one that is trusted.
    pub certificate: String,
}

impl QuicEndpoint {
    /// That of the server at `address` whose figures these are; `None` if it has none.
    pub fn of(load: &Load, address: IpAddr) -> Option<Self> {
        let certificate = load.quic_certificate.clone();
        (load.quic_port != 0).then(|| Self { address: SocketAddr::new(address, load.quic_port), certificate })
    }
}

/// A connection, and the session on it once that is open.
pub struct Quic {
    endpoint: Endpoint,
    connection: Connection,
    session: Option<(Session, Messages)>,
    authority: SocketAddr,
    counts: Arc<Counts>,
    /// Bytes that have been entered into the ledger: sent, and received.
    entered: (u64, u64),
    /// Bytes that were counted at the socket and belong to no layer yet; below 0 if content has been read that had been entered before as
    /// another layer's.
    unattributed: i64,
    /// Whether there may still be content that came with the beginning of the session, and was entered as the handshake's.
    is_beginning: bool,
    ledger: SharedLedger,
}

/// How the server's messages come.
enum Messages {
    /// On one stream.
    Stream(RecvStream),
    /// On a stream each, or as datagrams: the tasks that read one stream each.
    Each(JoinSet<io::Result<Vec<u8>>>),
}

impl Quic {
    /// Opens a connection, over the modelled link if there is one.
    ///
    /// # Errors
    /// Those of the socket and of the handshake.
    pub async fn connect(to: &QuicEndpoint, link: Option<Link>, ledger: SharedLedger) -> io::Result<Self> {
        ledger.borrow_mut().connections += 1;
        let counts = Arc::<Counts>::default();
        let socket = CountedDatagrams::open(to.address, link, counts.clone()).await?;
        let endpoint =
            Endpoint::new_with_abstract_socket(EndpointConfig::default(), None, socket, Arc::new(TokioRuntime))?;
        let config = client_config(&to.certificate)?;
        let connecting = endpoint.connect_with(config, to.address, "localhost").map_err(io::Error::other)?;
        let connected = connecting.await;
        match connected {
            Ok(connection) => Ok(Self {
                endpoint,
                connection,
                session: None,
                authority: to.address,
                counts,
                entered: (0, 0),
                unattributed: 0,
                is_beginning: true,
                ledger,
            }),
            Err(error) => {
                let (sent, received) = counts.bytes();
                let mut ledger = ledger.borrow_mut();
                (ledger.sent_bytes, ledger.received_bytes) =
                    (ledger.sent_bytes + sent, ledger.received_bytes + received);
                ledger[Layer::Handshake] += sent + received;
                Err(io::Error::other(error))
            }
        }
    }

    /// Opens the session of a transport and, if the events come on one stream, waits for that. All bytes up to then belong to the handshake.
    ///
    /// # Errors
    /// Those of the connection, and the status if the server refuses.
    pub async fn open(&mut self, path: &str, transport: Transport) -> Result<(), Fault> {
        self.ledger.borrow_mut().requests += 1;
        let url = Url::parse(&format!("https://{}{path}", self.authority)).map_err(io::Error::other)?;
        let opened = Session::connect(self.connection.clone(), url).await;
        let opened = match opened {
            Ok(session) if transport.carrier().is_ordered() => {
                let accepted = session.accept_uni().await.map_err(io::Error::other);
                accepted.map(|stream| (session, Messages::Stream(stream)))
            }
            Ok(session) => Ok((session, Messages::Each(JoinSet::new()))),
            Err(error) => Err(match refused(&error) {
                Some(status) => {
                    self.enter(Layer::Handshake);
                    return Err(Fault::Status(status));
                }
                None => io::Error::other(error),
            }),
        };
        self.enter(Layer::Handshake);
        self.session = Some(opened?);
        Ok(())
    }

    /// Waits for content and appends it to `received`: of the one stream, or a whole message.
    ///
    /// # Errors
    /// `UnexpectedEof` at its end, and those of the connection. Dropping the future loses no bytes.
    pub async fn fill(&mut self, received: &mut BytesMut) -> io::Result<()> {
        let (session, messages) = self.session.as_mut().ok_or(ErrorKind::NotConnected)?;
        let content = match messages {
            Messages::Stream(stream) => {
                let chunk = stream.read_chunk(READ_BYTES, true).await.map_err(io::Error::other)?;
                chunk.ok_or(ErrorKind::UnexpectedEof)?.bytes
            }
            Messages::Each(reading) => next_message(session, reading).await?,
        };
        received.extend_from_slice(&content);
        // The parser attributes the content.
        self.unattributed -= content.len() as i64;
        self.enter(Layer::Quic);
        self.is_beginning &= self.unattributed < 0;
        if self.is_beginning {
            self.take_back(Layer::Handshake);
        }
        Ok(())
    }

    /// Enters what has crossed the socket since the last time, without the content of the stream, as bytes of a layer.
    fn enter(&mut self, layer: Layer) {
        let (sent, received) = self.counts.bytes();
        let mut ledger = self.ledger.borrow_mut();
        ledger.sent_bytes += sent - self.entered.0;
        ledger.received_bytes += received - self.entered.1;
        self.unattributed += (sent - self.entered.0 + received - self.entered.1) as i64;
        self.entered = (sent, received);
        ledger[layer] += self.unattributed.max(0) as u64;
        self.unattributed = self.unattributed.min(0);
    }

    /// The ledger of the connection.
    pub fn ledger(&self) -> &SharedLedger {
        &self.ledger
    }

    /// Closes the session and the connection, and waits until the server has acknowledged that.
    pub async fn close(&mut self) {
        self.enter(Layer::Quic);
        if let Some((session, _)) = self.session.take() {
            session.close(0, b"");
            // A server that does not reply is not waited for.
            let _ = timeout(CLOSE_TIMEOUT, session.closed()).await;
        }
        self.connection.close(0u32.into(), b"");
        let _ = timeout(CLOSE_TIMEOUT, self.endpoint.wait_idle()).await;
        self.enter(Layer::Handshake);
    }

    /// Completes the ledger: content that was still waiting in the stream when bytes were entered had been entered as QUIC's or the handshake's.
    pub fn finish(&mut self) {
        self.enter(Layer::Quic);
        self.take_back(Layer::Quic);
        self.take_back(Layer::Handshake);
    }

    /// Removes content that was entered twice from a layer.
    fn take_back(&mut self, layer: Layer) {
        let mut ledger = self.ledger.borrow_mut();
        let part = ledger[layer].min(self.unattributed.min(0).unsigned_abs());
        ledger[layer] -= part;
        self.unattributed += part as i64;
    }
}

/// Waits for a message that comes as a datagram or on a stream of its own.
async fn next_message(session: &Session, reading: &mut JoinSet<io::Result<Vec<u8>>>) -> io::Result<Bytes> {
    loop {
        tokio::select! {
            datagram = session.read_datagram() => return datagram.map_err(io::Error::other),
            stream = session.accept_uni() => {
                let mut stream = stream.map_err(io::Error::other)?;
                let read = async move { stream.read_to_end(MAX_MESSAGE_BYTES).await.map_err(io::Error::other) };
                reading.spawn_local(read);
            }
            Some(message) = reading.join_next() => return Ok(message??.into()),
        }
    }
}

/// The status with which a server refused the session.
fn refused(error: &ClientError) -> Option<u16> {
    match error {
        ClientError::HttpError(ConnectError::ProtoError(proto::ConnectError::WrongStatus(status))) => {
            status.map(|status| status.as_u16())
        }
        _ => None,
    }
}

fn client_config(certificate: &str) -> io::Result<quinn::ClientConfig> {
    let provider = Arc::new(default_provider());
    let algorithms = provider.signature_verification_algorithms;
    let pinned = Unissued { algorithms, pinned: Some(certificate.into()) };
    let mut tls = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&version::TLS13])
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(pinned))
        .with_no_client_auth();
    tls.alpn_protocols = vec![ALPN.as_bytes().to_vec()];
    let tls = QuicClientConfig::try_from(tls).map_err(io::Error::other)?;
    let mut config = quinn::ClientConfig::new(Arc::new(tls));
    let mut transport = TransportConfig::default();
    let timeout = IDLE_TIMEOUT.try_into().map_err(io::Error::other)?;
    transport
        .stream_receive_window(STREAM_WINDOW_BYTES.into())
        .max_concurrent_uni_streams(MAX_STREAMS.into())
        .max_idle_timeout(Some(timeout));
    config.transport_config(Arc::new(transport));
    Ok(config)
}
