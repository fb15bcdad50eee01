//! The dispatcher of one worker: it owns the subscribers' records and delivers new events to them.
//!
//! Waking a task for each subscriber would cost more than writing to its socket (METHODOLOGY has the figures). So the feed wakes one task
//! per worker thread (see `worker.rs`), which calls [`Dispatcher::fan_out`]: that writes the event's bytes to the sockets of the
//! subscribers that keep up. It wakes the tasks of slow consumers, of subscribers that get a gap, and of those without a socket to write
//! to.

use std::cell::{Cell, RefCell};

use slab::Slab;

use super::batch::Batch;
use super::subscriber::{Output, Subscriber};
use crate::feed::Feed;

/// The most batches that are kept at once: one for each encoding, and some for slow consumers.
const MAX_BATCHES: usize = 16;

/// All subscribers of one worker, and its heartbeat.
#[derive(Default)]
pub struct Dispatcher {
    pub(super) subscribers: RefCell<Slab<Subscriber>>,
    /// Heartbeat ticks so far. One timer per worker serves all its connections.
    ticks: Cell<u64>,
}

impl Dispatcher {
    /// Delivers the new events in `feed` to every waiting subscriber: writes them to its socket, or wakes its task.
    ///
    /// Next step of the event: the subscriber's socket, in `carrier/socket.rs`.
    pub fn fan_out(&self, feed: &Feed) {
        let mut batches: Vec<Batch> = Vec::new();
        for (_, subscriber) in self.subscribers.borrow_mut().iter_mut().filter(|(_, subscriber)| subscriber.waiting) {
            let Some(Output { encoding, .. }) = &subscriber.output else {
                subscriber.wake();
                continue;
            };
            let after = subscriber.cursor;
            let known = batches.iter().position(|batch| batch.after == after && batch.encoding == *encoding);
            let index = known.unwrap_or_else(|| {
                // Subscribers that keep up all have the same cursor; only slow consumers differ.
                if batches.len() == MAX_BATCHES {
                    batches.clear();
                }
                batches.push(Batch::new(feed, after, encoding));
                batches.len() - 1
            });
            if subscriber.write(&batches[index]) {
                subscriber.wake();
            }
        }
    }

    /// Counts a heartbeat tick, and wakes every waiting task, which then checks whether a heartbeat is due.
    pub fn tick(&self) {
        self.ticks.set(self.ticks.get() + 1);
        let mut subscribers = self.subscribers.borrow_mut();
        subscribers
            .iter_mut()
            .filter(|(_, subscriber)| subscriber.waiting)
            .for_each(|(_, subscriber)| subscriber.wake());
    }

    /// Heartbeat ticks so far.
    pub(super) fn ticks(&self) -> u64 {
        self.ticks.get()
    }
}
