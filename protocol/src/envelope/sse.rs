//! Server-sent events: blocks of `field: value` lines, each ended by a blank line (WHATWG HTML, section 9.2.5).

use std::borrow::Cow;

use super::Message;
use crate::event::{Bookmark, Gap};

/// The message that keeps an idle stream alive: a comment line and a blank line.
pub const HEARTBEAT: &[u8] = b":\n\n";

/// Encodes an event as a block: its sequence number as `id`, so that `Last-Event-ID` is the cursor to resume from, and its JSON as `data`.
///
/// The overhead is 13 bytes and the digits of the sequence number. `json` must not contain a line break.
pub fn encode(seq: u64, json: &[u8]) -> Vec<u8> {
    [format!("id: {seq}\ndata: ").as_bytes(), json, b"\n\n"].concat()
}

/// Encodes a gap as a block of the event type `gap`; its `id` is the cursor to resume from.
pub fn encode_gap(gap: Gap) -> Vec<u8> {
    [format!("event: gap\nid: {}\ndata: ", gap.bookmark()).as_bytes(), &gap.encode(), b"\n\n"].concat()
}

/// One block, as a browser's `EventSource` parses it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Block<'a> {
    /// The last `id` of the block.
    pub id: Option<&'a [u8]>,
    /// The event type; browsers treat `None` as `message`.
    pub event: Option<&'a [u8]>,
    /// The `data` lines, joined by line feeds; `None` if the block has none. Then the browser dispatches no event.
    pub data: Option<Cow<'a, [u8]>>,
}

impl Block<'_> {
    /// The cursor in the block's `id`, if there is one.
    pub fn cursor(&self) -> Option<Bookmark> {
        std::str::from_utf8(self.id?).ok()?.parse().ok()
    }
}

/// Parses the first block of `buffer`. Returns it with its length including the blank line, in bytes; `None` while it is incomplete.
///
/// Lines may end with LF or CR LF. A single CR does not end a line here; the standard allows it, but servers do not send it.
pub fn split(buffer: &[u8]) -> Option<(Block<'_>, usize)> {
    let mut block = Block::default();
    let mut parsed = 0;
    loop {
        let (line, length) = super::line::split(&buffer[parsed..])?;
        parsed += length;
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            return Some((block, parsed));
        }
        let (field, value) = match memchr::memchr(b':', line) {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (line, &b""[..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"id" if !value.contains(&0) => block.id = Some(value),
            b"event" => block.event = Some(value),
            b"data" => match &mut block.data {
                None => block.data = Some(Cow::Borrowed(value)),
                Some(data) => {
                    data.to_mut().push(b'\n');
                    data.to_mut().extend_from_slice(value);
                }
            },
            // A comment, whose field name is empty; `retry`; or an unknown field, which the standard requires to be ignored.
            _ => {}
        }
    }
}

/// Decodes the first block of `buffer`, whose first `known` bytes contain no complete block; `None` while it is incomplete.
///
/// [`split`] parses a block from its beginning. A block that arrives in many small pieces would be parsed again for each of them, so after
/// `known` bytes it is called only if a block can end in the rest.
pub fn decode(buffer: &[u8], known: usize) -> Option<Message<'_>> {
    if known > 0 && !may_end(buffer, known) {
        return None;
    }
    let (block, length) = split(buffer)?;
    Some(Message { data: block.data.unwrap_or_default(), length })
}

/// Whether a block can end in the part of `buffer` after its first `known` bytes.
fn may_end(buffer: &[u8], known: usize) -> bool {
    memchr::memchr_iter(b'\n', &buffer[known..]).any(|end| {
        let line = buffer[..known + end].strip_suffix(b"\r").unwrap_or(&buffer[..known + end]);
        line.is_empty() || line.ends_with(b"\n")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Cursor, Epoch};
    use proptest::prelude::*;

    #[test]
    fn the_overhead_of_an_event_is_thirteen_bytes_and_the_digits_of_its_number() {
        let wire = encode(123, b"{}");
        assert_eq!(wire, b"id: 123\ndata: {}\n\n");
        assert_eq!(wire.len(), 2 + 13 + 3);
        let (block, length) = split(&wire).unwrap();
        assert_eq!(
            (block.cursor(), block.event, block.data.as_deref()),
            (Some(Cursor(123).into()), None, Some(&b"{}"[..]))
        );
        assert_eq!(length, wire.len());
    }

    #[test]
    fn a_gap_has_the_event_type_gap_and_the_cursor_to_resume_from() {
        let gap = Gap { after: Cursor(1), oldest: 5, epoch: Epoch(17) };
        let wire = encode_gap(gap);
        let (block, _) = split(&wire).unwrap();
        assert_eq!((block.event, block.cursor()), (Some(&b"gap"[..]), Some(gap.bookmark())));
        assert_eq!(Gap::decode(&block.data.unwrap()).unwrap(), gap);
    }

    #[test]
    fn fields_are_parsed_as_the_standard_requires() {
        let wire = b": note\r\ndata:one\r\ndata\ndata:  two\nid: a\0b\nretry: 5\nevent:e\r\n\r\n";
        let (block, length) = split(wire).unwrap();
        assert_eq!(block.data.as_deref(), Some(&b"one\n\n two"[..]));
        assert_eq!((block.id, block.event, length), (None, Some(&b"e"[..]), wire.len()));
        assert_eq!(split(HEARTBEAT), Some((Block::default(), HEARTBEAT.len())));
    }

    proptest! {
        #[test]
        fn may_end_is_true_exactly_when_the_new_bytes_complete_a_block(pieces in prop::collection::vec("[a:\n\r]{0,4}", 0..9)) {
            let mut buffer = Vec::new();
            for piece in pieces {
                let known = buffer.len();
                buffer.extend_from_slice(piece.as_bytes());
                prop_assert_eq!(split(&buffer).is_some(), may_end(&buffer, known));
                if split(&buffer).is_some() {
                    break;
                }
            }
        }

        #[test]
        fn a_block_is_decoded_only_once_it_is_complete(seq: u64, json in "[^\n\r]{0,60}", cut in 0..100usize) {
            let wire = encode(seq, json.as_bytes());
            let cut = cut.min(wire.len());
            match split(&wire[..cut]) {
                None => prop_assert!(cut < wire.len()),
                Some((block, length)) => {
                    prop_assert_eq!(length, wire.len());
                    prop_assert_eq!(block.cursor(), Some(Cursor(seq).into()));
                    prop_assert_eq!(block.data.as_deref(), Some(json.as_bytes()));
                }
            }
        }

        #[test]
        fn parsing_arbitrary_bytes_does_not_panic(bytes: Vec<u8>) {
            if let Some((_, length)) = split(&bytes) {
                prop_assert!(length <= bytes.len());
            }
        }
    }
}
