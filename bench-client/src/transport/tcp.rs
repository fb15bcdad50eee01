//! Raw TCP: one line to subscribe, then a line an event.

use std::convert::Infallible;

use protocol::Layer;

use crate::fault::Fault;
use crate::subscriber::Subscriber;

/// Reads lines for as long as they come.
pub async fn subscribe(subscriber: &mut Subscriber) -> Result<Infallible, Fault> {
    let request = format!("SUB {}\n", subscriber.place());
    subscriber.wire.send(request.as_bytes(), Layer::Handshake).await?;
    subscriber.connected();
    subscriber.hear(|subscriber, bytes, known| subscriber.line(bytes, known, usize::MAX)).await
}
