//! Judges a round by its facts: finds the failures, which reject it, and the warnings, which make it doubtful. Every check of a round is here.

use std::fmt;

use protocol::Histogram;
use protocol::result::{Faults, Incident, Round};

use crate::number::short;

/// The share of the window for which a process of the client may be busy. Above it, queueing in the client is a large part of every latency.
const MAX_BUSY_SHARE: f64 = 0.4;
/// The most by which a single event, or a single check of the client's event loop, may be late before the round is doubtful, in ns.
const MAX_LATENESS_NS: u64 = 50_000_000;
/// Publisher lateness that is acceptable, in ns, and the share of events that may be later than that.
const LATE_NS: u64 = 100_000;
const MAX_LATE_SHARE: f64 = 0.25;
/// Client lag that is acceptable, in ns, since timers have a granularity of 1 ms; and the largest share of the window by which the lags
/// together may exceed it.
const LAG_NS: u64 = 5_000_000;
const MAX_LAG_SHARE: f64 = 0.02;

/// A reason to reject a round. Its text is part of a sentence.
#[derive(Debug, Clone, PartialEq)]
pub enum Failure<'a> {
    /// The window had no event.
    NoEvent,
    /// Another number of deliveries than expected.
    Deliveries {
        /// Deliveries in the window.
        received: u64,
        /// Deliveries that were due.
        expected: u64,
    },
    /// Events that were not delivered exactly once, in order and unchanged: how many, and what happened to them.
    Events(u64, &'static str),
    /// Bytes on the wire that no layer of the ledger has.
    Unexplained(i64),
    /// The kernel counted another number of bytes than the client.
    Kernel {
        /// "received" or "sent".
        direction: &'static str,
        /// The client's count.
        counted: u64,
        /// The kernel's count.
        kernel: u64,
    },
    /// Negative latencies, although both times are from one clock.
    Negative(u64),
    /// Latencies beyond the histogram's range.
    TooLong(u64),
    /// What went wrong and is not in the round's figures.
    Incident(&'a Incident),
    /// A failure in a result of an earlier version.
    Earlier(&'a str),
}

impl fmt::Display for Failure<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoEvent => write!(f, "no event was scheduled in the window"),
            Self::Deliveries { received, expected } => write!(f, "{received} of {expected} deliveries were received"),
            Self::Events(count, what) => write!(f, "{count} events {what}"),
            Self::Unexplained(bytes) => write!(f, "{bytes} wire bytes are not attributed to a layer"),
            Self::Kernel { direction, counted, kernel } => {
                write!(f, "{counted} bytes {direction} were counted, {kernel} by the kernel")
            }
            Self::Negative(count) => {
                write!(f, "{count} latencies are negative, although both times are from one clock")
            }
            Self::TooLong(count) => write!(f, "{count} latencies are longer than 60 s"),
            Self::Incident(incident) => in_words(incident, f),
            Self::Earlier(sentence) => f.write_str(sentence),
        }
    }
}

fn in_words(incident: &Incident, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match incident {
        Incident::Unpublished { events, due } => write!(f, "{events} of {due} events that were due were not published"),
        Incident::ScheduleChanged => write!(f, "the server's schedule was changed during the round"),
        Incident::OtherSchedule => {
            write!(f, "it had another schedule than the other transports in rounds of the same number")
        }
        Incident::NotConnected { connected, subscribers } => {
            write!(f, "only {connected} of {subscribers} subscribers were connected at the start of the window")
        }
        Incident::GaveUp { subscribers, error } => write!(f, "{subscribers} subscribers gave up: {error}"),
        Incident::AgentLost { agent } => write!(f, "{agent} disappeared, with its part of the subscribers"),
        Incident::NotClosed => write!(f, "some subscribers did not close in time"),
        Incident::RequestsDiffer { server, client } => {
            write!(f, "the server counted {server} requests, the subscribers {client}")
        }
        Incident::ConnectionsDiffer { server, client } => {
            write!(f, "the server counted {server} connections, the subscribers {client}")
        }
    }
}

/// The reasons to reject a round; none for a sound one.
pub fn failures(round: &Round) -> Vec<Failure<'_>> {
    let mut failures: Vec<_> = round.incidents.iter().map(Failure::Incident).collect();
    failures.extend(round.failures.iter().map(|sentence| Failure::Earlier(sentence)));
    // A result of an earlier version was judged when it was measured.
    let Some(expected) = round.expected else { return failures };
    if round.sent == 0 {
        failures.push(Failure::NoEvent);
    }
    let carrier = round.transport.carrier();
    let Faults { lost, duplicates, reordered, gaps, reconnects: _, altered } = round.faults;
    // Datagrams may be lost; that is a figure, not a failure. More deliveries than events would still be one.
    if round.delivered != expected && (carrier.is_reliable() || round.delivered > expected || round.delivered == 0) {
        failures.push(Failure::Deliveries { received: round.delivered, expected });
    }
    let faults = [
        // Where later events overtake earlier ones, some are still under way at the end; those of the window were counted above.
        (if carrier.is_ordered() { lost } else { 0 }, "lost"),
        (duplicates, "delivered twice"),
        (if carrier.is_ordered() { reordered } else { 0 }, "out of order"),
        (gaps, "removed from the history before delivery"),
        (altered, "with other bytes than were published"),
    ];
    failures.extend(faults.into_iter().filter(|of| of.0 > 0).map(|(count, what)| Failure::Events(count, what)));
    let ledger = &round.ledger;
    if ledger.unexplained_bytes() != 0 {
        failures.push(Failure::Unexplained(ledger.unexplained_bytes()));
    }
    if let Some(kernel) = ledger.kernel {
        let counts = [
            ("received", ledger.received_bytes, kernel.received_bytes),
            ("sent", ledger.sent_bytes, kernel.sent_bytes),
        ];
        let differing = counts.into_iter().filter(|(_, counted, kernel)| counted != kernel);
        failures.extend(differing.map(|(direction, counted, kernel)| Failure::Kernel { direction, counted, kernel }));
    }
    let negative = round.latency_ns.negative();
    if negative > 0 && round.clock_bound_ns.is_none() {
        failures.push(Failure::Negative(negative));
    }
    if round.latency_ns.overflow() > 0 {
        failures.push(Failure::TooLong(round.latency_ns.overflow()));
    }
    failures
}

/// Whether a round passes every check. Only sound rounds are used.
pub fn is_sound(round: &Round) -> bool {
    failures(round).is_empty()
}

/// A reason to doubt a round that does not reject it. Its text is part of a sentence.
#[derive(Debug, Clone, PartialEq)]
pub enum Warning<'a> {
    /// The kernel's counts could not be read.
    NoKernelCounts,
    /// Connections that were lost and resumed.
    Reconnects(u64),
    /// Connections that were closed while the server was sending.
    CutOff(u64),
    /// The share of the window for which the client was busy, in [0, 1].
    ClientBusy(f64),
    /// The longest time for which the client's event loop stood still, in ns.
    ClientUnresponsive(u64),
    /// The share of the window for which the client's event loop was late, in [0, 1].
    ClientLate(f64),
    /// The longest time by which an event was published late, in ns.
    ServerUnresponsive(u64),
    /// The share of the events that were published late, in [0, 1].
    PublishedLate(f64),
    /// A warning in a result of an earlier version.
    Earlier(&'a str),
}

/// How a warning begins that is about the client's speed.
const CLIENT_LIMITED: &str = "client-limited";

impl Warning<'_> {
    /// Whether the client was too slow. This makes the round's latencies doubtful, but not the server's counts and its use of resources.
    pub fn is_of_client(&self) -> bool {
        match self {
            Self::ClientBusy(_) | Self::ClientUnresponsive(_) | Self::ClientLate(_) => true,
            Self::NoKernelCounts
            | Self::Reconnects(_)
            | Self::CutOff(_)
            | Self::ServerUnresponsive(_)
            | Self::PublishedLate(_) => false,
            Self::Earlier(sentence) => sentence.starts_with(CLIENT_LIMITED),
        }
    }
}

impl fmt::Display for Warning<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |share: &f64| short(share * 100.0);
        let ms = |ns: u64| short(ns as f64 / 1e6);
        match self {
            Self::NoKernelCounts => f.write_str(
                "the kernel's counts could not be read, so the counted bytes were not checked, and TCP and IP headers are left out",
            ),
            Self::Reconnects(count) => write!(f, "{count} connections were lost and resumed"),
            Self::CutOff(count) => write!(
                f,
                "{count} connections were closed while the server was still sending; bytes after that are not counted"
            ),
            Self::ClientBusy(share) => write!(
                f,
                "{CLIENT_LIMITED}: the client was busy for {} % of the window, which delays events; use more --processes",
                percent(share)
            ),
            Self::ClientUnresponsive(ns) => {
                write!(f, "{CLIENT_LIMITED}: the client was unresponsive for {} ms", ms(*ns))
            }
            Self::ClientLate(share) => {
                write!(f, "{CLIENT_LIMITED}: the client's event loop was late for {} % of the window", percent(share))
            }
            Self::ServerUnresponsive(ns) => {
                write!(f, "the server was unresponsive: an event was published {} ms late", ms(*ns))
            }
            Self::PublishedLate(share) => {
                write!(f, "{} % of the events were published more than {} ms late", percent(share), ms(LATE_NS))
            }
            Self::Earlier(sentence) => f.write_str(sentence),
        }
    }
}

/// The reasons to doubt a round, whether or not it is sound.
pub fn warnings(round: &Round) -> Vec<Warning<'_>> {
    if round.expected.is_none() {
        return round.warnings.iter().map(|sentence| Warning::Earlier(sentence)).collect();
    }
    let mut warnings = Vec::new();
    let ledger = &round.ledger;
    // The kernel does not count the bytes of a UDP socket.
    if round.transport.is_over_tcp() && ledger.kernel.is_none() && ledger.connections > 0 {
        warnings.push(Warning::NoKernelCounts);
    }
    if round.faults.reconnects > 0 {
        warnings.push(Warning::Reconnects(round.faults.reconnects));
    }
    if ledger.cut_off > 0 {
        warnings.push(Warning::CutOff(ledger.cut_off));
    }
    let window_ns = round.server.window_ns.max(1) as f64;
    let share = round.client.cpu_ns as f64 / window_ns / f64::from(round.client.processes.max(1));
    if share > MAX_BUSY_SHARE {
        warnings.push(Warning::ClientBusy(share));
    }
    // A freeze is a single sample, however long it lasts. So the maximum is compared, and not a percentile.
    let lag = &round.client.lag_ns;
    let long = |histogram: &Histogram| histogram.max().filter(|&longest| longest > MAX_LATENESS_NS);
    warnings.extend(long(lag).map(Warning::ClientUnresponsive));
    let share = time_beyond(lag, LAG_NS) as f64 / window_ns;
    if share > MAX_LAG_SHARE {
        warnings.push(Warning::ClientLate(share));
    }
    let lateness = &round.publisher_lateness_ns;
    warnings.extend(long(lateness).map(Warning::ServerUnresponsive));
    let share = lateness.count_above(LATE_NS) as f64 / lateness.count().max(1) as f64;
    if share > MAX_LATE_SHARE {
        warnings.push(Warning::PublishedLate(share));
    }
    warnings
}

/// The sum of the times by which the durations exceed `limit_ns`, in ns.
fn time_beyond(histogram: &Histogram, limit_ns: u64) -> u64 {
    histogram.buckets().map(|(ns, count)| ns.saturating_sub(limit_ns) * count).sum()
}

#[cfg(test)]
mod tests {
    use protocol::Transport;

    use super::*;
    use crate::experiment::fabricated;

    /// A sound round of a second: 50 events to 20 subscribers, and 50 checks of the client's event loop.
    fn sound() -> Round {
        let mut round = fabricated::round(Transport::WebSocket, 1, 1.0);
        round.publisher_lateness_ns = [20_000; 50].into_iter().collect();
        round.client.lag_ns = [1_200_000; 50].into_iter().collect();
        round
    }

    fn in_words(change: impl FnOnce(&mut Round)) -> Vec<String> {
        let mut round = sound();
        change(&mut round);
        assert_eq!(failures(&round), []);
        warnings(&round).iter().map(Warning::to_string).collect()
    }

    #[test]
    fn a_frozen_client_and_a_frozen_server_are_distinguished_by_a_single_late_sample() {
        assert_eq!(in_words(|_| ()), [""; 0]);
        let client = in_words(|round| round.client.lag_ns.record(600_000_000));
        assert!(client[0].contains("the client was unresponsive for 600 ms"), "{client:?}");
        assert!(!client.iter().any(|warning| warning.contains("server")), "{client:?}");
        let server = in_words(|round| round.publisher_lateness_ns.record(600_000_000));
        assert_eq!(server, ["the server was unresponsive: an event was published 600 ms late"]);
    }

    #[test]
    fn many_short_delays_make_a_round_doubtful_like_one_long_delay() {
        // One in six checks is 9 ms late: 4 ms more than is acceptable, ten times in a second.
        let lag = in_words(|round| (0..10).for_each(|_| round.client.lag_ns.record(9_000_000)));
        assert!(lag[0].starts_with("client-limited: the client's event loop was late for"), "{lag:?}");
        let late = in_words(|round| (0..20).for_each(|_| round.publisher_lateness_ns.record(500_000)));
        assert!(late[0].contains("were published more than"), "{late:?}");
    }

    #[test]
    fn processes_share_the_client_s_cpu_time() {
        let busy = |processes| {
            let mut round = sound();
            (round.client.cpu_ns, round.client.processes) = (600_000_000, processes);
            warnings(&round) == [Warning::ClientBusy(0.6)]
        };
        assert!(busy(1) && !busy(2));
    }

    #[test]
    fn each_wrong_figure_rejects_a_round() {
        let rejected = |change: fn(&mut Round)| {
            let mut round = sound();
            change(&mut round);
            failures(&round).iter().map(Failure::to_string).collect::<Vec<_>>()
        };
        assert_eq!(rejected(|round| round.faults.altered = 1), ["1 events with other bytes than were published"]);
        assert_eq!(rejected(|round| round.delivered -= 1), ["999 of 1000 deliveries were received"]);
        assert_eq!(rejected(|round| round.ledger.received_bytes += 1)[0], "1 wire bytes are not attributed to a layer");
        assert_eq!(
            rejected(|round| round.latency_ns.record_between(2, 1)),
            ["1 latencies are negative, although both times are from one clock"]
        );
        assert_eq!(
            rejected(|round| round.incidents.push(Incident::NotConnected { connected: 19, subscribers: 20 })),
            ["only 19 of 20 subscribers were connected at the start of the window"]
        );
    }

    #[test]
    fn a_result_of_an_earlier_version_keeps_its_own_sentences() {
        let mut round = Round { expected: None, delivered: 0, ..sound() };
        assert!(is_sound(&round) && warnings(&round).is_empty());
        round.warnings = vec!["client-limited: the client stood still for 60 ms".into(), "late".into()];
        round.failures = vec!["1 events lost".into()];
        assert_eq!(warnings(&round).iter().map(Warning::is_of_client).collect::<Vec<_>>(), [true, false]);
        assert_eq!(failures(&round), [Failure::Earlier("1 events lost")]);
    }
}
