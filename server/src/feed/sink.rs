//! Where a server publishes: into its own feed, or to the broker that numbers the events of several servers.

use std::sync::Arc;

use super::Feed;
use super::broker::{Queue, Unavailable};

/// Where a server publishes. Cloning it is shallow.
#[derive(Clone)]
pub enum EventSink {
    /// The server's own feed, which numbers its events itself.
    Feed(Arc<Feed>),
    /// A broker. An event comes back from there with its number, and then enters the feed.
    Broker(Queue),
}

impl EventSink {
    /// Publishes an event that was due at `at` (ns, monotonic clock), and returns its sequence number. With a broker, this takes until the broker
    /// has stored it.
    ///
    /// # Errors
    /// When the broker does not respond within some seconds.
    pub async fn publish(&self, at: u64, data: &str) -> Result<u64, Unavailable> {
        match self {
            Self::Feed(feed) => Ok(feed.publish(at, data)),
            Self::Broker(queue) => queue.publish(at, data).await,
        }
    }

    /// Publishes an event of the schedule, from a thread. If a broker does not respond, the event waits and keeps its time; with too many of
    /// them, the thread waits, too.
    pub fn publish_scheduled(&self, at: u64, data: &str) {
        match self {
            Self::Feed(feed) => _ = feed.publish(at, data),
            Self::Broker(queue) => queue.publish_scheduled(at, data),
        }
    }
}
