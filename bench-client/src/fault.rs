//! Why a subscription ended unexpectedly.

use std::io;

use protocol::envelope::Malformed;

/// What went wrong on a connection.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The connection failed, or the peer ended it.
    #[error("the connection was lost: {0}")]
    Lost(io::Error),
    /// The peer sent bytes that violate their format.
    #[error("{0}")]
    Malformed(#[from] Malformed),
    /// A message is not an event.
    #[error("not an event: {0}")]
    NotAnEvent(#[from] serde_json::Error),
    /// The peer's HTTP cannot be understood.
    #[error("not HTTP as expected: {0}")]
    NotHttp(String),
    /// The WebSocket handshake failed: `Sec-WebSocket-Accept` does not follow from the client's key.
    #[error("the Sec-WebSocket-Accept does not follow from our key")]
    WrongAccept,
    /// The WebSocket handshake failed: the connection was upgraded to another protocol.
    #[error("upgraded to something other than websocket")]
    OtherProtocol,
    /// The peer responded with an unexpected status.
    #[error("responded with status {0}")]
    Status(u16),
    /// The peer ended the stream regularly.
    #[error("the server ended the stream: {0}")]
    Ended(String),
}

impl From<io::Error> for Fault {
    // Not as the source, since the message contains it already.
    fn from(error: io::Error) -> Self {
        Self::Lost(error)
    }
}
