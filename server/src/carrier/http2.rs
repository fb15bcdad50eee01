//! An HTTP/2 connection (RFC 9113): many requests at a time, each on a stream of its own. hyper serves it.
//!
//! A client chooses HTTP/2 in the handshake of TLS, or without TLS by sending its preface at once ("prior knowledge"). Each stream has a
//! [`Socket`] of its own, so the same code responds to requests as over HTTP/1.1. What an endless response or a WebSocket writes goes through
//! the stream's queue (see `substream.rs`).
//!
//! A WebSocket begins with the extended CONNECT method (RFC 8441): there is no `Upgrade`, no key and no 101. The response is 200, and then
//! frames follow as on a connection of their own.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::poll_fn;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body as _, Incoming};
use hyper::ext::Protocol;
use hyper::header::{CONTENT_LENGTH, COOKIE, HOST, HeaderMap, HeaderValue};
use hyper::rt::Executor;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use slab::Slab;
use tokio::sync::Notify;
use tokio::task::spawn_local;
use tokio::time::{Instant, sleep_until};
use tracing::{Instrument, debug};

use super::admission::Admitted;
use super::socket::{Socket, Stream};
use super::stream_traces::StreamTraces;
use super::substream::{StreamBody, Substream};
use crate::api::response::{self, Body, Response};
use crate::api::{query, respond};
use crate::fan_out::Dispatcher;
use crate::quota::Place;
use crate::state::ServerState;
use crate::trace::ConnectionNumber;

/// The most streams that a client may have open at once on a connection.
const MAX_STREAMS: u32 = 128;
/// The most bytes of a request's headers, decompressed.
const MAX_HEADER_LIST_BYTES: u32 = 16 << 10;
/// The most bytes of a stream that hyper has taken from its queue and not yet written to the connection's socket.
const MAX_SEND_BUFFER_BYTES: usize = 64 << 10;
/// How many bytes of requests' bodies and of WebSocket frames the client may send before the server has read them, for a stream and for the
/// connection.
const WINDOW_BYTES: u32 = 64 << 10;
/// The most resets of streams by the client that wait to be noticed (the "rapid reset" attack, CVE-2023-44487).
const MAX_PENDING_RESETS: usize = 32;

/// How long a client may take to close a connection without streams.
const LAST_STREAMS_TIMEOUT: Duration = Duration::from_secs(1);

tokio::task_local! {
    /// The stream whose request the current task handles.
    static STREAM: Rc<StreamState>;
}

/// A stream, as its tasks share it.
struct StreamState {
    substream: Rc<Substream>,
    /// Its place among the streams that the server serves, until its last task has ended.
    place: RefCell<Option<Place>>,
    /// Its index in the connection's list.
    index: usize,
    /// Whether the stream is to be reset.
    is_cut: Cell<bool>,
    cut: Notify,
    connection: Rc<Streams>,
}

/// The streams of a connection.
struct Streams {
    peer: IpAddr,
    open: RefCell<Slab<Weak<StreamState>>>,
    /// When the last stream ended.
    idle_since: Cell<Instant>,
    traces: Rc<StreamTraces>,
    number: ConnectionNumber,
}

impl StreamState {
    fn new(connection: Rc<Streams>) -> Rc<Self> {
        let substream = Rc::new(Substream::new(connection.peer));
        Rc::new_cyclic(|stream: &Weak<Self>| {
            let index = connection.open.borrow_mut().insert(stream.clone());
            let (place, is_cut) = (RefCell::new(None), Cell::new(false));
            Self { substream, place, index, is_cut, cut: Notify::new(), connection }
        })
    }

    /// Resets the stream: ends all of its tasks.
    fn reset(&self) {
        self.is_cut.set(true);
        self.substream.close();
        self.cut.notify_waiters();
    }

    /// Resolves when the stream is to be reset.
    async fn cut(&self) {
        let notified = self.cut.notified();
        if !self.is_cut.get() {
            notified.await;
        }
    }
}

impl Drop for StreamState {
    fn drop(&mut self) {
        let Streams { open, idle_since, .. } = &*self.connection;
        open.borrow_mut().remove(self.index);
        idle_since.set(Instant::now());
    }
}

/// Runs hyper's tasks: one for each stream, and another one for each WebSocket.
#[derive(Clone)]
struct Tasks(Rc<Streams>);

impl<F: Future<Output = ()> + 'static> Executor<F> for Tasks {
    fn execute(&self, task: F) {
        // hyper starts the task of a WebSocket from that of its stream.
        let stream = STREAM.try_with(Rc::clone).unwrap_or_else(|_| StreamState::new(self.0.clone()));
        let cut = stream.clone();
        let task = async move {
            // Dropping a task of hyper resets its stream (CANCEL).
            tokio::select! {
                () = task => {}
                () = cut.cut() => {}
            }
        };
        spawn_local(STREAM.scope(stream, task).in_current_span());
    }
}

/// Serves a connection until either side ends it; `early` are the bytes that were already read from it.
pub async fn serve(
    early: Bytes,
    socket: Rc<Socket>,
    admitted: Admitted,
    state: Arc<ServerState>,
    dispatcher: Rc<Dispatcher>,
) {
    let peer = socket.peer().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let traces = Rc::new(StreamTraces::new());
    let streams = Rc::new(Streams {
        peer,
        open: RefCell::default(),
        idle_since: Cell::new(Instant::now()),
        traces: traces.clone(),
        number: Rc::default(),
    });
    let service = service_fn(|request: Request<Incoming>| {
        let (state, dispatcher) = (state.clone(), dispatcher.clone());
        async move {
            let stream = STREAM.with(Rc::clone);
            // Boxed, so that the task of a stream does not keep the memory of the request's handling.
            Ok::<_, Infallible>(Box::pin(serve_stream(request, stream, state, dispatcher)).await)
        }
    });
    let connection = http2::Builder::new(Tasks(streams.clone()))
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADER_LIST_BYTES)
        .max_send_buf_size(MAX_SEND_BUFFER_BYTES)
        .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .enable_connect_protocol()
        .serve_connection(TokioIo::new(Stream::with_frames(early, socket, traces)), service);
    let mut connection = pin!(connection);
    let mut end = pin!(async {
        tokio::select! {
            () = state.closing() => {}
            () = idle(&streams, state.idle_timeout) => {}
            () = reset_stalled(&streams, &state) => {}
        }
    });
    tokio::select! {
        // An error means that the client violated HTTP/2 or disconnected.
        _ = &mut connection => {}
        () = &mut end => {
            connection.as_mut().graceful_shutdown();
            // A client without streams may neither keep the connection open by not reading, nor by not replying.
            let last = async {
                tokio::time::sleep(LAST_STREAMS_TIMEOUT).await;
                idle(&streams, Duration::ZERO).await;
            };
            tokio::select! {
                _ = connection => {}
                () = last => {}
                () = reset_stalled(&streams, &state) => {}
            }
        }
    }
    debug!("the HTTP/2 connection ended");
    drop(admitted);
}

/// Resolves when no stream has been open for that long.
async fn idle(streams: &Streams, timeout: Duration) {
    loop {
        let is_idle = streams.open.borrow().is_empty();
        let due = if is_idle { streams.idle_since.get() } else { Instant::now() } + timeout;
        if is_idle && due <= Instant::now() {
            return;
        }
        sleep_until(due.max(Instant::now() + Duration::from_millis(10))).await;
    }
}

/// Resets each stream of which nothing was taken for the stall timeout although bytes wait: HTTP/2's flow control allows a client to read some
/// streams and not others, which the kernel cannot notice. Never resolves.
async fn reset_stalled(streams: &Streams, state: &ServerState) {
    loop {
        tokio::time::sleep((state.stall_timeout / 4).max(Duration::from_millis(10))).await;
        let stalled = |stream: &Rc<StreamState>| {
            stream.substream.waiting_since().is_some_and(|since| since.elapsed() >= state.stall_timeout)
        };
        let open: Vec<Rc<StreamState>> =
            streams.open.borrow().iter().filter_map(|(_, stream)| stream.upgrade()).filter(stalled).collect();
        for stream in open {
            state.counters.stalled();
            debug!("reset: nothing of the stream was read for too long");
            stream.reset();
        }
    }
}

/// Responds to the request of a stream. The body of the response goes through the stream's queue, so that a client that does not read it is
/// noticed.
async fn serve_stream(
    request: Request<Incoming>,
    stream: Rc<StreamState>,
    state: Arc<ServerState>,
    dispatcher: Rc<Dispatcher>,
) -> Response {
    let bodiless = request.method() == Method::HEAD;
    let mut response = handle(request, stream.clone(), state, dispatcher).await;
    if let Some(length) = response.body().size_hint().exact()
        && length > 0
    {
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    match response.body_mut() {
        // The response to HEAD has the headers of the response to GET, and no body.
        body if bodiless => *body = Body::Complete([].into()),
        Body::Complete(parts) if !parts.is_empty() => {
            stream.substream.finish_with(std::mem::take(parts));
            *response.body_mut() = Body::Stream(StreamBody::new(stream.substream.clone()));
        }
        Body::Complete(_) | Body::Continued(_) | Body::Stream(_) => {}
    }
    response
}

/// Handles the request of a stream, and starts the session of an endless response or of a WebSocket.
async fn handle(
    mut request: Request<Incoming>,
    stream: Rc<StreamState>,
    state: Arc<ServerState>,
    dispatcher: Rc<Dispatcher>,
) -> Response {
    state.counters.request();
    let (number, header_bytes) = stream.connection.traces.next_request();
    let Some(place) = state.streams.place(stream.connection.peer) else {
        state.counters.stream_refused();
        return response::unavailable("too many streams\n");
    };
    *stream.place.borrow_mut() = Some(place);
    let websocket = match normalize(&mut request) {
        Ok(websocket) => websocket,
        Err(refusal) => return *refusal,
    };
    let cut = {
        let stream = Rc::downgrade(&stream);
        move || stream.upgrade().into_iter().for_each(|stream| stream.reset())
    };
    let connection = stream.connection.number.clone();
    let socket = Socket::of_stream(stream.substream.clone(), state.clone(), Rc::new(cut), connection);
    let lane = query::lane(request.uri().query());
    socket.trace.response(lane);
    let traced = socket.trace.has_lane().then(|| socket.trace.clone());
    if let Some(trace) = &traced {
        trace.sized_request(header_bytes, &as_text(&request, websocket), lane);
        stream.connection.traces.trace(number, trace.clone());
    }
    let upgraded = websocket.then(|| hyper::upgrade::on(&mut request));
    let bodiless = request.method() == Method::HEAD;
    let mut response = respond(request, state, dispatcher, socket).await;
    // A successful response to CONNECT would be the beginning of a WebSocket.
    if websocket && response.status().is_success() && !response::is_switching(&response) {
        response = response::bad_request("this path has no WebSocket");
    }
    if traced.is_some() {
        stream.connection.traces.response(number, head_as_text(&response));
    }
    if let Body::Continued(session) = response.body_mut()
        && !bodiless
    {
        let Some(session) = session.take() else { return response };
        let substream = stream.substream.clone();
        *response.body_mut() = match upgraded {
            None => Body::Stream(StreamBody::new(substream)),
            Some(upgraded) => {
                spawn_in_stream(&stream, async move {
                    // An error means that the stream has ended.
                    let Ok(upgraded) = upgraded.await else { return substream.close() };
                    substream.upgrade(upgraded);
                    let mut unsent = Bytes::new();
                    let _ = poll_fn(|context| substream.poll_forward(context, &mut unsent)).await;
                    substream.close();
                });
                Body::Complete([].into())
            }
        };
        let session = session(Vec::new());
        spawn_in_stream(&stream, async move {
            session.await;
            debug!("the subscription ended");
        });
    }
    response
}

/// Runs a task until it or its stream ends.
fn spawn_in_stream(stream: &Rc<StreamState>, task: impl Future<Output = ()> + 'static) {
    let stream = stream.clone();
    let task = async move {
        tokio::select! {
            () = task => {}
            () = stream.cut() => {}
        }
    };
    spawn_local(task.in_current_span());
}

/// Gives a request the form that it would have over HTTP/1.1: the `Host` header, which HTTP/2 replaces by `:authority`; one `Cookie` header, which
/// HTTP/2 allows to be divided (RFC 9113, section 8.2.3); and GET for one that continues as a WebSocket. Returns whether it does.
///
/// # Errors
/// The response to any other CONNECT: there is no proxy here.
fn normalize(request: &mut Request<Incoming>) -> Result<bool, Box<Response>> {
    if let Some(authority) = request.uri().authority()
        && !request.headers().contains_key(HOST)
        && let Ok(host) = HeaderValue::from_str(authority.as_str())
    {
        request.headers_mut().insert(HOST, host);
    }
    let cookies: Vec<&[u8]> = request.headers().get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if cookies.len() > 1
        && let Ok(cookie) = HeaderValue::from_bytes(&cookies.join(&b"; "[..]))
    {
        request.headers_mut().insert(COOKIE, cookie);
    }
    if request.method() != Method::CONNECT {
        return Ok(false);
    }
    match request.extensions().get::<Protocol>() {
        Some(protocol) if protocol.as_str() == "websocket" => {
            *request.method_mut() = Method::GET;
            Ok(true)
        }
        Some(_) => Err(Box::new(response::text(
            StatusCode::NOT_IMPLEMENTED,
            "the only protocol for CONNECT is websocket (RFC 8441)\n",
        ))),
        None => Err(Box::new(response::wrong_method("GET, HEAD, POST"))),
    }
}

/// The request as text, for the wire trace: HTTP/2 sends these fields compressed.
fn as_text(request: &Request<Incoming>, websocket: bool) -> Vec<u8> {
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    let method = if websocket { "CONNECT" } else { request.method().as_str() };
    let mut text = format!("{method} {target} HTTP/2\r\n").into_bytes();
    if websocket {
        text.extend_from_slice(b":protocol: websocket\r\n");
    }
    add_fields(&mut text, request.headers());
    text
}

/// The status and the headers of a response as text, without those that hyper adds.
fn head_as_text(response: &Response) -> Vec<u8> {
    let mut text = format!("HTTP/2 {}\r\n", response.status().as_u16()).into_bytes();
    add_fields(&mut text, response.headers());
    text
}

fn add_fields(text: &mut Vec<u8>, headers: &HeaderMap) {
    for (name, value) in headers {
        text.extend_from_slice(&[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    text.extend_from_slice(b"\r\n");
}
