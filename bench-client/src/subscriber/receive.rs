//! Receiving: complete messages are parsed at the front of the bytes that have come, without copying them. Only the beginning of an
//! incomplete message is kept for later.
//!
//! Which bytes are a complete message depends on the transport. It provides a parse function without any I/O, which parses one line, chunk or
//! frame. Its second argument is how many of the bytes it has examined before. So a message that comes in many small pieces is not searched
//! from its beginning each time.

use std::convert::Infallible;
use std::mem;

use bytes::{Buf, BytesMut};

use crate::fault::Fault;

/// The result of one parse step at the front of the received bytes. The bytes of a parsed message have been attributed to their layers.
#[derive(Debug)]
pub enum Step<T = Infallible> {
    /// The message is not complete.
    Incomplete,
    /// A message of this length, in bytes, was parsed.
    Parsed(usize),
    /// The last message was parsed, of this length in bytes; receiving ends with this result.
    Last(usize, Result<T, Fault>),
}

/// Parses all complete messages at the front of `bytes` and removes them. `parse` has examined the first `known` bytes before.
///
/// # Errors
/// Those of `parse`. What was parsed before the error is removed nevertheless.
pub fn parse_from<T>(
    bytes: &mut BytesMut,
    known: usize,
    parse: impl FnMut(&[u8], usize) -> Result<Step<T>, Fault>,
) -> Result<Option<T>, Fault> {
    let (parsed, last) = parse_all(bytes, known, parse);
    bytes.advance(parsed);
    last
}

/// As [`parse_from`], but removes nothing and returns how many bytes were parsed.
pub fn parse_all<T>(
    bytes: &[u8],
    mut known: usize,
    mut parse: impl FnMut(&[u8], usize) -> Result<Step<T>, Fault>,
) -> (usize, Result<Option<T>, Fault>) {
    let mut all = 0;
    while all < bytes.len() {
        match parse(&bytes[all..], mem::take(&mut known)) {
            Ok(Step::Incomplete) => break,
            Ok(Step::Parsed(length)) => all += length,
            Ok(Step::Last(length, last)) => return (all + length, last.map(Some)),
            Err(fault) => return (all, Err(fault)),
        }
    }
    (all, Ok(None))
}
