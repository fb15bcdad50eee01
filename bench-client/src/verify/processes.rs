//! The client does not limit the measurement: the same subscribers in two processes have the same tail latency, or the rounds are marked as
//! client-limited.

use protocol::Transport;
use protocol::result::{Round, Scenario};
use reports::judge::{Warning, warnings};
use reports::statistics::{Ratio, ratio};

use super::Finding;
use crate::round::series;

/// The largest acceptable change of the tail latency, as a ratio.
const MAX_CHANGE: f64 = 1.05;
/// The largest ratio between an end of the interval and the estimate. A wider interval decides nothing.
const MAX_WIDTH: f64 = 1.2;
/// Rounds of each side in the first attempt. If they are too noisy, a second attempt has twice as many, and a third three times as many.
const ROUNDS: u32 = 6;
const ATTEMPTS: u32 = 3;

/// The result, or why it cannot be measured on this machine.
pub async fn check() -> anyhow::Result<Result<Finding, String>> {
    let mut found = Err(String::new());
    for attempt in 1..=ATTEMPTS {
        let scenario = |processes| Scenario {
            processes,
            rounds: ROUNDS * attempt,
            rate: 100.0,
            duration_ms: 3_000,
            // Long enough for two processes to start.
            warm_up_ms: 1_000,
            ..Scenario::small(&[Transport::WebSocket])
        };
        let rounds = series::rounds(&[scenario(1), scenario(2)], false).await?;
        let tails = |rounds: &[Round]| -> Vec<f64> {
            rounds.iter().filter_map(|round| round.latency_ns.quantile(0.99)).map(|ns| ns as f64).collect()
        };
        found = judge(ratio(&tails(&rounds[1]), &tails(&rounds[0])), &rounds.concat());
        if found.is_ok() {
            break;
        }
    }
    Ok(found)
}

/// An interval that is too wide to decide does not pass. Otherwise, the noisier the machine, the more likely the check would be to pass.
fn judge(change: Option<Ratio>, rounds: &[Round]) -> Result<Finding, String> {
    let Some(Ratio { estimate, low, high, .. }) = change else { return Err("too few rounds".into()) };
    let limited = rounds.iter().filter(|round| warnings(round).iter().any(Warning::is_of_client));
    let marked = 2 * limited.count() > rounds.len();
    if !marked && (high > estimate * MAX_WIDTH || low < estimate / MAX_WIDTH) {
        return Err(format!(
            "p99 in two processes is {low:.2} to {high:.2} times p99 in one process, which is too uncertain to decide"
        ));
    }
    Ok(Finding {
        requirement: "twice as many client processes change p99 by at most 5 %",
        measured: format!("{estimate:.2} times ({low:.2} to {high:.2}){}", if marked { ", marked" } else { "" }),
        bound: "interval reaches 0.95 to 1.05, or marked".into(),
        passed: marked || (low <= MAX_CHANGE && high >= 1.0 / MAX_CHANGE),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::tests::round_with;

    #[test]
    fn rounds_whose_tail_a_second_process_shortens_must_be_marked_as_client_limited() {
        let ratio = |low, high| Some(Ratio { estimate: (low + high) / 2.0, low, high, p_value: 0.5 });
        let mut marked = round_with([]);
        (marked.client.cpu_ns, marked.server.window_ns) = (600_000_000, 1_000_000_000);
        let quiet = round_with([]);
        let passed = |ratio, rounds: &[Round]| judge(ratio, rounds).map(|finding| finding.passed);
        assert_eq!(passed(ratio(0.9, 1.1), &[quiet.clone(), quiet.clone()]), Ok(true));
        assert_eq!(passed(ratio(0.7, 0.8), &[quiet.clone(), quiet.clone()]), Ok(false));
        assert_eq!(passed(ratio(0.7, 0.8), &[marked.clone(), marked]), Ok(true));
        assert!(passed(ratio(0.4, 2.0), &[quiet.clone(), quiet.clone()]).is_err(), "a wide interval does not pass");
        assert!(passed(None, &[quiet.clone(), quiet]).is_err());
    }
}
