//! A sweep: one factor takes several values, and everything else stays the same.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::result::Comparison;

/// The setting that a sweep changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Factor {
    /// Subscribers connected at once.
    Subscribers,
    /// Events a second.
    Rate,
    /// Payload of an event, in bytes.
    Payload,
    /// Time between two polls, in ms.
    PollInterval,
    /// One-way delay of the modelled network, in ms.
    Delay,
}

impl Factor {
    /// All factors.
    pub const ALL: [Self; 5] = [Self::Subscribers, Self::Rate, Self::Payload, Self::PollInterval, Self::Delay];

    /// The name on the command line and in links.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Subscribers => "subscribers",
            Self::Rate => "rate",
            Self::Payload => "payload",
            Self::PollInterval => "poll-interval",
            Self::Delay => "delay",
        }
    }
}

/// What a sweep measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SweepFacts {
    /// The setting that changed.
    pub factor: Factor,
    /// The points, from the smallest value to the largest.
    pub points: Vec<SweepPoint>,
}

/// One value of the factor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SweepPoint {
    /// The value, in the factor's unit.
    pub value: f64,
    /// The transports at this value.
    pub comparison: Comparison,
    /// Mean time of a request and its response over the point's network, on an open connection, in ms.
    pub exchange_ms: f64,
}

impl SweepFacts {
    /// The rounds of each point.
    pub fn comparisons(&self) -> Vec<&Comparison> {
        self.points.iter().map(|point| &point.comparison).collect()
    }
}
