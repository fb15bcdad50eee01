//! The sessions of SockJS clients that use several requests.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use protocol::Bookmark;
use tokio::sync::Notify;
use tokio::task::spawn_local;
use tokio::time::sleep;

use crate::quota::{Place, Quota};

/// The most sessions at once, and the most from one address other than this machine's.
const MAX_SESSIONS: usize = 10_000;
const MAX_SESSIONS_PER_ADDRESS: usize = 1_000;
/// How long a session is kept, at least, while no request waits for its messages. The protocol suggests five seconds.
const TIMEOUT: Duration = Duration::from_secs(5);

/// All sessions of the server.
pub struct Sessions {
    quota: Arc<Quota>,
    sessions: Mutex<HashMap<String, Arc<Session>>>,
}

impl Default for Sessions {
    fn default() -> Self {
        Self { quota: Quota::new(MAX_SESSIONS, MAX_SESSIONS_PER_ADDRESS), sessions: Mutex::default() }
    }
}

/// A session.
pub struct Session {
    _place: Place,
    state: Mutex<State>,
    /// Notified when the session is closed.
    closing: Notify,
}

#[derive(Default)]
struct State {
    /// The cursor; `None` before the first event of a client that wants future events only.
    cursor: Option<Bookmark>,
    /// Whether the opening message was sent.
    open: bool,
    /// Whether a request waits for the session's messages.
    receiving: bool,
    /// How many requests have waited so far.
    receivers: u64,
    /// The code and the reason with which it was closed.
    closed: Option<(u16, &'static str)>,
}

impl Sessions {
    /// The session with that name.
    pub fn get(&self, id: &str) -> Option<Arc<Session>> {
        self.lock().get(id).cloned()
    }

    /// Begins to wait for the messages of the session with that name, or of a new one of a client at `address`, which begins at `after`.
    ///
    /// # Errors
    /// When there are too many sessions, or another request waits already.
    pub fn receive(self: &Arc<Self>, id: &str, after: Option<Bookmark>, address: IpAddr) -> Result<Receiver, Refused> {
        let mut sessions = self.lock();
        let session = match sessions.get(id) {
            Some(session) => session.clone(),
            None => {
                let place = self.quota.place(address).ok_or(Refused::Full)?;
                let state = Mutex::new(State { cursor: after, ..State::default() });
                let session = Arc::new(Session { _place: place, state, closing: Notify::new() });
                sessions.insert(id.into(), session.clone());
                spawn_local(self.clone().end_when_abandoned(id.into()));
                session
            }
        };
        let mut state = session.state();
        if std::mem::replace(&mut state.receiving, true) {
            return Err(Refused::Occupied);
        }
        state.receivers += 1;
        drop(state);
        Ok(Receiver { session })
    }

    /// Ends a session for which no request has waited for a while.
    async fn end_when_abandoned(self: Arc<Self>, id: String) {
        let mut seen = 0;
        loop {
            sleep(TIMEOUT).await;
            let mut sessions = self.lock();
            let Some(session) = sessions.get(&id) else { return };
            let State { receiving, receivers, .. } = *session.state();
            if !receiving && receivers == seen {
                sessions.remove(&id);
                return;
            }
            seen = receivers;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Session>>> {
        self.sessions.lock().expect("no holder of the sessions panics")
    }
}

impl Session {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of a session panics")
    }

    /// Closes it with a code and a reason, which its next message contains.
    pub fn close(&self, code: u16, reason: &'static str) {
        self.state().closed.get_or_insert((code, reason));
        self.closing.notify_one();
    }

    /// Resolves when it is closed.
    pub async fn closing(&self) {
        self.closing.notified().await;
    }

    /// The code and the reason with which it was closed.
    pub fn closed(&self) -> Option<(u16, &'static str)> {
        self.state().closed
    }

    /// The cursor.
    pub fn cursor(&self) -> Option<Bookmark> {
        self.state().cursor
    }

    /// Moves the cursor.
    pub fn advance(&self, to: Bookmark) {
        self.state().cursor = Some(to);
    }

    /// Whether the opening message is still to be sent, which the caller does now.
    pub fn opens(&self) -> bool {
        !std::mem::replace(&mut self.state().open, true)
    }
}

/// A request that waits for the messages of a session. Dropping it ends the waiting; without another one, the session then ends, too.
pub struct Receiver {
    /// The session.
    pub session: Arc<Session>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.session.state().receiving = false;
    }
}

/// The reason why a request cannot wait for a session's messages.
pub enum Refused {
    /// There are too many sessions.
    Full,
    /// Another request waits already.
    Occupied,
}
