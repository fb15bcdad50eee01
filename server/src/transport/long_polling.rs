//! Long polling: the client sends a request, and the server responds when there is an event (RFC 6202, section 2).
//!
//! - Starts with `GET /long-poll?after=N&wait=25s`, which is repeated as soon as the response has been received.
//! - The response has a length and contains a line for each event: 200 with the events after `after`, or 204 if there was none within
//!   `wait`.
//! - Resumes like polling: from the header `cursor`, which is the `after` of the next request; 410 reports a gap.
//! - Costs a request and a response per batch of events. Events that are published between a response and the next request wait for that
//!   request. So the busier the feed, the more events share a response, and the more long polling resembles polling.

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use crate::api::query::Query;
use crate::api::response::{self, Polled};
use crate::carrier::Socket;
use crate::fan_out::{Dispatcher, Subscription};
use crate::feed::Feed;
use crate::transport::MAX_BATCH_BYTES;

/// How long a request without `wait` waits: less than the 30 s after which many proxies abort a request without response.
const DEFAULT_WAIT: Duration = Duration::from_secs(25);

/// Responds to one long poll, as soon as there is an event.
///
/// # Errors
/// The gap, if the history does not reach back to the cursor, or the cursor belongs to another feed.
pub async fn respond(feed: &Arc<Feed>, dispatcher: Rc<Dispatcher>, socket: &Socket, query: Query) -> Polled {
    let after = feed.start(query.after)?;
    let mut subscription = Subscription::new(feed.clone(), dispatcher, Some(after.into()));
    // A client that has disconnected, or ended its side, gets its response at once.
    let event_or_end = poll_fn(|context| match subscription.poll_next_event(context) {
        Poll::Ready(()) => Poll::Ready(()),
        Poll::Pending => socket.poll_end(context),
    });
    // After the timeout, the batch below is empty, and the response 204.
    let _ = tokio::time::timeout(query.wait.unwrap_or(DEFAULT_WAIT), event_or_end).await;
    let events = feed.since(after, MAX_BATCH_BYTES)?;
    Ok(response::batch(&events, after))
}
