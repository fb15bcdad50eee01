//! Connections that only poll: their requests are read, and answered, without hyper.
//!
//! hyper holds two buffers of 8 KiB for as long as it answers a request, and a long poll is being answered nearly all the time. So
//! a GET of `/poll` or `/long-poll` with nothing unusual in its head is read here, and what `polling.rs` or `long_polling.rs`
//! answers is written as hyper would write it. With the first request that is another, hyper takes the connection over, from
//! that request's first byte on, and keeps it.

use std::cell::RefCell;
use std::future::poll_fn;
use std::mem::MaybeUninit;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{Buf, Bytes, BytesMut};
use httparse::{Request, Status};
use hyper::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};

use crate::answer::{self, Answer, Body};
use crate::fan_out::WakeList;
use crate::host;
use crate::query::Query;
use crate::site::Site;
use crate::socket::{Socket, Stream, Unsent};
use crate::transport::{long_polling, polling};

/// A head that is longer, in bytes, or has more fields, is hyper's to judge.
const LARGEST_HEAD: usize = 8 << 10;
const MOST_FIELDS: usize = 64;
/// What a read has room for, in bytes.
const READ: usize = 2 << 10;
/// A body up to this length, in bytes, is copied behind its head: one part is written faster than two.
const SMALL: usize = 4 << 10;

/// What the bytes that have come begin with.
enum Head {
    /// A poll, in so many bytes.
    Poll { length: usize, waits: bool, query: Query },
    /// The part of a head, which may become one.
    Unfinished,
    /// Something else.
    Other,
}

/// Answers polls until the connection ends; or gives what has come, when that is no poll.
pub async fn serve(socket: &Arc<Socket>, site: &Site, wake_list: &Arc<WakeList>) -> Option<Bytes> {
    let mut stream = Stream::new(socket.clone());
    let mut received = BytesMut::new();
    let mut closing = pin!(site.closing());
    loop {
        let due = Instant::now() + site.idle_timeout;
        let (length, waits, query) = loop {
            match head(&received, &site.hosts) {
                Head::Poll { length, waits, query } => break (length, waits, query),
                Head::Other => return Some(received.freeze()),
                Head::Unfinished => {}
            }
            let idle = received.is_empty();
            let fill = async {
                // Room only for those who send.
                poll_fn(|context| socket.poll_read_ready(context)).await?;
                received.reserve(READ);
                stream.read_buf(&mut received).await
            };
            tokio::select! {
                filled = timeout_at(due, fill) => match filled {
                    Ok(Ok(1..)) => {}
                    // The end, or nothing for too long.
                    _ => return None,
                },
                () = &mut closing, if idle => return None,
            }
        };
        site.counters.request();
        socket.trace_request(&received[..length], query.lane.as_deref());
        socket.trace_answer(query.lane.as_deref());
        received.advance(length);
        if received.is_empty() {
            received = BytesMut::new();
        }
        let answer = match waits {
            true => long_polling::answer(&site.feed, wake_list.clone(), socket, query).await,
            false => polling::answer(&site.feed, query),
        };
        let last = *site.closing.borrow();
        let mut unsent = written(answer.unwrap_or_else(answer::gap), last);
        poll_fn(|context| socket.poll_write_all(context, &mut unsent)).await.ok()?;
        if last {
            // An error is a peer that has left.
            let _ = stream.shutdown().await;
            return None;
        }
    }
}

/// Reads the head of a request, as strictly as hyper does; what is not certain is [`Head::Other`].
fn head(bytes: &[u8], hosts: &[String]) -> Head {
    let mut fields = [const { MaybeUninit::uninit() }; MOST_FIELDS];
    let mut request = Request::new(&mut []);
    let length = match request.parse_with_uninit_headers(bytes, &mut fields) {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) if bytes.len() < LARGEST_HEAD => return Head::Unfinished,
        _ => return Head::Other,
    };
    let (Some("GET"), Some(1), Some(target)) = (request.method, request.version, request.path) else {
        return Head::Other;
    };
    // A fragment, which has no place in a target.
    if target.contains('#') {
        return Head::Other;
    }
    let (path, text) = target.split_once('?').map_or((target, None), |(path, text)| (path, Some(text)));
    let (waits, known): (bool, &[&str]) = match path {
        "/poll" => (false, polling::PARAMETERS),
        "/long-poll" => (true, long_polling::PARAMETERS),
        _ => return Head::Other,
    };
    let mut named = 0;
    for field in request.headers.iter() {
        let is = |name: &str| field.name.eq_ignore_ascii_case(name);
        match field.name.len() {
            4 if is("host") => {
                named += 1;
                if host::check(field.value, hosts).is_err() {
                    return Head::Other;
                }
            }
            10 if is("connection") && !field.value.eq_ignore_ascii_case(b"keep-alive") => return Head::Other,
            // A page of another origin, which has to be told that it may read.
            6 if is("origin") || is("expect") => return Head::Other,
            // What has a body, or wants another protocol.
            14 if is("content-length") => return Head::Other,
            17 if is("transfer-encoding") => return Head::Other,
            7 if is("upgrade") => return Head::Other,
            _ => {}
        }
    }
    match Query::parse(text, known) {
        Ok(query) if named == 1 => Head::Poll { length, waits, query },
        _ => Head::Other,
    }
}

/// An answer's bytes, `last` on its connection or not.
fn written(answer: Answer, last: bool) -> Unsent {
    let (head, body) = answer.into_parts();
    let Body::Whole(mut parts) = body else { unreachable!("a poll's answer is there as a whole") };
    let length: usize = parts.iter().map(Bytes::len).sum();
    let small = length <= SMALL;
    let mut bytes = Vec::with_capacity(256 + if small { length } else { 0 });
    let mut put = |pieces: &[&[u8]]| pieces.iter().for_each(|piece| bytes.extend_from_slice(piece));
    let reason = head.status.canonical_reason().unwrap_or_default();
    put(&[b"HTTP/1.1 ", head.status.as_str().as_bytes(), b" ", reason.as_bytes(), b"\r\n"]);
    head.headers.iter().for_each(|(name, value)| put(&[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"]));
    if head.status != StatusCode::NO_CONTENT {
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

/// The time of day as heads have it, made once a second.
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
