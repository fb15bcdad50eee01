//! Subscribers in this process, and the lag of its event loop.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use protocol::status::Published;
use protocol::timetable::Timetable;
use protocol::{Histogram, clock};
use tokio::task::{JoinHandle, spawn_local};

use crate::endpoint::Endpoint;
use crate::round::group::SubscriberGroup;
use crate::round::recorder::{Recorder, Sample};
use crate::round::task::{GroupStatus, Observations, Task};
use crate::subscriber::{BackOff, Target};

/// How often the lag of the client's own event loop is measured.
const LAG_INTERVAL: Duration = Duration::from_millis(20);

/// Subscribers in this process.
pub struct LocalSubscribers {
    group: SubscriberGroup,
    lag: Lag,
    timetable: Timetable,
    window: Range<u64>,
}

impl LocalSubscribers {
    /// Connects the subscribers of a task.
    ///
    /// # Errors
    /// When the server's host has no address.
    pub async fn connect(task: Task, deliveries: Arc<AtomicU64>) -> anyhow::Result<Self> {
        let Task { transport, after, share, seed, deadline, timetable, window, .. } = task;
        let target = Target {
            endpoint: Endpoint::named(&task.url, task.insecure)?,
            tcp: task.tcp,
            quic: task.quic,
            source: task.source,
            since_ns: timetable.started_ns,
            feed: String::new(),
            headers: task.headers,
            poll_interval: task.poll_interval,
            poll_origin_ns: task.poll_origin_ns,
            network: task.network,
            streams_per_connection: task.streams_per_connection,
            trace: None,
            back_off: BackOff::default(),
            clock_ahead_ns: task.clock_ahead_ns,
        };
        let expected = task.expected / share.of.max(1) as usize * share.count as usize;
        let mut recorder = Recorder::new(window.clone(), expected, deliveries);
        after.epoch.into_iter().for_each(|epoch| recorder.contents.begin(epoch));
        let group = SubscriberGroup::connect(transport, target, after, share, recorder, seed, deadline).await;
        Ok(Self { group, lag: Lag::default(), timetable, window })
    }

    /// Their status.
    pub fn status(&self) -> GroupStatus {
        GroupStatus {
            connected: self.group.connected(),
            connect_ns: self.group.connect_ns,
            deliveries: self.group.deliveries(),
            in_window: self.group.recorder.borrow().samples.len() as u64,
            ledger: *self.group.recorder.borrow().ledger.borrow(),
            cpu_ns: clock::process_cpu_ns(),
            clock_bound_ns: 0,
        }
    }

    /// Starts or stops measuring the lag of the event loop.
    pub fn measure_lag(&mut self, on: bool) {
        self.lag.measure(on);
    }

    /// Closes all subscriptions; returns what they have observed of the events that were `sent` in the window.
    pub async fn close(self, sent: &[Published]) -> Observations {
        let (mut recorder, all_closed) = self.group.close().await;
        let latencies = Latencies::of(&recorder.samples, sent);
        let due = self.timetable.due(self.window);
        recorder.faults.altered += latencies.altered + recorder.contents.altered(&self.timetable, &due, sent);
        Observations {
            delivered: recorder.samples.len() as u64,
            latency_ns: latencies.latency,
            naive_latency_ns: latencies.naive,
            slowest_ns: latencies.slowest,
            lag_ns: self.lag.histogram.take(),
            ledger: *recorder.ledger.borrow(),
            faults: recorder.faults,
            given_up: recorder.given_up,
            all_closed,
        }
    }
}

/// The latencies of the samples, computed from the times at which the events entered the feed.
#[derive(Default)]
struct Latencies {
    /// Delivery latency t2 - t0.
    latency: Histogram,
    /// Naive latency t2 - t1.
    naive: Histogram,
    /// The slowest delivery of each event, in ns, by sequence number.
    slowest: BTreeMap<u64, u64>,
    /// Deliveries whose time t0 differs from the one with which the event was published.
    altered: u64,
}

impl Latencies {
    fn of(samples: &[Sample], sent: &[Published]) -> Self {
        let published: HashMap<u64, &Published> = sent.iter().map(|event| (event.seq, event)).collect();
        let mut found = Self::default();
        for sample in samples {
            found.latency.record_between(sample.at, sample.received);
            let slowest = found.slowest.entry(sample.seq).or_default();
            *slowest = sample.received.saturating_sub(sample.at).max(*slowest);
            if let Some(event) = published.get(&sample.seq) {
                found.naive.record_between(event.entered, sample.received);
                found.altered += u64::from(event.at != sample.at);
            }
        }
        found
    }
}

/// The lag of this process's event loop.
#[derive(Default)]
struct Lag {
    histogram: Rc<RefCell<Histogram>>,
    meter: Option<JoinHandle<()>>,
}

impl Lag {
    fn measure(&mut self, on: bool) {
        if let Some(meter) = self.meter.take() {
            meter.abort();
        }
        if on {
            self.meter = Some(spawn_local(measure_lag(self.histogram.clone())));
        }
    }
}

async fn measure_lag(lag: Rc<RefCell<Histogram>>) {
    let mut due = tokio::time::Instant::now();
    loop {
        due += LAG_INTERVAL;
        tokio::time::sleep_until(due).await;
        lag.borrow_mut().record(due.elapsed().as_nanos() as u64);
        // A freeze is one sample: the checks that were due during it are skipped.
        while due + LAG_INTERVAL <= tokio::time::Instant::now() {
            due += LAG_INTERVAL;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "local")]
    async fn a_freeze_of_the_event_loop_is_one_long_sample() {
        let mut lag = Lag::default();
        lag.measure(true);
        tokio::time::sleep(2 * LAG_INTERVAL).await;
        std::thread::sleep(10 * LAG_INTERVAL);
        tokio::time::sleep(2 * LAG_INTERVAL).await;
        lag.measure(false);
        let long = lag.histogram.borrow().count_above(4 * LAG_INTERVAL.as_nanos() as u64);
        assert_eq!(long, 1);
    }
}
