//! The server's side of each transport, one file each: how it is initiated, framed and resumed, and what it costs.

pub mod long_polling;
pub mod ndjson;
pub mod polling;
pub mod sse;
pub mod tcp;
pub mod websocket;

/// The most bytes of events that one answer to a poll holds, give or take an event; the rest comes with the next poll.
pub const LARGEST_BATCH: usize = 1 << 20;
