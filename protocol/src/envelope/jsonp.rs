//! JSONP: each event is a call of the page's own function, in a script that a `script` element loads.
//!
//! A page may not read what another origin's server sends, but may run its scripts. Before CORS, this was the only way to poll another
//! origin. The name of the function is a parameter of the request, so it is not part of the encoded event: the response has it before each
//! call.

use super::{Message, javascript, line};

/// A call without an argument, which keeps an idle stream of calls alive. A poll without an event has a response without a body instead.
pub const HEARTBEAT: &[u8] = b"();\n";

/// Encodes the arguments of the call, and the end of the line. The name of the function precedes them.
///
/// The overhead is four bytes and the name.
pub fn encode(json: &[u8]) -> Vec<u8> {
    [b"(", &*javascript::escape(json), b");\n"].concat()
}

/// Decodes the first call of `buffer`, whose first `known` bytes contain no line feed; `None` while it is incomplete. A line that is not a
/// call has no content.
pub fn decode(buffer: &[u8], known: usize) -> Option<Message<'_>> {
    let Message { data: _, length } = line::decode(buffer, known)?;
    let call = &buffer[..length - 1];
    let begin = memchr::memchr(b'(', call).map_or(call.len(), |at| at + 1);
    let argument = call[begin..].strip_suffix(b");").unwrap_or_default();
    Some(Message { data: javascript::unescape(argument), length })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_a_call_of_the_function_that_precedes_it() {
        let call = [b"parent.on", &encode(b"{\"seq\":1}")[..]].concat();
        assert_eq!(call, b"parent.on({\"seq\":1});\n");
        let message = decode(&call, 0).unwrap();
        assert_eq!((&*message.data, message.length), (&b"{\"seq\":1}"[..], call.len()));
        for other in [&b"f();\n"[..], b"\n", b"f(1)\n", b"f\n"] {
            assert_eq!(decode(other, 0).unwrap().data.len(), 0);
        }
    }
}
