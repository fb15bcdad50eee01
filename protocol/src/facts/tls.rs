//! Deliveries and opened connections with and without TLS.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Ledger;
use crate::result::Comparison;

/// What the experiment `tls` measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TlsFacts {
    /// Deliveries without TLS.
    pub plain: Comparison,
    /// Deliveries within TLS.
    pub within_tls: Comparison,
    /// WebSockets opened over each delay, with and without TLS.
    pub opened: Vec<Opened>,
    /// WebSockets that connected at once, for the CPU time of opening one.
    pub connected_at_once: u32,
    /// Server CPU time of opening one of them without TLS, in us: the mean.
    pub plain_opening_cpu_us: f64,
    /// Server CPU time of opening one of them within TLS, in us: the mean.
    pub tls_opening_cpu_us: f64,
}

/// WebSockets opened one after another over one delay.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Opened {
    /// Whether they were within TLS.
    pub tls: bool,
    /// One-way delay of the modelled network, in ms.
    pub delay_ms: u64,
    /// Time until each was open, in ms.
    pub ms: Vec<f64>,
    /// Wire bytes of all of them.
    pub ledger: Ledger,
}
