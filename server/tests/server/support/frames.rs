//! A WebSocket client that sends and reads single frames.

use protocol::envelope::websocket::{self, Opcode};
use server::Server;

use crate::support::Wire;

/// The headers of a valid handshake, except `Host`. The key is the example of RFC 6455, section 1.3.
pub const HANDSHAKE: [&str; 4] = [
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
];

/// Opens a WebSocket: connects and performs the handshake.
pub fn open(server: &Server, target: &str) -> Wire {
    let mut wire = Wire::request(server, "GET", target, &HANDSHAKE);
    assert_eq!(wire.headers().status, 101);
    wire
}

/// Encodes a complete message of a client.
pub fn masked(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    websocket::encode_masked(opcode, payload, [0x37, 0xfa, 0x21, 0x3d])
}

/// Reads the server's next frame, which must be a complete message and must not be masked.
pub fn frame(wire: &mut Wire) -> (Opcode, Vec<u8>) {
    let mut header = wire.bytes(2);
    header.extend(wire.bytes(match header[1] {
        126 => 2,
        127 => 8,
        _ => 0,
    }));
    let header = websocket::parse(&header).expect("the frame is not valid").expect("the header is incomplete");
    assert!(header.fin && header.mask.is_none(), "{header:?}");
    (header.opcode, wire.bytes(header.payload_length as usize))
}

/// Reads the server's close frame, and returns its code and its reason.
pub fn close_frame(wire: &mut Wire) -> (u16, String) {
    let (opcode, payload) = frame(wire);
    assert_eq!(opcode, Opcode::Close, "{payload:?}");
    let (code, reason) = payload.split_first_chunk::<2>().expect("the close frame has no code");
    (u16::from_be_bytes(*code), String::from_utf8(reason.to_vec()).unwrap())
}
