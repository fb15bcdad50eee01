//! How an event is published through a server of another kind, and what confirms that.

use std::collections::BTreeMap;

use anyhow::ensure;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::poll::is_pointer;
use super::request::{check_headers, check_path, is_token};

/// Where the event is inserted into what is published.
const EVENT: &str = "{event}";

/// How an event is published: by an HTTP request, or by a message on a WebSocket.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Publish {
    /// By what: `"http"` (the default), with a request for each event, or `"websocket"`, with a text message for each, all on one connection.
    #[serde(default)]
    pub over: Over,
    /// The path and query.
    pub path: String,
    /// The method of the HTTP request; by default POST.
    pub method: Option<String>,
    /// Further headers of the request.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The body or the message, in which `{event}` is the event's JSON; in a JSON text, `"{event}"` with the quotes is the same as a JSON string.
    #[serde(default = "whole_event")]
    pub body: String,
    /// What acknowledges an event on a WebSocket: the next message of the server that is JSON and has, at this JSON pointer, a value other than
    /// null and false. The next event is published only after that, as after the response of an HTTP request. Without it, every event is
    /// published when it is due, and whether the server has accepted it shows only in what subscribers receive.
    pub acknowledgement: Option<String>,
}

/// By what an event is published.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Over {
    /// By an HTTP request; the status of its response confirms it.
    #[default]
    Http,
    /// By a text message on a WebSocket.
    Websocket,
}

fn whole_event() -> String {
    EVENT.into()
}

impl Publish {
    /// The method of the HTTP request.
    pub fn method(&self) -> &str {
        self.method.as_deref().unwrap_or("POST")
    }

    /// The lines of the further headers.
    pub fn header_lines(&self) -> String {
        self.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect()
    }

    /// The body that publishes an event.
    pub fn body(&self, event: &str) -> String {
        let quoted = format!("\"{EVENT}\"");
        match self.body.contains(&quoted) {
            true => self.body.replace(&quoted, &Value::from(event).to_string()),
            false => self.body.replace(EVENT, event),
        }
    }

    /// Whether a message of the server's acknowledges an event.
    pub fn is_acknowledged_by(&self, message: &[u8]) -> bool {
        let Some(pointer) = &self.acknowledgement else { return false };
        let Ok(message) = serde_json::from_slice::<Value>(message) else { return false };
        message.pointer(pointer).is_some_and(|value| !matches!(value, Value::Null | Value::Bool(false)))
    }

    /// Checks what the format of the file does not say.
    ///
    /// # Errors
    /// When something is wrong: which field, and what would be right.
    pub fn check(&self) -> anyhow::Result<()> {
        check_path(&self.path)?;
        ensure!(self.body.contains(EVENT), "body: it must contain {EVENT}");
        check_headers(&self.headers)?;
        let over_http = self.over == Over::Http;
        ensure!(is_token(self.method()), "method: the name of a method, like PUT");
        ensure!(over_http || self.method.is_none(), "method: only an HTTP request has a method; remove it");
        ensure!(
            !over_http || self.acknowledgement.is_none(),
            "acknowledgement: the response to an HTTP request acknowledges it; remove this, or add over = \"websocket\""
        );
        ensure!(self.acknowledgement.as_deref().is_none_or(is_pointer), "acknowledgement: a JSON pointer like /ok");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publish(body: &str) -> Publish {
        Publish {
            over: Over::Websocket,
            path: "/".into(),
            method: None,
            headers: BTreeMap::new(),
            body: body.into(),
            acknowledgement: Some("/ok".into()),
        }
    }

    #[test]
    fn a_body_contains_the_event_as_it_is_or_as_a_json_string() {
        assert_eq!(publish(EVENT).body("{\"seq\":1}"), "{\"seq\":1}");
        assert_eq!(publish("{\"text\":\"{event}\"}").body("{\"seq\":1}"), r#"{"text":"{\"seq\":1}"}"#);
        assert_eq!(publish("{\"message\":{event}}").body("{\"seq\":1}"), r#"{"message":{"seq":1}}"#);
    }

    #[test]
    fn only_a_message_with_the_value_acknowledges_an_event() {
        let acknowledges = |message: &str| publish(EVENT).is_acknowledged_by(message.as_bytes());
        assert!(acknowledges("{\"ok\":true}") && acknowledges("{\"ok\":0}"));
        for other in ["{\"ok\":false}", "{\"ok\":null}", "{\"seq\":1}", "ok", ""] {
            assert!(!acknowledges(other), "{other}");
        }
        let without = Publish { acknowledgement: None, ..publish(EVENT) };
        assert!(!without.is_acknowledged_by(b"{\"ok\":true}"));
    }
}
