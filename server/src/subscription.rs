//! A subscriber's place in the feed, and how it waits there.
//!
//! To wake a task for each subscriber costs as much again as to write to it. So the publisher wakes one task a worker thread
//! (see `worker.rs`), and that one walks its worker's [`WakeList`]: where a subscriber left an [`Outlet`], the event's bytes are
//! written to its socket on the spot, and its task sleeps on. Only those are woken whose socket is full, who have a gap to
//! be told of, or who left none.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use protocol::Cursor;

use crate::feed::{Feed, Framing, Next};
use crate::socket::{Socket, Unsent};

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
                Next::Event(entry) if batch.parts.len() < MOST_EVENTS => {
                    batch.end = Cursor(entry.seq);
                    batch.parts.push(entry.framed(framing));
                }
                Next::Nothing => break,
                Next::Event(_) | Next::Gap(_) | Next::Closed => {
                    batch.more = true;
                    break;
                }
            }
        }
        batch.bytes = batch.parts.iter().map(Bytes::len).sum();
        batch
    }
}

impl WakeList {
    /// Brings what is new to every subscription that waits: into its outlet, or else by waking it.
    pub fn fan_out(&self, feed: &Feed) {
        let mut batch: Option<Batch> = None;
        for slot in self.lock().used.iter_mut().filter(|slot| slot.waiting) {
            let Some(Outlet { socket, framing, unsent }) = &mut slot.outlet else {
                slot.wake();
                continue;
            };
            let (cursor, framing) = (slot.cursor.expect("who waits stands somewhere"), *framing);
            let batch = match &mut batch {
                Some(batch) if batch.after == cursor && batch.framing == framing => batch,
                other => other.insert(Batch::new(feed, cursor, framing)),
            };
            // An error will meet the task again, when it writes.
            let taken = if batch.parts.is_empty() { 0 } else { socket.try_write(&batch.parts).unwrap_or(0) };
            if taken > 0 {
                slot.cursor = Some(batch.end);
            }
            if 0 < taken && taken < batch.bytes {
                unsent.extend(batch.parts.iter().cloned());
                crate::socket::advance(unsent, taken);
            }
            if batch.more || taken < batch.bytes {
                slot.wake();
            }
        }
    }

    /// Counts a heartbeat, and wakes everyone for it.
    pub fn beat(&self) {
        self.beats.fetch_add(1, Ordering::Release);
        self.lock().used.iter_mut().filter(|slot| slot.waiting).for_each(Slot::wake);
    }

    fn enter(&self) -> usize {
        let mut slots = self.lock();
        slots.free.pop().unwrap_or_else(|| {
            slots.used.push(Slot::default());
            slots.used.len() - 1
        })
    }

    fn wait(&self, slot: usize, cursor: Cursor, waker: &Waker) {
        let slot = &mut self.lock().used[slot];
        slot.waiting = true;
        slot.cursor = Some(cursor);
        match &mut slot.waker {
            Some(known) => known.clone_from(waker),
            unknown => *unknown = Some(waker.clone()),
        }
    }

    fn leave(&self, slot: usize) {
        let mut slots = self.lock();
        slots.used[slot] = Slot::default();
        slots.free.push(slot);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Slots> {
        self.slots.lock().expect("no holder of the list panics")
    }
}

/// What a subscription has for its connection.
pub enum Turn {
    /// Something follows the cursor: [`Subscription::take`] will give it.
    Deliver,
    /// Nothing was taken for a whole heartbeat: a sign of life is due.
    Heartbeat,
}

/// A cursor that moves along the feed, one event at a time, and waits at its head.
pub struct Subscription {
    feed: Arc<Feed>,
    wake_list: Arc<WakeList>,
    slot: usize,
    cursor: Cursor,
    /// The last heartbeat seen, and whether nothing was taken since.
    beat: u64,
    quiet: bool,
}

impl Subscription {
    /// A subscription to what follows `after`, or to what is yet to come, waiting on the calling worker's `wake_list`; it is
    /// woken for each event.
    pub fn new(feed: Arc<Feed>, wake_list: Arc<WakeList>, after: Option<Cursor>) -> Self {
        let cursor = after.unwrap_or_else(|| feed.head());
        let slot = wake_list.enter();
        let beat = wake_list.beats.load(Ordering::Acquire);
        Self { feed, wake_list, slot, cursor, beat, quiet: false }
    }

    /// The same subscription with an outlet: while it waits, events may be written there, and it is not woken for them. Whoever
    /// writes to that socket must [`Self::resume`] first.
    pub fn with_outlet(self, outlet: Outlet) -> Self {
        self.wake_list.lock().used[self.slot].outlet = Some(outlet);
        self
    }

    /// Ends the waiting: the cursor moves past what went into the outlet meanwhile, and what the socket did not take of it is
    /// moved to `unsent`.
    pub fn resume(&mut self, unsent: &mut Unsent) {
        let mut slots = self.wake_list.lock();
        let slot = &mut slots.used[self.slot];
        if let Some(outlet) = &mut slot.outlet {
            unsent.append(&mut outlet.unsent);
        }
        slot.waiting = false;
        if let Some(cursor) = slot.cursor.take()
            && cursor != self.cursor
        {
            (self.cursor, self.quiet) = (cursor, false);
        }
    }

    /// Where the subscription stands.
    pub fn cursor(&self) -> Cursor {
        self.cursor
    }

    /// What follows, without waiting; the cursor moves past it.
    pub fn take(&mut self) -> Next {
        let next = self.feed.next(self.cursor);
        match &next {
            Next::Event(entry) => self.cursor = Cursor(entry.seq),
            Next::Gap(gap) => self.cursor = gap.resume(),
            Next::Nothing | Next::Closed => return next,
        }
        self.quiet = false;
        next
    }

    /// Whether there is something to do; while there is not, the task is woken when that changes.
    pub fn poll_turn(&mut self, context: &mut Context<'_>) -> Poll<Turn> {
        if let Some(turn) = self.turn() {
            return Poll::Ready(turn);
        }
        self.wake_list.wait(self.slot, self.cursor, context.waker());
        // An event may have come between the look and the wait; its wake-up would have found nobody waiting.
        self.turn().map_or(Poll::Pending, Poll::Ready)
    }

    fn turn(&mut self) -> Option<Turn> {
        if self.feed.has_next(self.cursor) {
            return Some(Turn::Deliver);
        }
        let beat = self.wake_list.beats.load(Ordering::Acquire);
        let due = beat != self.beat && std::mem::replace(&mut self.quiet, true);
        self.beat = beat;
        due.then_some(Turn::Heartbeat)
    }

    /// Waits until there is something to do. Dropping the future loses nothing.
    pub async fn next_turn(&mut self) -> Turn {
        std::future::poll_fn(|context| self.poll_turn(context)).await
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.wake_list.leave(self.slot);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A feed, a wake list, and a subscription that waits there for what is yet to come.
    fn subscribed() -> (Arc<Feed>, Arc<WakeList>, Subscription) {
        let (feed, wake_list) = (Arc::new(Feed::new(2)), Arc::new(WakeList::default()));
        let subscription = Subscription::new(feed.clone(), wake_list.clone(), None);
        (feed, wake_list, subscription)
    }

    #[test]
    fn a_waiting_subscription_is_woken_once_and_then_gets_each_event_in_order() {
        let (feed, wake_list, mut subscription) = subscribed();
        let woken = Arc::new(Count::default());
        let waker = Waker::from(woken.clone());
        let mut context = Context::from_waker(&waker);
        assert!(subscription.poll_turn(&mut context).is_pending());
        assert!(subscription.poll_turn(&mut context).is_pending());
        feed.publish(0, "a");
        feed.publish(0, "b");
        wake_list.fan_out(&feed);
        wake_list.fan_out(&feed);
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        for seq in [1, 2] {
            assert!(matches!(subscription.poll_turn(&mut context), Poll::Ready(Turn::Deliver)));
            assert!(matches!(subscription.take(), Next::Event(entry) if entry.seq == seq));
        }
        assert!(subscription.poll_turn(&mut context).is_pending());
    }

    #[test]
    fn a_heartbeat_is_due_after_a_whole_beat_of_silence_and_an_event_puts_it_off() {
        let (feed, wake_list, mut subscription) = subscribed();
        let mut context = Context::from_waker(Waker::noop());
        let mut beat = || {
            wake_list.beat();
            subscription.poll_turn(&mut context)
        };
        // The first beat may come right after the subscription began.
        assert!(beat().is_pending());
        assert!(matches!(beat(), Poll::Ready(Turn::Heartbeat)));
        assert!(matches!(beat(), Poll::Ready(Turn::Heartbeat)));
        feed.publish(0, "");
        subscription.take();
        wake_list.beat();
        assert!(subscription.poll_turn(&mut context).is_pending());
    }

    #[test]
    fn a_gap_is_told_once_and_the_subscription_goes_on_behind_it() {
        let (feed, _, mut subscription) = subscribed();
        (0..5).for_each(|at| _ = feed.publish(at, ""));
        assert!(matches!(subscription.take(), Next::Gap(gap) if gap.missed() == 3));
        assert!(matches!(subscription.take(), Next::Event(entry) if entry.seq == 4));
    }

    #[test]
    fn slots_are_used_again() {
        let (feed, wake_list, subscription) = subscribed();
        drop(subscription);
        for _ in 0..10 {
            drop(Subscription::new(feed.clone(), wake_list.clone(), None));
        }
        assert_eq!(wake_list.lock().used.len(), 1);
    }
}
