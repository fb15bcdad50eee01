//! A publisher that hangs for 100 ms shows in the latency and in its own lateness, and in the naive latency it does not.

use std::time::Duration;

use protocol::Transport;
use protocol::result::Round;

use super::Finding;
use crate::lab::Setup;
use crate::trial::{self, small};

const LENGTH: Duration = Duration::from_millis(100);

pub async fn check() -> anyhow::Result<Vec<Finding>> {
    let scenario = small(&[Transport::WebSocket]);
    let into_the_window = Duration::from_millis(scenario.warm_up_ms + 300);
    let setup = Setup { stall: Some((into_the_window, LENGTH)), ..trial::setup(&scenario) };
    let round = trial::round_beside(&scenario, Transport::WebSocket, setup, |_| std::future::ready(())).await?;
    Ok(judge(&round))
}

fn judge(round: &Round) -> Vec<Finding> {
    let ms = |histogram: &protocol::Histogram| histogram.max().unwrap_or(0) as f64 / 1e6;
    let (latency, late, naive) = (ms(&round.latency_ns), ms(&round.publisher_lateness_ns), ms(&round.naive_latency_ns));
    let least = LENGTH.as_secs_f64() * 1e3 * 0.9;
    vec![
        Finding {
            requirement: "a publisher stalled for 100 ms shows in t2-t0 and t1-t0",
            measured: format!("max {latency:.0} ms and {late:.0} ms"),
            bound: format!("both at least {least:.0} ms"),
            holds: latency >= least && late >= least,
        },
        Finding {
            requirement: "and not in t2-t1, which is why that is called naive",
            measured: format!("max {naive:.1} ms"),
            bound: format!("less than {least:.0} ms"),
            holds: naive < least,
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::tests::round_with;

    #[test]
    fn a_stall_that_is_missing_from_either_side_is_found() {
        let mut round = round_with([110_000_000, 200_000]);
        round.publisher_lateness_ns.record(105_000_000);
        assert!(judge(&round).iter().all(|finding| finding.holds));
        let forgotten = Round { latency_ns: round.naive_latency_ns.clone(), ..round.clone() };
        assert!(!judge(&forgotten)[0].holds);
        let naive = Round { naive_latency_ns: round.latency_ns.clone(), ..round };
        assert!(!judge(&naive)[1].holds);
    }
}
