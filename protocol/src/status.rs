//! What the server says of itself: the JSON of `/time`, `/load` and `/published`.

use serde::{Deserialize, Serialize};

use crate::event::Epoch;
use crate::schedule::Spacing;

/// `GET /time`: the clock that events are stamped with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Time {
    /// Now, in ns on the server host's monotonic clock.
    pub now_ns: u64,
}

/// `GET /load`: what the server process has used and done so far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Load {
    /// When this was taken, in ns on the server host's monotonic clock.
    pub now_ns: u64,
    /// When the feed began, in ns on the same clock.
    pub started_ns: u64,
    /// When the schedule in force began, in ns: its offsets count from here. It is the feed's start until a presenter changes it.
    pub schedule_started_ns: u64,
    /// Number of the schedule's first event, from 1; payloads are drawn from the seed and an event's number.
    pub schedule_first: u64,
    /// CPU time of the whole process, user and system, ended threads included, in ns; less what measuring itself cost:
    /// taking these figures, and watching the clock for an event that is about to be due.
    pub cpu_ns: u64,
    /// Resident memory of the process, in bytes, at most 50 ms ago.
    pub resident_bytes: u64,
    /// Involuntary and voluntary context switches of the process's living threads, but for the one that counts them, at most 50 ms ago.
    pub context_switches: u64,
    /// Connections open now, of either port.
    pub connections_open: u64,
    /// Connections accepted so far.
    pub connections_accepted: u64,
    /// Connections refused so far, because there were too many.
    pub connections_refused: u64,
    /// Subscribers given up so far, because they took nothing of what was waiting for them for too long.
    pub connections_stalled: u64,
    /// Handshakes of TLS that failed so far: what came was none, or not ours, or took too long.
    pub handshakes_failed: u64,
    /// Messages that were not echoed so far, because too many were held already.
    pub echoes_refused: u64,
    /// Requests with a wrong presenter's token so far.
    #[serde(default)]
    pub tokens_refused: u64,
    /// Trace sessions refused so far, because there were too many or one of that name.
    #[serde(default)]
    pub watches_refused: u64,
    /// HTTP requests begun so far, upgrades included.
    pub requests: u64,
    /// The seq of the newest event; 0 before the first.
    pub head: u64,
    /// Which feed that is.
    pub epoch: Epoch,
    /// Bytes that the history's events and their framings hold.
    pub history_bytes: u64,
    /// The port of the raw TCP transport, on the host of this one.
    pub tcp_port: u16,
    /// Events a second on the schedule; 0 where only what is posted is published.
    pub rate: f64,
    /// How the schedule's events are spaced.
    pub schedule: Spacing,
    /// Payload of the schedule's events, in bytes.
    pub payload_bytes: u32,
    /// Seed of schedule and payloads.
    pub seed: u64,
    /// Threads that serve connections.
    pub threads: u32,
}

/// One line of `GET /published`: when an event was due, and when it really entered the feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// The event's seq.
    pub seq: u64,
    /// Scheduled publish time t0, in ns on the server host's monotonic clock.
    pub at: u64,
    /// When it had entered the feed, t1, on the same clock.
    pub entered: u64,
}
