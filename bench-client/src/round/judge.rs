//! Judges a round: finds the reasons to reject it, and those to doubt it. Every check of a result is here.

use protocol::Histogram;
use protocol::result::{CLIENT_LIMITED, Faults, Round, Scenario};
use reports::number;

/// The share of the window for which the client may be busy. Above it, queueing in the client is a large part of every latency.
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

/// Checks a round, and adds to it the failures, which reject it, and the warnings, which make it doubtful.
pub fn judge(round: &mut Round, scenario: &Scenario) {
    let Round { failures, warnings, .. } = round;
    let expected = round.sent * u64::from(scenario.subscribers);
    if round.sent == 0 {
        failures.push("no event was scheduled in the window".into());
    }
    if round.delivered != expected {
        failures.push(format!("{} of {expected} deliveries were received", round.delivered));
    }
    let Faults { lost, duplicates, reordered, gaps, reconnects, altered } = round.faults;
    for (count, what) in [
        (lost, "lost"),
        (duplicates, "delivered twice"),
        (reordered, "out of order"),
        (gaps, "removed from the history before delivery"),
        (altered, "with other bytes than were published"),
    ] {
        if count > 0 {
            failures.push(format!("{count} events {what}"));
        }
    }
    let unexplained = round.ledger.unexplained_bytes();
    if unexplained != 0 {
        failures.push(format!("{unexplained} wire bytes are not attributed to a layer"));
    }
    let ledger = &round.ledger;
    if let Some(kernel) = ledger.kernel {
        for (what, counted, kernel) in
            [("received", ledger.received_bytes, kernel.received_bytes), ("sent", ledger.sent_bytes, kernel.sent_bytes)]
        {
            if counted != kernel {
                failures.push(format!("{counted} bytes {what} were counted, {kernel} by the kernel"));
            }
        }
    }
    if ledger.kernel.is_none() && ledger.connections > 0 {
        warnings.push("the kernel's counts could not be read, so the counted bytes were not checked, and TCP and IP headers are left out".into());
    }
    let negative = round.latency_ns.negative();
    if negative > 0 && round.clock_bound_ns.is_none() {
        failures.push(format!("{negative} latencies are negative, although both times are from one clock"));
    }
    if round.latency_ns.overflow() > 0 {
        failures.push(format!("{} latencies are longer than 60 s", round.latency_ns.overflow()));
    }
    if reconnects > 0 {
        warnings.push(format!("{reconnects} connections were lost and resumed"));
    }
    if round.ledger.cut_off > 0 {
        warnings.push(format!(
            "{} connections were closed while the server was still sending; bytes after that are not counted",
            round.ledger.cut_off
        ));
    }
    let percent = |share: f64| number::short(share * 100.0);
    let ms = |ns: u64| number::short(ns as f64 / 1e6);
    let share = client_share(round, scenario.processes.min(scenario.subscribers));
    let warnings = &mut round.warnings;
    if share > MAX_BUSY_SHARE {
        warnings.push(format!(
            "{CLIENT_LIMITED}: the client was busy for {} % of the window, which delays events; use more --processes",
            percent(share)
        ));
    }
    // A freeze is a single sample, however long it lasts. So the maximum is compared, and not a percentile.
    let lag = &round.client.lag_ns;
    if let Some(longest) = lag.max().filter(|&longest| longest > MAX_LATENESS_NS) {
        warnings.push(format!("{CLIENT_LIMITED}: the client was unresponsive for {} ms", ms(longest)));
    }
    let late = time_beyond(lag, LAG_NS) as f64 / round.server.window_ns.max(1) as f64;
    if late > MAX_LAG_SHARE {
        warnings
            .push(format!("{CLIENT_LIMITED}: the client's event loop was late for {} % of the window", percent(late)));
    }
    let lateness = &round.publisher_lateness_ns;
    if let Some(latest) = lateness.max().filter(|&latest| latest > MAX_LATENESS_NS) {
        warnings.push(format!("the server was unresponsive: an event was published {} ms late", ms(latest)));
    }
    let late = lateness.count_above(LATE_NS) as f64 / lateness.count().max(1) as f64;
    if late > MAX_LATE_SHARE {
        warnings.push(format!("{} % of the events were published more than {} ms late", percent(late), ms(LATE_NS)));
    }
}

/// The share of a processor that each process of the client used in the window, in [0, 1].
fn client_share(round: &Round, processes: u32) -> f64 {
    round.client.cpu_ns as f64 / round.server.window_ns.max(1) as f64 / f64::from(processes.max(1))
}

/// The sum of the times by which the durations exceed `limit_ns`, in ns.
fn time_beyond(histogram: &Histogram, limit_ns: u64) -> u64 {
    histogram.buckets().map(|(ns, count)| ns.saturating_sub(limit_ns) * count).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::round::series::small;
    use crate::verify::tests::round_with;

    /// A sound round of a second: 50 events to 20 subscribers, and 50 checks of the client's event loop.
    fn sound() -> Round {
        let mut round = round_with([1_000_000; 1_000]);
        (round.sent, round.delivered, round.server.window_ns) = (50, 1_000, 1_000_000_000);
        round.publisher_lateness_ns = [20_000; 50].into_iter().collect();
        round.client.lag_ns = [1_200_000; 50].into_iter().collect();
        round
    }

    fn warnings(change: impl FnOnce(&mut Round)) -> Vec<String> {
        let mut round = sound();
        change(&mut round);
        judge(&mut round, &small(&[]));
        assert_eq!(round.failures, [""; 0]);
        round.warnings
    }

    #[test]
    fn a_frozen_client_and_a_frozen_server_are_distinguished_by_a_single_late_sample() {
        assert_eq!(warnings(|_| ()), [""; 0]);
        let client = warnings(|round| round.client.lag_ns.record(600_000_000));
        assert!(client[0].contains("the client was unresponsive for 600 ms"), "{client:?}");
        assert!(!client.iter().any(|warning| warning.contains("server")), "{client:?}");
        let server = warnings(|round| round.publisher_lateness_ns.record(600_000_000));
        assert_eq!(server, ["the server was unresponsive: an event was published 600 ms late"]);
    }

    #[test]
    fn many_short_delays_make_a_round_doubtful_like_one_long_delay() {
        // One in six checks is 9 ms late: 4 ms more than is acceptable, ten times in a second.
        let lag = warnings(|round| (0..10).for_each(|_| round.client.lag_ns.record(9_000_000)));
        assert!(lag[0].starts_with("client-limited: the client's event loop was late for"), "{lag:?}");
        let late = warnings(|round| (0..20).for_each(|_| round.publisher_lateness_ns.record(500_000)));
        assert!(late[0].contains("were published more than"), "{late:?}");
    }

    #[test]
    fn altered_events_reject_a_round() {
        let mut round = sound();
        round.faults.altered = 1;
        judge(&mut round, &small(&[]));
        assert_eq!(round.failures, ["1 events with other bytes than were published"]);
    }
}
