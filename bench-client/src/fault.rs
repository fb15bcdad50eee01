//! Errors that end a connection of a subscriber.

use std::io;

use protocol::deflate::InflateFault;
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
    /// The peer sent HTTP headers, a body, a message or a frame that this client does not support.
    #[error("the peer sent something unexpected: {0}")]
    NotHttp(String),
    /// The WebSocket handshake failed: `Sec-WebSocket-Accept` is not the value that is derived from the client's key.
    #[error("the Sec-WebSocket-Accept is not the value derived from our key")]
    WrongAccept,
    /// The WebSocket handshake failed: the response's `Upgrade` header is missing, or names another protocol.
    #[error("the Upgrade header of the response is not websocket")]
    OtherProtocol,
    /// The WebSocket handshake failed: the server has not chosen the sub-protocol that was offered.
    #[error("the server has not chosen the sub-protocol {0}")]
    OtherSubprotocol(&'static str),
    /// The WebSocket handshake failed: the server has not agreed to the compression that was asked for.
    #[error("the server has not agreed to the compression of this transport")]
    OtherExtension,
    /// A message cannot be decompressed.
    #[error("{0}")]
    NotDeflated(#[from] InflateFault),
    /// The peer responded with an unexpected status.
    #[error("the peer responded with status {0}")]
    Status(u16),
    /// The peer ended its response, or the connection, without an error.
    #[error("ended by the server: {0}")]
    Ended(String),
}

impl From<io::Error> for Fault {
    // `#[from]` would also make the error the source. A printed chain of errors would then contain it twice.
    fn from(error: io::Error) -> Self {
        Self::Lost(error)
    }
}
