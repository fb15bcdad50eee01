//! An event in the feed, with its encoded forms. Each form is encoded when it is first used, and shared from then on.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use protocol::{Envelope, Event, chunked, clock};

/// The form in which an event is written to a socket: the envelope, and whether it is sent as a chunk of HTTP/1.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encoding {
    envelope: Envelope,
    chunked: bool,
}

impl Encoding {
    /// How many encodings there are.
    const COUNT: usize = 2 * Envelope::ALL.len();
    /// The most that an encoding adds to an event's JSON, in bytes.
    const MAX_ADDED_BYTES: usize = Envelope::MAX_ADDED_BYTES + chunked::MAX_ADDED_BYTES;

    /// The envelope alone.
    pub const fn plain(envelope: Envelope) -> Self {
        Self { envelope, chunked: false }
    }

    /// The envelope in a chunk of HTTP/1.1 (RFC 9112, section 7.1).
    pub const fn chunked(envelope: Envelope) -> Self {
        Self { envelope, chunked: true }
    }

    /// The envelope.
    pub const fn envelope(self) -> Envelope {
        self.envelope
    }

    /// Encodes a message, which already has its envelope, as a chunk if this encoding is chunked.
    pub fn wrap(self, message: Vec<u8>) -> Bytes {
        if self.chunked { chunked::encode(&message).into() } else { message.into() }
    }

    /// The end of a series of such messages: the last chunk, or nothing.
    pub fn end(self) -> Option<Bytes> {
        self.chunked.then(|| Bytes::from_static(chunked::LAST))
    }

    const fn index(self) -> usize {
        2 * self.envelope as usize + self.chunked as usize
    }
}

/// An event in the feed.
pub struct Entry {
    /// Sequence number, from 1.
    pub seq: u64,
    /// Scheduled publish time t0, in ns on the monotonic clock.
    pub at: u64,
    /// When it entered the feed, t1, in ns on the same clock.
    pub entered: u64,
    json: Bytes,
    encoded: [OnceLock<Bytes>; Encoding::COUNT],
    /// The memory of all events of the feed, in bytes. This event is included until it is dropped.
    memory_bytes: Arc<AtomicUsize>,
}

impl Entry {
    pub(super) fn new(seq: u64, at: u64, data: &str, memory_bytes: Arc<AtomicUsize>) -> Self {
        let json = Event { seq, at, data: data.into() }.encode();
        // The JSON is a part of the line, so that the two share their memory.
        let line = Bytes::from(Envelope::Line.encode(seq, &json));
        let json = line.slice(..json.len());
        let encoded: [OnceLock<Bytes>; Encoding::COUNT] = Default::default();
        _ = encoded[Encoding::plain(Envelope::Line).index()].set(line);
        let entry = Self { seq, at, entered: clock::now_ns(), json, encoded, memory_bytes };
        entry.memory_bytes.fetch_add(entry.bytes(), Ordering::Relaxed);
        entry
    }

    /// The event's JSON, without an envelope.
    pub fn json(&self) -> &[u8] {
        &self.json
    }

    /// The event's bytes in an encoding.
    pub fn encoded(&self, encoding: Encoding) -> Bytes {
        let made = self.encoded[encoding.index()].get_or_init(|| {
            let bytes = encoding.wrap(encoding.envelope.encode(self.seq, &self.json));
            self.memory_bytes.fetch_add(bytes.len(), Ordering::Relaxed);
            bytes
        });
        made.clone()
    }

    /// The memory that it takes now, in bytes.
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.encoded.iter().filter_map(OnceLock::get).map(Bytes::len).sum::<usize>()
    }

    /// The most memory that it can take, in bytes: with every encoding.
    pub(super) fn max_bytes(&self) -> usize {
        max_event_bytes(self.json.len())
    }
}

/// The most memory, in bytes, that an event whose JSON has `json_bytes` can take in all encodings together.
pub const fn max_event_bytes(json_bytes: usize) -> usize {
    size_of::<Entry>() + Encoding::COUNT * (json_bytes + Encoding::MAX_ADDED_BYTES)
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.memory_bytes.fetch_sub(self.bytes(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Encodes an event in every encoding.
    fn encode_all(entry: &Entry) -> Vec<Bytes> {
        let encodings = Envelope::ALL.map(|envelope| [Encoding::plain(envelope), Encoding::chunked(envelope)]);
        encodings.into_iter().flatten().map(|encoding| entry.encoded(encoding)).collect()
    }

    #[test]
    fn an_event_in_all_encodings_takes_at_most_the_memory_it_was_counted_with() {
        for (seq, at) in [(1, 0), (u64::MAX, u64::MAX)] {
            for length in [0, 1, 99, 100, 101, 125, 126, 4_000, 65_535, 65_536, 1 << 20] {
                let entry = Entry::new(seq, at, &"x".repeat(length), Arc::default());
                let encoded = encode_all(&entry);
                assert_eq!(encoded.len(), Encoding::COUNT);
                assert_eq!(entry.memory_bytes.load(Ordering::Relaxed), entry.bytes());
                assert!(entry.bytes() <= entry.max_bytes(), "{length}: {} of {}", entry.bytes(), entry.max_bytes());
            }
        }
    }

    #[test]
    fn an_event_is_encoded_once_and_a_chunk_contains_the_message() {
        let entry = Entry::new(7, 12, "a", Arc::default());
        let json = br#"{"seq":7,"at":12,"data":"a"}"#;
        assert_eq!(entry.json(), json);
        let line = entry.encoded(Encoding::plain(Envelope::Line));
        assert_eq!(line, [&json[..], b"\n"].concat());
        assert_eq!(line.as_ptr(), entry.json().as_ptr(), "line and JSON share their memory");
        assert_eq!(entry.encoded(Encoding::chunked(Envelope::Line)), [b"1d\r\n", &line[..], b"\r\n"].concat());
        let block = [b"id: 7\ndata: ", &json[..], b"\n\n"].concat();
        assert_eq!(entry.encoded(Encoding::plain(Envelope::Sse)), block);
        assert_eq!(entry.encoded(Encoding::chunked(Envelope::Sse)), [b"2a\r\n", &block[..], b"\r\n"].concat());
        assert_eq!(
            entry.encoded(Encoding::plain(Envelope::WebSocket)),
            [&[0x81, json.len() as u8], &json[..]].concat()
        );
        let pointer = || entry.encoded(Encoding::plain(Envelope::Sse)).as_ptr();
        assert_eq!(pointer(), pointer());
    }
}
