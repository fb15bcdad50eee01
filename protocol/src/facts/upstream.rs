//! Messages that a subscriber sends to all, by POST or in a WebSocket frame.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Transport;

/// What the experiment `upstream` measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UpstreamFacts {
    /// The length of a message, in bytes.
    pub message_bytes: u64,
    /// A sender for each delay and transport.
    pub senders: Vec<Sender>,
    /// A WebSocket that was used in both directions at once.
    pub duplex: Duplex,
}

/// A subscriber that sent messages one after another and received each as an event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Sender {
    /// The transport of its subscription.
    pub transport: Transport,
    /// One-way delay of the modelled network, in ms.
    pub delay_ms: u64,
    /// From sending a message until the sender had it as an event, in ms, message by message.
    pub round_trips_ms: Vec<f64>,
    /// Bytes to send all messages, responses included, the events themselves left out.
    pub wire_bytes: u64,
    /// Requests to send all messages.
    pub requests: u64,
}

/// Both directions at once on one connection, and a connection without a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Duplex {
    /// Events a second that the server published.
    pub rate: f64,
    /// Events that the subscriber received.
    pub down: u64,
    /// Messages that it sent.
    pub up: u64,
    /// Requests that the server counted.
    pub requests: u64,
    /// Connections that it accepted.
    pub connections: u64,
    /// How long it took, in s.
    pub seconds: f64,
    /// Mean time until the sender had a message as an event, in ms.
    pub round_trip_ms: f64,
    /// Bytes that the server sent over HTTP to a client that sent no request, while events were published.
    pub unasked_bytes: u64,
}
