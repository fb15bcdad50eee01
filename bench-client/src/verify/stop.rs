//! A server that stands still for a second shows as a second: nothing is omitted because the client waited.

use std::time::Duration;

use protocol::Transport;
use protocol::result::{Round, Scenario};
use tokio::time::sleep;

use super::Finding;
use crate::trial::{self, small};

const FROZEN: Duration = Duration::from_secs(1);

pub async fn check(quick: bool) -> anyhow::Result<Vec<Finding>> {
    let transports = if quick { &[Transport::WebSocket][..] } else { &Transport::ALL };
    let mut findings = Vec::new();
    for &transport in transports {
        let scenario = Scenario { duration_ms: 2_500, ..small(transports) };
        let into_the_window = Duration::from_millis(scenario.warm_up_ms + 500);
        let stopped = trial::round_beside(&scenario, transport, trial::setup(&scenario), |server| async move {
            sleep(into_the_window).await;
            let _ = server.freeze(true);
            sleep(FROZEN).await;
            let _ = server.freeze(false);
        });
        findings.push(judge(&stopped.await?, &scenario));
    }
    Ok(findings)
}

/// The longest latency is close to the stop, and as many samples are late as were due meanwhile: evenly spread over it, so
/// nine in ten of them by more than a tenth of it.
fn judge(round: &Round, scenario: &Scenario) -> Finding {
    let max = round.latency_ns.max().unwrap_or(0) as f64 / 1e9;
    let late: u64 = round
        .latency_ns
        .buckets()
        .filter(|bucket| bucket.0 > 100_000_000 + polls(round, scenario))
        .map(|bucket| bucket.1)
        .sum();
    let due = scenario.rate * FROZEN.as_secs_f64() * f64::from(scenario.subscribers);
    Finding {
        requirement: "a server stopped for 1 s shows in full",
        measured: format!("{}: max {max:.2} s, {late} late", round.transport),
        bound: format!("at least 0.9 s, {:.0} to {:.0} late", due * 0.7, due * 1.1),
        holds: max >= 0.9 && (due * 0.7..=due * 1.1).contains(&(late as f64)),
    }
}

/// What polling may add by itself, in ns.
fn polls(round: &Round, scenario: &Scenario) -> u64 {
    if round.transport == Transport::Polling { scenario.poll_interval_ms * 1_000_000 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::tests::round_with;

    #[test]
    fn a_client_that_forgets_the_schedule_is_found_out() {
        let scenario = small(&[Transport::WebSocket]);
        // Due each 20 ms, held up for what is left of the second: what a client sees that counts from the schedule.
        let honest = (0..50 * 20).map(|sample| 1_000_000_000 - (sample / 20) * 20_000_000);
        assert!(judge(&round_with(honest.clone()), &scenario).holds);
        // One that counts from when the server answered sees one slow answer a subscriber, or none.
        assert!(!judge(&round_with(honest.clone().take(20)), &scenario).holds);
        assert!(!judge(&round_with(honest.map(|_| 300_000)), &scenario).holds);
    }
}
