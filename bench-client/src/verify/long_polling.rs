//! Long polling lies where theory puts it: mean latency and requests per event, when events are rare, as frequent as requests
//! can be, and far more frequent than that.

use std::time::Duration;

use protocol::Transport;
use protocol::network::Network;
use protocol::result::{Round, Scenario};
use protocol::schedule::Spacing;
use reports::theory;

use super::Finding;
use crate::compare::warm_up_ms;
use crate::trial::{self, small};

/// Events that come, on average, between an answer and the next request: lambda g.
const IN_THE_GAP: [f64; 3] = [0.1, 1.0, 10.0];
const RATE: f64 = 20.0;
/// How far measured and expected may be apart, in per cent.
const APART: f64 = 5.0;

pub async fn check(quick: bool) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for in_the_gap in IN_THE_GAP {
        // Two delays are one gap.
        let network = Network::with_delay(Duration::from_secs_f64(in_the_gap / RATE / 2.0));
        let scenario = Scenario {
            network,
            rate: RATE,
            schedule: Spacing::Poisson,
            // Few, so that requests that come together do not wait for each other.
            subscribers: 5,
            warm_up_ms: warm_up_ms(5, network),
            duration_ms: if quick { 6_000 } else { 20_000 },
            ..small(&[Transport::LongPolling])
        };
        let waiting = trial::round(&scenario, Transport::LongPolling).await?;
        // The way of an event that waits for nothing.
        let streaming = trial::round(&scenario, Transport::WebSocket).await?;
        findings.extend(judge(&waiting, &streaming, trial::gap_ms(network).await?, &scenario));
    }
    Ok(findings)
}

fn judge(waiting: &Round, streaming: &Round, gap_ms: f64, scenario: &Scenario) -> Vec<Finding> {
    let delay = streaming.latency_ns.mean().unwrap_or(0.0) / 1e6;
    // The rate as it was drawn.
    let rate = waiting.sent as f64 / scenario.duration_ms as f64 * 1e3;
    let expected = theory::long_polling(delay, gap_ms, rate);
    let mean = waiting.latency_ns.mean().unwrap_or(0.0) / 1e6;
    let requests = waiting.server.requests as f64 / waiting.server.deliveries.max(1) as f64;
    let within = |measured, expected| {
        waiting.is_sound() && streaming.is_sound() && theory::off_percent(measured, expected).abs() <= APART
    };
    let in_the_gap = scenario.rate * gap_ms / 1e3;
    let off =
        |measured, expected| format!("{:+.1} % at lambda g = {in_the_gap:.2}", theory::off_percent(measured, expected));
    vec![
        Finding {
            requirement: "long polling's mean latency is the formula's",
            measured: off(mean, expected.mean_ms),
            bound: format!("{:.1} ms, within {APART} %", expected.mean_ms),
            holds: within(mean, expected.mean_ms),
        },
        Finding {
            requirement: "long polling's requests per event are 1/B",
            measured: off(requests, expected.requests_per_event),
            bound: format!("{:.3}, within {APART} %", expected.requests_per_event),
            holds: within(requests, expected.requests_per_event),
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::tests::round_with;

    #[test]
    fn a_long_poller_that_dawdles_or_takes_one_event_an_answer_is_found() {
        let scenario = Scenario { duration_ms: 10_000, ..small(&[Transport::LongPolling]) };
        let streaming = round_with([12_000_000]);
        let expected = theory::long_polling(12.0, 25.0, RATE);
        let waiting = |mean_ms: f64, requests: f64| {
            let mut round = round_with([(mean_ms * 1e6) as u64]);
            (round.server.requests, round.server.deliveries) = ((requests * 1e3) as u64, 1_000);
            round.sent = 40 * scenario.duration_ms / 2_000;
            round
        };
        let holds = |round: &Round| judge(round, &streaming, 25.0, &scenario).iter().all(|finding| finding.holds);
        assert!(holds(&waiting(expected.mean_ms, expected.requests_per_event)));
        assert!(!holds(&waiting(expected.mean_ms * 1.1, expected.requests_per_event)));
        assert!(!holds(&waiting(expected.mean_ms, 1.0)));
    }
}
