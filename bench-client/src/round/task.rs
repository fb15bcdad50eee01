//! The task of a group of subscribers, their state, and what they have observed.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use protocol::network::Network;
use protocol::result::{Faults, Headers};
use protocol::timetable::Timetable;
use protocol::{Bookmark, Histogram, Ledger, Transport};
use serde::{Deserialize, Serialize};

use crate::round::group::Share;
use crate::target::message::Source;
use crate::wire::quic::QuicEndpoint;

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

impl GroupStatus {
    /// Adds the state of another group.
    pub fn add(&mut self, other: &Self) {
        self.connected += other.connected;
        self.connect_ns = self.connect_ns.max(other.connect_ns);
        self.deliveries += other.deliveries;
        self.in_window += other.in_window;
        self.cpu_ns += other.cpu_ns;
        self.ledger += other.ledger;
        self.clock_bound_ns = self.clock_bound_ns.max(other.clock_bound_ns);
    }
}

impl Observations {
    /// Adds what other subscribers have observed.
    pub fn add(&mut self, other: Self) {
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
