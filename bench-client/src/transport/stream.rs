//! Streaming over HTTP: one request, and a response whose body goes on for as long as the subscription lasts. HTTP/1.1 sends it in chunks, HTTP/2
//! in DATA frames. HTTP streaming and SSE differ in their envelope only.

use std::convert::Infallible;

use protocol::{Envelope, Layer, chunked};

use crate::fault::Fault;
use crate::subscriber::Subscriber;
use crate::subscriber::receive::{Step, parse_all, parse_from};
use crate::wire::http1::MAX_BODY_BYTES;

/// Sends the request and reads the response until it ends.
///
/// # Errors
/// Always: when the connection ends, or the response is not a stream.
pub async fn subscribe(subscriber: &mut Subscriber) -> Result<Infallible, Fault> {
    let chunked = open(subscriber).await?;
    subscriber.connected();
    if !chunked {
        return read_plain(subscriber).await;
    }
    read(subscriber).await
}

/// Reads the body of a response, in the envelope of the subscriber's transport, until it ends.
///
/// # Errors
/// Always: when the connection ends, or what comes is not an event.
pub async fn read(subscriber: &mut Subscriber) -> Result<Infallible, Fault> {
    if subscriber.wire.is_http2() {
        return read_plain(subscriber).await;
    }
    let envelope = subscriber.transport.envelope();
    subscriber.receive(|subscriber, bytes, _| chunk(subscriber, bytes, envelope)).await
}

/// Reads a body that comes without chunks.
async fn read_plain(subscriber: &mut Subscriber) -> Result<Infallible, Fault> {
    let envelope = subscriber.transport.envelope();
    subscriber.receive(|subscriber, bytes, known| subscriber.parse_message(envelope, bytes, known, usize::MAX)).await
}

/// Sends the request; returns whether the body comes in chunks, or as the frames of HTTP/2.
async fn open(subscriber: &mut Subscriber) -> Result<bool, Fault> {
    let after = subscriber.after();
    let mut request = subscriber.target.get(subscriber.transport, after);
    request.push_str("\r\n");
    subscriber.wire.request(request.as_bytes()).await?;
    let head = subscriber.wire.head().await?;
    subscriber.wire.attribute_request(Layer::RequestHeaders);
    subscriber.wire.attribute(Layer::ResponseHeaders, head.bytes);
    match (head.status, head.chunked || subscriber.wire.is_http2()) {
        (200, true) => Ok(true),
        // Such a body lasts until the connection ends (RFC 9112, section 6.3). This lab's server does not send one.
        (200, false) if subscriber.target.source.is_some() && head.length.is_none() => Ok(false),
        (200, false) => Err(Fault::NotHttp("a stream whose body does not come in chunks".into())),
        (status, _) => Err(Fault::Status(status)),
    }
}

/// Parses a chunk: its size and line ends are framing, its data is the next part of the body.
fn chunk(subscriber: &mut Subscriber, bytes: &[u8], envelope: Envelope) -> Result<Step, Fault> {
    let Some((size, start)) = chunked::size(bytes)? else { return Ok(Step::Incomplete) };
    let end = start + size;
    if bytes.len() < end + chunked::END.len() {
        return Ok(Step::Incomplete);
    }
    chunked::end(&bytes[end..])?;
    let length = end + chunked::END.len();
    subscriber.wire.attribute(Layer::Framing, length - size);
    if size == 0 {
        return Ok(Step::Last(length, Err(Fault::Ended("the last chunk has come".into()))));
    }
    Ok(match body(subscriber, &bytes[start..end], envelope) {
        Ok(()) => Step::Parsed(length),
        Err(fault) => Step::Last(length, Err(fault)),
    })
}

/// Parses the messages that are complete with this part of the body; mostly it is exactly one.
fn body(subscriber: &mut Subscriber, part: &[u8], envelope: Envelope) -> Result<(), Fault> {
    let known = subscriber.wire.body.len();
    let last = if known == 0 {
        let (parsed, last) =
            parse_all(part, 0, |bytes, known| subscriber.parse_message(envelope, bytes, known, usize::MAX));
        subscriber.wire.body.extend_from_slice(&part[parsed..]);
        last
    } else {
        let mut body = std::mem::take(&mut subscriber.wire.body);
        body.extend_from_slice(part);
        let last =
            parse_from(&mut body, known, |bytes, known| subscriber.parse_message(envelope, bytes, known, usize::MAX));
        subscriber.wire.body = body;
        last
    };
    if subscriber.wire.body.len() > MAX_BODY_BYTES {
        return Err(Fault::NotHttp("an event of more than 16 MiB".into()));
    }
    last.map(|_: Option<Infallible>| ())
}
