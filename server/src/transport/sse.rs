//! Server-sent events: the streaming response that browsers read by themselves, with `EventSource` (WHATWG HTML, 9.2).
//!
//! - Initiated by `GET /sse?after=N`, one request and one response head, of type `text/event-stream`.
//! - Framed as a block of fields, `id` and `data`, ended by a blank line, and as a chunk of its own.
//! - Resumed by the browser itself: it asks again with `Last-Event-ID`, the `id` it saw last, which outweighs `after`. An event's `id`
//!   is a number alone, so if `after` says of which feed it is, that is believed of `Last-Event-ID` too. A gap is an event of type `gap`;
//!   whoever is told of another feed has to open a new `EventSource`, since this one would go on to ask for the old one.
//! - Costs some twenty bytes an event, and a comment of three as heartbeat when nothing else was sent for a while.

use std::sync::Arc;

use hyper::Version;
use hyper::header::HeaderMap;
use protocol::Bookmark;
use protocol::framing::sse;

use crate::answer::Answer;
use crate::delivery::Due;
use crate::feed::Framing;
use crate::socket::Socket;
use crate::stream::{self, Words};
use crate::subscription::Subscription;

/// Where to begin: behind the cursor that a reconnecting browser brings in `Last-Event-ID`, if it brings one.
///
/// # Errors
/// In words fit for a 400, when it is no cursor.
pub fn place(headers: &HeaderMap, after: Option<Bookmark>) -> Result<Option<Bookmark>, String> {
    let Some(value) = headers.get("last-event-id") else { return Ok(after) };
    let text = value.to_str().unwrap_or_default();
    let last: Bookmark = text.parse().map_err(|error| format!("Last-Event-ID: {error}"))?;
    Ok(Some(Bookmark { epoch: last.epoch.or(after.and_then(|after| after.epoch)), ..last }))
}

/// Begins the stream.
pub fn answer(subscription: Subscription, socket: Arc<Socket>, version: Version) -> Answer {
    let words = Words { content_type: "text/event-stream", plain: Framing::Block, chunked: Framing::ChunkedBlock, say };
    stream::answer(subscription, socket, version, words)
}

fn say(due: Due) -> Option<Vec<u8>> {
    match due {
        Due::Gap(gap) => Some(sse::frame_gap(gap)),
        Due::Heartbeat => Some(sse::HEARTBEAT.into()),
        Due::End | Due::Input => None,
    }
}
