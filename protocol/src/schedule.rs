//! When events are published and what they hold: a pure function of rate, kind and seed, so every round sees the same.

use std::time::Duration;

use rand_pcg::Pcg64Mcg;
use rand_pcg::rand_core::{Rng, SeedableRng};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the publish times are spaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Spacing {
    /// One event each 1/rate seconds.
    #[default]
    Periodic,
    /// Independent exponential gaps with mean 1/rate seconds: what arrives from many unrelated sources.
    Poisson,
}

impl std::str::FromStr for Spacing {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "periodic" => Ok(Self::Periodic),
            "poisson" => Ok(Self::Poisson),
            _ => Err(format!("a schedule is periodic or poisson, not '{text}'")),
        }
    }
}

impl std::fmt::Display for Spacing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Periodic => "periodic",
            Self::Poisson => "poisson",
        })
    }
}

/// A seeded generator of random numbers that gives the same sequence on every machine and in every version.
pub fn seeded(seed: u64) -> Pcg64Mcg {
    Pcg64Mcg::seed_from_u64(seed)
}

/// The next number of `random`, uniform in [0, 1).
pub fn uniform(random: &mut Pcg64Mcg) -> f64 {
    // 53 random bits are all that the mantissa of an f64 holds.
    (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

/// The publish times of a feed as offsets from its start, without end.
///
/// # Panics
/// When `rate` is not a positive number of events a second; a feed without a rate has no schedule.
pub fn offsets(spacing: Spacing, rate: f64, seed: u64) -> impl Iterator<Item = Duration> + Send {
    assert!(rate > 0.0 && rate.is_finite(), "a schedule needs a positive rate, not {rate}");
    let period = 1.0 / rate;
    let mut random = seeded(seed);
    let mut periods = 0.0;
    std::iter::repeat_with(move || {
        periods += match spacing {
            Spacing::Periodic => 1.0,
            Spacing::Poisson => -(1.0 - uniform(&mut random)).ln(),
        };
        // Periods are summed, not seconds, so that a periodic schedule has no drift.
        Duration::try_from_secs_f64(periods * period).unwrap_or(Duration::MAX)
    })
}

/// The payload of event `seq`: `length` letters and digits, so JSON adds no escape and every byte is the payload's.
pub fn payload(seed: u64, seq: u64, length: usize) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut random = seeded(seed ^ seq.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let mut text = String::with_capacity(length + 10);
    while text.len() < length {
        let bits = random.next_u64();
        text.extend((0..10).map(|i| ALPHABET[(bits >> (6 * i) & 63) as usize] as char));
    }
    text.truncate(length);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_periodic_schedule_has_no_drift() {
        let millionth = offsets(Spacing::Periodic, 3.0, 1).nth(2_999_999).unwrap();
        assert_eq!(millionth, Duration::from_secs(1_000_000));
    }

    #[test]
    fn a_poisson_schedule_is_fixed_by_its_seed_and_keeps_its_rate() {
        let times = |seed| offsets(Spacing::Poisson, 100.0, seed).take(20_000).collect::<Vec<_>>();
        assert_eq!(times(1), times(1));
        assert_ne!(times(1), times(2));
        // 20,000 gaps have a relative standard error of 0.7 %; the seed is fixed, so this cannot flicker.
        let seconds = times(1).last().unwrap().as_secs_f64();
        assert!((seconds - 200.0).abs() < 5.0, "{seconds}");
        assert!(times(1).is_sorted());
    }

    #[test]
    fn payloads_have_their_length_need_no_escape_and_differ() {
        for length in [0, 1, 9, 10, 11, 200] {
            let text = payload(1, 1, length);
            assert_eq!(text.len(), length);
            assert_eq!(serde_json::to_string(&text).unwrap().len(), length + 2);
        }
        assert_ne!(payload(1, 1, 20), payload(1, 2, 20));
    }
}
