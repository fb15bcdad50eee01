//! A publisher that is stalled from before the window's end until after it: the events that were due in the window are still expected.

use std::time::Duration;

use protocol::Transport;
use protocol::result::{Round, Scenario};

use super::Finding;
use crate::round::series;
use server::Options;
use server::feed::Stall;

const LENGTH: Duration = Duration::from_secs(1);

pub async fn check() -> anyhow::Result<Finding> {
    let scenario = Scenario::small(&[Transport::WebSocket]);
    let half_way = Duration::from_millis(scenario.warm_up_ms + scenario.duration_ms / 2);
    let setup = Options { stall: Some(Stall { after: half_way, length: LENGTH }), ..series::server_options(&scenario) };
    let round = series::round_with(&scenario, Transport::WebSocket, setup, |_| std::future::ready(())).await?;
    Ok(judge(&round, &scenario))
}

fn judge(round: &Round, scenario: &Scenario) -> Finding {
    let due = scenario.rate * scenario.duration_ms as f64 / 1e3;
    Finding {
        requirement: "a stall past the window's end hides no event",
        measured: format!("{} events, {} deliveries", round.sent, round.delivered),
        bound: format!("{due} events, {} deliveries", due * f64::from(scenario.subscribers)),
        passed: round.sent as f64 == due && round.delivered == round.sent * u64::from(scenario.subscribers),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::tests::round_with;

    #[test]
    fn events_that_are_omitted_because_they_were_published_late_are_found() {
        let scenario = Scenario::small(&[Transport::WebSocket]);
        let mut round = round_with([1_000_000; 1_000]);
        (round.sent, round.delivered) = (50, 1_000);
        assert!(judge(&round, &scenario).passed);
        (round.sent, round.delivered) = (25, 500);
        assert!(!judge(&round, &scenario).passed);
    }
}
