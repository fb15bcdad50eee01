//! Server-sent events: one request, then blocks of fields, each in a chunk of its own.

use std::convert::Infallible;

use protocol::Layer;
use protocol::framing::sse;

use crate::fault::Fault;
use crate::headers::Caller;
use crate::stream;
use crate::subscriber::Subscriber;

/// Reads the one response for as long as it goes on.
pub async fn subscribe(subscriber: &mut Subscriber) -> Result<Infallible, Fault> {
    stream::open(subscriber, Caller::EventSource, "/sse").await?;
    loop {
        let known = subscriber.wire.chunk().await?;
        if !sse::may_end(&subscriber.wire.body, known) {
            continue;
        }
        while let Some(taken) = sse::split(&subscriber.wire.body).map(|(_, taken)| taken) {
            let bytes = subscriber.wire.take_body(taken);
            let (block, _) = sse::split(&bytes).expect("it was whole a line ago");
            // A block without data is a heartbeat.
            let json = block.data.unwrap_or_default();
            subscriber.wire.explain(Layer::Framing, taken - json.len());
            if !json.is_empty() {
                subscriber.event_or_gap(&json)?;
            }
        }
    }
}
