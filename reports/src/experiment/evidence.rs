//! From figures to verdicts: how an interval compares with a bound, and how the results of several comparisons combine.
//!
//! The rule of a claim is a pure function in its experiment's file. It compares figures with bounds, combines the results and turns them
//! into a status. Where the interval of a figure spans the bound, the result is unclear, so a noisy run ends in "not measurable here" and
//! not in the opposite verdict.

use protocol::experiment::Status;
use protocol::result::{Comparison, Round};
use protocol::{Histogram, Transport};

use crate::judge::{is_sound, warnings};
use crate::number::short;
use crate::statistics::{self, MIN_ROUNDS, Ratio};
use crate::summary::is_cpu_doubtful;

/// A figure of a round: what is divided, and what it is divided by.
pub type Figure = fn(&Round) -> (f64, f64);

/// A figure of a round, and whether the causes of a round's warnings affect it.
#[derive(Clone, Copy)]
pub struct Measure {
    /// The figure.
    pub of: Figure,
    is_doubtful: fn(&Round) -> bool,
}

impl Measure {
    /// An exact count, such as bytes or requests: neither a late publisher nor a busy machine changes it.
    pub const fn counted(of: Figure) -> Self {
        Self { of, is_doubtful: |_| false }
    }

    /// CPU time of the server.
    pub const fn cpu(of: Figure) -> Self {
        Self { of, is_doubtful: is_cpu_doubtful }
    }
}

/// Mean delivery latency, in ms.
pub const LATENCY: Measure = Measure {
    of: |round| {
        let count = round.latency_ns.count() as f64;
        (round.latency_ns.mean().unwrap_or(0.0) / 1e6 * count, count)
    },
    is_doubtful: is_late,
};
/// Server CPU time per event delivered, in us.
pub const CPU: Measure = Measure::cpu(|round| (round.server.cpu_ns as f64 / 1e3, round.server.deliveries as f64));
/// Wire bytes per event received, both ways.
pub const BYTES: Measure = Measure::counted(|round| (round.ledger.wire_bytes() as f64, round.ledger.events as f64));
/// Requests that the server counted in the window, per event delivered in it.
pub const REQUESTS: Measure = Measure::counted(|round| (round.server.requests as f64, round.server.deliveries as f64));

/// Deliveries in the window, for a second, to all of a scenario's subscribers together.
pub const DELIVERIES_PER_S: Measure =
    Measure::counted(|round| (round.server.deliveries as f64, round.server.window_ns as f64 / 1e9));

/// The share of the mean latency above which lateness of the publisher, or lag of the client, is no longer small.
const MAX_LATE_SHARE: f64 = 0.05;

/// Whether the publisher or the client was late by more than a small share of the latency: 0.1 ms matter over a push transport, and not
/// over polling.
fn is_late(round: &Round) -> bool {
    let mean = |histogram: &Histogram| histogram.mean().unwrap_or(0.0);
    let late = mean(&round.publisher_lateness_ns).max(mean(&round.client.lag_ns));
    !warnings(round).is_empty() && late > MAX_LATE_SHARE * mean(&round.latency_ns)
}

/// The result of comparing a measurement with a bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The comparison is true.
    Yes,
    /// The comparison is false.
    No,
    /// The measurement is too uncertain.
    Unclear,
}

impl Answer {
    /// Yes where both are yes; no where one is no.
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Yes, Self::Yes) => Self::Yes,
            (Self::No, _) | (_, Self::No) => Self::No,
            _ => Self::Unclear,
        }
    }

    /// Yes where all are yes; no where one is no; unclear where there are none.
    pub fn all(answers: impl IntoIterator<Item = Self>) -> Self {
        answers.into_iter().reduce(Self::and).unwrap_or(Self::Unclear)
    }

    /// The status for yes or for no; an unclear result is not measurable.
    pub fn decides(self, yes: Status, no: Status) -> Status {
        match self {
            Self::Yes => yes,
            Self::No => no,
            Self::Unclear => Status::NotMeasurable,
        }
    }
}

/// Exact counts are never unclear.
impl From<bool> for Answer {
    fn from(is_true: bool) -> Self {
        if is_true { Self::Yes } else { Self::No }
    }
}

/// Claims about a protocol that trials test: the claim holds where every trial has the claimed result.
pub fn as_claimed(trials: &[Answer]) -> Status {
    Answer::all(trials.iter().copied()).decides(Status::Holds, Status::DoesNotHold)
}

/// A figure with its 95 % interval, where there are enough rounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The figure; not a number where nothing was measured.
    pub value: f64,
    /// Its interval; `None` where there is none, so that every comparison is unclear.
    pub interval: Option<(f64, f64)>,
}

impl Estimate {
    /// Where nothing was measured.
    pub const UNKNOWN: Self = Self { value: f64::NAN, interval: None };

    /// Whether the figure is above a bound.
    pub fn above(self, bound: f64) -> Answer {
        match self.interval {
            Some((low, _)) if low > bound => Answer::Yes,
            Some((_, high)) if high <= bound => Answer::No,
            _ => Answer::Unclear,
        }
    }

    /// Whether the figure is below a bound.
    pub fn below(self, bound: f64) -> Answer {
        match self.interval {
            Some((_, high)) if high < bound => Answer::Yes,
            Some((low, _)) if low >= bound => Answer::No,
            _ => Answer::Unclear,
        }
    }

    /// Whether the figure is between two bounds: no only where the whole interval is outside.
    pub fn between(self, low: f64, high: f64) -> Answer {
        self.above(low).and(self.below(high))
    }

    /// The figure and its interval times a constant.
    pub fn scaled(self, by: f64) -> Self {
        Self { value: self.value * by, interval: self.interval.map(|(low, high)| (low * by, high * by)) }
    }

    /// The same figure without its interval, where `sure` is false.
    fn if_sure(self, sure: bool) -> Self {
        Self { interval: self.interval.filter(|_| sure), ..self }
    }

    /// The figure with its interval: "1.58 (95 %: 1.36 to 1.96)".
    pub fn in_words(self) -> String {
        match self.interval {
            _ if self.value.is_nan() => "not measured".into(),
            Some((low, high)) => format!("{} (95\u{a0}%: {} to {})", short(self.value), short(low), short(high)),
            None => format!("{} (no interval)", short(self.value)),
        }
    }
}

impl From<Option<Ratio>> for Estimate {
    fn from(ratio: Option<Ratio>) -> Self {
        ratio.map_or(Self::UNKNOWN, |ratio| Self { value: ratio.estimate, interval: Some((ratio.low, ratio.high)) })
    }
}

/// Sums over rounds, divided, as [`statistics::pooled`] does.
pub fn pooled(rounds: &[(f64, f64)]) -> Estimate {
    statistics::pooled(rounds).map_or(Estimate::UNKNOWN, |(value, interval)| Estimate { value, interval })
}

/// Whether a transport has enough sound rounds to decide about a figure, and the figure is doubtful in fewer than half of them.
fn decisive(comparison: &Comparison, transport: Transport, measure: Measure) -> bool {
    let sound = sound(comparison, transport);
    let doubtful = sound.iter().filter(|round| (measure.is_doubtful)(round)).count();
    sound.len() >= MIN_ROUNDS as usize && 2 * doubtful < sound.len()
}

fn sound(comparison: &Comparison, transport: Transport) -> Vec<&Round> {
    comparison.rounds_of(transport).filter(|round| is_sound(round)).collect()
}

/// A figure of a transport over its sound rounds.
pub fn figure(comparison: &Comparison, transport: Transport, measure: Measure) -> Estimate {
    let rounds: Vec<_> = sound(comparison, transport).into_iter().map(measure.of).collect();
    pooled(&rounds).if_sure(decisive(comparison, transport, measure))
}

/// The ratio of a figure on the left to that on the right, over the rounds of the same number that are sound on both sides.
pub fn times(left: (&Comparison, Transport), right: (&Comparison, Transport), measure: Measure) -> Estimate {
    let value = |round: &Round| {
        let (over, under) = (measure.of)(round);
        over / under
    };
    let others = sound(right.0, right.1);
    let pairs = sound(left.0, left.1).into_iter().filter_map(|round| {
        let other = others.iter().find(|other| other.round == round.round)?;
        Some((value(round), value(other)))
    });
    let (ours, theirs): (Vec<f64>, Vec<f64>) = pairs.unzip();
    let finite = ours.iter().chain(&theirs).all(|value| value.is_finite());
    let ratio = if finite { statistics::ratio(&ours, &theirs) } else { None };
    Estimate::from(ratio).if_sure(decisive(left.0, left.1, measure) && decisive(right.0, right.1, measure))
}

/// The share of the window in which the server's process had a processor, over the sound rounds of a transport.
pub fn utilisation(comparison: &Comparison, transport: Transport) -> f64 {
    pooled(
        &sound(comparison, transport)
            .into_iter()
            .map(|round| (round.server.cpu_ns as f64, round.server.window_ns as f64))
            .collect::<Vec<_>>(),
    )
    .value
}

/// A share as a percentage.
pub fn percent(share: f64) -> String {
    if share.is_nan() { "an unknown share".into() } else { format!("{} %", short(share * 100.0)) }
}

/// Where a curve crosses a level, in x: between the first two points on different sides of it, on logarithmic axes.
pub fn crossing(points: &[(f64, f64)], level: f64) -> Option<f64> {
    points.windows(2).find_map(|pair| {
        let [(left, before), (right, after)] = [pair[0], pair[1]];
        let beyond = |y: f64| y > level;
        if beyond(before) == beyond(after) || !(before > 0.0 && after > 0.0) {
            return None;
        }
        let share = (level / before).ln() / (after / before).ln();
        Some(left * (right / left).powf(share))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::fabricated;

    fn estimate(low: f64, high: f64) -> Estimate {
        Estimate { value: (low + high) / 2.0, interval: Some((low, high)) }
    }

    #[test]
    fn an_interval_that_spans_the_bound_is_unclear() {
        assert_eq!(estimate(1.1, 1.3).above(1.0), Answer::Yes);
        assert_eq!(estimate(0.7, 0.9).above(1.0), Answer::No);
        assert_eq!(estimate(0.9, 1.1).above(1.0), Answer::Unclear);
        assert_eq!(estimate(0.9, 1.1).below(1.0), Answer::Unclear);
        assert_eq!(estimate(0.9, 1.1).between(0.8, 1.25), Answer::Yes);
        assert_eq!(estimate(1.2, 1.3).between(0.8, 1.25), Answer::Unclear);
        assert_eq!(estimate(1.3, 1.4).between(0.8, 1.25), Answer::No);
        assert_eq!(Estimate::UNKNOWN.above(0.0), Answer::Unclear);
        assert_eq!(Estimate { value: 5.0, interval: None }.above(1.0), Answer::Unclear);
    }

    #[test]
    fn a_combination_with_a_no_is_no_and_one_of_nothing_is_unclear() {
        assert_eq!(Answer::Unclear.and(Answer::No), Answer::No);
        assert_eq!(Answer::Yes.and(Answer::Unclear), Answer::Unclear);
        assert_eq!(Answer::all([]), Answer::Unclear);
    }

    #[test]
    fn a_crossing_is_found_between_the_points_on_either_side() {
        // y = x / 4 crosses 1 at 4.
        let at = crossing(&[(2.0, 0.5), (20.0, 5.0)], 1.0).unwrap();
        assert!((at - 4.0).abs() < 1e-9, "{at}");
        assert_eq!(crossing(&[(2.0, 2.0), (20.0, 5.0)], 1.0), None);
    }

    #[test]
    fn there_is_no_interval_if_half_of_the_rounds_are_doubtful_or_too_few_are_sound() {
        let comparison = fabricated::comparison(&[(Transport::Ndjson, 2.0), (Transport::LongPolling, 3.0)]);
        let answer = |comparison: &Comparison, measure| {
            times((comparison, Transport::LongPolling), (comparison, Transport::Ndjson), measure).above(1.0)
        };
        let changed = |change: fn(&mut Round)| {
            let mut comparison = comparison.clone();
            comparison.rounds.iter_mut().filter(|round| round.round > 2).for_each(change);
            comparison
        };
        assert_eq!(answer(&comparison, CPU), Answer::Yes);
        let rejected = changed(|round| round.faults.lost = 1);
        assert_eq!(answer(&rejected, CPU), Answer::Unclear, "two rounds are too few for an interval");
        let disturbed = changed(|round| round.publisher_lateness_ns.record(60_000_000));
        assert_eq!(answer(&disturbed, CPU), Answer::Unclear, "three of five are doubtful");
        assert_eq!(answer(&disturbed, Measure::counted(CPU.of)), Answer::Yes, "a count is exact on a busy machine too");
        let limited = changed(|round| round.client.cpu_ns = round.server.window_ns);
        assert_eq!(answer(&limited, CPU), Answer::Yes, "a client that is late leaves the server's CPU time as it is");
    }

    #[test]
    fn lateness_makes_a_latency_doubtful_only_where_it_is_a_large_part_of_it() {
        let doubtful = |late_ns: u64, latency_ns: u64| {
            let mut round = fabricated::comparison(&[(Transport::Polling, 1.0)]).rounds.remove(0);
            round.publisher_lateness_ns.record_between(0, late_ns);
            round.latency_ns.record_between(0, latency_ns);
            is_late(&round)
        };
        assert!(doubtful(300_000, 500_000));
        assert!(!doubtful(300_000, 130_000_000));
    }
}
