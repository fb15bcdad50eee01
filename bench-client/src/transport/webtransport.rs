//! WebTransport: a session over HTTP/3, and events as lines: of one stream that the server opens, of a stream each, or as datagrams
//! (draft-ietf-webtrans-http3).

use std::convert::Infallible;

use crate::fault::Fault;
use crate::subscriber::Subscriber;

/// Opens the session, and reads lines until it ends.
///
/// # Errors
/// Always: when the session ends, or the server refuses it.
pub async fn subscribe(subscriber: &mut Subscriber) -> Result<Infallible, Fault> {
    let after = subscriber.after();
    let path = subscriber.target.path(subscriber.transport, after);
    subscriber.wire.open_session(&path, subscriber.transport).await?;
    subscriber.connected();
    let envelope = subscriber.transport.envelope();
    subscriber.receive(|subscriber, bytes, known| subscriber.parse_message(envelope, bytes, known, usize::MAX)).await
}
