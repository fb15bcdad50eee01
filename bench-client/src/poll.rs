//! One poll, as polling and long polling both make it: a request, and what its answer brings.

use protocol::{Gap, Layer};

use crate::fault::Fault;
use crate::hear::Taken;
use crate::subscriber::Subscriber;

/// Asks once and takes the answer: the events of a 200, nothing of a 204, the gap of a 410.
///
/// # Errors
/// When the connection ends, or the answer is another.
pub async fn poll(subscriber: &mut Subscriber, head: &str) -> Result<(), Fault> {
    let wire = &mut subscriber.wire;
    wire.request(head.as_bytes()).await?;
    let head = wire.head().await?;
    let length = head.length.unwrap_or(0);
    // Only the answer says what the two heads were for.
    let (asked, answered) = match head.status {
        200 => (Layer::RequestHead, Layer::ResponseHead),
        _ => (Layer::EmptyPoll, Layer::EmptyPoll),
    };
    wire.answered(asked);
    wire.explain(answered, head.bytes);
    match head.status {
        200 => {
            let mut left = length;
            let lines = |subscriber: &mut Subscriber, bytes: &[u8], known| {
                let taken = subscriber.line(bytes, known, left)?;
                if let Taken::Bytes(taken) = taken {
                    left -= taken;
                    if left == 0 {
                        return Ok(Taken::Last(taken, Ok(())));
                    }
                }
                Ok(taken)
            };
            if length > 0 {
                subscriber.hear(lines).await?;
            }
        }
        204 => wire.ledger().empty_polls += 1,
        410 => {
            while wire.received.len() < length {
                wire.fill().await?;
            }
            let body = wire.received.split_to(length);
            wire.explain(Layer::Framing, length);
            subscriber.gap(Gap::decode(&body)?);
        }
        status => return Err(Fault::Status(status)),
    }
    if head.close { Err(Fault::Ended("Connection: close".into())) } else { Ok(()) }
}
