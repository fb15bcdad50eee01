//! Pollers are spread evenly over the interval, all of them together: more than connect at once, in more than one process.

use protocol::result::{Round, Scenario};
use protocol::schedule::Spacing;
use protocol::{Histogram, Transport};

use super::Finding;
use crate::compare::warm_up_ms;
use crate::trial::{self, small};

/// How far the distribution of latencies may be from an even one, at its farthest (Kolmogorov and Smirnov's distance).
const MAX_DISTANCE: f64 = 0.05;

pub async fn check() -> anyhow::Result<Finding> {
    let scenario = Scenario {
        subscribers: 1_000,
        processes: 2,
        rate: 10.0,
        schedule: Spacing::Poisson,
        poll_interval_ms: 250,
        warm_up_ms: warm_up_ms(1_000, small(&[]).network) + 500,
        duration_ms: 2_000,
        ..small(&[Transport::Polling])
    };
    let round = trial::round(&scenario, Transport::Polling).await?;
    Ok(judge(&round, scenario.poll_interval_ms as f64))
}

/// Each event meets each poller at that one's phase: the latencies of even phases are spread evenly over one interval.
fn judge(round: &Round, interval_ms: f64) -> Finding {
    let distance = distance(&round.latency_ns, interval_ms);
    Finding {
        requirement: "a thousand pollers are spread evenly over the interval",
        measured: format!("at most {distance:.3} from an even spread"),
        bound: format!("at most {MAX_DISTANCE}"),
        holds: round.is_sound() && distance <= MAX_DISTANCE,
    }
}

/// The greatest difference between the share of latencies below a value and the share of an even distribution from the least of them
/// to an interval later.
fn distance(latencies: &Histogram, interval_ms: f64) -> f64 {
    let least = latencies.quantile(0.001).unwrap_or(0) as f64 / 1e6;
    let total = latencies.count().max(1) as f64;
    let mut below = 0;
    let mut greatest = 0.0f64;
    for (ns, count) in latencies.buckets() {
        below += count;
        let even = ((ns as f64 / 1e6 - least) / interval_ms).clamp(0.0, 1.0);
        greatest = greatest.max((below as f64 / total - even).abs());
    }
    if latencies.count() == 0 { 1.0 } else { greatest }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::tests::round_with;

    #[test]
    fn pollers_that_begin_in_groups_are_found() {
        let even = |from: u64, to: u64| (from..to).map(|ms| ms * 1_000_000);
        assert!(judge(&round_with(even(1, 251)), 250.0).holds);
        // Two groups, each spread over half of the interval only and shifted against each other by a third of it.
        let groups = even(1, 126).chain(even(83, 208));
        assert!(!judge(&round_with(groups), 250.0).holds);
        assert!(!judge(&round_with([]), 250.0).holds);
    }
}
