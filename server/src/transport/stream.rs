//! Streaming over HTTP/1.1: one endless response (RFC 6202, section 3). HTTP streaming, SSE, multipart streaming and the hidden iframe differ
//! in their envelope only.
//!
//! - Starts with a GET request to the transport's path, such as `/stream?after=N` or `/sse?after=N`. After this request and the response's headers, only messages follow: events,
//!   gaps and heartbeats.
//! - Each event is one message in the format of the envelope, such as a line or an SSE block. The length of an endless body is unknown, so each
//!   message is also a chunk (RFC 9112, section 7.1).
//! - Resumes with a new request whose `after` is the last sequence number received. A browser's `EventSource` resumes by itself, with the
//!   last `id` in the header `Last-Event-ID`. A gap is reported in a message of its own.
//! - Costs a few bytes per event, and a heartbeat of one to three bytes, in a chunk, when nothing else was sent for a while. Every
//!   subscriber keeps a connection open. Streaming does not work through a proxy that buffers responses.
//!
//! hyper writes the headers of the response, and then the server takes over the connection. hyper would encode each event as a chunk
//! again for each subscriber. But the chunks are the same for all subscribers, so they are encoded once and written to the socket directly.
//! This also frees hyper's buffers of 8 KiB each.

use std::rc::Rc;

use bytes::Bytes;
use hyper::Version;
use hyper::header::HeaderMap;
use protocol::{Bookmark, Envelope};

use crate::api::response::{self, Body, Response};
use crate::carrier::Socket;
use crate::fan_out::{Delivery, Subscription};
use crate::feed::Encoding;

/// Starts the response to a request that came over `socket` in the HTTP version `version`. `callback` is the function that a script in the
/// response calls; it is empty for envelopes without one.
pub fn respond(
    subscription: Subscription,
    socket: Rc<Socket>,
    version: Version,
    envelope: Envelope,
    callback: &str,
) -> Response {
    let encoding = match version {
        Version::HTTP_11 => Encoding::chunked(envelope),
        // HTTP/1.0 has no chunks (RFC 9112, section 6.1).
        _ => Encoding::plain(envelope),
    };
    let prelude = match envelope.prelude(callback) {
        nothing if nothing.is_empty() => Bytes::new(),
        prelude => encoding.wrap(prelude),
    };
    let session = async move |_| Delivery::new(subscription, socket, encoding).beginning_with(prelude).run().await;
    response::endless(envelope.content_type(), Body::continued(session))
}

/// The cursor from which an `EventSource` resumes: the one in `Last-Event-ID`, or `after` if that header is missing. An event's `id` is a
/// sequence number without the feed's epoch; if the header has no epoch, that of `after` is used.
///
/// # Errors
/// The text of a 400 response, if the header is not a cursor.
pub fn last_event_id(headers: &HeaderMap, after: Option<Bookmark>) -> Result<Option<Bookmark>, String> {
    let Some(value) = headers.get("last-event-id") else { return Ok(after) };
    let text = value.to_str().unwrap_or_default();
    let last: Bookmark = text.parse().map_err(|error| format!("Last-Event-ID: {error}"))?;
    Ok(Some(Bookmark { epoch: last.epoch.or(after.and_then(|after| after.epoch)), ..last }))
}
