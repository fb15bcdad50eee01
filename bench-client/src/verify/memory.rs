//! Memory per connection is small. It is the slope over several numbers of subscribers, with a confidence interval, and not the difference of
//! two readings.

use reports::experiment::memory::{Growth, growths};

use super::Finding;
use crate::experiment::memory;

/// The most memory that a subscriber may need, in KiB.
const MAX_KIB: f64 = 4.0;

pub async fn check() -> anyhow::Result<Vec<Finding>> {
    let facts = memory::measure(1, &memory::transports(), &memory::SIZES, 1).await?;
    Ok(growths(&facts).iter().map(judge).collect())
}

fn judge(growth: &Growth) -> Finding {
    let (slope, half) = growth.slope();
    Finding {
        requirement: "memory per connection is a slope over six sizes",
        measured: format!("{}: {slope:.1} KiB +- {half:.1}", growth.transport.label()),
        bound: format!("0 outside the interval, at most {MAX_KIB}"),
        passed: half < slope && slope <= MAX_KIB,
    }
}

#[cfg(test)]
mod tests {
    use protocol::Transport;

    use super::*;

    #[test]
    fn a_slope_that_is_too_large_and_noise_without_a_slope_are_found() {
        let growth = |kib: [f64; 6]| {
            let points = [500.0, 1_000.0, 1_500.0, 2_000.0, 3_000.0, 4_000.0].into_iter().zip(kib).collect();
            Growth { transport: Transport::Tcp, points }
        };
        assert!(judge(&growth([2_000.0, 3_000.0, 4_000.0, 5_000.0, 7_000.0, 9_000.0])).passed);
        assert!(!judge(&growth([6_000.0, 12_000.0, 18_000.0, 24_000.0, 36_000.0, 48_000.0])).passed);
        assert!(!judge(&growth([500.0, 90.0, 700.0, 20.0, 400.0, 60.0])).passed);
    }
}
