//! Further headers of requests, as a target file has them.

use std::collections::BTreeMap;

use anyhow::ensure;

/// Headers that the load client sends itself.
const OURS: [&str; 4] = ["host", "connection", "content-length", "transfer-encoding"];

/// Checks the names and values of headers.
///
/// # Errors
/// When one cannot be sent: which, and what would be right.
pub fn check(headers: &BTreeMap<String, String>) -> anyhow::Result<()> {
    // A token (RFC 9110, section 5.6.2).
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    for (name, value) in headers {
        ensure!(!name.is_empty() && name.bytes().all(is_token), "headers: '{name}' is not the name of a header");
        ensure!(
            !OURS.contains(&name.to_ascii_lowercase().as_str()),
            "headers.{name}: the load client sends it itself; remove it"
        );
        ensure!(is_text(value), "headers.{name}: text of ASCII without control characters");
    }
    Ok(())
}

/// Whether a text can be the value of a header, or a part of it.
pub fn is_text(value: &str) -> bool {
    value.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}
