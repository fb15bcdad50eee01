//! The messages of a client of Socket.IO, and the replies to them.

use std::sync::Arc;

use bytes::Bytes;
use protocol::envelope::engine_io::{self, Kind};
use protocol::envelope::socket_io::{Packet, Type, parse};
use protocol::envelope::{Malformed, websocket};
use protocol::{Bookmark, clock};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::hub::{Membership, Session, To};
use crate::state::ServerState;

/// The namespace of the feed.
pub const FEED: &str = "/";
/// The namespaces: that of the feed, and one in which only clients send messages.
const NAMESPACES: [&str; 2] = [FEED, "/chat"];
/// How much of a client's own text an error repeats, in characters; and the longest namespace, in bytes.
const MAX_REPEATED_CHARACTERS: usize = 64;
const MAX_NAMESPACE_BYTES: usize = 64;

/// What a client sends when it connects to a namespace.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Auth {
    /// The cursor to resume from.
    after: Option<Value>,
    /// The presenter's token.
    token: Option<String>,
}

/// The effect of a message.
#[derive(Default)]
pub struct Effect {
    /// The packets of Engine.IO to reply with.
    pub replies: Vec<Vec<u8>>,
    /// Whether the session has been connected to the namespace of the feed, or disconnected from it.
    pub feed_changed: bool,
}

impl Effect {
    fn reply(packet: &Packet) -> Self {
        Self { replies: vec![packet.encode()], feed_changed: false }
    }
}

/// Handles the text of a message of Engine.IO.
///
/// # Errors
/// When it is not a packet of Socket.IO; the session has to be closed.
pub async fn receive(text: &[u8], session: &Session, state: &Arc<ServerState>) -> Result<Effect, Malformed> {
    let packet = parse(text)?;
    if packet.namespace.len() > MAX_NAMESPACE_BYTES {
        return Err(Malformed::new("socket.io", "a namespace has at most 64 bytes"));
    }
    let namespace = NAMESPACES.into_iter().find(|known| *known == packet.namespace);
    let refuse = |message: &str| {
        let error = json!({ "message": message }).to_string();
        Effect::reply(&Packet { kind: Type::ConnectError, id: None, data: error.as_bytes(), ..packet.clone() })
    };
    Ok(match (packet.kind, namespace) {
        (Type::Connect, None) => refuse("there is no such namespace; there are / and /chat"),
        (Type::Connect, Some(namespace)) => match connect(packet.data, session, namespace, state).await {
            Ok(id) => {
                let content = json!({ "sid": id }).to_string();
                let packet = Packet { kind: Type::Connect, id: None, data: content.as_bytes(), ..packet };
                Effect { replies: vec![packet.encode()], feed_changed: namespace == FEED }
            }
            Err(message) => refuse(&message),
        },
        (Type::Disconnect, Some(namespace)) => {
            state.socket_io.disconnect(session, namespace);
            if namespace == FEED {
                session.change(|connected| connected.cursor = None);
            }
            Effect { replies: Vec::new(), feed_changed: namespace == FEED }
        }
        (Type::Event, Some(namespace)) => event(&packet, session, namespace, state).await?,
        // This server asks for no acknowledgements. A packet for a namespace that the client is not connected to is ignored.
        (Type::Ack, _) | (Type::Disconnect | Type::Event, None) => Effect::default(),
        (Type::ConnectError, _) => return Err(Malformed::new("socket.io", "only the server sends errors")),
    })
}

/// Connects a session to a namespace; returns the id of its socket.
///
/// # Errors
/// Why the connection is refused.
async fn connect(
    data: &[u8],
    session: &Session,
    namespace: &'static str,
    state: &Arc<ServerState>,
) -> Result<String, String> {
    let auth: Auth = match data {
        [] => Auth::default(),
        data => serde_json::from_slice(data).map_err(|_| "auth must be an object with after and token")?,
    };
    let after = match auth.after {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text),
        Some(other) => Some(other.to_string()),
    };
    let after = after.map(|text| text.parse::<Bookmark>()).transpose().map_err(|error| format!("after: {error}"))?;
    let mut may_publish = session.connected().may_publish;
    if let (Some(presenter), Some(token)) = (&state.presenter, auth.token) {
        if !presenter.check(&token).await {
            state.counters.token_refused();
            return Err("this is not the presenter's token".into());
        }
        may_publish = true;
    }
    // Future events are those after the last one now, also if the client polls only later.
    let now = Bookmark { cursor: state.feed.head(), epoch: Some(state.feed.epoch) };
    let id = state.socket_io.connect(session, namespace, may_publish)?;
    if namespace == FEED {
        session.change(|connected| connected.cursor = Some(after.unwrap_or(now)));
    }
    Ok(id)
}

/// Handles an event of a client.
///
/// # Errors
/// When its content is not an array that begins with a name.
async fn event(
    packet: &Packet<'_>,
    session: &Session,
    namespace: &'static str,
    state: &Arc<ServerState>,
) -> Result<Effect, Malformed> {
    let malformed = |_| Malformed::new("socket.io", "an event must be an array that begins with a name");
    let content: Vec<&RawValue> = serde_json::from_slice(packet.data).map_err(malformed)?;
    let (name, arguments) =
        content.split_first().ok_or_else(|| Malformed::new("socket.io", "an event must have a name"))?;
    let name: String = serde_json::from_str(name.get()).map_err(malformed)?;
    let connected = session.connected();
    let Some(socket) = connected.socket(namespace) else { return Ok(Effect::default()) };
    let result = carry_out(&name, arguments, socket, state).await;
    let reply = |kind, data: Value| {
        let data = data.to_string();
        let id = if kind == Type::Ack { packet.id } else { None };
        Effect::reply(&Packet { kind, namespace: namespace.into(), id, data: data.as_bytes() })
    };
    Ok(match (result, packet.id) {
        (Ok(result), Some(_)) => reply(Type::Ack, json!([result])),
        (Ok(_), None) => Effect::default(),
        // An acknowledgement is not sent for an event that was not carried out: the client's timeout reports that.
        (Err(why), _) => {
            let repeated: String = name.chars().take(MAX_REPEATED_CHARACTERS).collect();
            reply(Type::Event, json!(["refused", repeated, why]))
        }
    })
}

/// Carries out what an event asks for; returns the argument of its acknowledgement.
///
/// # Errors
/// Why it was not carried out.
async fn carry_out(
    name: &str,
    arguments: &[&RawValue],
    socket: &Membership,
    state: &Arc<ServerState>,
) -> Result<Value, &'static str> {
    let &Membership { namespace, ref id, may_publish } = socket;
    let text = |index: usize, missing| {
        let argument = arguments.get(index).ok_or(missing)?;
        serde_json::from_str::<String>(argument.get()).map_err(|_| missing)
    };
    let hub = &state.socket_io;
    let send = |to: To, data: Option<&&RawValue>| {
        let data = data.ok_or("data is missing")?;
        if !may_publish {
            return Err("sending requires the presenter's token");
        }
        Ok(json!(hub.send(namespace, &to, id, &message(namespace, data, id))))
    };
    match name {
        "publish" if namespace == FEED => {
            let argument = arguments.first().ok_or("publish has one argument, the data")?;
            // The data of an event is text: other data is published as its JSON.
            let data = text(0, "").unwrap_or_else(|_| argument.get().to_string());
            if !may_publish {
                return Err("publishing requires the presenter's token");
            }
            let published = state.sink.publish(clock::now_ns(), &data).await;
            published.map(|seq| json!(seq)).map_err(|_| "the broker of the feed does not respond")
        }
        "join" => hub.join(id, &text(0, "join has one argument, the name of a room")?).map(|()| json!(true)),
        "leave" => {
            hub.leave(id, &text(0, "leave has one argument, the name of a room")?);
            Ok(json!(true))
        }
        "broadcast" => send(To::All, arguments.first()),
        "to_room" => send(To::Room(&text(0, "to_room has two arguments, a room and data")?), arguments.get(1)),
        "to" => send(To::Socket(&text(0, "to has two arguments, the id of a socket and data")?), arguments.get(1)),
        _ => Err("there is no such event"),
    }
}

/// The frame that delivers a client's message: an event called `message`, with the data and the sender's id.
fn message(namespace: &'static str, data: &RawValue, sender: &str) -> Bytes {
    let content = format!("[\"message\",{},{{\"from\":\"{sender}\"}}]", data.get());
    let packet = Packet { kind: Type::Event, namespace: namespace.into(), id: None, data: content.as_bytes() };
    websocket::text(&packet.encode()).into()
}

/// The packet of Engine.IO in a frame from the mailbox.
pub fn packet_of(frame: &Bytes) -> Bytes {
    let header = websocket::parse(frame).ok().flatten().expect("the frame was encoded here");
    frame.slice(header.length..)
}

/// The frame with a packet of Engine.IO without text.
pub fn frame_of(kind: Kind) -> Bytes {
    websocket::text(&engine_io::encode(kind, b"")).into()
}
