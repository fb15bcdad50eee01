//! Counts per second, of the last minute.

use std::collections::VecDeque;

/// How many full seconds are kept.
const SECONDS: usize = 60;

/// The counts of the last seconds.
#[derive(Default)]
pub struct PerSecond {
    /// The second of the last count.
    second: u64,
    counts: VecDeque<u32>,
}

impl PerSecond {
    /// Counts something that happens in this second.
    pub fn count(&mut self, second: u64) {
        self.advance(second);
        *self.counts.back_mut().expect("the current second has a count") += 1;
    }

    /// The counts of the seconds before this one, the newest last.
    pub fn full_seconds(&mut self, second: u64) -> Vec<u32> {
        self.advance(second);
        self.counts.iter().copied().take(self.counts.len() - 1).collect()
    }

    /// The mean of the last `seconds` full seconds, or of those since counting began.
    pub fn mean(&mut self, second: u64, seconds: usize) -> f64 {
        let full = self.full_seconds(second);
        let last = &full[full.len().saturating_sub(seconds)..];
        last.iter().sum::<u32>() as f64 / last.len().max(1) as f64
    }

    fn advance(&mut self, second: u64) {
        if self.counts.is_empty() {
            self.second = second;
            self.counts.push_back(0);
        }
        // After a pause, all that is kept are zeros.
        let passed = second.saturating_sub(self.second).min(SECONDS as u64 + 1);
        self.second = self.second.max(second);
        (0..passed).for_each(|_| self.counts.push_back(0));
        let excess = self.counts.len().saturating_sub(SECONDS + 1);
        self.counts.drain(..excess);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_belong_to_their_second_and_the_current_one_is_not_full() {
        let mut rate = PerSecond::default();
        assert_eq!((rate.full_seconds(7), rate.mean(7, 3)), (vec![], 0.0));
        for second in [8, 8, 9, 11] {
            rate.count(second);
        }
        assert_eq!(rate.full_seconds(11), [0, 2, 1, 0]);
        assert_eq!((rate.mean(11, 1), rate.mean(11, 2), rate.mean(12, 2)), (0.0, 0.5, 0.5));
        assert_eq!(rate.mean(11, 1), 1.0, "a clock that goes back changes nothing");
        let later = rate.full_seconds(1_000_000);
        assert_eq!((later.len(), later.iter().sum::<u32>()), (SECONDS, 0));
    }
}
