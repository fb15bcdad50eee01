//! The publish times of events. They depend only on rate, spacing and seed, so every round has the same.

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
}
