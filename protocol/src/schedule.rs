//! The publish times and payloads of events. They depend only on rate, spacing, seed and payload size, so every round has the same.

use std::time::Duration;

use rand_pcg::Pcg64Mcg;
use rand_pcg::rand_core::{Rng, SeedableRng};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the publish times are spaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Spacing {
    /// One event every 1/rate seconds.
    #[default]
    Periodic,
    /// Independent, exponentially distributed intervals with mean 1/rate seconds, as events from many unrelated sources arrive.
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

/// A seeded generator of random numbers, whose sequence is the same on every machine and in every version of this program.
pub fn seeded(seed: u64) -> Pcg64Mcg {
    Pcg64Mcg::seed_from_u64(seed)
}

/// The next number of `random`, uniformly distributed in [0, 1).
pub fn uniform(random: &mut Pcg64Mcg) -> f64 {
    // The mantissa of an f64 has 53 bits.
    (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

/// The publish times of a feed, as offsets from its start. The iterator is infinite.
///
/// # Panics
/// When `rate` is not a positive number of events per second. A feed without a rate has no schedule.
pub fn offsets(spacing: Spacing, rate: f64, seed: u64) -> impl Iterator<Item = Duration> + Send {
    assert!(rate > 0.0 && rate.is_finite(), "a schedule requires a positive rate, not {rate}");
    let period = 1.0 / rate;
    let mut random = seeded(seed);
    let mut periods = 0.0;
    std::iter::repeat_with(move || {
        periods += match spacing {
            Spacing::Periodic => 1.0,
            Spacing::Poisson => -(1.0 - uniform(&mut random)).ln(),
        };
        // The sum is in periods and not in seconds, so that rounding errors do not add up to a drift.
        Duration::try_from_secs_f64(periods * period).unwrap_or(Duration::MAX)
    })
}

/// The payload of event `seq`: `length` letters, digits, hyphens and underscores. JSON escapes none of them, so their encoding has the
/// same length.
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
    fn a_poisson_schedule_depends_on_its_seed_only_and_has_its_rate() {
        let times = |seed| offsets(Spacing::Poisson, 100.0, seed).take(20_000).collect::<Vec<_>>();
        assert_eq!(times(1), times(1));
        assert_ne!(times(1), times(2));
        // The mean of 20,000 intervals has a relative standard error of 0.7 %. The seed is fixed, so the result is always the same.
        let seconds = times(1).last().unwrap().as_secs_f64();
        assert!((seconds - 200.0).abs() < 5.0, "{seconds}");
        assert!(times(1).is_sorted());
    }

    #[test]
    fn payloads_have_the_given_length_contain_nothing_to_escape_and_differ() {
        for length in [0, 1, 9, 10, 11, 200] {
            let text = payload(1, 1, length);
            assert_eq!(text.len(), length);
            assert_eq!(serde_json::to_string(&text).unwrap().len(), length + 2);
        }
        assert_ne!(payload(1, 1, 20), payload(1, 2, 20));
    }
}
