//! WebTransport: a session over HTTP/3, with streams in both directions that do not wait for each other (draft-ietf-webtrans-http3).
//!
//! - Starts with an extended CONNECT for `/webtransport?after=N` (RFC 9220) on a QUIC connection; the response is 200.
//! - The server opens one stream, on which each event is a line; heartbeats and gaps are lines, too. At `/webtransport/streams`, each line has
//!   a stream of its own, and at `/webtransport/datagrams` it is a datagram, except for a gap or an event that is too long for one.
//! - Resumes with a new session and `after`.
//! - Costs the handshake of QUIC, then for each event a packet with its header and tag, and an acknowledgement in return. QUIC encrypts each
//!   connection by its own keys, so an event's packets are not shared.
//! - Each stream that the client opens is one message, which is published if the client may publish.
//!
//! The stream has the operations of a socket (see `carrier/substream.rs`), so deliveries and slow consumers are the same as elsewhere.

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{HOST, HeaderMap, HeaderValue};
use protocol::transport::Carrier;
use protocol::{Bookmark, Envelope, Gap, Transport, clock};
use tokio::time::timeout;
use tracing::debug;
use web_transport_quinn::{Request, SendStream, Session, SessionError};

use crate::api::presenter::Credentials;
use crate::api::query::Query;
use crate::api::{host, origin};
use crate::carrier::{HANDSHAKE_TIMEOUT, Socket, Substream};
use crate::fan_out::{Delivery, Dispatcher, Subscription};
use crate::feed::Encoding;
use crate::options::MAX_PAYLOAD_BYTES;
use crate::state::ServerState;

/// How long a client may take to receive the last bytes.
const LAST_BYTES_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a message of a client's may take to arrive.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(10);
/// Codes with which a session is closed: the end of the feed, a client that reads nothing, a message that must not be published, and one that
/// could not be.
const ENDED: u32 = 0;
const STALLED: u32 = 1;
const REFUSED: u32 = 2;
const UNAVAILABLE: u32 = 3;

/// Responds to the request for a session, and serves it until either side ends it.
pub async fn respond(request: Request, state: Arc<ServerState>, dispatcher: Rc<Dispatcher>) {
    state.counters.request();
    let accepted = check(&request, &state).await;
    let status = accepted.as_ref().err().copied().unwrap_or(StatusCode::OK);
    debug!(path = request.url.path(), status = status.as_u16(), "request");
    let Accepted { transport, after, may_publish } = match accepted {
        Ok(accepted) => accepted,
        Err(status) => {
            // Not `reject`, which ends the streams of HTTP/3 itself with the response, and a client may take that for an error (RFC 9114,
            // section 6.2.1). Here they stay open until the client has closed the connection.
            let refusal = async {
                if let Ok(session) = request.respond(status).await {
                    session.closed().await;
                }
            };
            let _ = timeout(LAST_BYTES_TIMEOUT, refusal).await;
            return;
        }
    };
    let peer = request.conn().remote_address().ip().to_canonical();
    let opened = async {
        let session = request.ok().await.ok()?;
        // A client that allows no stream is waited for only so long.
        let sender = Sender::open(transport, &session).await.ok()?;
        Some((session, sender))
    };
    let opened = state.until_closing(timeout(HANDSHAKE_TIMEOUT, opened)).await;
    let Some(Ok(Some((session, sender)))) = opened else { return };
    let stream = Rc::new(Substream::new(peer));
    let cut = {
        let session = session.clone();
        Rc::new(move || session.close(STALLED, b"nothing was read for too long"))
    };
    let socket = Socket::of_stream(stream.clone(), state.clone(), cut, Rc::default());
    let subscription = Subscription::new(state.feed.clone(), dispatcher, after);
    // The socket is dropped with the delivery, which ends the stream.
    let delivery = Delivery::new(subscription, socket, Encoding::plain(Envelope::Line)).run();
    tokio::select! {
        ((), ()) = async { tokio::join!(delivery, forward(&stream, sender, &session, &state)) } => {
            session.close(ENDED, b"the feed has ended");
        }
        _ = session.closed() => {}
        () = publish(&session, &state, may_publish) => {}
    }
    stream.close();
    // What was sent last, and the reason, are still to be received.
    let _ = timeout(LAST_BYTES_TIMEOUT, session.closed()).await;
    debug!("the session ended");
}

/// A request for a session that is granted.
struct Accepted {
    transport: Transport,
    /// The cursor to start from.
    after: Option<Bookmark>,
    may_publish: bool,
}

/// Checks the request for a session.
///
/// # Errors
/// The status of the response.
async fn check(request: &Request, state: &ServerState) -> Result<Accepted, StatusCode> {
    let (url, mut headers) = (&request.url, HeaderMap::clone(&request.headers));
    let authority = &url[url::Position::BeforeHost..url::Position::AfterPort];
    host::check(authority.as_bytes(), &state.hosts).map_err(|fault| match fault {
        host::Fault::Malformed => StatusCode::BAD_REQUEST,
        host::Fault::Foreign => StatusCode::MISDIRECTED_REQUEST,
    })?;
    let at_path = |transport: &Transport| !transport.is_over_tcp() && transport.row().path == Some(url.path());
    let transport = Transport::ALL.into_iter().find(at_path).ok_or(StatusCode::NOT_FOUND)?;
    let query = Query::parse(url.query(), &["after"]).map_err(|_| StatusCode::BAD_REQUEST)?;
    // The page comes from the HTTP port, whose number may be another one.
    let (scheme, port) = (state.addresses.http_scheme(), state.addresses.http.port());
    let name = url.host_str().unwrap_or_default();
    let host = match (scheme, port) {
        // A browser leaves the scheme's own port out.
        ("http", 80) | ("https", 443) => name.to_string(),
        _ => format!("{name}:{port}"),
    };
    headers.insert(HOST, HeaderValue::from_str(&host).map_err(|_| StatusCode::BAD_REQUEST)?);
    let ports = origin::Ports { server: port, relay: state.relay.port };
    if !origin::may_publish(&headers, scheme, ports, &state.origins) {
        return Err(StatusCode::FORBIDDEN);
    }
    let may_publish = match &state.presenter {
        None => true,
        Some(presenter) => match presenter.credentials(&headers) {
            Credentials::Presenter => true,
            Credentials::Viewer => false,
            Credentials::Wrong => {
                state.counters.token_refused();
                return Err(presenter.refuse().await.status());
            }
        },
    };
    Ok(Accepted { transport, after: query.after, may_publish })
}

/// How messages are sent in a session.
enum Sender {
    /// On one stream.
    Stream(SendStream),
    /// On a stream each; this is the last one.
    Streams(Option<SendStream>),
    /// As datagrams, or on a stream if one is too long for a datagram.
    Datagrams,
}

impl Sender {
    async fn open(transport: Transport, session: &Session) -> Result<Self, SessionError> {
        match transport.carrier() {
            Carrier::H3Streams => Ok(Self::Streams(None)),
            Carrier::H3Datagrams => Ok(Self::Datagrams),
            Carrier::H3 | Carrier::Tcp | Carrier::H1 | Carrier::H2 => Ok(Self::Stream(session.open_uni().await?)),
        }
    }

    /// Sends one message; waits while the connection's buffer is full.
    ///
    /// # Errors
    /// When the session has ended.
    async fn send(&mut self, session: &Session, message: Bytes) -> anyhow::Result<()> {
        match self {
            Self::Stream(stream) => return Ok(stream.write_chunk(message).await?),
            // The client must learn of a gap, so that is never a datagram, which may be lost.
            Self::Datagrams if message.len() <= session.max_datagram_size() && !Gap::is_announced_by(&message) => {
                return Ok(session.send_datagram_wait(message).await?);
            }
            Self::Streams(_) | Self::Datagrams => {}
        }
        let mut stream = session.open_uni().await?;
        stream.write_chunk(message).await?;
        stream.finish()?;
        if let Self::Streams(last) = self {
            *last = Some(stream);
        }
        Ok(())
    }
}

/// Sends what is added to the stream's queue, of which each part is a message, until its end.
async fn forward(stream: &Substream, mut sender: Sender, session: &Session, state: &ServerState) {
    while let Some(part) = poll_fn(|context| stream.poll_next(context)).await {
        match timeout(state.stall_timeout, sender.send(session, part)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return stream.close(),
            Err(_) => {
                state.counters.stalled();
                debug!("disconnected: the subscriber read nothing for too long");
                session.close(STALLED, b"nothing was read for too long");
                return stream.close();
            }
        }
    }
    // The end of the stream is acknowledged when everything has been received.
    let last = match sender {
        Sender::Stream(mut stream) => stream.finish().is_ok().then_some(stream),
        Sender::Streams(last) => last,
        Sender::Datagrams => None,
    };
    if let Some(last) = last {
        let _ = timeout(LAST_BYTES_TIMEOUT, last.stopped()).await;
    }
}

/// Publishes each message of the client's, until it sends one that it may not send, or that is too long or too slow.
async fn publish(session: &Session, state: &ServerState, may_publish: bool) {
    loop {
        let Ok(mut stream) = session.accept_uni().await else { return };
        if !may_publish {
            return session.close(REFUSED, b"publishing requires the presenter's token");
        }
        let message = timeout(MESSAGE_TIMEOUT, stream.read_to_end(MAX_PAYLOAD_BYTES)).await;
        let text = message.ok().and_then(Result::ok).and_then(|bytes| String::from_utf8(bytes).ok());
        match text {
            Some(text) => {
                if state.sink.publish(clock::now_ns(), &text).await.is_err() {
                    return session.close(UNAVAILABLE, b"the broker of the feed does not respond");
                }
            }
            None => return session.close(REFUSED, b"a message is UTF-8 of at most 65536 bytes, within 10 s"),
        }
    }
}
