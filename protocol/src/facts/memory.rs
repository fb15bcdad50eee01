//! Server memory at several numbers of subscribers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::result::Comparison;

/// What the experiment `memory` measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MemoryFacts {
    /// A round of each transport with each number of subscribers, on a server of its own.
    pub comparisons: Vec<Comparison>,
}
