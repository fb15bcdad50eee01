//! Server-sent events: blocks of `field: value` lines, ended by a blank line (WHATWG HTML, section 9.2.5).

use std::borrow::Cow;

use crate::event::{Bookmark, Gap};

/// A comment line with its blank line: what keeps an idle stream alive and means nothing.
pub const HEARTBEAT: &[u8] = b":\n\n";

/// An event as a block: its seq as `id`, so that `Last-Event-ID` is the cursor to resume from, its JSON as `data`.
///
/// The cost over the event's bytes is 13 and the digits of the seq. `json` must hold no line break.
pub fn frame(seq: u64, json: &[u8]) -> Vec<u8> {
    [format!("id: {seq}\ndata: ").as_bytes(), json, b"\n\n"].concat()
}

/// A gap as a block of the event type `gap`; its `id` is the cursor to go on from.
pub fn frame_gap(gap: Gap) -> Vec<u8> {
    [format!("event: gap\nid: {}\ndata: ", gap.bookmark()).as_bytes(), &gap.encode(), b"\n\n"].concat()
}

/// One block, as a browser's `EventSource` reads it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Block<'a> {
    /// The last `id` of the block.
    pub id: Option<&'a [u8]>,
    /// The event type; `None` is what browsers call `message`.
    pub event: Option<&'a [u8]>,
    /// The `data` lines, joined by line feeds; `None` where the block has none and so dispatches nothing.
    pub data: Option<Cow<'a, [u8]>>,
}

impl Block<'_> {
    /// The cursor that the block's `id` gives, if it gives one.
    pub fn cursor(&self) -> Option<Bookmark> {
        std::str::from_utf8(self.id?).ok()?.parse().ok()
    }
}

/// The first block of `buffer`, and how many bytes it takes with its blank line; `None` while it is unfinished.
///
/// Lines may end with LF or CR LF. A CR alone, which the standard allows and nobody sends, ends no line here.
pub fn split(buffer: &[u8]) -> Option<(Block<'_>, usize)> {
    let mut block = Block::default();
    let mut taken = 0;
    loop {
        let (line, length) = super::line::split(&buffer[taken..])?;
        taken += length;
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            return Some((block, taken));
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
            // A comment (its field is empty), `retry`, or a field that the standard says to ignore.
            _ => {}
        }
    }
}

/// Whether a block may end in what came to `buffer` behind its first `known` bytes, in which none did. Cheaper than [`split`], which
/// begins at the beginning: who sends a block in many small pieces would have all of it read again for each.
pub fn may_end(buffer: &[u8], known: usize) -> bool {
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
    fn an_event_costs_thirteen_bytes_and_its_digits() {
        let wire = frame(123, b"{}");
        assert_eq!(wire, b"id: 123\ndata: {}\n\n");
        assert_eq!(wire.len(), 2 + 13 + 3);
        let (block, taken) = split(&wire).unwrap();
        assert_eq!(
            (block.cursor(), block.event, block.data.as_deref()),
            (Some(Cursor(123).into()), None, Some(&b"{}"[..]))
        );
        assert_eq!(taken, wire.len());
    }

    #[test]
    fn a_gap_has_a_type_and_the_cursor_to_go_on_from() {
        let gap = Gap { after: Cursor(1), oldest: 5, epoch: Epoch(17) };
        let wire = frame_gap(gap);
        let (block, _) = split(&wire).unwrap();
        assert_eq!((block.event, block.cursor()), (Some(&b"gap"[..]), Some(gap.bookmark())));
        assert_eq!(Gap::decode(&block.data.unwrap()).unwrap(), gap);
    }

    #[test]
    fn fields_are_read_as_the_standard_says() {
        let wire = b": note\r\ndata:one\r\ndata\ndata:  two\nid: a\0b\nretry: 5\nevent:e\r\n\r\n";
        let (block, taken) = split(wire).unwrap();
        assert_eq!(block.data.as_deref(), Some(&b"one\n\n two"[..]));
        assert_eq!((block.id, block.event, taken), (None, Some(&b"e"[..]), wire.len()));
        assert_eq!(split(HEARTBEAT), Some((Block::default(), HEARTBEAT.len())));
    }

    proptest! {
        #[test]
        fn a_block_ends_only_where_it_may(pieces in prop::collection::vec("[a:\n\r]{0,4}", 0..9)) {
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
        fn blocks_come_back_whole_wherever_the_buffer_ends(seq: u64, json in "[^\n\r]{0,60}", cut in 0..100usize) {
            let wire = frame(seq, json.as_bytes());
            let cut = cut.min(wire.len());
            match split(&wire[..cut]) {
                None => prop_assert!(cut < wire.len()),
                Some((block, taken)) => {
                    prop_assert_eq!(taken, wire.len());
                    prop_assert_eq!(block.cursor(), Some(Cursor(seq).into()));
                    prop_assert_eq!(block.data.as_deref(), Some(json.as_bytes()));
                }
            }
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
            if let Some((_, taken)) = split(&bytes) {
                prop_assert!(taken <= bytes.len());
            }
        }
    }
}
