//! Where a server of another kind sends events, and how an event is found in a message of its.

use std::borrow::Cow;
use std::collections::BTreeMap;

use anyhow::{bail, ensure};
use protocol::Event;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::poll::{self, Messages, Place, Values, is_name, is_pointer};
use super::request::{check_headers, check_path, is_text};
use crate::fault::Fault;
use crate::wire::http1::Response;

/// Where subscribers receive events over a transport.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The path and query. For polling and long polling, `{NAME}` is the value of that name in `next`; a name has letters, digits and `_` only.
    pub path: String,
    /// Further headers of the requests; their values may have `{NAME}`, too.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Where the event is in a message that is JSON: a JSON pointer (RFC 6901) to the event itself or to a text that contains it. Empty if the
    /// whole message is the event.
    #[serde(default)]
    pub event: String,
    /// For polling and long polling, how the messages in a response are found: `"lines"` (the default), `"body"`, or `{ array = "/POINTER" }`.
    pub messages: Option<Messages>,
    /// For polling and long polling, the values that the next request takes from the last response, by their names: its cursor. A value that a
    /// response without messages does not have stays as it is.
    #[serde(default)]
    pub next: BTreeMap<String, Place>,
}

impl Source {
    /// Checks what the format of the file does not say, for a transport that `polls` or one that does not.
    ///
    /// # Errors
    /// When something is wrong: which field, and what would be right.
    pub fn check(&self, polls: bool) -> anyhow::Result<()> {
        check_path(&self.path)?;
        ensure!(is_pointer(&self.event), "event: a JSON pointer like /data/text, or nothing for the whole message");
        check_headers(&self.headers)?;
        ensure!(polls || self.messages.is_none(), "messages: only for polling and long polling; remove it");
        ensure!(polls || self.next.is_empty(), "next: only for polling and long polling; remove it");
        if let Some(Messages::Array(pointer)) = &self.messages {
            ensure!(
                is_pointer(pointer),
                "messages.array: a JSON pointer like /items, or \"\" if the body is the array"
            );
        }
        let in_path: Vec<&str> = poll::names(&self.path).collect();
        let in_headers: Vec<&str> = self.headers.values().flat_map(|value| poll::names(value)).collect();
        if let Some(name) = in_path.iter().chain(&in_headers).find(|name| polls && !self.next.contains_key(**name)) {
            bail!("next.{name}: the path or a header has {{{name}}}, so this must say where it is in a response");
        }
        for (name, place) in &self.next {
            ensure!(is_name(name), "next.{name:?}: a name has only letters, digits and _, like \"cursor\"");
            let (in_path, in_headers) = (in_path.contains(&name.as_str()), in_headers.contains(&name.as_str()));
            ensure!(in_path || in_headers, "next.{name}: {{{name}}} must be in the path or in a header");
            if let Some(fault) = place.fault() {
                bail!("next.{name}: {fault}");
            }
            let first = place.first.as_deref();
            ensure!(
                !in_path || first.is_some(),
                "next.{name}.first: the path of the first request needs a value, like \"0\""
            );
            ensure!(first.is_none_or(is_text), "next.{name}.first: only ASCII without control characters can be sent");
        }
        Ok(())
    }

    /// The event in a message, in this lab's encoding; `None` if the message has none, such as a greeting, or one that was due before `since_ns`,
    /// such as one of an earlier round.
    pub fn event(&self, message: &[u8], since_ns: u64) -> Option<Vec<u8>> {
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
        Some(Event::decode(&found).ok().filter(|event| event.at >= since_ns)?.encode())
    }

    /// The values of the first request.
    pub fn first_values(&self) -> Values {
        let first = |(name, place): (&String, &Place)| Some((name.clone(), place.first.clone()?));
        self.next.iter().filter_map(first).collect()
    }

    /// The path and query with these values.
    pub fn path(&self, values: &Values) -> String {
        poll::path(&self.path, values)
    }

    /// The lines of the further headers with these values, without the headers of which a value is not known yet.
    pub fn header_lines(&self, values: &Values) -> String {
        let is_unknown = |name: &str| self.next.contains_key(name) && !values.contains_key(name);
        let line = |(name, value): (&String, &String)| {
            (!poll::names(value).any(is_unknown)).then(|| format!("{name}: {}\r\n", poll::header(value, values)))
        };
        self.headers.iter().filter_map(line).collect()
    }

    /// Whether there may be more events right after a response with a new message, since a response has one only.
    pub fn sends_one_at_a_time(&self) -> bool {
        self.messages == Some(Messages::Body)
    }

    /// The messages in the body of a response.
    ///
    /// # Errors
    /// When they are not where they should be.
    pub fn messages<'a>(&self, body: &'a [u8]) -> Result<Vec<&'a [u8]>, Fault> {
        self.messages.as_ref().unwrap_or(&Messages::default()).of(body)
    }

    /// The values of the request after a response with these messages, of which `values` were those of the request before.
    ///
    /// # Errors
    /// When a value is missing although there are messages: the next request would have the same messages as a response. And when a value cannot
    /// be sent.
    pub fn next_values(&self, response: &Response, messages: &[&[u8]], values: &Values) -> Result<Values, Fault> {
        let mut next = values.clone();
        for (name, place) in &self.next {
            match place.find(response, messages)? {
                Some(value) => _ = next.insert(name.clone(), value),
                None if messages.is_empty() => {}
                None => {
                    return Err(Fault::NotHttp(format!("a response without '{name}', which the next request needs")));
                }
            }
        }
        Ok(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_left_out_until_its_value_is_known_and_other_braces_are_sent() {
        let headers = [("A", "{\"room\":{room}}"), ("B", "{tag}")].map(|(name, value)| (name.into(), value.into()));
        let stream = Source { path: "/{x}".into(), headers: headers.into(), ..Source::default() };
        stream.check(false).unwrap();
        assert!(stream.check(true).unwrap_err().to_string().starts_with("next.x: the path or a header has {x}"));
        assert_eq!(stream.header_lines(&Values::new()), "A: {\"room\":{room}}\r\nB: {tag}\r\n");
        let tag = ("tag".to_string(), Place { header: Some("Etag".into()), ..Place::default() });
        let headers = [("A", "{\"room\":1}"), ("B", "{tag}")].map(|(name, value)| (name.into(), value.into()));
        let polled = Source { path: "/".into(), headers: headers.into(), next: [tag].into(), ..Source::default() };
        polled.check(true).unwrap();
        assert_eq!(polled.header_lines(&Values::new()), "A: {\"room\":1}\r\n");
        let known = Values::from([("tag".into(), "{x}".into())]);
        assert_eq!(polled.header_lines(&known), "A: {\"room\":1}\r\nB: {x}\r\n");
    }

    #[test]
    fn an_event_is_the_whole_message_or_a_part_of_it_as_json_or_as_text() {
        let event = Event { seq: 1, at: 2, data: "x\"y".into() }.encode();
        let text = String::from_utf8(event.clone()).unwrap();
        let quoted = Value::from(text.as_str()).to_string();
        let source = |pointer: &str| Source { path: "/".into(), event: pointer.into(), ..Source::default() };
        assert_eq!(source("").event(&event, 2).as_ref(), Some(&event));
        assert_eq!(source("").event(quoted.as_bytes(), 2).as_ref(), Some(&event), "a JSON text");
        assert_eq!(source("/d/1").event(format!("{{\"d\":[0,{quoted}]}}").as_bytes(), 2).as_ref(), Some(&event));
        let reordered = r#"{"m":{"data":"x\"y","at":2,"seq":1}}"#;
        assert_eq!(source("/m").event(reordered.as_bytes(), 2).as_ref(), Some(&event));
        assert_eq!(source("").event(&event, 3), None, "an event of an earlier round");
        assert_eq!((source("/m").event(b"hello", 2), source("").event(b"{\"type\":\"welcome\"}", 2)), (None, None));
    }
}
