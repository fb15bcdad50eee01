//! Many subscribers on one HTTP/2 connection, and the limit of browsers on connections of HTTP/1.1.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::memory::MemoryFacts;
use crate::result::Comparison;

/// What the experiment `multiplexing` measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MultiplexingFacts {
    /// The same feed with several numbers of streams per connection, from the smallest. Transports of HTTP/1.1 are in the first only.
    pub shared: Vec<Comparison>,
    /// Waiting subscribers with the same numbers of streams per connection.
    pub memory: Vec<MemoryFacts>,
    /// What a page has reported; `None` where no browser was found, or the page reported nothing in time.
    pub tabs: Option<TabsReport>,
}

/// Event sources that a page opened at once to a server without HTTP/2 and to one with it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TabsReport {
    /// The browser's `User-Agent`.
    pub user_agent: String,
    /// How many event sources the page opened to each server.
    pub sources: u32,
    /// Over HTTP/1.1.
    pub http1: OpenedSources,
    /// Over HTTP/2.
    pub http2: OpenedSources,
}

/// The state some time after the event sources were opened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OpenedSources {
    /// How many were open; the others were still waiting for a connection.
    pub open: u32,
    /// How long a further request of the page took, in ms; `None` if it had no response when the page reported.
    pub request_ms: Option<f64>,
    /// The protocol of the first event source, by the browser's name for it.
    pub protocol: String,
}
