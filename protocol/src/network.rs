//! A modelled network: the delay, jitter and bandwidth of a link between client and server, with names for common ones.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One subscriber's link to the server, the same in both directions.
///
/// The model includes delay, jitter and bandwidth, and the round trip for opening a connection. It does not include loss, retransmission,
/// congestion control, or other traffic that shares the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Network {
    /// One-way delay, in us.
    pub delay_us: u64,
    /// The largest deviation of a single delay in either direction, uniformly distributed, in us; at most the delay. Order is kept.
    pub jitter_us: u64,
    /// Bandwidth in bits per second; `None` if it is not limited.
    pub bandwidth_bits_per_s: Option<u64>,
}

/// Common networks by name. The figures are round numbers of a realistic magnitude, not measurements.
pub const NAMED: [(&str, Network); 6] = [
    ("loopback", Network { delay_us: 0, jitter_us: 0, bandwidth_bits_per_s: None }),
    ("lan", Network { delay_us: 250, jitter_us: 50, bandwidth_bits_per_s: Some(1_000_000_000) }),
    ("wifi", Network { delay_us: 2_000, jitter_us: 1_500, bandwidth_bits_per_s: Some(100_000_000) }),
    ("broadband", Network { delay_us: 10_000, jitter_us: 1_000, bandwidth_bits_per_s: Some(50_000_000) }),
    ("mobile", Network { delay_us: 30_000, jitter_us: 8_000, bandwidth_bits_per_s: Some(10_000_000) }),
    ("intercontinental", Network { delay_us: 75_000, jitter_us: 2_000, bandwidth_bits_per_s: Some(50_000_000) }),
];

/// The longest delay that is accepted.
const MAX_DELAY: Duration = Duration::from_millis(500);
/// The bandwidths that are accepted, in bits per second.
const BANDWIDTHS: std::ops::RangeInclusive<u64> = 1_000..=1_000_000_000_000;

impl Network {
    /// A link with this delay, without jitter and with unlimited bandwidth.
    pub fn with_delay(delay: Duration) -> Self {
        Self { delay_us: delay.as_micros() as u64, jitter_us: 0, bandwidth_bits_per_s: None }
    }

    /// Whether there is anything to model. The default, loopback, is the real network between client and server as it is.
    pub fn is_modelled(&self) -> bool {
        *self != Self::default()
    }

    /// The one-way delay.
    pub fn delay(&self) -> Duration {
        Duration::from_micros(self.delay_us)
    }
}

/// The error of a text that is not a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}; a network is one of {names}, or like delay=40ms,jitter=5ms,bandwidth=10mbit", names = NAMED.map(|named| named.0).join(", "))]
pub struct UnknownNetwork(String);

impl FromStr for Network {
    type Err = UnknownNetwork;

    /// Parses a name of [`NAMED`], or settings like `delay=40ms,jitter=5ms,bandwidth=10mbit`, of which any may be left out.
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

/// Parses a duration, a number with the unit us, ms or s; returns it in us.
fn duration(text: &str) -> Result<u64, String> {
    let known = [("us", 1.0), ("ms", 1e3), ("s", 1e6)];
    let us = known.iter().find_map(|(unit, us)| Some(text.strip_suffix(unit)?.parse::<f64>().ok()? * us));
    match us {
        Some(us) if (0.0..=MAX_DELAY.as_micros() as f64).contains(&us) => Ok(us.round() as u64),
        None if text.parse::<f64>().is_ok() => Err(format!("'{text}' has no unit; write {text}ms")),
        _ => Err(format!("'{text}' is not a time from 0ms to {}ms", MAX_DELAY.as_millis())),
    }
}

/// Parses a bandwidth, a number with the unit kbit, mbit or gbit; returns it in bits per second.
fn bandwidth(text: &str) -> Result<u64, String> {
    let known = [("kbit", 1e3), ("mbit", 1e6), ("gbit", 1e9)];
    let bits = known.iter().find_map(|(unit, bits)| Some(text.strip_suffix(unit)?.parse::<f64>().ok()? * bits));
    match bits.map(|bits| bits.round() as u64) {
        Some(bits) if BANDWIDTHS.contains(&bits) => Ok(bits),
        None if text.parse::<f64>().is_ok() => Err(format!("'{text}' has no unit; write {text}mbit")),
        _ => Err(format!("'{text}' is not a bandwidth from 1kbit to 1000gbit")),
    }
}

impl fmt::Display for Network {
    /// The settings in the form that `from_str` parses, without those that are zero or unlimited.
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
    fn settings_and_names_are_parsed_and_formatted() {
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
    fn the_error_of_an_unknown_network_names_the_fault_and_the_known_networks() {
        for (text, fault) in [
            ("telegraph", "no network is called 'telegraph'"),
            ("delay=40", "'40' has no unit; write 40ms"),
            ("delay=-1ms", "is not a time"),
            ("delay=NaNms", "is not a time"),
            ("delay=1ms,jitter=2ms", "larger than the delay"),
            ("bandwidth=0mbit", "is not a bandwidth"),
            ("loss=1", "has no 'loss'"),
            ("delay=1ms,delay=2ms", "delay is given twice"),
        ] {
            let error = text.parse::<Network>().unwrap_err().to_string();
            assert!(error.contains(fault) && error.contains("intercontinental"), "{text}: {error}");
        }
    }
}
