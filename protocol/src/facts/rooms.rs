//! Messages to some of the clients: rooms on the server, or a filter at each client.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the experiment `rooms` measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RoomsFacts {
    /// Clients of Socket.IO, all connected at the same time.
    pub clients: u32,
    /// Messages, one after another, to each number of addressees.
    pub messages: u32,
    /// Bytes of a message's text.
    pub message_bytes: u64,
    /// The costs for each number of addressees.
    pub addressed: Vec<Addressed>,
}

/// Messages to a number of the clients.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Addressed {
    /// How many clients each message was for.
    pub addressees: u32,
    /// Sent to a room that they are in.
    pub by_room: Sent,
    /// Sent to all clients, each of which discards what is not for it.
    pub by_filter: Sent,
}

/// Messages that were sent in one of the two ways.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Sent {
    /// Wire bytes that all clients received, for all messages.
    pub received_bytes: u64,
    /// Messages that all clients received, for all messages.
    pub received_messages: u64,
    /// The server's CPU time for all messages, in ms.
    pub server_cpu_ms: f64,
    /// From sending a message until its last addressee had received it, in ms, for each message.
    pub ms: Vec<f64>,
}
