//! Socket.IO 5 over Engine.IO 4 (socket.io/docs/v4).
//!
//! - Starts with `GET /socket.io/?EIO=4&transport=polling`, whose response names a session. The client connects to the namespace `/` by a
//!   POST, and polls. Meanwhile it opens a WebSocket for the same session, and once a probe has come back, the session continues there. A
//!   client may also begin with the WebSocket.
//! - Each event of the feed is a Socket.IO event called `event`, with the event's JSON as its argument. Over WebSocket it is encoded once for
//!   all subscribers.
//! - Resumes with a new session: the content of the connect packet, `auth` in the client libraries, has the cursor as `after`. A gap is an
//!   event called `gap`. The packets of a poll whose response is lost are lost, as Engine.IO has no means to acknowledge it: a client that ends
//!   a poll early loses its session, and begins a new one with its cursor.
//! - Costs four requests and a probe until the WebSocket is used, then 12 bytes per event besides the frame. A ping every 25 s, whether or not
//!   there are events.
//!
//! Clients also send each other messages: to all, to a room, or to one socket; and they publish. Who may do so is as over the other
//! transports; `auth` may contain the presenter's token as `token`.

mod client;
pub(crate) mod hub;
mod polling;
mod upgraded;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::{Method, Request, StatusCode};
use protocol::envelope::engine_io::{self, Kind};
use serde_json::json;

use crate::api::query;
use crate::api::response::{self, Response};
use crate::carrier::{self, Socket};
use crate::fan_out::Dispatcher;
use crate::options::MAX_PAYLOAD_BYTES;
use crate::state::ServerState;

/// The path, which may be followed by a slash.
pub const PATH: &str = "/socket.io";

/// The time between two pings of the server.
const PING_INTERVAL: Duration = Duration::from_secs(25);
/// How long the client may take to reply.
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// The errors of Engine.IO: the code and the message in the body of a 400.
#[derive(Debug, Clone, Copy)]
enum Fault {
    UnknownTransport,
    UnknownSession,
    BadMethod,
    BadRequest,
    Forbidden,
    UnsupportedVersion,
}

impl Fault {
    fn response(self) -> Response {
        let (code, message) = match self {
            Self::UnknownTransport => (0, "Transport unknown"),
            Self::UnknownSession => (1, "Session ID unknown"),
            Self::BadMethod => (2, "Bad handshake method"),
            Self::BadRequest => (3, "Bad request"),
            Self::Forbidden => (4, "Forbidden"),
            Self::UnsupportedVersion => (5, "Unsupported protocol version"),
        };
        let status = if code == 4 { StatusCode::FORBIDDEN } else { StatusCode::BAD_REQUEST };
        response::json(status, &json!({ "code": code, "message": message }))
    }
}

/// Responds to a request. The messages of a client are accepted only if it `may_publish`.
pub async fn respond(
    request: Request<Incoming>,
    state: Arc<ServerState>,
    dispatcher: Rc<Dispatcher>,
    socket: Rc<Socket>,
    may_publish: bool,
) -> Response {
    route(request, state, dispatcher, socket, may_publish).await.unwrap_or_else(Fault::response)
}

async fn route(
    request: Request<Incoming>,
    state: Arc<ServerState>,
    dispatcher: Rc<Dispatcher>,
    socket: Rc<Socket>,
    may_publish: bool,
) -> Result<Response, Fault> {
    let query = request.uri().query();
    let parameter = |name| query::parameter(query, name);
    let over_websocket = match parameter("transport") {
        Some("polling") => false,
        Some("websocket") => true,
        _ => return Err(Fault::UnknownTransport),
    };
    if parameter("EIO") != Some(engine_io::VERSION) {
        return Err(Fault::UnsupportedVersion);
    }
    let session = match parameter("sid") {
        None if request.method() != Method::GET => return Err(Fault::BadMethod),
        None => None,
        Some(sid) => Some(state.socket_io.get(sid).ok_or(Fault::UnknownSession)?),
    };
    // URLs contain the name of a session, so it is not a secret, and does not give the right to publish that the session began with.
    if session.as_ref().is_some_and(|session| session.connected().may_publish && !may_publish) {
        return Err(Fault::Forbidden);
    }
    match (session, over_websocket) {
        (None, false) => {
            let address = socket.peer().map_err(|_| Fault::BadRequest)?;
            polling::begin(&state, address, may_publish).ok_or(Fault::Forbidden)
        }
        (Some(session), false) if session.is_upgraded() => {
            drop(session);
            Err(Fault::BadRequest)
        }
        (Some(session), false) if request.method() == Method::POST => {
            polling::receive(request, &session, &state).await.ok_or(Fault::BadRequest)
        }
        // A response to HEAD has no body, so its packets would be lost.
        (Some(session), false) if request.method() == Method::GET => {
            polling::poll(&session, &state, dispatcher, &socket).await.ok_or(Fault::BadRequest)
        }
        (session, true) if request.method() == Method::GET => {
            let upgrading = carrier::upgrade(
                &request,
                socket,
                carrier::Properties::plain(MAX_PAYLOAD_BYTES),
                async move |socket| {
                    upgraded::session(socket, session, state, dispatcher, may_publish).await;
                },
            );
            Ok(upgrading)
        }
        _ => Err(Fault::BadMethod),
    }
}

/// The packet that opens a session: its settings.
fn open_packet(sid: &str, upgrades: &[&str]) -> Vec<u8> {
    let settings = json!({
        "sid": sid,
        "upgrades": upgrades,
        "pingInterval": PING_INTERVAL.as_millis() as u64,
        "pingTimeout": PING_TIMEOUT.as_millis() as u64,
        "maxPayload": MAX_PAYLOAD_BYTES,
    });
    engine_io::encode(Kind::Open, settings.to_string().as_bytes())
}
