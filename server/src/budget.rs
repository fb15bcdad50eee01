//! A budget: a limit on something that many connections use together, such as bytes of memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// An amount that may be reserved, and the amount that is.
pub struct Budget {
    max: usize,
    reserved: AtomicUsize,
}

impl Budget {
    /// A budget of `max`.
    pub fn new(max: usize) -> Self {
        Self { max, reserved: AtomicUsize::new(0) }
    }

    /// Reserves `amount` if that much is free, and returns whether it was.
    pub fn reserve(&self, amount: usize) -> bool {
        let more = |reserved: usize| reserved.checked_add(amount).filter(|&reserved| reserved <= self.max);
        self.reserved.fetch_update(Relaxed, Relaxed, more).is_ok()
    }

    /// Releases a reserved `amount`.
    pub fn release(&self, amount: usize) {
        self.reserved.fetch_sub(amount, Relaxed);
    }

    /// The amount that is reserved now.
    pub fn reserved(&self) -> usize {
        self.reserved.load(Relaxed)
    }
}

/// A reserved part of a budget. It can only grow, and is released when this is dropped.
pub struct Reservation {
    budget: Arc<Budget>,
    amount: usize,
}

impl Reservation {
    /// An empty part of `budget`.
    pub fn new(budget: Arc<Budget>) -> Self {
        Self { budget, amount: 0 }
    }

    /// Enlarges the part to at least `amount` if the budget allows that, and returns whether it does.
    pub fn grow_to(&mut self, amount: usize) -> bool {
        let more = amount.saturating_sub(self.amount);
        let reserved = self.budget.reserve(more);
        if reserved {
            self.amount += more;
        }
        reserved
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.release(self.amount);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_not_exceeded_and_dropping_a_reservation_releases_it() {
        let budget = Arc::new(Budget::new(100));
        let [mut first, mut second] = [(); 2].map(|()| Reservation::new(budget.clone()));
        assert!(first.grow_to(60) && first.grow_to(10) && second.grow_to(40));
        assert_eq!(budget.reserved(), 100);
        assert!(!second.grow_to(41) && !second.grow_to(usize::MAX));
        drop(first);
        assert!(second.grow_to(41));
        assert_eq!(budget.reserved(), 41);
        drop(second);
        assert_eq!(budget.reserved(), 0);
    }
}
