//! What the subscribers of a round have observed: the deliveries, their times, and every deviation from exactly-once delivery in order.

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Poll, Waker};

use protocol::result::Faults;
use protocol::{Bookmark, Cursor, Epoch, Gap};

use crate::round::contents::Contents;
use crate::wire::SharedLedger;

/// The most deliveries for which memory is allocated beforehand: some 100 MB.
const MAX_PREALLOCATED: usize = 4 << 20;

/// The most ranges of missing events that a subscriber remembers. An event of a further range counts as lost and, if it comes late, as a
/// duplicate too. Without this bound, a malicious server could make each search longer.
const MAX_MISSING_RANGES: usize = 1_000;

/// One delivery in the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// The event's sequence number.
    pub seq: u64,
    /// Scheduled publish time t0, in ns.
    pub at: u64,
    /// When the subscriber received it, t2, in ns.
    pub received: u64,
}

/// The recorder that all subscribers of a round share. They run on one thread, so it needs no lock.
pub type Shared = Rc<RefCell<Recorder>>;

/// What all subscribers of a round have observed together.
pub struct Recorder {
    /// The measurement window: the scheduled times, in ns, whose events are recorded.
    window: Range<u64>,
    /// Deliveries of events that were scheduled in the window. They are kept one by one, since the naive latency of each follows from the
    /// time at which its event entered the feed, which is requested from the server only after the round.
    pub samples: Vec<Sample>,
    /// What went wrong.
    pub faults: Faults,
    /// The events' bytes.
    pub contents: Contents,
    /// The bytes of all connections. Those of a connection are complete when it has ended.
    pub ledger: SharedLedger,
    /// Subscribers that are subscribed, or have been.
    pub connected: u32,
    /// Why subscribers gave up, one entry each.
    pub given_up: Vec<String>,
    deliveries: Arc<AtomicU64>,
    /// The task that waits for a number of deliveries, and that number.
    awaited: Option<(u64, Waker)>,
}

impl Recorder {
    /// A recorder of the events that are scheduled in `window` (ns), with memory for `expected` deliveries. All deliveries, in the window and
    /// outside it, are counted in `deliveries` as they come.
    pub fn new(window: Range<u64>, expected: usize, deliveries: Arc<AtomicU64>) -> Self {
        Self {
            window,
            // Growing the vector copies it, which would delay every subscriber in the middle of the round.
            samples: Vec::with_capacity(expected.min(MAX_PREALLOCATED)),
            faults: Faults::default(),
            contents: Contents::default(),
            ledger: SharedLedger::default(),
            connected: 0,
            given_up: Vec::new(),
            deliveries,
            awaited: None,
        }
    }

    /// All deliveries so far, of events in the window and outside it.
    pub fn deliveries(&self) -> u64 {
        self.deliveries.load(Ordering::Relaxed)
    }

    /// Polls until `due` deliveries have been made. One task at a time can wait for that.
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

/// A subscriber's cursor, and which earlier events it has not received.
#[derive(Debug, Default)]
pub struct Progress {
    cursor: Cursor,
    /// The feed that the cursor belongs to, if it is known.
    epoch: Option<Epoch>,
    missing: Vec<Range<u64>>,
    /// The highest sequence number that the server may repeat, since it was asked to resume before that.
    repeated_up_to: u64,
}

impl Progress {
    /// Starts at a cursor.
    pub fn new(Bookmark { cursor, epoch }: Bookmark) -> Self {
        Self { cursor, epoch, ..Self::default() }
    }

    /// The cursor with the epoch of its feed, if that is known.
    pub fn bookmark(&self) -> Bookmark {
        Bookmark { cursor: self.cursor, epoch: self.epoch }
    }

    /// The bookmark to resume from over a transport that is reliable, but changes the order: that before the oldest missing event. The server
    /// repeats events after it that were received already; these are not duplicates.
    pub fn resume(&mut self) -> Bookmark {
        let oldest = self.missing.iter().map(|range| range.start).min();
        if oldest.is_some() {
            self.repeated_up_to = self.cursor.0;
        }
        Bookmark { cursor: oldest.map_or(self.cursor, |seq| Cursor(seq - 1)), epoch: self.epoch }
    }

    /// The highest sequence number that was received, or was announced as part of a gap.
    pub fn cursor(&self) -> Cursor {
        self.cursor
    }

    /// Records that an event has come, in `faults` if it is not the next one. Returns true if it is new, false if it is a duplicate.
    pub fn event(&mut self, seq: u64, faults: &mut Faults) -> bool {
        let next = self.cursor.next_seq();
        if seq >= next {
            if seq > next {
                faults.lost = faults.lost.saturating_add(seq - next);
                if self.missing.len() < MAX_MISSING_RANGES {
                    self.missing.push(next..seq);
                }
            }
            self.cursor = Cursor(seq);
            return true;
        }
        match self.missing.iter().position(|range| range.contains(&seq)) {
            Some(index) => {
                // It was counted as lost, but it is only late.
                let range = self.missing.swap_remove(index);
                self.missing.extend([range.start..seq, seq + 1..range.end].into_iter().filter(|left| !left.is_empty()));
                faults.lost -= 1;
                faults.reordered += 1;
                true
            }
            None => {
                faults.duplicates += u64::from(seq > self.repeated_up_to);
                false
            }
        }
    }

    /// Records a gap that the server announced. If it leads to another feed, events of the old feed that were not received are not counted,
    /// since their number is unknown.
    pub fn gap(&mut self, gap: Gap, faults: &mut Faults) {
        let another = self.epoch.is_some_and(|epoch| epoch != gap.epoch);
        let events = gap.after.next_seq()..gap.oldest;
        let is_missing = |range: &Range<u64>| range.start < events.end && events.start < range.end;
        if !another && gap.resume() < self.cursor && self.missing.iter().any(is_missing) {
            // Events after the gap have overtaken its announcement, so its events were counted as lost.
            self.epoch = Some(gap.epoch);
            return self.remove_missing(events, faults);
        }
        let missed = if another { gap.resume().0 } else { gap.missed() };
        faults.gaps = faults.gaps.saturating_add(missed);
        if another {
            self.missing.clear();
        }
        (self.cursor, self.epoch) = (gap.resume(), Some(gap.epoch));
    }
}

impl Progress {
    /// Counts missing events as those of a gap.
    fn remove_missing(&mut self, gap: Range<u64>, faults: &mut Faults) {
        let mut left = Vec::new();
        for range in self.missing.drain(..) {
            let of_gap = range.start.max(gap.start)..range.end.min(gap.end);
            if of_gap.is_empty() {
                left.push(range);
                continue;
            }
            let count = of_gap.end - of_gap.start;
            (faults.lost, faults.gaps) = (faults.lost - count, faults.gaps.saturating_add(count));
            left.extend([range.start..of_gap.start, of_gap.end..range.end].into_iter().filter(|left| !left.is_empty()));
        }
        self.missing = left;
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
    fn lost_duplicate_and_late_events_are_distinguished() {
        let none = Faults::default();
        assert_eq!(faults_of(&[1, 2, 3]), none);
        assert_eq!(faults_of(&[1, 4]), Faults { lost: 2, ..none });
        assert_eq!(faults_of(&[1, 2, 2, 1]), Faults { duplicates: 2, ..none });
        assert_eq!(faults_of(&[1, 4, 3, 2]), Faults { reordered: 2, ..none });
        assert_eq!(faults_of(&[1, 4, 3, 3]), Faults { lost: 1, reordered: 1, duplicates: 1, ..none });
    }

    #[test]
    fn a_transport_that_changes_the_order_resumes_before_the_oldest_missing_event() {
        let (mut progress, mut faults) = (Progress::default(), Faults::default());
        for seq in [1, 2, 5, 7] {
            progress.event(seq, &mut faults);
        }
        assert_eq!((progress.resume().cursor, faults.lost), (Cursor(2), 3));
        let new: Vec<bool> = (3..=8).map(|seq| progress.event(seq, &mut faults)).collect();
        assert_eq!(new, [true, true, false, true, false, true]);
        assert_eq!(faults, Faults { reordered: 3, ..Faults::default() });
        assert!(!progress.event(8, &mut faults) && faults.duplicates == 1, "8 was not repeated by our request");
        assert_eq!(progress.resume().cursor, Cursor(8));
    }

    #[test]
    fn events_of_an_announced_gap_are_not_lost_events() {
        let (mut progress, mut faults) = (Progress::new(Cursor(5).into()), Faults::default());
        progress.gap(Gap { after: Cursor(5), oldest: 9, epoch: Epoch(1) }, &mut faults);
        progress.event(9, &mut faults);
        assert_eq!(faults, Faults { gaps: 3, ..Faults::default() });
        // An announcement that was overtaken.
        progress.event(14, &mut faults);
        progress.gap(Gap { after: Cursor(9), oldest: 12, epoch: Epoch(1) }, &mut faults);
        assert_eq!((faults, progress.cursor()), (Faults { gaps: 5, lost: 2, ..Faults::default() }, Cursor(14)));
        (progress, faults) = (Progress::new(Cursor(9).into()), Faults { gaps: 3, ..Faults::default() });
        progress.epoch = Some(Epoch(1));
        // Another feed, whose first three events were removed from the history.
        progress.gap(Gap { after: Cursor(9), oldest: 4, epoch: Epoch(2) }, &mut faults);
        progress.event(4, &mut faults);
        assert_eq!(faults, Faults { gaps: 6, ..Faults::default() });
        assert_eq!(progress.bookmark().to_string(), "4-2");
    }

    #[test]
    fn only_events_that_were_scheduled_in_the_window_are_samples_but_every_delivery_is_counted() {
        let mut recorder = Recorder::new(10..20, 0, Arc::default());
        for at in [9, 10, 19, 20] {
            recorder.deliver(Sample { seq: 1, at, received: 30 });
        }
        assert_eq!(recorder.samples.iter().map(|sample| sample.at).collect::<Vec<_>>(), [10, 19]);
        assert_eq!(recorder.deliveries(), 4);
    }
}
