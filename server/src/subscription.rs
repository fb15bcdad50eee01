//! A subscriber's place in the feed, and how it waits there.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use protocol::{Bookmark, Cursor, Gap};

use crate::fan_out::{Outlet, WakeList};
use crate::feed::{Feed, Next};
use crate::socket::Unsent;

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
    /// Why it does not begin where it was to begin, until that was told.
    gap: Option<Gap>,
    /// The last heartbeat seen, and whether nothing was taken since.
    beat: u64,
    quiet: bool,
}

impl Subscription {
    /// A subscription to what follows `after`, or to what is yet to come, waiting on the calling worker's `wake_list`; it is
    /// woken for each event.
    pub fn new(feed: Arc<Feed>, wake_list: Arc<WakeList>, after: Option<Bookmark>) -> Self {
        let (cursor, gap) = match feed.place(after) {
            Ok(cursor) => (cursor, None),
            Err(gap) => (gap.after, Some(gap)),
        };
        let slot = wake_list.enter();
        let beat = wake_list.beats();
        Self { feed, wake_list, slot, cursor, gap, beat, quiet: false }
    }

    /// The same subscription with an outlet: while it waits, events may be written there, and it is not woken for them. Whoever
    /// writes to that socket must [`Self::resume`] first.
    pub fn with_outlet(self, outlet: Outlet) -> Self {
        self.wake_list.connect(self.slot, outlet);
        self
    }

    /// Ends the waiting: the cursor moves past what went into the outlet meanwhile, and what the socket did not take of it is
    /// moved to `unsent`.
    pub fn resume(&mut self, unsent: &mut Unsent) {
        if let Some(cursor) = self.wake_list.resume(self.slot, unsent)
            && cursor != self.cursor
        {
            (self.cursor, self.quiet) = (cursor, false);
        }
    }

    /// What follows, without waiting; the cursor moves past it.
    pub fn take(&mut self) -> Next {
        let next = self.gap.take().map_or_else(|| self.feed.next(self.cursor), Next::Gap);
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
        // An event may have come between the look and the wait, when the fan-out found nobody waiting.
        let Some(turn) = self.turn() else { return Poll::Pending };
        // From here on it is the task that writes.
        self.wake_list.resume(self.slot, &mut Unsent::new());
        Poll::Ready(turn)
    }

    /// Whether something follows the cursor; heartbeats are passed over.
    pub fn poll_news(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while let Turn::Heartbeat = ready!(self.poll_turn(context)) {}
        Poll::Ready(())
    }

    fn turn(&mut self) -> Option<Turn> {
        if self.gap.is_some() || self.feed.has_next(self.cursor) {
            return Some(Turn::Deliver);
        }
        let beat = self.wake_list.beats();
        let due = beat != self.beat && std::mem::replace(&mut self.quiet, true);
        self.beat = beat;
        due.then_some(Turn::Heartbeat)
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
    use std::task::{Wake, Waker};

    use protocol::Epoch;

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
        let (feed, wake_list) = (Arc::new(Feed::new(2, usize::MAX)), Arc::new(WakeList::default()));
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
    fn a_place_in_another_feed_is_told_to_be_none_before_anything_is_published() {
        let (feed, wake_list, _) = subscribed();
        let elsewhere = Bookmark { cursor: Cursor(0), epoch: Some(Epoch(1)) };
        let mut subscription = Subscription::new(feed.clone(), wake_list, Some(elsewhere));
        let mut context = Context::from_waker(Waker::noop());
        assert!(matches!(subscription.poll_turn(&mut context), Poll::Ready(Turn::Deliver)));
        assert!(matches!(subscription.take(), Next::Gap(gap) if gap.epoch == feed.epoch));
        assert!(subscription.poll_turn(&mut context).is_pending());
    }

    #[test]
    fn a_gap_is_told_once_and_the_subscription_goes_on_behind_it() {
        let (feed, _, mut subscription) = subscribed();
        (0..5).for_each(|at| _ = feed.publish(at, ""));
        assert!(matches!(subscription.take(), Next::Gap(gap) if gap.missed() == 3));
        assert!(matches!(subscription.take(), Next::Event(entry) if entry.seq == 4));
    }
}
