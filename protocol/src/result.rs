//! What a comparison found: the scenario, each round with its raw histograms, the machine.

use std::ops::AddAssign;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::network::Network;
use crate::schedule::Spacing;
use crate::{Histogram, Ledger, Transport};

/// Transports under the same load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Comparison {
    /// What was asked for.
    pub scenario: Scenario,
    /// What was found, in the order in which it ran.
    pub rounds: Vec<Round>,
}

impl Comparison {
    /// The rounds of one transport, in the order in which they ran, rejected ones included.
    pub fn rounds_of(&self, transport: Transport) -> impl Iterator<Item = &Round> {
        self.rounds.iter().filter(move |round| round.transport == transport)
    }
}

/// What is compared, and under which load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Scenario {
    /// The transports compared.
    pub transports: Vec<Transport>,
    /// Subscribers connected at once.
    pub subscribers: u32,
    /// Events a second.
    pub rate: f64,
    /// How events are spaced.
    pub schedule: Spacing,
    /// Payload of an event, in bytes.
    pub payload_bytes: u32,
    /// Time from one poll's start to the next's, in ms; polling alone uses it.
    pub poll_interval_ms: u64,
    /// Rounds of each transport.
    pub rounds: u32,
    /// Time from the feed's start to the measurement window, in ms: connecting and warming up.
    pub warm_up_ms: u64,
    /// Measurement window of a round, in ms.
    pub duration_ms: u64,
    /// The request headers sent.
    pub headers: Headers,
    /// The network between client and server that the client models; all zero is the bare one that there is.
    pub network: Network,
    /// Threads that serve connections in the server.
    pub server_threads: u32,
    /// Whether all goes over TLS.
    #[serde(default)]
    pub tls: bool,
    /// Processes that shared the subscribers.
    #[serde(default = "one")]
    pub processes: u32,
    /// Seed of the schedule, the payloads, the rounds' order and the pollers' phases.
    pub seed: u64,
    /// The server measured where it was not one started for each round.
    pub url: Option<String>,
    /// Whether that server was taken for what it says it is, whoever vouches for it.
    #[serde(default)]
    pub insecure: bool,
}

fn one() -> u32 {
    1
}

/// Which headers the load client sends with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Headers {
    /// What HTTP demands and no more.
    Lean,
    /// What a desktop Chrome sends, a session cookie included.
    Browser,
}

/// Where a run was made, with what was going on beside it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Environment {
    /// When the run began, in seconds of Unix time.
    pub started_unix_s: u64,
    /// The lab's version.
    pub version: String,
    /// The commit it was built from, with `-dirty` where files had changed; `unknown` outside a checkout.
    pub commit: String,
    /// Kernel name and release.
    pub kernel: String,
    /// The processor's name.
    pub cpu: String,
    /// Logical processors this process may use.
    pub cores: u32,
    /// Main memory, in bytes.
    pub memory_bytes: u64,
    /// Share of the run in which some task waited for a processor (PSI), in [0, 1]; `None` where the kernel does not say.
    pub cpu_pressure: Option<f64>,
    /// Share of all processor time in the run that the hypervisor took away, in [0, 1]; `None` where unknown.
    pub steal: Option<f64>,
}

/// One transport, measured once with a fresh server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Round {
    /// What was measured.
    pub transport: Transport,
    /// Which of the transport's rounds this is, from 1.
    pub round: u32,
    /// Events that were due in the measurement window by the schedule, whether the server published them or not, and those that
    /// were published in it beside the schedule.
    pub sent: u64,
    /// Of these, deliveries to all subscribers together; `sent` times the subscribers when nothing is lost.
    pub delivered: u64,
    /// Fingerprint of the window's schedule (FNV-1a, 64 bits, hex, over each event's seq and offset): equal for equal feeds.
    pub schedule_hash: String,
    /// Delivery latency t2 - t0, in ns, of every delivery in the window.
    pub latency_ns: Histogram,
    /// The slowest delivery of each event in the window, in ns: one sample an event, so that a percentile can say how many events it
    /// rests on.
    #[serde(default)]
    pub slowest_ns: Histogram,
    /// Naive latency t2 - t1, in ns: what a client that forgets the schedule would report.
    pub naive_latency_ns: Histogram,
    /// Publisher lateness t1 - t0, in ns, of every event in the window.
    pub publisher_lateness_ns: Histogram,
    /// How far the latencies may be off because the server's clock is not ours, in ns; `None` on one host.
    pub clock_bound_ns: Option<u64>,
    /// Wire bytes of all subscribers, from connecting to closing, by layer.
    pub ledger: Ledger,
    /// The part of them that falls into the measurement window: what a subscription takes once it stands. `None` in results of
    /// earlier versions.
    #[serde(default)]
    pub window_ledger: Option<Ledger>,
    /// What went wrong with deliveries, over the whole connection.
    pub faults: Faults,
    /// What the window cost the server.
    pub server: ServerCost,
    /// What it cost the client, and how late the client was itself.
    pub client: ClientCost,
    /// Gates the round failed, in words; an empty list is a sound round. A failed round is shown, and not counted.
    pub failures: Vec<String>,
    /// What makes the round doubtful without voiding it, in words.
    pub warnings: Vec<String>,
}

/// How a warning begins that says that the client was too slow: it makes the round's latencies doubtful, and leaves what the server
/// counted and used as it is.
pub const CLIENT_LIMITED: &str = "client-limited";

impl Round {
    /// Whether every gate was passed.
    pub fn is_sound(&self) -> bool {
        self.failures.is_empty()
    }
}

/// Departures from "every event exactly once and in order", summed over subscribers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Faults {
    /// Events that never came.
    pub lost: u64,
    /// Events that came again.
    pub duplicates: u64,
    /// Events that came before one that should precede them.
    pub reordered: u64,
    /// Events that the server announced as gone from the history.
    pub gaps: u64,
    /// Connections that broke and were resumed from the cursor.
    pub reconnects: u64,
    /// Events whose bytes are not those that were published: another payload than follows from the seed, another time, or other bytes
    /// for one subscriber than for the next.
    #[serde(default)]
    pub altered: u64,
}

impl AddAssign for Faults {
    fn add_assign(&mut self, other: Self) {
        let Self { lost, duplicates, reordered, gaps, reconnects, altered } = other;
        self.lost = self.lost.saturating_add(lost);
        self.duplicates += duplicates;
        self.reordered += reordered;
        self.gaps = self.gaps.saturating_add(gaps);
        self.reconnects += reconnects;
        self.altered += altered;
    }
}

/// What the measurement window cost the server's process.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServerCost {
    /// The time between the two readings, in ns: the window as it really was.
    pub window_ns: u64,
    /// CPU time in the window, in ns.
    pub cpu_ns: u64,
    /// Deliveries completed between the two readings: what `cpu_ns` was spent on.
    pub deliveries: u64,
    /// Requests in the window, the client's own readings left out.
    pub requests: u64,
    /// Connections accepted in the window, the client's own left out.
    pub accepts: u64,
    /// Context switches in the window.
    pub context_switches: u64,
    /// Resident memory before anyone connected, in bytes.
    pub resident_before_bytes: u64,
    /// Resident memory at the window's start, all subscribers connected, in bytes, less what the history grew by.
    pub resident_connected_bytes: u64,
}

/// What the measurement window cost the load client's process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClientCost {
    /// CPU time in the window, in ns.
    pub cpu_ns: u64,
    /// How late a task of the client's own event loop woke from its sleep, in ns, timer granularity (1 ms) included.
    pub lag_ns: Histogram,
    /// Time from starting to connect until every subscriber was connected, in ns.
    pub connect_ns: u64,
}
