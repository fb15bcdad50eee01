//! The hidden iframe: an endless HTML page, with a `script` element for each event that calls a function of the page around it. Browsers run
//! a script as soon as it has arrived, so this is streaming for browsers without `XMLHttpRequest`. Its other name, `htmlfile`, is that of an
//! ActiveX object with which Internet Explorer hid the loading indicator.

use super::{Message, javascript, line};

/// The length to which the beginning of the page is padded, in bytes: browsers used to wait for about this many before they showed a page.
pub const PRELUDE_BYTES: usize = 1024;
/// The message that keeps an idle stream alive: white space between two elements.
pub const HEARTBEAT: &[u8] = b"\n";
const BEGIN: &[u8] = b"<script>p(";
const END: &[u8] = b")</script>";

/// The beginning of the page, which names the function once; `callback` is a [`javascript::is_callback`].
pub fn prelude(callback: &str) -> Vec<u8> {
    let mut bytes = format!("<!doctype html><script>p=parent.{callback}</script>").into_bytes();
    bytes.resize(PRELUDE_BYTES - 1, b' ');
    bytes.push(b'\n');
    bytes
}

/// Encodes an event as a script. The overhead is 21 bytes.
pub fn encode(json: &[u8]) -> Vec<u8> {
    [BEGIN, &*javascript::escape(json), END, b"\n"].concat()
}

/// Decodes the first line of `buffer`, whose first `known` bytes contain no line feed; `None` while it is incomplete. A line without an
/// event's script has no content.
pub fn decode(buffer: &[u8], known: usize) -> Option<Message<'_>> {
    let Message { data: _, length } = line::decode(buffer, known)?;
    let argument = buffer[..length - 1].strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(END));
    Some(Message { data: javascript::unescape(argument.unwrap_or_default()), length })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_of_the_page_is_padded_and_has_no_content() {
        let name = "f".repeat(javascript::MAX_CALLBACK_BYTES);
        for bytes in [prelude("f"), prelude(&name)] {
            assert_eq!(bytes.len(), PRELUDE_BYTES);
            let message = decode(&bytes, 0).unwrap();
            assert_eq!((&*message.data, message.length), (&b""[..], PRELUDE_BYTES));
        }
    }

    #[test]
    fn an_event_is_a_script_that_no_payload_can_end() {
        let script = encode(b"{\"data\":\"</script>\"}");
        assert_eq!(script, b"<script>p({\"data\":\"\\u003c/script>\"})</script>\n");
        assert_eq!(&*decode(&script, 0).unwrap().data, b"{\"data\":\"</script>\"}");
    }
}
