//! Responses to right and wrong WebSocket frames, the lengths of frame headers, and HTTP headers found after a handshake.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::envelope::websocket::Opcode;

/// What the experiment `frames` measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FramesFacts {
    /// What was received after frames of each kind.
    pub trials: Vec<FrameTrial>,
    /// Frame headers by the size of the payload.
    pub headers: Vec<FrameHeader>,
    /// What followed a second handshake on an open WebSocket.
    pub second_handshake: SecondHandshake,
    /// HTTP headers that were found in captured bytes.
    pub capture: Capture,
}

/// Frames that were sent to the server's echo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SentFrames {
    /// The text "hello".
    Text,
    /// A ping with the payload "?".
    Ping,
    /// A text frame without a mask.
    Unmasked,
    /// A text frame with RSV1 set.
    ReservedBit,
    /// The text "Hello" in two frames with an empty ping between them.
    Fragments,
    /// The framing of the 2010 draft: 0x00, 200 letters, 0xFF.
    Draft2010,
    /// A text frame whose payload is not UTF-8.
    InvalidUtf8,
    /// A binary frame with the bytes FF 00 FE.
    Binary,
    /// A close frame with code 1000.
    Close,
    /// Nothing, to a server that closes the connection without a close frame.
    NoCloseFrame,
}

impl SentFrames {
    /// All kinds, in the order in which they are sent.
    pub const ALL: [Self; 10] = [
        Self::Text,
        Self::Ping,
        Self::Unmasked,
        Self::ReservedBit,
        Self::Fragments,
        Self::Draft2010,
        Self::InvalidUtf8,
        Self::Binary,
        Self::Close,
        Self::NoCloseFrame,
    ];
}

/// Frames that were sent, with what was received.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FrameTrial {
    /// What was sent.
    pub sent: SentFrames,
    /// What was received, in order.
    pub received: Vec<Received>,
}

/// One thing that was received on a WebSocket.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Received {
    /// A frame.
    Frame {
        /// Its opcode.
        opcode: Opcode,
        /// The bytes of its header.
        header: Vec<u8>,
        /// The bytes of its payload.
        payload: Vec<u8>,
    },
    /// The end of the connection.
    End,
    /// Neither a frame nor the end before the timeout.
    Nothing,
}

/// The frame headers of one payload size.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FrameHeader {
    /// Size of the payload, in bytes.
    pub payload_bytes: u64,
    /// Length of the header from the client, mask included, in bytes.
    pub up_bytes: u64,
    /// The bytes of the header from the server.
    pub down: Vec<u8>,
}

/// What followed a second handshake on an open WebSocket.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SecondHandshake {
    /// Another response with status 101.
    Switched,
    /// Something else.
    Received(Received),
}

/// HTTP headers found by a search of the bytes that a relay captured between a subscriber and the server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Capture {
    /// Events a second.
    pub rate: f64,
    /// How long bytes were captured, in s.
    pub seconds: u64,
    /// Headers over WebSocket, after the first of each direction.
    pub websocket: HttpHeaders,
    /// Headers over long polling, after the first of each direction: a control, since the search must find headers there.
    pub long_polling: HttpHeaders,
    /// Events received over the WebSocket.
    pub events: u64,
    /// Bytes captured of it, both ways.
    pub captured_bytes: u64,
}

/// Blocks of HTTP headers in captured bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct HttpHeaders {
    /// The number of blocks.
    pub count: u64,
    /// Their bytes together.
    pub bytes: u64,
}
