//! The feed: a bounded history of events that any number of subscribers read, each at a cursor of its own.
//!
//! An event is encoded once and framed once per framing, however many subscribers there are; what a connection writes are
//! shared bytes. A subscriber that is behind costs nothing but its cursor. One that is so far behind that the history has
//! moved on gets a [`Gap`]; nothing is skipped in silence.
//!
//! The history is bounded in events and in bytes. An event counts from the start for what it comes to once it is kept in every
//! framing, so the bound holds whatever subscribers ask for, and no subscriber's reading takes events away from the others.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use protocol::framing::{chunked, line, sse, websocket};
use protocol::{Bookmark, Cursor, Epoch, Event, Gap, clock};
use tokio::sync::watch;

/// An event in the feed, with its bytes in each framing.
pub struct Entry {
    /// Its place in the feed, from 1.
    pub seq: u64,
    /// Scheduled publish time t0, in ns on the monotonic clock.
    pub at: u64,
    /// When it entered the feed, t1, in ns on the same clock.
    pub entered: u64,
    line: Bytes,
    chunked_line: OnceLock<Bytes>,
    block: OnceLock<Bytes>,
    chunked_block: OnceLock<Bytes>,
    websocket: OnceLock<Bytes>,
    /// What all events of the feed hold now, in bytes; this one counts in it until it is dropped.
    held: Arc<AtomicUsize>,
}

/// How an event's bytes are marked off from the next one's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// A line.
    Line,
    /// A line in a chunk of HTTP/1.1.
    ChunkedLine,
    /// A block of server-sent events.
    Block,
    /// Such a block in a chunk of HTTP/1.1.
    ChunkedBlock,
    /// A WebSocket text frame of a server.
    WebSocket,
}

impl Entry {
    fn new(seq: u64, at: u64, data: &str, held: Arc<AtomicUsize>) -> Self {
        let json = Event { seq, at, data: data.into() }.encode();
        let line = Bytes::from(line::frame(&json));
        let [chunked_line, block, chunked_block, websocket] = Default::default();
        let entered = clock::now_ns();
        let entry = Self { seq, at, entered, line, chunked_line, block, chunked_block, websocket, held };
        entry.held.fetch_add(entry.bytes(), Ordering::Relaxed);
        entry
    }

    /// The event's own bytes, its one JSON encoding.
    pub fn json(&self) -> &[u8] {
        &self.line[..self.line.len() - 1]
    }

    /// The event as a line.
    pub fn line(&self) -> Bytes {
        self.line.clone()
    }

    /// The event's bytes in a framing: made when they are first asked for, and shared from then on.
    pub fn framed(&self, framing: Framing) -> Bytes {
        let made = |place: &OnceLock<Bytes>, make: &dyn Fn() -> Vec<u8>| {
            let framed = place.get_or_init(|| {
                let framed = Bytes::from(make());
                self.held.fetch_add(framed.len(), Ordering::Relaxed);
                framed
            });
            framed.clone()
        };
        match framing {
            Framing::Line => self.line(),
            Framing::ChunkedLine => made(&self.chunked_line, &|| chunked::frame(&self.line)),
            Framing::Block => made(&self.block, &|| sse::frame(self.seq, self.json())),
            Framing::ChunkedBlock => made(&self.chunked_block, &|| chunked::frame(&sse::frame(self.seq, self.json()))),
            Framing::WebSocket => made(&self.websocket, &|| websocket::frame(websocket::Opcode::Text, self.json())),
        }
    }

    /// What it holds in memory now, in bytes.
    fn bytes(&self) -> usize {
        let framed = [&self.chunked_line, &self.block, &self.chunked_block, &self.websocket];
        let framed: usize = framed.into_iter().filter_map(OnceLock::get).map(Bytes::len).sum();
        size_of::<Self>() + self.line.len() + framed
    }

    /// What it may come to hold, in bytes, once it is kept in every framing.
    fn max_bytes(&self) -> usize {
        size_of::<Self>() + FRAMINGS * self.line.len() + MAX_ADDED
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.held.fetch_sub(self.bytes(), Ordering::Relaxed);
    }
}

/// How many framings there are.
const FRAMINGS: usize = 5;
/// The most that the framings add to an event's line, all of them together, in bytes: two ids and three sizes.
const MAX_ADDED: usize = 128;

/// What comes after a cursor.
pub enum Next {
    /// The event that follows.
    Event(Arc<Entry>),
    /// The event that follows has left the history, or the cursor is of another feed.
    Gap(Gap),
    /// Nothing yet.
    Nothing,
    /// Nothing ever: the feed has been closed, and all that it held was given.
    Closed,
}

/// The one sequence of events that all transports carry.
pub struct Feed {
    history: RwLock<History>,
    max_events: usize,
    max_bytes: usize,
    /// What all events hold, in bytes: those of the history, and those that have left it while someone reads them.
    held: Arc<AtomicUsize>,
    /// The head once more, for the question that is asked most, whether there is anything new, without a lock.
    latest: AtomicU64,
    closed: AtomicBool,
    /// Holds the head; whoever watches it is told of every change, and of the feed's closing.
    head: watch::Sender<u64>,
    /// When the feed began, in ns on the monotonic clock.
    pub started_ns: u64,
    /// What tells this feed from all others.
    pub epoch: Epoch,
}

struct History {
    entries: VecDeque<Arc<Entry>>,
    /// The seq of `entries[0]`, or of the first event to come while there is none.
    oldest: u64,
    /// The sum of what the entries may come to hold, in bytes.
    max_bytes: usize,
}

impl History {
    fn push(&mut self, entry: Entry) {
        self.max_bytes += entry.max_bytes();
        self.entries.push_back(Arc::new(entry));
    }

    /// Lets the oldest event go.
    fn pop(&mut self) {
        if let Some(entry) = self.entries.pop_front() {
            self.max_bytes -= entry.max_bytes();
            self.oldest += 1;
        }
    }
}

impl Feed {
    /// An empty feed that will hold the last events: at most `max_events` of them, which hold at most `max_bytes` in memory with all
    /// their framings, but at least one.
    pub fn new(max_events: usize, max_bytes: usize) -> Self {
        Self {
            history: RwLock::new(History { entries: VecDeque::new(), oldest: 1, max_bytes: 0 }),
            max_events: max_events.max(1),
            max_bytes,
            held: Arc::default(),
            latest: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            head: watch::Sender::new(0),
            started_ns: clock::now_ns(),
            epoch: Epoch(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)),
        }
    }

    /// Appends an event that was due at `at` (ns, monotonic clock), wakes whoever waits, and gives its seq.
    pub fn publish(&self, at: u64, data: &str) -> u64 {
        let mut history = self.history.write().expect("no holder of the history panics");
        let seq = history.oldest + history.entries.len() as u64;
        history.push(Entry::new(seq, at, data, self.held.clone()));
        while history.entries.len() > self.max_events || history.max_bytes > self.max_bytes && history.entries.len() > 1
        {
            history.pop();
        }
        self.latest.store(seq, Ordering::Release);
        drop(history);
        // Two publishers may get here in either order; the head only grows.
        self.head.send_if_modified(|head| {
            let newer = seq > *head;
            *head = seq.max(*head);
            newer
        });
        seq
    }

    /// Whether [`Self::next`] has something to say of `cursor`, asked without a lock.
    pub fn has_next(&self, cursor: Cursor) -> bool {
        cursor.0 != self.latest.load(Ordering::Acquire) || self.is_closed()
    }

    /// Where a subscriber begins, or goes on: behind `after`, or without it at the head.
    ///
    /// # Errors
    /// When that is a place in another feed: that of a server before it was started anew.
    pub fn place(&self, after: Option<Bookmark>) -> Result<Cursor, Gap> {
        let Some(bookmark) = after else { return Ok(self.head()) };
        if bookmark.epoch.is_none_or(|epoch| epoch == self.epoch) {
            return Ok(bookmark.cursor);
        }
        let oldest = self.history.read().expect("no holder of the history panics").oldest;
        Err(Gap { after: bookmark.cursor, oldest, epoch: self.epoch })
    }

    /// What follows `cursor`.
    pub fn next(&self, cursor: Cursor) -> Next {
        if !self.has_next(cursor) {
            return Next::Nothing;
        }
        let history = self.history.read().expect("no holder of the history panics");
        let head = history.oldest + history.entries.len() as u64 - 1;
        if cursor.next_seq() < history.oldest || cursor.0 > head {
            // A cursor beyond the head was given by another feed, even if it does not say so.
            return Next::Gap(Gap { after: cursor, oldest: history.oldest, epoch: self.epoch });
        }
        match history.entries.get((cursor.next_seq() - history.oldest) as usize) {
            Some(entry) => Next::Event(entry.clone()),
            None if self.is_closed() => Next::Closed,
            None => Next::Nothing,
        }
    }

    /// All that follows `cursor`, oldest first, up to about `most_bytes` of events but at least one if there is one.
    ///
    /// # Errors
    /// When the history no longer reaches back to the cursor.
    pub fn since(&self, mut cursor: Cursor, most_bytes: usize) -> Result<Vec<Arc<Entry>>, Gap> {
        let mut batch = Vec::new();
        let mut bytes = 0;
        while bytes < most_bytes {
            match self.next(cursor) {
                Next::Event(entry) => {
                    cursor = Cursor(entry.seq);
                    bytes += entry.json().len();
                    batch.push(entry);
                }
                // What was already taken is given first; the gap behind it is told the next time.
                Next::Gap(gap) if batch.is_empty() => return Err(gap),
                Next::Gap(_) | Next::Nothing | Next::Closed => break,
            }
        }
        Ok(batch)
    }

    /// The cursor of a subscriber that wants only what is yet to come.
    pub fn head(&self) -> Cursor {
        Cursor(*self.head.borrow())
    }

    /// A watch on the head, which also stirs when the feed is closed.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.head.subscribe()
    }

    /// Ends the feed: a subscriber gets what there is, then [`Next::Closed`].
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.head.send_modify(|_| ());
    }

    /// Whether the feed has been closed.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// What the events and their framings hold in memory, in bytes.
    pub fn bytes(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seqs(feed: &Feed, after: u64) -> Result<Vec<u64>, Gap> {
        Ok(feed.since(Cursor(after), usize::MAX)?.iter().map(|entry| entry.seq).collect())
    }

    #[test]
    fn events_are_numbered_from_one_and_read_from_any_cursor() {
        let feed = Feed::new(10, usize::MAX);
        assert_eq!((feed.publish(5, "a"), feed.publish(6, "b")), (1, 2));
        assert_eq!((seqs(&feed, 0), seqs(&feed, 1), seqs(&feed, 2)), (Ok(vec![1, 2]), Ok(vec![2]), Ok(vec![])));
        assert_eq!(feed.head(), Cursor(2));
    }

    #[test]
    fn the_history_is_bounded_and_a_cursor_that_fell_out_is_told_so() {
        let feed = Feed::new(3, usize::MAX);
        (1..=5).for_each(|at| assert_eq!(feed.publish(at, ""), at));
        assert_eq!(seqs(&feed, 2), Ok(vec![3, 4, 5]));
        assert_eq!(seqs(&feed, 1), Err(Gap { after: Cursor(1), oldest: 3, epoch: feed.epoch }));
    }

    /// All framings of an event.
    const ALL: [Framing; FRAMINGS] =
        [Framing::Line, Framing::ChunkedLine, Framing::Block, Framing::ChunkedBlock, Framing::WebSocket];

    #[test]
    fn the_history_is_bounded_in_bytes_with_every_framing_that_may_be_asked_for() {
        // A payload of NULs takes six times its length as JSON.
        let data = "\0".repeat(10_000);
        let line = r#"{"seq":1,"at":0,"data":""}"#.len() + 60_000 + 1;
        let event = size_of::<Entry>() + 5 * line + 128;
        let feed = Feed::new(1_000, 3 * event);
        (0..9).for_each(|_| _ = feed.publish(0, &data));
        assert_eq!(seqs(&feed, 6), Ok(vec![7, 8, 9]));
        assert_eq!(seqs(&feed, 5), Err(Gap { after: Cursor(5), oldest: 7, epoch: feed.epoch }));
        assert_eq!(feed.bytes(), 3 * (size_of::<Entry>() + line), "as lines alone");
        for entry in feed.since(Cursor(6), usize::MAX).unwrap() {
            ALL.iter().for_each(|&framing| _ = entry.framed(framing));
        }
        let framed = 3 * (size_of::<Entry>() + line)
            + 3 * (line + "ea7b\r\n\r\n".len())
            + 3 * (line + "id: 7\ndata: \n".len())
            + 3 * (line + "id: 7\ndata: \n".len() + "ea88\r\n\r\n".len())
            + 3 * (line - 1 + 4);
        assert_eq!(feed.bytes(), framed);
        assert!(feed.bytes() <= 3 * event);
        assert_eq!(seqs(&feed, 6), Ok(vec![7, 8, 9]), "reading takes nothing away");
        feed.publish(0, &"\0".repeat(2 * 10_000));
        assert_eq!(seqs(&feed, 8), Ok(vec![9, 10]), "the oldest two go for one that is twice as large");
        feed.publish(0, "");
        assert_eq!(seqs(&feed, 9), Ok(vec![10, 11]), "and one more for the smallest");
    }

    #[test]
    fn one_event_is_kept_though_it_is_larger_than_the_bound() {
        let feed = Feed::new(10, 1);
        assert_eq!((feed.publish(0, "a"), feed.publish(0, "b")), (1, 2));
        assert_eq!(seqs(&feed, 1), Ok(vec![2]));
    }

    #[test]
    fn an_event_never_comes_to_hold_more_than_it_counts_for() {
        for (seq, at) in [(1, 0), (u64::MAX, u64::MAX)] {
            for length in [0, 1, 99, 100, 101, 125, 126, 4_000, 65_535, 65_536, 1 << 20] {
                let entry = Entry::new(seq, at, &"x".repeat(length), Arc::default());
                ALL.iter().for_each(|&framing| _ = entry.framed(framing));
                assert_eq!(entry.held.load(Ordering::Relaxed), entry.bytes());
                assert!(entry.bytes() <= entry.max_bytes(), "{length}: {} of {}", entry.bytes(), entry.max_bytes());
            }
        }
    }

    #[test]
    fn an_event_that_left_the_history_counts_until_its_last_reader_lets_it_go() {
        let feed = Feed::new(1, usize::MAX);
        feed.publish(0, "a");
        let one = feed.bytes();
        let Next::Event(read) = feed.next(Cursor(0)) else { panic!("the event is there") };
        feed.publish(0, "b");
        assert_eq!(feed.bytes(), 2 * one);
        let block = read.framed(Framing::Block).len();
        assert_eq!(feed.bytes(), 2 * one + block);
        drop(read);
        assert_eq!(feed.bytes(), one);
    }

    #[test]
    fn a_cursor_from_another_feed_is_a_gap_not_an_endless_wait() {
        let feed = Feed::new(3, usize::MAX);
        assert_eq!(seqs(&feed, 7), Err(Gap { after: Cursor(7), oldest: 1, epoch: feed.epoch }));
        assert_eq!(seqs(&feed, u64::MAX), Err(Gap { after: Cursor(u64::MAX), oldest: 1, epoch: feed.epoch }));
    }

    #[test]
    fn a_cursor_that_says_it_is_of_another_feed_is_a_gap_even_where_this_one_has_its_number() {
        let feed = Feed::new(3, usize::MAX);
        (0..5).for_each(|at| _ = feed.publish(at, ""));
        let of = |epoch| Some(Bookmark { cursor: Cursor(4), epoch });
        assert_eq!((feed.place(of(None)), feed.place(of(Some(feed.epoch)))), (Ok(Cursor(4)), Ok(Cursor(4))));
        let gap = Gap { after: Cursor(4), oldest: 3, epoch: feed.epoch };
        assert_eq!(feed.place(of(Some(Epoch(1)))), Err(gap));
    }

    #[test]
    fn a_batch_is_bounded_in_bytes_but_never_empty_while_there_are_events() {
        let feed = Feed::new(10, usize::MAX);
        (0..3).for_each(|at| _ = feed.publish(at, "0123456789"));
        assert_eq!(feed.since(Cursor(0), 1).unwrap().len(), 1);
        assert_eq!(feed.since(Cursor(0), 50).unwrap().len(), 2);
    }

    #[test]
    fn a_closed_feed_gives_what_it_has_and_then_ends() {
        let feed = Feed::new(10, usize::MAX);
        feed.publish(0, "last");
        feed.close();
        assert!(matches!(feed.next(Cursor(0)), Next::Event(entry) if entry.seq == 1));
        assert!(matches!(feed.next(Cursor(1)), Next::Closed));
        assert!(feed.has_next(Cursor(1)), "that it is closed is something to say");
    }

    #[test]
    fn every_framing_holds_the_same_json() {
        let feed = Feed::new(1, usize::MAX);
        feed.publish(9, "x");
        let Next::Event(entry) = feed.next(Cursor(0)) else { panic!("the event is there") };
        let json = br#"{"seq":1,"at":9,"data":"x"}"#;
        assert_eq!(entry.json(), json);
        assert_eq!(entry.line(), [&json[..], b"\n"].concat());
        assert_eq!(entry.framed(Framing::ChunkedLine), [b"1c\r\n", &json[..], b"\n\r\n"].concat());
        let block = [b"id: 1\ndata: ", &json[..], b"\n\n"].concat();
        assert_eq!(entry.framed(Framing::Block), block);
        assert_eq!(entry.framed(Framing::ChunkedBlock), [b"29\r\n", &block[..], b"\r\n"].concat());
        assert_eq!(entry.framed(Framing::WebSocket), [&[0x81, json.len() as u8], &json[..]].concat());
        let pointer = || entry.framed(Framing::Block).as_ptr();
        assert_eq!(pointer(), pointer(), "framed once, then shared");
    }
}
