//! The event with its JSON encoding, and the cursor that marks a subscriber's position in the feed.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// One event of the feed, as every transport carries it: `{"seq":N,"at":T,"data":"…"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event<'a> {
    /// The sequence number: 1 for the first event of the feed, and one more for each that follows.
    pub seq: u64,
    /// The scheduled publish time t0, in ns on the server host's monotonic clock.
    pub at: u64,
    /// The payload.
    #[serde(borrow)]
    pub data: Cow<'a, str>,
}

impl<'a> Event<'a> {
    /// Encodes the event as JSON. The result contains no line break, since JSON escapes those, so one line can carry any payload.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(64 + self.data.len());
        serde_json::to_writer(&mut bytes, self).expect("writing JSON to memory does not fail");
        bytes
    }

    /// Decodes an event. A payload without escapes is borrowed from `bytes`.
    ///
    /// # Errors
    /// When `bytes` are not the JSON encoding of an event.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }
}

/// A subscriber's position in the feed: the sequence number of the last event that it has received. 0 is before the first event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cursor(pub u64);

impl Cursor {
    /// The sequence number of the event after this cursor.
    pub fn next_seq(self) -> u64 {
        self.0.saturating_add(1)
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Identifies a feed by the time at which it began, in ms of Unix time. A restarted server begins a new feed, and numbers its events from
/// 1 again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u64);

/// The cursor that a subscriber sends when it starts or resumes: `41`, or `41-1763740800123` with the epoch of its feed. With the epoch, a
/// restarted server recognizes that the cursor belongs to the feed of an earlier server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bookmark {
    /// The position.
    pub cursor: Cursor,
    /// The feed to which it belongs, if that is known.
    pub epoch: Option<Epoch>,
}

impl From<Cursor> for Bookmark {
    fn from(cursor: Cursor) -> Self {
        Self { cursor, epoch: None }
    }
}

impl fmt::Display for Bookmark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.epoch {
            None => self.cursor.fmt(f),
            Some(Epoch(epoch)) => write!(f, "{}-{epoch}", self.cursor),
        }
    }
}

impl FromStr for Bookmark {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let Some((cursor, epoch)) = text.split_once('-') else { return Ok(text.parse::<Cursor>()?.into()) };
        let Cursor(epoch) = epoch.parse()?;
        Ok(Self { cursor: cursor.parse()?, epoch: Some(Epoch(epoch)) })
    }
}

/// The error of a text that is not a cursor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a cursor is an event's number in digits, like 41, or that with its feed's epoch, like 41-1763740800123")]
pub struct InvalidCursor;

impl FromStr for Cursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        // `u64::from_str` would also accept a leading `+`.
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(InvalidCursor);
        }
        text.parse().map(Cursor).map_err(|_| InvalidCursor)
    }
}

/// Events that a subscriber cannot receive any more. Either the history no longer reaches back to its cursor, and the events from
/// `after + 1` to `oldest - 1` have been removed; or its cursor belongs to another feed, and all events in this feed's history are new to
/// it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// The subscriber's cursor.
    pub after: Cursor,
    /// The oldest sequence number in the history.
    pub oldest: u64,
    /// The feed that reports the gap.
    pub epoch: Epoch,
}

#[derive(Serialize, Deserialize)]
struct GapLine {
    gap: GapFields,
}

#[derive(Serialize, Deserialize)]
struct GapFields {
    after: Cursor,
    oldest: u64,
    epoch: Epoch,
}

impl Gap {
    /// The cursor to resume from; the event after it is the oldest one in the history.
    pub fn resume(self) -> Cursor {
        Cursor(self.oldest.saturating_sub(1))
    }

    /// The cursor to resume from, with the epoch of its feed.
    pub fn bookmark(self) -> Bookmark {
        Bookmark { cursor: self.resume(), epoch: Some(self.epoch) }
    }

    /// How many events the subscriber has missed.
    pub fn missed(self) -> u64 {
        self.resume().0.saturating_sub(self.after.0)
    }

    /// Encodes the gap as JSON: `{"gap":{"after":N,"oldest":M,"epoch":E}}`.
    pub fn encode(self) -> Vec<u8> {
        let line = GapLine { gap: GapFields { after: self.after, oldest: self.oldest, epoch: self.epoch } };
        serde_json::to_vec(&line).expect("writing JSON to memory does not fail")
    }

    /// Decodes a gap.
    ///
    /// # Errors
    /// When `bytes` are not the JSON encoding of a gap.
    pub fn decode(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        let line: GapLine = serde_json::from_slice(bytes)?;
        Ok(Self { after: line.gap.after, oldest: line.gap.oldest, epoch: line.gap.epoch })
    }

    /// Whether `bytes`, a JSON text, encode a gap rather than an event.
    pub fn is_announced_by(bytes: &[u8]) -> bool {
        bytes.starts_with(b"{\"gap\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_event_is_encoded_as_documented() {
        let event = Event { seq: 7, at: 12, data: "a \"b\"\n".into() };
        assert_eq!(event.encode(), br#"{"seq":7,"at":12,"data":"a \"b\"\n"}"#);
    }

    #[test]
    fn decoding_borrows_a_payload_without_escapes() {
        let event = Event::decode(br#"{"seq":7,"at":12,"data":"plain"}"#).unwrap();
        assert!(matches!(event.data, Cow::Borrowed("plain")));
    }

    #[test]
    fn a_cursor_consists_of_digits_only() {
        assert_eq!("42".parse(), Ok(Cursor(42)));
        for wrong in ["", "+1", "-1", "1 ", "0x1", "1.0", "18446744073709551616"] {
            assert_eq!(wrong.parse::<Cursor>(), Err(InvalidCursor), "{wrong:?}");
        }
    }

    #[test]
    fn a_bookmark_is_a_cursor_with_or_without_an_epoch() {
        let with_epoch = Bookmark { cursor: Cursor(41), epoch: Some(Epoch(17)) };
        for (text, bookmark) in [("41", Cursor(41).into()), ("41-17", with_epoch)] {
            assert_eq!((text.parse(), bookmark.to_string()), (Ok(bookmark), text.to_string()));
        }
        for wrong in ["", "-", "41-", "-17", "41-17-", "41--17", "41-x"] {
            assert_eq!(wrong.parse::<Bookmark>(), Err(InvalidCursor), "{wrong:?}");
        }
    }

    #[test]
    fn a_gap_has_the_number_of_missed_events_and_the_cursor_to_resume_from() {
        let gap = Gap { after: Cursor(3), oldest: 10, epoch: Epoch(17) };
        assert_eq!((gap.missed(), gap.resume(), gap.bookmark().to_string().as_str()), (6, Cursor(9), "9-17"));
        assert_eq!(Gap::decode(&gap.encode()).unwrap(), gap);
        assert!(Gap::is_announced_by(&gap.encode()));
    }

    proptest! {
        #[test]
        fn every_event_is_encoded_as_one_line_and_decoded_again(seq: u64, at: u64, data: String) {
            let event = Event { seq, at, data: data.into() };
            let bytes = event.encode();
            prop_assert!(!bytes.contains(&b'\n') && !bytes.contains(&b'\r'));
            prop_assert_eq!(Event::decode(&bytes).unwrap(), event);
            prop_assert!(!Gap::is_announced_by(&bytes));
        }

        #[test]
        fn decoding_arbitrary_bytes_does_not_panic(bytes: Vec<u8>) {
            let _ = Event::decode(&bytes);
            let _ = Gap::decode(&bytes);
        }
    }
}
