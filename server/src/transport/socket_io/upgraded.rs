//! Engine.IO over WebSocket: a session that begins there, or that continues there after it began with polls.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use protocol::Envelope;
use protocol::envelope::engine_io::{self, Kind};
use protocol::envelope::socket_io;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::hub::Session as Peer;
use super::{PING_INTERVAL, client, open_packet};
use crate::carrier::WebSocket;
use crate::fan_out::Dispatcher;
use crate::feed::Encoding;
use crate::state::ServerState;
use crate::transport::session::{Session, Step};

/// The time between two checks whether a poll waits that the upgrade has to end.
const POLL_CHECK_INTERVAL: Duration = Duration::from_millis(100);
/// How long a client may take until it uses the WebSocket.
const UPGRADE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a WebSocket waits for the last poll of its session to end.
const LAST_POLL_TIMEOUT: Duration = Duration::from_secs(5);

/// Serves a client until either side ends the connection: continues the session of `peer`, or begins a new one.
pub async fn session(
    socket: WebSocket,
    peer: Option<Arc<Peer>>,
    state: Arc<ServerState>,
    dispatcher: Rc<Dispatcher>,
    may_publish: bool,
) {
    let address = socket.get_ref().socket().peer();
    let mut session = Session::new(socket, state.feed.clone(), dispatcher);
    let (peer, mailbox) = match peer {
        Some(peer) => match upgrade(&mut session, &peer, &state).await {
            Some(mailbox) => (peer, mailbox),
            None => return,
        },
        None => {
            let begun = address.map(|address| state.socket_io.begin(address, may_publish));
            let Ok(Ok(Some(peer))) = begun else {
                return session.close(CloseCode::Again.into(), "too many sessions").await;
            };
            peer.upgrade();
            let mailbox = peer.take_mailbox().expect("nobody else knows the session");
            if !session.send(open_packet(&peer.sid, &[])).await {
                return state.socket_io.end(&peer.sid);
            }
            (peer, mailbox)
        }
    };
    session.set_mailbox(mailbox);
    serve(session, &peer, &state).await;
    state.socket_io.end(&peer.sid);
}

/// Waits for the client's probe, and for the packet with which it leaves polling; returns the session's mailbox. `None` if the connection
/// ends before that; then the session continues with polls.
async fn upgrade(session: &mut Session, peer: &Peer, state: &ServerState) -> Option<mpsc::Receiver<Bytes>> {
    let deadline = Instant::now() + UPGRADE_TIMEOUT;
    let mut probed = false;
    loop {
        session.set_timer(POLL_CHECK_INTERVAL);
        let text = match session.next().await {
            Step::Text(text) => text,
            Step::Timer if Instant::now() < deadline => {
                // The client leaves polling when its last poll has ended.
                if probed && peer.polls().1 {
                    state.socket_io.send_to_session(&peer.sid, client::frame_of(Kind::Noop));
                }
                continue;
            }
            _ => return None,
        };
        match engine_io::parse(text.as_bytes()) {
            Ok((Kind::Ping, b"probe")) => {
                if !session.send(engine_io::encode(Kind::Pong, b"probe")).await {
                    return None;
                }
                probed = true;
                if peer.polls().1 {
                    state.socket_io.send_to_session(&peer.sid, client::frame_of(Kind::Noop));
                }
            }
            Ok((Kind::Upgrade, _)) if peer.upgrade() => break,
            _ => return None,
        }
    }
    if peer.polls().1 {
        state.socket_io.send_to_session(&peer.sid, client::frame_of(Kind::Noop));
    }
    let mailbox = timeout(LAST_POLL_TIMEOUT, peer.mailbox()).await.ok();
    if mailbox.is_none() {
        state.socket_io.end(&peer.sid);
    }
    mailbox
}

/// Serves a session on its WebSocket.
async fn serve(mut session: Session, peer: &Peer, state: &Arc<ServerState>) {
    let encoding = || Encoding::plain(Envelope::SocketIo);
    if let Some(cursor) = peer.connected().cursor {
        session.deliver(Some(cursor), encoding());
    }
    session.set_timer(PING_INTERVAL);
    let mut awaits_pong = false;
    loop {
        let open = match session.next().await {
            Step::Text(text) => match engine_io::parse(text.as_bytes()) {
                Ok((Kind::Message, text)) => match client::receive(text, peer, state).await {
                    Ok(effect) => {
                        let mut open = true;
                        for packet in effect.replies {
                            open &= session.send(packet).await;
                        }
                        if effect.feed_changed {
                            match peer.connected().cursor {
                                Some(cursor) => session.deliver(Some(cursor), encoding()),
                                None => session.stop_delivery(),
                            }
                        }
                        open
                    }
                    Err(malformed) => return session.close(CloseCode::Protocol.into(), malformed.fault()).await,
                },
                Ok((Kind::Pong, _)) => {
                    awaits_pong = false;
                    true
                }
                Ok((Kind::Noop, _)) => true,
                Ok((Kind::Close, _)) => return session.close(CloseCode::Normal.into(), "").await,
                Ok((Kind::Open | Kind::Ping | Kind::Upgrade, _)) | Err(_) => {
                    return session.close(CloseCode::Protocol.into(), "an unexpected packet").await;
                }
            },
            Step::Gap(gap) => session.send(socket_io::encode_gap(&gap.encode())).await,
            Step::Timer if awaits_pong => {
                return session.close(CloseCode::Policy.into(), "ping timeout").await;
            }
            Step::Timer => {
                awaits_pong = true;
                // The reply is due when the next ping is, which is later than the client was told.
                session.set_timer(PING_INTERVAL);
                session.send(engine_io::PING.to_vec()).await
            }
            // The pings of Engine.IO replace those of WebSocket.
            Step::Heartbeat => true,
            Step::Removed => {
                return session.close(CloseCode::Again.into(), "the client does not read its messages").await;
            }
            Step::Closed => return,
        };
        if !open {
            return;
        }
    }
}
