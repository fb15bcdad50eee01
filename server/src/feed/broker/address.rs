//! The address of a shared feed.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use url::Url;

use crate::api::query;

/// The port if the address names none.
const DEFAULT_PORT: u16 = 4222;
/// The stream if the address names none.
const DEFAULT_STREAM: &str = "transport-lab";

/// A stream of a broker: `nats://HOST:PORT/STREAM`, with `USER:PASSWORD@` before the host if the broker needs that.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BrokerAddress {
    url: Url,
    /// The name of the stream.
    pub stream: String,
}

impl BrokerAddress {
    /// Where the broker listens.
    pub(super) fn server(&self) -> String {
        format!("nats://{}:{}", self.url.host_str().unwrap_or_default(), self.url.port().unwrap_or(DEFAULT_PORT))
    }

    /// The user and the password, if the address has them.
    pub(super) fn credentials(&self) -> Option<(String, String)> {
        let decoded = |text: &str| String::from_utf8_lossy(&query::decode(text.as_bytes())).into_owned();
        let user = self.url.username();
        (!user.is_empty()).then(|| (decoded(user), decoded(self.url.password().unwrap_or_default())))
    }

    /// The subject under which events are published.
    pub(super) fn subject(&self) -> String {
        format!("{}.events", self.stream)
    }
}

impl FromStr for BrokerAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const EXPECTED: &str = "a feed is nats://HOST:PORT/STREAM; the name of a stream has letters, digits, - and _";
        let mut url = Url::parse(text).map_err(|_| EXPECTED)?;
        if url.scheme() != "nats"
            || url.host_str().is_none_or(str::is_empty)
            || url.query().or(url.fragment()).is_some()
        {
            return Err(EXPECTED.into());
        }
        let stream = match url.path().trim_start_matches('/') {
            "" => DEFAULT_STREAM.to_string(),
            stream => stream.to_string(),
        };
        if stream.len() > 64 || !stream.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) {
            return Err(EXPECTED.into());
        }
        url.set_path("");
        Ok(Self { url, stream })
    }
}

impl TryFrom<String> for BrokerAddress {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// With the password.
impl From<BrokerAddress> for String {
    fn from(mut address: BrokerAddress) -> Self {
        address.url.set_path(&address.stream);
        address.url.into()
    }
}

/// Without the password.
impl fmt::Display for BrokerAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (host, port) = (self.url.host_str().unwrap_or_default(), self.url.port().unwrap_or(DEFAULT_PORT));
        write!(formatter, "nats://{host}:{port}/{}", self.stream)
    }
}

impl fmt::Debug for BrokerAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_host_and_a_stream_and_never_shows_its_password() {
        let parsed = |text: &str| text.parse::<BrokerAddress>().map(|address| address.to_string());
        assert_eq!(parsed("nats://localhost").as_deref(), Ok("nats://localhost:4222/transport-lab"));
        assert_eq!(parsed("nats://127.0.0.1:4333/class-1").as_deref(), Ok("nats://127.0.0.1:4333/class-1"));
        assert_eq!(parsed("nats://me:secret@[::1]:1/x").as_deref(), Ok("nats://[::1]:1/x"));
        let whole: BrokerAddress = "nats://me:secret@h:1/x".parse().unwrap();
        assert_eq!((whole.server(), whole.credentials()), ("nats://h:1".into(), Some(("me".into(), "secret".into()))));
        assert_eq!(String::from(whole), "nats://me:secret@h:1/x");
        for bad in [
            "",
            "localhost",
            "http://localhost",
            "nats://",
            "nats://h/a.b",
            "nats://h/a/b",
            "nats://h/a?b",
            "nats://h/*",
        ] {
            assert!(parsed(bad).unwrap_err().contains("nats://HOST:PORT/STREAM"), "{bad}");
        }
    }
}
