//! The poll loop: serves connections that only poll, without hyper.
//!
//! hyper holds two buffers of 8 KiB for as long as a request waits for its response, which with long polling is nearly all the time. So a
//! GET request to a polling endpoint with nothing unusual in its headers is parsed here, and the response is written as hyper would write
//! it. At the first request of any other kind, hyper takes over the connection, from that request's first byte on, and keeps it. Both use
//! the same routes and the same responses; `tests/two_servers.rs` compares their responses.

use std::cell::RefCell;
use std::future::poll_fn;
use std::mem::MaybeUninit;
use std::pin::pin;
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{Buf, Bytes, BytesMut};
use httparse::{Request, Status};
use hyper::StatusCode;
use protocol::Transport;
use protocol::http2::PREFACE;
use protocol::transport::Exchange;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};
use tracing::trace;

use super::socket::{Socket, Stream, Unsent};
use crate::api::host;
use crate::api::query::Query;
use crate::api::response::{self, Body, Response};
use crate::api::routes::{self, Endpoint};
use crate::fan_out::Dispatcher;
use crate::state::ServerState;
use crate::transport::{long_polling, polling};

/// The longest request line and headers that are parsed here, in bytes. Longer ones are left to hyper.
const MAX_HEADERS_BYTES: usize = 8 << 10;
/// The most headers of a request that is parsed here. Requests with more are left to hyper.
const MAX_HEADERS: usize = 64;
/// The free space that a read is given, in bytes.
const READ_BYTES: usize = 2 << 10;
/// A body up to this length, in bytes, is copied after its headers: one part is written faster than two.
const MAX_COPIED_BYTES: usize = 4 << 10;

/// The result of parsing the received bytes.
enum Parsed {
    /// The request of a poll, `length` bytes long.
    Poll { length: usize, transport: Transport, exchange: PollExchange, query: Query },
    /// The beginning of a request that may be a poll.
    Incomplete,
    /// Anything else.
    Other,
}

/// The exchanges that this loop serves.
enum PollExchange {
    Polling,
    LongPolling,
}

/// Responds to polls until the connection ends, or until something other than a poll is received, and returns the bytes of that.
pub async fn serve(socket: &Rc<Socket>, state: &ServerState, dispatcher: &Rc<Dispatcher>) -> Option<Bytes> {
    let mut stream = Stream::new(socket.clone());
    let mut received = BytesMut::new();
    let mut closing = pin!(state.closing());
    loop {
        let due = Instant::now() + state.idle_timeout;
        let (length, transport, exchange, query) = loop {
            match parse(&received, &state.hosts) {
                Parsed::Poll { length, transport, exchange, query } => break (length, transport, exchange, query),
                Parsed::Other => return Some(received.freeze()),
                Parsed::Incomplete => {}
            }
            let idle = received.is_empty();
            let fill = async {
                // A connection on which nothing is received needs no buffer.
                poll_fn(|context| socket.poll_read_ready(context)).await?;
                received.reserve(READ_BYTES);
                stream.read_buf(&mut received).await
            };
            tokio::select! {
                filled = timeout_at(due, fill) => match filled {
                    Ok(Ok(1..)) => {}
                    // Whether an unfinished request at the end of the connection gets a response is left to hyper, too.
                    Ok(Ok(0)) if !received.is_empty() => return Some(received.freeze()),
                    // The end of the connection, an error, or the timeout.
                    _ => return None,
                },
                () = &mut closing, if idle => return None,
            }
        };
        state.counters.request();
        state.hall.requested(transport, query.lane.as_deref());
        socket.trace.request(&received[..length], query.lane.as_deref());
        socket.trace.response(query.lane.as_deref());
        received.advance(length);
        if received.is_empty() {
            received = BytesMut::new();
        }
        let envelope = transport.envelope();
        let response = match exchange {
            PollExchange::LongPolling => {
                long_polling::respond(&state.feed, dispatcher.clone(), socket, query, envelope).await
            }
            PollExchange::Polling => polling::respond(&state.feed, query, envelope).unwrap_or_else(response::gap),
        };
        let last = *state.closing.borrow();
        trace!(status = response.status().as_u16(), "poll");
        let mut unsent = encode(response, last);
        poll_fn(|context| socket.poll_write_all(context, &mut unsent)).await.ok()?;
        if last {
            // An error means that the peer has disconnected.
            let _ = stream.shutdown().await;
            return None;
        }
    }
}

/// Parses a request's line and headers as strictly as hyper does. In doubt, the result is [`Parsed::Other`].
fn parse(bytes: &[u8], hosts: &[String]) -> Parsed {
    // The preface of HTTP/2 must be complete before it can be recognized.
    if bytes.len() < PREFACE.len() && PREFACE.starts_with(bytes) {
        return Parsed::Incomplete;
    }
    let mut headers = [const { MaybeUninit::uninit() }; MAX_HEADERS];
    let mut request = Request::new(&mut []);
    let length = match request.parse_with_uninit_headers(bytes, &mut headers) {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) if bytes.len() < MAX_HEADERS_BYTES => return Parsed::Incomplete,
        _ => return Parsed::Other,
    };
    let (Some("GET"), Some(1), Some(target)) = (request.method, request.version, request.path) else {
        return Parsed::Other;
    };
    // A fragment is not allowed in a target.
    if target.contains('#') {
        return Parsed::Other;
    }
    let (path, text) = target.split_once('?').map_or((target, None), |(path, text)| (path, Some(text)));
    let Some(route) = routes::find(path) else { return Parsed::Other };
    let Endpoint::Subscribe(transport) = route.endpoint else { return Parsed::Other };
    let exchange = match transport.exchange() {
        Exchange::Poll => PollExchange::Polling,
        Exchange::LongPoll => PollExchange::LongPolling,
        Exchange::Stream | Exchange::Socket => return Parsed::Other,
    };
    let mut host_headers = 0;
    for header in request.headers.iter() {
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        match header.name.len() {
            4 if is("host") => {
                host_headers += 1;
                if host::check(header.value, hosts).is_err() {
                    return Parsed::Other;
                }
            }
            10 if is("connection") && !header.value.eq_ignore_ascii_case(b"keep-alive") => return Parsed::Other,
            // A page of another origin, whose response needs additional headers, or a client that waits for 100 Continue.
            6 if is("origin") || is("expect") => return Parsed::Other,
            // A request with a body, or for another protocol.
            14 if is("content-length") => return Parsed::Other,
            17 if is("transfer-encoding") => return Parsed::Other,
            7 if is("upgrade") => return Parsed::Other,
            _ => {}
        }
    }
    match Query::parse(text, route.parameters) {
        Ok(query) if host_headers == 1 => Parsed::Poll { length, transport, exchange, query },
        _ => Parsed::Other,
    }
}

/// Encodes the response to a poll; `last` means that the connection ends after it.
fn encode(response: Response, last: bool) -> Unsent {
    let (response, body) = response.into_parts();
    let Body::Complete(mut parts) = body else { unreachable!("the body of a poll's response is complete") };
    let length: usize = parts.iter().map(Bytes::len).sum();
    let small = length <= MAX_COPIED_BYTES;
    let mut bytes = Vec::with_capacity(256 + if small { length } else { 0 });
    let mut put = |pieces: &[&[u8]]| pieces.iter().for_each(|piece| bytes.extend_from_slice(piece));
    let reason = response.status.canonical_reason().unwrap_or_default();
    put(&[b"HTTP/1.1 ", response.status.as_str().as_bytes(), b" ", reason.as_bytes(), b"\r\n"]);
    let headers = response.headers.iter();
    headers.for_each(|(name, value)| put(&[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"]));
    if response.status != StatusCode::NO_CONTENT {
        put(&[b"content-length: ", length.to_string().as_bytes(), b"\r\n"]);
    }
    if last {
        put(&[b"connection: close\r\n"]);
    }
    DATE.with_borrow_mut(|date| put(&[b"date: ", date.now().as_bytes(), b"\r\n\r\n"]));
    if small {
        parts.drain(..).for_each(|part| put(&[&part]));
    }
    parts.push_front(bytes.into());
    parts
}

thread_local! {
    static DATE: RefCell<Date> = const { RefCell::new(Date { second: 0, text: String::new() }) };
}

/// The value of the header `Date`, which is formatted at most once per second.
struct Date {
    second: u64,
    text: String,
}

impl Date {
    fn now(&mut self) -> &str {
        let now = SystemTime::now();
        let second = now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
        if second != self.second {
            (self.second, self.text) = (second, httpdate::fmt_http_date(now));
        }
        &self.text
    }
}
