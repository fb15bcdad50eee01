//! An event in the feed, with its encoded forms. Each form that is the same for all subscribers is encoded when it is first used, and shared
//! from then on.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use protocol::deflate::{Deflater, MAX_WINDOW_BITS};
use protocol::envelope::websocket::Opcode;
use protocol::envelope::{Escapes, stomp, websocket};
use protocol::transport::{Carrier, Coding, Exchange, Row};
use protocol::{Envelope, Event, Transport, chunked, clock};

/// How an envelope is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// As it is.
    Plain,
    /// As a chunk of HTTP/1.1.
    Chunked,
    /// As a message of WebSocket that is compressed by itself.
    Deflated,
}

impl Form {
    const ALL: [Self; 3] = [Self::Plain, Self::Chunked, Self::Deflated];

    /// The form in which a transport writes its envelope.
    const fn of(row: &Row) -> Self {
        match (row.exchange, row.carrier, row.coding) {
            (_, _, Coding::Deflate) => Self::Deflated,
            (Exchange::Stream, Carrier::H1, Coding::Identity | Coding::DeflateTakeover) => Self::Chunked,
            _ => Self::Plain,
        }
    }
}

/// The form in which an event is written to a socket: the envelope, and how that is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoding {
    envelope: Envelope,
    form: Form,
    /// The `id` of a STOMP subscription, which is part of each of its messages.
    subscription: Option<Rc<str>>,
}

/// The number of encodings: each envelope in each form.
const ENCODINGS: usize = Form::ALL.len() * Envelope::ALL.len();

const fn index(envelope: Envelope, form: Form) -> usize {
    Form::ALL.len() * envelope as usize + form as usize
}

/// For each encoding, its slot in an entry, if a transport uses it: its bytes are then encoded once for each event. STOMP has none, since its
/// messages differ between subscribers.
const SLOTS: [Option<usize>; ENCODINGS] = {
    let mut slots = [None; ENCODINGS];
    // Every entry has its line from the beginning.
    slots[index(Envelope::Line, Form::Plain)] = Some(LINE);
    let (mut used, mut number) = (LINE + 1, 0);
    while number < Transport::ALL.len() {
        let row = Transport::ALL[number].row();
        let encoding = index(row.envelope, Form::of(row));
        if slots[encoding].is_none() && !matches!(row.envelope, Envelope::Stomp) {
            slots[encoding] = Some(used);
            used += 1;
        }
        number += 1;
    }
    slots
};
/// The slot of the line.
const LINE: usize = 0;
/// The number of slots.
const SLOT_COUNT: usize = {
    let (mut count, mut encoding) = (0, 0);
    while encoding < ENCODINGS {
        count += SLOTS[encoding].is_some() as usize;
        encoding += 1;
    }
    count
};

/// The encodings that have a slot.
fn shared() -> impl Iterator<Item = (Envelope, Form)> {
    let all = Envelope::ALL.into_iter().flat_map(|envelope| Form::ALL.map(|form| (envelope, form)));
    all.filter(|&(envelope, form)| SLOTS[index(envelope, form)].is_some())
}

thread_local! {
    /// The compressor of a worker's shared messages, of which none depends on another.
    static DEFLATER: RefCell<Deflater> = RefCell::new(Deflater::new(MAX_WINDOW_BITS, true));
}

/// A text frame with a compressed message, or without compression if that is shorter.
fn deflated(json: &[u8]) -> Vec<u8> {
    let compressed = DEFLATER.with_borrow_mut(|deflater| deflater.message(json));
    match compressed.len() < json.len() {
        true => websocket::encode_compressed(Opcode::Text, &compressed),
        false => websocket::text(json),
    }
}

impl Encoding {
    /// The envelope alone.
    pub const fn plain(envelope: Envelope) -> Self {
        Self { envelope, form: Form::Plain, subscription: None }
    }

    /// The envelope in a chunk of HTTP/1.1 (RFC 9112, section 7.1).
    pub const fn chunked(envelope: Envelope) -> Self {
        Self { envelope, form: Form::Chunked, subscription: None }
    }

    /// WebSocket messages, each compressed by itself (RFC 7692).
    pub const fn deflated() -> Self {
        Self { envelope: Envelope::WebSocket, form: Form::Deflated, subscription: None }
    }

    /// STOMP messages of the subscription `id`.
    pub fn stomp(id: Rc<str>) -> Self {
        Self { envelope: Envelope::Stomp, form: Form::Plain, subscription: Some(id) }
    }

    /// The envelope.
    pub const fn envelope(&self) -> Envelope {
        self.envelope
    }

    /// Encodes a message, which already has its envelope, as a chunk if this encoding is chunked.
    pub fn wrap(&self, message: Vec<u8>) -> Bytes {
        if self.form == Form::Chunked { chunked::encode(&message).into() } else { message.into() }
    }

    /// The end of a series of such messages: that of the envelope, and the last chunk; empty if there is neither.
    pub fn end(&self) -> Vec<u8> {
        let mut end = match self.envelope.end() {
            [] => Vec::new(),
            end => self.wrap(end.to_vec()).into(),
        };
        end.extend_from_slice(if self.form == Form::Chunked { chunked::LAST } else { b"" });
        end
    }

    /// All shared encodings.
    #[cfg(test)]
    pub(super) fn shared() -> impl Iterator<Item = Self> {
        self::shared().map(|(envelope, form)| Self { envelope, form, subscription: None })
    }

    fn encode(&self, seq: u64, json: &[u8]) -> Bytes {
        self.wrap(match (&self.subscription, self.form) {
            (Some(id), _) => websocket::text(&stomp::message(id, seq, json)),
            (None, Form::Deflated) => deflated(json),
            (None, Form::Plain | Form::Chunked) => self.envelope.encode(seq, json),
        })
    }

    /// The slot of its bytes in an entry; `None` if they are not kept.
    const fn slot(&self) -> Option<usize> {
        match self.subscription {
            None => SLOTS[index(self.envelope, self.form)],
            Some(_) => None,
        }
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
    encoded: [OnceLock<Bytes>; SLOT_COUNT],
    /// The most memory that it can take, in bytes.
    max_bytes: usize,
    /// The memory of all events of the feed, in bytes. This event is included until it is dropped.
    memory_bytes: Arc<AtomicUsize>,
}

impl Entry {
    pub(super) fn new(seq: u64, at: u64, data: &str, memory_bytes: Arc<AtomicUsize>) -> Self {
        let json = Event { seq, at, data: data.into() }.encode();
        // The JSON is a part of the line, so that the two share their memory.
        let line = Bytes::from(Envelope::Line.encode(seq, &json));
        let json = line.slice(..json.len());
        let encoded: [OnceLock<Bytes>; SLOT_COUNT] = Default::default();
        _ = encoded[LINE].set(line);
        let max_bytes = max_bytes(json.len(), Escapes::of(&json));
        let entry = Self { seq, at, entered: clock::now_ns(), json, encoded, max_bytes, memory_bytes };
        entry.memory_bytes.fetch_add(entry.bytes(), Ordering::Relaxed);
        entry
    }

    /// The event's JSON, without an envelope.
    pub fn json(&self) -> &Bytes {
        &self.json
    }

    /// The event's bytes in an encoding.
    pub fn encoded(&self, encoding: &Encoding) -> Bytes {
        let Some(slot) = encoding.slot() else { return encoding.encode(self.seq, &self.json) };
        let made = self.encoded[slot].get_or_init(|| {
            let bytes = encoding.encode(self.seq, &self.json);
            self.memory_bytes.fetch_add(bytes.len(), Ordering::Relaxed);
            bytes
        });
        made.clone()
    }

    /// The memory that it takes now, in bytes.
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.encoded.iter().filter_map(OnceLock::get).map(Bytes::len).sum::<usize>()
    }

    /// The most memory that it can take, in bytes: with every shared encoding.
    pub(super) fn max_bytes(&self) -> usize {
        self.max_bytes
    }
}

/// The most memory, in bytes, that an event whose JSON has `json_bytes` can take in all shared encodings together.
pub fn max_event_bytes(json_bytes: usize) -> usize {
    max_bytes(json_bytes, Escapes::worst(json_bytes))
}

fn max_bytes(json_bytes: usize, escapes: Escapes) -> usize {
    let encoded = shared().map(|(envelope, _)| envelope.max_bytes(json_bytes, escapes) + chunked::MAX_ADDED_BYTES);
    size_of::<Entry>() + encoded.sum::<usize>()
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.memory_bytes.fetch_sub(self.bytes(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Encodes an event in every shared encoding.
    fn encode_all(entry: &Entry) -> Vec<Bytes> {
        Encoding::shared().map(|encoding| entry.encoded(&encoding)).collect()
    }

    #[test]
    fn an_event_is_kept_in_every_form_that_a_transport_uses_and_in_no_other() {
        // Lines and SSE blocks alone and in chunks, WebSocket messages with and without compression, and one form of each other envelope but STOMP.
        assert_eq!((shared().count(), SLOT_COUNT), (Envelope::ALL.len() + 2, Envelope::ALL.len() + 2));
        assert_eq!(Encoding::plain(Envelope::Line).slot(), Some(LINE));
        assert_eq!(Encoding::chunked(Envelope::WebSocket).slot(), None);
        assert_eq!(Encoding::stomp("0".into()).slot(), None);
    }

    #[test]
    fn an_event_in_all_encodings_takes_at_most_the_memory_it_was_counted_with() {
        for (seq, at) in [(1, 0), (u64::MAX, u64::MAX)] {
            for (length, text) in [0, 1, 99, 100, 101, 125, 126, 4_000, 65_535, 65_536, 1 << 20]
                .into_iter()
                .flat_map(|length| ["x", "<", "\""].map(|text| (length, text)))
            {
                let entry = Entry::new(seq, at, &text.repeat(length), Arc::default());
                let encoded = encode_all(&entry);
                assert_eq!(encoded.len(), SLOT_COUNT);
                assert_eq!(entry.memory_bytes.load(Ordering::Relaxed), entry.bytes());
                assert!(entry.bytes() <= entry.max_bytes(), "{length}: {} of {}", entry.bytes(), entry.max_bytes());
            }
        }
    }

    #[test]
    fn an_event_is_encoded_once_and_a_chunk_contains_the_message() {
        let entry = Entry::new(7, 12, "a", Arc::default());
        let json = br#"{"seq":7,"at":12,"data":"a"}"#;
        assert_eq!(&entry.json()[..], json);
        let line = entry.encoded(&Encoding::plain(Envelope::Line));
        assert_eq!(line, [&json[..], b"\n"].concat());
        assert_eq!(line.as_ptr(), entry.json().as_ptr(), "line and JSON share their memory");
        assert_eq!(entry.encoded(&Encoding::chunked(Envelope::Line)), [b"1d\r\n", &line[..], b"\r\n"].concat());
        let block = [b"id: 7\ndata: ", &json[..], b"\n\n"].concat();
        assert_eq!(entry.encoded(&Encoding::plain(Envelope::Sse)), block);
        assert_eq!(entry.encoded(&Encoding::chunked(Envelope::Sse)), [b"2a\r\n", &block[..], b"\r\n"].concat());
        assert_eq!(
            entry.encoded(&Encoding::plain(Envelope::WebSocket)),
            [&[0x81, json.len() as u8], &json[..]].concat()
        );
        let pointer = || entry.encoded(&Encoding::plain(Envelope::Sse)).as_ptr();
        assert_eq!(pointer(), pointer());
    }
}
