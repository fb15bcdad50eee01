//! Long polling: the client sends a request, and the server responds when there is an event (RFC 6202, section 2).
//!
//! - Starts with `GET /long-poll?after=N&wait=25s`, which is repeated as soon as the response has been received.
//! - The response has a length and contains a line for each event: 200 with the events after `after`, or 204 if there was none within
//!   `wait`.
//! - Resumes like polling: from the header `cursor`, which is the `after` of the next request; 410 reports a gap.
//! - Costs a request and a response per batch of events. Events that are published between a response and the next request wait for that
//!   request. So the busier the feed, the more events share a response, and the more long polling resembles polling.
//!
//! JSONP differs in its envelope only: the response to `GET /jsonp?callback=NAME` is a script that calls NAME for each event. A script
//! element sees neither status nor headers, so a gap is a call as well.

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use protocol::{Bookmark, Cursor, Envelope, Gap};

use crate::api::query::Query;
use crate::api::response::{self, Response};
use crate::carrier::Socket;
use crate::fan_out::{Dispatcher, Subscription};
use crate::feed::{Entry, Feed};
use crate::transport::MAX_BATCH_BYTES;

/// How long a request without `wait` waits: less than the 30 s after which many proxies abort a request without response.
const DEFAULT_WAIT: Duration = Duration::from_secs(25);

/// Responds to one long poll, as soon as there is an event.
pub async fn respond(
    feed: &Arc<Feed>,
    dispatcher: Rc<Dispatcher>,
    socket: &Socket,
    Query { after, wait, callback, .. }: Query,
    envelope: Envelope,
) -> Response {
    let polled = poll(feed, dispatcher, socket, after, wait).await;
    match (polled, callback) {
        (Ok((events, after)), callback) => response::batch(&events, after, envelope, callback),
        (Err(gap), Some(callback)) => response::gap_call(gap, &callback),
        (Err(gap), None) => response::gap(gap),
    }
}

/// The events after a cursor, as soon as there is one; none after the timeout. Returns them with the cursor.
///
/// # Errors
/// The gap, if the history does not reach back to the cursor, or the cursor belongs to another feed.
async fn poll(
    feed: &Arc<Feed>,
    dispatcher: Rc<Dispatcher>,
    socket: &Socket,
    after: Option<Bookmark>,
    wait: Option<Duration>,
) -> Result<(Vec<Arc<Entry>>, Cursor), Gap> {
    let after = feed.start(after)?;
    let mut subscription = Subscription::new(feed.clone(), dispatcher, Some(after.into()));
    // A client that has disconnected, or ended its side, gets its response at once.
    let event_or_end = poll_fn(|context| match subscription.poll_next_event(context) {
        Poll::Ready(()) => Poll::Ready(()),
        Poll::Pending => socket.poll_end(context),
    });
    let _ = tokio::time::timeout(wait.unwrap_or(DEFAULT_WAIT), event_or_end).await;
    Ok((feed.since(after, MAX_BATCH_BYTES)?, after))
}
