//! What subscribers have seen in a round: deliveries, their times, and every departure from "exactly once and in order".

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Poll, Waker};

use protocol::result::Faults;
use protocol::{Bookmark, Cursor, Epoch, Gap};

use crate::contents::Contents;
use crate::counted::SharedLedger;

/// Deliveries that room is made for beforehand, at the most: some 100 MB.
const MOST_EXPECTED: usize = 4 << 20;

/// Stretches of missing events that a subscriber remembers. Beyond them, what is late counts as lost, and as a repetition when it comes;
/// to remember all would let a server have us search through more and more.
const MOST_MISSING: usize = 1_000;

/// One delivery in the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// The event's seq.
    pub seq: u64,
    /// Scheduled publish time t0, in ns.
    pub at: u64,
    /// When the subscriber had it, t2, in ns.
    pub received: u64,
}

/// The record that all subscribers of a round share; they live on one thread, so there is nothing to lock.
pub type Shared = Rc<RefCell<Recorder>>;

/// What all subscribers of a round have seen together.
pub struct Recorder {
    /// The scheduled times, in ns, that count.
    window: Range<u64>,
    /// Deliveries of events that were scheduled in the window. Kept one by one: what a naive client would have reported
    /// takes the time at which each event entered the feed, and that is asked for only after the round.
    pub samples: Vec<Sample>,
    /// What went wrong.
    pub faults: Faults,
    /// What the events held.
    pub contents: Contents,
    /// The bytes of all connections; complete of those that have ended.
    pub ledger: SharedLedger,
    /// Subscribers whose subscription stands, or stood.
    pub connected: u32,
    /// Why subscribers gave up, one entry each.
    pub given_up: Vec<String>,
    deliveries: Arc<AtomicU64>,
    /// Who waits for a number of deliveries.
    awaited: Option<(u64, Waker)>,
}

impl Recorder {
    /// A record of what is scheduled in `window` (ns), with room for `expected` deliveries; all deliveries, in the window
    /// and out of it, are counted in `deliveries` as they come.
    pub fn new(window: Range<u64>, expected: usize, deliveries: Arc<AtomicU64>) -> Self {
        Self {
            window,
            // Growing by copying would hold up every subscriber in the middle of the round.
            samples: Vec::with_capacity(expected.min(MOST_EXPECTED)),
            faults: Faults::default(),
            contents: Contents::default(),
            ledger: SharedLedger::default(),
            connected: 0,
            given_up: Vec::new(),
            deliveries,
            awaited: None,
        }
    }

    /// All deliveries so far, of events in the window and out of it.
    pub fn deliveries(&self) -> u64 {
        self.deliveries.load(Ordering::Relaxed)
    }

    /// Polls until that many deliveries have been made. One task at a time can wait for that.
    pub fn poll_deliveries(&mut self, due: u64, waker: &Waker) -> Poll<()> {
        if self.deliveries() >= due {
            return Poll::Ready(());
        }
        self.awaited = Some((due, waker.clone()));
        Poll::Pending
    }

    /// Records a delivery.
    pub fn deliver(&mut self, sample: Sample) {
        let count = self.deliveries.fetch_add(1, Ordering::Relaxed) + 1;
        if let Some((_, waker)) = self.awaited.take_if(|(due, _)| count >= *due) {
            waker.wake();
        }
        if self.window.contains(&sample.at) {
            self.samples.push(sample);
        }
    }
}

/// Where a subscriber stands in the feed, and which events it is still owed.
#[derive(Debug, Default)]
pub struct Progress {
    cursor: Cursor,
    /// The feed, where it is known.
    epoch: Option<Epoch>,
    missing: Vec<Range<u64>>,
}

impl Progress {
    /// Begins behind that place.
    pub fn new(Bookmark { cursor, epoch }: Bookmark) -> Self {
        Self { cursor, epoch, missing: Vec::new() }
    }

    /// The cursor with the feed that it is a place in, where that is known.
    pub fn bookmark(&self) -> Bookmark {
        Bookmark { cursor: self.cursor, epoch: self.epoch }
    }

    /// The last seq received, or announced as gone.
    pub fn cursor(&self) -> Cursor {
        self.cursor
    }

    /// Takes note of an event; whether it is one that had not come before.
    pub fn event(&mut self, seq: u64, faults: &mut Faults) -> bool {
        let next = self.cursor.next_seq();
        if seq >= next {
            if seq > next {
                faults.lost = faults.lost.saturating_add(seq - next);
                if self.missing.len() < MOST_MISSING {
                    self.missing.push(next..seq);
                }
            }
            self.cursor = Cursor(seq);
            return true;
        }
        match self.missing.iter().position(|range| range.contains(&seq)) {
            Some(index) => {
                // It was not lost, then, but late.
                let range = self.missing.swap_remove(index);
                self.missing.extend([range.start..seq, seq + 1..range.end].into_iter().filter(|left| !left.is_empty()));
                faults.lost -= 1;
                faults.reordered += 1;
                true
            }
            None => {
                faults.duplicates += 1;
                false
            }
        }
    }

    /// Takes note of a gap that the server announced. How much is gone of a feed that has ended, nobody can say.
    pub fn gap(&mut self, gap: Gap, faults: &mut Faults) {
        let another = self.epoch.is_some_and(|epoch| epoch != gap.epoch);
        let missed = if another { gap.resume().0 } else { gap.missed() };
        faults.gaps = faults.gaps.saturating_add(missed);
        if another {
            self.missing.clear();
        }
        (self.cursor, self.epoch) = (gap.resume(), Some(gap.epoch));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults_of(seqs: &[u64]) -> Faults {
        let mut progress = Progress::default();
        let mut faults = Faults::default();
        seqs.iter().for_each(|&seq| _ = progress.event(seq, &mut faults));
        faults
    }

    #[test]
    fn losses_repeats_and_late_events_are_told_apart() {
        let none = Faults::default();
        assert_eq!(faults_of(&[1, 2, 3]), none);
        assert_eq!(faults_of(&[1, 4]), Faults { lost: 2, ..none });
        assert_eq!(faults_of(&[1, 2, 2, 1]), Faults { duplicates: 2, ..none });
        assert_eq!(faults_of(&[1, 4, 3, 2]), Faults { reordered: 2, ..none });
        assert_eq!(faults_of(&[1, 4, 3, 3]), Faults { lost: 1, reordered: 1, duplicates: 1, ..none });
    }

    #[test]
    fn an_announced_gap_is_no_loss() {
        let (mut progress, mut faults) = (Progress::new(Cursor(5).into()), Faults::default());
        progress.gap(Gap { after: Cursor(5), oldest: 9, epoch: Epoch(1) }, &mut faults);
        progress.event(9, &mut faults);
        assert_eq!(faults, Faults { gaps: 3, ..Faults::default() });
        // Another feed, of which three events have left the history.
        progress.gap(Gap { after: Cursor(9), oldest: 4, epoch: Epoch(2) }, &mut faults);
        progress.event(4, &mut faults);
        assert_eq!(faults, Faults { gaps: 6, ..Faults::default() });
        assert_eq!(progress.bookmark().to_string(), "4-2");
    }

    #[test]
    fn only_what_was_scheduled_in_the_window_is_a_sample_but_every_delivery_counts() {
        let mut recorder = Recorder::new(10..20, 0, Arc::default());
        for at in [9, 10, 19, 20] {
            recorder.deliver(Sample { seq: 1, at, received: 30 });
        }
        assert_eq!(recorder.samples.iter().map(|sample| sample.at).collect::<Vec<_>>(), [10, 19]);
        assert_eq!(recorder.deliveries(), 4);
    }
}
