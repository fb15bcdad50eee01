//! WebSocket: a handshake, then a text frame per event (RFC 6455). STOMP, SockJS and Socket.IO differ in how a session is opened, and in the
//! content of the frames.

use std::borrow::Cow;
use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use protocol::envelope::websocket::{Opcode, encode_masked};
use protocol::{Envelope, Gap, Layer};
use tokio::time::timeout;

use super::frames::{MASK, MAX_MESSAGE_BYTES, closed, upgrade, whole_frame};
use super::{socket_io, sockjs, stomp};
use crate::fault::Fault;
use crate::subscriber::Subscriber;
use crate::subscriber::receive::Step;

/// The code of a normal closure (RFC 6455, section 7.4.1).
const NORMAL_CLOSURE: u16 = 1000;
/// How long the server may take to reply to a close frame.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// Opens the session, and receives frames until the connection ends.
pub async fn subscribe(subscriber: &mut Subscriber) -> Result<Infallible, Fault> {
    // Boxed, since this future is large and would make that of every subscriber larger.
    Box::pin(open(subscriber)).await?;
    subscriber.connected();
    let close = until_close(subscriber).await?;
    let reply = encode_masked(Opcode::Close, &close, MASK);
    subscriber.wire.send(&reply, Layer::Handshake).await?;
    Err(closed(subscriber, &close))
}

/// The closing handshake (RFC 6455, section 5.5.1): our close frame, then the server's. Events that arrive before the server's
/// close frame are delivered.
pub async fn close(subscriber: &mut Subscriber) {
    let handshake = async {
        let close = encode_masked(Opcode::Close, &NORMAL_CLOSURE.to_be_bytes(), MASK);
        subscriber.wire.send(&close, Layer::Handshake).await?;
        until_close(subscriber).await
    };
    // The caller closes the connection even after a timeout. If the server is still sending then, the connection is counted as cut off.
    let _ = timeout(CLOSE_TIMEOUT, handshake).await;
}

/// Opens the session of the transport's protocol.
pub async fn open(subscriber: &mut Subscriber) -> Result<(), Fault> {
    match subscriber.transport.envelope() {
        Envelope::Stomp => stomp::open(subscriber).await,
        Envelope::SockJs => sockjs::open(subscriber).await,
        Envelope::SocketIo => socket_io::open(subscriber).await,
        Envelope::WebSocket
        | Envelope::Line
        | Envelope::Sse
        | Envelope::Multipart
        | Envelope::Jsonp
        | Envelope::Iframe => handshake(subscriber).await,
    }
}

/// The opening handshake for the events after the subscriber's cursor (RFC 6455, section 4.1).
pub async fn handshake(subscriber: &mut Subscriber) -> Result<(), Fault> {
    let after = subscriber.after();
    let request = subscriber.target.get(subscriber.transport, after);
    upgrade(subscriber, request).await
}

/// A frame that was parsed.
enum Frame {
    Event,
    /// A text message without an event or a gap.
    Text(Bytes),
    Ping(Bytes),
    Close(Bytes),
    Other,
}

/// Parses one frame from the front of `bytes`, delivers the event in it, and attributes its bytes to layers. Returns the frame and its
/// length in bytes; `None` while it is incomplete.
fn frame(subscriber: &mut Subscriber, bytes: &[u8]) -> Result<Option<(usize, Frame)>, Fault> {
    let Some((header, payload)) = whole_frame(bytes, subscriber.inflater.is_some())? else { return Ok(None) };
    let length = header.length + payload.len();
    let (layer, attributed, frame) = match header.opcode {
        Opcode::Text => {
            let message = match &mut subscriber.inflater {
                Some(inflater) if header.compressed => Cow::Owned(inflater.message(payload, MAX_MESSAGE_BYTES)?),
                _ => Cow::Borrowed(payload),
            };
            let json = subscriber.transport.envelope().content(&message)?;
            if json.is_empty() {
                (Layer::Framing, length, Frame::Text(Bytes::copy_from_slice(payload)))
            } else if Gap::is_announced_by(&json) {
                subscriber.gap(Gap::decode(&json)?);
                (Layer::Framing, length, Frame::Other)
            } else {
                // What compression leaves of a message is counted as the event.
                let wire_bytes = if header.compressed { payload.len() } else { json.len() };
                subscriber.deliver(&json, wire_bytes)?;
                (Layer::Framing, length - wire_bytes, Frame::Event)
            }
        }
        Opcode::Ping => (Layer::Framing, length, Frame::Ping(Bytes::copy_from_slice(payload))),
        Opcode::Close => (Layer::Handshake, length, Frame::Close(Bytes::copy_from_slice(payload))),
        Opcode::Pong | Opcode::Binary | Opcode::Continuation => (Layer::Framing, length, Frame::Other),
    };
    subscriber.wire.attribute(layer, attributed);
    Ok(Some((length, frame)))
}

/// Receives frames and replies to pings until a close frame comes, and returns its payload. With `until_event`, it also ends at the next
/// event, and then returns `None`.
async fn receive(subscriber: &mut Subscriber, until_event: bool) -> Result<Option<Bytes>, Fault> {
    let mut next = |subscriber: &mut Subscriber, bytes: &[u8], _| {
        Ok(match frame(subscriber, bytes)? {
            None => Step::Incomplete,
            Some((length, Frame::Other)) => Step::Parsed(length),
            Some((length, Frame::Event)) if !until_event => Step::Parsed(length),
            Some((length, frame)) => Step::Last(length, Ok(frame)),
        })
    };
    loop {
        match subscriber.receive(&mut next).await? {
            Frame::Ping(payload) => {
                subscriber.wire.send(&encode_masked(Opcode::Pong, &payload, MASK), Layer::Framing).await?;
            }
            Frame::Text(text) => control(subscriber, &text).await?,
            Frame::Close(payload) => return Ok(Some(payload)),
            Frame::Event | Frame::Other => return Ok(None),
        }
    }
}

/// Handles a text message of the session's protocol that contains neither an event nor a gap.
///
/// # Errors
/// When it reports an error or the end of the session.
async fn control(subscriber: &mut Subscriber, text: &[u8]) -> Result<(), Fault> {
    match subscriber.transport.envelope() {
        Envelope::SocketIo => socket_io::control(subscriber, text).await,
        Envelope::SockJs => sockjs::control(text),
        Envelope::Stomp => stomp::control(text),
        Envelope::WebSocket
        | Envelope::Line
        | Envelope::Sse
        | Envelope::Multipart
        | Envelope::Jsonp
        | Envelope::Iframe => Err(Fault::NotHttp("an empty message".into())),
    }
}

/// Receives everything up to a close frame, and returns its payload.
async fn until_close(subscriber: &mut Subscriber) -> Result<Bytes, Fault> {
    Ok(receive(subscriber, false).await?.unwrap_or_default())
}

/// Receives everything up to the next event.
///
/// # Errors
/// When the connection ends, by a close frame or otherwise.
pub async fn event(subscriber: &mut Subscriber) -> Result<(), Fault> {
    match receive(subscriber, true).await? {
        Some(payload) => Err(closed(subscriber, &payload)),
        None => Ok(()),
    }
}

/// Publishes an event with this data: sends it as a text frame on the subscriber's own connection.
pub async fn publish(subscriber: &mut Subscriber, data: &str) -> Result<(), Fault> {
    Ok(subscriber.wire.send(&encode_masked(Opcode::Text, data.as_bytes(), MASK), Layer::Framing).await?)
}
