//! Answers of a language model that come token by token.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::fallback::Proxy;
use crate::{Ledger, Transport};

/// What the experiment `token-stream` measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TokenStreamFacts {
    /// Tokens of an answer.
    pub tokens: u32,
    /// Tokens per second.
    pub rate: f64,
    /// One-way delay of the modelled network, in ms.
    pub delay_ms: u64,
    /// Time from one poll's start to the next's, in ms.
    pub poll_interval_ms: u64,
    /// Answers that were received as a whole, one after another for each way.
    pub answers: Vec<Answer>,
    /// Answers whose client disconnected in the middle.
    pub disconnects: Vec<Disconnect>,
    /// Answers through a proxy that buffers responses.
    pub buffered: Vec<Answer>,
    /// That proxy.
    pub proxy: Proxy,
}

/// How a client asks, and how the answer comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "way", content = "transport")]
pub enum Way {
    /// A POST, whose response is the whole text.
    Whole,
    /// The tokens as events of this transport: over SSE and HTTP streaming in the response to the POST, over WebSocket on the connection on
    /// which the question was sent, over polling and long polling in responses to later requests.
    Events(Transport),
    /// A call of a tool (Model Context Protocol), whose response tells the progress.
    Mcp,
}

/// An answer that was received.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Answer {
    /// How it was asked for.
    pub way: Way,
    /// Tokens that were received, in order and each once.
    pub received: u64,
    /// From the decision to connect until each token was there, in ms.
    pub received_ms: Vec<f64>,
    /// From the decision to connect until each token was due at the server, in ms.
    pub due_ms: Vec<f64>,
    /// The bytes of the whole exchange, connecting included.
    pub ledger: Ledger,
}

/// An answer whose client disconnected in the middle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Disconnect {
    /// How it was asked for.
    pub way: Way,
    /// Whether the server was asked to go on in the background.
    pub background: bool,
    /// Tokens that had been received by then.
    pub before: u64,
    /// Tokens that the server has generated in the end.
    pub generated: u64,
    /// Tokens that the client has received in the end, after it has resumed at its cursor where that is possible.
    pub received: u64,
    /// Tokens that it received twice, or never although later ones came.
    pub faults: u64,
}
