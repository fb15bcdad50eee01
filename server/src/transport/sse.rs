//! Server-sent events: the streaming response that browsers read by themselves, with `EventSource` (WHATWG HTML, 9.2).
//!
//! - Initiated by `GET /sse?after=N`, one request and one response head, of type `text/event-stream`.
//! - Framed as a block of fields, `id` and `data`, ended by a blank line, and as a chunk of its own.
//! - Resumed by the browser itself: it asks again with `Last-Event-ID`, the `id` it saw last, which outweighs `after`.
//!   A gap is an event of type `gap`.
//! - Costs some twenty bytes an event, and a comment each 15 s in which nothing else was sent, so that a proxy or a NAT
//!   between does not take the silence for the end.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::Frame;
use hyper::header::HeaderMap;
use protocol::Cursor;
use protocol::framing::sse;
use tokio::time::{Interval, MissedTickBehavior};

use crate::answer::{self, Answer};
use crate::feed::Next;
use crate::subscription::Subscription;

const HEARTBEAT: Duration = Duration::from_secs(15);

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
    let mut heartbeat = tokio::time::interval_at(tokio::time::Instant::now() + HEARTBEAT, HEARTBEAT);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    answer::endless("text/event-stream", Blocks { subscription, heartbeat, quiet: true })
}

struct Blocks {
    subscription: Subscription,
    heartbeat: Interval,
    /// Whether nothing was sent since the heartbeat's last tick.
    quiet: bool,
}

impl Blocks {
    fn poll_block(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if let Poll::Ready(next) = self.subscription.poll_take(context) {
            self.quiet = false;
            return Poll::Ready(match next {
                Next::Event(event) => Some(event.sse()),
                Next::Gap(gap) => Some(sse::frame_gap(gap).into()),
                Next::Nothing | Next::Closed => None,
            });
        }
        loop {
            ready!(self.heartbeat.poll_tick(context));
            if std::mem::replace(&mut self.quiet, true) {
                return Poll::Ready(Some(Bytes::from_static(sse::HEARTBEAT)));
            }
        }
    }
}

impl http_body::Body for Blocks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.poll_block(context).map(|block| block.map(|bytes| Ok(Frame::data(bytes))))
    }
}
