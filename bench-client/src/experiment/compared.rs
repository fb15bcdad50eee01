//! Measures all transports under one load, and long polling and HTTP streaming under one that keeps the server busy.

use protocol::Transport;
use protocol::facts::Facts;
use protocol::facts::compared::ComparedFacts;
use protocol::result::{Comparison, Headers, Scenario, ServerCost};
use reports::statistics::MIN_ROUNDS;

use crate::command::compare::{raise_open_files, warm_up_ms};
use crate::round::series;

/// The busy load: many subscribers, and so many events a second that the server would use this share of a processor over long polling if
/// an event cost as much as at the trial's lower rate. It costs about a fifth less when the server is busy.
const BUSY_SUBSCRIBERS: u32 = 1_000;
const TARGET_SHARE: f64 = 1.0;
const TRIAL_RATE: f64 = 20.0;
/// The smallest and the largest rate that is tried, in events a second, and the step between rates.
const RATES: (f64, f64) = (10.0, 400.0);
const RATE_STEP: f64 = 5.0;
/// Processes that share the subscribers of the busy load, so that the client is not the limit.
const BUSY_PROCESSES: u32 = 3;

/// Runs it.
pub async fn run(seed: u64) -> anyhow::Result<Facts> {
    let few = Scenario {
        rounds: MIN_ROUNDS,
        duration_ms: 900,
        headers: Headers::Browser,
        seed,
        ..Scenario::small(&Transport::today())
    };
    let many = Scenario {
        transports: vec![Transport::LongPolling, Transport::Ndjson],
        subscribers: BUSY_SUBSCRIBERS,
        rate: TRIAL_RATE,
        processes: BUSY_PROCESSES,
        warm_up_ms: warm_up_ms(BUSY_SUBSCRIBERS, few.network) + 100 * u64::from(BUSY_PROCESSES),
        duration_ms: 1_000,
        ..few.clone()
    };
    raise_open_files(std::slice::from_ref(&many))?;
    let rate = busy_rate(&series::round(&many, Transport::LongPolling).await?.server);
    let scenarios = [few, Scenario { rate, ..many }];
    let found = series::rounds(&scenarios, false).await?;
    let mut comparisons = scenarios.into_iter().zip(found).map(|(scenario, rounds)| Comparison { scenario, rounds });
    let (Some(few), Some(many)) = (comparisons.next(), comparisons.next()) else {
        anyhow::bail!("two loads were measured")
    };
    Ok(Facts::Compared(Box::new(ComparedFacts { few, many })))
}

/// Events a second at which the server is as busy as it should be, from its CPU time at another rate.
fn busy_rate(trial: &ServerCost) -> f64 {
    let share = trial.cpu_ns as f64 / trial.window_ns.max(1) as f64;
    let steps = (TARGET_SHARE / share.max(f64::MIN_POSITIVE) * TRIAL_RATE / RATE_STEP).floor();
    (steps * RATE_STEP).clamp(RATES.0, RATES.1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::tests::round_with;

    #[test]
    fn the_busy_rate_follows_from_the_cost_of_a_lower_one() {
        let cost = |share: f64| {
            let mut server = round_with([]).server;
            server.window_ns = 1_000_000_000;
            server.cpu_ns = (server.window_ns as f64 * share) as u64;
            server
        };
        // 0.3 of a processor at 20 events/s: 66.7 events/s take all of it, in steps of 5.
        assert_eq!(busy_rate(&cost(0.3)), 65.0);
        assert_eq!(busy_rate(&cost(5.0)), RATES.0);
        assert_eq!(busy_rate(&cost(0.0)), RATES.1);
    }
}
