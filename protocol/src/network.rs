//! A modelled network: the delay, jitter and bandwidth of a link between client and server, with names for common ones.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One subscriber's link to the server, the same in both directions.
///
/// Delay, jitter and bandwidth alone are modelled for each connection by itself, in the client: the round trip for opening a connection is
/// included, but nothing is lost, nothing is sent again, and no other traffic shares the link. With loss or a queue, the packets of all
/// connections share one link between two network stacks instead, whose TCP and QUIC then send again and slow down as on any path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Network {
    /// One-way delay, in us.
    pub delay_us: u64,
    /// The largest deviation of a single delay in either direction, uniformly distributed, in us; at most the delay. Order is kept.
    pub jitter_us: u64,
    /// Bandwidth in bits per second; `None` if it is not limited.
    pub bandwidth_bits_per_s: Option<u64>,
    /// How many of a million packets are lost in each direction, at random and independently of each other.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub loss_per_million: u32,
    /// How many bytes of packets may wait for the bandwidth in each direction; a packet for which there is no room is dropped. `None` if the
    /// queue is not limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_bytes: Option<u64>,
}

fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// Common networks by name. The figures are round numbers of a realistic magnitude, not measurements.
pub const NAMED: [(&str, Network); 6] = [
    ("loopback", Network::of(0, 0, None)),
    ("lan", Network::of(250, 50, Some(1_000_000_000))),
    ("wifi", Network::of(2_000, 1_500, Some(100_000_000))),
    ("broadband", Network::of(10_000, 1_000, Some(50_000_000))),
    ("mobile", Network::of(30_000, 8_000, Some(10_000_000))),
    ("intercontinental", Network::of(75_000, 2_000, Some(50_000_000))),
];

/// The longest delay that is accepted.
const MAX_DELAY: Duration = Duration::from_millis(500);
/// The bandwidths that are accepted, in bits per second.
const BANDWIDTHS: std::ops::RangeInclusive<u64> = 1_000..=1_000_000_000_000;
/// The largest loss that is accepted: over that, hardly a connection can be opened.
const MAX_LOSS_PERCENT: f64 = 20.0;
/// The lengths of a queue that are accepted, in kB: at least one packet.
const QUEUE_KILOBYTES: std::ops::RangeInclusive<u64> = 2..=100_000;

impl Network {
    const fn of(delay_us: u64, jitter_us: u64, bandwidth_bits_per_s: Option<u64>) -> Self {
        Self { delay_us, jitter_us, bandwidth_bits_per_s, loss_per_million: 0, queue_bytes: None }
    }

    /// A link with this delay, without jitter and with unlimited bandwidth.
    pub const fn with_delay(delay: Duration) -> Self {
        Self::of(delay.as_micros() as u64, 0, None)
    }

    /// Whether there is anything to model. The default, loopback, is the real network between client and server as it is.
    pub fn is_modelled(&self) -> bool {
        *self != Self::default()
    }

    /// Whether packets have to be told apart, since some are lost: see [`Network`].
    pub fn loses_packets(&self) -> bool {
        self.loss_per_million > 0 || self.queue_bytes.is_some()
    }

    /// The one-way delay.
    pub fn delay(&self) -> Duration {
        Duration::from_micros(self.delay_us)
    }
}

/// The error of a text that is not a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}; a network is one of {names}, or like delay=40ms,jitter=5ms,bandwidth=10mbit,loss=1%,queue=64kB", names = NAMED.map(|named| named.0).join(", "))]
pub struct UnknownNetwork(String);

impl FromStr for Network {
    type Err = UnknownNetwork;

    /// Parses a name of [`NAMED`], or settings like `delay=40ms,jitter=5ms,bandwidth=10mbit,loss=1%,queue=64kB`, of which any may be left
    /// out.
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
                "loss" => network.loss_per_million = loss(value).map_err(wrong)?,
                "queue" => network.queue_bytes = Some(queue(value).map_err(wrong)?),
                _ => return Err(wrong(format!("a network has no '{name}'"))),
            }
        }
        if network.jitter_us > network.delay_us {
            return Err(wrong("the jitter is larger than the delay".into()));
        }
        if network.queue_bytes.is_some() && network.bandwidth_bits_per_s.is_none() {
            return Err(wrong("a queue needs a bandwidth for which its packets wait".into()));
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

/// Parses a loss, a number with a percent sign; returns it as packets of a million.
fn loss(text: &str) -> Result<u32, String> {
    match text.strip_suffix('%').map(str::parse::<f64>) {
        Some(Ok(percent)) if (0.0..=MAX_LOSS_PERCENT).contains(&percent) => Ok((percent * 1e4).round() as u32),
        None if text.parse::<f64>().is_ok() => Err(format!("'{text}' has no unit; write {text}%")),
        _ => Err(format!("'{text}' is not a loss from 0% to {MAX_LOSS_PERCENT}%")),
    }
}

/// Parses the length of a queue, a number with the unit kB.
fn queue(text: &str) -> Result<u64, String> {
    match text.strip_suffix("kB").map(str::parse::<u64>) {
        Some(Ok(kilobytes)) if QUEUE_KILOBYTES.contains(&kilobytes) => Ok(kilobytes * 1_000),
        None if text.parse::<f64>().is_ok() => Err(format!("'{text}' has no unit; write {text}kB")),
        _ => Err(format!("'{text}' is not a queue from 2kB to 100000kB")),
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
        if let Some(bits) = self.bandwidth_bits_per_s {
            write!(f, ",bandwidth={}mbit", bits as f64 / 1e6)?;
        }
        if self.loss_per_million > 0 {
            write!(f, ",loss={}%", f64::from(self.loss_per_million) / 1e4)?;
        }
        match self.queue_bytes {
            Some(bytes) => write!(f, ",queue={}kB", bytes / 1_000),
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
        assert_eq!(network, Network::of(40_000, 5_000, Some(10_000_000)));
        assert_eq!(network.to_string(), text);
        let text = "delay=20ms,bandwidth=8mbit,loss=0.5%,queue=64kB";
        let network: Network = text.parse().unwrap();
        assert_eq!((network.loss_per_million, network.queue_bytes), (5_000, Some(64_000)));
        assert_eq!(network.to_string(), text);
        assert!(network.loses_packets() && !Network::of(1, 0, None).loses_packets());
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
            ("luck=1", "has no 'luck'"),
            ("loss=1", "'1' has no unit; write 1%"),
            ("loss=50%", "is not a loss"),
            ("queue=64", "'64' has no unit; write 64kB"),
            ("bandwidth=1mbit,queue=1kB", "is not a queue"),
            ("queue=64kB", "a queue needs a bandwidth"),
            ("delay=1ms,delay=2ms", "delay is given twice"),
        ] {
            let error = text.parse::<Network>().unwrap_err().to_string();
            assert!(error.contains(fault) && error.contains("intercontinental"), "{text}: {error}");
        }
    }
}
