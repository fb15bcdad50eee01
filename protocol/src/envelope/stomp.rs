//! STOMP 1.2: frames of a command, headers and a body, as text (stomp.github.io/stomp-specification-1.2.html). Over WebSocket, a message is
//! one frame, and the sub-protocol is called `v12.stomp`.

use std::borrow::Cow;

use super::Malformed;

/// The name of the sub-protocol in `Sec-WebSocket-Protocol`.
pub const SUBPROTOCOL: &str = "v12.stomp";
/// The destination of the feed.
pub const DESTINATION: &str = "/feed";
/// The `id` of the load client's subscription.
pub const SUBSCRIPTION: &str = "0";
/// The heartbeat: a line end between two frames.
pub const HEARTBEAT: &[u8] = b"\n";

/// The longest `id` of a subscription, in bytes.
pub const MAX_ID_BYTES: usize = 64;
/// The most headers of a frame.
const MAX_HEADERS: usize = 32;

/// Encodes the frame that delivers an event to the subscription `id`.
///
/// The `id` is the subscriber's choice, so this frame is the same only for subscribers that chose the same one.
pub fn message(id: &str, seq: u64, json: &[u8]) -> Vec<u8> {
    let headers = format!(
        "MESSAGE\nsubscription:{}\nmessage-id:{seq}\ndestination:{DESTINATION}\ncontent-type:application/json\n\n",
        escape(id)
    );
    [headers.as_bytes(), json, b"\0"].concat()
}

/// Encodes a frame. The command and the names of headers must be plain; values are escaped, except in a CONNECT or CONNECTED frame, which has
/// no escapes.
pub fn encode(command: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut text = format!("{command}\n");
    for (name, value) in headers {
        let value = if matches!(command, "CONNECT" | "CONNECTED") { Cow::Borrowed(*value) } else { escape(value) };
        text += &format!("{name}:{value}\n");
    }
    [text.as_bytes(), b"\n", body, b"\0"].concat()
}

/// A frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The command, such as `SEND`.
    pub command: &'a str,
    headers: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// The body.
    pub body: &'a [u8],
}

impl Frame<'_> {
    /// The value of the first header with that name: if a header is repeated, only the first one counts.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| &**value)
    }
}

/// Parses the frame at the front of `bytes`, after any line ends before it. Returns it with the length of both; `None` for a frame if there
/// are only line ends, which are heartbeats.
///
/// # Errors
/// When the bytes are not a complete frame.
pub fn parse(bytes: &[u8]) -> Result<(Option<Frame<'_>>, usize), Malformed> {
    let malformed = |fault| Malformed { format: "stomp", fault };
    let begin = bytes.iter().position(|byte| !matches!(byte, b'\n' | b'\r')).unwrap_or(bytes.len());
    let mut rest = &bytes[begin..];
    if rest.is_empty() {
        return Ok((None, begin));
    }
    let mut line = || {
        let end =
            memchr::memchr(b'\n', rest).ok_or_else(|| malformed("a frame's headers must end with an empty line"))?;
        let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
        rest = &rest[end + 1..];
        std::str::from_utf8(line).map_err(|_| malformed("headers must be UTF-8"))
    };
    let command = line()?;
    let escaped = !matches!(command, "CONNECT" | "CONNECTED" | "STOMP");
    let mut headers = Vec::new();
    loop {
        let line = line()?;
        if line.is_empty() {
            break;
        }
        if headers.len() == MAX_HEADERS {
            return Err(malformed("a frame has more than 32 headers"));
        }
        let (name, value) = line.split_once(':').ok_or_else(|| malformed("a header is a name, a colon and a value"))?;
        let text = |text| if escaped { unescape(text) } else { Ok(Cow::Borrowed(text)) };
        headers.push((text(name)?, text(value)?));
    }
    let mut frame = Frame { command, headers, body: &[] };
    // With a length, the body may contain NUL bytes.
    let length = match frame.header("content-length") {
        None => memchr::memchr(0, rest).ok_or_else(|| malformed("a frame must end with a NUL byte"))?,
        Some(digits) => digits.parse().map_err(|_| malformed("content-length must be a number"))?,
    };
    if rest.get(length) != Some(&0) {
        return Err(malformed("a frame's body must be followed by a NUL byte"));
    }
    frame.body = &rest[..length];
    let parsed = bytes.len() - rest.len() + length + 1;
    Ok((Some(frame), parsed))
}

fn escape(value: &str) -> Cow<'_, str> {
    if !value.contains(['\\', '\r', '\n', ':']) {
        return Cow::Borrowed(value);
    }
    Cow::Owned(value.replace('\\', "\\\\").replace('\r', "\\r").replace('\n', "\\n").replace(':', "\\c"))
}

fn unescape(value: &str) -> Result<Cow<'_, str>, Malformed> {
    if !value.contains('\\') {
        return Ok(Cow::Borrowed(value));
    }
    let mut plain = String::with_capacity(value.len());
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        plain.push(match character {
            '\\' => match characters.next() {
                Some('\\') => '\\',
                Some('r') => '\r',
                Some('n') => '\n',
                Some('c') => ':',
                _ => return Err(Malformed { format: "stomp", fault: "an undefined escape in a header" }),
            },
            plain => plain,
        });
    }
    Ok(Cow::Owned(plain))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_overhead_of_an_event_is_its_headers() {
        let frame = message("0", 7, b"{}");
        assert_eq!(
            frame,
            b"MESSAGE\nsubscription:0\nmessage-id:7\ndestination:/feed\ncontent-type:application/json\n\n{}\0"
        );
        let (parsed, length) = parse(&frame).unwrap();
        let parsed = parsed.unwrap();
        assert_eq!((parsed.command, parsed.header("message-id"), parsed.body), ("MESSAGE", Some("7"), &b"{}"[..]));
        assert_eq!(length, frame.len());
    }

    #[test]
    fn frames_are_parsed_as_the_specification_requires() {
        let (frame, length) = parse(b"\r\n\nSEND\r\na:1\r\na:2\r\ncontent-length:3\r\n\r\n\0\n\0\0rest").unwrap();
        let frame = frame.unwrap();
        assert_eq!((frame.command, frame.header("a"), frame.body), ("SEND", Some("1"), &b"\0\n\0"[..]));
        assert_eq!(length, 43);
        assert_eq!(parse(b"\n\n"), Ok((None, 2)));
        let (connect, _) = parse(b"CONNECT\npasscode:a\\b:c\n\n\0").unwrap();
        assert_eq!(connect.unwrap().header("passcode"), Some("a\\b:c"), "CONNECT has no escapes");
    }

    #[test]
    fn incomplete_and_malformed_frames_are_errors() {
        for wrong in [
            "SEND",
            "SEND\n",
            "SEND\na:b\n",
            "SEND\n\nbody",
            "SEND\nno colon\n\n\0",
            "SEND\na:\\t\n\n\0",
            "SEND\ncontent-length:9\n\nbody\0",
            "SEND\ncontent-length:-1\n\nbody\0",
        ] {
            assert!(parse(wrong.as_bytes()).is_err(), "{wrong:?}");
        }
        let many = format!("SEND\n{}\n\0", "a:b\n".repeat(33));
        assert!(parse(many.as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn a_header_s_value_survives_its_escapes(value in "[a:\\\\\r\n]{0,12}", body in "[^\0]{0,20}") {
            let frame = encode("SEND", &[("x", &value)], body.as_bytes());
            let (parsed, length) = parse(&frame).unwrap();
            let parsed = parsed.unwrap();
            prop_assert_eq!((parsed.header("x"), parsed.body, length), (Some(&*value), body.as_bytes(), frame.len()));
        }

        #[test]
        fn parsing_arbitrary_bytes_does_not_panic(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }
    }
}
