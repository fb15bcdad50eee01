//! Polling: the client asks each interval, and is answered at once, whether or not there is an event.
//!
//! - Initiated by `GET /poll?after=N`, again and again.
//! - Framed as lines, in a response whose length is known: 200 with all that followed `after`, 204 where nothing did.
//! - Resumed by the `cursor` header of each answer, which is the next request's `after`. A cursor that has left the history
//!   is answered with 410, the gap, and the cursor to go on from.
//! - Costs a request and a response a poll, event or not; an event waits half an interval on average.

use crate::answer::{self, Polled};
use crate::feed::Feed;
use crate::query::Query;
use crate::transport::LARGEST_BATCH;

/// What may be asked for.
pub const PARAMETERS: &[&str] = &["after", "lane"];

/// Answers one poll.
///
/// # Errors
/// When the history does not reach back to the cursor, or that is of another feed.
pub fn answer(feed: &Feed, query: Query) -> Polled {
    let after = feed.place(query.after)?;
    let events = feed.since(after, LARGEST_BATCH)?;
    Ok(answer::batch(&events, after))
}
