//! A question to the audience: answers are given before the measurement is shown.

use protocol::Transport;
use serde::{Deserialize, Serialize};

use super::delays::{quantile, sorted};
use super::phone::{Phone, Report};
use super::rules::{Refusal, transports};

/// The longest text of a question and of a choice, in characters.
const MAX_TEXT: usize = 200;
const MAX_CHOICE: usize = 60;
/// The classes in which the answers on a slider are counted.
const CLASSES: usize = 10;
/// The highest answer to [`Ask::Longest`], in seconds.
const MAX_SECONDS: f64 = 5.0;

/// The longest delay that can be predicted for [`Ask::Goal`], in seconds.
const MAX_GOAL_SECONDS: f64 = 6.0;

/// What is asked. The pages have the texts of the ready questions in each language.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", deny_unknown_fields)]
pub enum Ask {
    /// Which transport is last?
    Last,
    /// How long does it take at most with polling, in seconds?
    Longest,
    /// How many requests a second will the server receive when all phones poll every second?
    Requests,
    /// Over which transport will the opening scene's goal arrive last, and how many seconds after it? The scene measures it.
    Goal,
    /// A question of the presenter's own.
    Free {
        /// Its text.
        text: String,
        /// The answers that can be chosen.
        choices: Vec<String>,
    },
}

/// The value that was measured.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Measured {
    /// The choice that is right, where there are choices.
    choice: Option<usize>,
    /// The measured value: of that choice the median delay in ms; the longest delay in s; requests per second.
    value: f64,
    /// How many reports the value is derived from.
    reports: usize,
}

/// A question, and its answers.
pub struct Question {
    pub id: u64,
    ask: Ask,
    /// How many phones there were when it was asked.
    phones: usize,
    /// The highest answer on a slider.
    max: Option<f64>,
    /// Events after this one are measured.
    after: u64,
    counts: Vec<u64>,
    /// The predicted delays of a goal, in seconds.
    seconds: Vec<f64>,
    shown: bool,
    measured: Option<Measured>,
}

/// A question as the pages show it and as it is saved.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct View {
    /// The question's number.
    pub id: u64,
    kind: &'static str,
    text: Option<String>,
    /// The answers that can be chosen: texts or, for [`Ask::Last`] and [`Ask::Goal`], the names of transports. Empty for a slider.
    choices: Vec<String>,
    phones: usize,
    max: Option<f64>,
    /// The number of answers.
    answers: u64,
    /// The same by choice or by class of the slider; on the pages, for a goal `None` until the answers have ended.
    counts: Option<Vec<u64>>,
    /// The longest delay that can be predicted for [`Ask::Goal`], in seconds; `None` for other questions.
    max_seconds: Option<f64>,
    /// The middle one of the predicted delays; on the pages `None` until the answers have ended.
    median_seconds: Option<f64>,
    shown: bool,
    measured: Option<Measured>,
}

/// Figures for questions about polling; present only while the transport is polling.
pub struct Polls {
    /// The poll interval.
    pub interval_ms: u64,
    /// The newest event when they began to.
    pub after: u64,
    /// Requests of the subscriptions in the full seconds since then; `None` if there is none yet.
    pub requests_per_second: Option<f64>,
}

impl Question {
    /// Opens a question for `phones` phones; events after `head` will be measured.
    pub fn new(id: u64, ask: Ask, phones: usize, head: u64) -> Result<Self, Refusal> {
        if let Ask::Free { text, choices } = &ask {
            let fits = |text: &str, max| (1..=max).contains(&text.trim().chars().count());
            if !fits(text, MAX_TEXT) || !choices.iter().all(|choice| fits(choice, MAX_CHOICE)) {
                return Err(Refusal::Invalid("text: 1 to 200 characters; choices: 1 to 60 characters each".into()));
            }
            if !(2..=4).contains(&choices.len()) {
                return Err(Refusal::Invalid("choices: two to four".into()));
            }
        }
        let max = match ask {
            Ask::Longest => Some(MAX_SECONDS),
            // Three times the right answer, so that it is not at the end of the slider.
            Ask::Requests => Some((3 * phones).max(10).next_multiple_of(10) as f64),
            Ask::Last | Ask::Goal | Ask::Free { .. } => None,
        };
        let (counts, seconds) = (Vec::new(), Vec::new());
        let question = Self { id, ask, phones, max, after: head, counts, seconds, shown: false, measured: None };
        let classes = if max.is_some() { CLASSES } else { question.choices().len() };
        Ok(Self { counts: vec![0; classes], ..question })
    }

    fn choices(&self) -> Vec<String> {
        match &self.ask {
            Ask::Last | Ask::Goal => transports().into_iter().map(|transport| transport.to_string()).collect(),
            Ask::Free { choices, .. } => choices.clone(),
            Ask::Longest | Ask::Requests => Vec::new(),
        }
    }

    /// Whether it can be answered.
    pub fn is_open(&self) -> bool {
        !self.shown
    }

    /// The longest delay that can be predicted.
    fn max_seconds(&self) -> Option<f64> {
        (self.ask == Ask::Goal).then_some(MAX_GOAL_SECONDS)
    }

    /// Counts an answer: the index of a choice, or a value on the slider; for a goal, also the `seconds` after it.
    pub fn answer(&mut self, answer: f64, seconds: Option<f64>) -> Result<(), Refusal> {
        let is_right = match (self.max_seconds(), seconds) {
            (Some(max), Some(seconds)) => (0.0..=max).contains(&seconds),
            (None, None) => true,
            _ => false,
        };
        if !is_right {
            return Err(Refusal::Invalid("seconds: from 0 to 6, for a goal only".into()));
        }
        let class = match self.max {
            Some(max) if (0.0..=max).contains(&answer) => (answer / max * CLASSES as f64) as usize,
            None if answer.fract() == 0.0 && (0.0..self.counts.len() as f64).contains(&answer) => answer as usize,
            _ => return Err(Refusal::Invalid("answer: the index of a choice, or a number on the slider".into())),
        };
        // The highest answer belongs to the last class.
        let last = self.counts.len() - 1;
        self.counts[class.min(last)] += 1;
        self.seconds.extend(seconds);
        Ok(())
    }

    /// Ends the answers, and derives the measured value from what the phones have reported since the question was opened.
    pub fn measure(&mut self, phones: &[Phone], polls: Option<Polls>) {
        let after = polls.as_ref().map_or(self.after, |polls| self.after.max(polls.after));
        let of = |transport: Transport| {
            let since = |report: &&Report| report.event > after && report.transport == transport;
            sorted(phones.iter().flat_map(|phone| &phone.reports).filter(since))
        };
        self.shown = true;
        self.measured = match self.ask {
            Ask::Last => {
                let medians = transports().into_iter().map(of).enumerate().filter_map(|(choice, delays)| {
                    Some(Measured { choice: Some(choice), value: quantile(&delays, 0.5)?, reports: delays.len() })
                });
                medians.max_by(|a, b| a.value.total_cmp(&b.value))
            }
            Ask::Longest => polls.filter(|polls| polls.interval_ms == 2_000).and_then(|_| {
                let delays = of(Transport::Polling);
                let longest = |&delay: &f64| Measured { choice: None, value: delay / 1e3, reports: delays.len() };
                delays.last().map(longest)
            }),
            Ask::Requests => polls
                .filter(|polls| polls.interval_ms == 1_000)
                .and_then(|polls| Some(Measured { choice: None, value: polls.requests_per_second?, reports: 0 })),
            Ask::Goal | Ask::Free { .. } => None,
        };
    }

    /// The question as the pages show it. What others have predicted of a goal is not shown before it, so that nobody follows them.
    pub fn view(&self) -> View {
        let record = self.record();
        if self.ask == Ask::Goal && self.is_open() {
            return View { counts: None, median_seconds: None, ..record };
        }
        record
    }

    /// The question with all of its answers, as it is saved.
    pub fn record(&self) -> View {
        let (kind, text) = match &self.ask {
            Ask::Last => ("last", None),
            Ask::Longest => ("longest", None),
            Ask::Requests => ("requests", None),
            Ask::Goal => ("goal", None),
            Ask::Free { text, .. } => ("free", Some(text.clone())),
        };
        let mut seconds = self.seconds.clone();
        seconds.sort_unstable_by(f64::total_cmp);
        View {
            id: self.id,
            kind,
            text,
            choices: self.choices(),
            phones: self.phones,
            max: self.max,
            answers: self.counts.iter().sum(),
            counts: Some(self.counts.clone()),
            max_seconds: self.max_seconds(),
            median_seconds: quantile(&seconds, 0.5),
            shown: self.shown,
            measured: self.measured,
        }
    }
}
