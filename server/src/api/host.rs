//! Checks the host name of a request.
//!
//! A hostile site can have its own name resolve to this machine's address (DNS rebinding). The browser then treats our responses as that
//! site's own. The name in `Host` reveals this. IP addresses and `localhost` are always accepted, since a site cannot own them.

use hyper::http::uri::Authority;

/// Why a request is rejected.
#[derive(Debug, PartialEq, Eq)]
pub enum Fault {
    /// `Host` is missing or malformed.
    Malformed,
    /// It names a host that is not this server.
    Foreign,
}

/// Checks that a request with this `Host` is for this server, whose host names are `names`, besides localhost and its IP addresses.
///
/// # Errors
/// When the request is for another server, or `Host` is malformed.
pub fn check(host: &[u8], names: &[String]) -> Result<(), Fault> {
    let authority: Authority = host.try_into().map_err(|_| Fault::Malformed)?;
    // `Authority` accepts a user name before the host, which is not allowed in `Host` (RFC 9110, section 7.2).
    let port = authority.as_str().strip_prefix(authority.host()).ok_or(Fault::Malformed)?;
    if !port.is_empty() && !is_port(port) {
        return Err(Fault::Malformed);
    }
    match is_ours(authority.host(), names) {
        true => Ok(()),
        false => Err(Fault::Foreign),
    }
}

/// Whether `text` is a colon and the number of a port.
fn is_port(text: &str) -> bool {
    let digits = text.trim_start_matches(':');
    text.len() == digits.len() + 1 && digits.bytes().all(|byte| byte.is_ascii_digit()) && digits.parse::<u16>().is_ok()
}

/// Whether `host` is an IP address, localhost or one of `names`.
fn is_ours(host: &str, names: &[String]) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let is = |name: &str| host.trim_end_matches('.').eq_ignore_ascii_case(name);
    address.parse::<std::net::IpAddr>().is_ok() || is("localhost") || names.iter().any(|name| is(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ip_addresses_localhost_and_the_given_names_are_accepted() {
        let check = |host: &str| check(host.as_bytes(), &["lab.example".into()]);
        for ours in [
            "127.0.0.1:8080",
            "127.0.0.1",
            "[::1]:8080",
            "192.168.1.7",
            "localhost:8080",
            "LOCALHOST",
            "lab.example:80",
        ] {
            assert_eq!(check(ours), Ok(()), "{ours}");
        }
        for foreign in ["evil.example", "localhost.evil.example", "lab.example.evil.example:8080", "127.0.0.1.nip.io"] {
            assert_eq!(check(foreign), Err(Fault::Foreign), "{foreign}");
        }
        for malformed in [
            "",
            "a b",
            "user@localhost",
            "localhost:port:80",
            "/",
            "127.0.0.1:abc",
            "127.0.0.1:",
            "localhost:",
            "[::1]:",
            "127.0.0.1::80",
            "127.0.0.1:+80",
            "127.0.0.1:65536",
            "evil.example:",
        ] {
            assert_eq!(check(malformed), Err(Fault::Malformed), "{malformed}");
        }
    }
}
