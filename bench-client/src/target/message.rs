//! Where a server of another kind sends events, and how an event is found in a message of its.

use std::borrow::Cow;

use protocol::Event;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Where subscribers receive events over a transport.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The path and query.
    pub path: String,
    /// Where the event is in a message that is JSON: a JSON pointer (RFC 6901) to the event itself or to a text that contains it. Empty if the
    /// whole message is the event.
    #[serde(default)]
    pub event: String,
}

impl Source {
    /// The event in a message, in this lab's encoding; `None` if the message has none, such as a greeting.
    pub fn event(&self, message: &[u8]) -> Option<Vec<u8>> {
        let found = match (self.event.as_str(), message.first()) {
            // Not parsed twice.
            ("", Some(b'{')) => Cow::Borrowed(message),
            (pointer, _) => {
                let value: Value = serde_json::from_slice(message).ok()?;
                match value.pointer(pointer)? {
                    Value::String(text) => Cow::Owned(text.clone().into_bytes()),
                    value => Cow::Owned(value.to_string().into_bytes()),
                }
            }
        };
        // A server may have parsed the event and encoded it in another way.
        Some(Event::decode(&found).ok()?.encode())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_the_whole_message_or_a_part_of_it_as_json_or_as_text() {
        let event = Event { seq: 1, at: 2, data: "x\"y".into() }.encode();
        let text = String::from_utf8(event.clone()).unwrap();
        let quoted = Value::from(text.as_str()).to_string();
        let source = |pointer: &str| Source { path: "/".into(), event: pointer.into() };
        assert_eq!(source("").event(&event).as_ref(), Some(&event));
        assert_eq!(source("").event(quoted.as_bytes()).as_ref(), Some(&event), "a JSON text");
        assert_eq!(source("/d/1").event(format!("{{\"d\":[0,{quoted}]}}").as_bytes()).as_ref(), Some(&event));
        let reordered = r#"{"m":{"data":"x\"y","at":2,"seq":1}}"#;
        assert_eq!(source("/m").event(reordered.as_bytes()).as_ref(), Some(&event));
        assert_eq!((source("/m").event(b"hello"), source("").event(b"{\"type\":\"welcome\"}")), (None, None));
    }
}
