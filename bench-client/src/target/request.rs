//! What a target file says about a request: its path, and further headers.

use std::collections::BTreeMap;

use anyhow::ensure;

/// Headers that the load client sends itself.
const OURS: [&str; 4] = ["host", "connection", "content-length", "transfer-encoding"];

/// Checks a path with its query.
///
/// # Errors
/// When it cannot be sent: what would be right.
pub fn check_path(path: &str) -> anyhow::Result<()> {
    ensure!(path.starts_with('/'), "path: it must begin with /");
    let is_sent = |byte: u8| byte.is_ascii_graphic() && byte != b'#';
    ensure!(path.bytes().all(is_sent), "path: spaces, # and what is not ASCII must be percent-encoded, like %20");
    Ok(())
}

/// Checks the names and values of headers.
///
/// # Errors
/// When one cannot be sent: which, and what would be right.
pub fn check_headers(headers: &BTreeMap<String, String>) -> anyhow::Result<()> {
    for (name, value) in headers {
        ensure!(is_token(name), "headers: '{name}' is not the name of a header");
        ensure!(
            !OURS.contains(&name.to_ascii_lowercase().as_str()),
            "headers.{name}: the load client sends it itself; remove it"
        );
        ensure!(is_text(value), "headers.{name}: only ASCII without control characters can be sent");
    }
    Ok(())
}

/// Whether a text can be a method or the name of a header: a token (RFC 9110, section 5.6.2).
pub fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// Whether a text can be the value of a header, or a part of it.
pub fn is_text(value: &str) -> bool {
    value.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}
