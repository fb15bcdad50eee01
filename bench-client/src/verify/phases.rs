//! The phases of all pollers are spread evenly over the interval, also when there are more pollers than connect at once, in more than one
//! process.

use protocol::result::{Round, Scenario};
use protocol::schedule::Spacing;
use protocol::{Histogram, Transport};
use reports::judge::is_sound;

use super::Finding;
use crate::command::compare::warm_up_ms;
use crate::round::series;

/// The largest acceptable distance between the distribution of latencies and a uniform one (the Kolmogorov-Smirnov statistic).
const MAX_DISTANCE: f64 = 0.05;

pub async fn check() -> anyhow::Result<Finding> {
    let scenario = Scenario {
        subscribers: 1_000,
        processes: 2,
        rate: 10.0,
        schedule: Spacing::Poisson,
        poll_interval_ms: 250,
        warm_up_ms: warm_up_ms(1_000, Scenario::small(&[]).network) + 500,
        duration_ms: 2_000,
        ..Scenario::small(&[Transport::Polling])
    };
    let round = series::round(&scenario, Transport::Polling).await?;
    Ok(judge(&round, scenario.poll_interval_ms as f64))
}

/// An event waits until the next poll of each poller. So if the phases are spread evenly, the latencies are uniform over one interval.
fn judge(round: &Round, interval_ms: f64) -> Finding {
    let distance = distance(&round.latency_ns, interval_ms);
    Finding {
        requirement: "a thousand pollers are spread evenly over the interval",
        measured: format!("distance {distance:.3} from uniform"),
        bound: format!("at most {MAX_DISTANCE}"),
        passed: is_sound(round) && distance <= MAX_DISTANCE,
    }
}

/// The Kolmogorov-Smirnov statistic: the largest difference between the share of latencies up to a value and the same share of a uniform
/// distribution. That begins at the 0.1th percentile of the latencies and is one interval wide.
fn distance(latencies: &Histogram, interval_ms: f64) -> f64 {
    let min = latencies.quantile(0.001).unwrap_or(0) as f64 / 1e6;
    let total = latencies.count().max(1) as f64;
    let mut up_to = 0;
    let mut max = 0.0f64;
    for (ns, count) in latencies.buckets() {
        up_to += count;
        let uniform = ((ns as f64 / 1e6 - min) / interval_ms).clamp(0.0, 1.0);
        max = max.max((up_to as f64 / total - uniform).abs());
    }
    if latencies.count() == 0 { 1.0 } else { max }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::tests::round_with;

    #[test]
    fn pollers_whose_phases_are_spread_in_groups_are_found() {
        let even = |from: u64, to: u64| (from..to).map(|ms| ms * 1_000_000);
        assert!(judge(&round_with(even(1, 251)), 250.0).passed);
        // Two groups, each spread over only half of the interval, and shifted against each other by a third of it.
        let groups = even(1, 126).chain(even(83, 208));
        assert!(!judge(&round_with(groups), 250.0).passed);
        assert!(!judge(&round_with([]), 250.0).passed);
    }
}
