//! Long polling: the next request is sent as soon as the last response has come.

use std::convert::Infallible;

use super::poll::poll;
use crate::fault::Fault;
use crate::subscriber::Subscriber;

/// Sends one request after another.
pub async fn subscribe(subscriber: &mut Subscriber) -> Result<Infallible, Fault> {
    // The subscriber will receive all events that are published from now on, since each request names its cursor.
    subscriber.connected();
    loop {
        poll(subscriber).await?;
    }
}
