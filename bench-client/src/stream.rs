//! The one response of HTTP streaming and SSE: its head, and the chunks that its body comes in for as long as it goes on.

use std::convert::Infallible;

use protocol::Layer;
use protocol::framing::chunked;

use crate::fault::Fault;
use crate::headers::Caller;
use crate::hear::{Taken, take_all, take_from};
use crate::http::LARGEST_BODY;
use crate::subscriber::Subscriber;

/// How events stand in the body.
pub struct Format {
    /// Whether one may end behind the first so many bytes, in which none did: who sends one in many small pieces would have all of it
    /// searched anew for each.
    pub may_end: fn(&[u8], usize) -> bool,
    /// Takes the first of them.
    pub take: fn(&mut Subscriber, &[u8]) -> Result<Taken, Fault>,
}

/// Asks for the stream at `path` and reads the one response for as long as it goes on.
///
/// # Errors
/// Always: when the connection ends, or the answer is no stream.
pub async fn subscribe(
    subscriber: &mut Subscriber,
    caller: Caller,
    path: &str,
    format: &Format,
) -> Result<Infallible, Fault> {
    open(subscriber, caller, path).await?;
    subscriber.connected();
    subscriber.hear(|subscriber, bytes| chunk(subscriber, bytes, format)).await
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
fn chunk(subscriber: &mut Subscriber, bytes: &[u8], format: &Format) -> Result<Taken, Fault> {
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
    Ok(match body(subscriber, &bytes[begins..ends], format) {
        Ok(()) => Taken::Bytes(whole),
        Err(fault) => Taken::Last(whole, Err(fault)),
    })
}

/// Takes the events that are whole with this part of the body; most often it is one, and all of it.
fn body(subscriber: &mut Subscriber, part: &[u8], format: &Format) -> Result<(), Fault> {
    let known = subscriber.wire.body.len();
    let last = if known == 0 {
        let (taken, last) = take_all(part, |bytes| (format.take)(subscriber, bytes));
        subscriber.wire.body.extend_from_slice(&part[taken..]);
        last
    } else {
        let mut body = std::mem::take(&mut subscriber.wire.body);
        body.extend_from_slice(part);
        let may_end = (format.may_end)(&body, known);
        let last = if may_end { take_from(&mut body, |bytes| (format.take)(subscriber, bytes)) } else { Ok(None) };
        subscriber.wire.body = body;
        last
    };
    if subscriber.wire.body.len() > LARGEST_BODY {
        return Err(Fault::NotHttp("an event of more than 16 MiB".into()));
    }
    last.map(|_: Option<Infallible>| ())
}
