//! Measures the server's memory at several numbers of subscribers.

use protocol::Transport;
use protocol::facts::Facts;
use protocol::facts::memory::MemoryFacts;
use protocol::result::{Comparison, Scenario};

use crate::round::series;

/// More than the 500 that connect at once, so that what their handshakes take at that moment is the same in each size.
pub const SIZES: [u32; 6] = [500, 1_000, 1_500, 2_000, 3_000, 4_000];

/// Measures a round of each transport with each number of subscribers, of whom `streams_per_connection` share a connection over HTTP/2.
///
/// # Errors
/// When a server cannot be started or read.
pub async fn measure(
    seed: u64,
    transports: &[Transport],
    sizes: &[u32],
    streams_per_connection: u32,
) -> anyhow::Result<MemoryFacts> {
    let mut comparisons = Vec::new();
    for &transport in transports {
        for &subscribers in sizes {
            let scenario = Scenario {
                subscribers,
                rate: 5.0,
                warm_up_ms: 400 + u64::from(subscribers),
                duration_ms: 500,
                streams_per_connection,
                seed,
                ..Scenario::small(&[transport])
            };
            let round = series::round(&scenario, transport).await?;
            comparisons.push(Comparison { scenario, rounds: vec![round] });
        }
    }
    Ok(MemoryFacts { comparisons })
}

/// The transports of today that wait at the server. Between two polls, a poller has no more state than a waiting long poll.
pub fn transports() -> Vec<Transport> {
    Transport::all_where(|transport| transport.is_today() && transport.waits_at_server())
}

/// Runs it.
pub async fn run(seed: u64) -> anyhow::Result<Facts> {
    Ok(Facts::Memory(measure(seed, &transports(), &SIZES, 1).await?))
}
