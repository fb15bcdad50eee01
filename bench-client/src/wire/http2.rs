//! An HTTP/2 connection that subscribers share: each request is a stream of its own (RFC 9113).
//!
//! The h2 crate reads and writes the frames. Between it and the socket, each frame's header shows to which layer and stream its bytes belong.
//! So headers are counted as they are sent, compressed, and every byte is attributed, as on a connection of HTTP/1.1.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use h2::client::{self, ResponseFuture, SendRequest};
use h2::ext::Protocol;
use h2::{RecvStream, SendStream};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Version};
use protocol::Layer;
use protocol::http2::{FrameWalker, HEADER_BYTES, Kind, Part};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::{Mutex, Notify};
use tokio::task::{JoinHandle, spawn_local, yield_now};
use tokio::time::timeout;

use super::http1::{Head, MAX_BODY_BYTES};
use super::link::Link;
use super::secured::SecuredSocket;
use super::socket::SharedLedger;
use super::tls::Tls;
use crate::fault::Fault;

/// The name of HTTP/2 in the handshake of TLS.
const ALPN: &[u8] = b"h2";
/// How many bytes a stream, and a connection, may receive before we acknowledge them: the windows of Chrome.
const STREAM_WINDOW_BYTES: u32 = 6 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 15 << 20;
/// The most bytes between the h2 crate and the socket, in each direction.
const PIPE_BYTES: usize = 64 << 10;
/// How long the server may take to send its settings.
const SETTINGS_TIMEOUT: Duration = Duration::from_secs(10);
/// The most headers of a request.
const MAX_HEADERS: usize = 64;

/// The connection that a number of subscribers share. It is opened for the first of them, and again after it was lost.
#[derive(Default)]
pub struct Slot(Mutex<Weak<Http2>>);

impl Slot {
    /// A stream of the slot's connection, which is opened if it is not open.
    ///
    /// # Errors
    /// Those of the socket and of TLS, and `Unsupported` if the server does not offer HTTP/2 over TLS.
    pub async fn stream(
        &self,
        address: SocketAddr,
        link: Option<Link>,
        tls: Option<&Tls>,
        ledger: SharedLedger,
    ) -> io::Result<Stream> {
        let mut current = self.0.lock().await;
        let open = current.upgrade().filter(|connection| connection.shared.is_open.get());
        let connection = match open {
            Some(connection) => connection,
            None => Rc::new(Http2::connect(address, link, tls, ledger).await?),
        };
        *current = Rc::downgrade(&connection);
        Ok(Stream { shared: connection.shared.clone(), connection: Some(connection), current: None })
    }
}

/// A connection.
struct Http2 {
    requests: SendRequest<Bytes>,
    shared: Rc<Shared>,
    /// Moves bytes between the h2 crate and the socket, until the connection ends.
    driver: JoinHandle<()>,
}

/// What a connection's streams and its driver share.
struct Shared {
    ledger: SharedLedger,
    scheme: &'static str,
    /// Whether requests can be sent: not any more once either side has failed or is closing.
    is_open: Cell<bool>,
    /// The open streams.
    streams: RefCell<HashMap<u32, Counted>>,
    /// Whether the server's settings have come.
    has_settings: Cell<bool>,
    /// Notified when they have come, and when the connection has ended without them.
    settings: Notify,
}

/// The bytes of an open stream that have been counted.
#[derive(Default)]
struct Counted {
    /// Frames with the request's headers.
    request_bytes: u64,
    /// Frames with the response's headers.
    response_bytes: u64,
    /// The content of the DATA frames that were received.
    data_bytes: u64,
    /// The layers of the bytes to be sent, in order.
    sending: VecDeque<(Layer, usize)>,
}

impl Http2 {
    async fn connect(
        address: SocketAddr,
        link: Option<Link>,
        tls: Option<&Tls>,
        ledger: SharedLedger,
    ) -> io::Result<Self> {
        let tls = tls.map(|tls| tls.offering(ALPN));
        let mut received = BytesMut::new();
        let socket = SecuredSocket::connect(address, link, tls.as_ref(), ledger.clone(), &mut received).await?;
        if tls.is_some() && !socket.has_negotiated(ALPN) {
            return Err(io::Error::new(ErrorKind::Unsupported, "the server does not offer HTTP/2 over TLS"));
        }
        let (near, far) = tokio::io::duplex(PIPE_BYTES);
        let handshake = client::Builder::new()
            .enable_push(false)
            .initial_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .handshake(far);
        let (requests, connection) = handshake.await.map_err(failed)?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let (streams, has_settings, settings) = (RefCell::default(), Cell::new(false), Notify::new());
        let is_open = Cell::new(true);
        let shared = Rc::new(Shared { ledger, scheme, is_open, streams, has_settings, settings });
        let driver = {
            let shared = shared.clone();
            async move {
                let until_end = async {
                    // The connection ends when the last stream is released, or with the pipe. Errors reach its streams.
                    let _ = connection.await;
                    shared.is_open.set(false);
                };
                tokio::join!(until_end, drive(socket, received, near, &shared));
            }
        };
        Ok(Self { requests, shared, driver: spawn_local(driver) })
    }
}

/// Moves bytes between the pipe to the h2 crate and the socket, until one of them ends, and attributes them.
async fn drive(mut socket: SecuredSocket, mut received: BytesMut, near: DuplexStream, shared: &Shared) {
    let (mut from_h2, mut to_h2) = tokio::io::split(near);
    let (mut sent_frames, mut received_frames) = (FrameWalker::client(), FrameWalker::server());
    let (mut outgoing, mut incoming) = (BytesMut::new(), BytesMut::new());
    shared.received(&mut received_frames, &received);
    incoming.extend_from_slice(&received.split());
    loop {
        tokio::select! {
            read = from_h2.read_buf(&mut outgoing) => {
                if read.unwrap_or(0) == 0 || socket.write(&outgoing).await.is_err() {
                    break;
                }
                shared.sent(&mut sent_frames, &outgoing);
                outgoing.clear();
            }
            written = to_h2.write_buf(&mut incoming), if !incoming.is_empty() => {
                if written.is_err() {
                    break;
                }
            }
            filled = socket.fill(&mut received), if incoming.is_empty() => {
                if filled.is_err() {
                    break;
                }
                shared.received(&mut received_frames, &received);
                incoming = received.split();
            }
        }
    }
    shared.is_open.set(false);
    drop((from_h2, to_h2));
    socket.close(&mut received, &mut 0).await;
    socket.finish(&mut received, &mut 0);
    let late = received.len() + sent_frames.incomplete_bytes() + received_frames.incomplete_bytes();
    shared.ledger.borrow_mut()[Layer::Handshake] += late as u64;
    // They will not come any more.
    shared.settings.notify_waiters();
}

impl Shared {
    /// Attributes bytes that were sent.
    fn sent(&self, frames: &mut FrameWalker, bytes: &[u8]) {
        let mut streams = self.streams.borrow_mut();
        let mut ledger = self.ledger.borrow_mut();
        frames.walk(bytes, |part| match part {
            Part::Preface(length) => ledger[Layer::Handshake] += length as u64,
            Part::Header(header) => match (header.kind, streams.get_mut(&header.stream)) {
                (Kind::Headers | Kind::Continuation, Some(stream)) => stream.request_bytes += HEADER_BYTES as u64,
                (kind, _) => ledger[layer(kind)] += HEADER_BYTES as u64,
            },
            Part::Payload(header, payload, _) => match (header.kind, streams.get_mut(&header.stream)) {
                (Kind::Headers | Kind::Continuation, Some(stream)) => stream.request_bytes += payload.len() as u64,
                (Kind::Data, Some(stream)) => {
                    let mut left = payload.len();
                    while let Some((layer, length)) = stream.sending.front_mut().filter(|_| left > 0) {
                        let part = left.min(*length);
                        ledger[*layer] += part as u64;
                        (left, *length) = (left - part, *length - part);
                        if *length == 0 {
                            stream.sending.pop_front();
                        }
                    }
                }
                (kind, _) => ledger[layer(kind)] += payload.len() as u64,
            },
        });
    }

    /// Attributes bytes that were received. The content of DATA frames is left to the stream that reads it.
    fn received(&self, frames: &mut FrameWalker, bytes: &[u8]) {
        let mut streams = self.streams.borrow_mut();
        let mut ledger = self.ledger.borrow_mut();
        frames.walk(bytes, |part| match part {
            Part::Preface(_) => {}
            Part::Header(header) => {
                match (header.kind, streams.get_mut(&header.stream)) {
                    (Kind::Headers | Kind::Continuation, Some(stream)) => stream.response_bytes += HEADER_BYTES as u64,
                    (kind, _) => ledger[layer(kind)] += HEADER_BYTES as u64,
                }
                if header.kind == Kind::Settings {
                    self.has_settings.set(true);
                    self.settings.notify_waiters();
                }
            }
            Part::Payload(header, payload, _) => match (header.kind, streams.get_mut(&header.stream)) {
                (Kind::Headers | Kind::Continuation, Some(stream)) => stream.response_bytes += payload.len() as u64,
                (Kind::Data, Some(stream)) => stream.data_bytes += payload.len() as u64,
                // What comes for a stream after it was released belongs to its end.
                (Kind::Data, None) => ledger[Layer::Handshake] += payload.len() as u64,
                (kind, _) => ledger[layer(kind)] += payload.len() as u64,
            },
        });
    }
}

/// The layer of a frame that does not belong to an open stream's request or response.
fn layer(kind: Kind) -> Layer {
    match kind {
        // The header of a DATA frame marks where its content ends. The content itself is attributed by the stream.
        Kind::Data => Layer::Framing,
        Kind::Headers | Kind::Continuation | Kind::Settings | Kind::GoAway => Layer::Handshake,
        Kind::Priority | Kind::ResetStream | Kind::PushPromise | Kind::Ping | Kind::WindowUpdate | Kind::Other => {
            Layer::Control
        }
    }
}

/// A subscriber's place on a connection. Each of its requests is a stream.
pub struct Stream {
    /// `None` once it is closed.
    connection: Option<Rc<Http2>>,
    shared: Rc<Shared>,
    current: Option<Current>,
}

/// The stream of the last request.
struct Current {
    id: u32,
    response: Option<ResponseFuture>,
    sender: SendStream<Bytes>,
    receiver: Option<RecvStream>,
    /// Bytes of DATA frames that were read.
    taken_bytes: u64,
}

impl Stream {
    /// The ledger of the connection.
    pub fn ledger(&self) -> &SharedLedger {
        &self.shared.ledger
    }

    /// Sends a request, given in the format of HTTP/1.1. One with `Upgrade: websocket` becomes an extended CONNECT (RFC 8441).
    ///
    /// # Errors
    /// Those of the connection, and `Unsupported` if the server does not support the extended CONNECT.
    pub async fn request(&mut self, bytes: &[u8]) -> io::Result<()> {
        let unanswered = self.release();
        self.ledger().borrow_mut()[Layer::EmptyPoll] += unanswered;
        let connection = self.connection.as_ref().ok_or(ErrorKind::NotConnected)?;
        let (request, body) = parse_request(bytes, self.shared.scheme)?;
        let websocket = request.method() == Method::CONNECT;
        let mut requests = connection.requests.clone().ready().await.map_err(failed)?;
        if websocket {
            wait_for_extended_connect(&requests, &self.shared, &connection.driver).await?;
        }
        let ends = !websocket && body.is_empty();
        let (response, mut sender) = requests.send_request(request, ends).map_err(failed)?;
        let id = u32::from(response.stream_id());
        let mut counted = Counted::default();
        if !body.is_empty() {
            counted.sending.push_back((Layer::RequestHeaders, body.len()));
        }
        self.shared.streams.borrow_mut().insert(id, counted);
        if !body.is_empty() {
            sender.send_data(body, true).map_err(failed)?;
        }
        self.current = Some(Current { id, response: Some(response), sender, receiver: None, taken_bytes: 0 });
        Ok(())
    }

    /// Receives the headers of the response; returns them, with the bytes of their frames, and the bytes of the request.
    ///
    /// # Errors
    /// When the stream ends, or the headers are not valid.
    pub async fn head(&mut self) -> Result<(Head, u64), Fault> {
        let current = self.current.as_mut().ok_or(io::Error::from(ErrorKind::NotConnected))?;
        let response = current.response.take().ok_or(io::Error::from(ErrorKind::NotConnected))?;
        let (parts, receiver) = response.await.map_err(failed)?.into_parts();
        current.receiver = Some(receiver);
        let mut streams = self.shared.streams.borrow_mut();
        let counted = streams.entry(current.id).or_default();
        let request_bytes = std::mem::take(&mut counted.request_bytes);
        let response_bytes = std::mem::take(&mut counted.response_bytes);
        Ok((head(&parts.headers, parts.status.as_u16(), response_bytes as usize)?, request_bytes))
    }

    /// Waits for content of the response and appends it to `received`.
    ///
    /// # Errors
    /// `UnexpectedEof` at its end, and those of the connection. Dropping the future loses no bytes.
    pub async fn fill(&mut self, received: &mut BytesMut) -> io::Result<()> {
        let current = self.current.as_mut().ok_or(ErrorKind::UnexpectedEof)?;
        let receiver = current.receiver.as_mut().ok_or(ErrorKind::UnexpectedEof)?;
        loop {
            let bytes = receiver.data().await.ok_or(ErrorKind::UnexpectedEof)?.map_err(failed)?;
            received.extend_from_slice(&bytes);
            current.taken_bytes += bytes.len() as u64;
            receiver.flow_control().release_capacity(bytes.len()).map_err(failed)?;
            if !bytes.is_empty() {
                return Ok(());
            }
        }
    }

    /// Sends content of a known layer on the stream of a WebSocket.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn send(&mut self, bytes: &[u8], layer: Layer) -> io::Result<()> {
        let current = self.current.as_mut().ok_or(ErrorKind::NotConnected)?;
        let mut streams = self.shared.streams.borrow_mut();
        streams.entry(current.id).or_default().sending.push_back((layer, bytes.len()));
        // What a subscriber sends is small. The h2 crate keeps what the server's window does not allow yet.
        current.sender.send_data(Bytes::copy_from_slice(bytes), false).map_err(failed)
    }

    /// Ends the last request's stream; an open one is reset. Attributes the bytes that were not read, and returns the bytes of a request whose
    /// response was not read.
    pub fn release(&mut self) -> u64 {
        let Some(current) = self.current.take() else { return 0 };
        let Some(counted) = self.shared.streams.borrow_mut().remove(&current.id) else { return 0 };
        let late = counted.response_bytes + counted.data_bytes.saturating_sub(current.taken_bytes);
        self.ledger().borrow_mut()[Layer::Handshake] += late;
        counted.request_bytes
    }

    /// Ends the last request's stream, and with the last subscriber of the connection also the connection.
    pub async fn close(&mut self) {
        {
            let unanswered = self.release();
            let mut ledger = self.ledger().borrow_mut();
            ledger[Layer::EmptyPoll] += unanswered;
            ledger.empty_polls += u64::from(unanswered > 0);
        }
        if let Some(Http2 { requests, driver, .. }) = self.connection.take().and_then(Rc::into_inner) {
            drop(requests);
            // An error means that the driver was aborted.
            let _ = driver.await;
        }
    }
}

/// Waits for the server's settings, which say whether it supports the extended CONNECT.
async fn wait_for_extended_connect(
    requests: &SendRequest<Bytes>,
    shared: &Shared,
    driver: &JoinHandle<()>,
) -> io::Result<()> {
    /// How many turns of the event loop the h2 crate may take to apply settings that have come.
    const MAX_TURNS: u32 = 1_000;
    let settings = shared.settings.notified();
    if !shared.has_settings.get() && !driver.is_finished() {
        // An error means that none have come.
        let _ = timeout(SETTINGS_TIMEOUT, settings).await;
    }
    if !shared.has_settings.get() {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    for _ in 0..MAX_TURNS {
        if requests.is_extended_connect_protocol_enabled() {
            return Ok(());
        }
        if driver.is_finished() {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        yield_now().await;
    }
    Err(io::Error::new(ErrorKind::Unsupported, "the server does not support WebSocket over HTTP/2 (RFC 8441)"))
}

/// The headers of a response, as far as a subscriber needs them.
fn head(headers: &HeaderMap, status: u16, bytes: usize) -> Result<Head, Fault> {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let number = |name: &str| {
        let invalid = |_| Fault::NotHttp(format!("a {name} that is not a number"));
        text(name).map(|text| text.parse::<u64>().map_err(invalid)).transpose()
    };
    let length = number("content-length")?.map(|length| length as usize);
    if length.is_some_and(|length| length > MAX_BODY_BYTES) {
        return Err(Fault::NotHttp("a content-length of more than 16 MiB".into()));
    }
    let cursor = number("cursor")?.map(protocol::Cursor);
    let location = text("location").map(String::from);
    let subprotocol = text("sec-websocket-protocol").map(String::from);
    let extensions = text("sec-websocket-extensions").map(String::from);
    Ok(Head { status, length, cursor, location, subprotocol, extensions, bytes, ..Head::default() })
}

/// Converts a request in the format of HTTP/1.1, with its body.
fn parse_request(bytes: &[u8], scheme: &str) -> io::Result<(Request<()>, Bytes)> {
    let invalid = |fault: &str| io::Error::new(ErrorKind::InvalidInput, fault.to_string());
    let mut fields = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Request::new(&mut fields);
    let length = match parsed.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        _ => return Err(invalid("an incomplete request")),
    };
    let (method, target) = (parsed.method.unwrap_or_default(), parsed.path.unwrap_or_default());
    let (mut host, mut websocket, mut headers) = ("", false, HeaderMap::new());
    for field in parsed.headers.iter() {
        let name = field.name.to_ascii_lowercase();
        let text = std::str::from_utf8(field.value).map_err(|_| invalid("a header that is not text"))?;
        match name.as_str() {
            "host" => host = text,
            "upgrade" => websocket |= text == "websocket",
            // HTTP/2 has no use for these (RFC 9113, section 8.2.2; RFC 8441, section 5).
            "connection" | "sec-websocket-key" => {}
            _ => {
                let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid("a malformed header"))?;
                headers.append(name, HeaderValue::from_str(text).map_err(|_| invalid("a malformed header"))?);
            }
        }
    }
    let mut request = Request::builder().version(Version::HTTP_2).uri(format!("{scheme}://{host}{target}"));
    request = match websocket {
        true => request.method(Method::CONNECT).extension(Protocol::from_static("websocket")),
        false => request.method(method),
    };
    let mut request = request.body(()).map_err(|_| invalid("a malformed request"))?;
    *request.headers_mut() = headers;
    Ok((request, Bytes::copy_from_slice(&bytes[length..])))
}

fn failed(error: h2::Error) -> io::Error {
    match error.is_io() {
        true => error.into_io().unwrap_or_else(|| ErrorKind::UnexpectedEof.into()),
        false => io::Error::other(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_keeps_its_headers_but_those_of_the_connection() {
        let text = b"POST /publish?a=1 HTTP/1.1\r\nHost: a:1\r\nConnection: keep-alive\r\nX-Y: z\r\n\r\nbody";
        let (request, body) = parse_request(text, "http").unwrap();
        assert_eq!((request.method(), request.uri().to_string().as_str()), (&Method::POST, "http://a:1/publish?a=1"));
        assert_eq!((request.headers().len(), &request.headers()["x-y"]), (1, &HeaderValue::from_static("z")));
        assert_eq!(body, "body");
    }

    #[test]
    fn an_upgrade_becomes_an_extended_connect_without_a_key() {
        let text = b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
            Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n\r\n";
        let (request, _) = parse_request(text, "https").unwrap();
        assert_eq!(request.method(), Method::CONNECT);
        assert_eq!(request.extensions().get::<Protocol>().unwrap().as_str(), "websocket");
        assert_eq!(request.headers().keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["sec-websocket-version"]);
    }
}
