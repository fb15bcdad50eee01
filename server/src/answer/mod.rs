//! Answers, as language models give them: a feed for each question, to which a token is added at a time.
//!
//! Since an answer is a feed, every transport carries it, and a client resumes it at its cursor. But it belongs to one client: it begins
//! with a question, ends with its last token, and is normally cancelled when the client disconnects.

mod socket;

use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use protocol::answer::{DONE, Progress, Question, State};
use protocol::{Bookmark, Cursor, clock};
use tokio::sync::watch;
use tokio::task::spawn_local;
use tokio::time::{Instant, sleep, sleep_until};

use crate::api::presenter::secret;
use crate::counters::Counters;
use crate::fan_out::{Dispatcher, Subscription};
use crate::feed::Feed;
use crate::quota::{Place, Quota};
use crate::state::ServerState;

pub use socket::session;

/// The most answers that are kept at once, in total and for one address.
const MAX_ANSWERS: usize = 512;
const MAX_ANSWERS_PER_ADDRESS: usize = 32;
/// How long an answer can be read after its end.
const KEPT: Duration = Duration::from_secs(30);

/// The answers under way, and those that ended a short while ago.
pub struct Answers {
    answers: Mutex<HashMap<String, Arc<Answer>>>,
    places: Arc<Quota>,
}

/// One answer.
pub struct Answer {
    /// The part of its path that nobody can guess.
    pub id: String,
    /// Its tokens as events, and at the end [`DONE`].
    pub feed: Arc<Feed>,
    question: Question,
    state: watch::Sender<State>,
    _place: Place,
}

/// The reason why a question gets no answer.
pub enum Refusal {
    /// There are too many answers already.
    Full,
    /// The system provides no random numbers.
    NoId,
}

impl Default for Answers {
    fn default() -> Self {
        Self { answers: Mutex::default(), places: Quota::new(MAX_ANSWERS, MAX_ANSWERS_PER_ADDRESS) }
    }
}

impl Answers {
    /// Begins to answer a question of a client at `address`.
    ///
    /// # Errors
    /// When there are too many answers.
    pub fn ask(&self, question: Question, address: IpAddr, state: &Arc<ServerState>) -> Result<Arc<Answer>, Refusal> {
        let Some(place) = self.places.place(address) else {
            state.counters.answer_refused();
            return Err(Refusal::Full);
        };
        let id = secret().map_err(|_| Refusal::NoId)?;
        let feed = Arc::new(Feed::new(question.tokens as usize + 1, usize::MAX));
        let answer = Arc::new(Answer {
            id: id.clone(),
            feed,
            question,
            state: watch::Sender::new(State::Running),
            _place: place,
        });
        self.answers().insert(id, answer.clone());
        spawn_local({
            let (answer, state) = (answer.clone(), state.clone());
            async move {
                tokio::select! {
                    () = answer.generate(&state.counters) => {}
                    () = answer.ended() => {}
                    () = state.closing() => {}
                }
                answer.cancel();
                answer.feed.close();
                tokio::select! {
                    () = sleep(KEPT) => {}
                    () = state.closing() => {}
                }
                state.answers.answers().remove(&answer.id);
            }
        });
        Ok(answer)
    }

    /// The answer with this id, until a while after its end.
    pub fn find(&self, id: &str) -> Option<Arc<Answer>> {
        self.answers().get(id).cloned()
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

    /// Subscribes to its events after `after`; from the beginning without it.
    pub fn subscribe(&self, after: Option<Bookmark>) -> Subscription {
        let after = after.unwrap_or(Cursor(0).into());
        Subscription::new(self.feed.clone(), dispatcher(&self.feed), Some(after))
    }

    /// A dispatcher for one of its subscribers.
    pub fn dispatcher(&self) -> Rc<Dispatcher> {
        dispatcher(&self.feed)
    }

    /// Resolves when it has ended.
    pub async fn ended(&self) {
        // The sender lives as long as this.
        let _ = self.state.subscribe().wait_for(|&state| state != State::Running).await;
    }

    /// Publishes each token when it is due; after a pause of this process, those that were due meanwhile together.
    async fn generate(&self, counters: &Counters) {
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

/// A dispatcher for one subscriber. A worker's dispatcher delivers the events of one feed to many subscribers; an answer has one, or a few
/// after a reconnection, on any worker.
fn dispatcher(feed: &Arc<Feed>) -> Rc<Dispatcher> {
    let dispatcher = Rc::new(Dispatcher::default());
    let (weak, feed) = (Rc::downgrade(&dispatcher), feed.clone());
    let mut head = feed.watch();
    spawn_local(async move {
        while !feed.is_closed() && head.changed().await.is_ok() {
            let Some(dispatcher) = weak.upgrade() else { return };
            dispatcher.fan_out(&feed);
        }
    });
    dispatcher
}
