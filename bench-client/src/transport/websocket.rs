//! WebSocket: a handshake, then a text frame per event (RFC 6455).

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use protocol::envelope::websocket::{Opcode, encode_masked, parse};
use protocol::{Bookmark, Gap, Layer};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::handshake::{client::generate_key, derive_accept_key};

use crate::fault::Fault;
use crate::subscriber::Subscriber;
use crate::subscriber::receive::Step;

/// The longest payload of a frame that is accepted, in bytes.
const MAX_PAYLOAD_BYTES: u64 = 1 << 20;
/// The close code that reports a gap, and the beginning of its reason, which the cursor follows.
const GAP: (u16, &str) = (4410, "gap: go on after=");
/// The code of a normal closure (RFC 6455, section 7.4.1).
const NORMAL_CLOSURE: u16 = 1000;
/// How long the server may take to reply to a close frame.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// The masking key. Masking keeps a client's bytes from looking like HTTP to proxies, even if an attacker chooses the payload (RFC 6455,
/// section 10.3). Here no attacker chooses the payload, so a constant key is enough.
const MASK: [u8; 4] = *b"mask";

/// Performs the opening handshake, and receives frames until the connection ends.
pub async fn subscribe(subscriber: &mut Subscriber) -> Result<Infallible, Fault> {
    handshake(subscriber).await?;
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

/// The opening handshake (RFC 6455, section 4.1).
pub async fn handshake(subscriber: &mut Subscriber) -> Result<(), Fault> {
    let key = generate_key();
    let after = subscriber.after();
    let mut request = subscriber.target.get(subscriber.transport, after);
    request.push_str("Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n");
    request.push_str(&format!("Sec-WebSocket-Key: {key}\r\n\r\n"));
    let wire = &mut subscriber.wire;
    wire.request(request.as_bytes()).await?;
    let head = wire.head().await?;
    wire.attribute_request(Layer::Handshake);
    wire.attribute(Layer::Handshake, head.bytes);
    if head.status != 101 {
        return Err(Fault::Status(head.status));
    }
    // The right value proves that the peer has understood the handshake.
    if head.accept != Some(derive_accept_key(key.as_bytes())) {
        return Err(Fault::WrongAccept);
    }
    if !head.upgrade.is_some_and(|to| to.eq_ignore_ascii_case("websocket")) {
        return Err(Fault::OtherProtocol);
    }
    Ok(())
}

/// A frame that was parsed.
enum Frame {
    Event,
    Ping(Bytes),
    Close(Bytes),
    Other,
}

/// Parses one frame from the front of `bytes`, delivers the event in it, and attributes its bytes to layers. Returns the frame and its
/// length in bytes; `None` while it is incomplete.
fn frame(subscriber: &mut Subscriber, bytes: &[u8]) -> Result<Option<(usize, Frame)>, Fault> {
    let Some(header) = parse(bytes)? else { return Ok(None) };
    if header.payload_length > MAX_PAYLOAD_BYTES || header.mask.is_some() || !header.fin {
        return Err(Fault::NotHttp("a frame that is fragmented, masked, or larger than 1 MiB".into()));
    }
    let length = header.length + header.payload_length as usize;
    let Some(payload) = bytes.get(header.length..length) else { return Ok(None) };
    let (layer, attributed, frame) = match header.opcode {
        Opcode::Text => {
            subscriber.deliver(payload)?;
            (Layer::Framing, header.length, Frame::Event)
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
            Frame::Close(payload) => return Ok(Some(payload)),
            Frame::Event | Frame::Other => return Ok(None),
        }
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

/// Interprets the payload of a close frame. If it reports a gap, moves the cursor past the gap. Returns the error that ends the connection.
fn closed(subscriber: &mut Subscriber, payload: &[u8]) -> Fault {
    let Some((code, reason)) = payload.split_first_chunk::<2>() else {
        return Fault::Ended("a close frame without a code".into());
    };
    let (code, reason) = (u16::from_be_bytes(*code), String::from_utf8_lossy(reason));
    if code == GAP.0
        && let Some(Ok(Bookmark { cursor, epoch: Some(epoch) })) = reason.strip_prefix(GAP.1).map(str::parse)
    {
        subscriber.gap(Gap { after: subscriber.cursor(), oldest: cursor.next_seq(), epoch });
    }
    Fault::Ended(format!("close code {code}, {reason}"))
}
