//! Envelopes: how one event is delimited from the next, one file each. They are pure functions from bytes to bytes and do not depend on
//! sockets or HTTP. Those of libraries, such as STOMP, are the content of WebSocket frames.
//!
//! Encoding an event produces bytes that are the same for every subscriber. Decoding accepts a buffer that may end anywhere: `Ok(None)`
//! means that the message is incomplete, and an error means that the bytes are invalid, whatever follows.

pub mod engine_io;
pub mod iframe;
pub mod javascript;
pub mod jsonp;
pub mod line;
pub mod multipart;
pub mod socket_io;
pub mod sockjs;
pub mod sse;
pub mod stomp;
pub mod websocket;

use std::borrow::Cow;

use serde::Serialize;

use crate::event::Gap;

/// Bytes that violate their format. The connection from which they came cannot be parsed any further.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{format}: {fault}")]
pub struct Malformed {
    pub(crate) format: &'static str,
    pub(crate) fault: &'static str,
}

impl Malformed {
    /// The error of bytes in this format.
    pub const fn new(format: &'static str, fault: &'static str) -> Self {
        Self { format, fault }
    }

    /// What is wrong, without the name of the format.
    pub const fn fault(&self) -> &'static str {
        self.fault
    }
}

/// How one event is delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Envelope {
    /// A line (NDJSON).
    Line,
    /// A block of fields, as in server-sent events.
    Sse,
    /// A WebSocket text frame.
    #[serde(rename = "websocket")]
    WebSocket,
    /// A part of a multipart body.
    Multipart,
    /// A function call in a script (JSONP).
    Jsonp,
    /// A script in a page that a hidden iframe loads.
    Iframe,
    /// A STOMP frame in a WebSocket text frame.
    Stomp,
    /// A SockJS message in a WebSocket text frame.
    #[serde(rename = "sockjs")]
    SockJs,
    /// A Socket.IO packet in a WebSocket text frame.
    SocketIo,
}

/// The bytes that escapes add to an event's JSON in some envelopes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Escapes {
    /// In a script.
    pub in_script: usize,
    /// In a JSON string.
    pub in_string: usize,
}

impl Escapes {
    /// Those that this JSON needs.
    pub fn of(json: &[u8]) -> Self {
        Self { in_script: javascript::escape_bytes(json), in_string: sockjs::escape_bytes(json) }
    }

    /// The most that JSON of that length can need.
    pub const fn worst(json_bytes: usize) -> Self {
        Self { in_script: (javascript::MAX_GROWTH - 1) * json_bytes, in_string: (sockjs::MAX_GROWTH - 1) * json_bytes }
    }
}

/// A message at the front of a buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message<'a> {
    /// The content: the JSON of an event or of a gap; empty for a heartbeat.
    pub data: Cow<'a, [u8]>,
    /// The length including the envelope, in bytes.
    pub length: usize,
}

impl Envelope {
    /// All envelopes.
    pub const ALL: [Self; 9] = [
        Self::Line,
        Self::Sse,
        Self::WebSocket,
        Self::Multipart,
        Self::Jsonp,
        Self::Iframe,
        Self::Stomp,
        Self::SockJs,
        Self::SocketIo,
    ];

    /// The most bytes that an event takes in this envelope, if its JSON has `json_bytes` and needs these `escapes`.
    pub const fn max_bytes(self, json_bytes: usize, escapes: Escapes) -> usize {
        match self {
            Self::Line => json_bytes + 1,
            // A sequence number has at most twenty digits.
            Self::Sse => json_bytes + 13 + 20,
            Self::WebSocket => json_bytes + websocket::MAX_HEADER_BYTES,
            Self::Multipart => json_bytes + 45,
            Self::Jsonp => json_bytes + escapes.in_script + 4,
            Self::Iframe => json_bytes + escapes.in_script + 21,
            Self::Stomp => json_bytes + 77 + 20 + 2 * stomp::MAX_ID_BYTES + websocket::MAX_HEADER_BYTES,
            Self::SockJs => json_bytes + escapes.in_string + 5 + websocket::MAX_HEADER_BYTES,
            Self::SocketIo => json_bytes + 12 + websocket::MAX_HEADER_BYTES,
        }
    }

    /// The media type of a response body that consists of such messages. A WebSocket frame is never in a body.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Line => "application/x-ndjson",
            Self::Sse => "text/event-stream",
            Self::Multipart => multipart::CONTENT_TYPE,
            Self::Jsonp => "text/javascript; charset=utf-8",
            Self::Iframe => "text/html; charset=utf-8",
            Self::WebSocket | Self::Stomp | Self::SockJs | Self::SocketIo => "application/octet-stream",
        }
    }

    /// Whether an event is a call of a function that the request names.
    pub const fn has_callback(self) -> bool {
        matches!(self, Self::Jsonp | Self::Iframe)
    }

    /// The bytes before the first message of a response body. `callback` is the function that the request names; other envelopes ignore it.
    pub fn prelude(self, callback: &str) -> Vec<u8> {
        match self {
            Self::Multipart => multipart::PRELUDE.to_vec(),
            Self::Iframe => iframe::prelude(callback),
            Self::Line | Self::Sse | Self::Jsonp | Self::WebSocket | Self::Stomp | Self::SockJs | Self::SocketIo => {
                Vec::new()
            }
        }
    }

    /// The bytes after the last message of a response body.
    pub const fn end(self) -> &'static [u8] {
        match self {
            Self::Multipart => multipart::END,
            Self::Line
            | Self::Sse
            | Self::Jsonp
            | Self::Iframe
            | Self::WebSocket
            | Self::Stomp
            | Self::SockJs
            | Self::SocketIo => b"",
        }
    }

    /// Encodes the event `json`, whose sequence number is `seq`.
    pub fn encode(self, seq: u64, json: &[u8]) -> Vec<u8> {
        match self {
            Self::Line => line::encode(json),
            Self::Sse => sse::encode(seq, json),
            Self::WebSocket => websocket::text(json),
            Self::Multipart => multipart::encode(json),
            Self::Jsonp => jsonp::encode(json),
            Self::Iframe => iframe::encode(json),
            Self::Stomp => websocket::text(&stomp::message(stomp::SUBSCRIPTION, seq, json)),
            Self::SockJs => websocket::text(&sockjs::encode(json)),
            Self::SocketIo => websocket::text(&socket_io::encode(json)),
        }
    }

    /// Encodes the message that reports a gap; `None` for an envelope whose connection is closed with a code instead.
    pub fn encode_gap(self, gap: Gap) -> Option<Vec<u8>> {
        match self {
            Self::Line => Some(line::encode(&gap.encode())),
            Self::Sse => Some(sse::encode_gap(gap)),
            Self::Multipart => Some(multipart::encode(&gap.encode())),
            Self::Jsonp => Some(jsonp::encode(&gap.encode())),
            Self::Iframe => Some(iframe::encode(&gap.encode())),
            Self::Stomp => Some(websocket::text(&stomp::message(stomp::SUBSCRIPTION, gap.resume().0, &gap.encode()))),
            Self::SockJs => Some(websocket::text(&sockjs::encode(&gap.encode()))),
            Self::SocketIo => Some(websocket::text(&socket_io::encode_gap(&gap.encode()))),
            Self::WebSocket => None,
        }
    }

    /// The message without content that keeps an idle connection alive.
    pub const fn heartbeat(self) -> &'static [u8] {
        match self {
            Self::Line => line::HEARTBEAT,
            Self::Sse => sse::HEARTBEAT,
            Self::WebSocket => websocket::PING,
            Self::Multipart => multipart::HEARTBEAT,
            Self::Jsonp => jsonp::HEARTBEAT,
            Self::Iframe => iframe::HEARTBEAT,
            Self::Stomp => const { &websocket::one_byte(stomp::HEARTBEAT) },
            Self::SockJs => const { &websocket::one_byte(sockjs::HEARTBEAT) },
            Self::SocketIo => const { &websocket::one_byte(socket_io::HEARTBEAT) },
        }
    }

    /// Decodes the first message of `buffer`; `None` while it is incomplete. An earlier call has found that the first `known` bytes contain
    /// no complete message.
    ///
    /// # Errors
    /// When the bytes are not the beginning of such a message.
    pub fn decode(self, buffer: &[u8], known: usize) -> Result<Option<Message<'_>>, Malformed> {
        match self {
            Self::Line => Ok(line::decode(buffer, known)),
            Self::Sse => Ok(sse::decode(buffer, known)),
            Self::Multipart => multipart::decode(buffer, known),
            Self::Jsonp => Ok(jsonp::decode(buffer, known)),
            Self::Iframe => Ok(iframe::decode(buffer, known)),
            Self::WebSocket | Self::Stomp | Self::SockJs | Self::SocketIo => {
                let Some((text, length)) = websocket::decode(buffer)? else { return Ok(None) };
                Ok(Some(Message { data: self.content(text)?, length }))
            }
        }
    }

    /// The JSON of the event or the gap in the text of a WebSocket message; empty if it contains neither. An envelope that is not in
    /// WebSocket messages has the text itself.
    ///
    /// # Errors
    /// When the text violates the format.
    pub fn content(self, text: &[u8]) -> Result<Cow<'_, [u8]>, Malformed> {
        Ok(match self {
            Self::Stomp => match stomp::parse(text)? {
                (Some(frame), _) if frame.command == "MESSAGE" => Cow::Borrowed(frame.body),
                _ => Cow::Borrowed(&[]),
            },
            Self::SockJs => match text {
                b"" => Cow::Borrowed(&[]),
                text => sockjs::content(text)?,
            },
            Self::SocketIo => Cow::Borrowed(socket_io::content(text)),
            Self::Line | Self::Sse | Self::WebSocket | Self::Multipart | Self::Jsonp | Self::Iframe => {
                Cow::Borrowed(text)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Transport;
    use crate::event::{Cursor, Epoch, Event};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_envelope_decodes_what_it_encodes_wherever_the_buffer_ends(seq: u64, at: u64, data: String, cut: prop::sample::Index) {
            let json = Event { seq, at, data: data.into() }.encode();
            for envelope in Envelope::ALL {
                let bytes = envelope.encode(seq, &json);
                prop_assert!(bytes.len() <= envelope.max_bytes(json.len(), Escapes::of(&json)), "{envelope:?}");
                let cut = cut.index(bytes.len());
                prop_assert_eq!(envelope.decode(&bytes[..cut], 0), Ok(None));
                let message = envelope.decode(&bytes, cut).unwrap().unwrap();
                prop_assert_eq!((&*message.data, message.length), (&json[..], bytes.len()));
            }
        }

        #[test]
        fn decoding_arbitrary_bytes_does_not_panic(bytes: Vec<u8>) {
            for envelope in Envelope::ALL {
                if let Ok(Some(message)) = envelope.decode(&bytes, 0) {
                    prop_assert!(message.length <= bytes.len());
                }
            }
        }
    }

    #[test]
    fn the_list_of_envelopes_contains_that_of_every_transport() {
        for transport in Transport::ALL {
            assert!(Envelope::ALL.contains(&transport.envelope()), "Envelope::ALL lacks that of {transport}");
        }
        assert!(Envelope::ALL.iter().enumerate().all(|(index, envelope)| *envelope as usize == index));
    }

    #[test]
    fn a_heartbeat_has_no_content_and_a_gap_is_decoded() {
        let gap = Gap { after: Cursor(1), oldest: 5, epoch: Epoch(17) };
        for envelope in Envelope::ALL {
            let heartbeat = envelope.heartbeat();
            let message = envelope.decode(heartbeat, 0).unwrap().unwrap();
            assert_eq!((&*message.data, message.length), (&b""[..], heartbeat.len()));
            if let Some(bytes) = envelope.encode_gap(gap) {
                let message = envelope.decode(&bytes, 0).unwrap().unwrap();
                assert_eq!(Gap::decode(&message.data).unwrap(), gap);
            }
        }
    }
}
