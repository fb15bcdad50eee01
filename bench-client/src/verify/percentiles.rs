//! Percentiles of a histogram are those of the sorted samples. A percentile is given only where there are enough samples for it.

use protocol::Histogram;
use protocol::schedule::{seeded, uniform};

use super::Finding;

const QUANTILES: [f64; 6] = [0.01, 0.5, 0.9, 0.99, 0.999, 0.9999];

pub fn check() -> Vec<Finding> {
    let mut random = seeded(1);
    // From 1 us to 60 s, evenly distributed on a logarithmic scale.
    let samples: Vec<u64> = (0..200_000).map(|_| (1e3 * 6e7f64.powf(uniform(&mut random))) as u64).collect();
    let mut histogram = Histogram::default();
    samples.iter().for_each(|&ns| histogram.record(ns));
    let mut few = Histogram::default();
    (0..9_999).for_each(|_| few.record(1_000));
    vec![judge_accuracy(samples, &histogram), judge_support(&few)]
}

fn judge_accuracy(mut samples: Vec<u64>, histogram: &Histogram) -> Finding {
    samples.sort_unstable();
    let worst = QUANTILES.map(|quantile| {
        let exact = samples[((samples.len() as f64 * quantile).ceil() as usize).max(1) - 1] as f64;
        (histogram.quantile(quantile).unwrap_or(0) as f64 / exact - 1.0).abs()
    });
    let worst = worst.into_iter().fold(0.0, f64::max);
    Finding {
        requirement: "histogram percentiles are those of the sorted samples",
        measured: format!("off by {:.3} %, {} overflows", worst * 100.0, histogram.overflow()),
        bound: "within 0.1 %, 0 overflows".into(),
        passed: worst <= 0.001 && histogram.overflow() == 0,
    }
}

fn judge_support(few: &Histogram) -> Finding {
    let mut enough = few.clone();
    enough.record(1_000);
    let given = (few.supported_quantile(0.999).is_some(), enough.supported_quantile(0.999).is_some());
    Finding {
        requirement: "p99.9 is given for 10,000 samples, and not for fewer",
        measured: format!("at {}: {}, at {}: {}", few.count(), given.0, enough.count(), given.1),
        bound: "at 9999: false, at 10000: true".into(),
        passed: given == (false, true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_sample_is_found() {
        let samples: Vec<u64> = (1..=1_000).map(|i| i * 1_000_000).collect();
        let mut histogram = Histogram::default();
        samples.iter().for_each(|&ns| histogram.record(ns));
        assert!(judge_accuracy(samples.clone(), &histogram).passed);
        let mut dropped = Histogram::default();
        samples.iter().filter(|&&ns| ns < 990_000_000).for_each(|&ns| dropped.record(ns));
        assert!(!judge_accuracy(samples, &dropped).passed);
        assert!(!judge_support(&histogram).passed);
    }
}
