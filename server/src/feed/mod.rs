//! The feed: a bounded history of events that any number of subscribers read, each from its own cursor.
//!
//! An event is encoded once for each form in which it is sent, and all connections write these shared bytes. A subscriber that lags takes
//! no memory for the events that it has not received; it only has a cursor. When the history no longer reaches back to that cursor, the
//! subscriber gets a [`Gap`]; events are never skipped silently.
//!
//! The history is bounded in events and in bytes. From the start, an event counts with the bytes that it takes in all encodings together.
//! So the bound is kept whichever encodings subscribers use, and using another encoding does not remove events that others still need.

mod broker;
mod entry;
mod publisher;
mod sink;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, RwLock, RwLockWriteGuard};
use std::time::{SystemTime, UNIX_EPOCH};

use protocol::{Bookmark, Cursor, Epoch, Gap, clock};
use tokio::sync::watch;

pub use broker::{Broker, BrokerAddress, Unavailable};
pub use entry::{Encoding, Entry, max_event_bytes};
pub use publisher::{Plan, Publisher, Stall};
pub use sink::EventSink;

/// The next item after a cursor.
pub enum Next {
    /// The next event.
    Event(Arc<Entry>),
    /// The next event has left the history, or the cursor belongs to another feed.
    Gap(Gap),
    /// There is no event after the cursor yet.
    Nothing,
    /// The feed is closed, and the cursor is at its last event.
    Closed,
}

/// How far the cursor of a shared feed may be ahead of this server, in events: another server, which has delivered them, may have received them
/// earlier than this one. A cursor further ahead belongs to another feed.
const MAX_AHEAD: u64 = 100_000;

/// The one sequence of events that all transports carry.
pub struct Feed {
    history: RwLock<History>,
    max_events: usize,
    max_bytes: usize,
    /// How far a cursor may be ahead of the head, in events; 0 unless the feed is shared.
    max_ahead: u64,
    /// The memory of all events, in bytes: those in the history, and those that were removed from it but are still being written.
    memory_bytes: Arc<AtomicUsize>,
    /// A copy of the head, so that [`Feed::has_next`], which is called most, takes no lock.
    latest: AtomicU64,
    closed: AtomicBool,
    /// The newest sequence number. Its receivers are notified of every change, and when the feed is closed.
    head: watch::Sender<u64>,
    /// When the feed began, in ns on the monotonic clock.
    pub started_ns: u64,
    /// Distinguishes this feed from those of other servers.
    pub epoch: Epoch,
}

struct History {
    entries: VecDeque<Arc<Entry>>,
    /// The sequence number of `entries[0]`, or of the next event if there are no entries.
    oldest: u64,
    /// The sum of the entries' `max_bytes`.
    max_bytes: usize,
}

impl History {
    fn push(&mut self, entry: Entry) {
        self.max_bytes += entry.max_bytes();
        self.entries.push_back(Arc::new(entry));
    }

    /// Removes the oldest event.
    fn pop(&mut self) {
        if let Some(entry) = self.entries.pop_front() {
            self.max_bytes -= entry.max_bytes();
            self.oldest += 1;
        }
    }
}

impl Feed {
    /// An empty feed. Its history keeps the newest events: at most `max_events`, and at most `max_bytes` of memory in all encodings, but at
    /// least one event.
    pub fn new(max_events: usize, max_bytes: usize) -> Self {
        let started = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
        Self::empty(max_events, max_bytes, 1, Epoch(started), 0)
    }

    /// An empty feed that several servers share. Its events have numbers already: `oldest` is that of the first one to be kept. With the same
    /// `epoch` at all of them, a subscriber can go from one server to another.
    pub fn shared(max_events: usize, max_bytes: usize, oldest: u64, epoch: Epoch) -> Self {
        Self::empty(max_events, max_bytes, oldest, epoch, MAX_AHEAD)
    }

    fn empty(max_events: usize, max_bytes: usize, oldest: u64, epoch: Epoch, max_ahead: u64) -> Self {
        Self {
            history: RwLock::new(History { entries: VecDeque::new(), oldest, max_bytes: 0 }),
            max_events: max_events.max(1),
            max_bytes,
            max_ahead,
            memory_bytes: Arc::default(),
            latest: AtomicU64::new(oldest - 1),
            closed: AtomicBool::new(false),
            head: watch::Sender::new(oldest - 1),
            started_ns: clock::now_ns(),
            epoch,
        }
    }

    /// Appends an event that was due at `at` (ns, monotonic clock), notifies the receivers of the head, and returns its sequence number.
    ///
    /// Next step of the event: each worker's dispatcher, in `fan_out/dispatcher.rs`.
    pub fn publish(&self, at: u64, data: &str) -> u64 {
        self.append(self.history.write().expect("no holder of the history panics"), at, data)
    }

    /// Appends an event of a shared feed, with its sequence number there, which must be greater than that of the newest event. If events are
    /// missing between the two, the history begins with this one, so that every subscriber with an earlier cursor gets a gap; the number of
    /// missing events is returned.
    pub fn receive(&self, seq: u64, at: u64, data: &str) -> u64 {
        let mut history = self.history.write().expect("no holder of the history panics");
        let missing = seq - (history.oldest + history.entries.len() as u64);
        if missing > 0 {
            history.entries.clear();
            (history.oldest, history.max_bytes) = (seq, 0);
        }
        self.append(history, at, data);
        missing
    }

    fn append(&self, mut history: RwLockWriteGuard<'_, History>, at: u64, data: &str) -> u64 {
        let seq = history.oldest + history.entries.len() as u64;
        history.push(Entry::new(seq, at, data, self.memory_bytes.clone()));
        while history.entries.len() > self.max_events || history.max_bytes > self.max_bytes && history.entries.len() > 1
        {
            history.pop();
        }
        self.latest.store(seq, Ordering::Release);
        drop(history);
        // Two publishers may reach this point in either order, but the head must only grow.
        self.head.send_if_modified(|head| {
            let newer = seq > *head;
            *head = seq.max(*head);
            newer
        });
        seq
    }

    /// Whether [`Self::next`] would return something other than [`Next::Nothing`]; takes no lock.
    pub fn has_next(&self, cursor: Cursor) -> bool {
        let ahead = cursor.0.checked_sub(self.latest.load(Ordering::Acquire));
        ahead.is_none_or(|ahead| ahead > self.max_ahead) || self.is_closed()
    }

    /// The cursor at which a subscriber starts or resumes: `after`, or the head without it.
    ///
    /// # Errors
    /// When `after` belongs to another feed, such as that of the server before it was restarted.
    pub fn start(&self, after: Option<Bookmark>) -> Result<Cursor, Gap> {
        let Some(bookmark) = after else { return Ok(self.head()) };
        if bookmark.epoch.is_none_or(|epoch| epoch == self.epoch) {
            return Ok(bookmark.cursor);
        }
        let oldest = self.history.read().expect("no holder of the history panics").oldest;
        Err(Gap { after: bookmark.cursor, oldest, epoch: self.epoch })
    }

    /// Returns what follows `cursor`.
    pub fn next(&self, cursor: Cursor) -> Next {
        if !self.has_next(cursor) {
            return Next::Nothing;
        }
        let history = self.history.read().expect("no holder of the history panics");
        let head = history.oldest + history.entries.len() as u64 - 1;
        if cursor.next_seq() < history.oldest || cursor.0.saturating_sub(head) > self.max_ahead {
            // A cursor so far beyond the head comes from another feed, even if it does not name it.
            return Next::Gap(Gap { after: cursor, oldest: history.oldest, epoch: self.epoch });
        }
        match history.entries.get((cursor.next_seq() - history.oldest) as usize) {
            Some(entry) => Next::Event(entry.clone()),
            None if self.is_closed() => Next::Closed,
            None => Next::Nothing,
        }
    }

    /// The events after `cursor`, oldest first. No event is added once they have `max_bytes`; so at least one is returned if there is one.
    ///
    /// # Errors
    /// When the history no longer reaches back to the cursor.
    pub fn since(&self, mut cursor: Cursor, max_bytes: usize) -> Result<Vec<Arc<Entry>>, Gap> {
        let mut batch = Vec::new();
        let mut bytes = 0;
        while bytes < max_bytes {
            match self.next(cursor) {
                Next::Event(entry) => {
                    cursor = Cursor(entry.seq);
                    bytes += entry.json().len();
                    batch.push(entry);
                }
                // The events before the gap are returned first, and the gap at the next call.
                Next::Gap(gap) if batch.is_empty() => return Err(gap),
                Next::Gap(_) | Next::Nothing | Next::Closed => break,
            }
        }
        Ok(batch)
    }

    /// The sequence number of the newest event: the cursor from which a subscriber receives future events only.
    pub fn head(&self) -> Cursor {
        Cursor(*self.head.borrow())
    }

    /// A receiver that is notified when the head changes and when the feed is closed.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.head.subscribe()
    }

    /// Closes the feed: subscribers get the remaining events, then [`Next::Closed`].
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.head.send_modify(|_| ());
    }

    /// Whether the feed has been closed.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// The memory that the events take in all their encoded forms, in bytes.
    pub fn bytes(&self) -> usize {
        self.memory_bytes.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::Envelope;

    fn seqs(feed: &Feed, after: u64) -> Result<Vec<u64>, Gap> {
        Ok(feed.since(Cursor(after), usize::MAX)?.iter().map(|entry| entry.seq).collect())
    }

    #[test]
    fn events_are_numbered_from_1_and_can_be_read_from_any_cursor() {
        let feed = Feed::new(10, usize::MAX);
        assert_eq!((feed.publish(5, "a"), feed.publish(6, "b")), (1, 2));
        assert_eq!((seqs(&feed, 0), seqs(&feed, 1), seqs(&feed, 2)), (Ok(vec![1, 2]), Ok(vec![2]), Ok(vec![])));
        assert_eq!(feed.head(), Cursor(2));
    }

    #[test]
    fn the_history_is_bounded_and_a_cursor_before_it_gets_a_gap() {
        let feed = Feed::new(3, usize::MAX);
        (1..=5).for_each(|at| assert_eq!(feed.publish(at, ""), at));
        assert_eq!(seqs(&feed, 2), Ok(vec![3, 4, 5]));
        assert_eq!(seqs(&feed, 1), Err(Gap { after: Cursor(1), oldest: 3, epoch: feed.epoch }));
    }

    /// Encodes an event in every shared encoding; returns the sum of their lengths in bytes.
    fn encode_all(entry: &Entry) -> usize {
        Encoding::shared().map(|encoding| entry.encoded(&encoding).len()).sum()
    }

    #[test]
    fn the_history_is_bounded_in_bytes_with_all_encodings_together() {
        // A payload of NULs has six times its length in JSON.
        let data = "\0".repeat(10_000);
        let line = r#"{"seq":1,"at":0,"data":""}"#.len() + 60_000 + 1;
        let event = Entry::new(1, 0, &data, Arc::default()).max_bytes();
        let feed = Feed::new(1_000, 3 * event);
        (0..9).for_each(|_| _ = feed.publish(0, &data));
        assert_eq!(seqs(&feed, 6), Ok(vec![7, 8, 9]));
        assert_eq!(seqs(&feed, 5), Err(Gap { after: Cursor(5), oldest: 7, epoch: feed.epoch }));
        assert_eq!(feed.bytes(), 3 * (size_of::<Entry>() + line), "as lines only");
        let encoded: usize = feed.since(Cursor(6), usize::MAX).unwrap().iter().map(|entry| encode_all(entry)).sum();
        assert_eq!(feed.bytes(), 3 * size_of::<Entry>() + encoded);
        assert!(feed.bytes() <= 3 * event);
        assert_eq!(seqs(&feed, 6), Ok(vec![7, 8, 9]), "encoding events removes none of them");
        feed.publish(0, &"\0".repeat(2 * 10_000 - 200));
        assert_eq!(seqs(&feed, 8), Ok(vec![9, 10]), "two events are removed for one of twice their size");
        feed.publish(0, "");
        assert_eq!(seqs(&feed, 9), Ok(vec![10, 11]), "one more is removed even for the smallest event");
    }

    #[test]
    fn one_event_is_kept_even_if_it_is_larger_than_the_bound() {
        let feed = Feed::new(10, 1);
        assert_eq!((feed.publish(0, "a"), feed.publish(0, "b")), (1, 2));
        assert_eq!(seqs(&feed, 1), Ok(vec![2]));
    }

    #[test]
    fn an_event_removed_from_the_history_is_counted_until_its_last_reader_drops_it() {
        let feed = Feed::new(1, usize::MAX);
        feed.publish(0, "a");
        let one = feed.bytes();
        let Next::Event(read) = feed.next(Cursor(0)) else { panic!("there is no event 1") };
        feed.publish(0, "b");
        assert_eq!(feed.bytes(), 2 * one);
        let block = read.encoded(&Encoding::chunked(Envelope::Sse)).len();
        assert_eq!(feed.bytes(), 2 * one + block);
        drop(read);
        assert_eq!(feed.bytes(), one);
    }

    #[test]
    fn a_cursor_beyond_the_head_gets_a_gap_instead_of_waiting() {
        let feed = Feed::new(3, usize::MAX);
        assert_eq!(seqs(&feed, 7), Err(Gap { after: Cursor(7), oldest: 1, epoch: feed.epoch }));
        assert_eq!(seqs(&feed, u64::MAX), Err(Gap { after: Cursor(u64::MAX), oldest: 1, epoch: feed.epoch }));
    }

    #[test]
    fn a_cursor_with_the_epoch_of_another_feed_gets_a_gap_even_if_this_feed_has_its_number() {
        let feed = Feed::new(3, usize::MAX);
        (0..5).for_each(|at| _ = feed.publish(at, ""));
        let bookmark = |epoch| Some(Bookmark { cursor: Cursor(4), epoch });
        assert_eq!(
            (feed.start(bookmark(None)), feed.start(bookmark(Some(feed.epoch)))),
            (Ok(Cursor(4)), Ok(Cursor(4)))
        );
        let gap = Gap { after: Cursor(4), oldest: 3, epoch: feed.epoch };
        assert_eq!(feed.start(bookmark(Some(Epoch(1)))), Err(gap));
    }

    #[test]
    fn a_shared_feed_keeps_the_numbers_of_its_events_and_tells_of_those_that_are_missing() {
        let feed = Feed::shared(10, usize::MAX, 41, Epoch(7));
        assert_eq!((feed.head(), seqs(&feed, 40)), (Cursor(40), Ok(vec![])));
        assert_eq!((feed.receive(41, 0, "a"), feed.receive(42, 0, "b")), (0, 0));
        assert_eq!((seqs(&feed, 40), seqs(&feed, 41)), (Ok(vec![41, 42]), Ok(vec![42])));
        assert_eq!(feed.receive(45, 0, "e"), 2, "43 and 44 are missing");
        let gap = |after| Err(Gap { after: Cursor(after), oldest: 45, epoch: Epoch(7) });
        assert_eq!((seqs(&feed, 41), seqs(&feed, 42), seqs(&feed, 44)), (gap(41), gap(42), Ok(vec![45])));
    }

    #[test]
    fn a_cursor_of_a_shared_feed_may_be_ahead_of_this_server_and_then_waits() {
        let feed = Feed::shared(10, usize::MAX, 1, Epoch(7));
        feed.receive(1, 0, "a");
        assert!(!feed.has_next(Cursor(3)));
        assert!(matches!(feed.next(Cursor(3)), Next::Nothing));
        (2..=4).for_each(|seq| _ = feed.receive(seq, 0, ""));
        assert_eq!(seqs(&feed, 3), Ok(vec![4]));
        assert!(matches!(feed.next(Cursor(5 + MAX_AHEAD)), Next::Gap(gap) if gap.oldest == 1));
    }

    #[test]
    fn a_batch_is_bounded_in_bytes_but_contains_at_least_one_event_if_there_is_one() {
        let feed = Feed::new(10, usize::MAX);
        (0..3).for_each(|at| _ = feed.publish(at, "0123456789"));
        assert_eq!(feed.since(Cursor(0), 1).unwrap().len(), 1);
        assert_eq!(feed.since(Cursor(0), 50).unwrap().len(), 2);
    }

    #[test]
    fn a_closed_feed_returns_the_remaining_events_and_then_ends() {
        let feed = Feed::new(10, usize::MAX);
        feed.publish(0, "last");
        feed.close();
        assert!(matches!(feed.next(Cursor(0)), Next::Event(entry) if entry.seq == 1));
        assert!(matches!(feed.next(Cursor(1)), Next::Closed));
        assert!(feed.has_next(Cursor(1)), "the end of the feed is returned next");
    }
}
