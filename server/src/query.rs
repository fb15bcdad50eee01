//! Reads the query of a request, strictly: a misspelt parameter is an error, not a default taken in silence.

use std::time::Duration;

use protocol::Cursor;

/// The parameters of a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Query {
    /// `after`: the cursor to go on from; without it, a subscriber starts at the head.
    pub after: Option<Cursor>,
    /// `wait`: how long a long poll may wait.
    pub wait: Option<Duration>,
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
                    let cursor = value.parse().map_err(|error| format!("after: {error}"))?;
                    query.after.replace(cursor).is_some()
                }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_parameters_are_read() {
        let query = Query::parse(Some("after=7&wait=500ms"), &["after", "wait"]).unwrap();
        assert_eq!(query, Query { after: Some(Cursor(7)), wait: Some(Duration::from_millis(500)) });
        assert_eq!(Query::parse(None, &["after"]), Ok(Query::default()));
    }

    #[test]
    fn whatever_is_wrong_is_said() {
        let fault = |text| Query::parse(Some(text), &["after", "wait"]).unwrap_err();
        assert!(fault("after=x").starts_with("after: a cursor is a whole number"));
        assert!(fault("after").starts_with("after: "));
        assert!(fault("wait=61s").starts_with("wait: a duration like"));
        assert!(fault("wait=-1s").starts_with("wait: a duration like"));
        assert_eq!(fault("after=1&after=2"), "after is given twice");
        assert_eq!(fault("afer=1"), "unknown parameter; this path takes after and wait");
        assert_eq!(Query::parse(Some("a=1"), &[]).unwrap_err(), "this path takes no parameters");
    }
}
