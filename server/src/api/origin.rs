//! Checks which pages may publish: those of this server, and those of origins that its options name.
//!
//! CORS does not protect WebSockets and simple POST requests: a browser sends both for any page, and the server has to check `Origin`
//! (RFC 6455, section 10.2).

use hyper::header::{HOST, HeaderMap, HeaderValue, ORIGIN};

/// The ports at which a server is reached.
#[derive(Debug, Clone, Copy)]
pub struct Ports {
    /// That of the server, from which its pages come.
    pub server: u16,
    /// That of the relay, to which its pages also connect.
    pub relay: u16,
}

/// Whether a request with these headers may publish. It may if it has no `Origin`, since then it does not come from a browser; if its
/// `Origin` is that of this server's pages, `scheme` with the request's `Host`, or with the server's port instead of the relay's; or if
/// that is one of `allowed`.
pub fn may_publish(headers: &HeaderMap, scheme: &str, ports: Ports, allowed: &[String]) -> bool {
    let mut origins = headers.get_all(ORIGIN).iter();
    match (origins.next(), origins.next()) {
        (None, _) => true,
        (Some(origin), None) => {
            let is = |other: &[u8]| origin.as_bytes().eq_ignore_ascii_case(other);
            let own = |host: &HeaderValue| [scheme.as_bytes(), b"://", host.as_bytes()].concat();
            let page = |host: &HeaderValue| Some(own(&at_server(host, scheme, ports)?));
            headers.get(HOST).is_some_and(|host| is(&own(host)) || page(host).is_some_and(|page| is(&page)))
                || allowed.iter().any(|allowed| is(allowed.as_bytes()))
        }
        (Some(_), Some(_)) => false,
    }
}

/// A `Host` with the relay's port, with the server's port instead, as a browser writes it.
fn at_server(host: &HeaderValue, scheme: &str, ports: Ports) -> Option<HeaderValue> {
    let name = host.to_str().ok()?.strip_suffix(&format!(":{}", ports.relay))?;
    let is_default = matches!((scheme, ports.server), ("http", 80) | ("https", 443));
    HeaderValue::try_from(if is_default { name.into() } else { format!("{name}:{}", ports.server) }).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_servers_own_pages_allowed_origins_and_programs_may_publish() {
        let allowed = |scheme: &str, origins: &[&str]| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, "127.0.0.1:8080".parse().unwrap());
            for origin in origins {
                headers.append(ORIGIN, origin.parse().unwrap());
            }
            may_publish(&headers, scheme, Ports { server: 8080, relay: 8082 }, &["https://slides.example.org".into()])
        };
        for scheme in ["http", "https"] {
            assert!(allowed(scheme, &[]));
            assert!(allowed(scheme, &[&format!("{scheme}://127.0.0.1:8080")]));
            assert!(allowed(scheme, &["https://slides.example.org"]));
            assert!(!allowed(scheme, &["http://slides.example.org"]), "another scheme is another origin");
        }
        assert!(!allowed("https", &["http://127.0.0.1:8080"]), "a page loaded without TLS may have been forged");
        assert!(!allowed("http", &["https://127.0.0.1:8080"]));
        for foreign in [
            "http://evil.example",
            "http://127.0.0.1:9999",
            "http://127.0.0.1",
            "null",
            "http://127.0.0.1:8080.evil.example",
            "http://127.0.0.1:8080/",
            "ftp://127.0.0.1:8080",
            "//127.0.0.1:8080",
            "",
        ] {
            assert!(!allowed("http", &[foreign]), "{foreign}");
        }
        assert!(!allowed("http", &["http://127.0.0.1:8080", "http://evil.example"]));
    }
    #[test]
    fn through_the_relay_only_the_pages_of_the_server_at_the_same_host_may_publish() {
        let allowed = |host: &str, origin: &str, server| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, host.parse().unwrap());
            headers.append(ORIGIN, origin.parse().unwrap());
            may_publish(&headers, "http", Ports { server, relay: 8082 }, &[])
        };
        assert!(allowed("127.0.0.1:8082", "http://127.0.0.1:8080", 8080));
        assert!(allowed("lab:8082", "http://lab", 80));
        assert!(!allowed("127.0.0.1:8082", "http://127.0.0.1:9999", 8080));
        assert!(!allowed("127.0.0.1:8082", "http://localhost:8080", 8080));
        assert!(!allowed("127.0.0.1:9999", "http://127.0.0.1:8080", 8080));
    }
}
