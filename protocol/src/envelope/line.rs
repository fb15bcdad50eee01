//! Lines: the event's JSON, then a line feed (NDJSON). The overhead is one byte. An empty line is a heartbeat.

use std::borrow::Cow;

use super::Message;

/// The message that keeps an idle connection alive: an empty line.
pub const HEARTBEAT: &[u8] = b"\n";

/// Encodes `json`, which must not contain a line feed, as a line.
pub fn encode(json: &[u8]) -> Vec<u8> {
    [json, b"\n"].concat()
}

/// Returns the first line of `buffer` without its line feed, and its length with the line feed, in bytes; `None` while it is incomplete.
pub fn split(buffer: &[u8]) -> Option<(&[u8], usize)> {
    let end = memchr::memchr(b'\n', buffer)?;
    Some((&buffer[..end], end + 1))
}

/// Decodes the first line of `buffer`, whose first `known` bytes contain no line feed; `None` while it is incomplete.
pub fn decode(buffer: &[u8], known: usize) -> Option<Message<'_>> {
    let length = known + split(&buffer[known..])?.1;
    Some(Message { data: Cow::Borrowed(&buffer[..length - 1]), length })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn lines_are_split_as_they_were_encoded_with_one_byte_of_overhead_each(lines in prop::collection::vec("[^\n]{0,40}", 0..9)) {
            let wire: Vec<u8> = lines.iter().flat_map(|text| encode(text.as_bytes())).collect();
            prop_assert_eq!(wire.len(), lines.iter().map(|text| text.len() + 1).sum::<usize>());
            let mut rest = &wire[..];
            for text in &lines {
                let (line, length) = split(rest).unwrap();
                prop_assert_eq!(line, text.as_bytes());
                rest = &rest[length..];
            }
            prop_assert_eq!(split(rest), None);
        }
    }
}
