//! Reads the query of a request, strictly: a misspelt parameter is an error, not a default taken in silence.

use std::time::Duration;

use protocol::Bookmark;

/// The parameters of a request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Query {
    /// `after`: the cursor to go on from; without it, a subscriber starts at the head.
    pub after: Option<Bookmark>,
    /// `wait`: how long a long poll may wait.
    pub wait: Option<Duration>,
    /// `lane`: under which name the page that asks watches what crosses the wire, SESSION.NAME.
    pub lane: Option<String>,
    /// `session`: the page's lanes together.
    pub session: Option<String>,
    /// `token`: what the presenter knows.
    pub token: Option<String>,
}

/// The lane that a query names, whatever else is in it, and right or wrong.
pub fn lane(text: Option<&str>) -> Option<&str> {
    text?.split('&').find_map(|pair| pair.strip_prefix("lane="))
}

/// The token that a query names, whatever else is in it, and right or wrong.
pub fn token(text: Option<&str>) -> Option<&str> {
    text?.split('&').find_map(|pair| pair.strip_prefix("token="))
}

/// The longest that a long poll may ask to wait.
pub const LONGEST_WAIT: Duration = Duration::from_secs(60);

impl Query {
    /// Reads `text`, the part of the target behind the question mark, of which `known` parameters may appear.
    ///
    /// # Errors
    /// In words fit for a 400: a parameter that is unknown, given twice or malformed.
    pub fn parse(text: Option<&str>, known: &[&str]) -> Result<Self, String> {
        let mut query = Self::default();
        for pair in text.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if !known.contains(&name) {
                return Err(match known {
                    [] => "this path takes no parameters".into(),
                    known => format!("unknown parameter; this path takes {}", known.join(" and ")),
                });
            }
            let twice = match name {
                "after" => {
                    let bookmark = value.parse().map_err(|error| format!("after: {error}"))?;
                    query.after.replace(bookmark).is_some()
                }
                "lane" => query.lane.replace(word(name, value, ".")?).is_some(),
                "session" => query.session.replace(word(name, value, "")?).is_some(),
                "token" => query.token.replace(word(name, value, "")?).is_some(),
                _ => query.wait.replace(wait(value)?).is_some(),
            };
            if twice {
                return Err(format!("{name} is given twice"));
            }
        }
        Ok(query)
    }
}

fn wait(value: &str) -> Result<Duration, String> {
    match humantime::parse_duration(value) {
        Ok(wait) if wait <= LONGEST_WAIT => Ok(wait),
        _ => Err("wait: a duration like 25s or 500ms, at most 60s".into()),
    }
}

/// A word of letters, digits and underscores that holds `separator` once, if one is given.
fn word(name: &str, value: &str, separator: &str) -> Result<String, String> {
    const LONGEST: usize = 64;
    let plain = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let fits = match separator {
        "" => plain(value),
        separator => value.split_once(separator).is_some_and(|(left, right)| plain(left) && plain(right)),
    };
    match fits && value.len() <= LONGEST {
        true => Ok(value.into()),
        false if separator.is_empty() => Err(format!("{name}: letters and digits, at most {LONGEST}")),
        false => Err(format!("{name}: two words with a {separator:?} between, at most {LONGEST} letters")),
    }
}

#[cfg(test)]
mod tests {
    use protocol::Cursor;

    use super::*;

    #[test]
    fn known_parameters_are_read() {
        let query = Query::parse(Some("after=7&wait=500ms"), &["after", "wait"]).unwrap();
        assert_eq!(
            query,
            Query { after: Some(Cursor(7).into()), wait: Some(Duration::from_millis(500)), ..Query::default() }
        );
        assert_eq!(Query::parse(None, &["after"]), Ok(Query::default()));
    }

    #[test]
    fn whatever_is_wrong_is_said() {
        let fault = |text| Query::parse(Some(text), &["after", "wait"]).unwrap_err();
        assert!(fault("after=x").starts_with("after: a cursor is an event's number"));
        assert!(fault("after").starts_with("after: "));
        assert!(fault("wait=61s").starts_with("wait: a duration like"));
        assert!(fault("wait=-1s").starts_with("wait: a duration like"));
        assert_eq!(fault("after=1&after=2"), "after is given twice");
        let lane = |text| Query::parse(Some(text), &["lane"]).map(|query| query.lane);
        assert_eq!(lane("lane=a1.long_polling"), Ok(Some("a1.long_polling".into())));
        for wrong in ["lane=a", "lane=.a", "lane=a.b.c", "lane=a.%20", "lane="] {
            assert!(lane(wrong).unwrap_err().starts_with("lane: two words"), "{wrong}");
        }
        assert_eq!(fault("afer=1"), "unknown parameter; this path takes after and wait");
        assert_eq!(Query::parse(Some("a=1"), &[]).unwrap_err(), "this path takes no parameters");
    }
}
