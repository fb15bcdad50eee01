//! Searches for the highest load that a server of one thread carries over each transport while 99 % of the deliveries keep within a bound.

use protocol::Transport;
use protocol::facts::Facts;
use protocol::facts::capacity::{CapacityFacts, Search, Step};
use protocol::result::{Comparison, Headers, Scenario};
use protocol::transport::Carrier;
use reports::experiment::capacity::{Trial, is_confirmed};
use reports::statistics::MIN_ROUNDS;

use crate::command::compare::{quic_ms, warm_up_ms};
use crate::round::series;

const SUBSCRIBERS: u32 = 500;
/// The bound that 99 % of the deliveries must keep within, in ms: a poll interval, and a fifth of one more.
const OBJECTIVE_MS: f64 = 300.0;
const POLL_INTERVAL_MS: u64 = 250;
/// The rate at which the search begins, and beyond which it does not go, in events a second.
const FIRST_RATE: f64 = 20.0;
const MAX_RATE: f64 = 5_120.0;
/// The factor by which the rate grows after one that was carried, until one is not.
const GROWTH: f64 = 4.0;
/// How often the gap between a rate that was carried and one that was not is halved, on a logarithmic scale: to 9 %.
const HALVINGS: u32 = 4;

/// The highest rate that was carried, and the lowest that was not.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Bracket {
    carried: Option<f64>,
    failed: Option<f64>,
}

/// The rate to try next; none when the search is over. It grows until one is not carried, then halves the gap.
fn next(bracket: Bracket, halvings: u32) -> Option<f64> {
    match bracket {
        Bracket { carried: None, failed: None } => Some(FIRST_RATE),
        Bracket { carried: Some(carried), failed: None } => Some(carried * GROWTH).filter(|&rate| rate <= MAX_RATE),
        Bracket { carried: Some(carried), failed: Some(failed) } => {
            (halvings < HALVINGS).then(|| (carried * failed).sqrt())
        }
        Bracket { carried: None, failed: Some(_) } => None,
    }
}

/// The bracket after more rounds have shown that `rate` is not carried: it ends there, and begins at the next lower rate that was carried
/// in one round.
fn refuted(rate: f64, trials: &[Trial]) -> Bracket {
    let lower = trials.iter().filter(|trial| trial.carried && trial.rate < rate).map(|trial| trial.rate);
    Bracket { carried: lower.reduce(f64::max), failed: Some(rate) }
}

/// Runs it.
pub async fn run(seed: u64) -> anyhow::Result<Facts> {
    let mut searches = Vec::new();
    let transports = [Carrier::H1, Carrier::H2, Carrier::H3].map(Transport::one_per_exchange_over);
    for transport in transports.into_iter().flatten() {
        searches.push(search(transport, seed).await?);
    }
    Ok(Facts::Capacity(CapacityFacts { objective_ms: OBJECTIVE_MS, growth: GROWTH, halvings: HALVINGS, searches }))
}

async fn search(transport: Transport, seed: u64) -> anyhow::Result<Search> {
    let mut bracket = Bracket { carried: None, failed: None };
    let (mut steps, mut trials, mut halvings) = (Vec::new(), Vec::new(), 0);
    loop {
        while let Some(rate) = next(bracket, halvings) {
            halvings += u32::from(bracket.failed.is_some());
            let (comparison, trial) = measure(transport, rate, seed).await?;
            *(if trial.carried { &mut bracket.carried } else { &mut bracket.failed }) = Some(rate);
            trials.push(trial);
            steps.push(Step { is_repetition: false, comparisons: vec![comparison] });
        }
        // A single round may be an exception: a rate counts if nearly all of several more rounds meet the objective, too.
        let Some(rate) = bracket.carried else { break };
        let (mut comparisons, mut repeated) = (Vec::new(), Vec::new());
        for number in 0..MIN_ROUNDS {
            let (comparison, trial) = measure(transport, rate, seed + u64::from(number)).await?;
            comparisons.push(comparison);
            repeated.push(trial);
        }
        steps.push(Step { is_repetition: true, comparisons });
        if is_confirmed(&repeated) {
            break;
        }
        bracket = refuted(rate, &trials);
    }
    Ok(Search { transport, steps })
}

async fn measure(transport: Transport, rate: f64, seed: u64) -> anyhow::Result<(Comparison, Trial)> {
    let scenario = Scenario {
        rate,
        subscribers: SUBSCRIBERS,
        poll_interval_ms: POLL_INTERVAL_MS,
        headers: Headers::Browser,
        warm_up_ms: warm_up_ms(SUBSCRIBERS, Scenario::small(&[]).network) + quic_ms(SUBSCRIBERS, &[transport]),
        duration_ms: 1_200,
        seed,
        ..Scenario::small(&[transport])
    };
    let round = series::round(&scenario, transport).await?;
    let trial = Trial::of(rate, SUBSCRIBERS, &round, OBJECTIVE_MS);
    Ok((Comparison { scenario, rounds: vec![round] }, trial))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Searches a server that carries up to so many events a second.
    fn search(capacity: f64) -> (Bracket, usize) {
        let (mut bracket, mut halvings, mut trials) = (Bracket { carried: None, failed: None }, 0, 0);
        while let Some(rate) = next(bracket, halvings) {
            halvings += u32::from(bracket.failed.is_some());
            let side = if rate <= capacity { &mut bracket.carried } else { &mut bracket.failed };
            *side = Some(rate);
            trials += 1;
        }
        (bracket, trials)
    }

    #[test]
    fn the_search_comes_within_a_tenth_of_the_capacity_from_below() {
        for capacity in [21.0, 137.0, 1_000.0, 4_999.0] {
            let (Bracket { carried, failed }, trials) = search(capacity);
            let (carried, failed) = (carried.unwrap(), failed.unwrap());
            assert!(carried <= capacity && capacity < failed && failed / carried < 1.1, "{carried} {failed}");
            assert!(trials < 16);
        }
        assert_eq!(search(1.0).0, Bracket { carried: None, failed: Some(FIRST_RATE) });
        assert_eq!(search(1e9).0.failed, None, "a server without a limit ends the search");
    }

    fn trial_at(rate: f64, carried: bool) -> Trial {
        Trial {
            rate,
            subscribers: SUBSCRIBERS,
            sound: true,
            carried,
            p99_ms: 900.0,
            server_busy: 0.0,
            client_busy: 0.0,
            cost: (1.0, 1.0),
        }
    }

    #[test]
    fn a_rate_that_one_round_carried_and_more_rounds_did_not_ends_the_bracket() {
        let trials = [(20.0, true), (80.0, true), (320.0, true), (1_280.0, false)];
        let trials = trials.map(|(rate, carried)| trial_at(rate, carried));
        let bracket = refuted(320.0, &trials);
        assert_eq!(bracket, Bracket { carried: Some(80.0), failed: Some(320.0) });
        assert_eq!(next(bracket, 0), Some(160.0), "the search goes on below");
        assert_eq!(next(refuted(20.0, &trials), 0), None);
    }
}
