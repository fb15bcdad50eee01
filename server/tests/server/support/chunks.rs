//! Reads bodies that come in chunks, one chunk at a time.

use crate::support::Wire;

/// The next chunk's data; `None` for the last chunk, which is empty.
pub fn chunk(wire: &mut Wire) -> Option<String> {
    let size = wire.line();
    let size = usize::from_str_radix(size.strip_suffix("\r\n").expect("a size line"), 16).expect("a size in hex");
    let data = String::from_utf8(wire.bytes(size)).unwrap();
    assert_eq!(wire.bytes(2), b"\r\n", "what ends a chunk");
    (size > 0).then_some(data)
}
