//! What crosses the wire for three events, over each transport.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Transport;

/// What the experiment `ladder` measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LadderFacts {
    /// One-way delay of the modelled network, in ms.
    pub delay_ms: u64,
    /// Time between two polls, in ms.
    pub poll_interval_ms: u64,
    /// How long the wire was traced, from when the subscriber began to connect, in ms.
    pub length_ms: u64,
    /// A trace for each transport.
    pub traces: Vec<WireTrace>,
}

/// The wire trace of one subscriber. Times count from when it began to connect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WireTrace {
    /// The transport.
    pub transport: Transport,
    /// What crossed the wire, in the order in which it was sent.
    pub chunks: Vec<Chunk>,
    /// When each event entered the feed, in ms.
    pub published_ms: Vec<f64>,
    /// When the subscriber had decoded each event, in ms.
    pub delivered_ms: Vec<f64>,
}

/// Bytes that went one way at once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Chunk {
    /// Whether they went from the client to the server.
    pub up: bool,
    /// When they were sent, in ms.
    pub left_ms: f64,
    /// When they arrived, in ms.
    pub arrived_ms: f64,
    /// Their number; 0 for the opening of the TCP connection.
    pub bytes: u64,
    /// The first line, where they begin with a request line, a status line or the `SUB` line of raw TCP.
    pub first_line: Option<String>,
    /// The HTTP/2 frames that begin in them, by the names of RFC 9113, with "ACK" after those that acknowledge; and "preface" for the client's
    /// preface.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub frames: Vec<String>,
    /// Events in them.
    pub events: u64,
}
