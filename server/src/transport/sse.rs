//! Server-sent events: the streaming response that browsers read by themselves, with `EventSource` (WHATWG HTML, 9.2).
//!
//! - Initiated by `GET /sse?after=N`, one request and one response head, of type `text/event-stream`.
//! - Framed as a block of fields, `id` and `data`, ended by a blank line, and as a chunk of its own.
//! - Resumed by the browser itself: it asks again with `Last-Event-ID`, the `id` it saw last, which outweighs `after`.
//!   A gap is an event of type `gap`.
//! - Costs some twenty bytes an event, and a comment of three as heartbeat when nothing else was sent for a while.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::Frame;
use hyper::header::HeaderMap;
use protocol::Cursor;
use protocol::framing::sse;

use crate::answer::{self, Answer};
use crate::feed::Next;
use crate::subscription::{Subscription, Turn};

/// The cursor that a reconnecting browser brings in `Last-Event-ID`, if it brings one.
///
/// # Errors
/// In words fit for a 400, when it is no cursor.
pub fn last_event_id(headers: &HeaderMap) -> Result<Option<Cursor>, String> {
    let Some(value) = headers.get("last-event-id") else { return Ok(None) };
    let cursor = value.to_str().unwrap_or_default().parse().map_err(|error| format!("Last-Event-ID: {error}"))?;
    Ok(Some(cursor))
}

/// Begins the stream.
pub fn answer(subscription: Subscription) -> Answer {
    answer::endless("text/event-stream", Blocks(subscription))
}

struct Blocks(Subscription);

impl http_body::Body for Blocks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        loop {
            let block = match self.0.take() {
                Next::Event(event) => event.sse(),
                Next::Gap(gap) => sse::frame_gap(gap).into(),
                Next::Closed => return Poll::Ready(None),
                Next::Nothing => match ready!(self.0.poll_turn(context)) {
                    Turn::Deliver => continue,
                    Turn::Heartbeat => Bytes::from_static(sse::HEARTBEAT),
                },
            };
            return Poll::Ready(Some(Ok(Frame::data(block))));
        }
    }
}
