//! A budget of bytes that many share: memory that all of them together may hold.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// How many bytes may be held, and how many are.
pub struct Budget {
    max: usize,
    held: AtomicUsize,
}

impl Budget {
    /// A budget of `max` bytes.
    pub fn new(max: usize) -> Self {
        Self { max, held: AtomicUsize::new(0) }
    }

    /// Holds so many more bytes, if there is room for them; whether there is.
    pub fn take(&self, bytes: usize) -> bool {
        let more = |held: usize| held.checked_add(bytes).filter(|&held| held <= self.max);
        self.held.fetch_update(Relaxed, Relaxed, more).is_ok()
    }

    /// Holds so many bytes no longer.
    pub fn give_back(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Relaxed);
    }

    /// Bytes held now.
    pub fn held(&self) -> usize {
        self.held.load(Relaxed)
    }
}

/// One holder's part of a budget: the most that it has needed so far, until it is dropped.
pub struct Reservation {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Reservation {
    /// A part of `budget`, of no bytes yet.
    pub fn new(budget: Arc<Budget>) -> Self {
        Self { budget, bytes: 0 }
    }

    /// Makes the part at least so many bytes large; whether there is room for that.
    pub fn grow_to(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        let taken = self.budget.take(more);
        if taken {
            self.bytes += more;
        }
        taken
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_never_exceeded_and_what_is_dropped_makes_room() {
        let budget = Arc::new(Budget::new(100));
        let [mut first, mut second] = [(); 2].map(|()| Reservation::new(budget.clone()));
        assert!(first.grow_to(60) && first.grow_to(10) && second.grow_to(40));
        assert_eq!(budget.held(), 100);
        assert!(!second.grow_to(41) && !second.grow_to(usize::MAX));
        drop(first);
        assert!(second.grow_to(41));
        assert_eq!(budget.held(), 41);
        drop(second);
        assert_eq!(budget.held(), 0);
    }
}
