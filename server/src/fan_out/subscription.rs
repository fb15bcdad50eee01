//! A subscription: the handle through which a task accesses its subscriber's record, and waits for the feed.

use std::cell::RefMut;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use protocol::Bookmark;

use super::dispatcher::Dispatcher;
use super::subscriber::{Output, Subscriber};
use crate::carrier::{Socket, Unsent};
use crate::feed::{Encoding, Feed, Next};

/// The reason why a waiting task is woken.
pub enum Turn {
    /// There is something after the cursor: [`Subscription::take`] returns it.
    Deliver,
    /// Nothing was sent for a whole heartbeat interval: a heartbeat is due.
    Heartbeat,
}

/// A handle to a subscriber's record in its worker's dispatcher. Dropping it removes the record.
pub struct Subscription {
    feed: Arc<Feed>,
    dispatcher: Rc<Dispatcher>,
    index: usize,
}

impl Subscription {
    /// Subscribes to the events after `after`, or to future events only if it is `None`. The task is woken for each event.
    pub fn new(feed: Arc<Feed>, dispatcher: Rc<Dispatcher>, after: Option<Bookmark>) -> Self {
        let (cursor, gap) = match feed.start(after) {
            Ok(cursor) => (cursor, None),
            Err(gap) => (gap.after, Some(Box::new(gap))),
        };
        let tick = dispatcher.ticks();
        let subscriber = Subscriber { cursor, gap, waiting: false, waker: None, tick, quiet: false, output: None };
        let index = dispatcher.subscribers.borrow_mut().insert(subscriber);
        Self { feed, dispatcher, index }
    }

    /// Makes the dispatcher write events to `socket` while the task waits, instead of waking it.
    pub(super) fn with_output(self, socket: Rc<Socket>, encoding: Encoding) -> Self {
        self.record().output = Some(Output { socket, encoding, unsent: Unsent::new() });
        self
    }

    /// The record. No borrow of it may be held while the task waits.
    pub(super) fn record(&self) -> RefMut<'_, Subscriber> {
        RefMut::map(self.dispatcher.subscribers.borrow_mut(), |subscribers| &mut subscribers[self.index])
    }

    /// Ends the waiting: from here until the next wait, only the task writes to the socket.
    pub(super) fn stop_waiting(&self) {
        self.record().waiting = false;
    }

    /// The next event, gap or end of the feed, without waiting; the cursor moves past it.
    pub fn take(&mut self) -> Next {
        self.record().take(&self.feed)
    }

    /// Moves the cursor past everything that is in the feed, for a task to which nothing is sent; returns whether the feed is closed.
    pub fn skip(&mut self) -> bool {
        let mut record = self.record();
        record.gap = None;
        record.cursor = self.feed.head();
        self.feed.is_closed()
    }

    /// Waits until there is something to do.
    pub fn poll_turn(&mut self, context: &mut Context<'_>) -> Poll<Turn> {
        if let Some(turn) = self.turn() {
            return Poll::Ready(turn);
        }
        let mut record = self.record();
        record.waiting = true;
        match &mut record.waker {
            Some(known) => known.clone_from(context.waker()),
            unknown => *unknown = Some(context.waker().clone()),
        }
        drop(record);
        // An event may have been published between the first check and the wait, when the fan-out skipped this record.
        let Some(turn) = self.turn() else { return Poll::Pending };
        self.stop_waiting();
        Poll::Ready(turn)
    }

    /// Waits until something comes after the cursor; ignores heartbeats.
    pub fn poll_next_event(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while let Turn::Heartbeat = ready!(self.poll_turn(context)) {}
        Poll::Ready(())
    }

    fn turn(&self) -> Option<Turn> {
        let mut record = self.record();
        if record.gap.is_some() || self.feed.has_next(record.cursor) {
            return Some(Turn::Deliver);
        }
        let tick = self.dispatcher.ticks();
        let due = tick != record.tick && std::mem::replace(&mut record.quiet, true);
        record.tick = tick;
        due.then_some(Turn::Heartbeat)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        // Dropped after the borrow has ended, since dropping the last reference to the socket runs other code.
        let removed = self.dispatcher.subscribers.borrow_mut().try_remove(self.index);
        drop(removed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Wake, Waker};

    use protocol::{Cursor, Epoch};

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A feed, a dispatcher, and a subscription to future events.
    fn subscribed() -> (Arc<Feed>, Rc<Dispatcher>, Subscription) {
        let (feed, dispatcher) = (Arc::new(Feed::new(2, usize::MAX)), Rc::new(Dispatcher::default()));
        let subscription = Subscription::new(feed.clone(), dispatcher.clone(), None);
        (feed, dispatcher, subscription)
    }

    #[test]
    fn a_waiting_subscription_is_woken_once_and_then_returns_all_events_in_order() {
        let (feed, dispatcher, mut subscription) = subscribed();
        let woken = Arc::new(Count::default());
        let waker = Waker::from(woken.clone());
        let mut context = Context::from_waker(&waker);
        assert!(subscription.poll_turn(&mut context).is_pending());
        assert!(subscription.poll_turn(&mut context).is_pending());
        feed.publish(0, "a");
        feed.publish(0, "b");
        dispatcher.fan_out(&feed);
        dispatcher.fan_out(&feed);
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        for seq in [1, 2] {
            assert!(matches!(subscription.poll_turn(&mut context), Poll::Ready(Turn::Deliver)));
            assert!(matches!(subscription.take(), Next::Event(entry) if entry.seq == seq));
        }
        assert!(subscription.poll_turn(&mut context).is_pending());
    }

    #[test]
    fn a_heartbeat_is_due_after_an_interval_without_events() {
        let (feed, dispatcher, mut subscription) = subscribed();
        let mut context = Context::from_waker(Waker::noop());
        let mut tick = || {
            dispatcher.tick();
            subscription.poll_turn(&mut context)
        };
        // The first tick may come right after the subscription began.
        assert!(tick().is_pending());
        assert!(matches!(tick(), Poll::Ready(Turn::Heartbeat)));
        assert!(matches!(tick(), Poll::Ready(Turn::Heartbeat)));
        feed.publish(0, "");
        subscription.take();
        dispatcher.tick();
        assert!(subscription.poll_turn(&mut context).is_pending());
    }

    #[test]
    fn a_cursor_of_another_feed_gets_a_gap_even_before_an_event_is_published() {
        let (feed, dispatcher, _) = subscribed();
        let other_feed = Bookmark { cursor: Cursor(0), epoch: Some(Epoch(1)) };
        let mut subscription = Subscription::new(feed.clone(), dispatcher, Some(other_feed));
        let mut context = Context::from_waker(Waker::noop());
        assert!(matches!(subscription.poll_turn(&mut context), Poll::Ready(Turn::Deliver)));
        assert!(matches!(subscription.take(), Next::Gap(gap) if gap.epoch == feed.epoch));
        assert!(subscription.poll_turn(&mut context).is_pending());
    }

    #[test]
    fn a_gap_is_returned_once_and_the_subscription_continues_after_it() {
        let (feed, _, mut subscription) = subscribed();
        (0..5).for_each(|at| _ = feed.publish(at, ""));
        assert!(matches!(subscription.take(), Next::Gap(gap) if gap.missed() == 3));
        assert!(matches!(subscription.take(), Next::Event(entry) if entry.seq == 4));
    }

    #[test]
    fn the_slots_of_removed_records_are_reused() {
        let (feed, dispatcher, first) = subscribed();
        drop(first);
        for _ in 0..10 {
            drop(Subscription::new(feed.clone(), dispatcher.clone(), None));
        }
        assert!(dispatcher.subscribers.borrow().capacity() < 10 && dispatcher.subscribers.borrow().is_empty());
    }
}
