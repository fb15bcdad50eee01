//! A client behind faulty proxies: which transports work, and what a fallback costs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Transport;

/// What the experiment `fallback` measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FallbackFacts {
    /// How long a client waits for the first event over a transport before it tries the next, in ms.
    pub timeout_ms: u64,
    /// How long the feed was silent in the middle of each subscription, in ms.
    pub silence_ms: u64,
    /// Every transport through every proxy.
    pub attempts: Vec<Attempt>,
}

/// A proxy between the client and the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Proxy {
    /// None: the client is connected to the server itself.
    None,
    /// It removes `Upgrade` and `Connection` from requests, as HTTP requires of a proxy that does not know WebSocket.
    DropsUpgrade,
    /// It forwards a response only when it is complete.
    BuffersResponses,
    /// It closes a connection on which nothing was sent for a while.
    CutsSilence,
    /// It speaks HTTP/1.0 to the server.
    Http10,
    /// It terminates TLS, and removes `Upgrade` and `Connection` from the requests within it.
    TlsWithoutUpgrade,
}

impl Proxy {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::None,
        Self::DropsUpgrade,
        Self::BuffersResponses,
        Self::CutsSilence,
        Self::Http10,
        Self::TlsWithoutUpgrade,
    ];
}

/// A subscription through a proxy: some events, a silence, and some more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Attempt {
    /// The proxy.
    pub proxy: Proxy,
    /// The transport.
    pub transport: Transport,
    /// From the decision to connect until the first event was decoded, in ms; `None` if none came within the timeout.
    pub first_event_ms: Option<f64>,
    /// From the decision to connect until the first connection had failed, in ms; `None` if it did not fail before an event came, or the
    /// timeout.
    pub failed_ms: Option<f64>,
    /// Why the last connection failed, if none had an event.
    pub error: Option<String>,
    /// Events that were published from the first one received until the end.
    pub published: u64,
    /// How many of them were received.
    pub received: u64,
    /// Connections that were lost and resumed.
    pub reconnects: u64,
}
