//! The record of one subscriber. Its worker's dispatcher owns it; the subscriber's task accesses it through a `Subscription`.

use std::rc::Rc;
use std::task::Waker;

use bytes::Bytes;
use protocol::{Cursor, Gap};

use super::batch::Batch;
use crate::carrier::{Socket, Unsent, advance};
use crate::feed::{Encoding, Feed, Next};

/// The state of one subscriber.
pub(super) struct Subscriber {
    /// The last event that was sent, or is in `unsent`.
    pub cursor: Cursor,
    /// A gap before the first event, until it has been reported to the subscriber. Boxed because it is rare: every subscriber's record is
    /// visited for every event, so a smaller record is faster.
    pub gap: Option<Box<Gap>>,
    /// Whether its task waits for the feed. Only then, and with nothing unsent, may the dispatcher write to the socket: otherwise it could
    /// write into the middle of a message that the task has begun.
    pub waiting: bool,
    /// Wakes the task. Kept while the task runs, since the same task will most likely wait again.
    pub waker: Option<Waker>,
    /// The last heartbeat tick that the task has seen.
    pub tick: u64,
    /// Whether nothing was sent since that tick.
    pub quiet: bool,
    /// Where events are written; `None` for a subscriber whose task is only woken.
    pub output: Option<Output>,
}

/// A subscriber's socket, and the bytes that are still to be written to it.
pub(super) struct Output {
    pub socket: Rc<Socket>,
    pub encoding: Encoding,
    pub unsent: Unsent,
}

impl Output {
    /// Number of bytes that are still to be written to the socket.
    pub fn unsent_bytes(&self) -> usize {
        self.unsent.iter().map(Bytes::len).sum::<usize>() + self.socket.backlog()
    }
}

impl Subscriber {
    pub fn wake(&mut self) {
        self.waiting = false;
        self.waker.as_ref().inspect(|waker| waker.wake_by_ref());
    }

    /// The next event, gap or end of the feed, without waiting; the cursor moves past it.
    pub fn take(&mut self, feed: &Feed) -> Next {
        let next = self.gap.take().map_or_else(|| feed.next(self.cursor), |gap| Next::Gap(*gap));
        match &next {
            Next::Event(entry) => self.cursor = Cursor(entry.seq),
            Next::Gap(gap) => self.cursor = gap.resume(),
            Next::Nothing | Next::Closed => return next,
        }
        self.quiet = false;
        next
    }

    /// Writes a batch to the socket of a waiting subscriber. Returns whether its task has to continue: the socket did not accept all bytes,
    /// or there is more after the batch.
    pub fn write(&mut self, batch: &Batch) -> bool {
        let Some(Output { socket, unsent, .. }) = &mut self.output else { return true };
        // An error will occur again when the task writes, and the task handles it.
        let written = socket.try_write(&batch.parts).unwrap_or(0);
        if written > 0 {
            self.cursor = batch.end;
            self.quiet = false;
            if written < batch.bytes {
                unsent.extend(batch.parts.iter().cloned());
                advance(unsent, written);
            }
        }
        batch.more || written < batch.bytes || socket.backlog() > 0
    }
}
