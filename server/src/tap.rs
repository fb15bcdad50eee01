//! Taps: what crosses the sockets of a page's lanes, told to that page as it happens.
//!
//! A lane is a name that a page gives to its requests (`lane=SESSION.NAME`); the page watches its session (`/watch`). What is told
//! is bounded by the request that names the lane: its head, its body, and the answer to it. The next request on the same connection
//! may be somebody else's, behind a proxy, and is its own lane's or nobody's. A request's head is told when all of it has come, with
//! its secrets masked. While nobody watches, a read and a write cost one look at a flag.

use std::collections::HashMap;
use std::io::IoSlice;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use protocol::clock;
use tokio::sync::mpsc;

use crate::masked;
use crate::traced_events::{EventScanner, TracedEvents};

/// Pages that may watch at once.
const MAX_SESSIONS: usize = 200;
/// How many of these only the presenter may have.
const RESERVED_SESSIONS: usize = 8;
/// Pages of viewers that may watch at once from one address other than this machine's.
const MAX_SESSIONS_PER_ADDRESS: usize = 64;
/// Crossings that a page may be behind before some are left out, and counted.
const MOST_BEHIND: usize = 4_096;
/// What they may come to in memory, in bytes.
const MAX_BEHIND_BYTES: usize = 1 << 20;
/// How much of one crossing's bytes is told, in bytes; its size is told in full.
const MOST_SHOWN: usize = 4_096;

/// Who watches.
#[derive(Default)]
pub struct Taps {
    watched: AtomicBool,
    connections: AtomicU64,
    sessions: Mutex<HashMap<String, Session>>,
}

struct Session {
    page: Arc<Page>,
    /// Where it watches from, unless that is the presenter.
    viewer: Option<IpAddr>,
    /// The sockets that bore this session's lanes, to cut them by, for as long as they are open.
    sockets: HashMap<u64, Weak<dyn Cut>>,
}

/// Where messages to a page go.
struct Page {
    crossings: mpsc::Sender<Crossing>,
    left_out: Arc<AtomicU64>,
    behind_bytes: Arc<AtomicUsize>,
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

impl Crossing {
    /// What it takes of memory, in bytes.
    fn memory(&self) -> usize {
        size_of::<Self>() + self.data.len() + size_of_val(&self.events.events[..])
    }
}

/// A page's place to learn of its crossings; dropping it ends the watching.
pub struct Watcher {
    taps: Arc<Taps>,
    session: String,
    crossings: mpsc::Receiver<Crossing>,
    behind_bytes: Arc<AtomicUsize>,
    /// Crossings that were left out because the page was too far behind.
    pub left_out: Arc<AtomicU64>,
}

impl Taps {
    /// Watches a session from an address, as the presenter or not; `None` if it is watched already, or too many are.
    pub fn watch(self: &Arc<Self>, session: &str, address: IpAddr, presenter: bool) -> Option<Watcher> {
        let mut sessions = self.sessions();
        let viewers = sessions.values().filter_map(|session| session.viewer);
        let neighbours = viewers.clone().filter(|other| *other == address).count();
        let full = sessions.len() >= MAX_SESSIONS
            || !presenter
                && (viewers.count() >= MAX_SESSIONS - RESERVED_SESSIONS
                    || neighbours >= MAX_SESSIONS_PER_ADDRESS && !address.is_loopback());
        if full || sessions.contains_key(session) {
            return None;
        }
        let (told, crossings) = mpsc::channel(MOST_BEHIND);
        let left_out = Arc::new(AtomicU64::new(0));
        let behind_bytes = Arc::new(AtomicUsize::new(0));
        let page = Page { crossings: told, left_out: left_out.clone(), behind_bytes: behind_bytes.clone() };
        let page = Arc::new(page);
        let viewer = (!presenter).then_some(address);
        sessions.insert(session.into(), Session { page, viewer, sockets: HashMap::new() });
        self.watched.store(true, Relaxed);
        Some(Watcher { taps: self.clone(), session: session.into(), crossings, behind_bytes, left_out })
    }

    /// Cuts every connection that bore a lane of the session, as a lost network would.
    pub fn cut(&self, session: &str) {
        if let Some(session) = self.sessions().get_mut(session) {
            session.sockets.drain().filter_map(|(_, socket)| socket.upgrade()).for_each(|socket| socket.cut());
        }
    }

    fn watched(&self) -> bool {
        self.watched.load(Relaxed)
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<String, Session>> {
        self.sessions.lock().expect("no holder of the sessions panics")
    }
}

impl Watcher {
    /// The next of the page's crossings; none once nothing can come any more.
    pub async fn next(&mut self) -> Option<Crossing> {
        let crossing = self.crossings.recv().await?;
        self.behind_bytes.fetch_sub(crossing.memory(), Relaxed);
        Some(crossing)
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let mut sessions = self.taps.sessions();
        sessions.remove(&self.session);
        self.taps.watched.store(!sessions.is_empty(), Relaxed);
    }
}

/// A connection that can be cut, as a lost network would.
pub trait Cut: Send + Sync {
    /// Ends it both ways, at once.
    fn cut(&self);
}

/// One connection's tap.
pub struct Tap {
    taps: Arc<Taps>,
    /// The connection itself.
    socket: Weak<dyn Cut>,
    flow: Mutex<Flow>,
}

#[derive(Default)]
struct Flow {
    connection: u64,
    /// Whose request is coming.
    up: Option<Lane>,
    /// Whose answer is going.
    down: Option<Lane>,
    /// Frames follow the handshake, and are the same lane's.
    upgraded: bool,
    /// Finds the events in the answer that goes down.
    scanner: EventScanner,
}

/// A lane of a session that is watched. One that ends, and another of the same name, are two.
#[derive(Clone)]
struct Lane {
    name: Arc<str>,
    page: Weak<Page>,
}

impl Tap {
    /// The tap of a new connection, `socket`.
    pub fn new(taps: Arc<Taps>, socket: Weak<dyn Cut>) -> Self {
        Self { taps, socket, flow: Mutex::default() }
    }

    /// A request's head has come, for a lane, SESSION.NAME, or for nobody's.
    pub fn request(&self, head: &[u8], lane: Option<&str>) {
        if !self.taps.watched() {
            return;
        }
        let mut flow = self.flow();
        flow.up = lane.and_then(|lane| self.lane(&mut flow, lane));
        if let Some(lane) = &flow.up {
            self.tell(lane, flow.connection, true, &[&masked::head(head)], TracedEvents::default());
        }
    }

    /// Bytes of the body have come of the request whose head came last.
    pub fn body(&self, bytes: &[u8]) {
        if !self.taps.watched() {
            return;
        }
        let flow = self.flow();
        if let Some(lane) = &flow.up {
            self.tell(lane, flow.connection, true, &[bytes], TracedEvents::default());
        }
    }

    /// What goes down from here on answers a request of that lane, SESSION.NAME, or of nobody's.
    pub fn answer(&self, lane: Option<&str>) {
        if !self.taps.watched() {
            return;
        }
        let mut flow = self.flow();
        flow.down = lane.and_then(|lane| self.lane(&mut flow, lane));
        // An answer begins outside of any event, however much of the one before was seen.
        flow.scanner = EventScanner::default();
    }

    /// What comes from here on are frames of the lane whose request was the handshake; `early` came with that.
    pub fn upgraded(&self, early: &[u8]) {
        let mut flow = self.flow();
        // Whose request was answered is certain; which head came last before it is not, on a connection that several people share.
        flow.up = flow.down.clone();
        flow.upgraded = true;
        drop(flow);
        self.read(early);
    }

    /// Bytes came up the connection; of requests, [`Self::request`] and [`Self::body`] tell.
    pub fn read(&self, bytes: &[u8]) {
        if !self.taps.watched() || bytes.is_empty() {
            return;
        }
        let flow = self.flow();
        if let Some(lane) = flow.up.as_ref().filter(|_| flow.upgraded) {
            self.tell(lane, flow.connection, true, &[bytes], TracedEvents::default());
        }
    }

    /// The first `written` bytes of `parts` went down the connection.
    pub fn wrote(&self, parts: &[IoSlice<'_>], written: usize) {
        if !self.taps.watched() {
            return;
        }
        let mut flow = self.flow();
        let Flow { connection, down: Some(lane), scanner, .. } = &mut *flow else { return };
        let mut left = written;
        let parts: Vec<&[u8]> = parts
            .iter()
            .map(|part| {
                let taken = part.len().min(left);
                left -= taken;
                &part[..taken]
            })
            .collect();
        let events = scanner.read(&parts, MOST_SHOWN);
        self.tell(lane, *connection, false, &parts, events);
    }

    /// The lane of that name, if its session is watched; from now on, this connection is cut with that.
    fn lane(&self, flow: &mut Flow, lane: &str) -> Option<Lane> {
        let (session, name) = lane.split_once('.')?;
        let mut sessions = self.taps.sessions();
        let session = sessions.get_mut(session)?;
        if flow.connection == 0 {
            flow.connection = self.taps.connections.fetch_add(1, Relaxed) + 1;
        }
        session.sockets.retain(|_, socket| socket.strong_count() > 0);
        session.sockets.entry(flow.connection).or_insert_with(|| self.socket.clone());
        Some(Lane { name: name.into(), page: Arc::downgrade(&session.page) })
    }

    fn tell(&self, lane: &Lane, connection: u64, up: bool, parts: &[&[u8]], events: TracedEvents) {
        let Some(page) = lane.page.upgrade() else { return };
        let data = parts.iter().flat_map(|part| part.iter().copied()).take(MOST_SHOWN).collect();
        let size = parts.iter().map(|part| part.len()).sum();
        let crossing = Crossing { lane: lane.name.clone(), connection, up, at_ns: clock::now_ns(), size, data, events };
        let memory = crossing.memory();
        let room = page.behind_bytes.fetch_add(memory, Relaxed) + memory <= MAX_BEHIND_BYTES;
        if !room || page.crossings.try_send(crossing).is_err() {
            page.behind_bytes.fetch_sub(memory, Relaxed);
            page.left_out.fetch_add(1, Relaxed);
        }
    }

    fn flow(&self) -> MutexGuard<'_, Flow> {
        self.flow.lock().expect("no holder of the flow panics")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn viewers_of_one_address_are_bounded_and_neither_loopback_nor_the_presenter_is() {
        let taps = Arc::new(Taps::default());
        let [one, other, here] = ["10.0.0.1", "10.0.0.2", "127.0.0.1"].map(|address| address.parse().unwrap());
        let watch = |count: usize, address: IpAddr, presenter: bool| -> Vec<Watcher> {
            let name = |index| format!("{address}_{presenter}_{index}");
            (0..count).filter_map(|index| taps.watch(&name(index), address, presenter)).collect()
        };
        let viewers = watch(MAX_SESSIONS, one, false);
        assert_eq!(viewers.len(), MAX_SESSIONS_PER_ADDRESS);
        assert_eq!(watch(1, other, false).len(), 1);
        assert_eq!(watch(MAX_SESSIONS_PER_ADDRESS + 1, here, false).len(), MAX_SESSIONS_PER_ADDRESS + 1);
        let local = watch(MAX_SESSIONS, here, false);
        assert_eq!(viewers.len() + local.len(), MAX_SESSIONS - RESERVED_SESSIONS);
        assert_eq!(watch(MAX_SESSIONS, one, true).len(), RESERVED_SESSIONS);
        drop(viewers);
        assert_eq!(watch(MAX_SESSIONS, one, true).len(), RESERVED_SESSIONS + MAX_SESSIONS_PER_ADDRESS);
    }
}
