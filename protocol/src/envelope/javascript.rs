//! JSON as a part of JavaScript source code. JSONP and the hidden iframe send events as calls of a function.
//!
//! JSON is not quite a subset of the JavaScript that browsers had then: until ECMAScript 2019, U+2028 and U+2029 were line breaks, which a
//! string must not contain. And within an HTML page, `</script>` ends a script even inside a string. So these characters are escaped.

use std::borrow::Cow;

/// The characters that are escaped: their UTF-8 bytes, and their escapes.
const ESCAPES: [(&[u8], &[u8; 6]); 3] =
    [(b"<", b"\\u003c"), ("\u{2028}".as_bytes(), b"\\u2028"), ("\u{2029}".as_bytes(), b"\\u2029")];

/// The most bytes that one byte of JSON becomes.
pub const MAX_GROWTH: usize = 6;

/// Escapes JSON so that it may be part of a script, also within an HTML page.
pub fn escape(json: &[u8]) -> Cow<'_, [u8]> {
    let mut escaped: Vec<u8> = Vec::new();
    let mut copied = 0;
    for at in memchr::memchr2_iter(b'<', 0xe2, json) {
        let Some((plain, escape)) = ESCAPES.iter().find(|(plain, _)| json[at..].starts_with(plain)) else { continue };
        escaped.extend_from_slice(&json[copied..at]);
        escaped.extend_from_slice(*escape);
        copied = at + plain.len();
    }
    if copied == 0 {
        return Cow::Borrowed(json);
    }
    escaped.extend_from_slice(&json[copied..]);
    Cow::Owned(escaped)
}

/// How many bytes [`escape`] adds to this JSON.
pub fn escape_bytes(json: &[u8]) -> usize {
    let added = memchr::memchr2_iter(b'<', 0xe2, json).filter_map(|at| {
        let (plain, escape) = ESCAPES.iter().find(|(plain, _)| json[at..].starts_with(plain))?;
        Some(escape.len() - plain.len())
    });
    added.sum()
}

/// The JSON that [`escape`] has escaped.
pub fn unescape(escaped: &[u8]) -> Cow<'_, [u8]> {
    let mut json: Vec<u8> = Vec::new();
    let (mut copied, mut at) = (0, 0);
    while let Some(found) = memchr::memchr(b'\\', &escaped[at..]) {
        at += found;
        match ESCAPES.iter().find(|(_, escape)| escaped[at..].starts_with(*escape)) {
            Some((plain, escape)) => {
                json.extend_from_slice(&escaped[copied..at]);
                json.extend_from_slice(plain);
                at += escape.len();
                copied = at;
            }
            // Another escape: a backslash and at least one more character, which may be a backslash.
            None => at = escaped.len().min(at + 2),
        }
    }
    if copied == 0 {
        return Cow::Borrowed(escaped);
    }
    json.extend_from_slice(&escaped[copied..]);
    Cow::Owned(json)
}

/// The longest name of a callback, in bytes.
pub const MAX_CALLBACK_BYTES: usize = 64;

/// Whether `name` may be the callback of a JSONP request: identifiers with dots between them. Anything else could be a script of an
/// attacker's, which the browser would run with the rights of this server's pages.
pub fn is_callback(name: &str) -> bool {
    let is_identifier = |part: &str| {
        part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$'))
            && part.starts_with(|first: char| !first.is_ascii_digit())
    };
    name.len() <= MAX_CALLBACK_BYTES && name.split('.').all(is_identifier)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_would_end_a_script_or_a_string_is_escaped() {
        let json = "{\"data\":\"</script>\u{2028}\u{2029}\u{20ac}\"}";
        assert_eq!(&*escape(json.as_bytes()), "{\"data\":\"\\u003c/script>\\u2028\\u2029\u{20ac}\"}".as_bytes());
    }

    #[test]
    fn only_identifiers_with_dots_between_them_are_callbacks() {
        for name in ["f", "jQuery_1", "parent.lab.$on", "_"] {
            assert!(is_callback(name), "{name}");
        }
        let long = "f".repeat(65);
        for name in ["", ".", "a.", "1a", "a.1", "alert(1)", "a;b", "a b", "a-b", "\u{e9}", &long] {
            assert!(!is_callback(name), "{name}");
        }
    }

    proptest! {
        #[test]
        fn unescaping_gives_the_json_that_was_escaped(text in "[<\\\\u203c89e\u{2028}\u{2029}\u{20ac}\"]{0,12}") {
            let json = serde_json::to_vec(&text).unwrap();
            let escaped = escape(&json);
            prop_assert!(!escaped.contains(&b'<') && escaped.len() <= MAX_GROWTH * json.len());
            prop_assert_eq!(escaped.len(), json.len() + escape_bytes(&json));
            prop_assert_eq!(&*unescape(&escaped), &json[..]);
        }

        #[test]
        fn unescaping_arbitrary_bytes_does_not_panic(bytes: Vec<u8>) {
            unescape(&bytes);
        }
    }
}
