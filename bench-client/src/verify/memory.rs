//! Memory per connection is a slope over several sizes, with its confidence interval, not one difference; and it is small.

use protocol::Transport;
use protocol::result::Scenario;

use super::Finding;
use crate::trial::{self, small};

/// Beyond the 500 that connect at once: what their handshakes take at that moment is in each size alike.
const SIZES: [u32; 6] = [500, 1_000, 1_500, 2_000, 3_000, 4_000];
/// Student's t for the 95 % interval of a slope over six points: four degrees of freedom.
const STUDENT_T: f64 = 2.776;

/// What a subscriber may take, in KiB.
const MOST_KIB: f64 = 4.0;
/// Those who have a connection of their own that waits.
const TRANSPORTS: [Transport; 5] =
    [Transport::LongPolling, Transport::Ndjson, Transport::Sse, Transport::WebSocket, Transport::Tcp];

pub async fn check() -> anyhow::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for transport in TRANSPORTS {
        let mut points = Vec::new();
        for subscribers in SIZES {
            let scenario = Scenario {
                subscribers,
                rate: 5.0,
                warm_up_ms: 400 + u64::from(subscribers),
                duration_ms: 500,
                ..small(&[transport])
            };
            let server = trial::round(&scenario, transport).await?.server;
            let grown = server.resident_connected_bytes as f64 - server.resident_before_bytes as f64;
            points.push((f64::from(subscribers), grown / 1024.0));
        }
        findings.push(judge(transport, &points, MOST_KIB));
    }
    Ok(findings)
}

fn judge(transport: Transport, points: &[(f64, f64)], most_kib: f64) -> Finding {
    let (slope, half) = slope(points);
    Finding {
        requirement: "memory per connection is a slope over six sizes",
        measured: format!("{}: {slope:.1} KiB +- {half:.1}", transport.label()),
        bound: format!("0 outside the interval, at most {most_kib}"),
        holds: half < slope && slope <= most_kib,
    }
}

/// The least-squares slope, and half the width of its 95 % interval.
fn slope(points: &[(f64, f64)]) -> (f64, f64) {
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (mean_x, mean_y) = (mean(|point| point.0), mean(|point| point.1));
    let spread: f64 = points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    let slope = points.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum::<f64>() / spread;
    let residual: f64 = points.iter().map(|(x, y)| (y - mean_y - slope * (x - mean_x)).powi(2)).sum();
    (slope, STUDENT_T * (residual / (count - 2.0) / spread).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_its_slope_and_noise_has_none() {
        let line: Vec<_> = SIZES.iter().map(|&size| (f64::from(size), 100.0 + 12.0 * f64::from(size))).collect();
        let (found, half) = slope(&line);
        assert!((found - 12.0).abs() < 1e-9 && half < 1e-6);
        assert!(judge(Transport::Tcp, &line, 13.0).holds);
        assert!(!judge(Transport::Tcp, &line, 11.0).holds);
        let noise: Vec<_> =
            SIZES.iter().zip([500.0, 90.0, 700.0, 20.0, 400.0, 60.0]).map(|(&x, y)| (f64::from(x), y)).collect();
        assert!(!judge(Transport::Tcp, &noise, 13.0).holds);
    }
}
