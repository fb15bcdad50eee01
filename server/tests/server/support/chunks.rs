//! Reads chunked bodies, one chunk at a time.

use crate::support::Wire;

/// Reads the next chunk and returns its data; `None` for the last chunk, which is empty.
pub fn chunk(wire: &mut Wire) -> Option<String> {
    let size = wire.line();
    let size = usize::from_str_radix(size.strip_suffix("\r\n").expect("no size line"), 16).expect("no size in hex");
    let data = String::from_utf8(wire.bytes(size)).unwrap();
    assert_eq!(wire.bytes(2), b"\r\n", "the end of a chunk");
    (size > 0).then_some(data)
}
