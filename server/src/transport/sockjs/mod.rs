//! SockJS, protocol 0.3.3 (sockjs.github.io/sockjs-protocol/sockjs-protocol-0.3.3.html).
//!
//! - Starts with `GET /sockjs/info`. Then the client tries one transport after another at `/sockjs/SERVER/SESSION/TRANSPORT`: a WebSocket,
//!   streaming responses, and polls. SERVER and SESSION are chosen by the client. Only WebSocket needs no session at the server.
//! - Each event is a JSON string in an array, so the quotation marks of its JSON are escaped. Over WebSocket it is encoded once for all.
//! - Resumes with a new session and `after`, in the query of the URL. A gap is a message of its own. Within a session, the server keeps the
//!   cursor between two requests, as SockJS has no means to acknowledge a response: events in a lost response are lost.
//! - Costs five bytes, and one for each quotation mark, besides those of WebSocket or HTTP.
//!
//! The messages of a client are published, if the client may publish. Not served: the page for iframes of other origins, which would load the
//! library from this server.

mod format;
mod receiver;
pub(crate) mod sessions;

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::{Method, Request, StatusCode};
use protocol::envelope::sockjs::{self, OPEN, parse_sent};
use protocol::{Bookmark, Envelope, clock};
use serde_json::json;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::session::{Session, Step};
use crate::api::publish;
use crate::api::query;
use crate::api::response::{self, Response};
use crate::carrier::{self, Socket, WebSocket};
use crate::fan_out::Dispatcher;
use crate::feed::{Encoding, Unavailable};
use crate::options::MAX_PAYLOAD_BYTES;
use crate::state::ServerState;

use format::Format;

/// The path under which everything is served.
pub const PATH: &str = "/sockjs";

/// The close code of a session whose client sent something malformed. SockJS reserves 3000 to 3999 for applications.
const MALFORMED: u16 = 3002;
/// The close code of a session whose client may not publish.
const MAY_NOT_PUBLISH: u16 = 3003;
/// The close code of a session whose message could not be published.
const UNAVAILABLE: u16 = 3004;

/// Responds to a request below [`PATH`]. The messages of a client are published only if it `may_publish`.
pub async fn respond(
    request: Request<Incoming>,
    state: Arc<ServerState>,
    dispatcher: Rc<Dispatcher>,
    socket: Rc<Socket>,
    may_publish: bool,
) -> Response {
    let path = request.uri().path().strip_prefix(PATH).unwrap_or_default().to_string();
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    let is = |method| request.method() == method;
    let after = match query::parameter(request.uri().query(), "after").map(str::parse::<Bookmark>).transpose() {
        Ok(after) => after,
        Err(error) => return response::bad_request(format!("after: {error}")),
    };
    match parts[..] {
        [] | [""] if is(Method::GET) => response::text(StatusCode::OK, "Welcome to SockJS!\n"),
        ["info"] if is(Method::GET) => info(),
        [server, id, transport] if is_name(server) && is_name(id) => match transport {
            "websocket" if is(Method::GET) => {
                carrier::upgrade(&request, socket, carrier::Properties::plain(MAX_PAYLOAD_BYTES), async move |socket| {
                    session(socket, state, dispatcher, after, may_publish).await;
                })
            }
            "xhr_send" | "jsonp_send" if is(Method::POST) => {
                let (id, jsonp) = (id.to_string(), transport == "jsonp_send");
                send(request, &state, &id, jsonp, may_publish).await
            }
            _ => match Format::of(transport, request.method(), request.uri().query()) {
                Ok(Some(format)) => {
                    let version = request.version();
                    receiver::respond(format, id, after, version, state, dispatcher, socket).await
                }
                Ok(None) => not_found(),
                Err(refusal) => *refusal,
            },
        },
        _ => not_found(),
    }
}

fn not_found() -> Response {
    response::text(StatusCode::NOT_FOUND, "SockJS has nothing here\n")
}

/// Whether a part of the path may be a server number or the name of a session.
fn is_name(part: &str) -> bool {
    !part.is_empty() && part.len() <= 64 && !part.contains('.')
}

/// What the client needs to know before it selects a transport.
fn info() -> Response {
    // Different each time: the client mixes it into its own random numbers.
    let entropy = clock::now_ns() as u32;
    let info = json!({ "websocket": true, "origins": ["*:*"], "cookie_needed": false, "entropy": entropy });
    response::json(StatusCode::OK, &info)
}

/// Publishes the messages in the body of a request to `xhr_send` or `jsonp_send`.
async fn send(request: Request<Incoming>, state: &ServerState, id: &str, jsonp: bool, may_publish: bool) -> Response {
    let Some(session) = state.sockjs.get(id) else { return not_found() };
    let body = match publish::body(request).await {
        Ok(body) => body,
        Err(refusal) => return *refusal,
    };
    // A form of a page without XMLHttpRequest has its content in the field d.
    let text = match body.strip_prefix(b"d=").filter(|_| jsonp) {
        Some(field) => query::decode(field),
        None => body,
    };
    if text.is_empty() {
        return response::text(StatusCode::INTERNAL_SERVER_ERROR, "Payload expected.");
    }
    let Ok(messages) = parse_sent(&text) else {
        return response::text(StatusCode::INTERNAL_SERVER_ERROR, "Broken JSON encoding.");
    };
    if !may_publish && !messages.is_empty() {
        session.close(MAY_NOT_PUBLISH, "publishing requires the presenter's token");
    } else if publish_all(&messages, state).await.is_err() {
        return response::text(StatusCode::SERVICE_UNAVAILABLE, "the broker of the feed does not respond\n");
    }
    if jsonp { response::text(StatusCode::OK, "ok") } else { response::empty(StatusCode::NO_CONTENT) }
}

/// Publishes messages in their order, until the broker of the feed does not respond.
async fn publish_all(messages: &[Cow<'_, str>], state: &ServerState) -> Result<(), Unavailable> {
    for data in messages {
        state.sink.publish(clock::now_ns(), data).await?;
    }
    Ok(())
}

/// Serves one client over WebSocket until either side ends the connection.
async fn session(
    socket: WebSocket,
    state: Arc<ServerState>,
    dispatcher: Rc<Dispatcher>,
    after: Option<Bookmark>,
    may_publish: bool,
) {
    let mut session = Session::new(socket, state.feed.clone(), dispatcher);
    // The events that come from now on belong to the session, even if they come before it is open.
    let now = Bookmark { cursor: state.feed.head(), epoch: Some(state.feed.epoch) };
    if !session.send(OPEN.to_vec()).await {
        return;
    }
    session.deliver(Some(after.unwrap_or(now)), Encoding::plain(Envelope::SockJs));
    loop {
        let open = match session.next().await {
            // An empty message is ignored.
            Step::Text(text) if text.is_empty() => true,
            Step::Text(text) => match parse_sent(text.as_bytes()) {
                Ok(messages) if may_publish => match publish_all(&messages, &state).await {
                    Ok(()) => true,
                    Err(_) => return close(session, UNAVAILABLE, "the broker of the feed does not respond").await,
                },
                Ok(_) => return close(session, MAY_NOT_PUBLISH, "publishing requires the presenter's token").await,
                Err(malformed) => return close(session, MALFORMED, malformed.fault()).await,
            },
            Step::Heartbeat => session.send(sockjs::HEARTBEAT.to_vec()).await,
            Step::Gap(gap) => session.send(sockjs::encode(&gap.encode())).await,
            Step::Timer | Step::Removed | Step::Closed => return,
        };
        if !open {
            return;
        }
    }
}

/// Closes a session with its own message, and the connection.
async fn close(mut session: Session, code: u16, reason: &'static str) {
    session.send(sockjs::close(code, reason)).await;
    session.close(CloseCode::Normal.into(), reason).await;
}
