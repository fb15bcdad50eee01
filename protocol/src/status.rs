//! The server's reports about itself: the JSON of `/time`, `/load` and `/published`.

use serde::{Deserialize, Serialize};

use crate::event::Epoch;
use crate::payload::PayloadKind;
use crate::schedule::Spacing;

/// `GET /time`: the clock from which events have their timestamps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Time {
    /// The current time, in ns on the server host's monotonic clock.
    pub now_ns: u64,
}

/// `GET /load`: the resources that the server process has used, and counts of what it has done so far.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Load {
    /// When this report was made, in ns on the server host's monotonic clock.
    pub now_ns: u64,
    /// When the feed began, in ns on the same clock.
    pub started_ns: u64,
    /// When the current schedule began, in ns on the same clock. Its offsets count from here. It is the feed's start until a presenter
    /// changes the schedule.
    pub schedule_started_ns: u64,
    /// Number of the schedule's first event, from 1. A payload depends on the seed and on the number of its event.
    pub schedule_first: u64,
    /// CPU time of the whole process, user and system, threads that have ended included, in ns. The cost of measuring is subtracted: that
    /// of reading these figures, and that of polling the clock for an event that is about to be due.
    pub cpu_ns: u64,
    /// Resident memory of the process, in bytes, sampled at most 50 ms earlier.
    pub resident_bytes: u64,
    /// Involuntary and voluntary context switches of the process's running threads, except the thread that counts them, sampled at most
    /// 50 ms earlier; `None` if the system does not tell.
    pub context_switches: Option<u64>,
    /// Connections that are open, on both ports together.
    pub connections_open: u64,
    /// Connections accepted so far.
    pub connections_accepted: u64,
    /// Connections refused so far because there were too many.
    pub connections_refused: u64,
    /// Clients disconnected so far because they read nothing for too long although bytes were waiting for them.
    pub connections_stalled: u64,
    /// TLS handshakes that failed so far: the peer did not speak TLS, offered nothing that this server supports, or took too long.
    pub handshakes_failed: u64,
    /// Requests over HTTP/2 that were refused because there were too many streams.
    #[serde(default)]
    pub streams_refused: u64,
    /// Clients that were disconnected because of a flood of HTTP/2 frames.
    #[serde(default)]
    pub floods: u64,
    /// WebSockets that were not compressed because there was no memory for their compressors.
    #[serde(default)]
    pub compressions_refused: u64,
    /// Questions that were not answered because there were too many answers.
    #[serde(default)]
    pub answers_refused: u64,
    /// Tokens that were generated so far, for all answers together.
    #[serde(default)]
    pub tokens_generated: u64,
    /// Whether other servers publish to the feed, too.
    #[serde(default)]
    pub is_shared: bool,
    /// Events that were missing in a shared feed so far. Subscribers were told of them as a gap.
    #[serde(default)]
    pub events_missing: u64,
    /// Messages not echoed so far because the server held too many bytes already.
    pub echoes_refused: u64,
    /// Requests with a wrong presenter's token so far.
    #[serde(default)]
    pub tokens_refused: u64,
    /// Trace sessions refused so far because there were too many, or one with the same name.
    #[serde(default)]
    pub watches_refused: u64,
    /// HTTP requests begun so far, upgrades included.
    pub requests: u64,
    /// The sequence number of the newest event; 0 before the first.
    pub head: u64,
    /// The epoch of the feed.
    pub epoch: Epoch,
    /// Memory that the events take in all their encoded forms, in bytes.
    pub history_bytes: u64,
    /// The port of the raw TCP transport, on the same host.
    pub tcp_port: u16,
    /// The UDP port of WebTransport, on the same host; 0 if the server does not offer it.
    #[serde(default)]
    pub quic_port: u16,
    /// The SHA-256 hash of the certificate for WebTransport, in hex.
    #[serde(default)]
    pub quic_certificate: String,
    /// Connections over QUIC that had to prove their address first, because many handshakes were under way.
    #[serde(default)]
    pub quic_retries: u64,
    /// Events per second on the schedule; 0 if only posted events are published.
    pub rate: f64,
    /// How the schedule's events are spaced.
    pub schedule: Spacing,
    /// Payload of the schedule's events, in bytes.
    pub payload_bytes: u32,
    /// The kind of that payload.
    #[serde(default)]
    pub payload_kind: PayloadKind,
    /// Seed of schedule and payloads.
    pub seed: u64,
    /// Threads that serve connections.
    pub threads: u32,
}

/// One line of `GET /published`: when an event was due, and when it entered the feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// The event's sequence number.
    pub seq: u64,
    /// The scheduled publish time t0, in ns on the server host's monotonic clock.
    pub at: u64,
    /// The time t1 at which it entered the feed, in ns on the same clock.
    pub entered: u64,
}
