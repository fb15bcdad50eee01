//! Polling: the client sends a request at each interval, and the server responds at once, whether or not there is an event.
//!
//! - Starts with `GET /poll?after=N`, which is repeated.
//! - The response has a length and contains a line for each event: 200 with the events after `after`, or 204 if there is none.
//! - Resumes from the header `cursor` of each response, which is the `after` of the next request. If the history no longer reaches back to
//!   `after`, the response is 410 with the gap, and with the cursor to resume from.
//! - Costs a request and a response per poll, with or without an event. An event waits half an interval on average.

use protocol::Envelope;

use crate::api::query::Query;
use crate::api::response::{self, Polled};
use crate::feed::Feed;
use crate::transport::MAX_BATCH_BYTES;

/// Responds to one poll.
///
/// # Errors
/// The gap, if the history does not reach back to the cursor, or the cursor belongs to another feed.
pub fn respond(feed: &Feed, query: Query, envelope: Envelope) -> Polled {
    let after = feed.start(query.after)?;
    let events = feed.since(after, MAX_BATCH_BYTES)?;
    Ok(response::batch(&events, after, envelope, query.callback))
}
