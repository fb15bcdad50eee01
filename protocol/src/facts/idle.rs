//! Server load while no event is published.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::spent::Spent;
use crate::Transport;

/// What the experiment `idle` measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct IdleFacts {
    /// Time between two polls, in ms.
    pub poll_interval_ms: u64,
    /// The nominal length of a window, in ms.
    pub window_ms: u64,
    /// The groups of subscribers, from the smallest to the largest.
    pub groups: Vec<IdleGroup>,
}

/// Some idle subscribers of one transport, on a server of their own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct IdleGroup {
    /// The transport.
    pub transport: Transport,
    /// Subscribers connected.
    pub subscribers: u32,
    /// What the server used and did, in windows that followed each other.
    pub windows: Vec<Spent>,
}
