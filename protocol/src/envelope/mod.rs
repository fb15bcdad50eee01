//! Envelopes: how one event is delimited from the next, one file each. They are pure functions from bytes to bytes and do not depend on
//! sockets or HTTP.
//!
//! Encoding an event produces bytes that are the same for every subscriber. Decoding accepts a buffer that may end anywhere: `Ok(None)`
//! means that the message is incomplete, and an error means that the bytes are invalid, whatever follows.

pub mod line;
pub mod sse;
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
    pub const ALL: [Self; 3] = [Self::Line, Self::Sse, Self::WebSocket];

    /// The most that an envelope adds to an event's JSON, in bytes: an SSE block with a sequence number of twenty digits.
    pub const MAX_ADDED_BYTES: usize = 33;

    /// The media type of a response body that consists of such messages. A WebSocket frame is never in a body.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Line => "application/x-ndjson",
            Self::Sse => "text/event-stream",
            Self::WebSocket => "application/octet-stream",
        }
    }

    /// Encodes the event `json`, whose sequence number is `seq`.
    pub fn encode(self, seq: u64, json: &[u8]) -> Vec<u8> {
        match self {
            Self::Line => line::encode(json),
            Self::Sse => sse::encode(seq, json),
            Self::WebSocket => websocket::encode(websocket::Opcode::Text, json),
        }
    }

    /// Encodes the message that reports a gap; `None` for an envelope whose connection is closed with a code instead.
    pub fn encode_gap(self, gap: Gap) -> Option<Vec<u8>> {
        match self {
            Self::Line => Some(line::encode(&gap.encode())),
            Self::Sse => Some(sse::encode_gap(gap)),
            Self::WebSocket => None,
        }
    }

    /// The message without content that keeps an idle connection alive.
    pub const fn heartbeat(self) -> &'static [u8] {
        match self {
            Self::Line => line::HEARTBEAT,
            Self::Sse => sse::HEARTBEAT,
            Self::WebSocket => websocket::PING,
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
            Self::WebSocket => websocket::decode(buffer),
        }
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
                prop_assert!(bytes.len() <= json.len() + Envelope::MAX_ADDED_BYTES);
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
