//! Percentiles read from a histogram are those of the sorted samples; one is given only where the samples carry it.

use protocol::Histogram;
use protocol::schedule::{seeded, uniform};

use super::Finding;

const QUANTILES: [f64; 6] = [0.01, 0.5, 0.9, 0.99, 0.999, 0.9999];

pub fn check() -> Vec<Finding> {
    let mut random = seeded(1);
    // From 1 us to 60 s, as many short ones as long ones.
    let samples: Vec<u64> = (0..200_000).map(|_| (1e3 * 6e7f64.powf(uniform(&mut random))) as u64).collect();
    let mut histogram = Histogram::default();
    samples.iter().for_each(|&ns| histogram.record(ns));
    let mut few = Histogram::default();
    (0..9_999).for_each(|_| few.record(1_000));
    vec![accuracy(samples, &histogram), carried(&few)]
}

fn accuracy(mut samples: Vec<u64>, histogram: &Histogram) -> Finding {
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
        holds: worst <= 0.001 && histogram.overflow() == 0,
    }
}

fn carried(few: &Histogram) -> Finding {
    let mut enough = few.clone();
    enough.record(1_000);
    let given = (few.carried_quantile(0.999).is_some(), enough.carried_quantile(0.999).is_some());
    Finding {
        requirement: "p99.9 is given from 10,000 samples on, and not before",
        measured: format!("at {}: {}, at {}: {}", few.count(), given.0, enough.count(), given.1),
        bound: "at 9999: false, at 10000: true".into(),
        holds: given == (false, true),
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
        assert!(accuracy(samples.clone(), &histogram).holds);
        let mut dropped = Histogram::default();
        samples.iter().filter(|&&ns| ns < 990_000_000).for_each(|&ns| dropped.record(ns));
        assert!(!accuracy(samples, &dropped).holds);
        assert!(!carried(&histogram).holds);
    }
}
