//! Long polling: the next request is sent as soon as the previous response has arrived.

use std::convert::Infallible;

use super::poll::poll;
use crate::fault::Fault;
use crate::subscriber::Subscriber;

/// Sends one request after another, until the connection ends.
pub async fn subscribe(subscriber: &mut Subscriber) -> Result<Infallible, Fault> {
    // Each request contains the subscriber's cursor. So the subscriber will receive all events that are published from now on.
    subscriber.connected();
    loop {
        poll(subscriber).await?;
    }
}
