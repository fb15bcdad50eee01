//! A batch: the encoded events after a cursor, shared by all subscribers with that cursor.

use bytes::Bytes;
use protocol::Cursor;

use crate::feed::{Encoding, Feed, Next};

/// The most events that go into one write.
pub(super) const MAX_EVENTS: usize = 64;
/// The size in bytes at which no further event is added to a write. A slow consumer takes about that much memory, or that of one event if
/// it is larger.
pub(super) const MAX_BYTES: usize = 256 << 10;

/// The bytes to write to every subscriber whose cursor is `after` and that uses `encoding`.
pub(super) struct Batch {
    pub after: Cursor,
    pub encoding: Encoding,
    pub parts: Vec<Bytes>,
    /// Length of all parts, in bytes.
    pub bytes: usize,
    /// The sequence number of the last event in it.
    pub end: Cursor,
    /// Whether more comes after it: further events, a gap, or the end of the feed.
    pub more: bool,
}

impl Batch {
    pub fn new(feed: &Feed, after: Cursor, encoding: &Encoding) -> Self {
        let encoding = encoding.clone();
        let mut batch = Self { after, encoding, parts: Vec::new(), bytes: 0, end: after, more: false };
        while feed.has_next(batch.end) {
            match feed.next(batch.end) {
                Next::Event(entry) if batch.parts.len() < MAX_EVENTS && batch.bytes < MAX_BYTES => {
                    batch.end = Cursor(entry.seq);
                    let part = entry.encoded(&batch.encoding);
                    batch.bytes += part.len();
                    batch.parts.push(part);
                }
                Next::Nothing => break,
                Next::Event(_) | Next::Gap(_) | Next::Closed => {
                    batch.more = true;
                    break;
                }
            }
        }
        batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::Envelope;

    #[test]
    fn a_batch_contains_up_to_64_events_after_a_cursor() {
        let feed = Feed::new(100, usize::MAX);
        (0..100).for_each(|at| _ = feed.publish(at, ""));
        let batch = |after| Batch::new(&feed, Cursor(after), &Encoding::plain(Envelope::Line));
        let figures = |batch: Batch| (batch.parts.len(), batch.end, batch.more);
        assert_eq!(figures(batch(10)), (64, Cursor(74), true));
        assert_eq!(figures(batch(99)), (1, Cursor(100), false));
        assert_eq!(figures(batch(100)), (0, Cursor(100), false));
        feed.publish(0, "");
        assert!(batch(0).more, "the subscriber's task handles the gap");
    }
}
