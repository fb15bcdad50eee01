//! The WebSocket interface of a browser: the events that it fires, and what it does with data that the peer does not read.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the experiment `browser` measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BrowserFacts {
    /// What a page has reported; `None` where no browser was found, or the page reported nothing in time.
    pub page: Option<PageReport>,
}

/// What a page has reported.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PageReport {
    /// The browser's `User-Agent`.
    pub user_agent: String,
    /// The events of a WebSocket to the server: its name, and the code of a close. The page sends a message after the first one, and closes
    /// after that has come back.
    pub events: Vec<SocketEvent>,
    /// The events of a WebSocket that the server refuses.
    pub refused_events: Vec<SocketEvent>,
    /// Bytes that the page sent to a peer that reads nothing.
    pub sent_bytes: u64,
    /// How many of them `bufferedAmount` reported afterwards.
    pub buffered_bytes: u64,
    /// How long the calls of `send()` took together, in ms.
    pub sending_ms: f64,
    /// Whether one of them threw an error.
    pub threw: bool,
}

/// An event of a WebSocket in a page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SocketEvent {
    /// `open`, `message`, `error` or `close`.
    pub name: String,
    /// The code of a close.
    pub code: Option<u16>,
}
