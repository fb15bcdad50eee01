//! One transport under two labels: the statistics must not find a difference in more than one of ten trials.

use protocol::Transport;
use protocol::result::Scenario;
use reports::statistics::{Ratio, ratio};

use super::Finding;
use crate::round::series;

const TRIALS: usize = 20;
const ROUNDS: usize = 5;

pub async fn check() -> anyhow::Result<Finding> {
    let scenario = Scenario { warm_up_ms: 250, duration_ms: 400, ..Scenario::small(&[Transport::WebSocket]) };
    let mut ratios = Vec::new();
    for _ in 0..TRIALS {
        let (mut left, mut right) = (Vec::new(), Vec::new());
        for number in 0..ROUNDS {
            // The sides take turns at being first, as in a comparison, so that a drift of the machine affects both alike.
            let sides = if number % 2 == 0 { [&mut left, &mut right] } else { [&mut right, &mut left] };
            for side in sides {
                let round = series::round(&scenario, Transport::WebSocket).await?;
                side.push(round.latency_ns.quantile(0.5).unwrap_or(0) as f64);
            }
        }
        ratios.extend(ratio(&left, &right));
    }
    Ok(judge(&ratios))
}

fn judge(ratios: &[Ratio]) -> Finding {
    let apart = ratios.iter().filter(|ratio| ratio.shows_difference()).count();
    Finding {
        requirement: "one transport under two labels shows no difference",
        measured: format!("{apart} of {} trials show one", ratios.len()),
        bound: format!("at most {} of {TRIALS}", TRIALS / 10),
        passed: ratios.len() == TRIALS && apart <= TRIALS / 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_that_are_too_narrow_are_found() {
        let correct = Ratio { estimate: 1.02, low: 0.9, high: 1.1, p_value: 0.5 };
        let narrow = Ratio { low: 1.01, high: 1.03, ..correct };
        assert!(judge(&[correct; TRIALS]).passed);
        assert!(!judge(&[[narrow; 3].as_slice(), &[correct; 17]].concat()).passed);
        assert!(!judge(&[correct; 3]).passed);
    }
}
