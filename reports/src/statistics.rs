//! How sure a difference is: intervals from bootstrapping rounds, and rankings that admit a tie.
//!
//! Rounds are what is resampled, not events: the events of one round share a server process, a moment and a machine's mood, so
//! ten thousand of them are far from ten thousand independent observations. Two transports are compared round by round,
//! since rounds of the same number ran next to each other.

use protocol::schedule::{seeded, uniform};

/// How many times the rounds are drawn anew.
const RESAMPLES: usize = 4_000;
/// The fewest rounds that carry an interval. No bootstrap interval reaches beyond the least and the greatest value, and of three
/// equal pairs one in four comes out all on one side; of five, one in sixteen.
pub const FEWEST_ROUNDS: u32 = 5;
/// Seed of the draws: the same rounds give the same interval.
const SEED: u64 = 1;
/// Upper 2.5 % points of Student's t for 1 to 30 degrees of freedom.
const STUDENT_T: [f64; 30] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120,
    2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
];

/// A ratio with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ratio {
    /// The geometric mean over rounds.
    pub estimate: f64,
    /// The interval's lower end.
    pub low: f64,
    /// The interval's upper end.
    pub high: f64,
}

impl Ratio {
    /// Whether the interval excludes 1, so that a difference may be spoken of.
    pub fn shows_difference(&self) -> bool {
        self.low > 1.0 || self.high < 1.0
    }
}

/// How many times `left` is of `right`, given figures of the same rounds in the same order; `None` where there are fewer than
/// [`FEWEST_ROUNDS`], or one is not positive.
///
/// The interval is the expanded percentile interval (Hesterberg, "What Teachers Should Know About the Bootstrap", 2015): the
/// plain percentile interval of a few values is too narrow, so its ends are moved to where Student's t would have them. It is
/// widened to Student's own interval where that is wider.
pub fn ratio(left: &[f64], right: &[f64]) -> Option<Ratio> {
    let pairs = left.iter().zip(right);
    if left.len() != right.len()
        || left.len() < FEWEST_ROUNDS as usize
        || pairs.clone().any(|(a, b)| *a <= 0.0 || *b <= 0.0)
    {
        return None;
    }
    let logs: Vec<f64> = pairs.map(|(a, b)| (a / b).ln()).collect();
    let (mean, low, high) = mean_with_interval(&logs);
    Some(Ratio { estimate: mean.exp(), low: low.exp(), high: high.exp() })
}

/// A figure per something over rounds, as the ratio of their sums, with its 95 % interval where the rounds carry one; `None`
/// where there was nothing to divide by. The mean of the rounds' own ratios would be too high wherever a round of few events
/// divides by little.
pub fn pooled(rounds: &[(f64, f64)]) -> Option<(f64, Option<(f64, f64)>)> {
    let total: f64 = rounds.iter().map(|round| round.1).sum();
    if total <= 0.0 {
        return None;
    }
    let ratio = rounds.iter().map(|round| round.0).sum::<f64>() / total;
    if rounds.len() < FEWEST_ROUNDS as usize {
        return Some((ratio, None));
    }
    // What each round adds to or takes from the ratio, by the first term of its expansion (the delta method).
    let mean = total / rounds.len() as f64;
    let parts: Vec<f64> = rounds.iter().map(|(over, under)| ratio + (over - ratio * under) / mean).collect();
    let (_, low, high) = mean_with_interval(&parts);
    Some((ratio, Some((low.max(0.0), high))))
}

/// The mean of at least two values, and the ends of its interval: the wider of the expanded percentile interval and Student's.
fn mean_with_interval(values: &[f64]) -> (f64, f64, f64) {
    let count = values.len();
    let mut random = seeded(SEED);
    let mut means: Vec<f64> = (0..RESAMPLES)
        .map(|_| (0..count).map(|_| values[(uniform(&mut random) * count as f64) as usize]).sum::<f64>() / count as f64)
        .collect();
    means.sort_by(f64::total_cmp);
    let student = STUDENT_T.get(count - 2).copied().unwrap_or(1.96);
    let tail = normal_tail((count as f64 / (count as f64 - 1.0)).sqrt() * student);
    let cut = ((tail * RESAMPLES as f64) as usize).min(RESAMPLES / 2);
    let mean = values.iter().sum::<f64>() / count as f64;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count as f64 - 1.0);
    // No resample reaches beyond the least and the greatest value, and of five differences of equals one in sixteen times
    // all have one sign: so the interval is never narrower than Student's.
    let half = student * (variance / count as f64).sqrt();
    (mean, means[cut].min(mean - half), means[RESAMPLES - 1 - cut].max(mean + half))
}

/// The share of a normal distribution beyond `z` standard deviations, for z > 0 (Abramowitz and Stegun, 26.2.17, to 1e-7).
fn normal_tail(z: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.231_641_9 * z);
    let polynomial =
        t * (0.319_381_530 + t * (-0.356_563_782 + t * (1.781_477_937 + t * (-1.821_255_978 + t * 1.330_274_429))));
    (-z * z / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt() * polynomial
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_of_the_normal_distribution_is_the_tables() {
        for (z, tail) in [(1.0, 0.158_655), (1.96, 0.024_998), (3.1, 0.000_968)] {
            assert!((normal_tail(z) - tail).abs() < 1e-6, "{z}");
        }
    }

    #[test]
    fn a_clear_difference_is_shown_and_noise_is_not() {
        let slow = [2.0, 2.1, 1.9, 2.05, 2.0];
        let fast = [1.0, 1.1, 0.9, 1.0, 1.05];
        let ratio_of = |left, right| ratio(left, right).unwrap();
        let clear = ratio_of(&slow, &fast);
        assert!(clear.shows_difference() && (1.8..2.2).contains(&clear.estimate), "{clear:?}");
        assert!(!ratio_of(&[1.0, 1.2, 0.9, 1.1, 1.0], &[1.1, 1.0, 1.0, 0.9, 1.2]).shows_difference());
        assert!(!ratio_of(&fast, &fast).shows_difference());
    }

    #[test]
    fn a_pooled_ratio_is_that_of_the_sums_and_has_an_interval_where_the_rounds_carry_one() {
        // One event for two requests, and nine for three: half a request an event, and not the mean of 2 and 1/3.
        assert_eq!(pooled(&[(2.0, 1.0), (3.0, 9.0)]), Some((0.5, None)));
        assert_eq!(pooled(&[(1.0, 0.0)]), None);
        let (value, interval) = pooled(&[(1.0, 1.0), (2.0, 1.0), (3.0, 1.0), (4.0, 1.0), (5.0, 1.0)]).unwrap();
        let (low, high) = interval.unwrap();
        assert!(value == 3.0 && (0.5..2.5).contains(&low) && (3.5..=5.5).contains(&high), "{low} {high}");
    }

    #[test]
    fn too_few_rounds_carry_nothing() {
        assert_eq!(ratio(&[1.0; 4], &[2.0; 4]), None);
        assert!(ratio(&[1.0; 5], &[2.0; 5]).is_some());
        assert_eq!(ratio(&[1.0, 1.0, 1.0, 1.0, 0.0], &[2.0; 5]), None);
    }

    /// The A/A requirement, without a machine: two samples of one distribution, over and over.
    #[test]
    fn equal_subjects_are_told_apart_in_about_one_of_twenty_trials() {
        let mut random = seeded(7);
        // The sum of twelve uniforms is close to normal.
        let mut draw = || (0..12).map(|_| uniform(&mut random)).sum::<f64>();
        let mut wrong = 0;
        for _ in 0..400 {
            let left: Vec<f64> = (0..5).map(|_| draw()).collect();
            let right: Vec<f64> = (0..5).map(|_| draw()).collect();
            wrong += u32::from(ratio(&left, &right).is_some_and(|ratio| ratio.shows_difference()));
        }
        assert!((4..=20).contains(&wrong), "{wrong} of 400");
    }
}
