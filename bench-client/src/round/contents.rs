//! The bytes of a round's events, as the subscribers received them. The bytes of an event's first delivery are stored and compared with every
//! further delivery, and in the end with what the server should have published. So a byte that was changed on the way is found, whether one
//! subscriber received it or all.

use std::collections::{HashMap, VecDeque};

use protocol::Epoch;
use protocol::fnv;
use protocol::status::Published;
use protocol::timetable::{Due, Timetable};

/// The most bytes of events that are stored in full. Of older events, only a hash is stored.
const MAX_STORED_BYTES: usize = 16 << 20;
/// The most sequence numbers, from the first event to the last, that are tracked.
const MAX_EVENTS: u64 = 4 << 20;

/// The contents of the events that have come.
#[derive(Debug, Default)]
pub struct Contents {
    /// The feed that the sequence numbers belong to, if it is known.
    epoch: Option<Epoch>,
    /// Sequence number of `events[0]`.
    first: u64,
    events: VecDeque<Content>,
    /// The index of the first of `events` that may still be stored in full.
    first_full: usize,
    stored_bytes: usize,
}

/// The stored content of one event.
#[derive(Debug, Clone, PartialEq)]
enum Content {
    /// It has not come yet.
    Unknown,
    Full(Box<[u8]>),
    Hash(u64),
}

impl Content {
    fn is(&self, json: &[u8]) -> bool {
        match self {
            Self::Unknown => false,
            Self::Full(bytes) => **bytes == *json,
            Self::Hash(hash) => *hash == fnv::hash(json),
        }
    }
}

impl Contents {
    /// Call this when the sequence numbers belong to the feed `epoch` from now on. If that is another feed, the stored contents are removed.
    pub fn begin(&mut self, epoch: Epoch) {
        if self.epoch.replace(epoch).is_some_and(|before| before != epoch) {
            *self = Self { epoch: Some(epoch), ..Self::default() };
        }
    }

    /// Compares a delivery with the earlier deliveries of the same event, and stores its bytes if it is the first. Returns whether the bytes
    /// are the same.
    pub fn agree(&mut self, seq: u64, json: &[u8]) -> bool {
        if self.events.is_empty() {
            self.first = seq;
        }
        // An event before the first one that came is not compared, since `Progress` counts it as a fault. An event beyond the tracked range
        // is not compared either.
        let Some(index) = seq.checked_sub(self.first).filter(|&index| index < MAX_EVENTS) else { return true };
        let index = index as usize;
        if index >= self.events.len() {
            self.events.resize(index + 1, Content::Unknown);
        }
        if self.events[index] != Content::Unknown {
            return self.events[index].is(json);
        }
        self.events[index] = if index < self.first_full { Content::Hash(fnv::hash(json)) } else { self.store(json) };
        true
    }

    fn store(&mut self, json: &[u8]) -> Content {
        self.stored_bytes += json.len();
        while self.stored_bytes > MAX_STORED_BYTES && self.first_full < self.events.len() {
            let content = &mut self.events[self.first_full];
            if let Content::Full(bytes) = content {
                self.stored_bytes -= bytes.len();
                *content = Content::Hash(fnv::hash(bytes));
            }
            self.first_full += 1;
        }
        Content::Full(json.into())
    }

    /// Compares what came with the timetable; returns how many events had another time than they were published with, or other bytes than
    /// follow from the seed. `due` are all events of the timetable that may have come. `published` are the events of the window, as reported
    /// by the server. Events that were published in addition to the timetable are not compared here.
    pub fn altered(&self, timetable: &Timetable, due: &[Due], published: &[Published]) -> u64 {
        // At high rates, two events may be due in the same nanosecond.
        let mut due_at: HashMap<u64, Vec<Due>> = HashMap::new();
        due.iter().for_each(|due| due_at.entry(due.at).or_default().push(*due));
        let altered = |event: &&Published| {
            let Some(content) = event.seq.checked_sub(self.first).and_then(|at| self.events.get(at as usize)) else {
                return false;
            };
            let Some(due) = due_at.get(&event.at) else { return false };
            *content != Content::Unknown && !due.iter().any(|&due| content.is(&timetable.json(due, event.seq)))
        };
        published.iter().filter(altered).count() as u64
    }
}

#[cfg(test)]
mod tests {
    use protocol::payload::PayloadKind;
    use protocol::schedule::Spacing;

    use super::*;

    fn timetable() -> Timetable {
        Timetable {
            started_ns: 0,
            first: 1,
            rate: 1e3,
            spacing: Spacing::Periodic,
            seed: 1,
            payload_bytes: 20,
            payload_kind: PayloadKind::Random,
        }
    }

    #[test]
    fn a_byte_that_differs_for_one_subscriber_is_found() {
        let mut contents = Contents::default();
        assert!(contents.agree(7, b"abc") && contents.agree(7, b"abc") && contents.agree(8, b"abc"));
        assert!(!contents.agree(7, b"abd"));
        assert!(contents.agree(u64::MAX, b"far away"), "no memory is allocated for it");
    }

    #[test]
    fn a_byte_that_differs_for_all_subscribers_and_a_changed_time_are_found() {
        let table = timetable();
        let due = table.due(0..10_000_000);
        let published: Vec<_> =
            due.iter().map(|due| Published { seq: due.number, at: due.at, entered: due.at }).collect();
        let altered = |change: fn(&mut Vec<u8>)| {
            let mut contents = Contents::default();
            for event in &due {
                let mut json = table.json(*event, event.number);
                if event.number == 3 {
                    change(&mut json);
                }
                contents.agree(event.number, &json);
            }
            contents.altered(&table, &due, &published)
        };
        assert_eq!(altered(|_| ()), 0);
        assert_eq!(altered(|json| *json.iter_mut().nth_back(3).unwrap() ^= 1), 1, "a changed payload");
        let later = |json: &mut Vec<u8>| {
            *json = String::from_utf8_lossy(json).replace("\"at\":3000000", "\"at\":3000001").into_bytes();
        };
        assert_eq!(altered(later), 1, "a changed time");
    }

    #[test]
    fn two_events_of_one_nanosecond_are_each_compared_with_their_own_payload() {
        let table = timetable();
        let due = [Due { number: 1, at: 5 }, Due { number: 2, at: 5 }];
        let published = due.map(|due| Published { seq: due.number, at: due.at, entered: due.at });
        let mut contents = Contents::default();
        due.iter().for_each(|due| _ = contents.agree(due.number, &table.json(*due, due.number)));
        assert_eq!(contents.altered(&table, &due, &published), 0);
    }

    #[test]
    fn an_event_that_is_stored_as_a_hash_is_compared_as_well() {
        let mut contents = Contents::default();
        let large = vec![b'x'; 1 << 20];
        (1..=40).for_each(|seq| assert!(contents.agree(seq, &large)));
        assert!(contents.stored_bytes <= MAX_STORED_BYTES + large.len());
        assert!(contents.agree(1, &large) && !contents.agree(1, b"y"));
    }
}
