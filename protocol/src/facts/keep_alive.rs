//! Requests over connections that are kept or closed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Ledger;

/// What the experiment `keep-alive` measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct KeepAliveFacts {
    /// Requests in each series, one after another.
    pub requests: u32,
    /// A series for each delay and each kind of request.
    pub series: Vec<RequestSeries>,
}

/// How a request leaves the connection, by its version and its `Connection` field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RequestKind {
    /// HTTP/1.1 without a `Connection` field.
    Http11,
    /// HTTP/1.1 with `Connection: close`.
    Http11Close,
    /// HTTP/1.0 without a `Connection` field.
    Http10,
}

impl RequestKind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Http11, Self::Http11Close, Self::Http10];
}

/// Requests of one kind over one network, from a client that closes no connection by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RequestSeries {
    /// The kind of request.
    pub kind: RequestKind,
    /// One-way delay of the modelled network, in ms.
    pub delay_ms: u64,
    /// From the decision to send a request until its response had arrived, in ms: the mean.
    pub mean_response_ms: f64,
    /// Connections that the server accepted.
    pub accepts: u64,
    /// Wire bytes of all connections.
    pub ledger: Ledger,
}
