//! Raw TCP: one line to subscribe, then one line per event.

use std::convert::Infallible;

use protocol::Layer;

use crate::fault::Fault;
use crate::subscriber::Subscriber;

/// Subscribes, and reads lines until the connection ends.
pub async fn subscribe(subscriber: &mut Subscriber) -> Result<Infallible, Fault> {
    let request = format!("SUB {}\n", subscriber.after());
    subscriber.wire.send(request.as_bytes(), Layer::Handshake).await?;
    subscriber.connected();
    let envelope = subscriber.transport.envelope();
    subscriber.receive(|subscriber, bytes, known| subscriber.parse_message(envelope, bytes, known, usize::MAX)).await
}
