//! The one response of HTTP streaming and SSE: its head, and the chunks that its body comes in for as long as it goes on.

use std::convert::Infallible;

use protocol::Layer;
use protocol::framing::chunked;

use crate::fault::Fault;
use crate::headers::Caller;
use crate::hear::{Taken, take_all, take_from};
use crate::http::LARGEST_BODY;
use crate::subscriber::Subscriber;

/// Takes the first event of a body, of which it has looked at so many bytes before.
type Take = fn(&mut Subscriber, &[u8], usize) -> Result<Taken, Fault>;

/// Asks for the stream at `path` and reads the one response for as long as it goes on.
///
/// # Errors
/// Always: when the connection ends, or the answer is no stream.
pub async fn subscribe(
    subscriber: &mut Subscriber,
    caller: Caller,
    path: &str,
    take: Take,
) -> Result<Infallible, Fault> {
    open(subscriber, caller, path).await?;
    subscriber.connected();
    subscriber.hear(|subscriber, bytes, _| chunk(subscriber, bytes, take)).await
}

async fn open(subscriber: &mut Subscriber, caller: Caller, path: &str) -> Result<(), Fault> {
    let after = subscriber.place();
    let mut request = subscriber.target.get(caller, path, after);
    request.push_str("\r\n");
    subscriber.wire.request(request.as_bytes()).await?;
    let head = subscriber.wire.head().await?;
    subscriber.wire.answered(Layer::RequestHead);
    subscriber.wire.explain(Layer::ResponseHead, head.bytes);
    match (head.status, head.chunked) {
        (200, true) => Ok(()),
        (200, false) => Err(Fault::NotHttp("a stream whose body does not come in chunks".into())),
        (status, _) => Err(Fault::Status(status)),
    }
}

/// Takes a chunk: its marks are framing, its data is the body's next part.
fn chunk(subscriber: &mut Subscriber, bytes: &[u8], take: Take) -> Result<Taken, Fault> {
    let Some((size, begins)) = chunked::size(bytes)? else { return Ok(Taken::Nothing) };
    let ends = begins + size;
    if bytes.len() < ends + chunked::END.len() {
        return Ok(Taken::Nothing);
    }
    chunked::end(&bytes[ends..])?;
    let whole = ends + chunked::END.len();
    subscriber.wire.explain(Layer::Framing, whole - size);
    if size == 0 {
        return Ok(Taken::Last(whole, Err(Fault::Ended("the last chunk has come".into()))));
    }
    Ok(match body(subscriber, &bytes[begins..ends], take) {
        Ok(()) => Taken::Bytes(whole),
        Err(fault) => Taken::Last(whole, Err(fault)),
    })
}

/// Takes the events that are whole with this part of the body; most often it is one, and all of it.
fn body(subscriber: &mut Subscriber, part: &[u8], take: Take) -> Result<(), Fault> {
    let known = subscriber.wire.body.len();
    let last = if known == 0 {
        let (taken, last) = take_all(part, 0, |bytes, known| take(subscriber, bytes, known));
        subscriber.wire.body.extend_from_slice(&part[taken..]);
        last
    } else {
        let mut body = std::mem::take(&mut subscriber.wire.body);
        body.extend_from_slice(part);
        let last = take_from(&mut body, known, |bytes, known| take(subscriber, bytes, known));
        subscriber.wire.body = body;
        last
    };
    if subscriber.wire.body.len() > LARGEST_BODY {
        return Err(Fault::NotHttp("an event of more than 16 MiB".into()));
    }
    last.map(|_: Option<Infallible>| ())
}
