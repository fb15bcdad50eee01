//! The headers of one poll after another on the same connection.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Transport;
use crate::result::Headers;

/// What the experiment `header-compression` measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HeaderCompressionFacts {
    /// A series of polls for each transport and kind of headers.
    pub series: Vec<PollSeries>,
}

/// Polls one after another, each with one event in its response.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PollSeries {
    /// The transport.
    pub transport: Transport,
    /// The headers of its requests.
    pub headers: Headers,
    /// Bytes of the request line and the headers of each poll, as sent.
    pub request_bytes: Vec<u64>,
    /// Bytes of the status line and the headers of each response.
    pub response_bytes: Vec<u64>,
    /// Bytes of opening the connection.
    pub handshake_bytes: u64,
}
