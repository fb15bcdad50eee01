//! Why a subscription ended that should not have ended.

use std::io;

use protocol::framing::Malformed;

/// What went wrong on a connection.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The connection failed, or the peer ended it.
    #[error("the connection was lost: {0}")]
    Lost(io::Error),
    /// The peer broke its framing's rules.
    #[error("{0}")]
    Malformed(#[from] Malformed),
    /// What came in the place of an event is none.
    #[error("not an event: {0}")]
    NotAnEvent(#[from] serde_json::Error),
    /// The peer's HTTP cannot be understood.
    #[error("not HTTP as we know it: {0}")]
    NotHttp(String),
    /// The peer answered with another status than was hoped for.
    #[error("answered with status {0}")]
    Status(u16),
    /// The peer ended the stream in good order.
    #[error("the server ended the stream: {0}")]
    Ended(String),
}

impl From<io::Error> for Fault {
    // Not as its source: the message holds it already.
    fn from(error: io::Error) -> Self {
        Self::Lost(error)
    }
}
