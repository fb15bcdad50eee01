//! Wire bytes by purpose: layers that add up exactly to the bytes counted at the socket.

use std::borrow::Cow;
use std::ops::{AddAssign, Index, IndexMut, Sub};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The purpose of a byte on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layer {
    /// The event's own bytes, its JSON.
    Event,
    /// The envelopes and chunk sizes, which mark where an event ends: line feeds, SSE fields, frame headers. Also heartbeats and gap
    /// messages.
    Framing,
    /// Status lines and headers of responses that contained events.
    ResponseHeaders,
    /// Request lines and headers of the requests for them.
    RequestHeaders,
    /// Polls that returned no event, with their responses.
    EmptyPoll,
    /// The bytes that TLS records add to their content: header, tag and padding.
    Tls,
    /// HTTP/2's frames for the connection itself: window updates, pings, resets. The headers of its other frames belong to what they contain,
    /// those of DATA frames to the framing.
    Control,
    /// The rest of QUIC's datagrams: the headers and tags of its packets, acknowledgements, padding, retransmissions, and the frames around the
    /// content of streams. They are encrypted, so this is what is left of the bytes that were counted at the socket.
    Quic,
    /// Opening and closing connections: the WebSocket upgrade and close frames, the `SUB` line of raw TCP, the handshake and alerts of TLS, the
    /// preface and the settings of HTTP/2.
    Handshake,
}

impl Layer {
    /// All layers, from the event outward; charts stack them in this order.
    pub const ALL: [Self; 9] = [
        Self::Event,
        Self::Framing,
        Self::ResponseHeaders,
        Self::RequestHeaders,
        Self::EmptyPoll,
        Self::Tls,
        Self::Control,
        Self::Quic,
        Self::Handshake,
    ];

    /// The name on charts and in tables.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Event => "Event",
            Self::Framing => "Framing",
            Self::ResponseHeaders => "Response headers",
            Self::RequestHeaders => "Request headers",
            Self::EmptyPoll => "Empty polls",
            Self::Tls => "TLS records",
            Self::Control => "HTTP/2 control",
            Self::Quic => "QUIC",
            Self::Handshake => "Handshake",
        }
    }

    /// The name of its byte count in JSON.
    const fn field(self) -> &'static str {
        match self {
            Self::Event => "event_bytes",
            Self::Framing => "framing_bytes",
            Self::ResponseHeaders => "response_head_bytes",
            Self::RequestHeaders => "request_head_bytes",
            Self::EmptyPoll => "empty_poll_bytes",
            Self::Tls => "tls_bytes",
            Self::Control => "http2_control_bytes",
            Self::Quic => "quic_bytes",
            Self::Handshake => "handshake_bytes",
        }
    }
}

/// Bytes by layer: a map with a count for each [`Layer`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Layers([u64; Layer::ALL.len()]);

impl Layers {
    fn sum(&self) -> u64 {
        self.0.iter().sum()
    }
}

impl Serialize for Layers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for layer in Layer::ALL {
            map.serialize_entry(layer.field(), &self.0[layer as usize])?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Layers {
    /// Deserializes a map. A missing layer, as in results of earlier versions, has no bytes.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = Layers;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a map from layers to bytes")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Layers, A::Error> {
                let mut layers = Layers::default();
                while let Some(field) = map.next_key::<Cow<'_, str>>()? {
                    match Layer::ALL.into_iter().find(|layer| layer.field() == field) {
                        Some(layer) => layers.0[layer as usize] = map.next_value()?,
                        None => _ = map.next_value::<serde::de::IgnoredAny>()?,
                    }
                }
                Ok(layers)
            }
        }

        deserializer.deserialize_map(Fields)
    }
}

impl JsonSchema for Layers {
    fn schema_name() -> Cow<'static, str> {
        "Layers".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let field = |layer: Layer| {
            let count = serde_json::json!({ "type": "integer", "minimum": 0, "description": format!("Bytes of the layer: {}.", layer.label()) });
            (layer.field().to_string(), count)
        };
        let properties: serde_json::Map<_, _> = Layer::ALL.into_iter().map(field).collect();
        schemars::json_schema!({ "type": "object", "properties": properties })
    }
}

/// The kernel's counts of the same connections (`TCP_INFO` on Linux), an independent check of the load client's own counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct KernelCount {
    /// Payload bytes received.
    #[serde(rename = "kernel_received_bytes")]
    pub received_bytes: u64,
    /// Payload bytes sent, without retransmissions.
    #[serde(rename = "kernel_sent_bytes")]
    pub sent_bytes: u64,
    /// TCP segments received, those without payload included.
    pub segments_received: u64,
    /// TCP segments sent, those without payload included.
    pub segments_sent: u64,
}

impl KernelCount {
    /// TCP segments in both directions.
    pub fn segments(self) -> u64 {
        self.segments_received + self.segments_sent
    }

    /// The bytes that TCP and IP headers add to the wire bytes: 52 bytes per segment, for IPv4 and TCP with the timestamp option. The
    /// kernel counts large segments that a network card divides, or that only loopback carries, as one; so a network may carry more
    /// segments than are counted here.
    pub fn tcp_ip_header_bytes(self) -> u64 {
        self.segments() * 52
    }
}

/// Bytes by layer, and the bytes counted at the socket. A count includes both directions unless its name states one.
///
/// The two have different sources: the counts at the socket come from the return values of read and write, the layers from the parsers of
/// the bytes. So their difference is a check that can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Ledger {
    /// Bytes read from the socket.
    pub received_bytes: u64,
    /// Bytes written to the socket.
    pub sent_bytes: u64,
    /// The bytes by layer; index the ledger by a [`Layer`].
    #[serde(flatten)]
    pub layers: Layers,
    /// The kernel's counts; `None` if they were not read, or the kernel does not provide them.
    #[serde(flatten)]
    pub kernel: Option<KernelCount>,
    /// The events' own bytes after decompression. Without compression, they are those of the layer [`Layer::Event`].
    #[serde(default)]
    pub content_bytes: u64,
    /// Events received with these bytes.
    pub events: u64,
    /// Requests sent, upgrades included.
    pub requests: u64,
    /// The part of these requests that were polls without an event.
    pub empty_polls: u64,
    /// Connections opened.
    pub connections: u64,
    /// Connections that the server had not closed one second after the client closed its side. Bytes that the server sent after that are
    /// not counted.
    #[serde(default)]
    pub cut_off: u64,
}

impl Ledger {
    /// All wire bytes, in both directions.
    pub fn wire_bytes(&self) -> u64 {
        self.received_bytes + self.sent_bytes
    }

    /// The wire bytes without the bytes of the events themselves.
    pub fn overhead_bytes(&self) -> u64 {
        self.wire_bytes().saturating_sub(self[Layer::Event])
    }

    /// Wire bytes that belong to no layer; negative if the layers have more bytes than were counted. 0 in a sound round.
    pub fn unexplained_bytes(&self) -> i64 {
        self.wire_bytes() as i64 - self.layers.sum() as i64
    }

    /// The same ledger, but with `bytes` in that layer.
    pub fn with(mut self, layer: Layer, bytes: u64) -> Self {
        self[layer] = bytes;
        self
    }
}

impl Index<Layer> for Ledger {
    type Output = u64;

    fn index(&self, layer: Layer) -> &u64 {
        &self.layers.0[layer as usize]
    }
}

impl IndexMut<Layer> for Ledger {
    fn index_mut(&mut self, layer: Layer) -> &mut u64 {
        &mut self.layers.0[layer as usize]
    }
}

/// Applies `apply` to each count of `left` and its counterpart in `right`.
fn each_count(mut left: Ledger, right: Ledger, apply: impl Fn(&mut u64, u64)) -> Ledger {
    for layer in Layer::ALL {
        apply(&mut left[layer], right[layer]);
    }
    for (count, other) in [
        (&mut left.received_bytes, right.received_bytes),
        (&mut left.sent_bytes, right.sent_bytes),
        (&mut left.content_bytes, right.content_bytes),
        (&mut left.events, right.events),
        (&mut left.requests, right.requests),
        (&mut left.empty_polls, right.empty_polls),
        (&mut left.connections, right.connections),
        (&mut left.cut_off, right.cut_off),
    ] {
        apply(count, other);
    }
    if let Some(other) = right.kernel {
        let kernel = left.kernel.get_or_insert_default();
        for (count, other) in [
            (&mut kernel.received_bytes, other.received_bytes),
            (&mut kernel.sent_bytes, other.sent_bytes),
            (&mut kernel.segments_received, other.segments_received),
            (&mut kernel.segments_sent, other.segments_sent),
        ] {
            apply(count, other);
        }
    }
    left
}

impl AddAssign for Ledger {
    fn add_assign(&mut self, other: Self) {
        *self = each_count(*self, other, |count, other| *count += other);
    }
}

impl Sub for Ledger {
    type Output = Self;

    /// The counts that were added since `earlier`, a state of the same ledger.
    fn sub(self, earlier: Self) -> Self {
        each_count(self, earlier, |count, earlier| *count = count.saturating_sub(earlier))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_without_a_layer_or_in_two_layers_is_unexplained() {
        let mut ledger = Ledger { received_bytes: 10, ..Ledger::default() };
        ledger[Layer::Event] += 9;
        assert_eq!(ledger.unexplained_bytes(), 1);
        ledger[Layer::Framing] += 2;
        assert_eq!(ledger.unexplained_bytes(), -1);
    }

    #[test]
    fn adding_ledgers_adds_every_field() {
        let json = r#"{"received_bytes":1,"sent_bytes":2,"event_bytes":3,"framing_bytes":4,"response_head_bytes":5,
            "request_head_bytes":6,"empty_poll_bytes":7,"tls_bytes":17,"http2_control_bytes":20,"quic_bytes":21,"handshake_bytes":8,"kernel_received_bytes":13,
            "kernel_sent_bytes":14,"segments_received":15,"segments_sent":16,"content_bytes":19,"events":9,"requests":10,"empty_polls":11,"connections":12,
            "cut_off":18}"#;
        let one: Ledger = serde_json::from_str(json).unwrap();
        assert_eq!(
            serde_json::to_string(&one).unwrap(),
            json.replace(['\n', ' '], ""),
            "every field is read and written"
        );
        let mut sum = Ledger::default();
        sum += one;
        assert_eq!(sum, one);
        let nothing = Ledger { kernel: Some(KernelCount::default()), ..Ledger::default() };
        assert_eq!(sum - one, nothing);
        sum += one;
        assert_eq!(sum - one, one);
    }

    #[test]
    fn a_ledger_without_tls_and_kernel_counts_is_deserialized_too() {
        let json = r#"{"received_bytes":1,"sent_bytes":2,"event_bytes":3,"events":1,"requests":0,"empty_polls":0,"connections":1}"#;
        let ledger: Ledger = serde_json::from_str(json).unwrap();
        assert_eq!((ledger[Layer::Event], ledger[Layer::Tls], ledger.kernel), (3, 0, None));
    }
}
