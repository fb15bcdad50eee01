//! Two servers, each with a feed of its own, and with one feed that they share.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the experiment `shared-feed` measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SharedFeedFacts {
    /// Events that are published through each server in each of the three parts of a trial: one after another, through both servers at
    /// once, and while a subscriber goes from one server to the other.
    pub events: u64,
    /// What the broker's program prints as its version; `None` where no broker was found or it did not start, so that nothing was shared.
    pub broker: Option<String>,
    /// The trials: by turns with a feed for each server, and with a shared one.
    pub trials: Vec<FeedTrial>,
}

/// Two new servers, A and B, with a subscriber each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FeedTrial {
    /// Whether both servers had one feed.
    pub shared: bool,
    /// Of each event of the first part that was published through A and came to the subscriber of A: the time from the request to publish
    /// it until then, in ms.
    pub at_a_ms: Vec<f64>,
    /// The same for the subscriber of B.
    pub at_b_ms: Vec<f64>,
    /// Events that were published in the first two parts.
    pub published: Origins,
    /// How many of them came to the subscriber of A, each counted once.
    pub received_a: Origins,
    /// How many of them came to the subscriber of B, each counted once.
    pub received_b: Origins,
    /// Positions, counted from the beginning, at which one of the two subscribers received another event than the other, or none.
    pub differing: u64,
    /// Events of all parts that came to one of the two subscribers again, or after a later one that was published through the same server.
    pub disorder: u64,
    /// Whether an event was waited for in vain. Nothing was waited for any more afterwards, so what is missing may only have been late.
    pub timed_out: bool,
    /// A subscriber of A that was disconnected, and resumed at B with its cursor.
    pub resumed: Vec<Resumed>,
}

/// Numbers of events, by the server that they were published through.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Origins {
    /// Through A.
    pub a: u64,
    /// Through B.
    pub b: u64,
}

/// A subscription at B that was begun with a cursor of A.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Resumed {
    /// Whether the cursor had the epoch of A's feed, by which a server recognizes a cursor of another feed.
    pub with_epoch: bool,
    /// Whether the server reported a gap.
    pub gap: bool,
    /// Events that were published to A's feed after the subscriber had left.
    pub missed: u64,
    /// How many of them came, in the order in which a subscriber that stayed at A received them.
    pub received: u64,
    /// Events that came although the subscriber had them already.
    pub repeated: u64,
    /// Events that came, but not to the subscriber that stayed at A.
    pub other: u64,
}
