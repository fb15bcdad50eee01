//! How many requests and connections reach a server at once, after an event and after a restart.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::spent::Spent;
use crate::Transport;

/// What the experiment `herd` measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HerdFacts {
    /// The groups of subscribers, from the smallest to the largest.
    pub groups: Vec<HerdGroup>,
    /// WebSocket subscribers of the server that was restarted.
    pub returning: u32,
    /// Connections accepted after a restart, where each subscriber reconnects after the same time.
    pub restart: Vec<Accepted>,
    /// The same, where each subscriber adds a random time to it.
    pub restart_with_jitter: Vec<Accepted>,
    /// The longest time that was added, in ms.
    pub jitter_ms: u64,
}

/// Subscribers of one transport that received one event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HerdGroup {
    /// The transport.
    pub transport: Transport,
    /// Subscribers connected.
    pub subscribers: u32,
    /// What the server used and did in the 100 ms after the event.
    pub spent: Spent,
    /// Requests in the second after the event, those of the first 100 ms included.
    pub later_requests: u64,
}

/// A reading of the server's counter of accepted connections.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Accepted {
    /// Time since the restarted server could be reached, in ms.
    pub ms: f64,
    /// Connections of subscribers accepted by then.
    pub connections: u64,
}
