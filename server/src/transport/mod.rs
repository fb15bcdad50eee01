//! The server's side of each exchange, one file each, with a description of how a subscription starts and resumes, and of its costs. The
//! envelopes, which mark where an event ends, are in `protocol/src/envelope/`.

pub(crate) mod long_polling;
pub(crate) mod polling;
pub(crate) mod stream;
pub(crate) mod tcp;
pub(crate) mod websocket;

/// The size in bytes at which no further event is added to the response to a poll; the remaining events follow with the next poll.
pub(crate) const MAX_BATCH_BYTES: usize = 1 << 20;
