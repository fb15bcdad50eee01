//! The client is not what is measured: the same subscribers in two processes see the same tail, or the rounds say that the
//! client limits them.

use protocol::Transport;
use protocol::result::{CLIENT_LIMITED, Round, Scenario};
use reports::statistics::{Ratio, ratio};

use super::Finding;
use crate::trial::{self, small};

/// How far the tail may move, as a ratio.
const MAX_MOVE: f64 = 1.05;
/// How far the interval may reach to either side of the estimate, as a ratio, for the machine to show it at all.
const MAX_WIDTH: f64 = 1.2;
/// Rounds of each side, and how many times as many are tried where they are too noisy.
const ROUNDS: u32 = 6;
const ATTEMPTS: u32 = 3;

/// What was found, or why this machine cannot show it.
pub async fn check() -> anyhow::Result<Result<Finding, String>> {
    let mut found = Err(String::new());
    for attempt in 1..=ATTEMPTS {
        let scenario = |processes| Scenario {
            processes,
            rounds: ROUNDS * attempt,
            rate: 100.0,
            duration_ms: 3_000,
            // Two processes take longer to start than none.
            warm_up_ms: 1_000,
            ..small(&[Transport::WebSocket])
        };
        let rounds = trial::rounds(&[scenario(1), scenario(2)], false).await?;
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

/// An interval that is too wide to tell is no pass: the noisier the machine, the more would pass.
fn judge(moved: Option<Ratio>, rounds: &[Round]) -> Result<Finding, String> {
    let Some(Ratio { estimate, low, high, .. }) = moved else { return Err("too few rounds".into()) };
    let limited =
        rounds.iter().filter(|round| round.warnings.iter().any(|warning| warning.starts_with(CLIENT_LIMITED)));
    let marked = 2 * limited.count() > rounds.len();
    if !marked && (high > estimate * MAX_WIDTH || low < estimate / MAX_WIDTH) {
        return Err(format!("p99 in two processes is {low:.2} to {high:.2} times p99 in one: too noisy to tell"));
    }
    Ok(Finding {
        requirement: "twice the client processes move p99 by less than 5 %",
        measured: format!("{estimate:.2} times ({low:.2} to {high:.2}){}", if marked { ", marked" } else { "" }),
        bound: "interval reaches 0.95 to 1.05, or marked".into(),
        holds: marked || (low <= MAX_MOVE && high >= 1.0 / MAX_MOVE),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::tests::round_with;

    #[test]
    fn a_tail_that_a_second_process_shortens_is_the_clients_and_must_be_marked() {
        let ratio = |low, high| Some(Ratio { estimate: (low + high) / 2.0, low, high, p_value: 0.5 });
        let mut marked = round_with([]);
        marked.warnings.push("client-limited: the client was busy for 60 % of the window".into());
        let quiet = round_with([]);
        let holds = |ratio, rounds: &[Round]| judge(ratio, rounds).map(|finding| finding.holds);
        assert_eq!(holds(ratio(0.9, 1.1), &[quiet.clone(), quiet.clone()]), Ok(true));
        assert_eq!(holds(ratio(0.7, 0.8), &[quiet.clone(), quiet.clone()]), Ok(false));
        assert_eq!(holds(ratio(0.7, 0.8), &[marked.clone(), marked]), Ok(true));
        assert!(holds(ratio(0.4, 2.0), &[quiet.clone(), quiet.clone()]).is_err(), "noise passes nothing");
        assert!(holds(None, &[quiet.clone(), quiet]).is_err());
    }
}
