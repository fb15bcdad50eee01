//! STOMP 1.2 over WebSocket (stomp.github.io/stomp-specification-1.2.html).
//!
//! - Starts with `GET /ws` and the headers of the upgrade, among them `Sec-WebSocket-Protocol: v12.stomp`. Then the client sends CONNECT, and
//!   SUBSCRIBE to the destination `/feed`. The header `after` of SUBSCRIBE is the cursor to resume from.
//! - Each event is a MESSAGE frame, whose `message-id` is the sequence number. The frame contains the `id` that the client has chosen for its
//!   subscription, so it is encoded once for all subscribers with the same `id`.
//! - Resumes with a new connection and `after`. A gap is a MESSAGE whose body is the gap.
//! - Costs the frame of WebSocket and about 80 bytes of headers per event; a line end as heartbeat, if the client has asked for heartbeats.
//!
//! SEND to `/feed` publishes, if the client may publish: by the headers of the handshake, or with the presenter's token as `passcode`.
//! Subscriptions are acknowledged automatically; there are no transactions. An error is an ERROR frame, after which the connection closes.

use std::rc::Rc;
use std::sync::Arc;

use protocol::envelope::stomp::{DESTINATION, Frame, HEARTBEAT, MAX_ID_BYTES, encode, message, parse};
use protocol::{Bookmark, clock};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::session::{Session, Step};
use crate::carrier::WebSocket;
use crate::fan_out::{self, Dispatcher};
use crate::feed::Encoding;
use crate::state::ServerState;

/// Serves one client until either side ends the connection. `after` is the cursor in the query of the handshake, which a SUBSCRIBE without
/// a cursor resumes from.
pub async fn session(
    socket: WebSocket,
    state: Arc<ServerState>,
    dispatcher: Rc<Dispatcher>,
    after: Option<Bookmark>,
    may_publish: bool,
) {
    let mut session = Session::new(socket, state.feed.clone(), dispatcher);
    let mut client = Client { state, after, may_publish, connected: false, heartbeats: false, subscription: None };
    loop {
        let open = match session.next().await {
            Step::Text(text) => match client.receive(text.as_bytes(), &mut session).await {
                Ok(true) => true,
                Ok(false) => return session.close(CloseCode::Normal.into(), "").await,
                Err(error) => {
                    session.send(error.frame()).await;
                    return session.close(CloseCode::Protocol.into(), error.message).await;
                }
            },
            Step::Heartbeat if client.heartbeats => session.send(HEARTBEAT.to_vec()).await,
            Step::Heartbeat => session.ping().await,
            Step::Gap(gap) => match &client.subscription {
                Some(id) => session.send(message(id, gap.resume().0, &gap.encode())).await,
                None => true,
            },
            Step::Timer | Step::Removed | Step::Closed => false,
        };
        if !open {
            return;
        }
    }
}

/// What the server knows of the client.
struct Client {
    state: Arc<ServerState>,
    after: Option<Bookmark>,
    may_publish: bool,
    connected: bool,
    /// Whether the client wants heartbeats.
    heartbeats: bool,
    /// The `id` of its subscription.
    subscription: Option<Rc<str>>,
}

/// An error, which ends the connection.
struct Error {
    message: &'static str,
    /// The `receipt` of the frame that caused it.
    receipt: Option<String>,
}

impl Error {
    fn frame(&self) -> Vec<u8> {
        let mut headers = vec![("message", self.message), ("version", "1.2"), ("content-type", "text/plain")];
        headers.extend(self.receipt.as_deref().map(|id| ("receipt-id", id)));
        encode("ERROR", &headers, self.message.as_bytes())
    }
}

impl Client {
    /// Handles a message: frames, or heartbeats. Returns whether the session goes on.
    async fn receive(&mut self, mut text: &[u8], session: &mut Session) -> Result<bool, Error> {
        while !text.is_empty() {
            let (frame, length) = parse(text).map_err(|error| Error { message: error.fault(), receipt: None })?;
            text = &text[length..];
            let Some(frame) = frame else { continue };
            let receipt = frame.header("receipt").map(str::to_string);
            let done = self.handle(&frame, session).await;
            let ends = frame.command == "DISCONNECT";
            match done {
                Err(message) => return Err(Error { message, receipt }),
                Ok(reply) => {
                    let receipt = receipt.map(|id| encode("RECEIPT", &[("receipt-id", &id)], b""));
                    for frame in reply.into_iter().chain(receipt) {
                        if !session.send(frame).await {
                            return Ok(false);
                        }
                    }
                }
            }
            if ends {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Handles a frame; returns the frame to reply with, if any.
    async fn handle(&mut self, frame: &Frame<'_>, session: &mut Session) -> Result<Option<Vec<u8>>, &'static str> {
        match frame.command {
            "CONNECT" | "STOMP" => self.connect(frame).await.map(Some),
            _ if !self.connected => Err("the first frame must be CONNECT"),
            "SUBSCRIBE" => self.subscribe(frame, session).map(|()| None),
            "UNSUBSCRIBE" => match frame.header("id") {
                Some(id) if self.subscription.as_deref() == Some(id) => {
                    self.subscription = None;
                    session.stop_delivery();
                    Ok(None)
                }
                _ => Err("UNSUBSCRIBE needs the id of a subscription"),
            },
            "SEND" => self.publish(frame).await.map(|()| None),
            "DISCONNECT" => Ok(None),
            // Subscriptions are acknowledged automatically.
            "ACK" | "NACK" => Ok(None),
            "BEGIN" | "COMMIT" | "ABORT" => Err("this server has no transactions"),
            _ => Err("an unknown command"),
        }
    }

    async fn connect(&mut self, frame: &Frame<'_>) -> Result<Vec<u8>, &'static str> {
        if self.connected {
            return Err("the client is connected already");
        }
        if !frame.header("accept-version").is_some_and(|versions| versions.split(',').any(|version| version == "1.2")) {
            return Err("accept-version must contain 1.2");
        }
        if let (Some(presenter), Some(token)) = (&self.state.presenter, frame.header("passcode")) {
            if !presenter.check(token).await {
                self.state.counters.token_refused();
                return Err("the passcode is not the presenter's token");
            }
            self.may_publish = true;
        }
        self.connected = true;
        let wanted = frame.header("heart-beat").and_then(|pair| pair.split_once(',')).map(|(_, wanted)| wanted.trim());
        self.heartbeats = wanted.is_some_and(|wanted| wanted != "0");
        // The first tick may come right after the last message, so a pause may be as long as two intervals.
        let interval = if self.heartbeats { 2 * fan_out::HEARTBEAT.as_millis() } else { 0 };
        let heartbeat = format!("{interval},0");
        Ok(encode("CONNECTED", &[("version", "1.2"), ("server", "transport-lab"), ("heart-beat", &heartbeat)], b""))
    }

    fn subscribe(&mut self, frame: &Frame<'_>, session: &mut Session) -> Result<(), &'static str> {
        let id = frame.header("id").ok_or("SUBSCRIBE needs an id")?;
        if id.len() > MAX_ID_BYTES {
            return Err("an id has at most 64 bytes");
        }
        if frame.header("destination") != Some(DESTINATION) {
            return Err("the only destination is /feed");
        }
        if frame.header("ack").is_some_and(|mode| mode != "auto") {
            return Err("ack must be auto");
        }
        if self.subscription.is_some() {
            return Err("a connection has one subscription");
        }
        let after = match frame.header("after") {
            Some(text) => Some(text.parse().map_err(|_| "after must be a cursor, like 41")?),
            // The cursor of the handshake is that of the first subscription only.
            None => self.after.take(),
        };
        let id: Rc<str> = id.into();
        session.deliver(after, Encoding::stomp(id.clone()));
        self.subscription = Some(id);
        Ok(())
    }

    async fn publish(&self, frame: &Frame<'_>) -> Result<(), &'static str> {
        if frame.header("destination") != Some(DESTINATION) {
            return Err("the only destination is /feed");
        }
        if frame.header("transaction").is_some() {
            return Err("this server has no transactions");
        }
        if !self.may_publish {
            return Err("publishing requires the presenter's token");
        }
        let data = std::str::from_utf8(frame.body).map_err(|_| "an event's data must be text")?;
        let published = self.state.sink.publish(clock::now_ns(), data).await;
        published.map(drop).map_err(|_| "the broker of the feed does not respond")
    }
}
