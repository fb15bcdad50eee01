//! Publishes on a fixed schedule, from a thread of its own, so that no connection can hold an event up.
//!
//! The schedule is absolute and open-loop: an event bears the time at which it was due, even when it comes late, and what
//! fell due during a stall is published at once afterwards. So lateness shows; it never stretches the schedule.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use protocol::clock;
use protocol::schedule::{self, Spacing};

use crate::counters::Counters;
use crate::feed::Feed;

/// How long before an event is due the thread stops sleeping and watches the clock: sleepers are woken up to this late on
/// virtual machines. It is a tenth of the time between events at the most, so that at high rates the watching, whose CPU
/// time is not reported as load, does not take a processor from those who serve.
const WATCH: Duration = Duration::from_micros(250);

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
    /// A fault to inject.
    pub stall: Option<Stall>,
}

/// A time in which the publisher hangs, once: what a garbage collector or a slow disk would do to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stall {
    /// How long after the feed's start.
    pub after: Duration,
    /// For how long.
    pub length: Duration,
}

impl std::str::FromStr for Stall {
    type Err = String;

    /// Reads two durations: `1s,100ms` is 100 ms, one second after the start.
    fn from_str(text: &str) -> Result<Self, String> {
        let durations = text.split_once(',').and_then(|(after, length)| {
            Some((humantime::parse_duration(after).ok()?, humantime::parse_duration(length).ok()?))
        });
        let (after, length) = durations.ok_or("a stall is when and how long, like 1s,100ms")?;
        Ok(Self { after, length })
    }
}

/// The publishing thread; dropping it ends it.
pub struct Publisher {
    /// A plan replaces the one before it; none is the sign to stop. Either cuts the thread's sleep short.
    orders: Sender<Option<Plan>>,
    thread: Option<JoinHandle<()>>,
}

impl Publisher {
    /// Starts to publish into `feed`; the schedule counts from the feed's start. Plans that come from `ordered` replace the
    /// one before them, and count from when they come; `orders` is the other end.
    pub fn start(
        feed: Arc<Feed>,
        plan: Plan,
        counters: Arc<Counters>,
        orders: Sender<Option<Plan>>,
        ordered: Receiver<Option<Plan>>,
    ) -> std::io::Result<Self> {
        counters.schedule_begins(feed.started_ns, 1);
        let thread = std::thread::Builder::new().name("publisher".into()).spawn(move || {
            // The kernel may put a sleeper's wake-up off by its timer slack, 50 us unless told otherwise. Where that is
            // refused, lateness is larger, and reported.
            let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
            let mut start = feed.started_ns;
            let mut numbers = 1u64..;
            let mut plan = plan;
            while let Some(next) = follow(&feed, &plan, start, &mut numbers, &counters, &ordered) {
                plan = next;
                start = clock::now_ns();
                counters.schedule_begins(start, numbers.start);
            }
        })?;
        Ok(Self { orders, thread: Some(thread) })
    }
}

/// Publishes by a plan whose schedule counts from `start`, until another comes: that one, or none to stop.
fn follow(
    feed: &Feed,
    plan: &Plan,
    start: u64,
    numbers: &mut std::ops::RangeFrom<u64>,
    counters: &Counters,
    ordered: &Receiver<Option<Plan>>,
) -> Option<Plan> {
    if plan.rate <= 0.0 {
        return ordered.recv().ok().flatten();
    }
    let watch = WATCH.min(Duration::from_secs_f64(0.1 / plan.rate)).as_nanos() as u64;
    let mut stall = plan.stall;
    for (number, offset) in numbers.zip(schedule::offsets(plan.spacing, plan.rate, plan.seed)) {
        // Made before the wait, so that making it does not make it late.
        let data = schedule::payload(plan.seed, number, plan.payload);
        let due = start.saturating_add(u64::try_from(offset.as_nanos()).unwrap_or(u64::MAX));
        loop {
            let sleep = Duration::from_nanos(due.saturating_sub(watch).saturating_sub(clock::now_ns()));
            match ordered.recv_timeout(sleep) {
                Err(RecvTimeoutError::Timeout) if clock::now_ns() + watch >= due => break,
                Err(RecvTimeoutError::Timeout) => {}
                Ok(order) => return order,
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
        if let Some(Stall { length, .. }) = stall.take_if(|stall| offset >= stall.after) {
            std::thread::sleep(length);
        }
        if clock::now_ns() < due {
            counters.measuring(|| {
                while clock::now_ns() < due {
                    std::hint::spin_loop();
                }
            });
        }
        feed.publish(due, &data);
    }
    None
}

impl Drop for Publisher {
    fn drop(&mut self) {
        // An error is a thread that has ended.
        let _ = self.orders.send(None);
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
    use std::sync::mpsc::channel;

    #[test]
    fn events_bear_their_scheduled_time_and_are_never_early() {
        let feed = Arc::new(Feed::new(100, usize::MAX));
        let plan = Plan { rate: 1_000.0, spacing: Spacing::Periodic, seed: 1, payload: 12, stall: None };
        let (orders, ordered) = channel();
        let publisher = Publisher::start(feed.clone(), plan, Arc::default(), orders, ordered).unwrap();
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
        let feed = Arc::new(Feed::new(1, usize::MAX));
        let plan = Plan { rate: 0.0, spacing: Spacing::Periodic, seed: 1, payload: 1, stall: None };
        let (orders, ordered) = channel();
        drop(Publisher::start(feed.clone(), plan, Arc::default(), orders, ordered).unwrap());
        assert_eq!(feed.head(), Cursor(0));
    }

    #[test]
    fn a_new_plan_replaces_the_old_one_and_counts_from_when_it_comes() {
        let feed = Arc::new(Feed::new(100, usize::MAX));
        let silent = Plan { rate: 0.0, spacing: Spacing::Periodic, seed: 1, payload: 1, stall: None };
        let (orders, ordered) = channel();
        let publisher =
            Publisher::start(feed.clone(), silent.clone(), Arc::default(), orders.clone(), ordered).unwrap();
        let mut head = feed.watch();
        let before = clock::now_ns();
        orders.send(Some(Plan { rate: 1_000.0, payload: 7, ..silent })).unwrap();
        let wait = async { head.wait_for(|&head| head >= 3).await.map(drop) };
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(wait).unwrap();
        drop(publisher);
        let Next::Event(first) = feed.next(Cursor(0)) else { panic!("the first is there") };
        assert!(first.at >= before + 1_000_000);
        assert_eq!(Event::decode(first.json()).unwrap().data.len(), 7);
    }
}
