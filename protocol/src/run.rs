//! One run of the load client, as it stands in `run.json`: a report's chapters, and where they come from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::experiment::Experiment;
use crate::result::{Comparison, Environment};

/// Grows with every change after which an older reader would misread a result.
pub const SCHEMA_VERSION: u32 = 2;

/// One run of the load client: `run.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Run {
    /// [`SCHEMA_VERSION`] of the program that wrote it.
    pub schema_version: u32,
    /// The command line that made it.
    pub command: String,
    /// Where it ran.
    pub environment: Environment,
    /// Whether it was ended before all was measured; what had been finished by then is here.
    #[serde(default)]
    pub interrupted: bool,
    /// What was found, in the order of the report.
    pub parts: Vec<Part>,
}

impl Run {
    /// The JSON schema of `run.json`, with the documentation of each field, as a JSON text.
    pub fn schema() -> String {
        let schema = schemars::schema_for!(Run);
        serde_json::to_string_pretty(&schema).expect("a schema is plain JSON") + "\n"
    }

    /// The comparisons that the run holds, one for each load.
    pub fn comparisons(&self) -> impl Iterator<Item = &Comparison> {
        self.parts.iter().filter_map(|part| match part {
            Part::Comparison(comparison) => Some(comparison),
            Part::Experiment(_) => None,
        })
    }

    /// The first of the comparisons that the run holds, if it holds one.
    pub fn comparison(&self) -> Option<&Comparison> {
        self.comparisons().next()
    }

    /// The experiments that the run holds.
    pub fn experiments(&self) -> impl Iterator<Item = &Experiment> {
        self.parts.iter().filter_map(|part| match part {
            Part::Comparison(_) => None,
            Part::Experiment(experiment) => Some(experiment),
        })
    }
}

/// A chapter of a report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Part {
    /// Transports under the same load.
    Comparison(Comparison),
    /// An experiment, with its figures worked out.
    Experiment(Experiment),
}
