//! Polling matches theory: its latency is the delay d of a delivery, and a wait that is uniform between 0 and the interval T.

use protocol::Transport;
use protocol::result::{Round, Scenario};
use protocol::schedule::Spacing;

use super::Finding;
use crate::round::series;

pub async fn check(quick: bool) -> anyhow::Result<Vec<Finding>> {
    let scenario = Scenario {
        // Events at random times. Periodic ones would always come at the same few phases of a poller's interval.
        schedule: Spacing::Poisson,
        subscribers: 100,
        poll_interval_ms: 200,
        duration_ms: if quick { 3_000 } else { 10_000 },
        ..Scenario::small(&[Transport::Polling])
    };
    let polling = series::round(&scenario, Transport::Polling).await?;
    // The delay of a delivery without the wait is estimated by the latency of a stream.
    let streaming = series::round(&scenario, Transport::Ndjson).await?;
    Ok(judge(&polling, &streaming, &scenario))
}

fn judge(polling: &Round, streaming: &Round, scenario: &Scenario) -> Vec<Finding> {
    let delay = streaming.latency_ns.quantile(0.5).unwrap_or(0) as f64 / 1e6;
    let interval = scenario.poll_interval_ms as f64;
    let compare = |requirement, measured: f64, expected: f64| Finding {
        requirement,
        measured: format!("{measured:.1} ms, {:+.1} %", (measured / expected - 1.0) * 100.0),
        bound: format!("{expected:.1} ms, within 3 %"),
        passed: (measured / expected - 1.0).abs() <= 0.03,
    };
    let mean = polling.latency_ns.mean().unwrap_or(0.0) / 1e6;
    let p99 = polling.latency_ns.quantile(0.99).unwrap_or(0) as f64 / 1e6;
    vec![
        compare("polling's mean latency is d + T/2", mean, delay + interval / 2.0),
        compare("polling's p99 latency is d + 0.99 T", p99, delay + 0.99 * interval),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::tests::round_with;

    #[test]
    fn a_poller_that_sleeps_after_each_response_and_one_that_is_synchronised_with_the_events_are_found() {
        let scenario = Scenario { poll_interval_ms: 200, ..Scenario::small(&[Transport::Polling]) };
        let streaming = round_with([1_000_000]);
        let uniform = |interval_us: u64| round_with((0..10_000).map(move |i| 1_000_000 + i * interval_us / 10));
        let passed = |polling: &Round| judge(polling, &streaming, &scenario).iter().all(|finding| finding.passed);
        assert!(passed(&uniform(200_000)));
        assert!(!passed(&uniform(215_000)));
        assert!(!passed(&round_with([1_000_000; 100])));
    }
}
