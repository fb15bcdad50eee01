//! `POST /mcp`: the answers of `answer.rs` as a tool of the Model Context Protocol, revision 2026-07-28 (Streamable HTTP).
//!
//! - Each request is a POST with one JSON-RPC message. Its headers repeat the method and the tool, so that a proxy need not read the body;
//!   they must agree with it.
//! - A call that names a `progressToken` gets a stream of server-sent events: a notification for each token, and then the result. Other
//!   calls get JSON.
//! - A client that disconnects has cancelled its request. The events have no `id`, and nothing can be resumed: the call must be repeated.

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::{Request, StatusCode, Version};
use protocol::answer::{DONE, MAX_RATE, MAX_TOKENS, Question};
use protocol::mcp::{CALL, TOOL, VERSION, VERSION_FIELD};
use protocol::{Envelope, Event, mcp};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use super::answer::{begin, whole_text};
use super::publish;
use super::response::{self, Body, Response};
use crate::answer::{Answer, subscribe};
use crate::carrier::{Socket, Stream};
use crate::feed::{Encoding, Next};
use crate::state::ServerState;

/// A JSON-RPC request or notification.
#[derive(Deserialize)]
struct Message {
    jsonrpc: String,
    /// `None` for a notification.
    #[serde(default, deserialize_with = "present")]
    id: Option<Value>,
    method: String,
    #[serde(default)]
    params: Value,
}

/// The longest id and the longest token for progress, in bytes.
const MAX_ID_BYTES: usize = 128;
/// The codes of errors: those of JSON-RPC, and those of the protocol.
const PARSE_ERROR: i32 = -32700;
const INVALID_REQUEST: i32 = -32600;
const UNKNOWN_METHOD: i32 = -32601;
const INVALID_PARAMS: i32 = -32602;
const HEADER_MISMATCH: i32 = -32020;
const UNSUPPORTED_VERSION: i32 = -32022;

/// A field that is there, even if its value is null.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// Responds to a message.
pub async fn respond(request: Request<Incoming>, state: Arc<ServerState>, socket: Rc<Socket>) -> Response {
    let (version, headers) = (request.version(), request.headers().clone());
    let body = match publish::body(request).await {
        Ok(body) => body,
        Err(refusal) => return *refusal,
    };
    let Ok(message) = serde_json::from_slice::<Value>(&body) else {
        return error(&Value::Null, PARSE_ERROR, "the body must be JSON".into());
    };
    let Message { jsonrpc, id, method, params } = match serde_json::from_value(message) {
        Ok(message) => message,
        Err(fault) => {
            return error(&Value::Null, INVALID_REQUEST, format!("the body must be a JSON-RPC message: {fault}"));
        }
    };
    if jsonrpc != "2.0" {
        return error(&id.unwrap_or_default(), INVALID_REQUEST, "jsonrpc must be \"2.0\"".into());
    }
    if id.as_ref().is_some_and(|id| !is_short(id)) {
        return error(&Value::Null, INVALID_REQUEST, "id: a number, or a short text".into());
    }
    // A client cancels a request by disconnecting, so there is no notification to act on.
    let Some(id) = id else { return response::empty(StatusCode::ACCEPTED) };
    if let Err(refusal) = check(&headers, &id, &method, &params) {
        return *refusal;
    }
    match &*method {
        "server/discover" => result(
            &id,
            json!({
                "supportedVersions": [VERSION], "capabilities": { "tools": {} }, "ttlMs": 0, "cacheScope": "public",
            }),
        ),
        "tools/list" => result(&id, json!({ "tools": [tool()], "ttlMs": 0, "cacheScope": "public" })),
        CALL => call(id, params, version, state, socket).await,
        _ => error(&id, UNKNOWN_METHOD, "the methods are server/discover, tools/list and tools/call".into()),
    }
}

/// Checks the revision, and that the headers agree with the body.
fn check(headers: &HeaderMap, id: &Value, method: &str, params: &Value) -> Result<(), Box<Response>> {
    let refuse = |code, fault: String| Err(Box::new(error(id, code, fault)));
    let Some(version) = params["_meta"][VERSION_FIELD].as_str() else {
        return refuse(INVALID_PARAMS, format!("params._meta must contain {VERSION_FIELD}"));
    };
    let name = (method == CALL).then(|| params["name"].as_str().unwrap_or_default());
    let expected = [("mcp-protocol-version", Some(version)), ("mcp-method", Some(method)), ("mcp-name", name)];
    for (header, value) in expected {
        if let Some(value) = value
            && headers.get(header).is_none_or(|header| header.as_bytes() != value.as_bytes())
        {
            return refuse(HEADER_MISMATCH, format!("the header {header} must repeat the value in the body"));
        }
    }
    if version == VERSION {
        return Ok(());
    }
    let fault = json!({
        "code": UNSUPPORTED_VERSION,
        "message": format!("the revision must be {VERSION}"),
        "data": { "supported": [VERSION], "requested": version },
    });
    Err(Box::new(response::json(StatusCode::BAD_REQUEST, &json!({ "jsonrpc": "2.0", "id": id, "error": fault }))))
}

/// Whether a value is a number or a text of at most [`MAX_ID_BYTES`]: it is sent back with each message.
fn is_short(id: &Value) -> bool {
    id.is_number() || id.as_str().is_some_and(|text| text.len() <= MAX_ID_BYTES)
}

/// Calls the tool.
async fn call(id: Value, params: Value, version: Version, state: Arc<ServerState>, socket: Rc<Socket>) -> Response {
    if params["name"] != TOOL {
        return error(&id, INVALID_PARAMS, format!("the only tool is {TOOL}"));
    }
    let question = serde_json::from_value::<Question>(params["arguments"].clone()).map_err(|fault| fault.to_string());
    let question = match question.and_then(|question| question.check().map(|()| question)) {
        // Closing the response cancels the request.
        Ok(question) => Question { background: false, ..question },
        // A result, so that a model can read it and correct the call.
        Err(fault) => return result(&id, mcp::text(&format!("arguments: {fault}"), true)),
    };
    let token = params["_meta"]["progressToken"].clone();
    if !token.is_null() && !is_short(&token) {
        return error(&id, INVALID_PARAMS, "progressToken: a number, or a short text".into());
    }
    let total = question.tokens;
    let answer = match begin(question, Duration::ZERO, &state, &socket) {
        Ok(answer) => answer,
        Err(refusal) => return *refusal,
    };
    if token.is_null() {
        let text = whole_text(&answer, &socket).await;
        return result(&id, mcp::text(&text, answer.is_cancelled()));
    }
    let encoding = match version {
        Version::HTTP_11 => Encoding::chunked(Envelope::Sse),
        _ => Encoding::plain(Envelope::Sse),
    };
    let attached = answer.attach();
    let stream = Progress { id, token, total, answer, encoding };
    let mut response =
        response::endless(Envelope::Sse.content_type(), Body::continued(async move |_| stream.send(socket).await));
    response.body_mut().keep(attached);
    response
}

/// A response that tells the progress of an answer.
struct Progress {
    id: Value,
    token: Value,
    total: u32,
    answer: Arc<Answer>,
    encoding: Encoding,
}

impl Progress {
    /// Sends a notification for each token, and then the result, unless the client disconnects.
    async fn send(self, socket: Rc<Socket>) {
        let Self { id, token, total, answer, encoding } = &self;
        let mut subscription = subscribe(answer);
        let mut stream = Stream::new(socket.clone());
        loop {
            let ended = poll_fn(|context| match subscription.poll_next_event(context) {
                Poll::Ready(()) => Poll::Ready(false),
                Poll::Pending => socket.poll_end(context).map(|()| true),
            });
            if ended.await {
                return;
            }
            let (message, is_last) = match subscription.take() {
                Next::Event(entry) => {
                    let event = Event::decode(entry.json()).expect("the feed's own encoding");
                    let message = match &*event.data {
                        DONE => mcp::response(id, mcp::text(&answer.text(), false)),
                        _ => mcp::progress(token, &event, *total),
                    };
                    (encoding.wrap(mcp::block(&message)), false)
                }
                Next::Closed if answer.is_cancelled() => {
                    let last = mcp::block(&mcp::response(id, mcp::text(&answer.text(), true)));
                    ([encoding.wrap(last), encoding.end().into()].concat().into(), true)
                }
                Next::Closed => (encoding.end().into(), true),
                Next::Gap(_) | Next::Nothing => continue,
            };
            let written = async {
                stream.write_all(&message).await?;
                stream.flush().await
            };
            match timeout(socket.state.stall_timeout, written).await {
                Ok(Ok(())) if !is_last => {}
                Ok(_) => return,
                Err(_) => return socket.state.counters.stalled(),
            }
        }
    }
}

/// The description of the tool.
fn tool() -> Value {
    json!({
        "name": TOOL,
        "description": "Answers with words in a random order, one at a time, to show how an answer is streamed.",
        "inputSchema": {
            "type": "object",
            "properties": {
                "prompt": { "type": "string" },
                "tokens": { "type": "integer", "minimum": 1, "maximum": MAX_TOKENS },
                "rate": { "type": "number", "minimum": 1, "maximum": MAX_RATE, "description": "tokens per second" },
            },
            "required": ["prompt"],
            "additionalProperties": false,
        },
    })
}

fn result(id: &Value, result: Value) -> Response {
    response::json(StatusCode::OK, &mcp::response(id, result))
}

/// The response with an error, in the status that belongs to its code.
fn error(id: &Value, code: i32, message: String) -> Response {
    let status = if code == UNKNOWN_METHOD { StatusCode::NOT_FOUND } else { StatusCode::BAD_REQUEST };
    response::json(status, &json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } }))
}
