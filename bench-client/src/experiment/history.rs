//! Measures the same few events over every transport over HTTP, from the oldest to the newest.

use std::time::Duration;

use protocol::Transport;
use protocol::facts::Facts;
use protocol::facts::history::HistoryFacts;
use protocol::network::Network;
use protocol::result::{Comparison, Headers, Scenario};
use protocol::transport::Carrier;

use crate::round::series;

/// One-way delay of the modelled network.
const DELAY: Duration = Duration::from_millis(20);

/// Runs the experiment.
pub async fn run(seed: u64) -> anyhow::Result<Facts> {
    let scenario = Scenario {
        subscribers: 1,
        rate: 10.0,
        rounds: 3,
        // Long enough for the round trips of every handshake.
        warm_up_ms: 600,
        duration_ms: 1_000,
        poll_interval_ms: 250,
        headers: Headers::Browser,
        network: Network::with_delay(DELAY),
        seed,
        ..Scenario::small(&Transport::all_where(|transport| transport.carrier() == Carrier::H1))
    };
    let rounds = series::rounds(std::slice::from_ref(&scenario), false).await?.concat();
    Ok(Facts::History(HistoryFacts { rounds: Comparison { scenario, rounds } }))
}
