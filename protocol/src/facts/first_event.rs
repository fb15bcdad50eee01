//! The time from nothing to the first event.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::layers::FirstEvent;

/// What the experiment `first-event` measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FirstEventFacts {
    /// Subscriptions that were opened one after another.
    pub openings: Vec<Opening>,
}

/// Subscriptions with or without TLS.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Opening {
    /// Whether the server uses TLS.
    pub tls: bool,
    /// The times.
    pub first: FirstEvent,
}
