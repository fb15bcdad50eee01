//! Measures what idle subscribers cost a server whose feed publishes nothing.

use std::time::Duration;

use protocol::Transport;
use protocol::facts::Facts;
use protocol::facts::idle::{IdleFacts, IdleGroup};
use reports::statistics::MIN_ROUNDS;

use crate::subscriber::Target;
use crate::test_bed::TestBed;
use crate::test_bed::server_process::options;
use server::Options;

const SIZES: [u32; 3] = [10, 100, 1_000];
/// Measurement windows of each group, enough for a confidence interval.
const WINDOWS: u32 = MIN_ROUNDS;
const WINDOW_MS: u64 = 400;
const POLL_INTERVAL_MS: u64 = 250;

/// Runs the experiment.
pub async fn run(seed: u64) -> anyhow::Result<Facts> {
    let mut groups = Vec::new();
    for subscribers in SIZES {
        for transport in Transport::one_per_exchange() {
            let mut test_bed = TestBed::open(&Options { seed, ..options() }).await?;
            let poll_interval = Duration::from_millis(POLL_INTERVAL_MS);
            let target = Target { poll_interval, ..test_bed.target.clone() };
            let group = test_bed.connect(transport, target, subscribers).await?;
            // Every poller sends its first poll within one interval. Only then is connecting over.
            tokio::time::sleep(poll_interval).await;
            let mut windows = Vec::new();
            for _ in 0..WINDOWS {
                windows.push(test_bed.over(Duration::from_millis(WINDOW_MS)).await?);
            }
            group.close().await;
            groups.push(IdleGroup { transport, subscribers, windows });
        }
    }
    Ok(Facts::Idle(IdleFacts { poll_interval_ms: POLL_INTERVAL_MS, window_ms: WINDOW_MS, groups }))
}
