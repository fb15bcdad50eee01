//! SockJS: one letter for the kind of a message, and JSON strings in an array for its content
//! (sockjs.github.io/sockjs-protocol/sockjs-protocol-0.3.3.html).

use std::borrow::Cow;

use super::Malformed;

/// The first message of a session.
pub const OPEN: &[u8] = b"o";
/// The heartbeat.
pub const HEARTBEAT: &[u8] = b"h";

/// The most bytes that one byte of JSON becomes as a part of a JSON string: JSON contains no control characters, so only quotation marks and
/// backslashes are escaped.
pub const MAX_GROWTH: usize = 2;

/// Encodes one message, the JSON of an event, as an array with one string.
///
/// The overhead is five bytes, and one for each quotation mark and backslash in the JSON.
pub fn encode(json: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(json.len() + json.len() / 4 + 5);
    bytes.extend_from_slice(b"a[");
    append_string(&mut bytes, json);
    bytes.push(b']');
    bytes
}

/// Encodes several messages as one array.
pub fn encode_all<'a>(messages: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut bytes = b"a[".to_vec();
    for (index, message) in messages.into_iter().enumerate() {
        if index > 0 {
            bytes.push(b',');
        }
        append_string(&mut bytes, message);
    }
    bytes.push(b']');
    bytes
}

/// Encodes the message that closes a session.
pub fn close(code: u16, reason: &str) -> Vec<u8> {
    format!("c[{code},{}]", serde_json::Value::from(reason)).into_bytes()
}

/// How many bytes JSON of this content grows by as a JSON string.
pub fn escape_bytes(json: &[u8]) -> usize {
    memchr::memchr2_iter(b'"', b'\\', json).count()
}

/// Appends JSON, which contains no control characters, as a JSON string.
fn append_string(bytes: &mut Vec<u8>, json: &[u8]) {
    bytes.push(b'"');
    let mut copied = 0;
    for at in memchr::memchr2_iter(b'"', b'\\', json) {
        bytes.extend_from_slice(&json[copied..at]);
        bytes.push(b'\\');
        copied = at;
    }
    bytes.extend_from_slice(&json[copied..]);
    bytes.push(b'"');
}

/// A message from the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame<'a> {
    /// The session is open.
    Open,
    /// A heartbeat.
    Heartbeat,
    /// Messages; the load client's server sends one at a time over WebSocket.
    Messages(Vec<Cow<'a, str>>),
    /// The session was closed, with a code and a reason.
    Close(u16, String),
}

/// Parses a message from the server.
///
/// # Errors
/// When it is not one of SockJS.
pub fn parse(text: &[u8]) -> Result<Frame<'_>, Malformed> {
    let malformed = |fault| Malformed { format: "sockjs", fault };
    match text {
        b"o" => Ok(Frame::Open),
        b"h" => Ok(Frame::Heartbeat),
        [b'a', array @ ..] => {
            let strings: Vec<JsonString> =
                serde_json::from_slice(array).map_err(|_| malformed("messages must be an array of strings"))?;
            Ok(Frame::Messages(strings.into_iter().map(|string| string.0).collect()))
        }
        [b'c', array @ ..] => {
            let (code, reason) =
                serde_json::from_slice(array).map_err(|_| malformed("a close must have a code and a reason"))?;
            Ok(Frame::Close(code, reason))
        }
        _ => Err(malformed("an unknown kind of message")),
    }
}

/// The only message in a message of the server; empty if there is none.
///
/// # Errors
/// Those of [`parse`], and when there are several messages.
pub fn content(text: &[u8]) -> Result<Cow<'_, [u8]>, Malformed> {
    let Frame::Messages(messages) = parse(text)? else { return Ok(Cow::Borrowed(&[])) };
    match <[Cow<'_, str>; 1]>::try_from(messages) {
        Ok([Cow::Borrowed(message)]) => Ok(Cow::Borrowed(message.as_bytes())),
        Ok([Cow::Owned(message)]) => Ok(Cow::Owned(message.into_bytes())),
        Err(_) => Err(Malformed { format: "sockjs", fault: "this client expects one message at a time" }),
    }
}

/// Parses what a client sends: an array of strings, or a single string.
///
/// # Errors
/// When it is neither.
pub fn parse_sent(text: &[u8]) -> Result<Vec<Cow<'_, str>>, Malformed> {
    let strings = match text.trim_ascii_start().first() {
        Some(b'"') => serde_json::from_slice(text).map(|string: JsonString| vec![string.0]),
        _ => serde_json::from_slice(text)
            .map(|strings: Vec<JsonString>| strings.into_iter().map(|text| text.0).collect()),
    };
    strings.map_err(|_| Malformed { format: "sockjs", fault: "messages must be an array of strings" })
}

#[derive(serde::Deserialize)]
struct JsonString<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_event_is_a_string_in_an_array() {
        assert_eq!(encode(br#"{"seq":1}"#), br#"a["{\"seq\":1}"]"#);
        assert_eq!(encode_all([&b"1"[..], b"2"]), br#"a["1","2"]"#);
        assert_eq!(close(3000, "Go away!"), br#"c[3000,"Go away!"]"#);
        assert_eq!(parse(br#"c[3000,"Go away!"]"#), Ok(Frame::Close(3000, "Go away!".into())));
        assert_eq!((parse(OPEN), parse(HEARTBEAT)), (Ok(Frame::Open), Ok(Frame::Heartbeat)));
        for wrong in ["", "x", "a", "a{}", "a[1]", "c[]", "c[\"a\",1]"] {
            assert!(parse(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_client_sends_an_array_of_strings_or_one_string() {
        assert_eq!(parse_sent(br#"["a","b"]"#).unwrap(), ["a", "b"]);
        assert_eq!(parse_sent(br#""a""#).unwrap(), ["a"]);
        for wrong in ["", "[", "[1]", "x", "{}"] {
            assert!(parse_sent(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn the_json_of_any_text_survives(text: String) {
            let json = serde_json::to_vec(&text).unwrap();
            let frame = encode(&json);
            prop_assert_eq!(frame.len(), json.len() + escape_bytes(&json) + 5);
            let Ok(Frame::Messages(messages)) = parse(&frame) else { panic!("no messages") };
            prop_assert_eq!(messages[0].as_bytes(), &json[..]);
        }
    }
}
