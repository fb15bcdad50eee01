//! Measures how many events a lost packet delays: two subscriptions on one TCP connection, one on a connection of its own, and WebTransport
//! with one stream, with a stream for each event, and with datagrams.

use std::time::Duration;

use protocol::Transport;
use protocol::facts::Facts;
use protocol::facts::loss::{DELAY_MS, LossFacts};
use protocol::network::Network;
use protocol::result::{Comparison, Scenario};
use reports::statistics::MIN_ROUNDS;

use crate::command::compare;
use crate::packets::PacketNetwork;
use crate::round::series;

/// Lost packets of a million: 1 % and 3 %.
const LOSSES: [u32; 2] = [10_000, 30_000];
/// Subscriptions that share a connection over HTTP/2.
const STREAMS: u32 = 2;
const SUBSCRIBERS: u32 = 10;

fn transports() -> Vec<Transport> {
    Transport::all_where(|transport| {
        matches!(transport, Transport::SseH2 | Transport::WebSocket) || !transport.is_over_tcp()
    })
}

/// Runs the experiment. Where packets cannot be lost, it says why, and there are no figures.
pub async fn run(seed: u64) -> anyhow::Result<Facts> {
    let scenario = |loss_per_million| {
        let network = Network { loss_per_million, ..Network::with_delay(Duration::from_millis(DELAY_MS)) };
        Scenario {
            rounds: MIN_ROUNDS,
            subscribers: SUBSCRIBERS,
            rate: 100.0,
            duration_ms: 2_000,
            warm_up_ms: compare::warm_up_ms(SUBSCRIBERS, network),
            network,
            streams_per_connection: STREAMS,
            seed,
            ..Scenario::small(&transports())
        }
    };
    let scenarios = LOSSES.map(scenario);
    if let Err(error) = PacketNetwork::open(scenarios[0].network, seed) {
        eprintln!("Not measured: {error:#}");
        return Ok(Facts::Loss(LossFacts { comparisons: Vec::new() }));
    }
    let rounds = series::rounds(&scenarios, false).await?;
    let comparisons =
        scenarios.into_iter().zip(rounds).map(|(scenario, rounds)| Comparison { scenario, rounds }).collect();
    Ok(Facts::Loss(LossFacts { comparisons }))
}
