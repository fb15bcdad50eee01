//! The subscribers of a round, as a runner sees them: gathered, asked how far they are, sent home; in this process, or shared out
//! over several.
//!
//! A client process has one thread. Where that is too busy for what is to be measured, `--processes` takes more of them: each
//! is this program again, told over its standard input what to do, a line of JSON each, and answers likewise.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::ops::Range;
use std::process::Stdio;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context;
use protocol::network::Network;
use protocol::result::{Faults, Headers};
use protocol::status::Published;
use protocol::timetable::Timetable;
use protocol::{Bookmark, Histogram, Ledger, Transport, clock};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines, Stdin};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::task::{JoinHandle, spawn_local};

use crate::crowd::{Crowd, Share};
use crate::place::Place;
use crate::recorder::{Recorder, Sample};
use crate::subscriber::{BackOff, Target};

/// How often the client's own event loop is asked how late it is.
const LAG_INTERVAL: Duration = Duration::from_millis(20);

/// What subscribers are to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Task {
    /// How they subscribe.
    pub transport: Transport,
    /// The server's URL.
    pub url: String,
    /// Whether it is taken for what it says it is, whoever vouches for it.
    pub insecure: bool,
    /// Its port for raw TCP.
    pub tcp: SocketAddr,
    /// Which headers they send.
    pub headers: Headers,
    /// Time from one poll's start to the next's.
    pub poll_interval: Duration,
    /// The network that their connections are led through.
    pub network: Network,
    /// How far the server's clock is ahead of ours, in ns.
    pub clock_ahead_ns: i64,
    /// Behind which event they begin.
    pub after: Bookmark,
    /// How many they are, and which of all.
    pub share: Share,
    /// Decides on the pollers' phases, and on jitter.
    pub seed: u64,
    /// Until when they may connect, in ns.
    pub deadline: u64,
    /// When an interval between polls begins, in ns of our own clock; one for all processes.
    pub poll_origin_ns: u64,
    /// What the server publishes by.
    pub timetable: Timetable,
    /// The scheduled times, in ns, that count.
    pub window: Range<u64>,
    /// Deliveries that room is made for.
    pub expected: usize,
}

/// How far subscribers are.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Standing {
    /// How many are connected, or were.
    pub connected: u32,
    /// Time from starting to connect until all were, or were given up waiting for, in ns.
    pub connect_ns: u64,
    /// All deliveries so far.
    pub deliveries: u64,
    /// Of these, those of events that were scheduled in the window.
    pub in_window: u64,
    /// The bytes so far.
    pub ledger: Ledger,
    /// CPU time of the processes so far, in ns.
    pub cpu_ns: u64,
}

/// What subscribers have seen in a round.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Seen {
    /// Deliveries of events that were scheduled in the window.
    pub delivered: u64,
    /// Delivery latency t2 - t0.
    pub latency_ns: Histogram,
    /// What a client would report that takes t1, the time of entry, for the event's time.
    pub naive_latency_ns: Histogram,
    /// The slowest delivery of each event, in ns, by sequence number.
    pub slowest_ns: BTreeMap<u64, u64>,
    /// How late the event loops of the processes were.
    pub lag_ns: Histogram,
    /// The bytes of all connections.
    pub ledger: Ledger,
    /// What went wrong.
    pub faults: Faults,
    /// Why subscribers gave up, one entry each.
    pub given_up: Vec<String>,
    /// Whether all left when told to.
    pub all_left: bool,
}

/// What a process is told after its task.
#[derive(Serialize, Deserialize)]
enum Order {
    /// Say how you stand.
    Stand,
    /// Measure from now on how late your event loop is, or no longer.
    Lag(bool),
    /// Send all home, and say what they have seen of these events.
    Leave(Vec<Published>),
}

/// The subscribers of a round.
pub enum Audience {
    /// In this process.
    Here(Box<Gathered>),
    /// In others, whose deliveries are counted here when they are asked.
    Elsewhere(Vec<Helper>, Arc<AtomicU64>),
}

impl Audience {
    /// Gathers subscribers, in so many processes; their deliveries are counted in `deliveries`.
    ///
    /// # Errors
    /// When the server's host has no address, or a process does not start.
    pub async fn gather(task: Task, processes: u32, deliveries: Arc<AtomicU64>) -> anyhow::Result<Self> {
        if processes == 1 {
            return Ok(Self::Here(Box::new(Gathered::gather(task, deliveries).await?)));
        }
        let mut helpers = Vec::new();
        for share in task.share.split(processes) {
            helpers.push(Helper::start(&Task { share, ..task.clone() }).await?);
        }
        // All connect at once; what each says first is that they have.
        for helper in &mut helpers {
            helper.hear::<Standing>().await?;
        }
        Ok(Self::Elsewhere(helpers, deliveries))
    }

    /// How far they are, all together.
    ///
    /// # Errors
    /// When a process is gone.
    pub async fn stand(&mut self) -> anyhow::Result<Standing> {
        let helpers = match self {
            Self::Here(gathered) => return Ok(gathered.stand()),
            Self::Elsewhere(helpers, _) => helpers,
        };
        for helper in &mut *helpers {
            helper.tell(&Order::Stand).await?;
        }
        let mut all = Standing { cpu_ns: clock::process_cpu_ns(), ..Standing::default() };
        for helper in &mut *helpers {
            let one: Standing = helper.hear().await?;
            all.connected += one.connected;
            all.connect_ns = all.connect_ns.max(one.connect_ns);
            all.deliveries += one.deliveries;
            all.in_window += one.in_window;
            all.cpu_ns += one.cpu_ns;
            all.ledger += one.ledger;
        }
        if let Self::Elsewhere(_, deliveries) = self {
            deliveries.store(all.deliveries, Ordering::Relaxed);
        }
        Ok(all)
    }

    /// Begins or ends to measure how late the event loops are.
    ///
    /// # Errors
    /// When a process is gone.
    pub async fn measure_lag(&mut self, on: bool) -> anyhow::Result<()> {
        match self {
            Self::Here(gathered) => gathered.lag.measure(on),
            Self::Elsewhere(helpers, _) => {
                for helper in helpers {
                    helper.tell(&Order::Lag(on)).await?;
                }
            }
        }
        Ok(())
    }

    /// Sends all home: what they have seen of the events that were `sent` in the window.
    ///
    /// # Errors
    /// When a process is gone.
    pub async fn leave(self, sent: &[Published]) -> anyhow::Result<Seen> {
        let mut helpers = match self {
            Self::Here(gathered) => return Ok(gathered.leave(sent).await),
            Self::Elsewhere(helpers, _) => helpers,
        };
        for helper in &mut helpers {
            helper.tell(&Order::Leave(sent.to_vec())).await?;
        }
        let mut all: Option<Seen> = None;
        for helper in &mut helpers {
            let one: Seen = helper.hear().await?;
            match &mut all {
                None => all = Some(one),
                Some(all) => all.add(one),
            }
            helper.child.wait().await?;
        }
        all.context("there is at least one process")
    }
}

impl Seen {
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
        self.all_left &= other.all_left;
    }
}

/// Subscribers in this process.
pub struct Gathered {
    crowd: Crowd,
    lag: Lag,
    timetable: Timetable,
    window: Range<u64>,
}

impl Gathered {
    async fn gather(task: Task, deliveries: Arc<AtomicU64>) -> anyhow::Result<Self> {
        let Task { transport, after, share, seed, deadline, timetable, window, .. } = task;
        let target = Target {
            place: Place::named(&task.url, task.insecure)?,
            tcp: task.tcp,
            headers: task.headers,
            poll_interval: task.poll_interval,
            poll_origin_ns: task.poll_origin_ns,
            network: task.network,
            trace: None,
            back_off: BackOff::default(),
            clock_ahead_ns: task.clock_ahead_ns,
        };
        let recorder =
            Recorder::new(window.clone(), task.expected / share.of.max(1) as usize * share.count as usize, deliveries);
        let mut recorder = recorder;
        after.epoch.into_iter().for_each(|epoch| recorder.contents.begin(epoch));
        let crowd = Crowd::gather(transport, target, after, share, recorder, seed, deadline).await;
        Ok(Self { crowd, lag: Lag::default(), timetable, window })
    }

    fn stand(&self) -> Standing {
        Standing {
            connected: self.crowd.connected(),
            connect_ns: self.crowd.connect_ns,
            deliveries: self.crowd.deliveries(),
            in_window: self.crowd.recorder.borrow().samples.len() as u64,
            ledger: *self.crowd.recorder.borrow().ledger.borrow(),
            cpu_ns: clock::process_cpu_ns(),
        }
    }

    async fn leave(self, sent: &[Published]) -> Seen {
        let (mut recorder, all_left) = self.crowd.leave().await;
        let latencies = Latencies::of(&recorder.samples, sent);
        let due = self.timetable.due(self.window);
        recorder.faults.altered += latencies.moved + recorder.contents.altered(&self.timetable, &due, sent);
        Seen {
            delivered: recorder.samples.len() as u64,
            latency_ns: latencies.latency,
            naive_latency_ns: latencies.naive,
            slowest_ns: latencies.slowest,
            lag_ns: self.lag.histogram.take(),
            ledger: *recorder.ledger.borrow(),
            faults: recorder.faults,
            given_up: recorder.given_up,
            all_left,
        }
    }
}

/// What follows from samples once it is known when the events entered the feed.
#[derive(Default)]
struct Latencies {
    /// Delivery latency t2 - t0.
    latency: Histogram,
    /// What a client would report that takes t1, the time of entry, for the event's time.
    naive: Histogram,
    /// The slowest delivery of each event, in ns, by sequence number.
    slowest: BTreeMap<u64, u64>,
    /// Deliveries that bore another time than their event was published with.
    moved: u64,
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
                found.moved += u64::from(event.at != sample.at);
            }
        }
        found
    }
}

/// How late this process's event loop is.
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
        // A freeze is one sample: the looks that it swallowed are not made up for.
        while due + LAG_INTERVAL <= tokio::time::Instant::now() {
            due += LAG_INTERVAL;
        }
    }
}

/// A process with some of the subscribers; dropping it ends it.
pub struct Helper {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Helper {
    async fn start(task: &Task) -> anyhow::Result<Self> {
        let executable = std::env::current_exe().context("cannot find this program's own file")?;
        let mut command = Command::new(executable);
        command.arg("subscribe").stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().context("cannot start a client process")?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let (input, output) = (input.context("it is piped")?, output.context("it is piped")?);
        let mut helper = Self { child, input, output: BufReader::new(output).lines() };
        helper.tell(task).await?;
        Ok(helper)
    }

    async fn tell(&mut self, words: &impl Serialize) -> anyhow::Result<()> {
        let line = serde_json::to_string(words)? + "\n";
        self.input.write_all(line.as_bytes()).await.context("a client process is gone")
    }

    async fn hear<T: DeserializeOwned>(&mut self) -> anyhow::Result<T> {
        let line =
            self.output.next_line().await?.context("a client process is gone; what it says of that stands above")?;
        Ok(serde_json::from_str(&line)?)
    }
}

/// Plays a helper: does what its standard input says, until that ends.
///
/// # Errors
/// When what is said there cannot be done.
pub async fn help() -> anyhow::Result<()> {
    server::limits::raise_open_files();
    let mut orders: Lines<BufReader<Stdin>> = BufReader::new(tokio::io::stdin()).lines();
    let task = orders.next_line().await?.context("this is for client processes that the lab starts itself")?;
    let mut gathered = Gathered::gather(serde_json::from_str(&task)?, Arc::default()).await?;
    answer(&gathered.stand())?;
    while let Some(order) = orders.next_line().await? {
        match serde_json::from_str(&order)? {
            Order::Stand => answer(&gathered.stand())?,
            Order::Lag(on) => gathered.lag.measure(on),
            Order::Leave(sent) => return answer(&gathered.leave(&sent).await),
        }
    }
    Ok(())
}

fn answer(words: &impl Serialize) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string(words)?);
    Ok(())
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
        let long = lag.histogram.borrow().count_beyond(4 * LAG_INTERVAL.as_nanos() as u64);
        assert_eq!(long, 1);
    }
}
