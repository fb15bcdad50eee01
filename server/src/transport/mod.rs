//! The server's side of each way to deliver events: polling, long polling, streaming over HTTP, raw TCP, WebSocket, and the protocols on top of
//! WebSocket. Each file describes how a subscription starts and resumes, and what it costs. The envelopes, which mark where an event ends, are in
//! `protocol/src/envelope/`.

mod compressed;
pub(crate) mod long_polling;
pub(crate) mod polling;
mod session;
pub(crate) mod socket_io;
pub(crate) mod sockjs;
pub(crate) mod stomp;
pub(crate) mod stream;
pub(crate) mod tcp;
mod upstream;
pub(crate) mod websocket;
pub(crate) mod webtransport;

/// The size in bytes at which no further event is added to a response. The remaining events are in the response to the next request.
pub(crate) const MAX_BATCH_BYTES: usize = 1 << 20;
