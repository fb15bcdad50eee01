//! The client's side of each transport, under the same file names as the server's.
//!
//! Each file has one `subscribe`, which goes on for as long as its connection does. It hands every event to the
//! [`Subscriber`] and explains every byte it takes.

mod long_polling;
mod ndjson;
mod polling;
mod sse;
mod tcp;
pub mod websocket;

use std::convert::Infallible;

use protocol::Transport;

use crate::fault::Fault;
use crate::subscriber::Subscriber;

/// Subscribes on the subscriber's connection, until that ends.
///
/// # Errors
/// Always: why the connection ended.
pub async fn subscribe(transport: Transport, subscriber: &mut Subscriber) -> Result<Infallible, Fault> {
    match transport {
        Transport::Polling => polling::subscribe(subscriber).await,
        Transport::LongPolling => long_polling::subscribe(subscriber).await,
        Transport::Ndjson => ndjson::subscribe(subscriber).await,
        Transport::Sse => sse::subscribe(subscriber).await,
        Transport::WebSocket => websocket::subscribe(subscriber).await,
        Transport::Tcp => tcp::subscribe(subscriber).await,
    }
}

/// Leaves: in the transport's own way where it has one, and then by ending the connection.
pub async fn leave(transport: Transport, subscriber: &mut Subscriber) {
    if transport == Transport::WebSocket {
        websocket::leave(subscriber).await;
    }
    subscriber.wire.leave().await;
}
