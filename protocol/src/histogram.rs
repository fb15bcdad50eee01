//! Durations counted into an HdrHistogram, with the counts that no bucket can hold kept beside it.

use hdrhistogram::Histogram as Hdr;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The longest duration with a bucket of its own, in ns: 60 s.
pub const HIGHEST_NS: u64 = 60_000_000_000;
/// The unit of the shortest buckets. With 1,000, durations under half a millisecond would be told apart by no less than
/// 512 ns, which is more than a thousandth of them.
const LOWEST_NS: u64 = 1;
const SIGNIFICANT_DIGITS: u8 = 3;

/// A distribution of durations in ns, from 0 to 60 s, each bucket within 0.1 % of its values.
///
/// Histograms of several rounds are merged, never their percentiles averaged. In JSON it is the list of its buckets,
/// `[highest value in ns, count]`, from which it is rebuilt without loss.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(with = "Raw")]
pub struct Histogram {
    hdr: Hdr<u64>,
    negative: u64,
    overflow: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        let hdr = Hdr::new_with_bounds(LOWEST_NS, HIGHEST_NS, SIGNIFICANT_DIGITS).expect("the bounds are constants");
        Self { hdr, negative: 0, overflow: 0 }
    }
}

impl Histogram {
    /// Counts the time from `start_ns` to `end_ns`. An end before its start is counted as 0 and as negative.
    pub fn record_between(&mut self, start_ns: u64, end_ns: u64) {
        self.negative += u64::from(end_ns < start_ns);
        self.record(end_ns.saturating_sub(start_ns));
    }

    /// Counts one duration. One over 60 s is counted as 60 s and as overflow.
    pub fn record(&mut self, ns: u64) {
        self.overflow += u64::from(ns > HIGHEST_NS);
        self.hdr.saturating_record(ns.min(HIGHEST_NS));
    }

    /// Adds all that `other` has counted.
    pub fn merge(&mut self, other: &Self) {
        self.hdr.add(&other.hdr).expect("both have the same bounds");
        self.negative += other.negative;
        self.overflow += other.overflow;
    }

    /// How many durations were counted.
    pub fn count(&self) -> u64 {
        self.hdr.len()
    }

    /// How many of them were negative: on one host a fault of the measurement.
    pub fn negative(&self) -> u64 {
        self.negative
    }

    /// How many of them were longer than 60 s.
    pub fn overflow(&self) -> u64 {
        self.overflow
    }

    /// The duration in ns that a share `quantile`, in [0, 1], does not exceed, or `None` while nothing is counted.
    pub fn quantile(&self, quantile: f64) -> Option<u64> {
        (self.count() > 0).then(|| self.hdr.value_at_quantile(quantile))
    }

    /// The same, but `None` as well where fewer than ten samples lie beyond the quantile: p99.9 needs 10,000.
    pub fn carried_quantile(&self, quantile: f64) -> Option<u64> {
        // The margin is for 1 - 0.999, which is a little less than 0.001 in binary.
        let beyond = self.count() as f64 * (1.0 - quantile);
        if beyond + 1e-6 >= 10.0 { self.quantile(quantile) } else { None }
    }

    /// How many durations were longer than `ns`, to within a bucket.
    pub fn count_beyond(&self, ns: u64) -> u64 {
        self.buckets().filter(|bucket| bucket.0 > ns).map(|bucket| bucket.1).sum()
    }

    /// The arithmetic mean in ns, or `None` while nothing is counted.
    pub fn mean(&self) -> Option<f64> {
        (self.count() > 0).then(|| self.hdr.mean())
    }

    /// The longest duration in ns, to 0.1 %, or `None` while nothing is counted.
    pub fn max(&self) -> Option<u64> {
        self.quantile(1.0)
    }

    /// The buckets that hold something, shortest first: highest value in ns, and how many.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.hdr.iter_recorded().map(|bucket| (bucket.value_iterated_to(), bucket.count_at_value()))
    }
}

impl FromIterator<u64> for Histogram {
    /// Counts durations in ns.
    fn from_iter<I: IntoIterator<Item = u64>>(durations: I) -> Self {
        let mut histogram = Self::default();
        durations.into_iter().for_each(|ns| histogram.record(ns));
        histogram
    }
}

impl PartialEq for Histogram {
    fn eq(&self, other: &Self) -> bool {
        self.hdr == other.hdr && self.negative == other.negative && self.overflow == other.overflow
    }
}

/// A distribution of durations, from 0 to 60 s.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Histogram")]
struct Raw {
    /// The buckets that hold something, shortest first: the highest duration of the bucket in ns, and how many it holds.
    buckets: Vec<(u64, u64)>,
    /// Durations that were negative: counted as 0 in the buckets.
    negative: u64,
    /// Durations over 60 s: counted as 60 s in the buckets.
    overflow: u64,
}

impl Serialize for Histogram {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw = Raw { buckets: self.buckets().collect(), negative: self.negative, overflow: self.overflow };
        raw.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Histogram {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Raw::deserialize(deserializer)?;
        let mut histogram = Self { negative: raw.negative, overflow: raw.overflow, ..Self::default() };
        for (value, count) in raw.buckets {
            histogram.hdr.saturating_record_n(value.min(HIGHEST_NS), count);
        }
        Ok(histogram)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_is_dropped_however_odd() {
        let mut histogram = Histogram::default();
        histogram.record_between(5, 3);
        histogram.record(HIGHEST_NS + 1);
        histogram.record(0);
        assert_eq!((histogram.count(), histogram.negative(), histogram.overflow()), (3, 1, 1));
    }

    #[test]
    fn a_percentile_is_given_only_where_the_samples_carry_it() {
        let mut histogram = Histogram::default();
        (0..9_999).for_each(|_| histogram.record(5_000));
        assert_eq!(histogram.carried_quantile(0.999), None);
        histogram.record(5_000);
        assert!(histogram.carried_quantile(0.999).is_some());
        assert_eq!(Histogram::default().quantile(0.5), None);
    }

    proptest! {
        #[test]
        fn percentiles_are_within_a_thousandth_of_the_sorted_samples(
            mut samples in prop::collection::vec((10..36u32, 0.0..1.0f64), 1..500),
            quantile in 0.0..=1.0f64,
        ) {
            // From 1 us up, as many short ones as long ones.
            let mut samples: Vec<u64> =
                samples.drain(..).map(|(power, part)| ((1u64 << power) as f64 * (1.0 + part)) as u64).collect();
            samples.iter_mut().for_each(|ns| *ns = (*ns).min(HIGHEST_NS));
            let mut histogram = Histogram::default();
            samples.iter().for_each(|&ns| histogram.record(ns));
            samples.sort_unstable();
            let rank = ((samples.len() as f64 * quantile).ceil() as usize).clamp(1, samples.len());
            let exact = samples[rank - 1] as f64;
            let given = histogram.quantile(quantile).unwrap() as f64;
            prop_assert!((given / exact - 1.0).abs() <= 0.001, "{given} for {exact}");
        }

        #[test]
        fn json_and_merging_lose_nothing(left: Vec<u32>, right: Vec<u64>) {
            let of = |samples: Vec<u64>| {
                let mut histogram = Histogram::default();
                samples.into_iter().for_each(|ns| histogram.record(ns));
                histogram
            };
            let left: Vec<u64> = left.into_iter().map(u64::from).collect();
            let mut merged = of(left.clone());
            merged.merge(&of(right.clone()));
            prop_assert_eq!(&merged, &of([left, right].concat()));
            let json = serde_json::to_string(&merged).unwrap();
            prop_assert_eq!(serde_json::from_str::<Histogram>(&json).unwrap(), merged);
        }
    }
}
