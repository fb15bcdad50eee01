//! QUIC (RFC 9000): connections over UDP, on which HTTP/3 opens WebTransport sessions. The quinn crate implements QUIC, and web-transport-quinn
//! the session on top of it.
//!
//! QUIC has TLS 1.3 built in. The certificate is made at the start: browsers accept one that no authority has issued if the page names its hash,
//! as long as it is valid for at most two weeks (WebTransport, section 6.9).

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, version};
use socket2::SockRef;
use time::OffsetDateTime;
use tokio::task::spawn_local;
use tokio::time::timeout;
use tracing::{Instrument, debug, info_span};
use web_transport_quinn::quinn::crypto::rustls::QuicServerConfig;
use web_transport_quinn::quinn::{self, Endpoint, EndpointConfig, Incoming, TokioRuntime, TransportConfig};
use web_transport_quinn::{ALPN, Request};

use super::admission::{Admission, Admitted, Decision};
use super::tls::{HANDSHAKE_TIMEOUT, certificate_for, fingerprint};
use crate::budget::{Budget, Reservation};
use crate::fan_out::{Dispatcher, HEARTBEAT, Worker};
use crate::state::ServerState;
use crate::transport::webtransport;

/// How long a certificate is valid; browsers require less than two weeks.
const VALIDITY: time::Duration = time::Duration::days(13);
/// How far the clock of a browser may be behind.
const CLOCK_BEHIND: time::Duration = time::Duration::hours(1);
/// The handshakes under way from which on a client must prove its address first, by a further round trip (RFC 9000, section 8.1.2).
const MAX_UNVALIDATED: usize = 64;
/// The streams that a client may open at once: for requests, and for its messages besides three of HTTP/3's own.
const MAX_BIDIRECTIONAL_STREAMS: u32 = 4;
const MAX_UNIDIRECTIONAL_STREAMS: u32 = 8;
/// The most bytes that a client may have sent and we have not read: of a stream, and of a connection.
const STREAM_WINDOW_BYTES: u32 = 64 << 10;
const CONNECTION_WINDOW_BYTES: u32 = 256 << 10;
/// The most bytes that are sent and not acknowledged; then a subscriber is a slow consumer.
const SEND_WINDOW_BYTES: u64 = 256 << 10;
/// The most bytes of datagrams that wait: nobody reads them, but WebTransport requires that both sides support them.
const DATAGRAM_BYTES: usize = 4 << 10;
/// The kernel's buffers of the one socket, in each direction: the connections of a lecture hall all begin at once.
const BUFFER_BYTES: usize = 4 << 20;
/// How long a connection may be silent. A heartbeat follows at most twice its interval after the last event.
const IDLE_TIMEOUT: Duration = HEARTBEAT.saturating_mul(3);

/// A self-signed certificate for WebTransport.
pub struct Certificate {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    /// Its SHA-256 hash, in hex.
    pub fingerprint: String,
}

impl Certificate {
    /// Makes a certificate for these host names and addresses, and for localhost.
    ///
    /// # Errors
    /// When a name is not valid, or the system provides no random numbers.
    pub fn new(names: &[String], addresses: &[IpAddr]) -> anyhow::Result<Self> {
        let mut parameters = certificate_for(names, addresses)?;
        parameters.not_before = OffsetDateTime::now_utc() - CLOCK_BEHIND;
        parameters.not_after = parameters.not_before + VALIDITY;
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let certificate = parameters.self_signed(&key)?.der().clone();
        let fingerprint = fingerprint(&certificate);
        Ok(Self { chain: vec![certificate], key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(), fingerprint })
    }

    fn server_config(self) -> anyhow::Result<quinn::ServerConfig> {
        let mut tls = ServerConfig::builder_with_provider(default_provider().into())
            .with_protocol_versions(&[&version::TLS13])?
            .with_no_client_auth()
            .with_single_cert(self.chain, self.key)?;
        tls.alpn_protocols = vec![ALPN.as_bytes().to_vec()];
        let mut config = quinn::ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls)?));
        let mut transport = TransportConfig::default();
        transport
            .max_concurrent_bidi_streams(MAX_BIDIRECTIONAL_STREAMS.into())
            .max_concurrent_uni_streams(MAX_UNIDIRECTIONAL_STREAMS.into())
            .stream_receive_window(STREAM_WINDOW_BYTES.into())
            .receive_window(CONNECTION_WINDOW_BYTES.into())
            .send_window(SEND_WINDOW_BYTES)
            .datagram_receive_buffer_size(Some(DATAGRAM_BYTES))
            .max_idle_timeout(Some(IDLE_TIMEOUT.try_into()?));
        config.transport_config(Arc::new(transport));
        Ok(config)
    }
}

/// Listens on the UDP port with the number of the HTTP port `http` or, if another program has that, on a free one; must be called within an
/// event loop.
///
/// # Errors
/// When there is no free port.
pub fn listen(http: SocketAddr, certificate: Certificate) -> anyhow::Result<Endpoint> {
    let any_port = SocketAddr::new(http.ip(), 0);
    let socket = UdpSocket::bind(http).or_else(|error| match error.kind() {
        io::ErrorKind::AddrInUse => UdpSocket::bind(any_port),
        _ => Err(error),
    })?;
    // Where the system allows less than this, it sets as much as it allows.
    let buffers = SockRef::from(&socket);
    let _ = buffers.set_recv_buffer_size(BUFFER_BYTES).and(buffers.set_send_buffer_size(BUFFER_BYTES));
    let config = certificate.server_config().context("the certificate for WebTransport")?;
    Ok(Endpoint::new(EndpointConfig::default(), Some(config), socket, Arc::new(TokioRuntime))?)
}

/// Accepts connections until the server shuts down, and then until they have ended. Each is served, or rejected, on the next worker.
pub async fn accept(endpoint: Endpoint, workers: Arc<[Worker]>, admission: Arc<Admission>, state: Arc<ServerState>) {
    let handshakes = Arc::new(Budget::new(MAX_UNVALIDATED));
    for worker in workers.iter().cycle() {
        let incoming = tokio::select! {
            incoming = endpoint.accept() => incoming,
            () = state.closing() => None,
        };
        let Some(incoming) = incoming else { break };
        let mut handshake = Reservation::new(handshakes.clone());
        if !incoming.remote_address_validated() && !handshake.grow_to(1) {
            state.counters.quic_retry();
            // An error means that the client has been asked already.
            let _ = incoming.retry();
            continue;
        }
        let peer = incoming.remote_address();
        let Decision::Served(admitted) = admission.admit(peer.ip().to_canonical()) else {
            debug!("refused: too many connections");
            incoming.refuse();
            continue;
        };
        let state = state.clone();
        let span = info_span!("connection", %peer);
        worker.run(move |dispatcher| {
            let serve = serve(incoming, handshake, admitted, state, dispatcher.clone());
            spawn_local(serve.instrument(span));
        });
    }
    endpoint.set_server_config(None);
    endpoint.wait_idle().await;
}

/// Performs the handshake, and responds to the request for a session.
async fn serve(
    incoming: Incoming,
    handshake: Reservation,
    admitted: Admitted,
    state: Arc<ServerState>,
    dispatcher: Rc<Dispatcher>,
) {
    let request = async {
        // The settings of HTTP/3 are sent with the server's part of the handshake, which saves a round trip.
        let (connection, _) = incoming.accept().ok()?.into_0rtt().ok()?;
        Request::accept(connection).await.ok()
    };
    let request = state.until_closing(timeout(HANDSHAKE_TIMEOUT, request)).await;
    drop(handshake);
    match request {
        Some(Ok(Some(request))) => {
            let connection = request.conn().clone();
            webtransport::respond(request, state, dispatcher).await;
            // The session's own task would keep the connection for as long as the client does.
            connection.close(0u32.into(), b"");
        }
        Some(_) => {
            state.counters.handshake_failed();
            debug!("the QUIC handshake failed");
        }
        None => {}
    }
    drop(admitted);
}
