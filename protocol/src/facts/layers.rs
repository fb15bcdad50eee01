//! Bare WebSocket and the protocols on top of it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::memory::MemoryFacts;
use crate::result::{Comparison, Headers};
use crate::{Ledger, Transport};

/// What the experiment `layers` measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LayersFacts {
    /// The same feed over each of them.
    pub rounds: Comparison,
    /// Waiting connections at several numbers of subscribers.
    pub memory: MemoryFacts,
    /// The time from nothing to the first event.
    pub first_events: Vec<FirstEvent>,
    /// Bytes of the test message that is sent and acknowledged, as text.
    pub message_bytes: u64,
    /// That message over each of them.
    pub sent: Vec<SentMessage>,
    /// Handshakes and requests, each with the server's response.
    pub trials: Vec<LibraryTrial>,
}

/// Subscriptions that were opened one after another, each until its first event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FirstEvent {
    /// The transport.
    pub transport: Transport,
    /// The headers of its requests.
    pub headers: Headers,
    /// One-way delay of the modelled network, in ms.
    pub delay_ms: u64,
    /// From the decision to connect until the first event was decoded, in ms, for each of them.
    pub ms: Vec<f64>,
    /// Wire bytes of all of them, from connecting to closing.
    pub ledger: Ledger,
}

/// A message from a client on an open connection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SentMessage {
    /// The transport.
    pub transport: Transport,
    /// Bytes of the frame that the client sent.
    pub up_bytes: u64,
    /// Bytes of the frame that acknowledged it; `None` where the protocol has no acknowledgement.
    pub acknowledgement_bytes: Option<u64>,
}

/// A handshake or a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Trial {
    /// A handshake that offers two sub-protocols, of which the server knows one.
    KnownSubprotocol,
    /// A handshake that offers a sub-protocol that the server does not know.
    UnknownSubprotocol,
    /// A handshake that offers an extension.
    Extension,
    /// The first request of Socket.IO's client, from a page of this server.
    OwnOrigin,
    /// The same from a page of another origin.
    ForeignOrigin,
    /// The same from a page of another origin that the server's options name.
    AllowedOrigin,
    /// A plain WebSocket handshake at the path of Socket.IO.
    PlainWebSocket,
}

impl Trial {
    /// All trials.
    pub const ALL: [Self; 7] = [
        Self::KnownSubprotocol,
        Self::UnknownSubprotocol,
        Self::Extension,
        Self::OwnOrigin,
        Self::ForeignOrigin,
        Self::AllowedOrigin,
        Self::PlainWebSocket,
    ];
}

/// A trial with the server's response.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LibraryTrial {
    /// The trial.
    pub trial: Trial,
    /// Status of the response.
    pub status: u16,
    /// `Sec-WebSocket-Protocol` of the response.
    pub subprotocol: Option<String>,
    /// `Sec-WebSocket-Extensions` of the response.
    pub extensions: Option<String>,
    /// `Access-Control-Allow-Origin` of the response.
    pub allowed_origin: Option<String>,
    /// The beginning of the body.
    pub body: String,
}
