//! Who may publish. Of pages: browsers name a page's origin, and only pages that this server itself gave out may write, and those
//! that it was told of.
//!
//! CORS lets any page read, but it guards no WebSocket and no plain POST: the browser sends both, whatever page asks, and
//! leaves it to the server to look at `Origin` (RFC 6455, section 10.2).

use hyper::header::{HOST, HeaderMap, ORIGIN};

/// Whether a request with these headers may publish: it bears no `Origin` (no browser sent it), or that of its own host, or one
/// of those `allowed`.
pub fn may_publish(headers: &HeaderMap, allowed: &[String]) -> bool {
    let mut origins = headers.get_all(ORIGIN).iter();
    match (origins.next(), origins.next()) {
        (None, _) => true,
        (Some(origin), None) => {
            let host = headers.get(HOST).map(|host| host.as_bytes());
            let authority =
                origin.as_bytes().splitn(2, |&byte| byte == b'/').nth(1).and_then(|rest| rest.strip_prefix(b"/"));
            let is_allowed = |allowed: &String| origin.as_bytes().eq_ignore_ascii_case(allowed.as_bytes());
            host.is_some() && host == authority || allowed.iter().any(is_allowed)
        }
        (Some(_), Some(_)) => false,
    }
}

/// A word that nobody guesses: 16 random bytes in hex.
///
/// # Errors
/// When the system gives no random numbers.
pub fn token() -> std::io::Result<String> {
    let mut bytes = [0u8; 16];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_servers_own_pages_and_programs_may_publish() {
        let allowed = |origins: &[&str]| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, "127.0.0.1:8080".parse().unwrap());
            for origin in origins {
                headers.append(ORIGIN, origin.parse().unwrap());
            }
            may_publish(&headers, &["https://slides.example.org".into()])
        };
        assert!(allowed(&[]));
        assert!(allowed(&["http://127.0.0.1:8080"]));
        assert!(allowed(&["https://slides.example.org"]));
        assert!(!allowed(&["http://slides.example.org"]), "another scheme is another origin");
        for foreign in
            ["http://evil.example", "http://127.0.0.1:9999", "null", "http://127.0.0.1:8080.evil.example", ""]
        {
            assert!(!allowed(&[foreign]), "{foreign}");
        }
        assert!(!allowed(&["http://127.0.0.1:8080", "http://evil.example"]));
    }
}
