//! Multipart: the event is a part of a `multipart/mixed` body (RFC 2046, section 5.1), as Netscape's server push sent it from 1995 on.
//!
//! A part ends where the next delimiter begins. So the server sends the next delimiter together with each part: otherwise a reader would
//! learn of the part's end only when the next event comes.

use std::borrow::Cow;

use super::{Malformed, Message};

/// The media type of the body, with its boundary.
pub const CONTENT_TYPE: &str = "multipart/mixed; boundary=event";
/// The first delimiter, before the first part.
pub const PRELUDE: &[u8] = b"--event\r\n";
/// The message that keeps an idle stream alive: a part without headers and content, and the next delimiter.
pub const HEARTBEAT: &[u8] = b"\r\n\r\n--event\r\n";
/// The end of the body: a last part without content, and the closing delimiter.
pub const END: &[u8] = b"\r\n\r\n--event--\r\n";
const HEADER: &[u8] = b"Content-Type: application/json\r\n\r\n";
const DELIMITER: &[u8] = b"\r\n--event";

/// Encodes an event as a part, with the next delimiter. The overhead is 45 bytes. `json` must not contain a line break.
pub fn encode(json: &[u8]) -> Vec<u8> {
    [HEADER, json, DELIMITER, b"\r\n"].concat()
}

/// Decodes the first part of `buffer`, or the first delimiter, whose first `known` bytes contain no complete part; `None` while it is
/// incomplete.
///
/// # Errors
/// When a delimiter is followed by other bytes than a line end, or the headers of a part do not end before its delimiter.
pub fn decode(buffer: &[u8], known: usize) -> Result<Option<Message<'_>>, Malformed> {
    let malformed = |fault| Malformed { format: "multipart", fault };
    let none = |length| Message { data: Cow::Borrowed(&[][..]), length };
    if buffer.starts_with(PRELUDE) {
        return Ok(Some(none(PRELUDE.len())));
    }
    // The known bytes may end within a delimiter and the line end after it.
    let from = known.saturating_sub(END.len());
    let Some(end) = memchr::memmem::find(&buffer[from..], DELIMITER).map(|at| from + at) else { return Ok(None) };
    let after = &buffer[end + DELIMITER.len()..];
    let length = match after {
        [b'\r', b'\n', ..] => end + DELIMITER.len() + 2,
        [b'-', b'-', b'\r', b'\n', ..] => end + DELIMITER.len() + 4,
        [] | [b'\r'] | [b'-'] | [b'-', b'-'] | [b'-', b'-', b'\r'] => return Ok(None),
        _ => return Err(malformed("a delimiter must be followed by a line end")),
    };
    let part = &buffer[..end];
    // A part without headers begins with the empty line that ends them, and an empty part is only that line.
    let body = match part.strip_prefix(b"\r\n") {
        Some(body) => body,
        None => {
            let headers = memchr::memmem::find(part, b"\r\n\r\n").ok_or_else(|| malformed("the headers do not end"))?;
            &part[headers + 4..]
        }
    };
    Ok(Some(Message { data: Cow::Borrowed(body), length }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_ends_with_the_next_delimiter() {
        let body = [PRELUDE, &encode(b"{}"), HEARTBEAT, END].concat();
        let mut rest = &body[..];
        for expected in ["", "{}", "", ""] {
            let message = decode(rest, 0).unwrap().unwrap();
            assert_eq!(&*message.data, expected.as_bytes());
            rest = &rest[message.length..];
        }
        assert_eq!(rest, b"");
        assert_eq!(encode(b"{}").len(), 2 + 45);
    }

    #[test]
    fn bytes_after_a_delimiter_and_headers_without_end_are_errors() {
        assert!(decode(b"A: b\r\n\r\n{}\r\n--eventX", 0).is_err());
        assert!(decode(b"A: b\r\n--event\r\n", 0).is_err());
    }
}
