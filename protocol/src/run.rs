//! One run of the load client, as stored in `run.json`: the measurements, the environment and the command.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::experiment::Experiment;
use crate::facts::Facts;
use crate::result::{Comparison, Environment};

/// The version of the schema. It grows with every change that an older program would misread.
pub const SCHEMA_VERSION: u32 = 2;

/// One run of the load client: `run.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Run {
    /// [`SCHEMA_VERSION`] of the program that wrote it.
    pub schema_version: u32,
    /// The command line of the run.
    pub command: String,
    /// The environment in which it ran.
    pub environment: Environment,
    /// Whether the run was ended early; `parts` then has what was finished.
    #[serde(default)]
    pub interrupted: bool,
    /// The measurements, in the order of the report.
    pub parts: Vec<Part>,
}

impl Run {
    /// The JSON schema of `run.json`, with the documentation of each field, as a JSON text.
    pub fn schema() -> String {
        let schema = schemars::schema_for!(Run);
        serde_json::to_string_pretty(&schema).expect("a schema is plain JSON") + "\n"
    }

    /// The comparisons of the run, one for each load.
    pub fn comparisons(&self) -> impl Iterator<Item = &Comparison> {
        self.parts.iter().filter_map(|part| match part {
            Part::Comparison(comparison) => Some(comparison),
            Part::Measured(_) | Part::Claims | Part::Experiment(_) => None,
        })
    }

    /// The first comparison of the run, if it has one.
    pub fn comparison(&self) -> Option<&Comparison> {
        self.comparisons().next()
    }
}

/// A part of a run: a chapter of its report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Part {
    /// Transports under the same load.
    Comparison(Comparison),
    /// The facts that an experiment measured.
    Measured(Facts),
    /// The table of claims; it is derived from the experiments of the run.
    Claims,
    /// An experiment with everything derived from it, as earlier versions stored it.
    Experiment(Experiment),
}
