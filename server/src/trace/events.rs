//! Finds the events in the bytes that are written to a connection, also if an event is divided among several writes.
//!
//! An event is JSON on one line, `{"seq":N,"at":T,"data":"..."}`. No transport inserts other bytes into it, except SockJS: its events are JSON
//! strings, so there is a backslash before each quotation mark and each backslash. These do not count as the event's bytes.

/// How an event begins, as it is and within a JSON string.
const BEGIN: [&[u8]; 2] = [br#"{"seq":"#, br#"{\"seq\":"#];
/// The backslashes in the second of them.
const ESCAPES: usize = 2;

/// The events in one write.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TracedEvents {
    /// The first and the last sequence number of the events in it, including partial events; `None` if there is no event.
    pub seqs: Option<(u64, u64)>,
    /// How many of its bytes belong to events.
    pub event_bytes: usize,
    /// Offset and length in bytes, within this write, of the events that begin in its shown part.
    pub events: Vec<(usize, usize)>,
}

/// Scans the bytes that are written to a connection, one write after another.
#[derive(Default)]
pub struct EventScanner {
    state: State,
}

#[derive(Clone, Copy)]
enum State {
    /// Outside of events; this many of the last bytes match [`BEGIN`], the second one if `nested`.
    Outside { matched: usize, nested: bool },
    /// In the number after [`BEGIN`]; the last `length` bytes may belong to an event.
    Number { seq: u64, length: usize, nested: bool },
    /// After the number.
    Inside(Inside),
}

/// The position within an event.
#[derive(Clone, Copy)]
struct Inside {
    seq: u64,
    /// Whether it is within a string.
    quoted: bool,
    /// Whether it is directly after a backslash in that.
    escaped: bool,
    /// Whether the event is within a JSON string, and `unescaping`, whether it is directly after a backslash of that.
    nested: bool,
    unescaping: bool,
}

impl Default for State {
    fn default() -> Self {
        Self::Outside { matched: 0, nested: false }
    }
}

impl State {
    /// The state after a byte that does not continue an event.
    fn outside(byte: u8) -> Self {
        Self::Outside { matched: usize::from(byte == BEGIN[0][0]), nested: false }
    }
}

impl EventScanner {
    /// Scans the next write, of which the page shows the first `shown` bytes.
    pub fn read(&mut self, parts: &[&[u8]], shown: usize) -> TracedEvents {
        let mut found = TracedEvents::default();
        // Where the current event begins in this write.
        let mut begin = 0;
        if let State::Inside(Inside { seq, .. }) = self.state {
            found.note(seq);
        }
        let bytes = parts.iter().flat_map(|part| part.iter());
        for (at, &byte) in bytes.enumerate() {
            self.state = match self.state {
                State::Outside { matched, nested } => {
                    // The two beginnings differ from the second byte on.
                    let nested = if matched == 1 { byte == BEGIN[1][1] } else { nested };
                    let whole = BEGIN[usize::from(nested)];
                    match byte == whole[matched] {
                        true if matched + 1 == whole.len() => State::Number { seq: 0, length: whole.len(), nested },
                        true => State::Outside { matched: matched + 1, nested },
                        false => State::outside(byte),
                    }
                }
                State::Number { seq, length, nested } if byte.is_ascii_digit() => {
                    let seq = seq.wrapping_mul(10).wrapping_add(u64::from(byte - b'0'));
                    State::Number { seq, length: length + 1, nested }
                }
                State::Number { seq, length, nested } if byte == b',' => {
                    found.note(seq);
                    // The first bytes of the event are counted here, even if an earlier write contained them.
                    found.event_bytes += length + 1 - if nested { ESCAPES } else { 0 };
                    begin = at.saturating_sub(length);
                    State::Inside(Inside { seq, quoted: false, escaped: false, nested, unescaping: false })
                }
                // The response to a publication looks similar: {"seq":5}.
                State::Number { .. } => State::outside(byte),
                State::Inside(inside) if inside.nested && byte == b'\\' && !inside.unescaping => {
                    State::Inside(Inside { unescaping: true, ..inside })
                }
                State::Inside(inside) => {
                    found.event_bytes += 1;
                    let inside = Inside { unescaping: false, ..inside };
                    match byte {
                        b'}' if !inside.quoted => {
                            found.add_range(begin, at + 1, shown);
                            State::default()
                        }
                        b'"' if !inside.escaped => State::Inside(Inside { quoted: !inside.quoted, ..inside }),
                        b'\\' if !inside.escaped => State::Inside(Inside { escaped: true, ..inside }),
                        _ => State::Inside(Inside { escaped: false, ..inside }),
                    }
                }
            };
        }
        if let State::Inside(_) = self.state {
            found.add_range(begin, parts.iter().map(|part| part.len()).sum(), shown);
        }
        found
    }
}

impl TracedEvents {
    fn note(&mut self, seq: u64) {
        self.seqs = Some((self.seqs.map_or(seq, |(first, _)| first), seq));
    }

    fn add_range(&mut self, from: usize, to: usize, shown: usize) {
        if from < shown {
            self.events.push((from, to - from));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An event as the feed encodes it: its fields in order.
    fn encoded(seq: u64, data: &str) -> Vec<u8> {
        format!(r#"{{"seq":{seq},"at":5,"data":{}}}"#, serde_json::json!(data)).into_bytes()
    }

    #[test]
    fn all_event_bytes_of_a_write_are_counted_even_if_only_a_part_is_shown() {
        let (small, large) = (encoded(41, "a}\"{\\"), encoded(42, &"x".repeat(60_000)));
        let write = [b"HTTP/1.1 200 OK\r\n\r\n".as_slice(), &small, b"\n", &large, b"\n", &encoded(43, ""), b"\n"];
        let found = EventScanner::default().read(&write, 4_096);
        let last = encoded(43, "").len();
        assert_eq!(found.seqs, Some((41, 43)));
        assert_eq!(found.event_bytes, small.len() + large.len() + last);
        assert_eq!(found.events, [(19, small.len()), (20 + small.len(), large.len())]);
    }

    #[test]
    fn an_event_in_a_json_string_is_found_and_its_escapes_are_not_counted() {
        let events = [encoded(7, "a}\"{\\"), encoded(8, "")];
        let bytes = protocol::envelope::sockjs::encode_all(events.iter().map(|event| &event[..]));
        let whole: usize = events.iter().map(Vec::len).sum();
        for cut in 0..bytes.len() {
            let mut scanner = EventScanner::default();
            let (before, after) = bytes.split_at(cut);
            let (first, second) = (scanner.read(&[before], 4_096), scanner.read(&[after], 4_096));
            assert_eq!(first.event_bytes + second.event_bytes, whole, "cut at {cut}");
        }
        let found = EventScanner::default().read(&[&bytes], 4_096);
        assert_eq!((found.seqs, found.events.len(), found.events[0].0), (Some((7, 8)), 2, 3));
    }

    #[test]
    fn the_bytes_of_an_event_are_counted_once_wherever_it_is_divided_among_writes() {
        let bytes = [b"1d\r\n".as_slice(), &encoded(7, "\"}\\"), b"\r\n", &encoded(1_234, "b"), b"\r\n"].concat();
        let whole = encoded(7, "\"}\\").len() + encoded(1_234, "b").len();
        for cut in 0..bytes.len() {
            let mut scanner = EventScanner::default();
            let (before, after) = bytes.split_at(cut);
            let (first, second) = (scanner.read(&[before], 4_096), scanner.read(&[after], 4_096));
            assert_eq!(first.event_bytes + second.event_bytes, whole, "cut at {cut}");
            let seqs = [first.seqs, second.seqs].into_iter().flatten().flat_map(|(first, last)| [first, last]);
            assert!(seqs.clone().min() == Some(7) && seqs.max() == Some(1_234), "cut at {cut}");
        }
    }

    #[test]
    fn text_that_only_resembles_an_event_is_not_one() {
        // The response to a publication, a gap, an incomplete event, and a payload that contains an event.
        for bytes in [br#"{"seq":5}"#.to_vec(), br#"{"gap":{"seq":5}}"#.to_vec(), br#"{"seq":5{"seq":6}"#.to_vec()] {
            assert_eq!(EventScanner::default().read(&[&bytes], 4_096), TracedEvents::default());
        }
        let quoting = encoded(1, &String::from_utf8(encoded(2, "")).unwrap());
        assert_eq!(EventScanner::default().read(&[&quoting], 4_096).seqs, Some((1, 1)));
    }
}
