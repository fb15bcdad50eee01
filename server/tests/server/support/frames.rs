//! WebSocket by hand: the handshake's bytes, a client's frames and the server's.

use protocol::framing::websocket::{self, Opcode};
use server::Server;

use crate::support::Wire;

/// The header lines of a sound handshake, `Host` apart; the key is the example of RFC 6455, section 1.3.
pub const HANDSHAKE: [&str; 4] = [
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
];

/// A connection on which the handshake is done.
pub fn open(server: &Server, target: &str) -> Wire {
    let mut wire = Wire::request(server, "GET", target, &HANDSHAKE);
    assert_eq!(wire.head().status, 101);
    wire
}

/// A whole message from a client.
pub fn masked(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    websocket::frame_masked(opcode, payload, [0x37, 0xfa, 0x21, 0x3d])
}

/// The server's next frame, which must be a whole message and must not be masked.
pub fn frame(wire: &mut Wire) -> (Opcode, Vec<u8>) {
    let mut head = wire.bytes(2);
    head.extend(wire.bytes(match head[1] {
        126 => 2,
        127 => 8,
        _ => 0,
    }));
    let header = websocket::parse(&head).expect("a sound frame").expect("a whole header");
    assert!(header.fin && header.mask.is_none(), "{header:?}");
    (header.opcode, wire.bytes(header.payload_length as usize))
}

/// Reads the server's close frame: its code and its reason.
pub fn close_frame(wire: &mut Wire) -> (u16, String) {
    let (opcode, payload) = frame(wire);
    assert_eq!(opcode, Opcode::Close, "{payload:?}");
    let (code, reason) = payload.split_first_chunk::<2>().expect("a close frame with a code");
    (u16::from_be_bytes(*code), String::from_utf8(reason.to_vec()).unwrap())
}
