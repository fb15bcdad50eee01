//! Intervals from bootstrapping rounds, and a correction for comparing many pairs at once.
//!
//! Rounds are resampled, not events: the events of one round share a server process, a time and the state of the machine, so ten thousand
//! of them are far from ten thousand independent observations. Two transports are compared round by round, since rounds of the same
//! number ran next to each other.

use protocol::schedule::{seeded, uniform};

/// The number of resamples.
const RESAMPLES: usize = 4_000;
/// The smallest number of rounds for which an interval is given. No bootstrap interval extends beyond the smallest and the largest value.
/// With three rounds of equal transports, the probability that all differences have the same sign is one in four; with five rounds, one in
/// sixteen.
pub const MIN_ROUNDS: u32 = 5;
/// Seed of the resampling: the same rounds give the same interval.
const SEED: u64 = 1;
/// The probability that any equal transports differ by chance, over all pairs and all figures that are ranked together.
const FAMILY_ERROR: f64 = 0.05;
/// The largest correlation of consecutive rounds for which intervals are widened. A larger one cannot be estimated from a few rounds.
const MAX_CORRELATION: f64 = 0.6;
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
    /// The probability of a difference at least as large between equal transports, in [0, 1], by Student's t for these rounds.
    pub p_value: f64,
}

impl Ratio {
    /// Whether the interval excludes 1.
    pub fn shows_difference(&self) -> bool {
        self.low > 1.0 || self.high < 1.0
    }
}

/// The ratio of `left` to `right`, given figures of the same rounds in the same order; `None` where there are fewer than [`MIN_ROUNDS`], or
/// a figure is not positive.
///
/// The interval is the expanded percentile interval (Hesterberg, "What Teachers Should Know About the Bootstrap", 2015): the
/// plain percentile interval of a few values is too narrow, so its ends are moved to the quantiles that Student's t requires. It is
/// widened to Student's t interval where that is wider.
pub fn ratio(left: &[f64], right: &[f64]) -> Option<Ratio> {
    let pairs = left.iter().zip(right);
    if left.len() != right.len()
        || left.len() < MIN_ROUNDS as usize
        || pairs.clone().any(|(a, b)| *a <= 0.0 || *b <= 0.0)
    {
        return None;
    }
    let logs: Vec<f64> = pairs.map(|(a, b)| (a / b).ln()).collect();
    let (mean, low, high) = mean_with_interval(&logs);
    let deviation = standard_error(&logs, mean);
    // Without any variation the t statistic is undefined: equal figures have a p-value of 1, figures that differ equally in every round 0.
    let p_value = match (mean == 0.0, deviation == 0.0) {
        (true, _) => 1.0,
        (false, true) => 0.0,
        (false, false) => student_p(mean / deviation, logs.len() - 1),
    };
    Some(Ratio { estimate: mean.exp(), low: low.exp(), high: high.exp(), p_value })
}

/// The ratio of `left` to `right`, which are figures of rounds that do not correspond to each other; otherwise as [`ratio`]. The interval is that
/// of Welch's test, with the smaller of both degrees of freedom, which makes it wider rather than narrower.
pub fn unpaired_ratio(left: &[f64], right: &[f64]) -> Option<Ratio> {
    let few = |values: &[f64]| values.len() < MIN_ROUNDS as usize || values.iter().any(|value| *value <= 0.0);
    if few(left) || few(right) {
        return None;
    }
    let [(left, left_error), (right, right_error)] = [left, right].map(|values| {
        let logs: Vec<f64> = values.iter().map(|value| value.ln()).collect();
        let mean = logs.iter().sum::<f64>() / logs.len() as f64;
        ((mean, logs.len()), standard_error(&logs, mean))
    });
    let (difference, error) = (left.0 - right.0, left_error.hypot(right_error));
    let degrees = left.1.min(right.1) - 1;
    let half = STUDENT_T.get(degrees - 1).copied().unwrap_or(1.96) * error;
    let p_value = match (difference == 0.0, error == 0.0) {
        (true, _) => 1.0,
        (false, true) => 0.0,
        (false, false) => student_p(difference / error, degrees),
    };
    let (low, high) = ((difference - half).exp(), (difference + half).exp());
    Some(Ratio { estimate: difference.exp(), low, high, p_value })
}

/// Which of several ratios are significantly different from 1, with a correction for their number and the number of `rankings`: each
/// interval must exclude 1, and its p-value must pass Holm's procedure (1979). With equal transports, at most one run in twenty shows a
/// difference, however many pairs there are.
pub fn differing(ratios: &[Option<Ratio>], rankings: usize) -> Vec<bool> {
    let mut order: Vec<usize> = (0..ratios.len()).filter(|&index| ratios[index].is_some()).collect();
    let p_value = |index: usize| ratios[index].map_or(1.0, |ratio| ratio.p_value);
    order.sort_by(|&a, &b| p_value(a).total_cmp(&p_value(b)));
    let mut differing = vec![false; ratios.len()];
    let count = order.len();
    for (rank, index) in order.into_iter().enumerate() {
        if p_value(index) > FAMILY_ERROR / (rankings * (count - rank)) as f64 {
            break;
        }
        differing[index] = ratios[index].is_some_and(|ratio| ratio.shows_difference());
    }
    differing
}

/// The ratio of two sums over rounds (numerator, denominator), with its 95 % interval where there are [`MIN_ROUNDS`] of them; `None` where
/// the sum of the denominators is 0. The mean of the rounds' own ratios would be too high where a round with few events has a small
/// denominator.
pub fn pooled(rounds: &[(f64, f64)]) -> Option<(f64, Option<(f64, f64)>)> {
    let total: f64 = rounds.iter().map(|round| round.1).sum();
    if total <= 0.0 {
        return None;
    }
    let ratio = rounds.iter().map(|round| round.0).sum::<f64>() / total;
    if rounds.len() < MIN_ROUNDS as usize {
        return Some((ratio, None));
    }
    // The influence of each round on the ratio, by the first term of its expansion (the delta method).
    let mean = total / rounds.len() as f64;
    let parts: Vec<f64> = rounds.iter().map(|(over, under)| ratio + (over - ratio * under) / mean).collect();
    let (_, low, high) = mean_with_interval(&parts);
    Some((ratio, Some((low.max(0.0), high))))
}

/// The geometric mean of positive values, one for each round, with its 95 % interval where there are [`MIN_ROUNDS`] of them; `None` for
/// no values, or where one is not positive.
pub fn geometric_mean(values: &[f64]) -> Option<(f64, Option<(f64, f64)>)> {
    if values.is_empty() || values.iter().any(|value| *value <= 0.0) {
        return None;
    }
    let logs: Vec<f64> = values.iter().map(|value| value.ln()).collect();
    if values.len() < MIN_ROUNDS as usize {
        return Some(((logs.iter().sum::<f64>() / logs.len() as f64).exp(), None));
    }
    let (mean, low, high) = mean_with_interval(&logs);
    Some((mean.exp(), Some((low.exp(), high.exp()))))
}

/// The mean of at least two values, and the ends of its 95 % interval: the wider of the expanded percentile interval and Student's.
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
    // No resample mean is beyond the smallest and the largest value, and five differences between equal transports all have the same sign
    // with a probability of one in sixteen. So the interval is never narrower than Student's.
    let half = student * standard_error(values, mean);
    (mean, means[cut].min(mean - half), means[RESAMPLES - 1 - cut].max(mean + half))
}

/// The standard error of the mean of consecutive values. Values that are correlated with their predecessors by r have less information than
/// independent ones, so it is larger by the square root of (1 + r) / (1 - r).
fn standard_error(values: &[f64], mean: f64) -> f64 {
    let count = values.len() as f64;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let r = correlation(values).clamp(0.0, MAX_CORRELATION);
    (squares / (count - 1.0) / count * (1.0 + r) / (1.0 - r)).sqrt()
}

/// The autocorrelation at lag one, corrected for the bias of a short series (Kendall 1954). 0 where all values are equal.
pub fn correlation(values: &[f64]) -> f64 {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    if squares == 0.0 {
        return 0.0;
    }
    let r = values.windows(2).map(|pair| (pair[0] - mean) * (pair[1] - mean)).sum::<f64>() / squares;
    r + (1.0 + 3.0 * r) / count
}

/// The probability that Student's t with so many degrees of freedom is farther from 0 than `t`, by the exact formulas (Abramowitz and
/// Stegun, 26.7.3 and 26.7.4).
fn student_p(t: f64, degrees: usize) -> f64 {
    let angle = (t.abs() / (degrees as f64).sqrt()).atan();
    let (sine, cosine) = angle.sin_cos();
    let odd = degrees % 2 == 1;
    let mut term = if odd { cosine } else { 1.0 };
    let mut sum = if degrees == 1 { 0.0 } else { term };
    let mut step = if odd { 2.0 } else { 1.0 };
    while (step as usize) < degrees - 1 {
        term *= cosine * cosine * step / (step + 1.0);
        sum += term;
        step += 2.0;
    }
    let within = if odd { (angle + sine * sum) * 2.0 / std::f64::consts::PI } else { sine * sum };
    (1.0 - within).clamp(0.0, 1.0)
}

/// The share of a normal distribution above `z` standard deviations, for z > 0 (Abramowitz and Stegun, 26.2.17, to 1e-7).
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
    fn an_unpaired_ratio_is_wider_than_a_paired_one_of_the_same_values() {
        let (left, right) = ([2.0, 2.2, 2.4, 2.6, 2.8], [1.0, 1.1, 1.2, 1.3, 1.4]);
        let (paired, unpaired) = (ratio(&left, &right).unwrap(), unpaired_ratio(&left, &right).unwrap());
        assert!((unpaired.estimate - 2.0).abs() < 1e-9 && (paired.estimate - 2.0).abs() < 1e-9);
        assert!(unpaired.low < paired.low && unpaired.high > paired.high && unpaired.low > 1.0, "{unpaired:?}");
        assert_eq!((unpaired_ratio(&left, &right[1..]), unpaired_ratio(&[0.0; 5], &right)), (None, None));
    }

    #[test]
    fn the_tail_of_the_normal_distribution_agrees_with_tables() {
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
    fn a_pooled_ratio_is_that_of_the_sums_and_has_an_interval_with_enough_rounds() {
        // Two requests for one event and three for nine are half a request an event, and not the mean of 2 and 1/3.
        assert_eq!(pooled(&[(2.0, 1.0), (3.0, 9.0)]), Some((0.5, None)));
        assert_eq!(pooled(&[(1.0, 0.0)]), None);
        let (value, interval) = pooled(&[(3.0, 1.0), (1.0, 1.0), (5.0, 1.0), (2.0, 1.0), (4.0, 1.0)]).unwrap();
        let (low, high) = interval.unwrap();
        assert!(value == 3.0 && (0.5..2.5).contains(&low) && (3.5..=5.5).contains(&high), "{low} {high}");
    }

    #[test]
    fn students_t_agrees_with_tables() {
        for (degrees, t) in (1..).zip(STUDENT_T) {
            assert!((student_p(t, degrees) - 0.05).abs() < 2e-4, "{degrees}: {}", student_p(t, degrees));
        }
        assert!((student_p(4.604, 4) - 0.01).abs() < 1e-4 && student_p(0.0, 4) == 1.0);
    }

    /// Values that are correlated with their predecessors by `r`.
    fn series(r: f64, count: usize, random: &mut impl FnMut() -> f64) -> Vec<f64> {
        // The sum of twelve uniforms is close to normal.
        let mut normal = || (0..12).map(|_| random()).sum::<f64>() - 6.0;
        let mut value = normal();
        (0..count)
            .map(|_| {
                let now = value;
                value = r * value + (1.0 - r * r).sqrt() * normal();
                now
            })
            .collect()
    }

    #[test]
    fn intervals_cover_the_mean_in_nineteen_of_twenty_trials_and_not_much_less_often_with_correlated_rounds() {
        let mut seeded = seeded(3);
        let mut random = || uniform(&mut seeded);
        let mut covered = |r: f64| {
            let covering = (0..400).filter(|_| {
                let (_, low, high) = mean_with_interval(&series(r, 5, &mut random));
                low <= 0.0 && 0.0 <= high
            });
            covering.count() as f64 / 400.0
        };
        // Without widening, the coverage is 79 % at a correlation of 0.5.
        assert!((0.93..=0.99).contains(&covered(0.0)));
        assert!(covered(0.5) >= 0.83);
    }

    #[test]
    fn equal_transports_differ_in_at_most_one_run_of_twenty() {
        let mut seeded = seeded(5);
        let mut random = || uniform(&mut seeded);
        let mut runs = 0;
        for _ in 0..200 {
            let mut ranking = || {
                let transports: Vec<Vec<f64>> = (0..6)
                    .map(|_| series(0.0, 5, &mut random).iter().map(|value| (value / 10.0).exp()).collect())
                    .collect();
                let pairs = (0..6).flat_map(|left| (0..left).map(move |right| (left, right)));
                let ratios: Vec<_> = pairs.map(|(left, right)| ratio(&transports[left], &transports[right])).collect();
                differing(&ratios, 2).contains(&true)
            };
            runs += u32::from([ranking(), ranking()].contains(&true));
        }
        assert!(runs <= 10, "{runs} of 200");
    }

    #[test]
    fn a_clear_difference_is_shown_among_fifteen_pairs() {
        let clear = ratio(&[2.0, 2.1, 1.9, 2.05, 2.0], &[1.0, 1.1, 0.95, 1.0, 1.05]);
        let none = ratio(&[1.0, 1.2, 0.9, 1.1, 1.0], &[1.1, 1.0, 1.0, 0.9, 1.2]);
        let found = differing(&[[clear].as_slice(), &[none; 14]].concat(), 3);
        assert!(found[0] && !found[1..].contains(&true));
    }

    #[test]
    fn there_is_no_ratio_of_too_few_rounds() {
        assert_eq!(ratio(&[1.0; 4], &[2.0; 4]), None);
        assert!(ratio(&[1.0; 5], &[2.0; 5]).is_some());
        assert_eq!(ratio(&[1.0, 1.0, 1.0, 1.0, 0.0], &[2.0; 5]), None);
    }

    /// An A/A test with simulated figures: many pairs of samples of one distribution.
    #[test]
    fn samples_of_one_distribution_differ_in_about_one_of_twenty_trials() {
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
