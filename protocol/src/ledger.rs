//! Where the wire bytes went: layers that add up exactly to what was counted at the socket.

use std::ops::{AddAssign, Index, IndexMut, Sub};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a byte on the wire was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    /// The event's own bytes, the one JSON encoding: what the subscriber wanted.
    Event,
    /// What marks where an event ends: line ends, chunk sizes, SSE fields, frame headers; heartbeats; gap notices.
    Framing,
    /// Heads of answers that carried, or went on to carry, events.
    ResponseHead,
    /// Heads of the requests for them.
    RequestHead,
    /// Polls, with their answers, that brought no event.
    EmptyPoll,
    /// What TLS's records add to what is in them: header, tag and padding.
    Tls,
    /// Opening and closing: WebSocket upgrade and close frames, the `SUB` line of raw TCP, and what TLS has to say for itself.
    Handshake,
}

impl Layer {
    /// All layers, from the wanted bytes outward; charts stack them in this order.
    pub const ALL: [Layer; 7] = [
        Self::Event,
        Self::Framing,
        Self::ResponseHead,
        Self::RequestHead,
        Self::EmptyPoll,
        Self::Tls,
        Self::Handshake,
    ];

    /// The name for people.
    pub fn label(self) -> &'static str {
        match self {
            Self::Event => "Event",
            Self::Framing => "Framing",
            Self::ResponseHead => "Response heads",
            Self::RequestHead => "Request heads",
            Self::EmptyPoll => "Empty polls",
            Self::Tls => "TLS records",
            Self::Handshake => "Handshake",
        }
    }
}

/// Bytes by layer, beside the bytes counted at the socket, both ways together unless a name says otherwise.
///
/// The two sides come from different places: the socket's count from the return values of read and write, the layers
/// from the parsers that took the bytes apart. So their difference is a check that can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Ledger {
    /// Bytes that the socket delivered.
    pub received_bytes: u64,
    /// Bytes that the socket took.
    pub sent_bytes: u64,
    /// [`Layer::Event`] bytes.
    pub event_bytes: u64,
    /// [`Layer::Framing`] bytes.
    pub framing_bytes: u64,
    /// [`Layer::ResponseHead`] bytes.
    pub response_head_bytes: u64,
    /// [`Layer::RequestHead`] bytes.
    pub request_head_bytes: u64,
    /// [`Layer::EmptyPoll`] bytes.
    pub empty_poll_bytes: u64,
    /// [`Layer::Tls`] bytes.
    #[serde(default)]
    pub tls_bytes: u64,
    /// [`Layer::Handshake`] bytes.
    pub handshake_bytes: u64,
    /// Payload bytes that the kernel counted as received (`TCP_INFO`): the witness for `received_bytes`.
    pub kernel_received_bytes: u64,
    /// Payload bytes that the kernel counted as sent, retransmissions left out: the witness for `sent_bytes`.
    pub kernel_sent_bytes: u64,
    /// TCP segments received, those without payload included.
    pub segments_received: u64,
    /// TCP segments sent, those without payload included.
    pub segments_sent: u64,
    /// Events these bytes brought.
    pub events: u64,
    /// Requests sent, upgrades included.
    pub requests: u64,
    /// Of these, polls that brought no event.
    pub empty_polls: u64,
    /// Connections opened.
    pub connections: u64,
    /// Connections whose end had not come a second after we ended our side; what the server still sent on them is not counted.
    #[serde(default)]
    pub cut_off: u64,
}

impl Ledger {
    /// All wire bytes, both ways.
    pub fn wire_bytes(&self) -> u64 {
        self.received_bytes + self.sent_bytes
    }

    /// Wire bytes less the event's own.
    pub fn overhead_bytes(&self) -> u64 {
        self.wire_bytes().saturating_sub(self.event_bytes)
    }

    /// Wire bytes that no layer accounts for; negative where layers claim more than was counted. 0 in a sound round.
    pub fn unexplained_bytes(&self) -> i64 {
        let explained: u64 = Layer::ALL.iter().map(|&layer| self[layer]).sum();
        self.wire_bytes() as i64 - explained as i64
    }
}

impl Ledger {
    /// What TCP and IP add to the wire bytes: 52 bytes a segment, which is IPv4 with TCP and its time stamp. On a network whose
    /// segments are cut in hardware, and on loopback with its large ones, the wire has more of them than the kernel says.
    pub fn tcp_ip_header_bytes(&self) -> u64 {
        (self.segments_received + self.segments_sent) * 52
    }
}

impl Index<Layer> for Ledger {
    type Output = u64;

    fn index(&self, layer: Layer) -> &u64 {
        match layer {
            Layer::Event => &self.event_bytes,
            Layer::Framing => &self.framing_bytes,
            Layer::ResponseHead => &self.response_head_bytes,
            Layer::RequestHead => &self.request_head_bytes,
            Layer::EmptyPoll => &self.empty_poll_bytes,
            Layer::Tls => &self.tls_bytes,
            Layer::Handshake => &self.handshake_bytes,
        }
    }
}

impl IndexMut<Layer> for Ledger {
    fn index_mut(&mut self, layer: Layer) -> &mut u64 {
        match layer {
            Layer::Event => &mut self.event_bytes,
            Layer::Framing => &mut self.framing_bytes,
            Layer::ResponseHead => &mut self.response_head_bytes,
            Layer::RequestHead => &mut self.request_head_bytes,
            Layer::EmptyPoll => &mut self.empty_poll_bytes,
            Layer::Tls => &mut self.tls_bytes,
            Layer::Handshake => &mut self.handshake_bytes,
        }
    }
}

impl AddAssign for Ledger {
    fn add_assign(&mut self, other: Self) {
        for layer in Layer::ALL {
            self[layer] += other[layer];
        }
        self.received_bytes += other.received_bytes;
        self.sent_bytes += other.sent_bytes;
        self.kernel_received_bytes += other.kernel_received_bytes;
        self.kernel_sent_bytes += other.kernel_sent_bytes;
        self.segments_received += other.segments_received;
        self.segments_sent += other.segments_sent;
        self.events += other.events;
        self.requests += other.requests;
        self.empty_polls += other.empty_polls;
        self.connections += other.connections;
        self.cut_off += other.cut_off;
    }
}

impl Sub for Ledger {
    type Output = Self;

    /// What has been added since `earlier`, a state of the same ledger.
    fn sub(mut self, earlier: Self) -> Self {
        for layer in Layer::ALL {
            self[layer] = self[layer].saturating_sub(earlier[layer]);
        }
        for (figure, before) in [
            (&mut self.received_bytes, earlier.received_bytes),
            (&mut self.sent_bytes, earlier.sent_bytes),
            (&mut self.kernel_received_bytes, earlier.kernel_received_bytes),
            (&mut self.kernel_sent_bytes, earlier.kernel_sent_bytes),
            (&mut self.segments_received, earlier.segments_received),
            (&mut self.segments_sent, earlier.segments_sent),
            (&mut self.events, earlier.events),
            (&mut self.requests, earlier.requests),
            (&mut self.empty_polls, earlier.empty_polls),
            (&mut self.connections, earlier.connections),
            (&mut self.cut_off, earlier.cut_off),
        ] {
            *figure = figure.saturating_sub(before);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_without_a_layer_is_unexplained_and_so_is_one_claimed_twice() {
        let mut ledger = Ledger { received_bytes: 10, ..Ledger::default() };
        ledger[Layer::Event] += 9;
        assert_eq!(ledger.unexplained_bytes(), 1);
        ledger[Layer::Framing] += 2;
        assert_eq!(ledger.unexplained_bytes(), -1);
    }

    #[test]
    fn adding_ledgers_adds_every_field() {
        let json = r#"{"received_bytes":1,"sent_bytes":2,"event_bytes":3,"framing_bytes":4,"response_head_bytes":5,
            "request_head_bytes":6,"empty_poll_bytes":7,"tls_bytes":17,"handshake_bytes":8,"events":9,"requests":10,"empty_polls":11,
            "connections":12,"kernel_received_bytes":13,"kernel_sent_bytes":14,"segments_received":15,"segments_sent":16,"cut_off":18}"#;
        let one: Ledger = serde_json::from_str(json).unwrap();
        let mut sum = Ledger::default();
        sum += one;
        assert_eq!(sum, one);
        assert_eq!(sum - one, Ledger::default());
        sum += one;
        assert_eq!(sum - one, one);
    }
}
