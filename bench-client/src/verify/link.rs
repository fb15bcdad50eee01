//! The modelled network adds the latency that its settings demand, compared with a delivery on the same machine without it.

use protocol::network::Network;
use protocol::result::{Round, Scenario};
use protocol::{Histogram, Layer, Transport};

use super::Finding;
use crate::round::series;

/// The largest acceptable error of a delay, in ms. Most of it is the time that the kernel takes to wake a task.
const MAX_ERROR_MS: f64 = 1.0;

pub async fn check() -> anyhow::Result<Vec<Finding>> {
    let bare = measure("loopback", 200).await?;
    Ok(vec![
        judge_delay(&bare.latency_ns, &measure("delay=20ms", 200).await?.latency_ns),
        judge_jitter(&bare.latency_ns, &measure("delay=20ms,jitter=8ms", 200).await?.latency_ns),
        judge_bandwidth(&measure("loopback", 10_000).await?, &measure("delay=20ms,bandwidth=8mbit", 10_000).await?),
    ])
}

async fn measure(network: &str, payload_bytes: u32) -> anyhow::Result<Round> {
    let network: Network = network.parse()?;
    let scenario = Scenario { network, payload_bytes, warm_up_ms: 700, ..Scenario::small(&[Transport::WebSocket]) };
    series::round(&scenario, Transport::WebSocket).await
}

fn ms(histogram: &Histogram, quantile: f64) -> f64 {
    histogram.quantile(quantile).unwrap_or(0) as f64 / 1e6
}

fn judge_delay(bare: &Histogram, delayed: &Histogram) -> Finding {
    let added = ms(delayed, 0.5) - ms(bare, 0.5);
    Finding {
        requirement: "a modelled delay of 20 ms adds 20 ms",
        measured: format!("{added:.2} ms"),
        bound: format!("20 ms, within {MAX_ERROR_MS} ms"),
        passed: (added - 20.0).abs() <= MAX_ERROR_MS,
    }
}

/// If delays are uniform over 20 +- 8 ms, a tenth of them is below 13.6 ms and a tenth above 26.4 ms.
fn judge_jitter(bare: &Histogram, spread: &Histogram) -> Finding {
    let [low, high] = [0.1, 0.9].map(|quantile| ms(spread, quantile) - ms(bare, 0.5));
    Finding {
        requirement: "a jitter of 8 ms spreads that delay evenly",
        measured: format!("p10 {low:.1} ms, p90 {high:.1} ms"),
        bound: format!("13.6 and 26.4 ms, within {MAX_ERROR_MS} ms"),
        passed: (low - 13.6).abs() <= MAX_ERROR_MS && (high - 26.4).abs() <= MAX_ERROR_MS,
    }
}

/// At 8 Mbit/s, each counted wire byte of an event adds 1 us.
fn judge_bandwidth(bare: &Round, narrow: &Round) -> Finding {
    let event_bytes = narrow.ledger[Layer::Event] + narrow.ledger[Layer::Framing];
    let expected = 20.0 + event_bytes as f64 / narrow.ledger.events.max(1) as f64 / 1e3;
    let added = ms(&narrow.latency_ns, 0.5) - ms(&bare.latency_ns, 0.5);
    Finding {
        requirement: "10 kB at 8 Mbit/s add 10 ms to that delay",
        measured: format!("{added:.2} ms"),
        bound: format!("{expected:.2} ms, within {MAX_ERROR_MS} ms"),
        passed: (added - expected).abs() <= MAX_ERROR_MS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::tests::round_with;

    #[test]
    fn a_link_that_adds_too_little_or_spreads_too_little_is_found() {
        let bare = round_with([500_000; 10]);
        let later = |ns: u64| round_with([500_000 + ns; 10]);
        assert!(judge_delay(&bare.latency_ns, &later(20_300_000).latency_ns).passed);
        assert!(!judge_delay(&bare.latency_ns, &later(18_000_000).latency_ns).passed);
        let spread = round_with((0..1_000).map(|step| 12_500_000 + step * 16_000));
        assert!(judge_jitter(&bare.latency_ns, &spread.latency_ns).passed);
        assert!(!judge_jitter(&bare.latency_ns, &later(20_000_000).latency_ns).passed);
        let narrow = |ns| {
            let mut round = later(ns);
            (round.ledger[Layer::Event], round.ledger.events) = (10_000, 1);
            round
        };
        assert!(judge_bandwidth(&bare, &narrow(30_000_000)).passed);
        assert!(!judge_bandwidth(&bare, &narrow(20_000_000)).passed);
    }
}
