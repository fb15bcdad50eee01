//! The WebSocket handshake and frames, which WebSocket and the protocols on top of it have in common.

use bytes::Bytes;
use protocol::deflate::{self, Inflater, Parameters};
use protocol::envelope::websocket::{Header, Opcode, encode_masked, parse, parse_extended};
use protocol::transport::Coding;
use protocol::{Bookmark, Gap, Layer};
use tokio_tungstenite::tungstenite::handshake::{client::generate_key, derive_accept_key};

use crate::fault::Fault;
use crate::subscriber::Subscriber;
use crate::subscriber::receive::Step;

/// The longest message after decompression, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 1 << 20;
/// The longest payload of a frame that is accepted, in bytes.
const MAX_PAYLOAD_BYTES: u64 = 1 << 20;
/// The close code that reports a gap, and the beginning of its reason, which the cursor follows.
const GAP: (u16, &str) = (4410, "gap: go on after=");
/// The masking key. Masking keeps a client's bytes from looking like HTTP to proxies, even if an attacker chooses the payload (RFC 6455,
/// section 10.3). Here no attacker chooses the payload, so a constant key is enough.
pub const MASK: [u8; 4] = *b"mask";

/// The opening handshake with a request line and headers, to which those of the upgrade are added.
pub async fn upgrade(subscriber: &mut Subscriber, mut request: String) -> Result<(), Fault> {
    let key = generate_key();
    let subprotocol = subscriber.transport.row().subprotocol;
    if let Some(name) = subprotocol {
        request.push_str(&format!("Sec-WebSocket-Protocol: {name}\r\n"));
    }
    // The windows of a browser, and the context that the transport is about.
    match subscriber.transport.row().coding {
        Coding::Identity => {}
        Coding::Deflate | Coding::DeflateTakeover => {
            request.push_str(&format!("Sec-WebSocket-Extensions: {}; client_max_window_bits\r\n", deflate::NAME));
        }
    }
    request.push_str("Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n");
    request.push_str(&format!("Sec-WebSocket-Key: {key}\r\n\r\n"));
    let wire = &mut subscriber.wire;
    wire.request(request.as_bytes()).await?;
    let head = wire.head().await?;
    wire.attribute_request(Layer::Handshake);
    wire.attribute(Layer::Handshake, head.bytes);
    // Over HTTP/2, the method of the request takes the place of the headers (RFC 8441, section 5).
    let http2 = wire.is_http2();
    if head.status != if http2 { 200 } else { 101 } {
        return Err(Fault::Status(head.status));
    }
    // The right value proves that the peer has understood the handshake.
    if !http2 && head.accept != Some(derive_accept_key(key.as_bytes())) {
        return Err(Fault::WrongAccept);
    }
    if !http2 && !head.upgrade.is_some_and(|to| to.eq_ignore_ascii_case("websocket")) {
        return Err(Fault::OtherProtocol);
    }
    if let Some(name) = subprotocol
        && head.subprotocol.as_deref() != Some(name)
    {
        return Err(Fault::OtherSubprotocol(name));
    }
    subscriber.inflater = inflater(subscriber.transport.row().coding, head.extensions.as_deref())?;
    Ok(())
}

/// The decompressor for the extension that the server has accepted.
fn inflater(coding: Coding, accepted: Option<&str>) -> Result<Option<Box<Inflater>>, Fault> {
    let takeover = match coding {
        Coding::Identity if accepted.is_none() => return Ok(None),
        Coding::Identity => return Err(Fault::OtherExtension),
        Coding::Deflate => false,
        Coding::DeflateTakeover => true,
    };
    let parameters = accepted.and_then(Parameters::parse_response).ok_or(Fault::OtherExtension)?;
    if parameters.server_no_context_takeover == takeover {
        return Err(Fault::OtherExtension);
    }
    Ok(Some(Box::new(Inflater::new(parameters.server_window_bits(), !takeover))))
}

/// Sends text as a message that belongs to the opening of a session.
pub async fn send(subscriber: &mut Subscriber, text: &[u8]) -> Result<(), Fault> {
    Ok(subscriber.wire.send(&encode_masked(Opcode::Text, text, MASK), Layer::Handshake).await?)
}

/// Sends text as a reply to a heartbeat.
pub async fn reply(subscriber: &mut Subscriber, text: &[u8]) -> Result<(), Fault> {
    Ok(subscriber.wire.send(&encode_masked(Opcode::Text, text, MASK), Layer::Framing).await?)
}

/// Receives the next text message, which belongs to the opening of a session.
///
/// # Errors
/// When another frame comes, or the connection ends.
pub async fn text(subscriber: &mut Subscriber) -> Result<Bytes, Fault> {
    let next = |subscriber: &mut Subscriber, bytes: &[u8], _| {
        let Some((header, payload)) = whole_frame(bytes, false)? else { return Ok(Step::Incomplete) };
        let length = header.length + payload.len();
        subscriber.wire.attribute(Layer::Handshake, length);
        let text = match header.opcode {
            Opcode::Text => Ok(Bytes::copy_from_slice(payload)),
            Opcode::Close => Err(closed(subscriber, payload)),
            Opcode::Continuation | Opcode::Binary | Opcode::Ping | Opcode::Pong => {
                Err(Fault::NotHttp("a frame without text in the opening of a session".into()))
            }
        };
        Ok(Step::Last(length, text))
    };
    subscriber.receive(next).await
}

/// The header and the payload of the frame at the front of `bytes`, which may be marked as compressed if that was agreed on; `None` while it is
/// incomplete.
pub fn whole_frame(bytes: &[u8], compression: bool) -> Result<Option<(Header, &[u8])>, Fault> {
    let parsed = if compression { parse_extended(bytes) } else { parse(bytes) };
    let Some(header) = parsed? else { return Ok(None) };
    if header.payload_length > MAX_PAYLOAD_BYTES || header.mask.is_some() || !header.fin {
        return Err(Fault::NotHttp("a frame that is fragmented, masked, or larger than 1 MiB".into()));
    }
    let payload = bytes.get(header.length..header.length + header.payload_length as usize);
    Ok(payload.map(|payload| (header, payload)))
}

/// Interprets the payload of a close frame. If it reports a gap, moves the cursor past the gap. Returns the error that ends the connection.
pub fn closed(subscriber: &mut Subscriber, payload: &[u8]) -> Fault {
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
