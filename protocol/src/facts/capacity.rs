//! A search for the highest load that a server of one thread carries within a latency bound.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Transport;
use crate::result::Comparison;

/// What the experiment `capacity` measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CapacityFacts {
    /// The bound that 99 % of the deliveries had to keep within, in ms.
    pub objective_ms: f64,
    /// The factor by which the rate grew until a round missed the objective.
    pub growth: f64,
    /// How often the gap between a rate within the objective and one beyond it was halved, on a logarithmic scale.
    pub halvings: u32,
    /// A search for each transport.
    pub searches: Vec<Search>,
}

/// The search for the capacity of one transport.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Search {
    /// The transport.
    pub transport: Transport,
    /// The steps, in the order in which they were measured.
    pub steps: Vec<Step>,
}

/// One rate that was tried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Step {
    /// Whether this step repeated the highest rate that the search had found, over several rounds.
    pub is_repetition: bool,
    /// The rounds, each with its own scenario, since their seeds differ.
    pub comparisons: Vec<Comparison>,
}

impl CapacityFacts {
    /// The rounds of all steps.
    pub fn comparisons(&self) -> Vec<&Comparison> {
        self.searches.iter().flat_map(|search| &search.steps).flat_map(|step| &step.comparisons).collect()
    }
}
