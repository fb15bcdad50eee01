//! Measures WebSocket with and without compression, over the kind and the size of the payload.

use protocol::facts::Facts;
use protocol::facts::compression::CompressionFacts;
use protocol::payload::PayloadKind;
use protocol::result::{Comparison, Scenario};
use protocol::transport::Carrier;
use protocol::{Envelope, Transport};
use reports::statistics::MIN_ROUNDS;

use super::memory;
use crate::round::series;

/// Payload sizes, in bytes.
const SIZES: [u32; 4] = [50, 200, 1_000, 8_000];
/// Numbers of subscribers for the memory of a connection.
const SUBSCRIBERS: [u32; 4] = [100, 200, 400, 800];

/// Bare WebSocket, and WebSocket with each coding.
fn transports() -> Vec<Transport> {
    Transport::all_where(|transport| transport.envelope() == Envelope::WebSocket && transport.carrier() == Carrier::H1)
}

/// Runs the experiment.
pub async fn run(seed: u64) -> anyhow::Result<Facts> {
    let mut scenarios = Vec::new();
    for payload_kind in [PayloadKind::Text, PayloadKind::Json, PayloadKind::Random] {
        for payload_bytes in SIZES {
            scenarios.push(Scenario {
                rounds: MIN_ROUNDS,
                subscribers: 100,
                rate: 40.0,
                duration_ms: 600,
                payload_bytes,
                payload_kind,
                seed,
                ..Scenario::small(&transports())
            });
        }
    }
    let rounds = series::rounds(&scenarios, false).await?;
    let rounds = scenarios.into_iter().zip(rounds).map(|(scenario, rounds)| Comparison { scenario, rounds }).collect();
    let memory = memory::measure(seed, &transports(), &SUBSCRIBERS, 1).await?;
    Ok(Facts::Compression(CompressionFacts { rounds, memory }))
}
