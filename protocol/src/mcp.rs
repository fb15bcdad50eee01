//! The messages of the Model Context Protocol, revision 2026-07-28, as far as a tool needs them that answers a question token by token.
//!
//! Every message is a POST of its own, with a JSON-RPC request. Its response is JSON, or a stream of server-sent events: notifications of
//! progress, and the result as the last one. There is neither a session nor a way to resume a stream, so its events have no `id`.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer::Question;
use crate::event::Event;

/// The revision of the protocol.
pub const VERSION: &str = "2026-07-28";
/// The field of `_meta` with the revision that a request follows.
pub const VERSION_FIELD: &str = "io.modelcontextprotocol/protocolVersion";
/// The field of `_meta` with what the client can do.
pub const CAPABILITIES_FIELD: &str = "io.modelcontextprotocol/clientCapabilities";
/// The field of `_meta` with the time at which a token was due, in ns: our own, since the protocol has none.
pub const AT_FIELD: &str = "transport-lab/at";
/// The method that calls a tool.
pub const CALL: &str = "tools/call";
/// The name of the tool.
pub const TOOL: &str = "answer";

/// The body of a request that calls the tool, and asks for progress.
pub fn call(question: &Question) -> Vec<u8> {
    let Question { prompt, tokens, rate, .. } = question;
    let meta = json!({ VERSION_FIELD: VERSION, CAPABILITIES_FIELD: {}, "progressToken": 1 });
    let arguments = json!({ "prompt": prompt, "tokens": tokens, "rate": rate });
    let params = json!({ "name": TOOL, "arguments": arguments, "_meta": meta });
    json!({ "jsonrpc": "2.0", "id": 1, "method": CALL, "params": params }).to_string().into_bytes()
}

/// The headers that repeat parts of that body, for proxies.
pub fn call_headers() -> String {
    format!("MCP-Protocol-Version: {VERSION}\r\nMcp-Method: {CALL}\r\nMcp-Name: {TOOL}\r\n")
}

/// A notification of progress, with a token as its message.
pub fn progress(token: &Value, event: &Event<'_>, total: u32) -> Value {
    let params = json!({
        "progressToken": token,
        "progress": event.seq,
        "total": total,
        "message": event.data,
        "_meta": { AT_FIELD: event.at },
    });
    json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": params })
}

/// The successful response to the request `id`.
pub fn response(id: &Value, mut result: Value) -> Value {
    result["resultType"] = "complete".into();
    result["_meta"] = json!({ "io.modelcontextprotocol/serverInfo": { "name": "transport-lab", "version": env!("CARGO_PKG_VERSION") } });
    json!({ "jsonrpc": "2.0", "id": id, "result": result })
}

/// The result of the tool: its text, or the error that kept it from finishing.
pub fn text(text: &str, is_error: bool) -> Value {
    json!({ "content": [{ "type": "text", "text": text }], "isError": is_error })
}

/// A message as a server-sent event.
pub fn block(message: &Value) -> Vec<u8> {
    format!("event: message\ndata: {message}\n\n").into_bytes()
}

/// A message of the response's stream.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// A token.
    Progress(Event<'static>),
    /// The result: the whole text.
    Result(String),
}

/// Parses a message of the stream.
///
/// # Errors
/// When it is another one, such as an error.
pub fn parse(json: &[u8]) -> Result<Message, serde_json::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Any {
        Progress { params: Params },
        Result { result: Output },
    }
    #[derive(Deserialize)]
    struct Params {
        progress: u64,
        message: String,
        #[serde(rename = "_meta")]
        meta: Meta,
    }
    #[derive(Deserialize)]
    struct Meta {
        #[serde(rename = "transport-lab/at")]
        at: u64,
    }
    #[derive(Deserialize)]
    struct Output {
        content: Vec<Part>,
    }
    #[derive(Deserialize)]
    struct Part {
        text: String,
    }
    Ok(match serde_json::from_slice(json)? {
        Any::Progress { params: Params { progress, message, meta } } => {
            Message::Progress(Event { seq: progress, at: meta.at, data: message.into() })
        }
        Any::Result { result } => Message::Result(result.content.into_iter().map(|part| part.text).collect()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_parsed_again() {
        let event = Event { seq: 3, at: 1_234, data: "word ".into() };
        let notification = progress(&json!(1), &event, 200).to_string();
        assert_eq!(parse(notification.as_bytes()).unwrap(), Message::Progress(event));
        let result = response(&json!(1), text("a b ", false)).to_string();
        assert_eq!(parse(result.as_bytes()).unwrap(), Message::Result("a b ".into()));
        assert!(parse(br#"{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"m"}}"#).is_err());
    }

    #[test]
    fn a_message_is_a_block_without_an_id() {
        let (block, length) = crate::envelope::sse::split(b"event: message\ndata: {\"a\":1}\n\n").unwrap();
        assert_eq!((block.id, block.event), (None, Some(&b"message"[..])));
        assert_eq!(super::block(&json!({ "a": 1 })).len(), length);
    }
}
