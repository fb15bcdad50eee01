//! A subscriber's place in the feed, and how it waits there.
//!
//! One task a connection would be one entry a connection in tokio's global queue if the publisher woke each of them, and
//! a system call for each. So the publisher wakes one task a worker thread (see `worker.rs`), and that one walks its
//! worker's [`WakeList`], which is cheap from inside the runtime.

use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use protocol::Cursor;

use crate::feed::{Feed, Next};

/// The wakers of one worker's waiting subscriptions, each in a slot of its own.
#[derive(Default)]
pub struct WakeList {
    slots: Mutex<Slots>,
}

#[derive(Default)]
struct Slots {
    wakers: Vec<Option<Waker>>,
    free: Vec<usize>,
}

impl WakeList {
    /// Wakes every subscription that waits.
    pub fn wake_all(&self) {
        let mut slots = self.lock();
        for waker in slots.wakers.iter_mut().filter_map(Option::take) {
            waker.wake();
        }
    }

    fn enter(&self) -> usize {
        let mut slots = self.lock();
        slots.free.pop().unwrap_or_else(|| {
            slots.wakers.push(None);
            slots.wakers.len() - 1
        })
    }

    fn wait(&self, slot: usize, waker: &Waker) {
        let mut slots = self.lock();
        match &mut slots.wakers[slot] {
            Some(waiting) => waiting.clone_from(waker),
            empty => *empty = Some(waker.clone()),
        }
    }

    fn leave(&self, slot: usize) {
        let mut slots = self.lock();
        slots.wakers[slot] = None;
        slots.free.push(slot);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Slots> {
        self.slots.lock().expect("no holder of the list panics")
    }
}

/// A cursor that moves along the feed, one event at a time, and waits at its head.
pub struct Subscription {
    feed: Arc<Feed>,
    wake_list: Arc<WakeList>,
    slot: usize,
    cursor: Cursor,
}

impl Subscription {
    /// A subscription to what follows `after`, or to what is yet to come, waiting on the calling worker's `wake_list`.
    pub fn new(feed: Arc<Feed>, wake_list: Arc<WakeList>, after: Option<Cursor>) -> Self {
        let cursor = after.unwrap_or_else(|| feed.head());
        let slot = wake_list.enter();
        Self { feed, wake_list, slot, cursor }
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
            Next::Nothing | Next::Closed => {}
        }
        next
    }

    /// What follows, never [`Next::Nothing`]; while there is nothing, the task is woken when that changes.
    pub fn poll_take(&mut self, context: &mut Context<'_>) -> Poll<Next> {
        match self.take() {
            Next::Nothing => {}
            next => return Poll::Ready(next),
        }
        self.wake_list.wait(self.slot, context.waker());
        // An event may have come between the look and the wait; its wake-up would have found an empty slot.
        match self.take() {
            Next::Nothing => Poll::Pending,
            next => Poll::Ready(next),
        }
    }

    /// Waits until [`Self::take`] has something to give. Dropping the future loses nothing.
    pub async fn ready(&mut self) {
        std::future::poll_fn(|context| {
            self.wake_list.wait(self.slot, context.waker());
            match self.feed.next(self.cursor) {
                Next::Nothing => Poll::Pending,
                _ => Poll::Ready(()),
            }
        })
        .await
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.wake_list.leave(self.slot);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_waiting_subscription_is_woken_once_and_then_gets_each_event_in_order() {
        let (feed, wake_list) = (Arc::new(Feed::new(8)), Arc::new(WakeList::default()));
        let mut subscription = Subscription::new(feed.clone(), wake_list.clone(), None);
        let woken = Arc::new(Count::default());
        let waker = Waker::from(woken.clone());
        let mut context = Context::from_waker(&waker);
        assert!(subscription.poll_take(&mut context).is_pending());
        assert!(subscription.poll_take(&mut context).is_pending());
        feed.publish(0, "a");
        feed.publish(0, "b");
        wake_list.wake_all();
        wake_list.wake_all();
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        for seq in [1, 2] {
            let next = subscription.poll_take(&mut context);
            assert!(matches!(next, Poll::Ready(Next::Event(entry)) if entry.seq == seq));
        }
        assert!(subscription.poll_take(&mut context).is_pending());
    }

    #[test]
    fn a_gap_is_told_once_and_the_subscription_goes_on_behind_it() {
        let (feed, wake_list) = (Arc::new(Feed::new(2)), Arc::new(WakeList::default()));
        let mut subscription = Subscription::new(feed.clone(), wake_list, None);
        (0..5).for_each(|at| _ = feed.publish(at, ""));
        assert!(matches!(subscription.take(), Next::Gap(gap) if gap.missed() == 3));
        assert!(matches!(subscription.take(), Next::Event(entry) if entry.seq == 4));
    }

    #[test]
    fn slots_are_used_again() {
        let (feed, wake_list) = (Arc::new(Feed::new(2)), Arc::new(WakeList::default()));
        for _ in 0..10 {
            drop(Subscription::new(feed.clone(), wake_list.clone(), None));
        }
        assert_eq!(wake_list.lock().wakers.len(), 1);
    }
}
