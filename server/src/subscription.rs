//! A subscriber's place in the feed, and how it waits there.
//!
//! One task a connection would be one entry a connection in tokio's global queue if the publisher woke each of them, and
//! a system call for each. So the publisher wakes one task a worker thread (see `worker.rs`), and that one walks its
//! worker's [`WakeList`], which is cheap from inside the runtime.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use protocol::Cursor;

use crate::feed::{Feed, Next};

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
}

impl WakeList {
    /// Wakes every subscription that waits.
    pub fn wake_all(&self) {
        for slot in self.lock().used.iter_mut().filter(|slot| slot.waiting) {
            slot.waiting = false;
            slot.waker.as_ref().inspect(|waker| waker.wake_by_ref());
        }
    }

    /// Counts a heartbeat, and wakes everyone for it.
    pub fn beat(&self) {
        self.beats.fetch_add(1, Ordering::Release);
        self.wake_all();
    }

    fn enter(&self) -> usize {
        let mut slots = self.lock();
        slots.free.pop().unwrap_or_else(|| {
            slots.used.push(Slot::default());
            slots.used.len() - 1
        })
    }

    fn wait(&self, slot: usize, waker: &Waker) {
        let slot = &mut self.lock().used[slot];
        slot.waiting = true;
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
    /// A subscription to what follows `after`, or to what is yet to come, waiting on the calling worker's `wake_list`.
    pub fn new(feed: Arc<Feed>, wake_list: Arc<WakeList>, after: Option<Cursor>) -> Self {
        let cursor = after.unwrap_or_else(|| feed.head());
        let slot = wake_list.enter();
        let beat = wake_list.beats.load(Ordering::Acquire);
        Self { feed, wake_list, slot, cursor, beat, quiet: false }
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
        self.wake_list.wait(self.slot, context.waker());
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
        wake_list.wake_all();
        wake_list.wake_all();
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
