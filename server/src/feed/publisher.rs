//! Publishes events on a fixed schedule, from a thread of its own, so that no connection can delay an event.
//!
//! The schedule is absolute and open-loop: an event has the time at which it was due as its timestamp, even if it is published late, and
//! events that were due during a stall are published right after it. So measurements show the lateness, and it does not delay later events.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use protocol::payload::PayloadKind;
use protocol::schedule::{self, Spacing};
use protocol::{clock, platform};
use serde::{Deserialize, Serialize};

use super::EventSink;
use crate::counters::Counters;

/// The time before an event is due during which the thread polls the clock instead of sleeping. On virtual machines, a sleep can end this
/// much too late. At high rates, a tenth of the time between events is used instead: the CPU time of polling is not reported as load, and
/// it would otherwise take a processor from the workers.
const POLL_CLOCK: Duration = Duration::from_micros(250);

/// What is published, and when.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Events per second; with 0, nothing is published.
    pub rate: f64,
    /// How the events are spaced.
    pub spacing: Spacing,
    /// Seed of the schedule and the payloads.
    pub seed: u64,
    /// Payload of each event, in bytes.
    pub payload: usize,
    /// The kind of payload.
    pub payload_kind: PayloadKind,
    /// A fault to inject into the publisher.
    pub stall: Option<Stall>,
    /// CPU time to use for each event, as a slower program would.
    pub burn: Duration,
}

/// A single pause of the publisher, such as a garbage collector or a slow disk would cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stall {
    /// The time from the feed's start to the pause.
    pub after: Duration,
    /// The duration of the pause.
    pub length: Duration,
}

impl std::str::FromStr for Stall {
    type Err = String;

    /// Parses two durations: `1s,100ms` is a pause of 100 ms, one second after the start.
    fn from_str(text: &str) -> Result<Self, String> {
        let durations = text.split_once(',').and_then(|(after, length)| {
            Some((humantime::parse_duration(after).ok()?, humantime::parse_duration(length).ok()?))
        });
        let (after, length) = durations.ok_or("a stall is a time and a duration, like 1s,100ms")?;
        Ok(Self { after, length })
    }
}

/// The publishing thread. Dropping it ends the thread.
pub struct Publisher {
    /// Sends a new plan, or `None` to stop; both wake the thread.
    plans: Sender<Option<Plan>>,
    thread: Option<JoinHandle<()>>,
}

impl Publisher {
    /// Starts to publish to `sink`, on a schedule that begins at `start` (ns, monotonic clock). A plan from `received` replaces the current one, and its
    /// schedule begins when it is received; `plans` is the other end of that channel.
    ///
    /// # Errors
    /// When the system provides no further thread.
    pub fn start(
        sink: EventSink,
        mut start: u64,
        plan: Plan,
        counters: Arc<Counters>,
        plans: Sender<Option<Plan>>,
        received: Receiver<Option<Plan>>,
    ) -> std::io::Result<Self> {
        counters.schedule_begins(start, 1);
        let thread = std::thread::Builder::new().name("publisher".into()).spawn(move || {
            // Where this has no effect, events are later, and their lateness is reported.
            platform::sleep_precisely();
            let mut numbers = 1u64..;
            let mut plan = plan;
            while let Some(next) = follow(&sink, &plan, start, &mut numbers, &counters, &received) {
                plan = next;
                start = clock::now_ns();
                counters.schedule_begins(start, numbers.start);
            }
        })?;
        Ok(Self { plans, thread: Some(thread) })
    }
}

/// Publishes by a plan whose schedule counts from `start`, until the next plan is received. Returns that plan, or `None` to stop.
fn follow(
    sink: &EventSink,
    plan: &Plan,
    start: u64,
    numbers: &mut std::ops::RangeFrom<u64>,
    counters: &Counters,
    received: &Receiver<Option<Plan>>,
) -> Option<Plan> {
    if plan.rate <= 0.0 {
        return received.recv().ok().flatten();
    }
    let poll_clock =
        POLL_CLOCK.min(Duration::try_from_secs_f64(0.1 / plan.rate).unwrap_or(POLL_CLOCK)).as_nanos() as u64;
    let mut stall = plan.stall;
    for (number, offset) in numbers.zip(schedule::offsets(plan.spacing, plan.rate, plan.seed)) {
        // Generated before the wait, so that it does not delay the event.
        let data = plan.payload_kind.generate(plan.seed, number, plan.payload);
        let due = start.saturating_add(u64::try_from(offset.as_nanos()).unwrap_or(u64::MAX));
        loop {
            let sleep = Duration::from_nanos(due.saturating_sub(poll_clock).saturating_sub(clock::now_ns()));
            match received.recv_timeout(sleep) {
                Err(RecvTimeoutError::Timeout) if clock::now_ns() + poll_clock >= due => break,
                Err(RecvTimeoutError::Timeout) => {}
                Ok(plan) => return plan,
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
        sink.publish_scheduled(due, &data);
        let burnt = clock::thread_cpu_ns() + plan.burn.as_nanos() as u64;
        while clock::thread_cpu_ns() < burnt {
            std::hint::spin_loop();
        }
    }
    None
}

impl Drop for Publisher {
    fn drop(&mut self) {
        // An error means that the thread has ended.
        let _ = self.plans.send(None);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::{Feed, Next};
    use protocol::{Cursor, Event, payload};
    use std::sync::mpsc::channel;

    const SILENT: Plan = Plan {
        rate: 0.0,
        spacing: Spacing::Periodic,
        seed: 1,
        payload: 1,
        payload_kind: PayloadKind::Random,
        stall: None,
        burn: Duration::ZERO,
    };

    #[test]
    fn events_have_their_scheduled_time_and_are_not_published_early() {
        let feed = Arc::new(Feed::new(100, usize::MAX));
        let plan = Plan {
            rate: 1_000.0,
            spacing: Spacing::Periodic,
            seed: 1,
            payload: 12,
            payload_kind: PayloadKind::Random,
            stall: None,
            burn: Duration::ZERO,
        };
        let (plans, received) = channel();
        let publisher =
            Publisher::start(EventSink::Feed(feed.clone()), feed.started_ns, plan, Arc::default(), plans, received)
                .unwrap();
        let mut head = feed.watch();
        let wait = async { head.wait_for(|&head| head >= 20).await.map(drop) };
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(wait).unwrap();
        drop(publisher);
        for seq in 1..=20 {
            let Next::Event(entry) = feed.next(Cursor(seq - 1)) else { panic!("there is no event {seq}") };
            assert_eq!(entry.at, feed.started_ns + seq * 1_000_000);
            assert!(entry.entered >= entry.at);
            assert_eq!(Event::decode(entry.json()).unwrap().data, payload::random(1, seq, 12));
        }
    }

    #[test]
    fn without_a_rate_nothing_is_published() {
        let feed = Arc::new(Feed::new(1, usize::MAX));
        let (plans, received) = channel();
        drop(
            Publisher::start(EventSink::Feed(feed.clone()), feed.started_ns, SILENT, Arc::default(), plans, received)
                .unwrap(),
        );
        assert_eq!(feed.head(), Cursor(0));
    }

    #[test]
    fn a_new_plan_replaces_the_old_one_and_its_schedule_begins_when_it_is_received() {
        let feed = Arc::new(Feed::new(100, usize::MAX));
        let (plans, received) = channel();
        let publisher = Publisher::start(
            EventSink::Feed(feed.clone()),
            feed.started_ns,
            SILENT,
            Arc::default(),
            plans.clone(),
            received,
        )
        .unwrap();
        let mut head = feed.watch();
        let before = clock::now_ns();
        plans.send(Some(Plan { rate: 1_000.0, payload: 7, ..SILENT })).unwrap();
        let wait = async { head.wait_for(|&head| head >= 3).await.map(drop) };
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(wait).unwrap();
        drop(publisher);
        let Next::Event(first) = feed.next(Cursor(0)) else { panic!("there is no event 1") };
        assert!(first.at >= before + 1_000_000);
        assert_eq!(Event::decode(first.json()).unwrap().data.len(), 7);
    }
}
