//! The answers that a server keeps: those under way, and those that ended a short while ago.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use protocol::answer::{DONE, Progress, Question, State};
use protocol::clock;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::counters::Counters;
use crate::feed::Feed;
use crate::quota::{Place, Quota};

/// The most answers that are kept at once, in total and for one address.
const MAX_ANSWERS: usize = 128;
const MAX_ANSWERS_PER_ADDRESS: usize = 32;

/// All answers.
pub struct Answers {
    answers: Mutex<HashMap<String, Arc<Answer>>>,
    places: Arc<Quota>,
}

/// One answer.
pub struct Answer {
    /// The part of its path that nobody can guess.
    id: String,
    /// Its tokens as events, and at the end [`DONE`].
    pub feed: Arc<Feed>,
    question: Question,
    state: watch::Sender<State>,
    _place: Place,
}

impl Default for Answers {
    fn default() -> Self {
        Self { answers: Mutex::default(), places: Quota::new(MAX_ANSWERS, MAX_ANSWERS_PER_ADDRESS) }
    }
}

impl Answers {
    /// Adds an answer with that id for a client at `address`; `None` if there are too many.
    pub fn add(&self, id: String, question: Question, address: IpAddr) -> Option<Arc<Answer>> {
        let place = self.places.place(address)?;
        let feed = Arc::new(Feed::new(question.tokens as usize + 1, usize::MAX));
        let state = watch::Sender::new(State::Running);
        let answer = Arc::new(Answer { id: id.clone(), feed, question, state, _place: place });
        self.answers().insert(id, answer.clone());
        Some(answer)
    }

    /// The answer with this id, until a while after its end.
    pub fn find(&self, id: &str) -> Option<Arc<Answer>> {
        self.answers().get(id).cloned()
    }

    /// Removes an answer.
    pub fn remove(&self, answer: &Answer) {
        self.answers().remove(&answer.id);
    }

    fn answers(&self) -> MutexGuard<'_, HashMap<String, Arc<Answer>>> {
        self.answers.lock().expect("no holder of the answers panics")
    }
}

impl Answer {
    /// Its path.
    pub fn path(&self) -> String {
        format!("/answer/{}", self.id)
    }

    /// How far it is.
    pub fn progress(&self) -> Progress {
        let tokens = self.question.tokens;
        Progress { generated: (self.feed.head().0 as u32).min(tokens), tokens, state: *self.state.borrow() }
    }

    /// Whether it has ended early.
    pub fn is_cancelled(&self) -> bool {
        *self.state.borrow() == State::Cancelled
    }

    /// The text so far.
    pub fn text(&self) -> String {
        self.question.answer().take(self.progress().generated as usize).collect()
    }

    /// Ends it early, if it is still under way.
    pub fn cancel(&self) {
        self.end(State::Cancelled);
    }

    /// Cancels it when the returned guard is dropped, unless the question wants it to go on in the background.
    pub fn attach(self: &Arc<Self>) -> Attached {
        Attached(self.clone())
    }

    /// Resolves when it has ended.
    pub async fn ended(&self) {
        // The sender lives as long as this.
        let _ = self.state.subscribe().wait_for(|&state| state != State::Running).await;
    }

    /// Publishes each token when it is due; after a pause of this process, those that were due meanwhile together.
    pub async fn generate(&self, counters: &Counters) {
        let (began, began_ns) = (Instant::now(), clock::now_ns());
        for (number, token) in (1..).zip(self.question.answer()) {
            let due = Duration::from_secs_f64(f64::from(number) / self.question.rate);
            sleep_until(began + due).await;
            self.feed.publish(began_ns + due.as_nanos() as u64, &token);
            counters.token_generated();
        }
        self.feed.publish(clock::now_ns(), DONE);
        self.end(State::Complete);
    }

    fn end(&self, end: State) {
        self.state.send_if_modified(|state| {
            let running = *state == State::Running;
            if running {
                *state = end;
            }
            running
        });
    }
}

/// An answer that somebody waits for.
pub struct Attached(Arc<Answer>);

impl Drop for Attached {
    fn drop(&mut self) {
        if !self.0.question.background {
            self.0.cancel();
        }
    }
}
