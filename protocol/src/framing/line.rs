//! Lines: an event, then a line feed. NDJSON bodies and the raw TCP transport are framed so; the cost is one byte. An empty line is a
//! heartbeat, and no event.

/// What keeps an idle connection alive and means nothing.
pub const HEARTBEAT: &[u8] = b"\n";

/// `json` as a line.
pub fn frame(json: &[u8]) -> Vec<u8> {
    [json, b"\n"].concat()
}

/// The first line of `buffer` without its line feed, and how many bytes it takes with it; `None` while it is unfinished.
pub fn split(buffer: &[u8]) -> Option<(&[u8], usize)> {
    let end = memchr::memchr(b'\n', buffer)?;
    Some((&buffer[..end], end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_heartbeat_is_a_line_with_nothing_in_it() {
        assert_eq!(split(HEARTBEAT), Some((&b""[..], 1)));
    }

    proptest! {
        #[test]
        fn lines_come_back_as_they_went_and_cost_one_byte_each(lines in prop::collection::vec("[^\n]{0,40}", 0..9)) {
            let wire: Vec<u8> = lines.iter().flat_map(|text| frame(text.as_bytes())).collect();
            prop_assert_eq!(wire.len(), lines.iter().map(|text| text.len() + 1).sum::<usize>());
            let mut rest = &wire[..];
            for text in &lines {
                let (found, taken) = split(rest).unwrap();
                prop_assert_eq!(found, text.as_bytes());
                rest = &rest[taken..];
            }
            prop_assert_eq!(split(rest), None);
        }
    }
}
