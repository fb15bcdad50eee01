//! A histogram of durations: an HdrHistogram, and counts of the durations that are outside its range.

use std::borrow::Cow;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hdrhistogram::Histogram as Hdr;
use hdrhistogram::serialization::{Deserializer as HdrDeserializer, Serializer as HdrSerializer, V2DeflateSerializer};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The longest duration that is counted exactly, in ns: 60 s.
pub const MAX_NS: u64 = 60_000_000_000;
/// The width of the narrowest buckets, in ns. With 1,000, the buckets for durations under half a millisecond would be 512 ns wide, which is
/// more than a thousandth of such a duration.
const MIN_NS: u64 = 1;
const SIGNIFICANT_DIGITS: u8 = 3;

/// A distribution of durations in ns, from 0 to 60 s, each bucket within 0.1 % of its values.
///
/// The percentiles of several rounds are taken from their merged histograms; they are never averaged. In JSON, a histogram is a text in
/// HdrHistogram's own format, which its libraries and plotters read, and which takes a fifth of the space of a list of buckets.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(with = "Raw")]
pub struct Histogram {
    counts: Counts,
    negative: u64,
    overflow: u64,
}

/// There are thousands of histograms in a run, each of some 27,000 buckets with a count of 32 bits. Most of them are read from a file and used
/// once or twice, so they stay in the form in which they were read, which takes some 2 KB instead of 108.
#[derive(Debug, Clone)]
enum Counts {
    Open(Hdr<u32>),
    /// In HdrHistogram's own format, which was parsed once before.
    Packed {
        bytes: Box<[u8]>,
        count: u64,
    },
}

fn empty() -> Hdr<u32> {
    Hdr::new_with_bounds(MIN_NS, MAX_NS, SIGNIFICANT_DIGITS).expect("the bounds are constants")
}

/// Parses HdrHistogram's own format.
fn unpacked(mut bytes: &[u8]) -> Result<Hdr<u32>, String> {
    let read: Hdr<u32> = HdrDeserializer::new().deserialize(&mut bytes).map_err(|error| error.to_string())?;
    if (read.low(), read.high(), read.sigfig()) == (MIN_NS, MAX_NS, SIGNIFICANT_DIGITS) {
        return Ok(read);
    }
    let mut hdr = empty();
    hdr.add(&read).map_err(|error| error.to_string())?;
    Ok(hdr)
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: Counts::Open(empty()), negative: 0, overflow: 0 }
    }
}

impl Histogram {
    fn hdr(&self) -> Cow<'_, Hdr<u32>> {
        match &self.counts {
            Counts::Open(hdr) => Cow::Borrowed(hdr),
            Counts::Packed { bytes, .. } => Cow::Owned(unpacked(bytes).expect("these bytes were parsed before")),
        }
    }

    fn hdr_mut(&mut self) -> &mut Hdr<u32> {
        if matches!(self.counts, Counts::Packed { .. }) {
            self.counts = Counts::Open(self.hdr().into_owned());
        }
        match &mut self.counts {
            Counts::Open(hdr) => hdr,
            Counts::Packed { .. } => unreachable!("it has just been opened"),
        }
    }

    /// Counts the time from `start_ns` to `end_ns`. If the end is before the start, the duration is counted as 0, and as negative.
    pub fn record_between(&mut self, start_ns: u64, end_ns: u64) {
        self.negative += u64::from(end_ns < start_ns);
        self.record(end_ns.saturating_sub(start_ns));
    }

    /// Counts a duration. If it is over 60 s, it is counted as 60 s, and as overflow.
    pub fn record(&mut self, ns: u64) {
        self.overflow += u64::from(ns > MAX_NS);
        self.hdr_mut().saturating_record(ns.min(MAX_NS));
    }

    /// Adds the durations of `other`.
    pub fn merge(&mut self, other: &Self) {
        self.hdr_mut().add(&*other.hdr()).expect("both have the same bounds");
        self.negative += other.negative;
        self.overflow += other.overflow;
    }

    /// How many durations were counted.
    pub fn count(&self) -> u64 {
        match &self.counts {
            Counts::Open(hdr) => hdr.len(),
            Counts::Packed { count, .. } => *count,
        }
    }

    /// How many of them were negative. If both timestamps are from the same host, that is an error of the measurement.
    pub fn negative(&self) -> u64 {
        self.negative
    }

    /// How many of them were longer than 60 s.
    pub fn overflow(&self) -> u64 {
        self.overflow
    }

    /// The duration in ns that the share `quantile`, in [0, 1], of the durations does not exceed; `None` for an empty histogram.
    pub fn quantile(&self, quantile: f64) -> Option<u64> {
        (self.count() > 0).then(|| self.hdr().value_at_quantile(quantile))
    }

    /// The same as [`Self::quantile`], but `None` if fewer than ten samples are above the quantile: p99.9 requires 10,000 samples.
    pub fn supported_quantile(&self, quantile: f64) -> Option<u64> {
        // The margin is for 1 - 0.999, which is a little less than 0.001 in binary.
        let above = self.count() as f64 * (1.0 - quantile);
        if above + 1e-6 >= 10.0 { self.quantile(quantile) } else { None }
    }

    /// How many durations were longer than `ns`. Durations in the same bucket as `ns` cannot be distinguished from it.
    pub fn count_above(&self, ns: u64) -> u64 {
        self.buckets().filter(|bucket| bucket.0 > ns).map(|bucket| bucket.1).sum()
    }

    /// The arithmetic mean in ns; `None` for an empty histogram.
    pub fn mean(&self) -> Option<f64> {
        (self.count() > 0).then(|| self.hdr().mean())
    }

    /// The longest duration in ns, within 0.1 %; `None` for an empty histogram.
    pub fn max(&self) -> Option<u64> {
        self.quantile(1.0)
    }

    /// The non-empty buckets, shortest durations first: the highest value of each in ns, and its count.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64)> + use<> {
        let hdr = self.hdr();
        let buckets: Vec<_> = hdr
            .iter_recorded()
            .map(|bucket| (bucket.value_iterated_to(), u64::from(bucket.count_at_value())))
            .collect();
        buckets.into_iter()
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
        self.hdr() == other.hdr() && self.negative == other.negative && self.overflow == other.overflow
    }
}

/// A distribution of durations, from 0 to 60 s.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Histogram")]
struct Raw {
    /// The distribution of durations in ns: a compressed HdrHistogram (V2 encoding with DEFLATE) in base64, as in HdrHistogram log files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hdr: Option<String>,
    /// In results of earlier versions instead: the non-empty buckets, shortest durations first, as the highest duration of the bucket in ns,
    /// and its count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    buckets: Option<Vec<(u64, u64)>>,
    /// Number of durations that were negative. They are counted as 0.
    negative: u64,
    /// Number of durations over 60 s. They are counted as 60 s.
    overflow: u64,
}

impl Serialize for Histogram {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut bytes = Vec::new();
        HdrSerializer::serialize(&mut V2DeflateSerializer::new(), &self.hdr(), &mut bytes)
            .map_err(serde::ser::Error::custom)?;
        let hdr = Some(BASE64_STANDARD.encode(bytes));
        Raw { hdr, buckets: None, negative: self.negative, overflow: self.overflow }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Histogram {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Raw::deserialize(deserializer)?;
        let counts = match (raw.hdr, raw.buckets) {
            (Some(text), _) => {
                let bytes = BASE64_STANDARD.decode(text).map_err(serde::de::Error::custom)?;
                let count = unpacked(&bytes).map_err(serde::de::Error::custom)?.len();
                Counts::Packed { bytes: bytes.into(), count }
            }
            (None, Some(buckets)) => {
                let mut hdr = empty();
                for (value, count) in buckets {
                    hdr.saturating_record_n(value.min(MAX_NS), u32::try_from(count).unwrap_or(u32::MAX));
                }
                Counts::Open(hdr)
            }
            (None, None) => return Err(serde::de::Error::missing_field("hdr")),
        };
        Ok(Self { counts, negative: raw.negative, overflow: raw.overflow })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_outside_the_range_are_counted_too() {
        let mut histogram = Histogram::default();
        histogram.record_between(5, 3);
        histogram.record(MAX_NS + 1);
        histogram.record(0);
        assert_eq!((histogram.count(), histogram.negative(), histogram.overflow()), (3, 1, 1));
    }

    #[test]
    fn a_supported_quantile_has_at_least_ten_samples_above_it() {
        let mut histogram = Histogram::default();
        (0..9_999).for_each(|_| histogram.record(5_000));
        assert_eq!(histogram.supported_quantile(0.999), None);
        histogram.record(5_000);
        assert!(histogram.supported_quantile(0.999).is_some());
        assert_eq!(Histogram::default().quantile(0.5), None);
    }

    proptest! {
        #[test]
        fn percentiles_are_within_a_thousandth_of_the_sorted_samples(
            mut samples in prop::collection::vec((10..36u32, 0.0..1.0f64), 1..500),
            quantile in 0.0..=1.0f64,
        ) {
            // From 1 us upwards, and as many short durations as long ones.
            let mut samples: Vec<u64> =
                samples.drain(..).map(|(power, part)| ((1u64 << power) as f64 * (1.0 + part)) as u64).collect();
            samples.iter_mut().for_each(|ns| *ns = (*ns).min(MAX_NS));
            let mut histogram = Histogram::default();
            samples.iter().for_each(|&ns| histogram.record(ns));
            samples.sort_unstable();
            let rank = ((samples.len() as f64 * quantile).ceil() as usize).clamp(1, samples.len());
            let exact = samples[rank - 1] as f64;
            let estimate = histogram.quantile(quantile).unwrap() as f64;
            prop_assert!((estimate / exact - 1.0).abs() <= 0.001, "{estimate} for {exact}");
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
