//! Compression of WebSocket messages by permessage-deflate (RFC 7692), between tungstenite, which does not know it, and the connection.
//!
//! Frames of compressed messages are decompressed as they come, and passed on as fragments of the same message without compression. Messages that
//! tungstenite writes are compressed before they are sent. Events that all subscribers share are compressed once for all (see
//! `feed/entry.rs`), and do not pass through here.

use bytes::BytesMut;
use protocol::deflate::{Deflater, InflateFault, Inflater, Parameters};
use protocol::envelope::Malformed;
use protocol::envelope::websocket::{Header, Opcode, encode_compressed, encode_masked, parse, parse_extended};

/// The memory of a compressor and a decompressor together, in bytes: zlib's own figures for the default level.
pub const MEMORY_BYTES: usize = 320 << 10;
/// The largest message that is decompressed or compressed, in bytes: 1 MiB. Longer ones would keep a worker from its other connections for too
/// long, so they are sent without compression, and refused if they were compressed.
const MAX_DEFLATED_BYTES: usize = 1 << 20;
/// The mask of the frames that are passed on to tungstenite, which requires one.
const NO_MASK: [u8; 4] = [0; 4];

/// The reason why a client's frames are not decompressed any further.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// A frame violates the protocol.
    Malformed(Malformed),
    /// A message cannot be decompressed, or becomes too large.
    Inflate(InflateFault),
}

/// How a WebSocket compresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all, even if the client offers it.
    None,
    /// If the client offers it; no message depends on those before it, so that subscribers share compressed events.
    Shared,
    /// If the client offers it; each connection keeps a context, unless the client does not want that.
    Takeover,
}

/// Compresses and decompresses the messages of one WebSocket.
pub struct Deflate {
    /// What was agreed on.
    pub parameters: Parameters,
    /// Made when the first message is sent, since a subscriber that only shares events needs none.
    deflater: Option<Deflater>,
    inflater: Option<Inflater>,
    max_message_bytes: usize,
    incoming: Incoming,
    /// Bytes of frames that have been decompressed and not read yet.
    pub inflated: BytesMut,
    /// The beginning of a frame that tungstenite is writing.
    partial: BytesMut,
    /// Bytes of frames that have been compressed and not written yet.
    pub deflated: BytesMut,
    /// The fault after the bytes in `inflated`.
    pub fault: Option<Fault>,
}

/// The position in the frames that the client sends.
#[derive(Default)]
struct Incoming {
    /// The received part of an incomplete header.
    header: BytesMut,
    /// The current frame, and how many bytes of its payload have come.
    frame: Option<(Header, u64)>,
    /// The opcode of the compressed message until its first fragment was passed on.
    first: Option<Opcode>,
    /// Whether the current message is compressed.
    compressed: bool,
    /// Whether a message has begun and not ended.
    is_open: bool,
    /// The length of the current message so far, decompressed.
    message_bytes: usize,
}

impl Deflate {
    /// For messages of at most `max_message_bytes`.
    pub fn new(parameters: Parameters, max_message_bytes: usize) -> Self {
        Self {
            parameters,
            deflater: None,
            inflater: None,
            max_message_bytes: max_message_bytes.min(MAX_DEFLATED_BYTES),
            incoming: Incoming::default(),
            inflated: BytesMut::new(),
            partial: BytesMut::new(),
            deflated: BytesMut::new(),
            fault: None,
        }
    }

    /// Takes the next bytes that the client has sent, and adds the frames without compression to `inflated`.
    ///
    /// # Errors
    /// When a frame violates the protocol, or a message is too large.
    pub fn receive(&mut self, mut bytes: &[u8]) -> Result<(), Fault> {
        while !bytes.is_empty() {
            let Some((header, received)) = self.incoming.frame else {
                self.incoming.header.extend_from_slice(&bytes[..1]);
                bytes = &bytes[1..];
                if let Some(header) = parse_extended(&self.incoming.header).map_err(Fault::Malformed)? {
                    self.begin(header)?;
                }
                continue;
            };
            let length = (header.payload_length - received).min(bytes.len() as u64) as usize;
            let (payload, rest) = bytes.split_at(length);
            bytes = rest;
            self.incoming.frame = Some((header, received + length as u64));
            if self.incoming.compressed && !header.opcode.is_control() {
                let key = header.mask.unwrap_or(NO_MASK);
                let unmask = |(index, byte): (usize, &u8)| byte ^ key[(received as usize + index) % 4];
                let payload: Vec<u8> = payload.iter().enumerate().map(unmask).collect();
                self.inflate(&payload)?;
            } else {
                self.inflated.extend_from_slice(payload);
            }
            self.end_if_complete()?;
        }
        Ok(())
    }

    /// Begins a frame.
    fn begin(&mut self, header: Header) -> Result<(), Fault> {
        let incoming = &mut self.incoming;
        let raw = std::mem::take(&mut incoming.header);
        let malformed = |fault| Err(Fault::Malformed(Malformed::new("websocket", fault)));
        if header.mask.is_none() {
            return malformed("a client's frame must be masked");
        }
        if !header.opcode.is_control() {
            if incoming.is_open != (header.opcode == Opcode::Continuation) {
                return malformed(
                    "a message must begin where another has ended, and a continuation must have a beginning",
                );
            }
            incoming.is_open = !header.fin;
        }
        if matches!(header.opcode, Opcode::Text | Opcode::Binary) {
            (incoming.compressed, incoming.message_bytes) = (header.compressed, 0);
            incoming.first = header.compressed.then_some(header.opcode);
        }
        incoming.frame = Some((header, 0));
        if header.opcode.is_control() || !incoming.compressed {
            self.inflated.extend_from_slice(&raw);
        }
        self.end_if_complete()
    }

    /// Ends a frame of which everything has come.
    fn end_if_complete(&mut self) -> Result<(), Fault> {
        let Some((header, received)) = self.incoming.frame else { return Ok(()) };
        if received < header.payload_length {
            return Ok(());
        }
        self.incoming.frame = None;
        if header.fin && !header.opcode.is_control() && self.incoming.compressed {
            let (max, mut out) = (self.room(), Vec::new());
            self.inflater().end(max, &mut out)?;
            self.pass_on(&out, true);
            self.incoming.compressed = false;
            // Without context there is nothing to keep.
            if self.parameters.client_no_context_takeover {
                self.inflater = None;
            }
        }
        Ok(())
    }

    /// Decompresses a part of the payload of the current frame.
    fn inflate(&mut self, payload: &[u8]) -> Result<(), Fault> {
        let (max, mut out) = (self.room(), Vec::new());
        self.inflater().part(payload, max, &mut out)?;
        if !out.is_empty() {
            self.pass_on(&out, false);
        }
        Ok(())
    }

    /// How much larger the current message may become, in bytes.
    fn room(&self) -> usize {
        self.max_message_bytes.saturating_sub(self.incoming.message_bytes)
    }

    fn inflater(&mut self) -> &mut Inflater {
        let Parameters { client_no_context_takeover, .. } = self.parameters;
        let bits = self.parameters.client_window_bits();
        self.inflater.get_or_insert_with(|| Inflater::new(bits, client_no_context_takeover))
    }

    /// Passes a part of a message on as a fragment.
    fn pass_on(&mut self, part: &[u8], last: bool) {
        self.incoming.message_bytes += part.len();
        let opcode = self.incoming.first.take().unwrap_or(Opcode::Continuation);
        let mut frame = encode_masked(opcode, part, NO_MASK);
        if !last {
            frame[0] &= 0x7f;
        }
        self.inflated.extend_from_slice(&frame);
    }

    /// Takes the next bytes that tungstenite writes, and adds the frames to be sent to `deflated`: data frames compressed.
    pub fn send(&mut self, bytes: &[u8]) {
        self.partial.extend_from_slice(bytes);
        // tungstenite writes each message as one frame, without a mask.
        while let Ok(Some(header)) = parse(&self.partial) {
            let length = header.length + header.payload_length as usize;
            if self.partial.len() < length {
                return;
            }
            let frame = self.partial.split_to(length);
            if header.opcode.is_control() || header.payload_length > MAX_DEFLATED_BYTES as u64 {
                self.deflated.extend_from_slice(&frame);
                continue;
            }
            let Parameters { server_no_context_takeover, .. } = self.parameters;
            let bits = self.parameters.server_window_bits();
            let deflater = self.deflater.get_or_insert_with(|| Deflater::new(bits, server_no_context_takeover));
            let compressed = deflater.message(&frame[header.length..]);
            self.deflated.extend_from_slice(&encode_compressed(header.opcode, &compressed));
        }
        if self.partial.is_empty() {
            self.partial = BytesMut::new();
        }
    }
}

impl From<InflateFault> for Fault {
    fn from(fault: InflateFault) -> Self {
        Self::Inflate(fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 4] = *b"mask";

    fn deflate(max: usize) -> Deflate {
        Deflate::new(Parameters::choose("permessage-deflate", false).unwrap(), max)
    }

    /// A client's frame that is marked as compressed.
    fn compressed(opcode: Opcode, payload: &[u8], fin: bool) -> Vec<u8> {
        let mut frame = encode_masked(opcode, payload, KEY);
        frame[0] = (frame[0] & if fin { 0xff } else { 0x7f }) | if opcode == Opcode::Continuation { 0 } else { 0x40 };
        frame
    }

    /// The payloads of the frames, all together, and the number of complete messages.
    fn content(mut frames: &[u8]) -> (Vec<u8>, usize) {
        let (mut content, mut messages) = (Vec::new(), 0);
        while let Some(header) = parse(frames).unwrap() {
            let end = header.length + header.payload_length as usize;
            if !header.opcode.is_control() {
                content.extend_from_slice(&frames[header.length..end]);
                messages += usize::from(header.fin);
            }
            frames = &frames[end..];
        }
        (content, messages)
    }

    #[test]
    fn fragments_of_a_compressed_message_are_decompressed_however_they_are_divided() {
        let text = "to be or not to be ".repeat(1_000);
        let payload = Deflater::new(15, false).message(text.as_bytes());
        let (first, second) = payload.split_at(payload.len() / 2);
        let mut ping = encode_masked(Opcode::Ping, b"between", KEY);
        let frames = [
            compressed(Opcode::Text, first, false),
            std::mem::take(&mut ping),
            compressed(Opcode::Continuation, second, true),
        ]
        .concat();
        for size in [1, 7, 512, frames.len()] {
            let mut deflate = deflate(1 << 20);
            for piece in frames.chunks(size) {
                deflate.receive(piece).unwrap();
            }
            assert_eq!(content(&deflate.inflated), (text.clone().into_bytes(), 1), "in pieces of {size}");
        }
    }

    #[test]
    fn messages_without_compression_pass_unchanged_and_frames_must_be_masked_and_only_first_ones_marked() {
        let mut deflate = deflate(100);
        let frames = [encode_masked(Opcode::Text, b"plain", KEY), encode_masked(Opcode::Close, b"", KEY)].concat();
        deflate.receive(&frames).unwrap();
        assert_eq!(deflate.inflated, frames);
        for opcode in [Opcode::Ping, Opcode::Continuation] {
            let mut frame = encode_masked(opcode, b"", KEY);
            frame[0] |= 0x40;
            assert!(matches!(self::deflate(9).receive(&frame), Err(Fault::Malformed(_))), "{opcode:?}");
        }
        for mark in [0, 0x40] {
            let mut unmasked = protocol::envelope::websocket::text(b"plain");
            unmasked[0] |= mark;
            assert!(matches!(self::deflate(9).receive(&unmasked), Err(Fault::Malformed(_))), "{mark:#x}");
        }
    }

    #[test]
    fn a_message_that_becomes_too_large_is_a_fault_before_all_of_it_is_decompressed() {
        let bomb = Deflater::new(15, false).message(&vec![0; 10 << 20]);
        let mut deflate = deflate(64 << 10);
        assert_eq!(
            deflate.receive(&compressed(Opcode::Binary, &bomb, true)),
            Err(Fault::Inflate(InflateFault::TooLarge))
        );
        assert!(deflate.inflated.len() < 128 << 10);
        let garbage = compressed(Opcode::Binary, &[0xff; 20], true);
        assert_eq!(self::deflate(100).receive(&garbage), Err(Fault::Inflate(InflateFault::Malformed)));
    }

    #[test]
    fn a_sent_message_is_compressed_with_the_context_of_those_before_it() {
        let mut deflate = deflate(100);
        let message = protocol::envelope::websocket::text(b"the same message");
        deflate.send(&message[..5]);
        assert!(deflate.deflated.is_empty());
        deflate.send(&message[5..]);
        let first = deflate.deflated.split();
        assert_eq!(first[0], 0xc1);
        deflate.send(&message);
        assert!(deflate.deflated.len() < first.len());
    }
}
