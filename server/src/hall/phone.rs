//! A phone: its names, and what it has reported.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use protocol::Transport;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::rules::{MAX_WAIT, Refusal, transports};
use crate::quota::Place;

/// The most reports that are kept of a phone.
const MAX_REPORTS: usize = 500;
/// The most reports in a request; further ones are refused.
const MAX_BATCH: usize = 100;
/// The most requests of a phone in a second, besides those of its subscription.
const MAX_REQUESTS_PER_SECOND: u32 = 20;
/// A phone that has sent no request for this long is gone.
const GONE_AFTER: Duration = Duration::from_secs(MAX_WAIT.as_secs() + 5);
/// The delays that are possible, in ms: an event cannot come before it was published, except by the clocks' error.
const DELAYS_MS: std::ops::RangeInclusive<f64> = -1e3..=6e5;
const BOUNDS_MS: std::ops::RangeInclusive<f64> = 0.0..=1e4;

/// The arrival of an event at a phone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// The event's sequence number.
    pub event: u64,
    /// The transport by which it came.
    pub transport: Transport,
    /// The time from its publication to its arrival, by the phone's estimate of the server's clock.
    pub delay_ms: f64,
    /// How far that estimate may be off.
    pub clock_bound_ms: f64,
}

/// What a phone reports at once.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    /// Grows with each report. One that is repeated, because its response was lost, changes nothing.
    pub batch: u64,
    /// The events that have come since the last report, each a [`Report`] in JSON. One that is not valid does not affect the others.
    pub reports: Vec<Value>,
    /// How many events the phone has missed since then.
    pub missed: u32,
    /// How many events have come again since then.
    pub repeated: u32,
}

/// Counts for a transport.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Tally {
    /// Requests of the phone's subscription.
    pub requests: u64,
    /// Reports that were not kept because the phone's record was full.
    pub left_out: u64,
}

/// A phone.
pub struct Phone {
    pub number: u32,
    pub id: String,
    pub token: String,
    /// The question that it has answered last; 0 if none.
    pub answered: u64,
    pub reports: Vec<Report>,
    /// The newest event that it has reported, also if there was no more room for it.
    newest: Option<Report>,
    pub missed: u64,
    pub repeated: u64,
    /// Reports that were not valid.
    pub refused: u64,
    pub tallies: BTreeMap<Transport, Tally>,
    batch: u64,
    pub(super) seen: Instant,
    /// The current second, and the number of requests in it.
    admitted: (u64, u32),
    _place: Place,
}

/// What everybody sees of a phone.
#[derive(Serialize)]
pub struct View {
    number: u32,
    here: bool,
    /// Its last event, with the delay; 0 if there was none.
    event: u64,
    delay_ms: Option<f64>,
    missed: u64,
    repeated: u64,
}

impl Phone {
    pub fn new(number: u32, id: String, token: String, place: Place) -> Self {
        Self {
            number,
            id,
            token,
            answered: 0,
            reports: Vec::new(),
            newest: None,
            missed: 0,
            repeated: 0,
            refused: 0,
            tallies: BTreeMap::new(),
            batch: 0,
            seen: Instant::now(),
            admitted: (0, 0),
            _place: place,
        }
    }

    pub fn seen(&mut self) {
        self.seen = Instant::now();
    }

    pub fn is_here(&self) -> bool {
        self.seen.elapsed() < GONE_AFTER
    }

    /// Whether the record has a report or an answer of it.
    pub fn is_in_record(&self) -> bool {
        !self.reports.is_empty() || self.answered != 0
    }

    /// The counts for a transport.
    pub fn tally(&mut self, transport: Transport) -> &mut Tally {
        self.tallies.entry(transport).or_default()
    }

    /// The newest event that it has reported; 0 if there is none.
    pub fn last(&self) -> u64 {
        self.newest.as_ref().map_or(0, |report| report.event)
    }

    /// How many of its reports were not kept.
    pub fn left_out(&self) -> u64 {
        self.tallies.values().map(|tally| tally.left_out).sum()
    }

    pub fn view(&self) -> View {
        let newest = self.newest.as_ref();
        View {
            number: self.number,
            here: self.is_here(),
            event: newest.map_or(0, |report| report.event),
            delay_ms: newest.map(|report| report.delay_ms),
            missed: self.missed,
            repeated: self.repeated,
        }
    }

    /// Admits a request, unless there were too many in this second.
    pub fn admit(&mut self, second: u64) -> Result<(), Refusal> {
        let count = if self.admitted.0 == second { self.admitted.1 + 1 } else { 1 };
        self.admitted = (second, count);
        match count <= MAX_REQUESTS_PER_SECOND {
            true => Ok(()),
            false => Err(Refusal::TooMany("at most 20 requests a second from one phone")),
        }
    }

    /// Records the valid ones of the reports, and counts the others. `head` is the newest event; events up to `cleared_at` are not kept.
    pub fn report(&mut self, batch: Batch, head: u64, cleared_at: u64) {
        if batch.batch <= self.batch {
            return;
        }
        self.batch = batch.batch;
        self.missed += u64::from(batch.missed);
        self.repeated += u64::from(batch.repeated);
        let allowed = transports();
        for (index, report) in batch.reports.into_iter().enumerate() {
            let report = serde_json::from_value(report).ok().filter(|report: &Report| {
                index < MAX_BATCH
                    && allowed.contains(&report.transport)
                    && DELAYS_MS.contains(&report.delay_ms)
                    && BOUNDS_MS.contains(&report.clock_bound_ms)
                    && (1..=head).contains(&report.event)
                    && self.reports.iter().all(|earlier| earlier.event != report.event)
            });
            match report {
                Some(report) if report.event > cleared_at => self.keep(report),
                Some(_) => {}
                None => self.refused += 1,
            }
        }
    }

    fn keep(&mut self, report: Report) {
        if report.event > self.last() {
            self.newest = Some(report.clone());
        }
        match self.reports.len() < MAX_REPORTS {
            true => self.reports.push(report),
            false => self.tally(report.transport).left_out += 1,
        }
    }

    /// Forgets what was reported.
    pub fn clear(&mut self) {
        self.reports.clear();
        self.newest = None;
        self.tallies.clear();
        (self.missed, self.repeated, self.refused) = (0, 0, 0);
    }
}
