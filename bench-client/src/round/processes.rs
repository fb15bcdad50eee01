//! The subscribers of a round: in this process, or distributed over several workers.
//!
//! One thread receives some hundred thousand events per second. If that limits a measurement, `--processes` adds worker processes, and
//! `--agents` takes other machines (see `worker.rs` and `agents.rs`).

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use protocol::network::Network;
use protocol::result::{Faults, Headers};
use protocol::status::Published;
use protocol::timetable::Timetable;
use protocol::{Bookmark, Histogram, Ledger, Transport, clock};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::task::{JoinHandle, spawn_local};

use crate::endpoint::Endpoint;
use crate::round::agents::Agents;
use crate::round::group::{Share, SubscriberGroup};
use crate::round::recorder::{Recorder, Sample};
use crate::round::worker::{Command, Worker};
use crate::subscriber::{BackOff, Target};
use crate::target::message::Source;
use crate::wire::quic::QuicEndpoint;

/// How often the lag of the client's own event loop is measured.
const LAG_INTERVAL: Duration = Duration::from_millis(20);

/// The task of a group of subscribers: where they subscribe, and what is measured.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Task {
    /// The transport over which they subscribe.
    pub transport: Transport,
    /// The server's URL.
    pub url: String,
    /// Whether any certificate of the server is accepted.
    pub insecure: bool,
    /// The server's address for raw TCP.
    pub tcp: SocketAddr,
    /// Where the server offers WebTransport.
    pub quic: Option<QuicEndpoint>,
    /// Where a server of another kind sends events.
    pub source: Option<Source>,
    /// Which headers they send.
    pub headers: Headers,
    /// Time from the start of one poll to the start of the next.
    pub poll_interval: Duration,
    /// The modelled network.
    pub network: Network,
    /// How many subscribers share a connection over HTTP/2.
    pub streams_per_connection: u32,
    /// How far the server's clock is ahead of ours, in ns.
    pub clock_ahead_ns: i64,
    /// The cursor at which they start.
    pub after: Bookmark,
    /// Which of the round's subscribers they are.
    pub share: Share,
    /// The seed of the pollers' phases, and of jitter.
    pub seed: u64,
    /// The time until which they may connect, in ns of this host's clock.
    pub deadline: u64,
    /// When a poll interval begins, in ns of this host's clock; the same for all processes.
    pub poll_origin_ns: u64,
    /// The server's schedule.
    pub timetable: Timetable,
    /// The measurement window, in ns.
    pub window: Range<u64>,
    /// The expected number of deliveries, for which memory is allocated beforehand.
    pub expected: usize,
}

/// The state of a group of subscribers.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct GroupStatus {
    /// How many subscribers are connected, or have been.
    pub connected: u32,
    /// Time from starting to connect until all were connected, or the deadline, in ns.
    pub connect_ns: u64,
    /// All deliveries so far.
    pub deliveries: u64,
    /// Of these, those of events that were scheduled in the window.
    pub in_window: u64,
    /// The bytes so far.
    pub ledger: Ledger,
    /// CPU time of the processes so far, in ns.
    pub cpu_ns: u64,
    /// For an agent: how far its clock, as it was set against the server's, may be off, in ns.
    pub clock_bound_ns: u64,
}

/// What the subscribers have observed in a round.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Observations {
    /// Deliveries of events that were scheduled in the window.
    pub delivered: u64,
    /// Delivery latency t2 - t0: the time from when an event was due until the subscriber received it.
    pub latency_ns: Histogram,
    /// Naive latency t2 - t1: the latency from the time at which the event entered the feed, which ignores that the event may have been
    /// published late.
    pub naive_latency_ns: Histogram,
    /// The slowest delivery of each event, in ns, by sequence number.
    pub slowest_ns: BTreeMap<u64, u64>,
    /// How late the event loops of the processes were.
    pub lag_ns: Histogram,
    /// The bytes of all connections.
    pub ledger: Ledger,
    /// What went wrong.
    pub faults: Faults,
    /// Why subscribers gave up, one entry per subscriber.
    pub given_up: Vec<String>,
    /// Whether all closed in time.
    pub all_closed: bool,
}

/// The subscribers of a round.
pub enum Subscribers {
    /// In this process.
    Local(Box<LocalSubscribers>),
    /// In workers.
    Workers {
        /// The workers that have not been lost.
        workers: Vec<Worker>,
        /// The names of the agents that have been lost, and their last statuses together.
        lost: Box<Lost>,
        /// Counts their deliveries, whenever they report their status.
        deliveries: Arc<AtomicU64>,
    },
}

/// The agents that have been lost in a round.
#[derive(Default)]
pub struct Lost {
    names: Vec<String>,
    /// Their last statuses together, so that no sum becomes smaller.
    last: GroupStatus,
}

impl GroupStatus {
    fn add(&mut self, other: &Self) {
        self.connected += other.connected;
        self.connect_ns = self.connect_ns.max(other.connect_ns);
        self.deliveries += other.deliveries;
        self.in_window += other.in_window;
        self.cpu_ns += other.cpu_ns;
        self.ledger += other.ledger;
        self.clock_bound_ns = self.clock_bound_ns.max(other.clock_bound_ns);
    }
}

impl Subscribers {
    /// Connects the subscribers, in this number of processes, or at the agents if there are some; their deliveries are counted in `deliveries`.
    ///
    /// # Errors
    /// When the server's host has no address, a process does not start, or an agent is missing.
    pub async fn connect(
        task: Task,
        processes: u32,
        agents: Option<&Agents>,
        deliveries: Arc<AtomicU64>,
    ) -> anyhow::Result<Self> {
        let (shares, mut workers) = match agents {
            Some(agents) => {
                // With fewer subscribers than agents, the others have nothing to do in this round.
                let shares: Vec<Share> = task.share.split(agents.count()).collect();
                let workers = agents.take(shares.len()).await?;
                (shares, workers)
            }
            None if processes == 1 => {
                return Ok(Self::Local(Box::new(LocalSubscribers::connect(task, deliveries).await?)));
            }
            None => {
                let shares: Vec<Share> = task.share.split(processes).collect();
                let workers: Vec<Worker> = shares.iter().map(|_| Worker::start()).collect::<anyhow::Result<_>>()?;
                (shares, workers)
            }
        };
        let mut lost = Box::<Lost>::default();
        // From the last one on, so that a worker that is removed does not shift the others.
        for (index, share) in shares.into_iter().enumerate().rev() {
            let sent = workers[index].send(&Task { share, ..task.clone() }).await;
            keep(&mut workers, &mut lost, index, sent)?;
        }
        let mut subscribers = Self::Workers { workers, lost, deliveries };
        // All workers connect at the same time. Each sends its first status when its subscribers have connected.
        subscribers.receive::<GroupStatus>().await?;
        Ok(subscribers)
    }

    /// The status of all subscribers together.
    ///
    /// # Errors
    /// When a process has ended.
    pub async fn status(&mut self) -> anyhow::Result<GroupStatus> {
        if let Self::Local(local) = self {
            return Ok(local.status());
        }
        self.send(&Command::Status).await?;
        let statuses = self.receive::<GroupStatus>().await?;
        let mut all = GroupStatus { cpu_ns: clock::process_cpu_ns(), ..GroupStatus::default() };
        statuses.iter().for_each(|one| all.add(one));
        if let Self::Workers { workers, lost, deliveries } = self {
            workers.iter_mut().zip(statuses).for_each(|(worker, status)| worker.last = status);
            all.add(&lost.last);
            deliveries.store(all.deliveries, Ordering::Relaxed);
        }
        Ok(all)
    }

    /// Starts or stops measuring the lag of the event loops.
    ///
    /// # Errors
    /// When a process has ended.
    pub async fn measure_lag(&mut self, on: bool) -> anyhow::Result<()> {
        match self {
            Self::Local(local) => local.lag.measure(on),
            Self::Workers { .. } => self.send(&Command::MeasureLag(on)).await?,
        }
        Ok(())
    }

    /// Closes all subscriptions; returns what they have observed of the events that were `sent` in the window, and the names of the agents that
    /// have been lost. Agents that are left can be used for the next round.
    ///
    /// # Errors
    /// When a process has ended.
    pub async fn close(
        mut self,
        sent: &[Published],
        agents: Option<&Agents>,
    ) -> anyhow::Result<(Observations, Vec<String>)> {
        if let Self::Local(local) = self {
            return Ok((local.close(sent).await, Vec::new()));
        }
        self.send(&Command::Close(sent.to_vec())).await?;
        let observed = self.receive::<Observations>().await?.into_iter().reduce(|mut all, one| {
            all.add(one);
            all
        });
        let Self::Workers { workers, lost, .. } = self else { unreachable!("local subscribers have returned above") };
        match agents {
            Some(agents) => agents.give_back(workers),
            None => {
                for worker in workers {
                    worker.ended().await?;
                }
            }
        }
        Ok((observed.unwrap_or_default(), lost.names))
    }

    /// Sends a command to all workers.
    async fn send(&mut self, command: &Command) -> anyhow::Result<()> {
        let Self::Workers { workers, lost, .. } = self else { return Ok(()) };
        let mut index = 0;
        while index < workers.len() {
            let sent = workers[index].send(command).await;
            index += usize::from(keep(workers, lost, index, sent)?.is_some());
        }
        Ok(())
    }

    /// Receives a reply from each worker.
    async fn receive<T: DeserializeOwned>(&mut self) -> anyhow::Result<Vec<T>> {
        let Self::Workers { workers, lost, .. } = self else { return Ok(Vec::new()) };
        let mut replies = Vec::new();
        while replies.len() < workers.len() {
            let received = workers[replies.len()].receive().await;
            replies.extend(keep(workers, lost, replies.len(), received)?);
        }
        Ok(replies)
    }
}

/// The result of what was done with a worker. If it failed, an agent is removed and counts as lost; that of a process is an error.
fn keep<T>(
    workers: &mut Vec<Worker>,
    lost: &mut Lost,
    index: usize,
    result: anyhow::Result<T>,
) -> anyhow::Result<Option<T>> {
    match result {
        Ok(done) => Ok(Some(done)),
        Err(_) if workers[index].is_agent() => {
            let worker = workers.remove(index);
            lost.last.add(&worker.last);
            lost.names.push(worker.name);
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

impl Observations {
    fn add(&mut self, other: Self) {
        self.delivered += other.delivered;
        self.latency_ns.merge(&other.latency_ns);
        self.naive_latency_ns.merge(&other.naive_latency_ns);
        for (seq, ns) in other.slowest_ns {
            let slowest = self.slowest_ns.entry(seq).or_default();
            *slowest = ns.max(*slowest);
        }
        self.lag_ns.merge(&other.lag_ns);
        self.ledger += other.ledger;
        self.faults += other.faults;
        self.given_up.extend(other.given_up);
        self.all_closed &= other.all_closed;
    }
}

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
