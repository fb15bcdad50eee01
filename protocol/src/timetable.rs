//! A schedule together with the time at which it begins: when each event is due, and what its payload is.
//!
//! The server publishes by the timetable, and the load client compares with it what was published and delivered. So the events that a round
//! must deliver follow from the settings, and not from what the server managed to publish.

use std::ops::Range;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Event;
use crate::payload::PayloadKind;
use crate::schedule::{self, Spacing};
use crate::status::Load;

/// The schedule of a running feed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Timetable {
    /// When the schedule began, in ns on the server host's monotonic clock.
    pub started_ns: u64,
    /// Number of its first event.
    pub first: u64,
    /// Events per second; with 0, there are no events.
    pub rate: f64,
    /// How the events are spaced.
    pub spacing: Spacing,
    /// Seed of times and payloads.
    pub seed: u64,
    /// Payload of an event, in bytes.
    pub payload_bytes: u32,
    /// The kind of payload.
    pub payload_kind: PayloadKind,
}

/// An event of a timetable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// Its number in the schedule, from which its payload is generated. It is also its sequence number, unless other events than those of
    /// the schedule were published.
    pub number: u64,
    /// The scheduled publish time t0, in ns on the server host's monotonic clock.
    pub at: u64,
}

impl Timetable {
    /// The timetable of a server, from its `/load`.
    pub fn of(load: &Load) -> Self {
        Self {
            started_ns: load.schedule_started_ns,
            first: load.schedule_first,
            rate: load.rate,
            spacing: load.schedule,
            seed: load.seed,
            payload_bytes: load.payload_bytes,
            payload_kind: load.payload_kind,
        }
    }

    /// The events that are due within `window` (ns on the server host's monotonic clock), in order.
    pub fn due(&self, window: Range<u64>) -> Vec<Due> {
        if self.rate <= 0.0 {
            return Vec::new();
        }
        let offsets = schedule::offsets(self.spacing, self.rate, self.seed);
        let ns = |offset: Duration| u64::try_from(offset.as_nanos()).unwrap_or(u64::MAX);
        let at = |offset| self.started_ns.saturating_add(ns(offset));
        let all = (self.first..).zip(offsets).map(|(number, offset)| Due { number, at: at(offset) });
        all.skip_while(|due| due.at < window.start).take_while(|due| due.at < window.end).collect()
    }

    /// The JSON encoding of an event with sequence number `seq`.
    pub fn json(&self, due: Due, seq: u64) -> Vec<u8> {
        let data = self.payload_kind.generate(self.seed, due.number, self.payload_bytes as usize);
        Event { seq, at: due.at, data: data.into() }.encode()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload;

    #[test]
    fn the_due_events_follow_from_the_settings() {
        let table = Timetable {
            started_ns: 1_000,
            first: 5,
            rate: 1_000.0,
            spacing: Spacing::Periodic,
            seed: 1,
            payload_bytes: 4,
            payload_kind: PayloadKind::Random,
        };
        let due = table.due(2_001_000..4_001_000);
        assert_eq!(due, [Due { number: 6, at: 2_001_000 }, Due { number: 7, at: 3_001_000 }]);
        let json = table.json(due[0], 9);
        let event = Event::decode(&json).unwrap();
        assert_eq!((event.seq, event.at, &*event.data), (9, 2_001_000, &*payload::random(1, 6, 4)));
        assert_eq!(Timetable { rate: 0.0, ..table }.due(0..u64::MAX), []);
    }
}
