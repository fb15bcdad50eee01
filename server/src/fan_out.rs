//! The fan-out: who waits for the feed on a worker, and how what is new is brought to them.
//!
//! To wake a task for each subscriber costs on top of writing to it (METHODOLOGY has the figures). So the publisher wakes one task a worker thread
//! (see `worker.rs`), and that one walks its worker's [`WakeList`]: where a subscriber left an [`Outlet`], the event's bytes are
//! written to its socket on the spot, and its task sleeps on. Only those are woken whose socket is full, who have a gap to
//! be told of, or who left none.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Waker;

use bytes::Bytes;
use protocol::Cursor;

use crate::feed::{Feed, Framing, Next};
use crate::socket::{self, Socket, Unsent};

/// Who waits for the feed on one worker, each in a slot of its own; and the worker's heartbeat.
#[derive(Default)]
pub struct WakeList {
    slots: Mutex<Slots>,
    /// Heartbeats so far. One timer a worker does for all of its connections.
    beats: AtomicU64,
}

#[derive(Default)]
struct Slots {
    used: Vec<Slot>,
    free: Vec<usize>,
}

#[derive(Default)]
struct Slot {
    waiting: bool,
    /// Kept while nobody waits, since the same task will most likely wait here again.
    waker: Option<Waker>,
    /// Where the subscription stands since it began to wait.
    cursor: Option<Cursor>,
    outlet: Option<Outlet>,
}

impl Slot {
    fn wake(&mut self) {
        self.waiting = false;
        self.waker.as_ref().inspect(|waker| waker.wake_by_ref());
    }
}

/// Where the events of a waiting subscription may be written without waking it.
pub struct Outlet {
    socket: Arc<Socket>,
    framing: Framing,
    /// What the socket did not take.
    unsent: Unsent,
}

impl Outlet {
    /// An outlet to `socket`, for events in that framing.
    pub fn new(socket: Arc<Socket>, framing: Framing) -> Self {
        Self { socket, framing, unsent: Unsent::new() }
    }
}

/// The most events that go into one write.
pub const MOST_EVENTS: usize = 64;

/// The bytes beyond which no further event goes into that write: what a slow subscriber may keep in memory, or one event if that
/// is larger.
pub const MOST_BYTES: usize = 256 << 10;

/// How many batches are kept at once: one for each framing, and some for those who are behind.
const MOST_BATCHES: usize = 8;

/// What follows a cursor, framed: made once for all who stand there.
struct Batch {
    after: Cursor,
    framing: Framing,
    parts: Vec<Bytes>,
    bytes: usize,
    /// The last event in it.
    end: Cursor,
    /// Whether there is more behind it: further events, a gap, or the feed's end.
    more: bool,
}

impl Batch {
    fn new(feed: &Feed, after: Cursor, framing: Framing) -> Self {
        let mut batch = Self { after, framing, parts: Vec::new(), bytes: 0, end: after, more: false };
        while feed.has_next(batch.end) {
            match feed.next(batch.end) {
                Next::Event(entry) if batch.parts.len() < MOST_EVENTS && batch.bytes < MOST_BYTES => {
                    batch.end = Cursor(entry.seq);
                    let part = entry.framed(framing);
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

impl WakeList {
    /// Brings what is new to every subscription that waits: into its outlet, or else by waking it.
    pub fn fan_out(&self, feed: &Feed) {
        let mut batches: Vec<Batch> = Vec::new();
        for slot in self.lock().used.iter_mut().filter(|slot| slot.waiting) {
            let Some(Outlet { socket: outlet, framing, unsent }) = &mut slot.outlet else {
                slot.wake();
                continue;
            };
            let (cursor, framing) = (slot.cursor.expect("who waits stands somewhere"), *framing);
            let known = batches.iter().position(|batch| batch.after == cursor && batch.framing == framing);
            let place = known.unwrap_or_else(|| {
                // Who keeps up stands at the same place; it is those who do not that differ.
                if batches.len() == MOST_BATCHES {
                    batches.clear();
                }
                batches.push(Batch::new(feed, cursor, framing));
                batches.len() - 1
            });
            let batch = &batches[place];
            // An error will meet the task again, when it writes.
            let taken = outlet.try_write(&batch.parts).unwrap_or(0);
            if taken > 0 {
                slot.cursor = Some(batch.end);
            }
            if 0 < taken && taken < batch.bytes {
                unsent.extend(batch.parts.iter().cloned());
                socket::advance(unsent, taken);
            }
            if batch.more || taken < batch.bytes || outlet.backlog() > 0 {
                slot.wake();
            }
        }
    }

    /// Counts a heartbeat, and wakes everyone for it.
    pub fn beat(&self) {
        self.beats.fetch_add(1, Ordering::Release);
        self.lock().used.iter_mut().filter(|slot| slot.waiting).for_each(Slot::wake);
    }

    /// Heartbeats so far.
    pub fn beats(&self) -> u64 {
        self.beats.load(Ordering::Acquire)
    }

    /// A slot for a subscription.
    pub fn enter(&self) -> usize {
        let mut slots = self.lock();
        slots.free.pop().unwrap_or_else(|| {
            slots.used.push(Slot::default());
            slots.used.len() - 1
        })
    }

    /// Gives the subscription in `slot` an outlet.
    pub fn connect(&self, slot: usize, outlet: Outlet) {
        self.lock().used[slot].outlet = Some(outlet);
    }

    /// The subscription in `slot` waits for what follows `cursor`.
    pub fn wait(&self, slot: usize, cursor: Cursor, waker: &Waker) {
        let slot = &mut self.lock().used[slot];
        slot.waiting = true;
        slot.cursor = Some(cursor);
        match &mut slot.waker {
            Some(known) => known.clone_from(waker),
            unknown => *unknown = Some(waker.clone()),
        }
    }

    /// The subscription in `slot` waits no longer. Gives where it stands, if it waited since the last time, and moves to
    /// `unsent` what its outlet did not take.
    pub fn resume(&self, slot: usize, unsent: &mut Unsent) -> Option<Cursor> {
        let slot = &mut self.lock().used[slot];
        slot.waiting = false;
        if let Some(outlet) = &mut slot.outlet {
            unsent.append(&mut outlet.unsent);
        }
        slot.cursor.take()
    }

    /// The subscription in `slot` is gone.
    pub fn leave(&self, slot: usize) {
        let mut slots = self.lock();
        slots.used[slot] = Slot::default();
        slots.free.push(slot);
    }

    fn lock(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().expect("no holder of the list panics")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_used_again() {
        let wake_list = WakeList::default();
        for _ in 0..10 {
            let slot = wake_list.enter();
            wake_list.leave(slot);
        }
        assert_eq!(wake_list.lock().used.len(), 1);
    }

    #[test]
    fn a_batch_is_what_follows_a_cursor_up_to_64_events() {
        let feed = Feed::new(100, usize::MAX);
        (0..100).for_each(|at| _ = feed.publish(at, ""));
        let batch = Batch::new(&feed, Cursor(10), Framing::Line);
        assert_eq!((batch.parts.len(), batch.end, batch.more), (64, Cursor(74), true));
        let batch = Batch::new(&feed, Cursor(99), Framing::Line);
        assert_eq!((batch.parts.len(), batch.end, batch.more), (1, Cursor(100), false));
        let batch = Batch::new(&feed, Cursor(100), Framing::Line);
        assert_eq!((batch.parts.len(), batch.bytes, batch.more), (0, 0, false));
        feed.publish(0, "");
        assert!(Batch::new(&feed, Cursor(0), Framing::Line).more, "a gap is for the subscription to tell");
    }
}
