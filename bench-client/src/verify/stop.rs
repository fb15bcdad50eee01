//! A server that is stopped for a second shows as a second of latency: no late delivery is omitted because the client was waiting
//! (coordinated omission).

use std::time::Duration;

use protocol::Transport;
use protocol::result::{Round, Scenario};
use protocol::transport::Exchange;
use tokio::time::sleep;

use super::Finding;
use crate::round::series;

const FROZEN: Duration = Duration::from_secs(1);

pub async fn check(quick: bool) -> anyhow::Result<Vec<Finding>> {
    let transports = if quick { &[Transport::WebSocket][..] } else { &Transport::ALL };
    let mut findings = Vec::new();
    for &transport in transports {
        let scenario = Scenario { duration_ms: 2_500, ..Scenario::small(transports) };
        let into_the_window = Duration::from_millis(scenario.warm_up_ms + 500);
        let stopped =
            series::round_with(&scenario, transport, series::server_options(&scenario), |server| async move {
                sleep(into_the_window).await;
                let _ = server.freeze(true);
                sleep(FROZEN).await;
                let _ = server.freeze(false);
            });
        findings.push(judge(&stopped.await?, &scenario));
    }
    Ok(findings)
}

/// The longest latency is close to the time of the stop, and as many samples are late as events were due meanwhile. They are spread evenly
/// over the stop, so nine in ten of them are late by more than a tenth of it.
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
        passed: max >= 0.9 && (due * 0.7..=due * 1.1).contains(&(late as f64)),
    }
}

/// The latency that polling may add, in ns.
fn polls(round: &Round, scenario: &Scenario) -> u64 {
    if round.transport.exchange() == Exchange::Poll { scenario.poll_interval_ms * 1_000_000 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::tests::round_with;

    #[test]
    fn a_client_with_coordinated_omission_is_found() {
        let scenario = Scenario::small(&[Transport::WebSocket]);
        // Events are due each 20 ms, and each is delayed until the end of the second: the latencies from the scheduled times.
        let correct = (0..50 * 20).map(|sample| 1_000_000_000 - (sample / 20) * 20_000_000);
        assert!(judge(&round_with(correct.clone()), &scenario).passed);
        // A client that measures from the server's actual sending finds one slow delivery per subscriber, or none.
        assert!(!judge(&round_with(correct.clone().take(20)), &scenario).passed);
        assert!(!judge(&round_with(correct.map(|_| 300_000)), &scenario).passed);
    }
}
