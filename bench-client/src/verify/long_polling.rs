//! Long polling matches theory: its mean latency and its requests per event, when events are rare, as frequent as requests can be, and far
//! more frequent than that.

use std::time::Duration;

use protocol::Transport;
use protocol::network::Network;
use protocol::result::{Round, Scenario};
use protocol::schedule::Spacing;
use reports::judge::is_sound;
use reports::theory;

use super::Finding;
use crate::command::compare::warm_up_ms;
use crate::round::series;

/// The average number of events in the gap between a response and the next request: lambda g.
const EVENTS_IN_GAP: [f64; 3] = [0.1, 1.0, 10.0];
/// Events per second.
const RATE: f64 = 20.0;
/// The largest acceptable difference between measurement and theory, in per cent.
const MAX_DIFFERENCE_PERCENT: f64 = 5.0;

pub async fn check(quick: bool) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for events_in_gap in EVENTS_IN_GAP {
        // The gap is two one-way delays.
        let network = Network::with_delay(Duration::from_secs_f64(events_in_gap / RATE / 2.0));
        let scenario = Scenario {
            network,
            rate: RATE,
            schedule: Spacing::Poisson,
            // Few, so that simultaneous requests hardly queue at the server.
            subscribers: 5,
            warm_up_ms: warm_up_ms(5, network),
            duration_ms: if quick { 6_000 } else { 20_000 },
            ..Scenario::small(&[Transport::LongPolling])
        };
        let waiting = series::round(&scenario, Transport::LongPolling).await?;
        // The latency of an event that does not wait for a request.
        let streaming = series::round(&scenario, Transport::WebSocket).await?;
        findings.extend(judge(&waiting, &streaming, series::gap_ms(network).await?, &scenario));
    }
    Ok(findings)
}

fn judge(waiting: &Round, streaming: &Round, gap_ms: f64, scenario: &Scenario) -> Vec<Finding> {
    let delay = streaming.latency_ns.mean().unwrap_or(0.0) / 1e6;
    // The rate of the schedule, which is random, in this round.
    let rate = waiting.sent as f64 / scenario.duration_ms as f64 * 1e3;
    let expected = theory::long_polling(delay, gap_ms, rate);
    let mean = waiting.latency_ns.mean().unwrap_or(0.0) / 1e6;
    let requests = waiting.server.requests as f64 / waiting.server.deliveries.max(1) as f64;
    let within = |measured, expected| {
        is_sound(waiting)
            && is_sound(streaming)
            && theory::off_percent(measured, expected).abs() <= MAX_DIFFERENCE_PERCENT
    };
    let events_in_gap = scenario.rate * gap_ms / 1e3;
    let difference = |measured, expected| {
        format!("{:+.1} % at lambda g = {events_in_gap:.2}", theory::off_percent(measured, expected))
    };
    vec![
        Finding {
            requirement: "long polling's mean latency matches theory",
            measured: difference(mean, expected.mean_ms),
            bound: format!("{:.1} ms, within {MAX_DIFFERENCE_PERCENT} %", expected.mean_ms),
            passed: within(mean, expected.mean_ms),
        },
        Finding {
            requirement: "long polling's requests per event match theory",
            measured: difference(requests, expected.requests_per_event),
            bound: format!("{:.3}, within {MAX_DIFFERENCE_PERCENT} %", expected.requests_per_event),
            passed: within(requests, expected.requests_per_event),
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::tests::round_with;

    #[test]
    fn a_long_poller_that_is_slow_or_receives_one_event_per_response_is_found() {
        let scenario = Scenario { duration_ms: 10_000, ..Scenario::small(&[Transport::LongPolling]) };
        let streaming = round_with([12_000_000]);
        let expected = theory::long_polling(12.0, 25.0, RATE);
        let waiting = |mean_ms: f64, requests: f64| {
            let mut round = round_with([(mean_ms * 1e6) as u64]);
            (round.server.requests, round.server.deliveries) = ((requests * 1e3) as u64, 1_000);
            round.sent = 40 * scenario.duration_ms / 2_000;
            round
        };
        let passed = |round: &Round| judge(round, &streaming, 25.0, &scenario).iter().all(|finding| finding.passed);
        assert!(passed(&waiting(expected.mean_ms, expected.requests_per_event)));
        assert!(!passed(&waiting(expected.mean_ms * 1.1, expected.requests_per_event)));
        assert!(!passed(&waiting(expected.mean_ms, 1.0)));
    }
}
