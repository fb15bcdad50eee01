//! Masks secrets in the wire trace, which may be shown on a projector.

/// The byte that replaces each masked byte.
const MASK: u8 = b'*';

/// Returns a request's line and headers with the secrets masked byte for byte, so that the length stays the same. The secrets are the
/// credentials in `Authorization` and `Proxy-Authorization`, the values of cookies, the value of each `token=` in a URL, and the session in
/// each `lane=`, since every client that knows its name could open that session.
pub fn headers(bytes: &[u8]) -> Vec<u8> {
    let mut masked = bytes.to_vec();
    for line in masked.split_mut(|&byte| byte == b'\n') {
        let colon = line.iter().position(|&byte| byte == b':').unwrap_or(line.len());
        let (name, value) = line.split_at_mut(colon);
        let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
        if is("authorization") || is("proxy-authorization") {
            mask_credentials(value);
        } else if is("cookie") {
            value.split_mut(|&byte| byte == b';').for_each(mask_cookie);
        } else {
            mask_after(line, b"token=", |byte| {
                byte.is_ascii_whitespace() || matches!(byte, b'&' | b';' | b'#' | b'"' | b',')
            });
            mask_after(line, b"lane=", |byte| byte.is_ascii_whitespace() || matches!(byte, b'.' | b'&' | b'#'));
        }
    }
    masked
}

fn mask(bytes: &mut [u8]) {
    bytes.iter_mut().filter(|byte| !byte.is_ascii_whitespace()).for_each(|byte| *byte = MASK);
}

/// Masks the credentials in a header's value, which here includes the colon before it, but not the scheme. If there is only one word, it is
/// not a scheme.
fn mask_credentials(value: &mut [u8]) {
    let start = value.iter().position(|&byte| byte != b':' && byte != b' ' && byte != b'\t').unwrap_or(value.len());
    let end = value.trim_ascii_end().len().max(start);
    let credentials = &mut value[start..end];
    let scheme = credentials.iter().position(|&byte| byte == b' ').unwrap_or(0);
    mask(&mut credentials[scheme..]);
}

/// Masks the value of a cookie, or all of a cookie without a name.
fn mask_cookie(cookie: &mut [u8]) {
    match cookie.iter().position(|&byte| byte == b'=') {
        Some(equals) => mask(&mut cookie[equals + 1..]),
        None => {
            cookie.iter_mut().filter(|byte| !byte.is_ascii_whitespace() && **byte != b':').for_each(|byte| *byte = MASK)
        }
    }
}

/// Masks the bytes after each `name` in a line, up to a byte for which `ends` is true.
fn mask_after(line: &mut [u8], name: &[u8], ends: impl Fn(&u8) -> bool) {
    let mut at = 0;
    while let Some(found) = line[at..].windows(name.len()).position(|window| window.eq_ignore_ascii_case(name)) {
        at += found + name.len();
        let length = line[at..].iter().position(&ends).unwrap_or(line.len() - at);
        mask(&mut line[at..at + length]);
        at += length;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_and_all_other_bytes_are_unchanged() {
        for (line, shown) in [
            ("GET /?token=abc&lang=en&Token=d HTTP/1.1", "GET /?token=***&lang=en&Token=* HTTP/1.1"),
            ("GET /?token= HTTP/1.1", "GET /?token= HTTP/1.1"),
            ("Referer: http://localhost:8080/?token=abc", "Referer: http://localhost:8080/?token=***"),
            ("Cookie: lab-presenter-8080=abc; theme=dark", "Cookie: lab-presenter-8080=***; theme=****"),
            ("cookie:a=b=c;d; e=", "cookie:a=***;*; e="),
            ("Cookie: abc", "Cookie: ***"),
            ("COOKIE: a=\"x y\"", "COOKIE: a=** **"),
            ("Authorization: Bearer abc", "Authorization: Bearer ***"),
            ("authorization:abc", "authorization:***"),
            ("Proxy-Authorization: Basic a b", "Proxy-Authorization: Basic * *"),
            ("Host: localhost:8080", "Host: localhost:8080"),
            ("X-Cookie: a=b", "X-Cookie: a=b"),
        ] {
            for end in ["\r\n", "\n"] {
                let masked = headers(format!("{line}{end}{end}").as_bytes());
                assert_eq!(String::from_utf8(masked).unwrap(), format!("{shown}{end}{end}"));
            }
        }
        assert_eq!(headers(b""), b"");
    }
}
