//! The hall: the phones of an audience as subscribers, over the transport that the presenter chooses.
//!
//! A phone's page joins, subscribes as any other client does, and reports the delay of each event that it receives. Its reports, and the
//! settings that it waits for, have endpoints of their own, whose requests are counted apart from those of the subscriptions. A phone is
//! known by random names; besides them, only its address is kept in memory, for the limit, until it is removed.

mod delays;
mod phone;
mod question;
mod rate;
mod record;
mod rules;

use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use protocol::{Transport, clock};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::sync::watch;

use crate::api::presenter::secret;
use crate::quota::Quota;
pub use phone::Batch;
use phone::Phone;
use question::{Ask, Polls, Question};
use rate::PerSecond;
pub use record::Run;
use record::Summary;
pub use rules::{MAX_WAIT, Refusal, transports};

/// The most phones.
const MAX_PHONES: usize = 500;
/// The most phones behind one address other than this machine's.
const MAX_PHONES_PER_ADDRESS: usize = 250;
/// A view that takes at least this long to derive is used again, for so many times as long as it took.
const LONG: Duration = Duration::from_millis(5);
const SHARE: u32 = 20;
/// The most closed questions that are kept.
const MAX_ASKED: usize = 50;
/// The poll intervals that the presenter may choose, in ms.
const POLL_INTERVALS: std::ops::RangeInclusive<u64> = 100..=60_000;

/// What a phone does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
struct Settings {
    transport: Transport,
    poll_interval_ms: u64,
}

/// The phones, what they do and what they have reported.
pub struct Hall {
    quota: Arc<Quota>,
    state: Mutex<State>,
    /// The number of the latest change, which phones wait for.
    version: watch::Sender<u64>,
    /// The latest view, for viewers and for the presenter.
    kept: Mutex<[Option<Kept>; 2]>,
}

struct State {
    settings: Settings,
    /// The second in which the settings were changed, and the newest event then.
    settled: (u64, u64),
    /// In the order in which they joined.
    phones: Vec<Phone>,
    joined: u32,
    /// Requests of the phones' subscriptions.
    requests: PerSecond,
    /// Requests of the hall itself, such as reports.
    apart: PerSecond,
    /// Reports of events up to this one are not kept.
    cleared_at: u64,
    question: Option<Question>,
    asked: Vec<Question>,
    questions: u64,
}

impl Default for Hall {
    fn default() -> Self {
        let state = State {
            settings: Settings { transport: Transport::Sse, poll_interval_ms: 2_000 },
            settled: (0, 0),
            phones: Vec::new(),
            joined: 0,
            requests: PerSecond::default(),
            apart: PerSecond::default(),
            cleared_at: 0,
            question: None,
            asked: Vec::new(),
            questions: 0,
        };
        Self {
            quota: Quota::new(MAX_PHONES, MAX_PHONES_PER_ADDRESS),
            state: Mutex::new(state),
            version: watch::Sender::new(1),
            kept: Mutex::default(),
        }
    }
}

fn this_second() -> u64 {
    clock::now_ns() / 1_000_000_000
}

/// The response to a phone that joins.
#[derive(Serialize)]
pub struct Joined {
    number: u32,
    /// Names the phone in the requests of its subscription.
    id: String,
    /// Proves that a report or an answer is this phone's.
    token: String,
}

/// The settings and the question, for one phone.
#[derive(Serialize)]
pub struct PhoneView {
    version: u64,
    number: u32,
    #[serde(flatten)]
    settings: Settings,
    question: Option<question::View>,
    /// Whether the phone has answered the question.
    answered: bool,
}

/// Changes by the presenter. A setting whose field is left out stays as it is.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    transport: Option<Transport>,
    poll_interval_ms: Option<u64>,
    /// Opens a question, in place of the one before.
    ask: Option<Ask>,
    /// Ends the answers, and shows the measurement.
    #[serde(default)]
    show: bool,
    /// Closes the question.
    #[serde(default)]
    close: bool,
    /// The question that these two are meant for, so that they do not end or close one that was asked meanwhile.
    question: Option<u64>,
    /// Discards the record, and the phones that are gone.
    #[serde(default)]
    clear: bool,
}

/// A view, and how long it took to derive.
struct Kept {
    derived: Instant,
    took: Duration,
    view: Box<RawValue>,
}

/// What the hall shows to everybody.
#[derive(Serialize)]
struct HallView {
    /// Whether the request was the presenter's.
    control: bool,
    #[serde(flatten)]
    settings: Settings,
    head: u64,
    rate: f64,
    phones: Vec<phone::View>,
    joined: usize,
    received: usize,
    missed: u64,
    repeated: u64,
    /// Reports that were not valid.
    refused: u64,
    /// Reports that were not kept because their phone's record is full.
    left_out: u64,
    max_phones: usize,
    /// Requests of the subscriptions in each of the last full seconds, the newest last.
    requests: Vec<u32>,
    /// Their mean in the last two.
    requests_per_second: f64,
    /// The mean number of other requests of the phones, such as reports.
    apart_per_second: f64,
    edges_ms: &'static [f64],
    summary: Vec<Summary>,
    question: Option<question::View>,
}

impl Hall {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of the hall panics")
    }

    fn changed(&self) {
        self.version.send_modify(|version| *version += 1);
    }

    /// Adds a phone at `address`.
    ///
    /// # Errors
    /// When the hall is full.
    ///
    /// # Panics
    /// When the system provides no random numbers; the server has needed some to start.
    pub fn join(&self, address: IpAddr) -> Result<Joined, Refusal> {
        let place = self.quota.place(address).or_else(|| {
            // Phones that have left without a trace in the record make room.
            self.state().phones.retain(|phone| phone.is_here() || phone.is_in_record());
            self.quota.place(address)
        });
        let place = place.ok_or(Refusal::TooMany("the hall is full"))?;
        let names: io::Result<_> = secret().and_then(|id| Ok((id, secret()?)));
        let (id, token) = names.expect("the system provides random numbers");
        let mut state = self.state();
        state.joined += 1;
        let number = state.joined;
        state.phones.push(Phone::new(number, id.clone(), token.clone(), place));
        Ok(Joined { number, id, token })
    }

    /// Counts a request of a subscription whose lane is `lane`, if that is a phone's.
    pub fn requested(&self, transport: Transport, lane: Option<&str>) {
        let Some((id, _)) = lane.and_then(|lane| lane.split_once('.')) else { return };
        let mut state = self.state();
        let State { phones, requests, .. } = &mut *state;
        if let Some(phone) = phones.iter_mut().find(|phone| phone.id == id) {
            phone.tally(transport).requests += 1;
            requests.count(this_second());
        }
    }

    /// Counts a request of the hall itself.
    pub fn requested_apart(&self) {
        self.state().apart.count(this_second());
    }

    /// What a phone does now. If it knows `version` already, waits for a change, at most [`MAX_WAIT`].
    ///
    /// # Errors
    /// When the token is that of no phone, or the phone sends too many requests.
    pub async fn settings(&self, token: &str, version: u64) -> Result<PhoneView, Refusal> {
        self.state().phone(token)?;
        let mut versions = self.version.subscribe();
        // An error means that the time is over.
        let _ = tokio::time::timeout(MAX_WAIT, versions.wait_for(|&current| current != version)).await;
        let mut state = self.state();
        let (settings, question) = (state.settings, state.question.as_ref().map(Question::view));
        let phone = state.find(token)?;
        phone.seen();
        Ok(PhoneView {
            version: *versions.borrow(),
            number: phone.number,
            settings,
            answered: question.as_ref().is_some_and(|question| phone.answered == question.id),
            question,
        })
    }

    /// Records what a phone reports; `head` is the newest event. Reports that are not valid are counted.
    ///
    /// # Errors
    /// When the token is that of no phone, or the phone sends too many requests.
    pub fn report(&self, token: &str, batch: Batch, head: u64) -> Result<(), Refusal> {
        let mut state = self.state();
        let cleared_at = state.cleared_at;
        state.phone(token)?.report(batch, head, cleared_at);
        Ok(())
    }

    /// Records a phone's answer to the question with that id: the index of a choice or a value on the slider and, for a goal, also the `seconds`
    /// after it.
    ///
    /// # Errors
    /// When the answer is not valid, there is no such question or it is shown already, the phone has answered, or as with a report.
    pub fn answer(&self, token: &str, id: u64, answer: f64, seconds: Option<f64>) -> Result<(), Refusal> {
        let mut state = self.state();
        let answered = state.phone(token)?.answered;
        let question = state.question.as_mut().filter(|question| question.id == id && question.is_open());
        let question = question.ok_or(Refusal::Conflict("this question is closed"))?;
        if answered == id {
            return Err(Refusal::Conflict("this phone has answered already"));
        }
        question.answer(answer, seconds)?;
        state.find(token)?.answered = id;
        Ok(())
    }

    /// Makes all changes, or none of them.
    ///
    /// # Errors
    /// When one of them is not valid, or meant for another question than the asked one.
    pub fn change(&self, change: Change, head: u64) -> Result<(), Refusal> {
        let invalid = |text: &str| Err(Refusal::Invalid(text.into()));
        let mut state = self.state();
        if change.transport.is_some_and(|transport| !transports().contains(&transport)) {
            return invalid("transport: polling, long_polling, ndjson, sse or websocket");
        }
        if change.poll_interval_ms.is_some_and(|interval| !POLL_INTERVALS.contains(&interval)) {
            return invalid("poll_interval_ms: from 100 to 60000");
        }
        if change.show && change.ask.is_none() && state.question.is_none() {
            return invalid("show: there is no question");
        }
        if change.question.is_some_and(|id| state.question.as_ref().is_none_or(|question| question.id != id)) {
            return Err(Refusal::Conflict("this question is closed"));
        }
        let here = state.phones.iter().filter(|phone| phone.is_here()).count();
        let asked = change.ask.map(|ask| Question::new(state.questions + 1, ask, here, head)).transpose()?;
        let settings = Settings {
            transport: change.transport.unwrap_or(state.settings.transport),
            poll_interval_ms: change.poll_interval_ms.unwrap_or(state.settings.poll_interval_ms),
        };
        if settings != state.settings {
            (state.settings, state.settled) = (settings, (this_second(), head));
        }
        if change.clear {
            state.clear(head);
        }
        if asked.is_some() || change.close {
            state.questions += u64::from(asked.is_some());
            let closed = std::mem::replace(&mut state.question, asked);
            state.asked.extend(closed);
            let excess = state.asked.len().saturating_sub(MAX_ASKED);
            state.asked.drain(..excess);
        }
        if change.show {
            let State { question, phones, requests, settings, settled, .. } = &mut *state;
            // The second in which the phones were told is not a full one, nor is the next, in which they follow.
            let seconds = this_second().saturating_sub(settled.0 + 2).min(record::MEAN_SECONDS as u64);
            let polls = (settings.transport == Transport::Polling).then(|| Polls {
                interval_ms: settings.poll_interval_ms,
                after: settled.1,
                requests_per_second: (seconds > 0).then(|| requests.mean(this_second(), seconds as usize)),
            });
            if let Some(question) = question {
                question.measure(phones, polls);
            }
        }
        drop(state);
        self.changed();
        Ok(())
    }

    /// The hall's view as JSON; `head` is the newest event, `rate` the number of events published per second. A view that took long to derive, from
    /// many reports, is used again for a while, so that viewers do not delay the subscribers.
    ///
    /// # Panics
    /// When a view cannot be written as JSON, which it always can.
    pub fn view(&self, control: bool, head: u64, rate: f64) -> Box<RawValue> {
        let mut kept = self.kept.lock().expect("no holder of the views panics");
        let kept = &mut kept[usize::from(control)];
        if let Some(Kept { derived, took, view }) = kept
            && *took >= LONG
            && derived.elapsed() < SHARE * *took
        {
            return view.clone();
        }
        let derived = Instant::now();
        let view = serde_json::value::to_raw_value(&self.derive(control, head, rate)).expect("a view is plain data");
        *kept = Some(Kept { derived, took: derived.elapsed(), view: view.clone() });
        view
    }

    fn derive(&self, control: bool, head: u64, rate: f64) -> HallView {
        let mut state = self.state();
        let now = this_second();
        let State { settings, phones, requests, apart, question, cleared_at, .. } = &mut *state;
        let total = |count: fn(&Phone) -> u64| phones.iter().map(count).sum();
        HallView {
            control,
            settings: *settings,
            head,
            rate,
            joined: phones.iter().filter(|phone| phone.is_here()).count(),
            received: phones.iter().filter(|phone| head > *cleared_at && phone.last() == head).count(),
            missed: total(|phone| phone.missed),
            repeated: total(|phone| phone.repeated),
            refused: total(|phone| phone.refused),
            left_out: total(Phone::left_out),
            max_phones: MAX_PHONES,
            requests: requests.full_seconds(now),
            requests_per_second: requests.mean(now, 2),
            apart_per_second: apart.mean(now, record::MEAN_SECONDS),
            edges_ms: &record::EDGES_MS,
            summary: record::summaries(phones),
            question: question.as_ref().map(Question::view),
            phones: phones.iter().map(Phone::view).collect(),
        }
    }

    /// The whole record, as it is saved.
    pub fn run(&self) -> Run {
        let state = self.state();
        let questions = state.asked.iter().chain(&state.question).map(Question::record).collect();
        Run::new(&state.phones, questions)
    }

    /// The record as CSV: a row for each phone and event.
    pub fn csv(&self) -> String {
        record::csv(&self.state().phones)
    }
}

impl State {
    fn find(&mut self, token: &str) -> Result<&mut Phone, Refusal> {
        self.phones.iter_mut().find(|phone| phone.token == token).ok_or(Refusal::Unknown)
    }

    /// The phone that sends a request with this token.
    fn phone(&mut self, token: &str) -> Result<&mut Phone, Refusal> {
        let phone = self.find(token)?;
        phone.admit(this_second())?;
        phone.seen();
        Ok(phone)
    }

    fn clear(&mut self, head: u64) {
        self.cleared_at = head;
        self.phones.retain(Phone::is_here);
        self.phones.iter_mut().for_each(Phone::clear);
        self.asked.clear();
        (self.requests, self.apart) = Default::default();
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn phones_that_have_left_without_a_report_make_room_and_others_stay() {
        let hall = Hall::default();
        let join = || hall.join(Ipv4Addr::LOCALHOST.into());
        (0..MAX_PHONES).for_each(|_| assert!(join().is_ok()));
        assert_eq!(join().err(), Some(Refusal::TooMany("the hall is full")));
        let long_ago = Instant::now().checked_sub(2 * MAX_WAIT).unwrap();
        {
            let mut state = hall.state();
            state.phones[..3].iter_mut().for_each(|phone| phone.seen = long_ago);
            state.phones[1].answered = 1;
        }
        assert!(join().is_ok() && join().is_ok() && join().is_err(), "two of three have left no trace");
        assert_eq!(hall.state().phones[0].number, 2);
    }
}
