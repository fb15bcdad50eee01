//! All transports under one load, and two of them under a load that keeps the server busy.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::result::Comparison;

/// What the experiment `compared` measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ComparedFacts {
    /// All transports with few subscribers.
    pub few: Comparison,
    /// Long polling and HTTP streaming with many subscribers.
    pub many: Comparison,
}
