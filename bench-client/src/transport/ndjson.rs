//! HTTP streaming: one request, then lines, each in a chunk of its own.

use std::convert::Infallible;

use crate::fault::Fault;
use crate::headers::Caller;
use crate::stream;
use crate::subscriber::Subscriber;

/// Reads the one response for as long as it goes on.
pub async fn subscribe(subscriber: &mut Subscriber) -> Result<Infallible, Fault> {
    stream::subscribe(subscriber, Caller::Fetch, "/stream", |subscriber, bytes, known| {
        subscriber.line(bytes, known, usize::MAX)
    })
    .await
}
