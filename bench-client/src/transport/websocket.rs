//! WebSocket: a handshake, then a text frame an event (RFC 6455).

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use protocol::framing::websocket::{Opcode, frame_masked, parse};
use protocol::{Bookmark, Gap, Layer};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::handshake::{client::generate_key, derive_accept_key};

use crate::fault::Fault;
use crate::headers::Caller;
use crate::hear::Taken;
use crate::subscriber::Subscriber;

/// A frame larger than this is refused, in bytes.
const LARGEST_FRAME: u64 = 1 << 20;
/// The close code of a subscriber whose cursor has left the history, then what the reason says before the cursor.
const GAP: (u16, &str) = (4410, "gap: go on after=");
/// "I leave" (RFC 6455, section 7.4.1).
const NORMAL_CLOSURE: u16 = 1000;
/// How long the server may take to answer our close frame.
const PATIENCE: Duration = Duration::from_secs(1);
/// The mask hides our bytes from proxies that might take them for HTTP; there are none here, so any key does.
const MASK: [u8; 4] = *b"mask";

/// Shakes hands, then reads frames for as long as they come.
pub async fn subscribe(subscriber: &mut Subscriber) -> Result<Infallible, Fault> {
    handshake(subscriber).await?;
    subscriber.connected();
    let close = until_close(subscriber).await?;
    let answer = frame_masked(Opcode::Close, &close, MASK);
    subscriber.wire.send(&answer, Layer::Handshake).await?;
    Err(closed(subscriber, &close))
}

/// The closing handshake (RFC 6455, section 5.5.1): our close frame, then the server's. Events that come between count.
pub async fn leave(subscriber: &mut Subscriber) {
    let farewell = async {
        let close = frame_masked(Opcode::Close, &NORMAL_CLOSURE.to_be_bytes(), MASK);
        subscriber.wire.send(&close, Layer::Handshake).await?;
        until_close(subscriber).await
    };
    // We leave either way; what has not come by then is explained as cut off.
    let _ = timeout(PATIENCE, farewell).await;
}

/// The opening handshake (RFC 6455, section 4.1).
pub async fn handshake(subscriber: &mut Subscriber) -> Result<(), Fault> {
    let key = generate_key();
    let after = subscriber.place();
    let mut request = subscriber.target.get(Caller::WebSocket, "/ws", after);
    request.push_str("Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n");
    request.push_str(&format!("Sec-WebSocket-Key: {key}\r\n\r\n"));
    let wire = &mut subscriber.wire;
    wire.request(request.as_bytes()).await?;
    let head = wire.head().await?;
    wire.answered(Layer::Handshake);
    wire.explain(Layer::Handshake, head.bytes);
    if head.status != 101 {
        return Err(Fault::Status(head.status));
    }
    // Proof that the peer understood the upgrade and does not merely repeat what it is sent.
    if head.accept != Some(derive_accept_key(key.as_bytes())) {
        return Err(Fault::NotHttp("the Sec-WebSocket-Accept does not follow from our key".into()));
    }
    if !head.upgrade.is_some_and(|to| to.eq_ignore_ascii_case("websocket")) {
        return Err(Fault::NotHttp("upgraded to something other than websocket".into()));
    }
    Ok(())
}

/// What a frame was.
enum Frame {
    Event,
    Ping(Bytes),
    Close(Bytes),
    Other,
}

/// Takes one frame from the front of `bytes`, and how many bytes it had; `None` while it is unfinished.
fn frame(subscriber: &mut Subscriber, bytes: &[u8]) -> Result<Option<(usize, Frame)>, Fault> {
    let Some(header) = parse(bytes)? else { return Ok(None) };
    if header.payload_length > LARGEST_FRAME || header.mask.is_some() || !header.fin {
        return Err(Fault::NotHttp("a frame that is fragmented, masked or of more than 1 MiB".into()));
    }
    let whole = header.length + header.payload_length as usize;
    let Some(payload) = bytes.get(header.length..whole) else { return Ok(None) };
    let (layer, explained, frame) = match header.opcode {
        Opcode::Text => {
            subscriber.deliver(payload)?;
            (Layer::Framing, header.length, Frame::Event)
        }
        Opcode::Ping => (Layer::Framing, whole, Frame::Ping(Bytes::copy_from_slice(payload))),
        Opcode::Close => (Layer::Handshake, whole, Frame::Close(Bytes::copy_from_slice(payload))),
        Opcode::Pong | Opcode::Binary | Opcode::Continuation => (Layer::Framing, whole, Frame::Other),
    };
    subscriber.wire.explain(layer, explained);
    Ok(Some((whole, frame)))
}

/// Hears frame after frame, and answers pings, up to one that says close, whose payload it gives; or, if `events` are waited for, up
/// to the next of them.
async fn hear(subscriber: &mut Subscriber, events: bool) -> Result<Option<Bytes>, Fault> {
    let mut take = |subscriber: &mut Subscriber, bytes: &[u8], _| {
        Ok(match frame(subscriber, bytes)? {
            None => Taken::Nothing,
            Some((whole, Frame::Other)) => Taken::Bytes(whole),
            Some((whole, Frame::Event)) if !events => Taken::Bytes(whole),
            Some((whole, frame)) => Taken::Last(whole, Ok(frame)),
        })
    };
    loop {
        match subscriber.hear(&mut take).await? {
            Frame::Ping(payload) => {
                subscriber.wire.send(&frame_masked(Opcode::Pong, &payload, MASK), Layer::Framing).await?;
            }
            Frame::Close(payload) => return Ok(Some(payload)),
            Frame::Event | Frame::Other => return Ok(None),
        }
    }
}

/// Hears everything up to a frame that says close; gives its payload.
async fn until_close(subscriber: &mut Subscriber) -> Result<Bytes, Fault> {
    Ok(hear(subscriber, false).await?.unwrap_or_default())
}

/// Hears everything up to the next event.
///
/// # Errors
/// When the connection ends, in good order or not.
pub async fn event(subscriber: &mut Subscriber) -> Result<(), Fault> {
    match hear(subscriber, true).await? {
        Some(payload) => Err(closed(subscriber, &payload)),
        None => Ok(()),
    }
}

/// Publishes on the subscriber's own connection: a text frame.
pub async fn publish(subscriber: &mut Subscriber, data: &str) -> Result<(), Fault> {
    Ok(subscriber.wire.send(&frame_masked(Opcode::Text, data.as_bytes(), MASK), Layer::Framing).await?)
}

/// What a close frame says: the end, or a gap to go on behind.
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
