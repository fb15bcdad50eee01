//! WebSocket with and without compression, over the kind and the size of the payload.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::memory::MemoryFacts;
use crate::result::Comparison;

/// What the experiment `compression` measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CompressionFacts {
    /// The rounds for each kind and size of payload.
    pub rounds: Vec<Comparison>,
    /// Subscribers of each coding to which events are being delivered, at several numbers.
    pub memory: MemoryFacts,
}
