//! Long polling: the client asks, and the server answers when there is an event (RFC 6202, section 2).
//!
//! - Initiated by `GET /long-poll?after=N&wait=25s`, again as soon as the last was answered.
//! - Framed as lines, in a response whose length is known: 200 with all that followed `after`, 204 when `wait` is over.
//! - Resumed like polling: by the `cursor` header, which is the next request's `after`; 410 tells a gap.
//! - Costs a request and a response a batch of events. What is published between an answer and the next request waits for
//!   that request, so the busier the feed, the more events share one answer, and the more it is like polling.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use crate::answer::{self, Polled};
use crate::fan_out::WakeList;
use crate::feed::Feed;
use crate::query::Query;
use crate::socket::Socket;
use crate::subscription::Subscription;
use crate::transport::LARGEST_BATCH;

/// What may be asked for.
pub const PARAMETERS: &[&str] = &["after", "wait", "lane"];
/// How long a poll waits that does not say: less than the 30 s after which many proxies give up on an answer.
const USUAL_WAIT: Duration = Duration::from_secs(25);

/// Answers one long poll, when there is something to say.
///
/// # Errors
/// When the history does not reach back to the cursor, or that is of another feed.
pub async fn answer(feed: &Arc<Feed>, wake_list: Arc<WakeList>, socket: &Socket, query: Query) -> Polled {
    let after = feed.place(query.after)?;
    let mut subscription = Subscription::new(feed.clone(), wake_list, Some(after.into()));
    // Who has ended its side, or left, has nothing to wait for.
    let news_or_end = poll_fn(|context| match subscription.poll_news(context) {
        Poll::Ready(()) => Poll::Ready(()),
        Poll::Pending => socket.poll_end(context),
    });
    // When the time is over, the batch below is empty: a 204.
    let _ = tokio::time::timeout(query.wait.unwrap_or(USUAL_WAIT), news_or_end).await;
    let events = feed.since(after, LARGEST_BATCH)?;
    Ok(answer::batch(&events, after))
}
