//! How each transport marks where an event ends: pure functions from bytes to bytes, and back.
//!
//! The way out (`frame`) makes the bytes that are equal for every subscriber. The way back (`split`, `parse`) takes a
//! buffer that may end anywhere: `Ok(None)` asks for more bytes, an error says that no further byte can mend it.

pub mod chunked;
pub mod line;
pub mod sse;
pub mod websocket;

/// Bytes that break the rules of their framing; the connection they came over cannot be understood any more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{framing}: {fault}")]
pub struct Malformed {
    framing: &'static str,
    fault: &'static str,
}
