//! A publisher that is stalled for 100 ms: the latency and the publisher's lateness show it, and the naive latency does not.

use std::time::Duration;

use protocol::Transport;
use protocol::result::{Round, Scenario};

use super::Finding;
use crate::round::series;
use server::Options;
use server::feed::Stall;

const LENGTH: Duration = Duration::from_millis(100);

pub async fn check() -> anyhow::Result<Vec<Finding>> {
    let scenario = Scenario::small(&[Transport::WebSocket]);
    let into_the_window = Duration::from_millis(scenario.warm_up_ms + 300);
    let setup =
        Options { stall: Some(Stall { after: into_the_window, length: LENGTH }), ..series::server_options(&scenario) };
    let round = series::round_with(&scenario, Transport::WebSocket, setup, |_| std::future::ready(())).await?;
    Ok(judge(&round))
}

fn judge(round: &Round) -> Vec<Finding> {
    let ms = |histogram: &protocol::Histogram| histogram.max().unwrap_or(0) as f64 / 1e6;
    let (latency, late, naive) = (ms(&round.latency_ns), ms(&round.publisher_lateness_ns), ms(&round.naive_latency_ns));
    let min = LENGTH.as_secs_f64() * 1e3 * 0.9;
    vec![
        Finding {
            requirement: "a publisher stalled for 100 ms shows in t2-t0 and t1-t0",
            measured: format!("max {latency:.0} ms and {late:.0} ms"),
            bound: format!("both at least {min:.0} ms"),
            passed: latency >= min && late >= min,
        },
        Finding {
            requirement: "and it does not show in the naive latency t2-t1",
            measured: format!("max {naive:.1} ms"),
            bound: format!("less than {min:.0} ms"),
            passed: naive < min,
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::tests::round_with;

    #[test]
    fn a_stall_that_the_latency_does_not_show_or_that_the_naive_latency_shows_is_found() {
        let mut round = round_with([110_000_000, 200_000]);
        round.publisher_lateness_ns.record(105_000_000);
        assert!(judge(&round).iter().all(|finding| finding.passed));
        let hidden = Round { latency_ns: round.naive_latency_ns.clone(), ..round.clone() };
        assert!(!judge(&hidden)[0].passed);
        let naive = Round { naive_latency_ns: round.latency_ns.clone(), ..round };
        assert!(!judge(&naive)[1].passed);
    }
}
