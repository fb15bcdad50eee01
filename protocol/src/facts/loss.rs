//! The effect of lost packets.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::result::Comparison;

/// One-way delay of the link, in ms.
pub const DELAY_MS: u64 = 20;

/// What the experiment `loss` measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LossFacts {
    /// The rounds, a comparison for each share of lost packets.
    pub comparisons: Vec<Comparison>,
}
