//! WebSocket frames: a header of 2 to 14 bytes, then the payload, masked on the way to the server (RFC 6455, section 5.2).

use super::Malformed;

/// What a frame is for (RFC 6455, section 5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    /// A further part of a fragmented message.
    Continuation = 0x0,
    /// UTF-8 text.
    Text = 0x1,
    /// Any bytes.
    Binary = 0x2,
    /// The sender is about to end the connection.
    Close = 0x8,
    /// A heartbeat that wants an answer.
    Ping = 0x9,
    /// The answer.
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

/// The largest payload whose length fits the header's 7 bits.
const SEVEN_BITS: usize = 125;

/// A server's frame: one whole message, not masked, so its bytes are the same for every subscriber.
pub fn frame(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    // Of just that length, since it is kept for as long as its event is.
    [&*header(opcode, payload.len(), 0), payload].concat()
}

/// A client's frame: one whole message, masked with `key`.
///
/// The mask is no secret. It keeps what a page sends from looking like HTTP to a proxy on the way (RFC 6455, 10.3).
pub fn frame_masked(opcode: Opcode, payload: &[u8], key: [u8; 4]) -> Vec<u8> {
    let mut bytes = header(opcode, payload.len(), 0x80);
    bytes.extend_from_slice(&key);
    bytes.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    bytes
}

fn header(opcode: Opcode, length: usize, mask_bit: u8) -> Vec<u8> {
    // FIN is always set: nothing here is fragmented.
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

/// A frame's header, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Whether this is the last frame of its message.
    pub fin: bool,
    /// What the frame is for.
    pub opcode: Opcode,
    /// The masking key of a frame to the server.
    pub mask: Option<[u8; 4]>,
    /// The header's own length in bytes, 2 to 14.
    pub length: usize,
    /// How many bytes of payload follow.
    pub payload_length: u64,
}

/// Reads the header that `buffer` begins with; `None` while it is unfinished.
///
/// # Errors
/// When a reserved bit or opcode is used (no extension was agreed on), a control frame is fragmented or longer than 125
/// bytes, or a length is not given in its shortest form.
pub fn parse(buffer: &[u8]) -> Result<Option<Header>, Malformed> {
    let malformed = |fault| Malformed { framing: "websocket", fault };
    let &[first, second, ref rest @ ..] = buffer else { return Ok(None) };
    if first & 0x70 != 0 {
        return Err(malformed("a reserved bit is set, but no extension was agreed on"));
    }
    let opcode = Opcode::from_bits(first & 0x0F).ok_or_else(|| malformed("a reserved opcode"))?;
    let fin = first & 0x80 != 0;
    let short = second & 0x7F;
    if opcode.is_control() && (!fin || usize::from(short) > SEVEN_BITS) {
        return Err(malformed("a control frame is one frame of at most 125 bytes"));
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
        return Err(malformed("a length must have its shortest form"));
    }
    if payload_length >> 63 != 0 {
        return Err(malformed("a length has at most 63 bits"));
    }
    let mask = if second & 0x80 != 0 {
        let Some(key) = rest[extended..].first_chunk::<4>() else { return Ok(None) };
        Some(*key)
    } else {
        None
    };
    let length = 2 + extended + if mask.is_some() { 4 } else { 0 };
    Ok(Some(Header { fin, opcode, mask, length, payload_length }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn headers_take_two_four_or_ten_bytes_and_a_mask_four_more() {
        for (length, expected) in [(0, 2), (125, 2), (126, 4), (65_535, 4), (65_536, 10)] {
            let payload = vec![0; length];
            assert_eq!(frame(Opcode::Text, &payload).len(), length + expected);
            assert_eq!(frame_masked(Opcode::Text, &payload, [0; 4]).len(), length + expected + 4);
        }
    }

    #[test]
    fn the_examples_of_rfc_6455_section_5_7_are_reproduced() {
        assert_eq!(frame(Opcode::Text, b"Hello"), [0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f]);
        let masked = frame_masked(Opcode::Text, b"Hello", [0x37, 0xfa, 0x21, 0x3d]);
        assert_eq!(masked, [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]);
    }

    #[test]
    fn what_the_rfc_forbids_is_refused() {
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
        fn a_header_is_read_back_once_it_is_whole(length in 0..70_000usize, key: Option<[u8; 4]>) {
            let payload = vec![b'x'; length];
            let wire = match key {
                Some(key) => frame_masked(Opcode::Binary, &payload, key),
                None => frame(Opcode::Binary, &payload),
            };
            let whole = wire.len() - length;
            for cut in 0..whole {
                prop_assert_eq!(parse(&wire[..cut]), Ok(None));
            }
            let header = parse(&wire).unwrap().unwrap();
            prop_assert_eq!((header.length, header.payload_length, header.mask), (whole, length as u64, key));
            prop_assert!(header.fin && header.opcode == Opcode::Binary);
        }

        #[test]
        fn any_bytes_are_read_or_refused_without_panic(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }
    }
}
