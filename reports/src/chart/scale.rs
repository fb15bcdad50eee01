//! The scale of an axis: where a value is, and which values are labelled.

use protocol::experiment::Axis;

use crate::number::thousands;

/// The mapping from values of an axis to pixels.
pub struct Scale {
    low: f64,
    high: f64,
    logarithmic: bool,
    /// The pixels of the lowest and of the highest value.
    pub pixels: (i32, i32),
}

impl Scale {
    /// The scale of an axis that includes all values. A logarithmic one leaves out zero.
    pub fn new(axis: &Axis, values: impl Iterator<Item = f64> + Clone, pixels: (i32, i32)) -> Self {
        let shown = values.filter(|value| value.is_finite() && (!axis.logarithmic || *value > 0.0));
        let least = shown.clone().fold(f64::INFINITY, f64::min);
        let greatest = shown.fold(0.0, f64::max);
        let (low, high) = match (least.is_finite(), axis.logarithmic) {
            (true, true) => (least * 0.8, greatest.max(least) * 1.25),
            (true, false) => (0.0, if greatest > 0.0 { greatest * 1.08 } else { 1.0 }),
            (false, _) => (0.1, 1.0),
        };
        Self { low, high, logarithmic: axis.logarithmic, pixels }
    }

    /// The pixel of a value; that of the nearest end for values outside.
    pub fn pixel(&self, value: f64) -> i32 {
        let share = if self.logarithmic {
            (value.max(self.low) / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        let (from, to) = self.pixels;
        from + (share.clamp(0.0, 1.0) * f64::from(to - from)).round() as i32
    }

    /// The values at which the axis is labelled.
    pub fn ticks(&self) -> Vec<f64> {
        if self.logarithmic { ticks(self.low, self.high) } else { even_ticks(self.high) }
    }
}

/// The powers of ten in a range; in a range of at most 2.5 decades, 2 and 5 times these powers, too.
pub fn ticks(low: f64, high: f64) -> Vec<f64> {
    let decades = (high / low).log10();
    let steps: &[f64] = if decades > 2.5 { &[1.0] } else { &[1.0, 2.0, 5.0] };
    let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
    (first..=last)
        .flat_map(|power| steps.iter().map(move |step| step * 10f64.powi(power)))
        .filter(|tick| (low * 0.999..=high * 1.001).contains(tick))
        .collect()
}

/// About five multiples of a round step, from 0 to at most `high`.
pub fn even_ticks(high: f64) -> Vec<f64> {
    let step = round_step(high / 5.0);
    (0..=(high / step * 1.001) as i32).map(|index| f64::from(index) * step).collect()
}

/// The smallest of 1, 2 and 5 times a power of ten that is not below `step`.
pub fn round_step(step: f64) -> f64 {
    let power = 10f64.powf(step.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|factor| factor * power).find(|&round| round >= step * 0.999).unwrap_or(step)
}

/// A tick's value without rounding errors of binary fractions.
pub fn tick_text(value: f64) -> String {
    if value >= 10_000.0 {
        return thousands(value.round() as u64);
    }
    format!("{value:.5}").trim_end_matches('0').trim_end_matches('.').into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_lie_in_their_range_and_are_few() {
        assert_eq!(ticks(0.1, 1000.0), [0.1, 1.0, 10.0, 100.0, 1000.0]);
        assert_eq!(ticks(0.3, 3.0), [0.5, 1.0, 2.0]);
        assert_eq!([0.0, 0.1 + 0.2, 1.5, 100.0, 1e6].map(tick_text), ["0", "0.3", "1.5", "100", "1,000,000"]);
        assert_eq!(even_ticks(9.0), [0.0, 2.0, 4.0, 6.0, 8.0]);
    }

    #[test]
    fn steps_are_round() {
        assert_eq!([0.13, 0.2, 3.7, 41.0, 99.0].map(round_step), [0.2, 0.2, 5.0, 50.0, 100.0]);
    }

    #[test]
    fn a_scale_includes_its_values_and_a_logarithmic_one_excludes_zero() {
        let axis = |logarithmic| Axis { label: String::new(), logarithmic };
        let even = Scale::new(&axis(false), [0.0, 50.0].into_iter(), (100, 200));
        assert_eq!((even.pixel(0.0), even.pixel(54.0)), (100, 200));
        let decades = Scale::new(&axis(true), [0.0, 1.0, 100.0].into_iter(), (0, 1000));
        assert!((decades.low, decades.high) == (0.8, 125.0) && decades.pixel(10.0) == 500);
        let nothing = Scale::new(&axis(true), [0.0].into_iter(), (0, 10));
        assert_eq!(nothing.ticks(), [0.1, 0.2, 0.5, 1.0]);
    }
}
