//! The sweeps of a report: their factors, values and settings.

use std::time::Duration;

use protocol::Transport;
use protocol::facts::Facts;
use protocol::facts::sweep::{Factor, SweepFacts};
use protocol::network::Network;
use protocol::result::{Headers, Scenario};
use protocol::schedule::Spacing;
use reports::statistics::MIN_ROUNDS;

use super::sweep::{Over, measure};

fn base(transports: &[Transport], seed: u64) -> Scenario {
    Scenario {
        rounds: MIN_ROUNDS,
        schedule: Spacing::Poisson,
        headers: Headers::Browser,
        poll_interval_ms: 250,
        seed,
        ..Scenario::small(transports)
    }
}

async fn sweep(scenario: Scenario, factor: Factor, values: [f64; 4]) -> anyhow::Result<SweepFacts> {
    measure(&scenario, &Over { factor, values: values.to_vec() }).await
}

/// Over the poll interval.
pub async fn poll_interval(seed: u64) -> anyhow::Result<Facts> {
    let transports = [Transport::Polling, Transport::WebSocket];
    let scenario = Scenario { rate: 10.0, subscribers: 50, duration_ms: 1_200, ..base(&transports, seed) };
    Ok(Facts::PollInterval(sweep(scenario, Factor::PollInterval, [25.0, 100.0, 250.0, 500.0]).await?))
}

/// Over the network delay.
pub async fn delay(seed: u64) -> anyhow::Result<Facts> {
    let transports = [Transport::LongPolling, Transport::WebSocket];
    let scenario = Scenario { rate: 25.0, subscribers: 4, duration_ms: 2_000, ..base(&transports, seed) };
    Ok(Facts::Delay(sweep(scenario, Factor::Delay, [4.0, 12.0, 36.0, 100.0]).await?))
}

/// Over the event rate.
pub async fn rate(seed: u64) -> anyhow::Result<Facts> {
    let network = Network::with_delay(Duration::from_millis(10));
    let scenario =
        Scenario { network, subscribers: 15, duration_ms: 2_000, ..base(&Transport::one_per_exchange(), seed) };
    Ok(Facts::Rate(sweep(scenario, Factor::Rate, [2.0, 20.0, 200.0, 1_000.0]).await?))
}

/// Over the payload size.
pub async fn payload(seed: u64) -> anyhow::Result<Facts> {
    let scenario = Scenario { rate: 20.0, duration_ms: 800, ..base(&Transport::one_per_exchange(), seed) };
    Ok(Facts::Payload(sweep(scenario, Factor::Payload, [20.0, 200.0, 2_000.0, 20_000.0]).await?))
}

/// Over the number of subscribers.
pub async fn subscribers(seed: u64) -> anyhow::Result<Facts> {
    let scenario = Scenario { rate: 5.0, ..base(&Transport::one_per_exchange(), seed) };
    Ok(Facts::Subscribers(sweep(scenario, Factor::Subscribers, [1.0, 10.0, 100.0, 1_000.0]).await?))
}
