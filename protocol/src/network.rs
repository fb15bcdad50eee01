//! A modelled network: what a link between client and server adds, as three numbers, with names for usual ones.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One subscriber's link to the server, the same in both directions.
///
/// It models delay, jitter and bandwidth, and the round trip that opening a connection takes. It does not model loss,
/// retransmission, congestion control, nor other traffic that shares the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Network {
    /// One-way delay, in us.
    pub delay_us: u64,
    /// How far a single delay may be off, either way and evenly spread, in us; at most the delay. Order is kept.
    pub jitter_us: u64,
    /// Bits a second; `None` is without bound.
    pub bandwidth_bits_per_s: Option<u64>,
}

/// The usual networks by name. The figures are round ones of the right size, not anyone's measurements.
pub const NAMED: [(&str, Network); 6] = [
    ("loopback", Network { delay_us: 0, jitter_us: 0, bandwidth_bits_per_s: None }),
    ("lan", Network { delay_us: 250, jitter_us: 50, bandwidth_bits_per_s: Some(1_000_000_000) }),
    ("wifi", Network { delay_us: 2_000, jitter_us: 1_500, bandwidth_bits_per_s: Some(100_000_000) }),
    ("broadband", Network { delay_us: 10_000, jitter_us: 1_000, bandwidth_bits_per_s: Some(50_000_000) }),
    ("mobile", Network { delay_us: 30_000, jitter_us: 8_000, bandwidth_bits_per_s: Some(10_000_000) }),
    ("intercontinental", Network { delay_us: 75_000, jitter_us: 2_000, bandwidth_bits_per_s: Some(50_000_000) }),
];

/// The longest delay that can be asked for.
const MAX_DELAY: Duration = Duration::from_millis(500);
/// The bandwidths that can be asked for, in bits a second.
const BANDWIDTHS: std::ops::RangeInclusive<u64> = 1_000..=1_000_000_000_000;

impl Network {
    /// A link that only delays, without jitter or bound.
    pub fn with_delay(delay: Duration) -> Self {
        Self { delay_us: delay.as_micros() as u64, jitter_us: 0, bandwidth_bits_per_s: None }
    }

    /// Whether there is anything to model; the default, loopback, is the bare network that there is.
    pub fn is_modelled(&self) -> bool {
        *self != Self::default()
    }

    /// The one-way delay.
    pub fn delay(&self) -> Duration {
        Duration::from_micros(self.delay_us)
    }
}

/// What is no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}; a network is one of {names}, or like delay=40ms,jitter=5ms,bandwidth=10mbit", names = NAMED.map(|named| named.0).join(", "))]
pub struct UnknownNetwork(String);

impl FromStr for Network {
    type Err = UnknownNetwork;

    /// Reads a name of [`NAMED`], or settings like `delay=40ms,jitter=5ms,bandwidth=10mbit`, of which any may be left out.
    fn from_str(text: &str) -> Result<Self, UnknownNetwork> {
        if let Some((_, network)) = NAMED.iter().find(|named| named.0 == text) {
            return Ok(*network);
        }
        let wrong = |what: String| UnknownNetwork(what);
        let mut network = Self::default();
        let mut seen = Vec::new();
        for setting in text.split(',') {
            let Some((name, value)) = setting.split_once('=') else {
                return Err(wrong(format!("no network is called '{text}'")));
            };
            if seen.contains(&name) {
                return Err(wrong(format!("{name} is given twice")));
            }
            seen.push(name);
            match name {
                "delay" => network.delay_us = duration(value).map_err(wrong)?,
                "jitter" => network.jitter_us = duration(value).map_err(wrong)?,
                "bandwidth" => network.bandwidth_bits_per_s = Some(bandwidth(value).map_err(wrong)?),
                _ => return Err(wrong(format!("a network has no '{name}'"))),
            }
        }
        if network.jitter_us > network.delay_us {
            return Err(wrong("the jitter is larger than the delay".into()));
        }
        Ok(network)
    }
}

/// A duration in us, from a number with us, ms or s.
fn duration(text: &str) -> Result<u64, String> {
    let known = [("us", 1.0), ("ms", 1e3), ("s", 1e6)];
    let us = known.iter().find_map(|(unit, us)| Some(text.strip_suffix(unit)?.parse::<f64>().ok()? * us));
    match us {
        Some(us) if (0.0..=MAX_DELAY.as_micros() as f64).contains(&us) => Ok(us.round() as u64),
        None if text.parse::<f64>().is_ok() => Err(format!("'{text}' lacks its unit: write {text}ms")),
        _ => Err(format!("'{text}' is not a time from 0ms to {}ms", MAX_DELAY.as_millis())),
    }
}

/// Bits a second, from a number with kbit, mbit or gbit.
fn bandwidth(text: &str) -> Result<u64, String> {
    let known = [("kbit", 1e3), ("mbit", 1e6), ("gbit", 1e9)];
    let bits = known.iter().find_map(|(unit, bits)| Some(text.strip_suffix(unit)?.parse::<f64>().ok()? * bits));
    match bits.map(|bits| bits.round() as u64) {
        Some(bits) if BANDWIDTHS.contains(&bits) => Ok(bits),
        None if text.parse::<f64>().is_ok() => Err(format!("'{text}' lacks its unit: write {text}mbit")),
        _ => Err(format!("'{text}' is not a bandwidth from 1kbit to 1000gbit")),
    }
}

impl fmt::Display for Network {
    /// The settings as they are typed, those that are nothing left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.is_modelled() {
            return f.write_str("loopback");
        }
        write!(f, "delay={}ms", self.delay_us as f64 / 1e3)?;
        if self.jitter_us > 0 {
            write!(f, ",jitter={}ms", self.jitter_us as f64 / 1e3)?;
        }
        match self.bandwidth_bits_per_s {
            Some(bits) => write!(f, ",bandwidth={}mbit", bits as f64 / 1e6),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_and_written_alike_and_every_name_is_known() {
        let text = "delay=40ms,jitter=5ms,bandwidth=10mbit";
        let network: Network = text.parse().unwrap();
        assert_eq!(network, Network { delay_us: 40_000, jitter_us: 5_000, bandwidth_bits_per_s: Some(10_000_000) });
        assert_eq!(network.to_string(), text);
        for (name, network) in NAMED {
            assert_eq!(name.parse(), Ok(network));
            assert_eq!(network.to_string().parse(), Ok(network));
        }
        assert_eq!("delay=250us".parse(), Ok(Network::with_delay(Duration::from_micros(250))));
    }

    #[test]
    fn what_is_no_network_is_answered_with_what_would_be() {
        for (text, fault) in [
            ("telegraph", "no network is called 'telegraph'"),
            ("delay=40", "'40' lacks its unit: write 40ms"),
            ("delay=-1ms", "is not a time"),
            ("delay=NaNms", "is not a time"),
            ("delay=1ms,jitter=2ms", "larger than the delay"),
            ("bandwidth=0mbit", "is not a bandwidth"),
            ("loss=1", "has no 'loss'"),
            ("delay=1ms,delay=2ms", "delay is given twice"),
        ] {
            let said = text.parse::<Network>().unwrap_err().to_string();
            assert!(said.contains(fault) && said.contains("intercontinental"), "{text}: {said}");
        }
    }
}
