//! What the events of a round held, as its subscribers saw them: kept once for each event and compared with every further delivery,
//! so that a byte changed on the way is found, for one subscriber or for all.

use std::collections::{HashMap, VecDeque};

use protocol::Epoch;
use protocol::fnv;
use protocol::status::Published;
use protocol::timetable::{Due, Timetable};

/// Bytes of events that are kept whole, at most; of those before them only a hash is kept.
const MAX_KEPT_BYTES: usize = 16 << 20;
/// Sequence numbers from the first to the last event that are kept track of, at most.
const MAX_EVENTS: u64 = 4 << 20;

/// The contents of the events that have come.
#[derive(Debug, Default)]
pub struct Contents {
    /// The feed whose numbers these are, where it is known.
    epoch: Option<Epoch>,
    /// Sequence number of `events[0]`.
    first: u64,
    events: VecDeque<Content>,
    /// The first of `events` that may still be whole.
    whole_from: usize,
    kept_bytes: usize,
}

/// What is known of an event's bytes.
#[derive(Debug, Clone, PartialEq)]
enum Content {
    Unseen,
    Whole(Box<[u8]>),
    Hash(u64),
}

impl Content {
    fn is(&self, json: &[u8]) -> bool {
        match self {
            Self::Unseen => false,
            Self::Whole(bytes) => **bytes == *json,
            Self::Hash(hash) => *hash == fnv::hash(json),
        }
    }
}

impl Contents {
    /// Begins anew where the numbers are another feed's from now on.
    pub fn begin(&mut self, epoch: Epoch) {
        if self.epoch.replace(epoch).is_some_and(|before| before != epoch) {
            *self = Self { epoch: Some(epoch), ..Self::default() };
        }
    }

    /// Takes note of a delivery; whether its bytes are those of every other delivery of the same event so far.
    pub fn agree(&mut self, seq: u64, json: &[u8]) -> bool {
        if self.events.is_empty() {
            self.first = seq;
        }
        // What comes from before the first one seen is late, which is counted elsewhere.
        let Some(index) = seq.checked_sub(self.first).filter(|&index| index < MAX_EVENTS) else { return true };
        let index = index as usize;
        if index >= self.events.len() {
            self.events.resize(index + 1, Content::Unseen);
        }
        if self.events[index] != Content::Unseen {
            return self.events[index].is(json);
        }
        self.events[index] = if index < self.whole_from { Content::Hash(fnv::hash(json)) } else { self.keep(json) };
        true
    }

    fn keep(&mut self, json: &[u8]) -> Content {
        self.kept_bytes += json.len();
        while self.kept_bytes > MAX_KEPT_BYTES && self.whole_from < self.events.len() {
            let content = &mut self.events[self.whole_from];
            if let Content::Whole(bytes) = content {
                self.kept_bytes -= bytes.len();
                *content = Content::Hash(fnv::hash(bytes));
            }
            self.whole_from += 1;
        }
        Content::Whole(json.into())
    }

    /// Holds what came against the timetable: how many events bear another time than they were published with, or other bytes than
    /// follow from the seed. `due` are all events of the timetable that may have come, `published` what the server says of the
    /// window's events; what was published beside the timetable is held against its time only.
    pub fn altered(&self, timetable: &Timetable, due: &[Due], published: &[Published]) -> u64 {
        let due: HashMap<u64, Due> = due.iter().map(|due| (due.at, *due)).collect();
        let wrong = |event: &&Published| {
            let Some(content) = event.seq.checked_sub(self.first).and_then(|at| self.events.get(at as usize)) else {
                return false;
            };
            let Some(&due) = due.get(&event.at) else { return false };
            *content != Content::Unseen && !content.is(&timetable.json(due, event.seq))
        };
        published.iter().filter(wrong).count() as u64
    }
}

#[cfg(test)]
mod tests {
    use protocol::schedule::Spacing;

    use super::*;

    fn timetable() -> Timetable {
        Timetable { started_ns: 0, first: 1, rate: 1e3, spacing: Spacing::Periodic, seed: 1, payload_bytes: 20 }
    }

    #[test]
    fn a_byte_that_one_subscriber_saw_differently_is_found() {
        let mut contents = Contents::default();
        assert!(contents.agree(7, b"abc") && contents.agree(7, b"abc") && contents.agree(8, b"abc"));
        assert!(!contents.agree(7, b"abd"));
        assert!(contents.agree(u64::MAX, b"far away"), "no memory is taken for it");
    }

    #[test]
    fn a_byte_that_all_saw_differently_and_a_time_that_was_moved_are_found() {
        let table = timetable();
        let due = table.due(0..10_000_000);
        let published: Vec<_> =
            due.iter().map(|due| Published { seq: due.number, at: due.at, entered: due.at }).collect();
        let seen = |change: fn(&mut Vec<u8>)| {
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
        assert_eq!(seen(|_| ()), 0);
        assert_eq!(seen(|json| *json.iter_mut().nth_back(3).unwrap() ^= 1), 1, "a changed payload");
        let moved = |json: &mut Vec<u8>| {
            *json = String::from_utf8_lossy(json).replace("\"at\":3000000", "\"at\":3000001").into_bytes();
        };
        assert_eq!(seen(moved), 1, "a time that was moved");
    }

    #[test]
    fn beyond_what_is_kept_whole_a_hash_still_tells() {
        let mut contents = Contents::default();
        let large = vec![b'x'; 1 << 20];
        (1..=40).for_each(|seq| assert!(contents.agree(seq, &large)));
        assert!(contents.kept_bytes <= MAX_KEPT_BYTES + large.len());
        assert!(contents.agree(1, &large) && !contents.agree(1, b"y"));
    }
}
