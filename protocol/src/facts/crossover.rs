//! Server costs over event rate, acceptable staleness and network delay.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::result::Comparison;

/// What the experiment `crossover` measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CrossoverFacts {
    /// The ages that an event may have when it arrives, in ms.
    pub staleness_ms: Vec<u64>,
    /// A round of each transport for each rate and delay, and of polling for each poll interval too.
    pub comparisons: Vec<Comparison>,
}
