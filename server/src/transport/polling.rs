//! Polling: the client asks each interval, and is answered at once, whether or not there is an event.
//!
//! - Initiated by `GET /poll?after=N`, again and again.
//! - Framed as lines, in a response whose length is known: 200 with all that followed `after`, 204 where nothing did.
//! - Resumed by the `cursor` header of each answer, which is the next request's `after`. A cursor that has left the history
//!   is answered with 410, the gap, and the cursor to go on from.
//! - Costs a request and a response a poll, event or not; an event waits half an interval on average.

use crate::answer::{self, Answer};
use crate::feed::Feed;
use crate::query::Query;
use crate::transport::LARGEST_BATCH;

/// What may be asked for.
pub const PARAMETERS: &[&str] = &["after", "lane"];

/// Answers one poll.
pub fn answer(feed: &Feed, query: Query) -> Answer {
    let after = query.after.unwrap_or_else(|| feed.head());
    match feed.since(after, LARGEST_BATCH) {
        Ok(events) => answer::batch(&events, after),
        Err(gap) => answer::gap(gap),
    }
}
