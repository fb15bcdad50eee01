//! HTTP/1.1 chunks: the size in hex, CR LF, the data, CR LF (RFC 9112, section 7.1). The overhead is the hex digits and four bytes.

use crate::envelope::{Malformed, line};

/// The end of each chunk.
pub const END: &[u8] = b"\r\n";

/// The last chunk, which has no data and ends the body.
pub const LAST: &[u8] = b"0\r\n\r\n";

/// The most that a chunk adds to its data, in bytes: a size of sixteen digits, and CR LF twice.
pub const MAX_ADDED_BYTES: usize = 20;

/// Encodes `data` as a chunk.
pub fn encode(data: &[u8]) -> Vec<u8> {
    // Allocated with its exact length, since it is kept for as long as its event.
    [format!("{:x}\r\n", data.len()).as_bytes(), data, END].concat()
}

/// The largest chunk that is accepted, in bytes. The server sends one event per chunk, so a size of gigabytes is an attack.
pub const MAX_SIZE_BYTES: usize = 16 << 20;

/// The length at which an incomplete size line is rejected, in bytes. The sixteen hex digits of the largest u64 take less.
const MAX_SIZE_LINE_BYTES: usize = 64;

/// Parses the size line of a chunk. Returns the length of its data and that of the line, in bytes; `None` while the line is incomplete.
/// A size of 0 ends the body.
///
/// # Errors
/// When the size does not consist of hex digits only, or is larger than [`MAX_SIZE_BYTES`]. Chunk extensions are rejected: this server
/// sends none, and lenient parsers of them make request smuggling possible.
pub fn size(buffer: &[u8]) -> Result<Option<(usize, usize)>, Malformed> {
    let malformed = |fault| Malformed { format: "chunked", fault };
    let Some((line, length)) = line::split(buffer) else {
        return if buffer.len() < MAX_SIZE_LINE_BYTES { Ok(None) } else { Err(malformed("a size line without end")) };
    };
    let digits = line.strip_suffix(b"\r").ok_or_else(|| malformed("a size line must end with CR LF"))?;
    if digits.is_empty() || digits.len() > 16 {
        return Err(malformed("a size is 1 to 16 hex digits"));
    }
    let mut size = 0u64;
    for &digit in digits {
        let value = (digit as char).to_digit(16).ok_or_else(|| malformed("a size consists of hex digits only"))?;
        size = size << 4 | u64::from(value);
    }
    match usize::try_from(size) {
        Ok(size) if size <= MAX_SIZE_BYTES => Ok(Some((size, length))),
        _ => Err(malformed("a chunk of more than 16 MiB")),
    }
}

/// Parses the CR LF that must follow a chunk's data, at the front of `buffer`. Returns its length; `None` while it is incomplete.
///
/// # Errors
/// When other bytes are there.
pub fn end(buffer: &[u8]) -> Result<Option<usize>, Malformed> {
    let known = buffer.len().min(END.len());
    if buffer[..known] != END[..known] {
        return Err(Malformed { format: "chunked", fault: "data must be followed by CR LF" });
    }
    Ok((known == END.len()).then_some(known))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_are_parsed_strictly() {
        assert_eq!(size(b"fF\r\nrest"), Ok(Some((255, 4))));
        assert_eq!(size(b"0\r\n"), Ok(Some((0, 3))));
        assert_eq!(size(b"ff"), Ok(None));
        for wrong in [&b"\r\n"[..], b"ff\n", b" ff\r\n", b"+f\r\n", b"0x1\r\n", b"1;a=b\r\n", b"ffffffffffffffff\r\n"] {
            assert!(size(wrong).is_err(), "{wrong:?}");
        }
        assert!(size(&[b'0'; 64]).is_err());
    }

    #[test]
    fn a_chunk_ends_with_cr_lf() {
        assert_eq!((end(b""), end(b"\r"), end(b"\r\nx")), (Ok(None), Ok(None), Ok(Some(2))));
        assert!(end(b"\n").is_err() && end(b"\rx").is_err());
    }

    proptest! {
        #[test]
        fn every_size_up_to_the_limit_is_parsed(length in 0..=MAX_SIZE_BYTES) {
            let line = format!("{length:x}\r\n");
            prop_assert_eq!(size(line.as_bytes()), Ok(Some((length, line.len()))));
        }

        #[test]
        fn parsing_arbitrary_bytes_does_not_panic(bytes: Vec<u8>) {
            let _ = size(&bytes);
            let _ = end(&bytes);
        }
    }
}
