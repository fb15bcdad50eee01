//! What a server process used and did between two readings of its counters.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a server process used and did between two readings of its counters.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Spent {
    /// The time between them, in s.
    pub seconds: f64,
    /// CPU time, user and kernel, in ms.
    pub cpu_ms: f64,
    /// Requests that it received, without those that read the counters.
    pub requests: u64,
    /// Connections that it accepted.
    pub accepts: u64,
}
