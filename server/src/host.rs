//! Which host a request may name.
//!
//! A page of a hostile site may have its name resolved to this machine's address (DNS rebinding); to the browser our answers
//! are then that site's own. What gives it away is the name in `Host`. An address is no name, and loopback's name is ours.

use hyper::http::uri::Authority;

/// Why a request is not answered.
#[derive(Debug, PartialEq, Eq)]
pub enum Fault {
    /// It names no host, or none that could be one.
    Malformed,
    /// It names a host that we are not.
    Foreign,
}

/// Whether a request whose `Host` is this is for us, who go by `names` beside localhost and any address.
///
/// # Errors
/// When it is not.
pub fn check(host: &[u8], names: &[String]) -> Result<(), Fault> {
    let authority: Authority = host.try_into().map_err(|_| Fault::Malformed)?;
    // A user name is left over before the host, and is no part of `Host` (RFC 9110, section 7.2).
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

/// Whether we go by that name.
fn is_ours(host: &str, names: &[String]) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let is = |name: &str| host.trim_end_matches('.').eq_ignore_ascii_case(name);
    address.parse::<std::net::IpAddr>().is_ok() || is("localhost") || names.iter().any(|name| is(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_localhost_and_names_that_were_given_are_ours() {
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
