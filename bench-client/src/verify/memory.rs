//! Memory per connection is a slope over several sizes, with its confidence interval, not one difference; and it is small.

use super::Finding;
use crate::experiment::memory::{self, Growth};

/// What a subscriber may take, in KiB.
const MAX_KIB: f64 = 4.0;

pub async fn check() -> anyhow::Result<Vec<Finding>> {
    let (growths, _) = memory::measure(1).await?;
    Ok(growths.iter().map(judge).collect())
}

fn judge(growth: &Growth) -> Finding {
    let (slope, half) = growth.slope();
    Finding {
        requirement: "memory per connection is a slope over six sizes",
        measured: format!("{}: {slope:.1} KiB +- {half:.1}", growth.transport.label()),
        bound: format!("0 outside the interval, at most {MAX_KIB}"),
        holds: half < slope && slope <= MAX_KIB,
    }
}

#[cfg(test)]
mod tests {
    use protocol::Transport;

    use super::*;

    #[test]
    fn a_slope_that_is_too_large_and_noise_that_has_none_are_found() {
        let growth = |kib: [f64; 6]| {
            let points = [500.0, 1_000.0, 1_500.0, 2_000.0, 3_000.0, 4_000.0].into_iter().zip(kib).collect();
            Growth { transport: Transport::Tcp, points }
        };
        assert!(judge(&growth([2_000.0, 3_000.0, 4_000.0, 5_000.0, 7_000.0, 9_000.0])).holds);
        assert!(!judge(&growth([6_000.0, 12_000.0, 18_000.0, 24_000.0, 36_000.0, 48_000.0])).holds);
        assert!(!judge(&growth([500.0, 90.0, 700.0, 20.0, 400.0, 60.0])).holds);
    }
}
