//! Polling a server of another kind: which values of a response the next request takes, and how the messages in a response are found.

use std::collections::BTreeMap;
use std::fmt::Write;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::request::{is_text, is_token};
use crate::fault::Fault;
use crate::wire::http1::{self, Response};

/// The longest value that is taken from a response, in bytes.
const MAX_VALUE_BYTES: usize = 4 << 10;

/// The values for the next request, by their names.
pub type Values = BTreeMap<String, String>;

/// How the messages in the body of a response are found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Messages {
    /// Each line is a message.
    #[default]
    Lines,
    /// The whole body is one message. After a response with a new message, the next poll follows at once, since there may be more.
    Body,
    /// Each item of a JSON array is a message: a JSON pointer to the array, which is empty if the body is the array.
    Array(String),
}

impl Messages {
    /// The messages in a body.
    ///
    /// # Errors
    /// When there is no array where it should be.
    pub fn of<'a>(&self, body: &'a [u8]) -> Result<Vec<&'a [u8]>, Fault> {
        let filled = |text: &&[u8]| !text.is_empty();
        match self {
            Self::Lines => Ok(body.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii).filter(filled).collect()),
            Self::Body => Ok(Some(body).into_iter().filter(filled).collect()),
            Self::Array(_) if body.trim_ascii().is_empty() => Ok(Vec::new()),
            Self::Array(pointer) => {
                let items = raw(body, pointer).and_then(|array| serde_json::from_str::<Vec<&RawValue>>(array).ok());
                let items = items.ok_or_else(|| {
                    let place = if pointer.is_empty() { "the body".into() } else { format!("{pointer} of the body") };
                    Fault::NotHttp(format!("{place} is no JSON array: {}", excerpt(body)))
                })?;
                Ok(items.into_iter().map(|item| item.get().as_bytes()).collect())
            }
        }
    }
}

/// The text of the value that a JSON pointer finds. It is not parsed, so that its length is that on the wire.
fn raw<'a>(json: &'a [u8], pointer: &str) -> Option<&'a str> {
    let mut found = std::str::from_utf8(json).ok()?;
    for token in pointer.split('/').skip(1) {
        // RFC 6901, section 4.
        let name = token.replace("~1", "/").replace("~0", "~");
        found = match found.trim_start().starts_with('[') {
            true => serde_json::from_str::<Vec<&RawValue>>(found).ok()?.get(name.parse::<usize>().ok()?)?.get(),
            false => serde_json::from_str::<BTreeMap<String, &RawValue>>(found).ok()?.get(&name)?.get(),
        };
    }
    Some(found)
}

/// The beginning of what a server sent, for an error message.
fn excerpt(body: &[u8]) -> String {
    const MAX_CHARS: usize = 60;
    format!("{:?}", String::from_utf8_lossy(body).chars().take(MAX_CHARS).collect::<String>())
}

/// Where a value for the next request is in a response: in exactly one of `header`, `body` and `message`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// The value in the first request. Without it, the headers with this value are left out of the first request.
    pub first: Option<String>,
    /// The name of a response header.
    pub header: Option<String>,
    /// A JSON pointer (RFC 6901) to a string or a number in the body.
    pub body: Option<String>,
    /// A JSON pointer to a string or a number in the last message of the response, such as the number that the server gave it.
    pub message: Option<String>,
}

impl Place {
    /// Says what is wrong with it, if anything is.
    pub fn fault(&self) -> Option<&'static str> {
        let places = [&self.header, &self.body, &self.message].into_iter().flatten().count();
        let is_no_pointer = |place: &Option<String>| place.as_deref().is_some_and(|pointer| !is_pointer(pointer));
        match places {
            0 => Some("one of header, body and message must say where it is in a response"),
            2.. => Some("only one of header, body and message can say where it is in a response"),
            _ if self.header.as_deref().is_some_and(|name| !is_token(name)) => {
                Some("header is the name of a header, like Etag")
            }
            _ if is_no_pointer(&self.body) || is_no_pointer(&self.message) => {
                Some("a JSON pointer begins with /, or is empty for the whole")
            }
            _ => None,
        }
    }

    /// The value in a response with these messages; `None` if it is not there.
    ///
    /// # Errors
    /// When it cannot be sent in a request.
    pub fn find(&self, response: &Response, messages: &[&[u8]]) -> Result<Option<String>, Fault> {
        let found = match self {
            Self { header: Some(name), .. } => http1::field(&response.head, name),
            Self { body: Some(pointer), .. } => text_at(&response.body, pointer),
            Self { message: Some(pointer), .. } => messages.last().and_then(|message| text_at(message, pointer)),
            Self { .. } => None,
        };
        match found {
            Some(value) if value.len() > MAX_VALUE_BYTES || !is_text(&value) => Err(Fault::NotHttp(format!(
                "a value for the next request that is no ASCII text: {}",
                excerpt(value.as_bytes())
            ))),
            found => Ok(found),
        }
    }
}

/// Whether a text is a JSON pointer.
pub fn is_pointer(text: &str) -> bool {
    text.is_empty() || text.starts_with('/')
}

fn text_at(json: &[u8], pointer: &str) -> Option<String> {
    match serde_json::from_slice::<Value>(json).ok()?.pointer(pointer)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Whether a text in braces is a name; other text in braces, such as JSON, is sent as it is.
pub fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// The names in braces in a template.
pub fn names(template: &str) -> impl Iterator<Item = &str> {
    template.split('{').skip(1).filter_map(|after| Some(name_and_rest(after)?.0))
}

/// The name whose opening brace is before `after`, and what follows it.
fn name_and_rest(after: &str) -> Option<(&str, &str)> {
    after.split_once('}').filter(|(name, _)| is_name(name))
}

/// A header's value, with the values in place of their names in braces.
pub fn header(template: &str, values: &Values) -> String {
    filled(template, values, str::to_string)
}

/// A path, with the values in place of their names in braces, percent-encoded (RFC 3986, section 2.1).
pub fn path(template: &str, values: &Values) -> String {
    filled(template, values, |value| {
        value.bytes().fold(String::new(), |mut encoded, byte| {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(byte.into()),
                _ => write!(encoded, "%{byte:02X}").expect("writing to memory"),
            }
            encoded
        })
    })
}

/// The template is read once, so that braces in a value are sent as they are.
fn filled(template: &str, values: &Values, encode: impl Fn(&str) -> String) -> String {
    let (mut filled, mut next) = (String::new(), template);
    while let Some((text, after)) = next.split_once('{') {
        filled += text;
        let value = name_and_rest(after).and_then(|(name, rest)| Some((values.get(name)?, rest)));
        next = match value {
            Some((value, rest)) => {
                filled += &encode(value);
                rest
            }
            None => {
                filled.push('{');
                after
            }
        };
    }
    filled + next
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_lines_the_body_or_the_items_of_an_array() {
        let of = |messages: Messages, body: &'static str| {
            messages
                .of(body.as_bytes())
                .map(|found| found.into_iter().map(|one| std::str::from_utf8(one).unwrap()).collect::<Vec<_>>())
        };
        assert_eq!(of(Messages::Lines, "a\r\n\nb").unwrap(), ["a", "b"]);
        assert_eq!(of(Messages::Body, "a\nb").unwrap(), ["a\nb"]);
        let array = |pointer: &str, body| of(Messages::Array(pointer.into()), body);
        assert_eq!(array("", r#"[{"a": 1}, "b"]"#).unwrap(), [r#"{"a": 1}"#, r#""b""#], "as on the wire");
        assert_eq!(array("/x~1y/1", r#"{"n":1,"x/y":[0,[ 7 ]]}"#).unwrap(), ["7"]);
        assert_eq!(
            [of(Messages::Lines, ""), of(Messages::Body, ""), array("", ""), array("", "[]")].map(Result::unwrap),
            [[""; 0]; 4].map(Vec::from)
        );
        let error = array("/events", "{\"items\":[]}").unwrap_err().to_string();
        assert!(error.contains("/events of the body is no JSON array: \"{\\\"items"), "{error}");
    }

    #[test]
    fn the_next_request_takes_values_from_a_header_the_body_or_the_last_message() {
        let wire =
            b"HTTP/1.1 200 OK\r\nETag: \"a b\"\r\nContent-Length: 25\r\n\r\n{\"next\":\"n\",\"bad\":\"\\r\\n\"}x";
        let response = http1::Incoming::default().response(&wire[..wire.len() - 1], false).unwrap().unwrap();
        let messages = [&b"{\"id\":6}"[..], b"{\"id\":7}"];
        let find = |place: Place| place.find(&response, &messages);
        let some = |text: &str| Some(text.to_string());
        assert_eq!(find(Place { header: some("etag"), ..Place::default() }).unwrap(), some("\"a b\""));
        assert_eq!(find(Place { body: some("/next"), ..Place::default() }).unwrap(), some("n"));
        assert_eq!(find(Place { message: some("/id"), ..Place::default() }).unwrap(), some("7"));
        assert_eq!(find(Place { header: some("cursor"), ..Place::default() }).unwrap(), None);
        assert!(find(Place { body: some("/bad"), ..Place::default() }).is_err(), "it would be a header of its own");
    }

    #[test]
    fn values_replace_their_names_once_and_a_path_is_encoded() {
        let values = Values::from([("tag".into(), "\"1 2\"".into()), ("n".into(), "7".into())]);
        assert_eq!(header("W/{tag}", &values), "W/\"1 2\"");
        assert_eq!(header("{\"n\":{n}} {other} {", &values), "{\"n\":7} {other} {");
        let nested = Values::from([("a".into(), "{b}".into()), ("b".into(), "{a}".into())]);
        assert_eq!(header("{a}{b}", &nested), "{b}{a}", "a value is no template");
        assert_eq!(path("/poll?after={n}&tag={tag}", &values), "/poll?after=7&tag=%221%202%22");
        assert_eq!(names("/{a}/{b}?{{\"c\":{d_1}}{").collect::<Vec<_>>(), ["a", "b", "d_1"]);
    }
}
