//! Measures the server's costs as functions of event rate, acceptable staleness and network delay. This shows where one transport becomes
//! cheaper than another.

use std::time::Duration;

use protocol::Transport;
use protocol::facts::Facts;
use protocol::facts::crossover::CrossoverFacts;
use protocol::network::Network;
use protocol::result::{Comparison, Headers, Scenario};
use protocol::transport::Carrier;

use crate::command::compare::{quic_ms, warm_up_ms};
use crate::round::series;

/// About how long the experiment takes, in seconds.
pub const SECONDS: u64 = 400;

/// Events per second.
const RATES: [f64; 4] = [1.0, 4.0, 16.0, 64.0];
/// The acceptable ages of an event when it arrives, in ms.
const STALENESS_MS: [u64; 4] = [100, 300, 1_000, 3_000];
/// One-way delays of the modelled network, in ms.
const DELAYS_MS: [u64; 2] = [2, 40];
const SUBSCRIBERS: u32 = 300;
const WINDOW_MS: u64 = 2_000;

/// Runs the experiment.
pub async fn run(seed: u64) -> anyhow::Result<Facts> {
    let all = [Carrier::H1, Carrier::H2, Carrier::H3].map(Transport::one_per_exchange_over).concat();
    // Those that wait have no poll interval, so their cost does not depend on the acceptable staleness.
    let (without_interval, polling): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|transport| transport.waits_at_server());
    let mut scenarios = Vec::new();
    for delay_ms in DELAYS_MS {
        for rate in RATES {
            let network = Network::with_delay(Duration::from_millis(delay_ms));
            let base = Scenario {
                rate,
                network,
                subscribers: SUBSCRIBERS,
                headers: Headers::Browser,
                warm_up_ms: warm_up_ms(SUBSCRIBERS, network) + quic_ms(SUBSCRIBERS, &without_interval),
                duration_ms: WINDOW_MS,
                seed,
                ..Scenario::small(&without_interval)
            };
            scenarios.push(base.clone());
            scenarios.extend(STALENESS_MS.into_iter().map(|staleness_ms| {
                // An event that is published just after a poll waits one interval for the next poll. Then the response takes one delay.
                let interval = staleness_ms - delay_ms;
                Scenario {
                    transports: polling.clone(),
                    poll_interval_ms: interval,
                    duration_ms: WINDOW_MS.max(interval),
                    ..base.clone()
                }
            }));
        }
    }
    let rounds = series::rounds(&scenarios, false).await?;
    let comparisons =
        scenarios.into_iter().zip(rounds).map(|(scenario, rounds)| Comparison { scenario, rounds }).collect();
    Ok(Facts::Crossover(CrossoverFacts { staleness_ms: STALENESS_MS.to_vec(), comparisons }))
}
