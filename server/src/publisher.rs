//! Publishes on a fixed schedule, from a thread of its own, so that no connection can hold an event up.
//!
//! The schedule is absolute and open-loop: an event bears the time at which it was due, even when it comes late, and what
//! fell due during a stall is published at once afterwards. So lateness shows; it never stretches the schedule.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use protocol::clock;
use protocol::schedule::{self, Spacing};

use crate::feed::Feed;

/// What is published, and how often.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Events a second; 0 publishes nothing.
    pub rate: f64,
    /// How they are spaced.
    pub spacing: Spacing,
    /// Seed of the schedule and the payloads.
    pub seed: u64,
    /// Payload of each event, in bytes.
    pub payload: usize,
}

/// The publishing thread; dropping it ends it.
pub struct Publisher {
    /// Closing the channel is the sign to stop: it cuts the thread's sleep short.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Publisher {
    /// Starts to publish into `feed`; the schedule counts from the feed's start.
    pub fn start(feed: Arc<Feed>, plan: Plan) -> std::io::Result<Self> {
        let (stop, stopped) = channel();
        let thread = std::thread::Builder::new().name("publisher".into()).spawn(move || {
            // The kernel may put a sleeper's wake-up off by its timer slack, 50 us unless told otherwise. Where that is
            // refused, lateness is larger, and reported.
            let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
            publish(&feed, &plan, &stopped);
        })?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

fn publish(feed: &Feed, plan: &Plan, stopped: &Receiver<()>) {
    if plan.rate <= 0.0 {
        return;
    }
    for (seq, offset) in (1..).zip(schedule::offsets(plan.spacing, plan.rate, plan.seed)) {
        // Made before the sleep, so that making it does not make it late.
        let data = schedule::payload(plan.seed, seq, plan.payload);
        let due = feed.started_ns.saturating_add(u64::try_from(offset.as_nanos()).unwrap_or(u64::MAX));
        loop {
            let wait = Duration::from_nanos(due.saturating_sub(clock::now_ns()));
            match stopped.recv_timeout(wait) {
                Err(RecvTimeoutError::Disconnected) => return,
                Ok(()) | Err(RecvTimeoutError::Timeout) if clock::now_ns() >= due => break,
                Ok(()) | Err(RecvTimeoutError::Timeout) => {}
            }
        }
        feed.publish(due, &data);
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::Next;
    use protocol::{Cursor, Event};

    #[test]
    fn events_bear_their_scheduled_time_and_are_never_early() {
        let feed = Arc::new(Feed::new(100));
        let plan = Plan { rate: 1_000.0, spacing: Spacing::Periodic, seed: 1, payload: 12 };
        let publisher = Publisher::start(feed.clone(), plan).unwrap();
        let mut head = feed.watch();
        let wait = async { head.wait_for(|&head| head >= 20).await.map(drop) };
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(wait).unwrap();
        drop(publisher);
        for seq in 1..=20 {
            let Next::Event(entry) = feed.next(Cursor(seq - 1)) else { panic!("event {seq} is there") };
            assert_eq!(entry.at, feed.started_ns + seq * 1_000_000);
            assert!(entry.entered >= entry.at);
            assert_eq!(Event::decode(entry.json()).unwrap().data, schedule::payload(1, seq, 12));
        }
    }

    #[test]
    fn without_a_rate_nothing_is_published() {
        let feed = Arc::new(Feed::new(1));
        let plan = Plan { rate: 0.0, spacing: Spacing::Periodic, seed: 1, payload: 1 };
        drop(Publisher::start(feed.clone(), plan).unwrap());
        assert_eq!(feed.head(), Cursor(0));
    }
}
