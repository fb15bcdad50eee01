//! The client is not what is measured: the same subscribers in two processes see the same tail, or the rounds say that the
//! client limits them.

use anyhow::Context;
use protocol::Transport;
use protocol::result::{Round, Scenario};
use reports::statistics::{FEWEST_ROUNDS, Ratio, ratio};

use super::Finding;
use crate::trial::{self, small};

/// How far the tail may move, as a share.
const MOVES: f64 = 0.05;

pub async fn check() -> anyhow::Result<Finding> {
    let scenario = |processes| Scenario {
        processes,
        rounds: FEWEST_ROUNDS,
        duration_ms: 2_000,
        // Two processes take longer to start than none.
        warm_up_ms: 1_000,
        ..small(&[Transport::WebSocket])
    };
    let found = trial::rounds(&[scenario(1), scenario(2)], false).await?;
    let tails = |rounds: &[Round]| -> anyhow::Result<Vec<f64>> {
        let tail = |round: &Round| round.latency_ns.carried_quantile(0.99).map(|ns| ns as f64);
        rounds.iter().map(|round| tail(round).context("too few samples for p99")).collect()
    };
    Ok(judge(ratio(&tails(&found[1])?, &tails(&found[0])?), &found.concat()))
}

fn judge(moved: Option<Ratio>, rounds: &[Round]) -> Finding {
    let limited =
        rounds.iter().filter(|round| round.warnings.iter().any(|warning| warning.starts_with("client-limited")));
    let marked = 2 * limited.count() > rounds.len();
    let still = moved.is_some_and(|ratio| ratio.low <= 1.0 + MOVES && ratio.high >= 1.0 - MOVES);
    Finding {
        requirement: "twice the client processes move p99 by less than 5 %",
        measured: match moved {
            Some(Ratio { estimate, low, high }) => format!("{estimate:.2} times ({low:.2} to {high:.2})"),
            None => "too few rounds".into(),
        } + if marked { ", marked" } else { "" },
        bound: "interval reaches 0.95 to 1.05, or marked".into(),
        holds: still || marked,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::tests::round_with;

    #[test]
    fn a_tail_that_a_second_process_shortens_is_the_clients_and_must_be_marked() {
        let ratio = |low, high| Some(Ratio { estimate: 0.8, low, high });
        let silent = [round_with([])];
        assert!(judge(ratio(0.9, 1.02), &silent).holds);
        assert!(!judge(ratio(0.6, 0.8), &silent).holds);
        let mut marked = round_with([]);
        marked.warnings.push("client-limited: the client was busy".into());
        assert!(judge(ratio(0.6, 0.8), &[marked]).holds);
        assert!(!judge(None, &silent).holds);
    }
}
