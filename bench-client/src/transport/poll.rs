//! One poll, which polling and long polling have in common: a request, and the events in its response. `target_poll` is one at a server of
//! another kind.

use protocol::{Gap, Layer};

use super::target_poll;
use crate::fault::Fault;
use crate::subscriber::Subscriber;
use crate::subscriber::receive::Step;

/// Sends a request and handles its response: 200 contains events, 204 means that there are none, and 410 contains a gap. Returns whether the
/// next poll should follow at once.
///
/// # Errors
/// When the connection ends, or the response has another status or cannot be parsed.
pub async fn poll(subscriber: &mut Subscriber) -> Result<bool, Fault> {
    let target = subscriber.target.clone();
    if let Some(source) = &target.source {
        return target_poll::poll(subscriber, source).await;
    }
    let after = subscriber.after();
    let mut request = target.get(subscriber.transport, after);
    request.push_str("\r\n");
    let envelope = subscriber.transport.envelope();
    let wire = &mut subscriber.wire;
    wire.request(request.as_bytes()).await?;
    let head = wire.head().await?;
    let length = head.length.unwrap_or(0);
    // Which layer the request is attributed to depends on the response.
    let (request_layer, response_layer) = match head.status {
        200 => (Layer::RequestHeaders, Layer::ResponseHeaders),
        _ => (Layer::EmptyPoll, Layer::EmptyPoll),
    };
    wire.attribute_request(request_layer);
    wire.attribute(response_layer, head.bytes);
    match head.status {
        200 => {
            let mut remaining = length;
            let parse = |subscriber: &mut Subscriber, bytes: &[u8], known| {
                let step = subscriber.parse_message(envelope, bytes, known, remaining)?;
                if let Step::Parsed(length) = step {
                    remaining -= length;
                    if remaining == 0 {
                        return Ok(Step::Last(length, Ok(())));
                    }
                }
                Ok(step)
            };
            if length > 0 {
                subscriber.receive(parse).await?;
            }
        }
        204 => wire.ledger().empty_polls += 1,
        410 => {
            while wire.received.len() < length {
                wire.fill().await?;
            }
            let body = wire.received.split_to(length);
            wire.attribute(Layer::Framing, length);
            subscriber.gap(Gap::decode(&body)?);
        }
        status => return Err(Fault::Status(status)),
    }
    if head.close { Err(Fault::Ended("Connection: close".into())) } else { Ok(false) }
}
