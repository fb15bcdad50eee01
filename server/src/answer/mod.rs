//! Answers, as language models give them: a feed for each question, to which a token is added at a time.
//!
//! Since an answer is a feed, each of the HTTP transports, and WebSocket, carries it, and a client resumes it at its cursor. But it belongs to one client: it begins
//! with a question, ends with its last token, and is normally cancelled when the client disconnects.

mod socket;
pub mod store;

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use protocol::Cursor;
use protocol::answer::Question;
use tokio::task::spawn_local;
use tokio::time::sleep;

use crate::api::presenter::secret;
use crate::fan_out::{Dispatcher, Subscription};
use crate::feed::Feed;
use crate::state::ServerState;

pub use socket::session;
pub use store::Answer;

/// How long an answer can be read after its end, if its client knows its path.
pub const KEPT: Duration = Duration::from_secs(30);

/// The reason why a question gets no answer.
pub enum Refusal {
    /// There are too many answers already.
    Full,
    /// The system provides no random numbers.
    NoId,
}

/// Begins to answer a question of a client at `address`. The answer is `kept` for that long after its end.
///
/// # Errors
/// When there are too many answers.
pub fn ask(
    question: Question,
    address: IpAddr,
    kept: Duration,
    state: &Arc<ServerState>,
) -> Result<Arc<Answer>, Refusal> {
    let id = secret().map_err(|_| Refusal::NoId)?;
    let Some(answer) = state.answers.add(id, question, address) else {
        state.counters.answer_refused();
        return Err(Refusal::Full);
    };
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
                () = sleep(kept) => {}
                () = state.closing() => {}
            }
            state.answers.remove(&answer);
        }
    });
    Ok(answer)
}

/// Subscribes to all events of an answer.
pub fn subscribe(answer: &Answer) -> Subscription {
    Subscription::new(answer.feed.clone(), dispatcher(&answer.feed), Some(Cursor(0).into()))
}

/// A dispatcher for one subscriber. A worker's dispatcher delivers the events of one feed to many subscribers; an answer has one, or a few
/// after a reconnection, on any worker.
pub fn dispatcher(feed: &Arc<Feed>) -> Rc<Dispatcher> {
    let dispatcher = Rc::new(Dispatcher::default());
    let (weak, feed) = (Rc::downgrade(&dispatcher), feed.clone());
    let mut head = feed.watch();
    spawn_local(async move {
        // Checked before the fan-out, which may just miss the end; the end is announced once more then.
        let mut closed = feed.is_closed();
        while !closed && head.changed().await.is_ok() {
            closed = feed.is_closed();
            let Some(dispatcher) = weak.upgrade() else { return };
            dispatcher.fan_out(&feed);
        }
    });
    dispatcher
}
