//! The one request of HTTP streaming and SSE, and the head of the response that goes on from there.

use protocol::Layer;

use crate::fault::Fault;
use crate::headers::Caller;
use crate::subscriber::Subscriber;

/// Asks for the stream at `path` and reads the response up to its body, which comes in chunks.
///
/// # Errors
/// When the connection ends, or the answer is no stream.
pub async fn open(subscriber: &mut Subscriber, caller: Caller, path: &str) -> Result<(), Fault> {
    let mut request = subscriber.target.get(caller, path, subscriber.cursor());
    request.push_str("\r\n");
    subscriber.wire.request(request.as_bytes()).await?;
    let head = subscriber.wire.head().await?;
    subscriber.wire.answered(Layer::RequestHead);
    subscriber.wire.explain(Layer::ResponseHead, head.bytes);
    match (head.status, head.chunked) {
        (200, true) => {}
        (200, false) => return Err(Fault::NotHttp("a stream whose body does not come in chunks".into())),
        (status, _) => return Err(Fault::Status(status)),
    }
    subscriber.connected();
    Ok(())
}
