//! The hub: all clients of Socket.IO, their rooms, and the messages that they send each other.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use bytes::Bytes;
use protocol::Bookmark;
use tokio::sync::{Notify, mpsc};

use crate::api::presenter::secret;
use crate::quota::{Place, Quota};

/// The most sessions at once, and the most from one address other than this machine's.
const MAX_SESSIONS: usize = 20_000;
const MAX_SESSIONS_PER_ADDRESS: usize = 1_000;
/// The most messages that may wait to be sent to a client. A client with more is disconnected.
const MAX_WAITING: usize = 256;
/// The most rooms that a socket may be in, and the longest name of a room, in bytes.
const MAX_ROOMS: usize = 64;
const MAX_ROOM_BYTES: usize = 64;
/// The most memberships in rooms, of all sockets together.
const MAX_MEMBERSHIPS: usize = 200_000;

/// All clients of the server.
pub struct Hub {
    quota: Arc<Quota>,
    state: Mutex<State>,
}

impl Default for Hub {
    fn default() -> Self {
        Self { quota: Quota::new(MAX_SESSIONS, MAX_SESSIONS_PER_ADDRESS), state: Mutex::default() }
    }
}

#[derive(Default)]
struct State {
    /// The sessions of Engine.IO by their name, `sid`.
    sessions: HashMap<String, Entry>,
    /// The sockets of Socket.IO by their id. A session has a socket for each namespace that it is connected to.
    sockets: HashMap<String, Socket>,
    /// The ids of the sockets in each room, by namespace and name.
    rooms: HashMap<(&'static str, String), HashSet<String>>,
    /// Memberships in rooms, of all sockets together.
    memberships: usize,
}

struct Entry {
    session: Arc<Session>,
    /// Sends frames to the session. The hub has the only copy, so that a session that was removed notices it.
    mailbox: mpsc::Sender<Bytes>,
    _place: Place,
}

struct Socket {
    namespace: &'static str,
    session: String,
    rooms: HashSet<String>,
}

/// A session of Engine.IO.
pub struct Session {
    /// Its name.
    pub sid: String,
    state: Mutex<SessionState>,
    /// Notified when the mailbox is given back.
    returned: Notify,
}

#[derive(Default)]
struct SessionState {
    /// The frames for this session; `None` while a poll or a WebSocket waits for them.
    mailbox: Option<mpsc::Receiver<Bytes>>,
    connected: Connected,
    /// Whether it continues on a WebSocket.
    upgraded: bool,
    /// How many polls there were so far.
    polls: u64,
    /// When the last ping was sent over polling, or the session began.
    pinged_at: Option<Instant>,
    /// Whether the client has not replied to it yet.
    awaits_pong: bool,
}

/// What a session is connected to.
#[derive(Debug, Clone, Default)]
pub struct Connected {
    /// A socket for each namespace.
    pub sockets: Vec<Membership>,
    /// The cursor in the feed; `None` until the session is connected to the namespace of the feed.
    pub cursor: Option<Bookmark>,
    /// Whether the requests of the session prove the right to publish. A socket may also have it by its token.
    pub may_publish: bool,
}

/// The connection of a session to a namespace.
#[derive(Debug, Clone)]
pub struct Membership {
    /// The namespace.
    pub namespace: &'static str,
    /// The id of the socket.
    pub id: String,
    /// Whether the client may publish and send messages there.
    pub may_publish: bool,
}

impl Connected {
    /// The socket in that namespace.
    pub fn socket(&self, namespace: &str) -> Option<&Membership> {
        self.sockets.iter().find(|socket| socket.namespace == namespace)
    }
}

/// The addressees of a message.
pub enum To<'a> {
    /// All sockets of the namespace.
    All,
    /// The sockets in this room.
    Room(&'a str),
    /// The socket with this id.
    Socket(&'a str),
}

impl Hub {
    /// Begins a session of a client at `address`; `None` if there are too many.
    ///
    /// # Errors
    /// When the system provides no random numbers.
    pub fn begin(&self, address: IpAddr, may_publish: bool) -> io::Result<Option<Arc<Session>>> {
        let Some(place) = self.quota.place(address) else { return Ok(None) };
        let sid = secret()?;
        let (sender, mailbox) = mpsc::channel(MAX_WAITING);
        let connected = Connected { may_publish, ..Connected::default() };
        let pinged_at = Some(Instant::now());
        let state = SessionState { mailbox: Some(mailbox), connected, pinged_at, ..SessionState::default() };
        let session = Arc::new(Session { sid: sid.clone(), state: Mutex::new(state), returned: Notify::new() });
        self.lock().sessions.insert(sid, Entry { session: session.clone(), mailbox: sender, _place: place });
        Ok(Some(session))
    }

    /// The session with that name.
    pub fn get(&self, sid: &str) -> Option<Arc<Session>> {
        self.lock().sessions.get(sid).map(|entry| entry.session.clone())
    }

    /// Ends a session and its sockets.
    pub fn end(&self, sid: &str) {
        let mut hub = self.lock();
        if let Some(entry) = hub.sessions.remove(sid) {
            for socket in entry.session.connected().sockets {
                hub.remove_socket(&socket.id);
            }
        }
    }

    /// Connects a session to a namespace; returns the id of its socket there.
    ///
    /// # Errors
    /// Why it cannot be connected: the session has ended, or is connected already, or the system provides no random numbers.
    pub fn connect(
        &self,
        session: &Session,
        namespace: &'static str,
        may_publish: bool,
    ) -> Result<String, &'static str> {
        let id = secret().map_err(|_| "the system provides no random numbers")?;
        let socket = Socket { namespace, session: session.sid.clone(), rooms: HashSet::new() };
        // Within the lock, so that the end of the session finds the socket.
        let mut hub = self.lock();
        if !hub.sessions.contains_key(&session.sid) {
            return Err("the session has ended");
        }
        session.change(|connected| {
            if connected.socket(namespace).is_some() {
                return Err("the session is connected to this namespace already");
            }
            connected.sockets.push(Membership { namespace, id: id.clone(), may_publish });
            Ok(())
        })?;
        hub.sockets.insert(id.clone(), socket);
        Ok(id)
    }

    /// Disconnects a session from a namespace.
    pub fn disconnect(&self, session: &Session, namespace: &str) {
        let id = session.change(|connected| {
            let index = connected.sockets.iter().position(|socket| socket.namespace == namespace)?;
            Some(connected.sockets.remove(index).id)
        });
        if let Some(id) = id {
            self.lock().remove_socket(&id);
        }
    }

    /// Adds a socket to a room.
    ///
    /// # Errors
    /// Why it cannot be added.
    pub fn join(&self, id: &str, room: &str) -> Result<(), &'static str> {
        if room.is_empty() || room.len() > MAX_ROOM_BYTES {
            return Err("the name of a room has 1 to 64 bytes");
        }
        let mut hub = self.lock();
        let State { sockets, rooms, memberships, .. } = &mut *hub;
        let socket = sockets.get_mut(id).ok_or("the socket is not connected")?;
        if socket.rooms.contains(room) {
            return Ok(());
        }
        if socket.rooms.len() >= MAX_ROOMS {
            return Err("a socket may be in 64 rooms");
        }
        if *memberships >= MAX_MEMBERSHIPS {
            return Err("there are too many members of rooms");
        }
        *memberships += 1;
        socket.rooms.insert(room.into());
        rooms.entry((socket.namespace, room.into())).or_default().insert(id.into());
        Ok(())
    }

    /// Removes a socket from a room.
    pub fn leave(&self, id: &str, room: &str) {
        let mut hub = self.lock();
        if let Some(socket) = hub.sockets.get_mut(id)
            && socket.rooms.remove(room)
        {
            let namespace = socket.namespace;
            hub.remove_from_room(namespace, room, id);
        }
    }

    /// Sends a frame to the addressees in a namespace, except the socket called `sender`; returns to how many. The frame is encoded once, and
    /// shared by all of them.
    pub fn send(&self, namespace: &'static str, to: &To, sender: &str, frame: &Bytes) -> usize {
        let mut hub = self.lock();
        let mut reached = 0;
        let mut slow = Vec::new();
        let State { sessions, sockets, rooms, .. } = &mut *hub;
        let mut deliver = |id: &str, socket: &Socket| {
            if socket.namespace != namespace || id == sender {
                return;
            }
            match sessions.get(&socket.session).map(|entry| entry.mailbox.try_send(frame.clone())) {
                Some(Ok(())) => reached += 1,
                Some(Err(_)) => slow.push(socket.session.clone()),
                None => {}
            }
        };
        match to {
            To::All => sockets.iter().for_each(|(id, socket)| deliver(id, socket)),
            To::Room(name) => {
                let members = rooms.get(&(namespace, name.to_string())).into_iter().flatten();
                members.filter_map(|id| sockets.get_key_value(id)).for_each(|(id, socket)| deliver(id, socket));
            }
            To::Socket(id) => sockets.get(*id).into_iter().for_each(|socket| deliver(id, socket)),
        }
        drop(hub);
        // A client whose mailbox is full is disconnected. Otherwise it would miss messages without learning of it.
        slow.iter().for_each(|sid| self.end(sid));
        reached
    }

    /// Sends a frame to one session. If its mailbox is full, the session ends.
    pub fn send_to_session(&self, sid: &str, frame: Bytes) {
        let sent = self.lock().sessions.get(sid).is_none_or(|entry| entry.mailbox.try_send(frame).is_ok());
        if !sent {
            self.end(sid);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of the hub panics")
    }
}

impl State {
    fn remove_socket(&mut self, id: &str) {
        if let Some(socket) = self.sockets.remove(id) {
            for room in socket.rooms {
                self.remove_from_room(socket.namespace, &room, id);
            }
        }
    }

    fn remove_from_room(&mut self, namespace: &'static str, room: &str, id: &str) {
        let key = (namespace, room.to_string());
        if let Some(members) = self.rooms.get_mut(&key) {
            self.memberships -= usize::from(members.remove(id));
            if members.is_empty() {
                self.rooms.remove(&key);
            }
        }
    }
}

impl Session {
    fn state(&self) -> MutexGuard<'_, SessionState> {
        self.state.lock().expect("no holder of a session panics")
    }

    /// What it is connected to.
    pub fn connected(&self) -> Connected {
        self.state().connected.clone()
    }

    /// Changes what it is connected to.
    pub fn change<T>(&self, change: impl FnOnce(&mut Connected) -> T) -> T {
        change(&mut self.state().connected)
    }

    /// Takes the mailbox, to wait for its frames; `None` if a poll or a WebSocket already does.
    pub fn take_mailbox(&self) -> Option<mpsc::Receiver<Bytes>> {
        let mut state = self.state();
        state.polls += 1;
        state.mailbox.take()
    }

    /// Gives the mailbox back.
    pub fn return_mailbox(&self, mailbox: mpsc::Receiver<Bytes>) {
        self.state().mailbox = Some(mailbox);
        self.returned.notify_one();
    }

    /// Takes the mailbox as soon as the poll that waits for its frames has ended.
    pub async fn mailbox(&self) -> mpsc::Receiver<Bytes> {
        loop {
            // Given back in between, it leaves a permit, with which the waiting ends at once.
            match self.take_mailbox() {
                Some(mailbox) => return mailbox,
                None => self.returned.notified().await,
            }
        }
    }

    /// How many polls there were so far, and whether one waits now.
    pub fn polls(&self) -> (u64, bool) {
        let state = self.state();
        (state.polls, state.mailbox.is_none())
    }

    /// How long it takes until the next ping over polling is due; `None` if the client has not replied to the last one by then.
    pub fn next_ping(&self, interval: Duration) -> Option<Duration> {
        let state = self.state();
        let left = interval.saturating_sub(state.pinged_at.map_or(Duration::ZERO, |at| at.elapsed()));
        (left > Duration::ZERO || !state.awaits_pong).then_some(left)
    }

    /// Records that a ping is sent.
    pub fn ping(&self) {
        let mut state = self.state();
        (state.pinged_at, state.awaits_pong) = (Some(Instant::now()), true);
    }

    /// Records that the client has replied to a ping.
    pub fn pong(&self) {
        self.state().awaits_pong = false;
    }

    /// Whether it continues on a WebSocket.
    pub fn is_upgraded(&self) -> bool {
        self.state().upgraded
    }

    /// Continues it on a WebSocket; returns whether it did not already.
    pub fn upgrade(&self) -> bool {
        !std::mem::replace(&mut self.state().upgraded, true)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[test]
    fn a_message_reaches_its_addressees_and_not_its_sender() {
        let hub = Hub::default();
        let sessions: Vec<_> = (0..4).map(|_| hub.begin(HERE, true).unwrap().unwrap()).collect();
        let ids: Vec<_> = sessions.iter().map(|session| hub.connect(session, "/", true).unwrap()).collect();
        let other = hub.connect(&sessions[3], "/chat", true).unwrap();
        hub.join(&ids[1], "red").unwrap();
        hub.join(&ids[2], "red").unwrap();
        let frame = Bytes::from_static(b"x");
        assert_eq!(hub.send("/", &To::All, &ids[0], &frame), 3);
        assert_eq!(hub.send("/", &To::Room("red"), &ids[1], &frame), 1);
        assert_eq!(hub.send("/", &To::Room("blue"), &ids[1], &frame), 0);
        assert_eq!(hub.send("/", &To::Socket(&ids[3]), &ids[0], &frame), 1);
        assert_eq!(hub.send("/", &To::Socket(&other), &ids[0], &frame), 0, "another namespace");
        assert_eq!(hub.send("/chat", &To::All, "", &frame), 1);
        hub.leave(&ids[2], "red");
        assert_eq!(hub.send("/", &To::Room("red"), "", &frame), 1);
        sessions.iter().for_each(|session| hub.end(&session.sid));
        let state = hub.lock();
        assert!(state.sessions.is_empty() && state.sockets.is_empty() && state.rooms.is_empty());
        assert_eq!(state.memberships, 0);
    }

    #[test]
    fn a_session_whose_mailbox_is_full_ends() {
        let hub = Hub::default();
        let session = hub.begin(HERE, true).unwrap().unwrap();
        hub.connect(&session, "/", true).unwrap();
        for _ in 0..MAX_WAITING {
            assert_eq!(hub.send("/", &To::All, "", &Bytes::new()), 1);
        }
        assert_eq!(hub.send("/", &To::All, "", &Bytes::new()), 0);
        assert!(hub.get(&session.sid).is_none());
    }

    #[test]
    fn rooms_are_bounded() {
        let hub = Hub::default();
        let session = hub.begin(HERE, true).unwrap().unwrap();
        let id = hub.connect(&session, "/", true).unwrap();
        assert!((0..MAX_ROOMS).all(|number| hub.join(&id, &number.to_string()).is_ok()));
        assert!(hub.join(&id, "one more").is_err() && hub.join(&id, "0").is_ok());
        assert!(hub.join(&id, "").is_err() && hub.join(&id, &"x".repeat(65)).is_err());
        assert!(hub.join("nobody", "room").is_err());
    }

    #[test]
    fn a_session_that_has_ended_cannot_be_connected() {
        let hub = Hub::default();
        let session = hub.begin(HERE, true).unwrap().unwrap();
        hub.end(&session.sid);
        assert!(hub.connect(&session, "/", true).is_err());
        assert!(hub.lock().sockets.is_empty());
    }

    #[test]
    fn a_session_has_one_socket_in_each_namespace() {
        let hub = Hub::default();
        let session = hub.begin(HERE, true).unwrap().unwrap();
        assert!(hub.connect(&session, "/", true).is_ok() && hub.connect(&session, "/chat", true).is_ok());
        assert!(hub.connect(&session, "/", true).is_err());
        assert_eq!(hub.lock().sockets.len(), 2);
    }

    #[test]
    fn sessions_are_limited_per_address_except_on_loopback() {
        let hub = Hub::default();
        let away: IpAddr = "10.0.0.1".parse().unwrap();
        let begin = |address| hub.begin(address, false).unwrap().is_some();
        assert!((0..MAX_SESSIONS_PER_ADDRESS).all(|_| begin(away)) && !begin(away));
        assert!((0..=MAX_SESSIONS_PER_ADDRESS).all(|_| begin(HERE)));
    }

    #[test]
    fn a_ping_without_a_reply_is_noticed_when_the_next_one_is_due() {
        let hub = Hub::default();
        let session = hub.begin(HERE, false).unwrap().unwrap();
        assert!(session.next_ping(Duration::from_secs(25)).unwrap() > Duration::from_secs(20));
        assert_eq!(session.next_ping(Duration::ZERO), Some(Duration::ZERO));
        session.ping();
        assert_eq!(session.next_ping(Duration::ZERO), None);
        session.pong();
        assert_eq!(session.next_ping(Duration::ZERO), Some(Duration::ZERO));
    }
}
