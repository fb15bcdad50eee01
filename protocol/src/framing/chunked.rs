//! HTTP/1.1 chunks: the size in hex, CRLF, the data, CRLF (RFC 9112, section 7.1). The cost is the hex digits and four bytes.

use super::Malformed;

/// What ends each chunk.
pub const END: &[u8] = b"\r\n";

/// The last chunk, which has no data: the body ends with it.
pub const LAST: &[u8] = b"0\r\n\r\n";

/// `data` as a chunk.
pub fn frame(data: &[u8]) -> Vec<u8> {
    // Frames are kept for as long as their event is: in one piece of just that length.
    [format!("{:x}\r\n", data.len()).as_bytes(), data, END].concat()
}

/// The longest chunk that is believed, in bytes. The server sends an event a chunk; a size of gigabytes is an attack.
pub const LONGEST: usize = 16 << 20;

// Sixteen hex digits hold any u64; what follows the size must not grow without end either.
const LONGEST_HEAD: usize = 64;

/// Reads the size line of a chunk: the data's length in bytes, and how many bytes the line takes; `None` while it is
/// unfinished. A size of 0 announces the end of the body.
///
/// # Errors
/// When the size is not hex digits alone, or is longer than [`LONGEST`]. Chunk extensions are refused: none of ours has
/// one, and lenient readers of them are how requests get smuggled.
pub fn size(buffer: &[u8]) -> Result<Option<(usize, usize)>, Malformed> {
    let malformed = |fault| Malformed { framing: "chunked", fault };
    let Some((line, taken)) = super::line::split(buffer) else {
        return if buffer.len() < LONGEST_HEAD { Ok(None) } else { Err(malformed("a size line without end")) };
    };
    let digits = line.strip_suffix(b"\r").ok_or_else(|| malformed("a size line must end with CR LF"))?;
    if digits.is_empty() || digits.len() > 16 {
        return Err(malformed("a size is 1 to 16 hex digits"));
    }
    let mut size = 0u64;
    for &digit in digits {
        let value = (digit as char).to_digit(16).ok_or_else(|| malformed("a size is hex digits alone"))?;
        size = size << 4 | u64::from(value);
    }
    match usize::try_from(size) {
        Ok(size) if size <= LONGEST => Ok(Some((size, taken))),
        _ => Err(malformed("a chunk of more than 16 MiB")),
    }
}

/// Whether `buffer` begins with the CRLF that must follow a chunk's data; `None` while it is too short to say.
///
/// # Errors
/// When something else stands there.
pub fn end(buffer: &[u8]) -> Result<Option<usize>, Malformed> {
    let known = buffer.len().min(END.len());
    if buffer[..known] != END[..known] {
        return Err(Malformed { framing: "chunked", fault: "data must be followed by CR LF" });
    }
    Ok((known == END.len()).then_some(known))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_are_strict() {
        assert_eq!(size(b"fF\r\nrest"), Ok(Some((255, 4))));
        assert_eq!(size(b"0\r\n"), Ok(Some((0, 3))));
        assert_eq!(size(b"ff"), Ok(None));
        for wrong in [&b"\r\n"[..], b"ff\n", b" ff\r\n", b"+f\r\n", b"0x1\r\n", b"1;a=b\r\n", b"ffffffffffffffff\r\n"] {
            assert!(size(wrong).is_err(), "{wrong:?}");
        }
        assert!(size(&[b'0'; 64]).is_err());
    }

    #[test]
    fn the_end_is_cr_lf() {
        assert_eq!((end(b""), end(b"\r"), end(b"\r\nx")), (Ok(None), Ok(None), Ok(Some(2))));
        assert!(end(b"\n").is_err() && end(b"\rx").is_err());
    }

    proptest! {
        #[test]
        fn any_length_is_read_back(length in 0..=LONGEST) {
            let line = format!("{length:x}\r\n");
            prop_assert_eq!(size(line.as_bytes()), Ok(Some((length, line.len()))));
        }

        #[test]
        fn any_bytes_are_refused_or_read_without_panic(bytes: Vec<u8>) {
            let _ = size(&bytes);
            let _ = end(&bytes);
        }
    }
}
