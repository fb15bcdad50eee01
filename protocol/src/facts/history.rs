//! The same events over every generation of transports.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::result::Comparison;

/// What the experiment `history` measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HistoryFacts {
    /// A few rounds of every transport over HTTP, each with one subscriber and the same events.
    pub rounds: Comparison,
}
