//! The WebSocket extension permessage-deflate: its negotiation, and the compression of messages (RFC 7692).
//!
//! A compressor that keeps its context from one message to the next ("context takeover") compresses better, but each connection needs its
//! own. Without it, the compressed form of an event is the same for every subscriber.

use std::fmt;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

/// The name of the extension.
pub const NAME: &str = "permessage-deflate";
/// What a sender leaves out at the end of each message (RFC 7692, section 7.2.1).
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];
/// The largest window, of 32 KiB, and the default.
pub const MAX_WINDOW_BITS: u8 = 15;
/// The smallest window that the compressor supports.
const MIN_WINDOW_BITS: u8 = 9;
/// How much is decompressed at a time, in bytes.
const STEP_BYTES: usize = 4 << 10;

/// The parameters of the extension, as they were agreed on (RFC 7692, section 7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameters {
    /// The server begins each message without context.
    pub server_no_context_takeover: bool,
    /// The client begins each message without context.
    pub client_no_context_takeover: bool,
    /// The base-2 logarithm of the server's window, if that was agreed on.
    pub server_max_window_bits: Option<u8>,
    /// The base-2 logarithm of the client's window, if that was agreed on.
    pub client_max_window_bits: Option<u8>,
}

/// What a client offers.
struct Offer {
    parameters: Parameters,
    /// Whether the client can limit its window, to any size.
    any_client_window: bool,
}

impl Parameters {
    /// Chooses the first acceptable offer in the value of `Sec-WebSocket-Extensions`; `None` if there is none. With `shared`, neither side keeps
    /// its context: then a compressed event can be shared by all subscribers.
    pub fn choose(offers: &str, shared: bool) -> Option<Self> {
        let Offer { mut parameters, .. } = offers.split(',').find_map(parse)?;
        parameters.server_no_context_takeover |= shared;
        parameters.client_no_context_takeover |= shared;
        Some(parameters)
    }

    /// Parses a server's response.
    pub fn parse_response(text: &str) -> Option<Self> {
        let Offer { parameters, any_client_window } = parse(text)?;
        (!any_client_window).then_some(parameters)
    }

    /// The size of the server's window.
    pub fn server_window_bits(&self) -> u8 {
        self.server_max_window_bits.unwrap_or(MAX_WINDOW_BITS)
    }

    /// The size of the client's window.
    pub fn client_window_bits(&self) -> u8 {
        // A window of 8 bits can be read with one of 9.
        self.client_max_window_bits.unwrap_or(MAX_WINDOW_BITS).max(MIN_WINDOW_BITS)
    }

    /// Whether a server's message is the same for all connections with these parameters.
    pub fn is_shared(&self) -> bool {
        self.server_no_context_takeover && self.server_window_bits() == MAX_WINDOW_BITS
    }
}

impl fmt::Display for Parameters {
    /// Formats the server's response.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAME)?;
        if self.server_no_context_takeover {
            f.write_str("; server_no_context_takeover")?;
        }
        if self.client_no_context_takeover {
            f.write_str("; client_no_context_takeover")?;
        }
        if let Some(bits) = self.server_max_window_bits {
            write!(f, "; server_max_window_bits={bits}")?;
        }
        if let Some(bits) = self.client_max_window_bits {
            write!(f, "; client_max_window_bits={bits}")?;
        }
        Ok(())
    }
}

/// Parses one offer; `None` if it is another extension, malformed, or not acceptable. An offer with an unknown, repeated or invalid parameter
/// must be declined (RFC 7692, section 7).
fn parse(offer: &str) -> Option<Offer> {
    let mut parts = offer.split(';').map(str::trim);
    if parts.next()? != NAME {
        return None;
    }
    let none = Parameters {
        server_no_context_takeover: false,
        client_no_context_takeover: false,
        server_max_window_bits: None,
        client_max_window_bits: None,
    };
    let mut offer = Offer { parameters: none, any_client_window: false };
    let mut seen = Vec::new();
    for part in parts {
        let (name, value) = match part.split_once('=') {
            Some((name, value)) => (name.trim(), Some(value.trim().trim_matches('"'))),
            None => (part, None),
        };
        if seen.contains(&name) {
            return None;
        }
        seen.push(name);
        let bits = |smallest| value.and_then(window_bits).filter(|&bits| bits >= smallest);
        match (name, value) {
            ("server_no_context_takeover", None) => offer.parameters.server_no_context_takeover = true,
            ("client_no_context_takeover", None) => offer.parameters.client_no_context_takeover = true,
            ("server_max_window_bits", Some(_)) => {
                offer.parameters.server_max_window_bits = Some(bits(MIN_WINDOW_BITS)?);
            }
            ("client_max_window_bits", Some(_)) => offer.parameters.client_max_window_bits = Some(bits(8)?),
            ("client_max_window_bits", None) => offer.any_client_window = true,
            _ => return None,
        }
    }
    Some(offer)
}

/// A number from 8 to 15, without leading zeros.
fn window_bits(text: &str) -> Option<u8> {
    let bits = text.parse().ok().filter(|bits| (8..=MAX_WINDOW_BITS).contains(bits))?;
    (text == bits.to_string()).then_some(bits)
}

/// The error of a message that cannot be decompressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InflateFault {
    /// It is not in the format of DEFLATE (RFC 1951).
    #[error("the message is not compressed by DEFLATE")]
    Malformed,
    /// It is larger than is allowed.
    #[error("the decompressed message is too large")]
    TooLarge,
}

/// Compresses the messages of one direction of a connection.
pub struct Deflater {
    compress: Compress,
    no_context: bool,
}

impl Deflater {
    /// A compressor with a window of that size; with `no_context`, each message is compressed by itself.
    pub fn new(window_bits: u8, no_context: bool) -> Self {
        let bits = window_bits.clamp(MIN_WINDOW_BITS, MAX_WINDOW_BITS);
        Self { compress: Compress::new_with_window_bits(Compression::default(), false, bits), no_context }
    }

    /// Compresses a message.
    pub fn message(&mut self, message: &[u8]) -> Vec<u8> {
        // RFC 7692, section 7.2.3.6.
        if message.is_empty() {
            return vec![0];
        }
        let mut compressed = Vec::with_capacity(message.len() / 2 + 64);
        let begin = self.compress.total_in();
        loop {
            let consumed = (self.compress.total_in() - begin) as usize;
            let status = self.compress.compress_vec(&message[consumed..], &mut compressed, FlushCompress::Sync);
            status.expect("compressing to memory does not fail");
            // With space left, everything was written.
            if compressed.len() < compressed.capacity() {
                break;
            }
            compressed.reserve(compressed.len());
        }
        if compressed.ends_with(&TAIL) {
            compressed.truncate(compressed.len() - TAIL.len());
        }
        if self.no_context {
            self.compress.reset();
        }
        compressed
    }
}

/// Decompresses the messages of one direction of a connection.
pub struct Inflater {
    decompress: Decompress,
    no_context: bool,
}

impl Inflater {
    /// A decompressor for a window of that size; with `no_context`, each message was compressed by itself.
    pub fn new(window_bits: u8, no_context: bool) -> Self {
        let bits = window_bits.clamp(MIN_WINDOW_BITS, MAX_WINDOW_BITS);
        Self { decompress: Decompress::new_with_window_bits(false, bits), no_context }
    }

    /// Decompresses the next part of a message and appends it to `out`, which may become `max` bytes long.
    ///
    /// # Errors
    /// When the message is malformed, or larger than that. At most a few KiB more are decompressed.
    pub fn part(&mut self, part: &[u8], max: usize, out: &mut Vec<u8>) -> Result<(), InflateFault> {
        let mut rest = part;
        loop {
            if out.len() > max {
                return Err(InflateFault::TooLarge);
            }
            out.reserve_exact(STEP_BYTES);
            let (consumed, produced) = (self.decompress.total_in(), out.len());
            let status = self.decompress.decompress_vec(rest, out, FlushDecompress::Sync);
            let status = status.map_err(|_| InflateFault::Malformed)?;
            let consumed = (self.decompress.total_in() - consumed) as usize;
            rest = &rest[consumed..];
            if status == Status::StreamEnd {
                // A sender may end its stream of blocks; the next block begins a new one (RFC 7692, section 7.2.3.4).
                self.decompress.reset(false);
            } else if out.len() < out.capacity() && rest.is_empty() || consumed == 0 && out.len() == produced {
                return if out.len() > max { Err(InflateFault::TooLarge) } else { Ok(()) };
            }
        }
    }

    /// Decompresses what is left at the end of a message.
    ///
    /// # Errors
    /// Those of [`Self::part`].
    pub fn end(&mut self, max: usize, out: &mut Vec<u8>) -> Result<(), InflateFault> {
        self.part(&TAIL, max, out)?;
        if out.len() > max {
            return Err(InflateFault::TooLarge);
        }
        if self.no_context {
            self.decompress.reset(false);
        }
        Ok(())
    }

    /// Decompresses a whole message.
    ///
    /// # Errors
    /// Those of [`Self::part`].
    pub fn message(&mut self, message: &[u8], max: usize) -> Result<Vec<u8>, InflateFault> {
        let mut out = Vec::with_capacity(message.len() * 2);
        self.part(message, max, &mut out)?;
        self.end(max, &mut out)?;
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(offers: &str) -> Option<String> {
        Parameters::choose(offers, false).map(|parameters| parameters.to_string())
    }

    #[test]
    fn the_first_acceptable_offer_is_chosen_with_its_parameters() {
        assert_eq!(chosen("permessage-deflate").unwrap(), "permessage-deflate");
        assert_eq!(chosen("x-webkit-deflate-frame, permessage-deflate; client_max_window_bits").unwrap(), NAME);
        let all = "permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
            server_max_window_bits=10; client_max_window_bits=8";
        assert_eq!(chosen(all).unwrap(), all);
        assert_eq!(chosen("permessage-deflate; server_max_window_bits=8, permessage-deflate").unwrap(), NAME);
        assert_eq!(
            chosen("permessage-deflate; server_max_window_bits=\"12\"").unwrap(),
            format!("{NAME}; server_max_window_bits=12")
        );
        let shared = Parameters::choose("permessage-deflate; client_max_window_bits", true).unwrap();
        assert!(shared.is_shared());
        assert_eq!(shared.to_string(), format!("{NAME}; server_no_context_takeover; client_no_context_takeover"));
    }

    #[test]
    fn an_offer_with_an_unknown_repeated_or_invalid_parameter_is_declined() {
        for parameters in [
            "unknown",
            "server_no_context_takeover=1",
            "server_max_window_bits",
            "server_max_window_bits=7",
            "server_max_window_bits=16",
            "server_max_window_bits=09",
            "client_max_window_bits=x",
            "server_no_context_takeover; server_no_context_takeover",
        ] {
            assert_eq!(chosen(&format!("{NAME}; {parameters}")), None, "{parameters}");
        }
        assert_eq!((chosen(""), chosen("permessage-bzip2")), (None, None));
        assert_eq!(Parameters::parse_response("permessage-deflate; client_max_window_bits"), None, "only in offers");
    }

    #[test]
    fn the_examples_of_rfc_7692_section_7_2_3_are_reproduced() {
        let mut deflater = Deflater::new(15, false);
        assert_eq!(deflater.message(b"Hello"), [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]);
        assert_eq!(deflater.message(b"Hello"), [0xf2, 0x00, 0x11, 0x00, 0x00], "with the context of the first message");
        let mut inflater = Inflater::new(15, false);
        // Compressed, not compressed, in a final block, and in two blocks.
        for message in [
            &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00][..],
            &[0xf2, 0x00, 0x11, 0x00, 0x00],
            &[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00],
            &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00],
            &[0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00],
        ] {
            assert_eq!(inflater.message(message, 5).unwrap(), b"Hello", "{message:x?}");
        }
        assert_eq!(deflater.message(b""), [0]);
        assert_eq!(inflater.message(&[0], 0).unwrap(), b"");
    }

    #[test]
    fn messages_of_any_size_survive_with_every_window_with_and_without_context() {
        for (bits, no_context) in (9..=15).flat_map(|bits| [(bits, false), (bits, true)]) {
            let (mut deflater, mut inflater) = (Deflater::new(bits, no_context), Inflater::new(bits, no_context));
            for length in [1, 2, 100, 4_095, 4_096, 4_097, 70_000, 300_000] {
                let text: Vec<u8> = (0..length).map(|index: usize| (index * index / 7 % 251) as u8).collect();
                let compressed = deflater.message(&text);
                let mut out = Vec::new();
                for piece in compressed.chunks(1_000) {
                    inflater.part(piece, length, &mut out).unwrap();
                }
                inflater.end(length, &mut out).unwrap();
                assert!(out == text, "{bits} bits, {length} bytes");
            }
        }
    }

    #[test]
    fn a_message_that_would_become_too_large_is_refused_after_a_few_kibibytes_more() {
        let bomb = Deflater::new(15, true).message(&vec![0; 50 << 20]);
        assert!(bomb.len() < 60 << 10, "{}", bomb.len());
        let mut out = Vec::new();
        assert_eq!(Inflater::new(15, true).part(&bomb, 1 << 20, &mut out), Err(InflateFault::TooLarge));
        assert!(out.capacity() <= 3 << 20, "{}", out.capacity());
        assert_eq!(Inflater::new(15, true).message(b"\xff\xff\xff", 100), Err(InflateFault::Malformed));
    }
}
