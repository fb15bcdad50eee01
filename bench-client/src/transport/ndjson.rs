//! HTTP streaming: one request, then lines, each in a chunk of its own.

use std::convert::Infallible;

use protocol::Layer;
use protocol::framing::line;

use crate::fault::Fault;
use crate::headers::Caller;
use crate::stream;
use crate::subscriber::Subscriber;

/// Reads the one response for as long as it goes on.
pub async fn subscribe(subscriber: &mut Subscriber) -> Result<Infallible, Fault> {
    stream::open(subscriber, Caller::Fetch, "/stream").await?;
    loop {
        let known = subscriber.wire.chunk().await?;
        // A line that comes in many pieces is not searched anew for each of them.
        if line::split(&subscriber.wire.body[known..]).is_none() {
            continue;
        }
        while let Some((_, taken)) = line::split(&subscriber.wire.body) {
            let line = subscriber.wire.take_body(taken);
            subscriber.event_or_gap(&line[..taken - 1])?;
            subscriber.wire.explain(Layer::Framing, 1);
        }
    }
}
