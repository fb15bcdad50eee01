//! What holds for every phone: the transports it can use, how long it waits, and why its requests are refused.

use std::time::Duration;

use protocol::Transport;

/// How long a phone's request for the settings waits for a change of them.
pub const MAX_WAIT: Duration = Duration::from_secs(10);

/// The transports that a phone can use: those that a browser has without a library.
pub fn transports() -> Vec<Transport> {
    Transport::all_where(|transport| transport.is_today() && transport.is_lane())
}

/// Why a request is refused.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is not valid.
    Invalid(String),
    /// Its token is that of no phone.
    Unknown,
    /// It comes too late, or a second time.
    Conflict(&'static str),
    /// There are too many phones or requests.
    TooMany(&'static str),
}
