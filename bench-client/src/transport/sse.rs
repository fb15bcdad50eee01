//! Server-sent events: one request, then blocks of fields, each in a chunk of its own.

use std::convert::Infallible;

use protocol::Layer;
use protocol::framing::sse;

use crate::fault::Fault;
use crate::headers::Caller;
use crate::hear::Taken;
use crate::stream;
use crate::subscriber::Subscriber;

/// Reads the one response for as long as it goes on.
pub async fn subscribe(subscriber: &mut Subscriber) -> Result<Infallible, Fault> {
    stream::subscribe(subscriber, Caller::EventSource, "/sse", block).await
}

/// Takes one block.
fn block(subscriber: &mut Subscriber, bytes: &[u8], known: usize) -> Result<Taken, Fault> {
    if known > 0 && !sse::may_end(bytes, known) {
        return Ok(Taken::Nothing);
    }
    let Some((block, whole)) = sse::split(bytes) else { return Ok(Taken::Nothing) };
    // A block without data is a heartbeat.
    let json = block.data.unwrap_or_default();
    if !json.is_empty() {
        subscriber.event_or_gap(&json)?;
    }
    subscriber.wire.explain(Layer::Framing, whole - json.len());
    Ok(Taken::Bytes(whole))
}
