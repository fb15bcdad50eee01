//! Parses the query of a request strictly: a misspelt parameter is an error; it is not silently ignored.

use std::time::Duration;

use protocol::Bookmark;
use protocol::envelope::javascript;

use crate::carrier::Compression;

/// The parameters of a request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Query {
    /// `after`: the cursor to resume from; without it, a subscriber receives future events only.
    pub after: Option<Bookmark>,
    /// `wait`: the longest time for which a long poll waits.
    pub wait: Option<Duration>,
    /// `lane`: the trace session and the lane to which the request belongs, SESSION.NAME.
    pub lane: Option<String>,
    /// `session`: the name of a trace session.
    pub session: Option<String>,
    /// `callback`: the name of the function that the response calls.
    pub callback: Option<String>,
    /// `compression`: how a WebSocket compresses, if the client offers that; without it, every path has its own default.
    pub compression: Option<Compression>,
}

/// The value of `lane` in a query, even if it is not valid.
pub fn lane(text: Option<&str>) -> Option<&str> {
    text?.split('&').find_map(|pair| pair.strip_prefix("lane="))
}

/// The value of a parameter in a query that is not parsed strictly, such as that of a library's request. It is not decoded.
pub fn parameter<'a>(text: Option<&'a str>, name: &str) -> Option<&'a str> {
    text?.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

/// Decodes a field of a form (WHATWG URL, section 5.1). Malformed escapes stay as they are.
pub fn decode(field: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [first, others @ ..] = rest {
        let hex = |index: usize| others.get(index).and_then(|digit| (*digit as char).to_digit(16));
        rest = others;
        decoded.push(match (first, hex(0), hex(1)) {
            (b'+', ..) => b' ',
            (b'%', Some(high), Some(low)) => {
                rest = &others[2..];
                (high << 4 | low) as u8
            }
            _ => *first,
        });
    }
    decoded
}

/// The longest `wait` of a long poll.
const MAX_WAIT: Duration = Duration::from_secs(60);

impl Query {
    /// Parses `text`, the part of the target after the question mark, which may contain the parameters in `known`.
    ///
    /// # Errors
    /// A text for a 400 response: a parameter is unknown, given twice or malformed.
    pub fn parse(text: Option<&str>, known: &[&str]) -> Result<Self, String> {
        let mut query = Self::default();
        for pair in text.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if !known.contains(&name) {
                return Err(match known {
                    [] => "this path has no parameters".into(),
                    known => format!("unknown parameter; this path has {}", known.join(" and ")),
                });
            }
            let twice = match name {
                "after" => {
                    let bookmark = value.parse().map_err(|error| format!("after: {error}"))?;
                    query.after.replace(bookmark).is_some()
                }
                "lane" => query.lane.replace(self::name(name, value, ".")?).is_some(),
                "session" => query.session.replace(self::name(name, value, "")?).is_some(),
                "callback" => query.callback.replace(callback(value)?).is_some(),
                "compression" => query.compression.replace(compression(value)?).is_some(),
                _ => query.wait.replace(wait(value)?).is_some(),
            };
            if twice {
                return Err(format!("{name} is given twice"));
            }
        }
        if known.contains(&"callback") && query.callback.is_none() {
            return Err("callback: the name of a function is required".into());
        }
        Ok(query)
    }
}

fn callback(value: &str) -> Result<String, String> {
    match javascript::is_callback(value) {
        true => Ok(value.into()),
        false => Err(format!(
            "callback: the name of a function, like lab.on, of at most {} characters",
            javascript::MAX_CALLBACK_BYTES
        )),
    }
}

fn compression(value: &str) -> Result<Compression, String> {
    match value {
        "none" => Ok(Compression::None),
        "shared" => Ok(Compression::Shared),
        "takeover" => Ok(Compression::Takeover),
        _ => Err("compression: none, shared or takeover".into()),
    }
}

fn wait(value: &str) -> Result<Duration, String> {
    match humantime::parse_duration(value) {
        Ok(wait) if wait <= MAX_WAIT => Ok(wait),
        _ => Err("wait: a duration like 25s or 500ms, at most 60s".into()),
    }
}

/// Checks a name of letters, digits and underscores, or two such names with `separator` between them, if that is not empty.
fn name(parameter: &str, value: &str, separator: &str) -> Result<String, String> {
    const MAX_LENGTH: usize = 64;
    let plain = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let fits = match separator {
        "" => plain(value),
        separator => value.split_once(separator).is_some_and(|(left, right)| plain(left) && plain(right)),
    };
    match fits && value.len() <= MAX_LENGTH {
        true => Ok(value.into()),
        false if separator.is_empty() => {
            Err(format!("{parameter}: letters, digits and underscores, at most {MAX_LENGTH} characters"))
        }
        false => {
            Err(format!("{parameter}: two names separated by {separator:?}, at most {MAX_LENGTH} characters together"))
        }
    }
}

#[cfg(test)]
mod tests {
    use protocol::Cursor;

    use super::*;

    #[test]
    fn known_parameters_are_parsed() {
        let query = Query::parse(Some("after=7&wait=500ms"), &["after", "wait"]).unwrap();
        assert_eq!(
            query,
            Query { after: Some(Cursor(7).into()), wait: Some(Duration::from_millis(500)), ..Query::default() }
        );
        assert_eq!(Query::parse(None, &["after"]), Ok(Query::default()));
    }

    #[test]
    fn a_field_of_a_form_is_decoded() {
        assert_eq!(decode(b"%5B%22a+b%22%5D%"), b"[\"a b\"]%");
        assert_eq!(parameter(Some("t=1&c=f"), "c"), Some("f"));
        assert_eq!((parameter(Some("cc=f"), "c"), parameter(None, "c")), (None, None));
    }

    #[test]
    fn errors_name_the_parameter_and_its_valid_values() {
        let fault = |text| Query::parse(Some(text), &["after", "wait"]).unwrap_err();
        assert!(fault("after=x").starts_with("after: a cursor is an event's number"));
        assert!(fault("after").starts_with("after: "));
        assert!(fault("wait=61s").starts_with("wait: a duration like"));
        assert!(fault("wait=-1s").starts_with("wait: a duration like"));
        assert_eq!(fault("after=1&after=2"), "after is given twice");
        let lane = |text| Query::parse(Some(text), &["lane"]).map(|query| query.lane);
        assert_eq!(lane("lane=a1.long_polling"), Ok(Some("a1.long_polling".into())));
        for wrong in ["lane=a", "lane=.a", "lane=a.b.c", "lane=a.%20", "lane="] {
            assert!(lane(wrong).unwrap_err().starts_with("lane: two names"), "{wrong}");
        }
        let callback = |text| Query::parse(Some(text), &["callback"]).map(|query| query.callback);
        assert_eq!(callback("callback=lab.on"), Ok(Some("lab.on".into())));
        for wrong in ["callback=alert(1)", "callback=", "callback=a;b", ""] {
            assert!(callback(wrong).unwrap_err().starts_with("callback: the name of a function"), "{wrong}");
        }
        assert_eq!(fault("afer=1"), "unknown parameter; this path has after and wait");
        assert_eq!(Query::parse(Some("a=1"), &[]).unwrap_err(), "this path has no parameters");
    }
}
