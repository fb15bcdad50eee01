//! WebSocket frames: a header of 2 to 14 bytes, then the payload. Frames from client to server are masked (RFC 6455, section 5.2).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Malformed;

/// The type of a frame (RFC 6455, section 5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Opcode {
    /// A further part of a fragmented message.
    Continuation = 0x0,
    /// UTF-8 text.
    Text = 0x1,
    /// Any bytes.
    Binary = 0x2,
    /// The sender closes the connection.
    Close = 0x8,
    /// A heartbeat to which the peer replies with a pong.
    Ping = 0x9,
    /// The reply to a ping.
    Pong = 0xA,
}

impl Opcode {
    /// Whether it is a control frame: close, ping or pong.
    pub fn is_control(self) -> bool {
        self as u8 & 0x8 != 0
    }

    fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xA => Self::Pong,
            _ => return None,
        })
    }
}

/// The message that keeps an idle connection alive: a ping without payload, as a server sends it.
pub const PING: &[u8] = &[0x80 | Opcode::Ping as u8, 0];

/// The longest header of a frame without a mask, in bytes.
pub const MAX_HEADER_BYTES: usize = 10;
/// The reserved bit that marks a compressed message (RFC 7692, section 6).
const COMPRESSED: u8 = 0x40;
/// The largest payload whose length fits into the header's 7 bits.
const SEVEN_BITS: usize = 125;

/// Encodes a server's frame: one complete message, not masked, so its bytes are the same for every subscriber.
pub fn encode(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    // Allocated with its exact length, since it is kept for as long as its event.
    [&*header(opcode, payload.len(), 0), payload].concat()
}

/// Encodes a server's frame with a compressed message (RFC 7692, section 6.1).
pub fn encode_compressed(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut bytes = encode(opcode, payload);
    bytes[0] |= COMPRESSED;
    bytes
}

/// Encodes a server's text frame.
pub fn text(payload: &[u8]) -> Vec<u8> {
    encode(Opcode::Text, payload)
}

/// A server's text frame with a payload of one byte.
pub const fn one_byte(payload: &[u8]) -> [u8; 3] {
    [0x80 | Opcode::Text as u8, 1, payload[0]]
}

/// Encodes a client's frame: one complete message, masked with `key`.
///
/// The mask is not a secret. It prevents a proxy from mistaking data that a page sends for HTTP (RFC 6455, section 10.3).
pub fn encode_masked(opcode: Opcode, payload: &[u8], key: [u8; 4]) -> Vec<u8> {
    let mut bytes = header(opcode, payload.len(), 0x80);
    bytes.extend_from_slice(&key);
    bytes.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    bytes
}

fn header(opcode: Opcode, length: usize, mask_bit: u8) -> Vec<u8> {
    // FIN is always set, since messages are not fragmented here.
    let mut bytes = Vec::with_capacity(14);
    bytes.push(0x80 | opcode as u8);
    match length {
        0..=SEVEN_BITS => bytes.push(mask_bit | length as u8),
        126..=0xFFFF => {
            bytes.push(mask_bit | 126);
            bytes.extend_from_slice(&(length as u16).to_be_bytes());
        }
        _ => {
            bytes.push(mask_bit | 127);
            bytes.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    bytes
}

/// The fields of a frame's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Whether this is the last frame of its message.
    pub fin: bool,
    /// Whether it is marked as the beginning of a compressed message.
    pub compressed: bool,
    /// The type of the frame.
    pub opcode: Opcode,
    /// The masking key, if the frame is masked.
    pub mask: Option<[u8; 4]>,
    /// The length of the header, 2 to 14 bytes.
    pub length: usize,
    /// The length of the payload that follows, in bytes.
    pub payload_length: u64,
}

/// Parses the header at the front of `buffer`; `None` while it is incomplete.
///
/// # Errors
/// When a reserved bit or opcode is used (no extension was negotiated), a control frame is fragmented or its payload is longer than 125
/// bytes, a length is not encoded in its shortest form, or a length has 64 bits.
pub fn parse(buffer: &[u8]) -> Result<Option<Header>, Malformed> {
    match buffer {
        [first, ..] if first & COMPRESSED != 0 => {
            Err(malformed("a reserved bit is set, but no extension was negotiated"))
        }
        _ => parse_extended(buffer),
    }
}

fn malformed(fault: &'static str) -> Malformed {
    Malformed { format: "websocket", fault }
}

/// As [`parse`], on a connection with compression: the bit that marks a compressed message may be set.
///
/// # Errors
/// Those of [`parse`].
pub fn parse_extended(buffer: &[u8]) -> Result<Option<Header>, Malformed> {
    let &[first, second, ref rest @ ..] = buffer else { return Ok(None) };
    if first & 0x70 & !COMPRESSED != 0 {
        return Err(malformed("a reserved bit is set, but no extension was negotiated"));
    }
    let opcode = Opcode::from_bits(first & 0x0F).ok_or_else(|| malformed("a reserved opcode"))?;
    let compressed = first & COMPRESSED != 0;
    if compressed && (opcode.is_control() || opcode == Opcode::Continuation) {
        return Err(malformed("only the first frame of a message may be marked as compressed"));
    }
    let fin = first & 0x80 != 0;
    let short = second & 0x7F;
    if opcode.is_control() && (!fin || usize::from(short) > SEVEN_BITS) {
        return Err(malformed("a control frame must not be fragmented or longer than 125 bytes"));
    }
    let (payload_length, extended) = match short {
        126 => {
            let Some(bytes) = rest.first_chunk::<2>() else { return Ok(None) };
            (u64::from(u16::from_be_bytes(*bytes)), 2)
        }
        127 => {
            let Some(bytes) = rest.first_chunk::<8>() else { return Ok(None) };
            (u64::from_be_bytes(*bytes), 8)
        }
        _ => (u64::from(short), 0),
    };
    let shortest = match payload_length {
        0..=125 => 0,
        126..=0xFFFF => 2,
        _ => 8,
    };
    if extended != shortest {
        return Err(malformed("a length must be encoded in its shortest form"));
    }
    if payload_length >> 63 != 0 {
        return Err(malformed("a length must have at most 63 bits"));
    }
    let mask = if second & 0x80 != 0 {
        let Some(key) = rest[extended..].first_chunk::<4>() else { return Ok(None) };
        Some(*key)
    } else {
        None
    };
    let length = 2 + extended + if mask.is_some() { 4 } else { 0 };
    Ok(Some(Header { fin, compressed, opcode, mask, length, payload_length }))
}

/// Decodes a server's frame, which must be neither masked nor fragmented, from the front of `buffer`: its text and its length; `None` while
/// it is incomplete. A control frame has no text.
///
/// # Errors
/// Those of [`parse`], and when the frame is masked or fragmented.
pub fn decode(buffer: &[u8]) -> Result<Option<(&[u8], usize)>, Malformed> {
    let Some(header) = parse(buffer)? else { return Ok(None) };
    if header.mask.is_some() || !header.fin {
        return Err(Malformed {
            format: "websocket",
            fault: "a server's frame must be neither masked nor fragmented here",
        });
    }
    let end = usize::try_from(header.payload_length).ok().and_then(|length| header.length.checked_add(length));
    let Some(payload) = end.and_then(|end| buffer.get(header.length..end)) else { return Ok(None) };
    let text = if header.opcode == Opcode::Text { payload } else { &[] };
    Ok(Some((text, header.length + payload.len())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_header_has_two_four_or_ten_bytes_and_a_mask_adds_four() {
        for (length, expected) in [(0, 2), (125, 2), (126, 4), (65_535, 4), (65_536, 10)] {
            let payload = vec![0; length];
            assert_eq!(encode(Opcode::Text, &payload).len(), length + expected);
            assert_eq!(encode_masked(Opcode::Text, &payload, [0; 4]).len(), length + expected + 4);
        }
    }

    #[test]
    fn the_examples_of_rfc_6455_section_5_7_are_reproduced() {
        assert_eq!(encode(Opcode::Text, b"Hello"), [0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f]);
        let masked = encode_masked(Opcode::Text, b"Hello", [0x37, 0xfa, 0x21, 0x3d]);
        assert_eq!(masked, [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]);
    }

    #[test]
    fn frames_that_the_rfc_forbids_are_rejected() {
        let forbidden: [&[u8]; 6] = [
            &[0xC1, 0],                             // RSV1 without an extension
            &[0x83, 0],                             // a reserved opcode
            &[0x09, 0],                             // a fragmented ping
            &[0x89, 126, 0, 126],                   // a long ping
            &[0x81, 126, 0, 125],                   // 125 in the 16-bit form
            &[0x82, 127, 128, 0, 0, 0, 0, 0, 0, 0], // the 64th bit
        ];
        for bytes in forbidden {
            assert!(parse(bytes).is_err(), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn a_header_is_parsed_once_it_is_complete(length in 0..70_000usize, key: Option<[u8; 4]>) {
            let payload = vec![b'x'; length];
            let wire = match key {
                Some(key) => encode_masked(Opcode::Binary, &payload, key),
                None => encode(Opcode::Binary, &payload),
            };
            let header_length = wire.len() - length;
            for cut in 0..header_length {
                prop_assert_eq!(parse(&wire[..cut]), Ok(None));
            }
            let header = parse(&wire).unwrap().unwrap();
            prop_assert_eq!((header.length, header.payload_length, header.mask), (header_length, length as u64, key));
            prop_assert!(header.fin && header.opcode == Opcode::Binary);
        }

        #[test]
        fn parsing_arbitrary_bytes_does_not_panic(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }
    }
}
