//! Engine.IO over long polling: GET requests wait for packets, and POST requests bring the client's.

use std::future::poll_fn;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use hyper::Request;
use hyper::body::Incoming;
use protocol::envelope::engine_io::{self, Kind, SEPARATOR};
use protocol::envelope::socket_io;
use protocol::{Bookmark, Cursor};
use tokio::sync::mpsc;
use tokio::task::spawn_local;
use tokio::time::{sleep, timeout};

use super::client::{self, packet_of};
use super::hub::{Hub, Session};
use super::{PING_INTERVAL, PING_TIMEOUT, open_packet};
use crate::api::publish;
use crate::api::response::{self, Response};
use crate::carrier::Socket;
use crate::fan_out::{Dispatcher, Subscription};
use crate::feed::Feed;
use crate::state::ServerState;
use crate::transport::MAX_BATCH_BYTES;

const CONTENT_TYPE: &str = "text/plain; charset=UTF-8";
/// The most packets in the response to a poll, and in the body of a POST request.
const MAX_PACKETS: usize = 64;
/// How long a client may take to connect to a namespace.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Begins a session of a client at `address`; `None` if there are too many.
pub fn begin(state: &Arc<ServerState>, address: IpAddr, may_publish: bool) -> Option<Response> {
    let session = state.socket_io.begin(address, may_publish).ok().flatten()?;
    spawn_local(end_when_abandoned(state.clone(), session.sid.clone()));
    Some(response::script(CONTENT_TYPE, open_packet(&session.sid, &["websocket"])))
}

/// Ends a session that is not connected to a namespace in time, or for which no poll was waiting for a ping interval and its timeout.
async fn end_when_abandoned(state: Arc<ServerState>, sid: String) {
    sleep(CONNECT_TIMEOUT).await;
    if state.socket_io.get(&sid).is_none_or(|session| session.connected().sockets.is_empty()) {
        return state.socket_io.end(&sid);
    }
    let mut seen = 0;
    loop {
        sleep(PING_INTERVAL + PING_TIMEOUT).await;
        // A session on a WebSocket ends with that.
        let Some(session) = state.socket_io.get(&sid).filter(|session| !session.is_upgraded()) else { return };
        let (polls, waiting) = session.polls();
        if polls == seen && !waiting {
            return state.socket_io.end(&sid);
        }
        seen = polls;
    }
}

/// Handles the packets in the body of a POST request; `None` if they are malformed, which ends the session.
pub async fn receive(request: Request<Incoming>, session: &Arc<Session>, state: &Arc<ServerState>) -> Option<Response> {
    let body = match publish::body(request).await {
        Ok(body) => body,
        Err(refusal) => return Some(*refusal),
    };
    let mut malformed = false;
    for (number, packet) in engine_io::split(&body).enumerate() {
        match engine_io::parse(packet) {
            _ if number >= MAX_PACKETS => malformed = true,
            Ok((Kind::Message, text)) => match client::receive(text, session, state).await {
                Ok(effect) => {
                    for packet in effect.replies {
                        let frame = protocol::envelope::websocket::text(&packet);
                        state.socket_io.send_to_session(&session.sid, frame.into());
                    }
                    // A poll that waits does not know of the new cursor; it ends, and the next one does.
                    if effect.feed_changed && session.polls().1 {
                        state.socket_io.send_to_session(&session.sid, client::frame_of(Kind::Noop));
                    }
                }
                Err(_) => malformed = true,
            },
            Ok((Kind::Pong, _)) => session.pong(),
            Ok((Kind::Noop, _)) => {}
            Ok((Kind::Close, _)) => {
                state.socket_io.end(&session.sid);
                break;
            }
            Ok((Kind::Open | Kind::Ping | Kind::Upgrade, _)) | Err(_) => malformed = true,
        }
        if malformed {
            state.socket_io.end(&session.sid);
            return None;
        }
    }
    Some(response::script("text/html", b"ok".to_vec()))
}

/// The mailbox of a session, which is given back when the poll ends.
struct Mailbox<'a> {
    session: &'a Session,
    frames: Option<mpsc::Receiver<Bytes>>,
}

impl Drop for Mailbox<'_> {
    fn drop(&mut self) {
        if let Some(frames) = self.frames.take() {
            self.session.return_mailbox(frames);
        }
    }
}

/// Responds to a poll, as soon as there are packets; `None` if another poll waits already.
pub async fn poll(
    session: &Arc<Session>,
    state: &Arc<ServerState>,
    dispatcher: Rc<Dispatcher>,
    socket: &Socket,
) -> Option<Response> {
    let Some(frames) = session.take_mailbox() else {
        state.socket_io.end(&session.sid);
        return None;
    };
    let mut mailbox = Mailbox { session, frames: Some(frames) };
    let frames = mailbox.frames.as_mut().expect("it was just set");
    let packets = match next(session, &state.feed, dispatcher, socket, frames, &state.socket_io).await {
        Some(packets) => packets,
        // The session was ended.
        None => vec![engine_io::encode(Kind::Close, b"").into()],
    };
    let body = packets.iter().map(|packet| &packet[..]).collect::<Vec<_>>().join(&SEPARATOR);
    Some(response::script(CONTENT_TYPE, body))
}

/// The next packets: messages from other clients and replies, or events of the feed, or a ping. `None` if the session was ended.
async fn next(
    session: &Session,
    feed: &Arc<Feed>,
    dispatcher: Rc<Dispatcher>,
    socket: &Socket,
    frames: &mut mpsc::Receiver<Bytes>,
    hub: &Hub,
) -> Option<Vec<Bytes>> {
    hub.get(&session.sid)?;
    let ping = || {
        session.ping();
        Some(vec![Bytes::from_static(engine_io::PING)])
    };
    let Some(until_ping) = session.next_ping(PING_INTERVAL) else {
        hub.end(&session.sid);
        return None;
    };
    if until_ping.is_zero() {
        return ping();
    }
    let mut packets = Vec::new();
    while packets.len() < MAX_PACKETS
        && let Ok(frame) = frames.try_recv()
    {
        packets.push(packet_of(&frame));
    }
    if !packets.is_empty() {
        return Some(packets);
    }
    // A client that has not connected to the namespace of the feed waits for other packets only.
    let cursor = session.connected().cursor;
    // Another request may connect the session anew meanwhile, with a cursor of its own.
    let advance = |to: Bookmark| {
        session.change(|connected| {
            if connected.cursor == cursor {
                connected.cursor = Some(to);
            }
        });
    };
    let after = match cursor.map(|cursor| feed.start(Some(cursor))) {
        Some(Err(gap)) => {
            advance(gap.bookmark());
            return Some(vec![socket_io::encode_gap(&gap.encode()).into()]);
        }
        Some(Ok(after)) => Some(after),
        None => None,
    };
    let mut subscription = Subscription::new(feed.clone(), dispatcher, after.map(Bookmark::from));
    let mut frame = None;
    let mut disconnected = false;
    let waited = poll_fn(|context| {
        if let Poll::Ready(received) = frames.poll_recv(context) {
            frame = Some(received);
            return Poll::Ready(());
        }
        loop {
            match subscription.poll_next_event(context) {
                Poll::Ready(()) if after.is_some() => return Poll::Ready(()),
                // The end of the feed ends the waiting, too; its events do not.
                Poll::Ready(()) if subscription.skip() => return Poll::Ready(()),
                Poll::Ready(()) => {}
                Poll::Pending => return socket.poll_end(context).map(|()| disconnected = true),
            }
        }
    });
    if timeout(until_ping, waited).await.is_err() {
        return ping();
    }
    // A client that ends a poll early has lost its response, so the session ends: it begins a new one with its cursor.
    if disconnected {
        hub.end(&session.sid);
        return None;
    }
    if let Some(frame) = frame {
        return Some(vec![packet_of(&frame?)]);
    }
    let Some(after) = after else { return Some(vec![engine_io::encode(Kind::Noop, b"").into()]) };
    match feed.since(after, MAX_BATCH_BYTES) {
        Ok(events) => {
            let Some(last) = events.last() else { return Some(vec![engine_io::encode(Kind::Noop, b"").into()]) };
            advance(Bookmark { cursor: Cursor(last.seq), epoch: Some(feed.epoch) });
            Some(events.iter().map(|event| socket_io::encode(event.json()).into()).collect())
        }
        Err(gap) => {
            advance(gap.bookmark());
            Some(vec![socket_io::encode_gap(&gap.encode()).into()])
        }
    }
}
