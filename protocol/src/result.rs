//! The results of a comparison: the scenario, each round with its histograms, and the machine.

use std::ops::AddAssign;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::network::Network;
use crate::payload::PayloadKind;
use crate::schedule::Spacing;
use crate::{Histogram, Ledger, Transport};

/// Transports under the same load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Comparison {
    /// What was to be measured.
    pub scenario: Scenario,
    /// The measured rounds, in the order in which they ran.
    pub rounds: Vec<Round>,
}

impl Comparison {
    /// The rounds of one transport, in the order in which they ran, rejected ones included.
    pub fn rounds_of(&self, transport: Transport) -> impl Iterator<Item = &Round> {
        self.rounds.iter().filter(move |round| round.transport == transport)
    }
}

/// The transports that are compared, and the load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Scenario {
    /// The transports that are compared.
    pub transports: Vec<Transport>,
    /// Number of subscribers, all connected at the same time.
    pub subscribers: u32,
    /// Events per second.
    pub rate: f64,
    /// How events are spaced.
    pub schedule: Spacing,
    /// Payload of an event, in bytes.
    pub payload_bytes: u32,
    /// The kind of payload.
    #[serde(default)]
    pub payload_kind: PayloadKind,
    /// Time from the start of one poll to the start of the next, in ms. Only polling uses it.
    pub poll_interval_ms: u64,
    /// Rounds of each transport.
    pub rounds: u32,
    /// Time from the feed's start to the measurement window, in ms, for connecting and warming up.
    pub warm_up_ms: u64,
    /// Length of a round's measurement window, in ms.
    pub duration_ms: u64,
    /// The headers of the requests.
    pub headers: Headers,
    /// The network between client and server that the client models. With zero delay and jitter and no bandwidth, nothing is modelled.
    pub network: Network,
    /// How many subscribers share a connection, over HTTP/2.
    #[serde(default = "one")]
    pub streams_per_connection: u32,
    /// Threads that serve connections in the server.
    pub server_threads: u32,
    /// Whether all connections use TLS.
    #[serde(default)]
    pub tls: bool,
    /// Client processes among which the subscribers were divided.
    #[serde(default = "one")]
    pub processes: u32,
    /// Agents on other machines among which the subscribers were divided; 0 if they were on the machine of the comparison.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub agents: u32,
    /// Seed of the schedule, the payloads, the rounds' order and the pollers' phases.
    pub seed: u64,
    /// The name of the measured server, if it is of another kind; `None` for this lab's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The URL of the measured server; `None` if a server was started for each round.
    pub url: Option<String>,
    /// Whether that server's certificate was accepted without verification.
    #[serde(default)]
    pub insecure: bool,
}

impl Scenario {
    /// A small scenario without a network model, from which checks and experiments derive theirs: one round with a window of a second, in
    /// which 20 subscribers receive 50 events of 200 bytes.
    pub fn small(transports: &[Transport]) -> Self {
        Self {
            transports: transports.to_vec(),
            subscribers: 20,
            rate: 50.0,
            schedule: Spacing::Periodic,
            payload_bytes: 200,
            payload_kind: PayloadKind::Random,
            poll_interval_ms: 100,
            rounds: 1,
            warm_up_ms: 500,
            duration_ms: 1_000,
            headers: Headers::Lean,
            network: Network::default(),
            streams_per_connection: 1,
            server_threads: 1,
            tls: false,
            processes: 1,
            agents: 0,
            seed: 1,
            target: None,
            url: None,
            insecure: false,
        }
    }
}

fn is_zero(count: &u32) -> bool {
    *count == 0
}

fn one() -> u32 {
    1
}

/// The headers of the load client's requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Headers {
    /// Only the headers that HTTP requires.
    Lean,
    /// The headers that Chrome sends on a desktop, including a session cookie.
    Browser,
}

/// The machine on which a run was made, and what else used its processors during the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Environment {
    /// When the run began, in seconds of Unix time.
    pub started_unix_s: u64,
    /// The version of this program.
    pub version: String,
    /// The commit from which it was built, with `-dirty` if files had changed; `unknown` outside a checkout.
    pub commit: String,
    /// Kernel name and release.
    pub kernel: String,
    /// The processor's name.
    pub cpu: String,
    /// Logical processors that this process may use.
    pub cores: u32,
    /// Main memory, in bytes.
    pub memory_bytes: u64,
    /// Share of the run in which some task waited for a processor (PSI), in [0, 1]; `None` if the kernel does not report it.
    pub cpu_pressure: Option<f64>,
    /// Share of all processor time in the run that the hypervisor gave to others, in [0, 1]; `None` if unknown.
    pub steal: Option<f64>,
}

/// One transport, measured once with a fresh server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Round {
    /// The transport that was measured.
    pub transport: Transport,
    /// The number of the round among those of the transport, from 1.
    pub round: u32,
    /// Events that were due in the measurement window by the schedule, whether or not the server published them, and other events that
    /// were published in it.
    pub sent: u64,
    /// Deliveries of these events to all subscribers together: as many as `expected` if nothing is lost.
    pub delivered: u64,
    /// `sent` times the number of subscribers. `None` in results of earlier versions.
    #[serde(default)]
    pub expected: Option<u64>,
    /// Hash of the window's schedule (FNV-1a, 64 bits, hex, over each event's sequence number and offset). Equal schedules have equal
    /// hashes.
    pub schedule_hash: String,
    /// Delivery latency t2 - t0, in ns, of every delivery in the window.
    pub latency_ns: Histogram,
    /// Latency of the slowest delivery of each event in the window, in ns. With one sample per event, the count is the number of events on
    /// which a percentile is based.
    #[serde(default)]
    pub slowest_ns: Histogram,
    /// Naive latency t2 - t1, in ns, which a client that ignores the schedule would report (coordinated omission).
    pub naive_latency_ns: Histogram,
    /// Publisher lateness t1 - t0, in ns, of every event in the window.
    pub publisher_lateness_ns: Histogram,
    /// The largest error of the latencies that follows from converting the server's clock to the client's, in ns; `None` on one host.
    pub clock_bound_ns: Option<u64>,
    /// Wire bytes of all subscribers, from connecting to closing, by layer.
    pub ledger: Ledger,
    /// The part of them that falls into the measurement window: the bytes of established subscriptions. `None` in results of earlier
    /// versions.
    #[serde(default)]
    pub window_ledger: Option<Ledger>,
    /// Delivery errors from connecting to closing.
    pub faults: Faults,
    /// Resources that the server used in the window.
    pub server: ServerCost,
    /// Resources that the client used in the window, and how late the client itself was.
    pub client: ClientCost,
    /// Packets on the link in the window, if the network loses packets or has a queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packets: Option<Packets>,
    /// What went wrong in the round and is not in its figures.
    #[serde(default)]
    pub incidents: Vec<Incident>,
    /// Only in results of earlier versions: the checks that the round failed, as sentences. Now they are derived from the figures.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<String>,
    /// Only in results of earlier versions: reasons to doubt the round, as sentences.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// Something that went wrong in a round. The round is rejected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Incident {
    /// Events that were due in the window were not published.
    Unpublished {
        /// How many.
        events: u64,
        /// How many were due.
        due: u64,
    },
    /// The server's schedule was changed during the round.
    ScheduleChanged,
    /// The schedule differs from that of the other transports in their rounds of the same number.
    OtherSchedule,
    /// Some subscribers were not connected at the start of the window.
    NotConnected {
        /// How many were connected.
        connected: u32,
        /// How many there are.
        subscribers: u32,
    },
    /// Some subscribers gave up.
    GaveUp {
        /// How many.
        subscribers: u64,
        /// The error of the first one.
        error: String,
    },
    /// An agent with a part of the subscribers disappeared.
    AgentLost {
        /// Where it was.
        agent: String,
    },
    /// Some subscribers did not close in time.
    NotClosed,
    /// A server that has no other clients counted another number of requests than the subscribers sent.
    RequestsDiffer {
        /// The server's count.
        server: u64,
        /// The subscribers' count.
        client: u64,
    },
    /// A server that has no other clients counted another number of connections than the subscribers opened.
    ConnectionsDiffer {
        /// The server's count.
        server: u64,
        /// The subscribers' count.
        client: u64,
    },
}

/// Deviations from the delivery of every event exactly once and in order, summed over all subscribers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Faults {
    /// Events that were not received.
    pub lost: u64,
    /// Events that were received again.
    pub duplicates: u64,
    /// Events that were received before an event that precedes them in the feed.
    pub reordered: u64,
    /// Events that the server reported as removed from the history.
    pub gaps: u64,
    /// Connections that were lost and resumed from the cursor.
    pub reconnects: u64,
    /// Events whose bytes differ from those that were published: the payload does not follow from the seed, the time differs, or
    /// subscribers received different bytes.
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

/// Packets that entered a link whose packets are lost or queued, in both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Packets {
    /// From the load client to the server.
    pub up: PacketCount,
    /// From the server to the load client.
    pub down: PacketCount,
}

impl Packets {
    /// Those that entered it after the earlier reading.
    pub fn since(self, earlier: Self) -> Self {
        let of = |now: PacketCount, before: PacketCount| PacketCount {
            sent: now.sent - before.sent,
            lost: now.lost - before.lost,
            overflowed: now.overflowed - before.overflowed,
        };
        Self { up: of(self.up, earlier.up), down: of(self.down, earlier.down) }
    }
}

/// Packets that entered a link in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct PacketCount {
    /// How many entered it.
    pub sent: u64,
    /// Of these, those that were lost at random.
    pub lost: u64,
    /// Of these, those that were dropped since the queue was full.
    pub overflowed: u64,
}

/// Resources that the server's process used in the measurement window.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServerCost {
    /// The time between the two readings of the server's load, in ns: the actual length of the window.
    pub window_ns: u64,
    /// CPU time in the window, in ns; 0 if it was not measured.
    pub cpu_ns: u64,
    /// Deliveries completed between the two readings, on which `cpu_ns` was spent.
    pub deliveries: u64,
    /// Requests in the window, without those for the readings.
    pub requests: u64,
    /// Connections accepted in the window, without those for the readings.
    pub accepts: u64,
    /// Context switches in the window; `None` if the system does not tell.
    pub context_switches: Option<u64>,
    /// Resident memory before the subscribers connected, in bytes.
    pub resident_before_bytes: u64,
    /// Resident memory at the window's start, when all subscribers are connected, less the growth of the history, in bytes.
    pub resident_connected_bytes: u64,
}

/// Resources that the load client's processes used in the measurement window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClientCost {
    /// CPU time in the window of all processes together, in ns.
    pub cpu_ns: u64,
    /// The number of processes.
    #[serde(default = "one")]
    pub processes: u32,
    /// Lag of the client's own event loop: how late a task woke from its sleep, in ns, including the timer's granularity of 1 ms.
    pub lag_ns: Histogram,
    /// Time from the first connection attempt until every subscriber was connected, in ns.
    pub connect_ns: u64,
}
