//! Taps: what crosses the sockets of a page's lanes, told to that page as it happens.
//!
//! A lane is a name that a page gives to its requests (`lane=SESSION.NAME`); the page watches its session (`/watch`). A connection
//! is tapped from its first bytes on while anyone watches at all. While nobody does, a read and a write cost one look at a
//! flag.

use std::collections::HashMap;
use std::io::IoSlice;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use protocol::clock;
use rustix::net::{Shutdown, shutdown};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::traced_events::{EventScanner, TracedEvents};

/// Pages that may watch at once.
const MOST_SESSIONS: usize = 200;
/// Crossings that a page may be behind before some are left out, and counted.
const MOST_BEHIND: usize = 4_096;
/// How much of one crossing's bytes is told, in bytes; its size is told in full.
const MOST_SHOWN: usize = 4_096;
/// How much of a request is kept until it is known whose it is, in bytes.
const MOST_KEPT: usize = 64 << 10;

/// Who watches.
#[derive(Default)]
pub struct Taps {
    watched: AtomicBool,
    connections: AtomicU64,
    sessions: Mutex<HashMap<String, Session>>,
}

struct Session {
    told: mpsc::Sender<Crossing>,
    /// The sockets that bore this session's lanes, to cut them by, for as long as they are open.
    sockets: HashMap<u64, Weak<OwnedFd>>,
    left_out: Arc<AtomicU64>,
}

/// Bytes that crossed a lane's socket at once.
#[derive(Debug, Clone, PartialEq)]
pub struct Crossing {
    /// The lane's name within its session.
    pub lane: Arc<str>,
    /// The connection, numbered from 1 in the order of tapping.
    pub connection: u64,
    /// Whether they came from the page.
    pub up: bool,
    /// When, in ns of the monotonic clock.
    pub at_ns: u64,
    /// How many they were.
    pub size: usize,
    /// The bytes, or as many of them as are told.
    pub data: Vec<u8>,
    /// The events in all of them, told or not.
    pub events: TracedEvents,
}

/// A page's place to learn of its crossings; dropping it ends the watching.
pub struct Watcher {
    taps: Arc<Taps>,
    session: String,
    /// The crossings.
    pub crossings: mpsc::Receiver<Crossing>,
    /// Crossings that were left out because the page was too far behind.
    pub left_out: Arc<AtomicU64>,
}

impl Taps {
    /// Watches a session; `None` if it is watched already, or too many are.
    pub fn watch(self: &Arc<Self>, session: &str) -> Option<Watcher> {
        let (told, crossings) = mpsc::channel(MOST_BEHIND);
        let left_out = Arc::new(AtomicU64::new(0));
        let mut sessions = self.sessions();
        if sessions.len() >= MOST_SESSIONS || sessions.contains_key(session) {
            return None;
        }
        sessions.insert(session.into(), Session { told, sockets: HashMap::new(), left_out: left_out.clone() });
        self.watched.store(true, Relaxed);
        Some(Watcher { taps: self.clone(), session: session.into(), crossings, left_out })
    }

    /// Cuts every connection that bore a lane of the session, as a lost network would.
    pub fn cut(&self, session: &str) {
        if let Some(session) = self.sessions().get_mut(session) {
            for socket in session.sockets.drain().filter_map(|(_, socket)| socket.upgrade()) {
                // An error is a socket that has ended already.
                let _ = shutdown(&*socket, Shutdown::Both);
            }
        }
    }

    fn watched(&self) -> bool {
        self.watched.load(Relaxed)
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<String, Session>> {
        self.sessions.lock().expect("no holder of the sessions panics")
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let mut sessions = self.taps.sessions();
        sessions.remove(&self.session);
        self.taps.watched.store(!sessions.is_empty(), Relaxed);
    }
}

/// One connection's tap.
pub struct Tap {
    taps: Arc<Taps>,
    flow: Mutex<Flow>,
}

#[derive(Default)]
struct Flow {
    connection: u64,
    /// The socket once more, to cut it by.
    socket: Option<Arc<OwnedFd>>,
    lane: Option<(String, Arc<str>)>,
    /// What came up and is nobody's yet: a request's head comes before it is known whose it is.
    kept: Vec<(u64, Vec<u8>)>,
    /// Frames follow the handshake, and are the same lane's.
    upgraded: bool,
    /// Finds the events in what goes down.
    scanner: EventScanner,
}

impl Tap {
    /// The tap of a new connection.
    pub fn new(taps: Arc<Taps>) -> Self {
        Self { taps, flow: Mutex::default() }
    }

    /// Says whose request has come: that of a lane, SESSION.NAME, or nobody's.
    pub fn assign(&self, lane: Option<&str>) {
        if !self.taps.watched() {
            return;
        }
        let lane = lane.and_then(|lane| lane.split_once('.'));
        let mut flow = self.flow();
        flow.lane = lane.map(|(session, name)| (session.into(), name.into()));
        let kept = std::mem::take(&mut flow.kept);
        let Some((session, _)) = flow.lane.clone() else { return };
        if flow.connection == 0 {
            flow.connection = self.taps.connections.fetch_add(1, Relaxed) + 1;
        }
        if let Some(session) = self.taps.sessions().get_mut(&session)
            && let Some(socket) = &flow.socket
        {
            session.sockets.retain(|_, socket| socket.strong_count() > 0);
            session.sockets.entry(flow.connection).or_insert_with(|| Arc::downgrade(socket));
        }
        for (at_ns, bytes) in kept {
            self.tell(&flow, true, at_ns, &[&bytes], TracedEvents::default());
        }
    }

    /// Says that what comes from here on needs no request to be whose it is.
    pub fn upgraded(&self) {
        self.flow().upgraded = true;
    }

    /// Bytes came up the connection.
    pub fn read(&self, bytes: &[u8], stream: &TcpStream) {
        if !self.taps.watched() || bytes.is_empty() {
            return;
        }
        let mut flow = self.flow();
        if flow.socket.is_none() {
            // Without it the connection cannot be cut, and is watched all the same.
            flow.socket = rustix::io::dup(stream).ok().map(Arc::new);
        }
        let now = clock::now_ns();
        if flow.upgraded {
            self.tell(&flow, true, now, &[bytes], TracedEvents::default());
        } else if flow.kept.iter().map(|kept| kept.1.len()).sum::<usize>() + bytes.len() <= MOST_KEPT {
            flow.kept.push((now, bytes.to_vec()));
        }
    }

    /// The first `written` bytes of `parts` went down the connection.
    pub fn wrote(&self, parts: &[IoSlice<'_>], written: usize) {
        if !self.taps.watched() {
            return;
        }
        let mut left = written;
        let parts: Vec<&[u8]> = parts
            .iter()
            .map(|part| {
                let taken = part.len().min(left);
                left -= taken;
                &part[..taken]
            })
            .collect();
        let now = clock::now_ns();
        let mut flow = self.flow();
        if flow.lane.is_some() {
            let events = flow.scanner.read(&parts, MOST_SHOWN);
            self.tell(&flow, false, now, &parts, events);
        }
    }

    fn tell(&self, flow: &Flow, up: bool, at_ns: u64, parts: &[&[u8]], events: TracedEvents) {
        let Some((session, lane)) = &flow.lane else { return };
        let mut sessions = self.taps.sessions();
        let Some(session) = sessions.get_mut(session) else { return };
        let data = parts.iter().flat_map(|part| part.iter().copied()).take(MOST_SHOWN).collect();
        let size = parts.iter().map(|part| part.len()).sum();
        let crossing = Crossing { lane: lane.clone(), connection: flow.connection, up, at_ns, size, data, events };
        if session.told.try_send(crossing).is_err() {
            session.left_out.fetch_add(1, Relaxed);
        }
    }

    fn flow(&self) -> MutexGuard<'_, Flow> {
        self.flow.lock().expect("no holder of the flow panics")
    }
}
