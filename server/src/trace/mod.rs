//! The wire trace: sends a page copies of the bytes that are read from and written to the sockets of its own lanes.
//!
//! A lane is a name that a page gives to its requests (`lane=SESSION.NAME`). The page opens a trace session (`/watch`), and receives the
//! bytes of its lanes' requests: the headers, the bodies, and the responses. Behind a proxy, the next request on the same connection may
//! come from another client; it belongs to its own lane or to none. The headers of a request are sent to the page once they are complete,
//! with secrets masked. While there are no trace sessions, a read or a write only checks a flag.

mod events;
mod mask;
mod requests;
mod session;

use std::cell::{Cell, RefCell, RefMut};
use std::collections::HashMap;
use std::io::IoSlice;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use protocol::clock;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use events::{EventScanner, TracedEvents};
pub use requests::{Part, Requests};
pub use session::{MAX_MESSAGE_BYTES, Network, run as run_session};

/// The most trace sessions at once.
const MAX_SESSIONS: usize = 200;
/// How many of them are reserved for the presenter.
const RESERVED_SESSIONS: usize = 8;
/// The most sessions of viewers from one address other than this machine's.
const MAX_SESSIONS_PER_ADDRESS: usize = 64;
/// The most chunks that may wait to be sent to a page; further ones are left out, and counted.
const MAX_WAITING: usize = 4_096;
/// The memory that they may take, in bytes.
const MAX_WAITING_BYTES: usize = 1 << 20;
/// How many of a chunk's bytes are sent to the page. Its size is always sent.
const MAX_SHOWN_BYTES: usize = 4_096;

/// All trace sessions of the server.
#[derive(Default)]
pub struct Traces {
    any: AtomicBool,
    connections: AtomicU64,
    /// The connections and streams that were traced.
    numbers: AtomicU64,
    sessions: Mutex<HashMap<String, Session>>,
}

struct Session {
    page: Arc<Page>,
    /// The address from which it was opened; `None` for a session of the presenter.
    viewer: Option<IpAddr>,
    /// The open connections that have carried this session's lanes. A message on the channel of one of them cuts it.
    connections: HashMap<u64, oneshot::Sender<()>>,
}

/// The number of a connection in a trace; 0 until it is first traced. The streams of an HTTP/2 connection share it.
pub type ConnectionNumber = Rc<Cell<u64>>;

/// The channel to a page.
struct Page {
    chunks: mpsc::Sender<Chunk>,
    left_out: Arc<AtomicU64>,
    waiting_bytes: Arc<AtomicUsize>,
}

/// The bytes of one read from or one write to a lane's socket.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Chunk {
    /// The lane's name within its session.
    pub lane: Arc<str>,
    /// The connection, numbered from 1 in the order in which connections were first traced.
    pub connection: u64,
    /// Whether the bytes were read from the page, and not written to it.
    pub up: bool,
    /// When they had been read, or when their write began, in ns on the monotonic clock. So bytes never arrive before their time.
    pub at_ns: u64,
    /// The number of bytes.
    pub size: usize,
    /// The first of the bytes, at most [`MAX_SHOWN_BYTES`].
    pub data: Vec<u8>,
    /// The events in all of the bytes.
    pub events: TracedEvents,
}

impl Chunk {
    /// The memory that it takes, in bytes.
    fn memory(&self) -> usize {
        size_of::<Self>() + self.data.len() + size_of_val(&self.events.events[..])
    }
}

/// A page's trace session; dropping it ends the session.
pub struct TraceSession {
    traces: Arc<Traces>,
    name: String,
    chunks: mpsc::Receiver<Chunk>,
    waiting_bytes: Arc<AtomicUsize>,
    /// Chunks that were left out because too many waited for the page.
    left_out: Arc<AtomicU64>,
}

impl Traces {
    /// Opens a session with that name, for the presenter or for a viewer at `address`. `None` if there is one with that name, or if there
    /// are too many.
    pub fn open(self: &Arc<Self>, session: &str, address: IpAddr, presenter: bool) -> Option<TraceSession> {
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
        let (sender, chunks) = mpsc::channel(MAX_WAITING);
        let left_out = Arc::new(AtomicU64::new(0));
        let waiting_bytes = Arc::new(AtomicUsize::new(0));
        let page = Page { chunks: sender, left_out: left_out.clone(), waiting_bytes: waiting_bytes.clone() };
        let page = Arc::new(page);
        let viewer = (!presenter).then_some(address);
        sessions.insert(session.into(), Session { page, viewer, connections: HashMap::new() });
        self.any.store(true, Relaxed);
        Some(TraceSession { traces: self.clone(), name: session.into(), chunks, waiting_bytes, left_out })
    }

    /// Cuts every connection that carried a lane of the session, as a network failure would.
    pub fn cut(&self, session: &str) {
        if let Some(session) = self.sessions().get_mut(session) {
            for (_, connection) in session.connections.drain() {
                // An error means that the connection has ended already.
                let _ = connection.send(());
            }
        }
    }

    fn any(&self) -> bool {
        self.any.load(Relaxed)
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<String, Session>> {
        self.sessions.lock().expect("no holder of the sessions panics")
    }
}

impl TraceSession {
    /// The next chunk; `None` once the session has been closed.
    async fn next(&mut self) -> Option<Chunk> {
        let chunk = self.chunks.recv().await?;
        self.waiting_bytes.fetch_sub(chunk.memory(), Relaxed);
        Some(chunk)
    }
}

impl Drop for TraceSession {
    fn drop(&mut self) {
        let mut sessions = self.traces.sessions();
        sessions.remove(&self.name);
        self.traces.any.store(!sessions.is_empty(), Relaxed);
    }
}

/// The trace of one connection, or of one stream of an HTTP/2 connection.
pub struct WireTrace {
    traces: Arc<Traces>,
    /// Cuts the connection, or resets the stream.
    cut: Rc<dyn Fn()>,
    connection: ConnectionNumber,
    flow: RefCell<Flow>,
}

#[derive(Default)]
struct Flow {
    /// The number under which sessions know how to cut it; 0 until it is first traced.
    number: u64,
    /// One task for each session that may cut the connection. They run on the connection's own worker, so its socket need not be shared.
    cutters: Option<JoinSet<()>>,
    /// The lane of the request that is being received.
    up: Option<Lane>,
    /// The lane of the response that is being sent.
    down: Option<Lane>,
    /// Whether the connection has been upgraded. Then the received bytes are frames, and belong to the lane that sent the handshake.
    upgraded: bool,
    /// Finds the events in the response.
    scanner: EventScanner,
}

/// A lane of an open session.
#[derive(Clone)]
struct Lane {
    name: Arc<str>,
    page: Weak<Page>,
}

impl WireTrace {
    /// The trace of a new connection or stream, which `cut` cuts.
    pub fn new(traces: Arc<Traces>, cut: Rc<dyn Fn()>, connection: ConnectionNumber) -> Self {
        Self { traces, cut, connection, flow: RefCell::default() }
    }

    /// Cuts the connection.
    pub fn cut(&self) {
        (self.cut)();
    }

    /// Whether there are trace sessions.
    pub fn is_active(&self) -> bool {
        self.traces.any()
    }

    /// Records a request's line and headers; `lane` is the one that the request names, SESSION.NAME.
    pub fn request(&self, headers: &[u8], lane: Option<&str>) {
        self.sized_request(headers.len(), headers, lane);
    }

    /// The same for headers that took `size` bytes on the wire, and of which `headers` is the text.
    pub fn sized_request(&self, size: usize, headers: &[u8], lane: Option<&str>) {
        if !self.traces.any() {
            return;
        }
        let mut flow = self.flow();
        flow.up = lane.and_then(|lane| self.lane(&mut flow, lane));
        if let Some(lane) = &flow.up {
            self.send(lane, true, size, &[&mask::headers(headers)], TracedEvents::default());
        }
    }

    /// Whether a request named a lane of an open session.
    pub fn has_lane(&self) -> bool {
        self.flow().down.is_some()
    }

    /// Records a frame of HTTP/2, or the rest of one, which was read or written at `at_ns`: `size` bytes on the wire, which contain `data`.
    pub fn frame(&self, up: bool, size: usize, data: &[u8], at_ns: u64) {
        if !self.traces.any() {
            return;
        }
        let mut flow = self.flow();
        let Flow { up: from_page, down, scanner, .. } = &mut *flow;
        let Some(lane) = (if up { from_page } else { down }) else { return };
        let events = if up { TracedEvents::default() } else { scanner.read(&[data], MAX_SHOWN_BYTES) };
        self.send_at(at_ns, lane, up, size, &[data], events);
    }

    /// Records bytes of the body of the last request.
    pub fn body(&self, bytes: &[u8]) {
        if !self.traces.any() {
            return;
        }
        let flow = self.flow();
        if let Some(lane) = &flow.up {
            self.send(lane, true, bytes.len(), &[bytes], TracedEvents::default());
        }
    }

    /// From now on, the bytes that are written are the response to a request that names `lane`, SESSION.NAME.
    pub fn response(&self, lane: Option<&str>) {
        if !self.traces.any() {
            return;
        }
        let mut flow = self.flow();
        flow.down = lane.and_then(|lane| self.lane(&mut flow, lane));
        // A response begins outside of any event, even if the response before it was cut off in the middle of one.
        flow.scanner = EventScanner::default();
    }

    /// From now on, the bytes that are read are frames of the lane whose request was the handshake; `early` was read together with that.
    pub fn upgraded(&self, early: &[u8]) {
        let mut flow = self.flow();
        // The handshake is the request whose response is being sent. The last request that was received may belong to another lane, if
        // several clients share the connection.
        flow.up = flow.down.clone();
        flow.upgraded = true;
        drop(flow);
        self.read(early);
    }

    /// Records bytes that were read after an upgrade. The bytes of requests are recorded by [`Self::request`] and [`Self::body`].
    pub fn read(&self, bytes: &[u8]) {
        if !self.traces.any() || bytes.is_empty() {
            return;
        }
        let flow = self.flow();
        if let Some(lane) = flow.up.as_ref().filter(|_| flow.upgraded) {
            self.send(lane, true, bytes.len(), &[bytes], TracedEvents::default());
        }
    }

    /// The time before a write, in ns on the monotonic clock; `None` if its bytes will not be traced.
    pub fn before_write(&self) -> Option<u64> {
        (self.traces.any() && self.has_lane()).then(clock::now_ns)
    }

    /// Records that the first `written` bytes of `parts` were written, in a write before which [`Self::before_write`] returned `at_ns`.
    pub fn wrote(&self, parts: &[IoSlice<'_>], written: usize, at_ns: Option<u64>) {
        let Some(at_ns) = at_ns else { return };
        let mut flow = self.flow();
        let Flow { down: Some(lane), scanner, .. } = &mut *flow else { return };
        let mut left = written;
        let parts: Vec<&[u8]> = parts
            .iter()
            .map(|part| {
                let length = part.len().min(left);
                left -= length;
                &part[..length]
            })
            .collect();
        let events = scanner.read(&parts, MAX_SHOWN_BYTES);
        self.send_at(at_ns, lane, false, written, &parts, events);
    }

    /// The lane with that name, if its session is open. From now on, the page of that session may cut this connection.
    fn lane(&self, flow: &mut Flow, lane: &str) -> Option<Lane> {
        let (session, name) = lane.split_once('.')?;
        let mut sessions = self.traces.sessions();
        let session = sessions.get_mut(session)?;
        if self.connection.get() == 0 {
            self.connection.set(self.traces.connections.fetch_add(1, Relaxed) + 1);
        }
        if flow.number == 0 {
            flow.number = self.traces.numbers.fetch_add(1, Relaxed) + 1;
        }
        session.connections.retain(|_, connection| !connection.is_closed());
        session.connections.entry(flow.number).or_insert_with(|| {
            let (sender, cut_requested) = oneshot::channel();
            let cut = self.cut.clone();
            let cutters = flow.cutters.get_or_insert_default();
            // Forgets the tasks of sessions that have ended.
            while cutters.try_join_next().is_some() {}
            cutters.spawn_local(async move {
                if cut_requested.await.is_ok() {
                    cut();
                }
            });
            sender
        });
        Some(Lane { name: name.into(), page: Arc::downgrade(&session.page) })
    }

    fn send(&self, lane: &Lane, up: bool, size: usize, parts: &[&[u8]], events: TracedEvents) {
        self.send_at(clock::now_ns(), lane, up, size, parts, events);
    }

    fn send_at(&self, at_ns: u64, lane: &Lane, up: bool, size: usize, parts: &[&[u8]], events: TracedEvents) {
        let Some(page) = lane.page.upgrade() else { return };
        let data = parts.iter().flat_map(|part| part.iter().copied()).take(MAX_SHOWN_BYTES).collect();
        let connection = self.connection.get();
        let chunk = Chunk { lane: lane.name.clone(), connection, up, at_ns, size, data, events };
        let memory = chunk.memory();
        let room = page.waiting_bytes.fetch_add(memory, Relaxed) + memory <= MAX_WAITING_BYTES;
        if !room || page.chunks.try_send(chunk).is_err() {
            page.waiting_bytes.fetch_sub(memory, Relaxed);
            page.left_out.fetch_add(1, Relaxed);
        }
    }

    fn flow(&self) -> RefMut<'_, Flow> {
        self.flow.borrow_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_of_viewers_are_limited_per_address_except_on_loopback_and_not_for_the_presenter() {
        let traces = Arc::new(Traces::default());
        let [one, other, here] = ["10.0.0.1", "10.0.0.2", "127.0.0.1"].map(|address| address.parse().unwrap());
        let open = |count: usize, address: IpAddr, presenter: bool| -> Vec<TraceSession> {
            let name = |index| format!("{address}_{presenter}_{index}");
            (0..count).filter_map(|index| traces.open(&name(index), address, presenter)).collect()
        };
        let viewers = open(MAX_SESSIONS, one, false);
        assert_eq!(viewers.len(), MAX_SESSIONS_PER_ADDRESS);
        assert_eq!(open(1, other, false).len(), 1);
        assert_eq!(open(MAX_SESSIONS_PER_ADDRESS + 1, here, false).len(), MAX_SESSIONS_PER_ADDRESS + 1);
        let local = open(MAX_SESSIONS, here, false);
        assert_eq!(viewers.len() + local.len(), MAX_SESSIONS - RESERVED_SESSIONS);
        assert_eq!(open(MAX_SESSIONS, one, true).len(), RESERVED_SESSIONS);
        drop(viewers);
        assert_eq!(open(MAX_SESSIONS, one, true).len(), RESERVED_SESSIONS + MAX_SESSIONS_PER_ADDRESS);
    }
}
