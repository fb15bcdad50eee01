//! The client's side of each exchange, under the same file names as on the server.
//!
//! Each file has a `subscribe`, which runs until its connection ends. It passes every event to the [`Subscriber`] and attributes every byte
//! to a layer.

pub mod frames;
mod long_polling;
pub(crate) mod poll;
mod polling;
mod socket_io;
mod sockjs;
mod stomp;
pub(crate) mod stream;
mod target_poll;
mod tcp;
pub mod websocket;
mod webtransport;

use std::convert::Infallible;

use protocol::transport::{Carrier, Exchange};

use crate::fault::Fault;
use crate::subscriber::Subscriber;

/// Subscribes on the subscriber's connection, until that ends.
///
/// # Errors
/// Always: why the connection ended.
pub async fn subscribe(subscriber: &mut Subscriber) -> Result<Infallible, Fault> {
    match (subscriber.transport.exchange(), subscriber.transport.carrier()) {
        (Exchange::Poll, _) => polling::subscribe(subscriber).await,
        (Exchange::LongPoll, _) => long_polling::subscribe(subscriber).await,
        (_, carrier) if carrier.is_quic() => webtransport::subscribe(subscriber).await,
        (Exchange::Stream, Carrier::Tcp) => tcp::subscribe(subscriber).await,
        (Exchange::Stream, _) => stream::subscribe(subscriber).await,
        (Exchange::Socket, _) => websocket::subscribe(subscriber).await,
    }
}

/// Ends the subscription: by the transport's own closing handshake if it has one, and then by closing the connection.
pub async fn close(subscriber: &mut Subscriber) {
    if subscriber.transport.exchange() == Exchange::Socket && subscriber.transport.is_over_tcp() {
        websocket::close(subscriber).await;
    }
    subscriber.wire.close().await;
}
