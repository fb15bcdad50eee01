//! Masks what a trace of the wire must not show: it stands on a projector.

/// What stands for a masked byte.
const MASK: u8 = b'*';

/// A request's head with its secrets masked, byte for byte, so that its length stays: the credentials in `Authorization` and
/// `Proxy-Authorization`, the values of cookies, the value of each `token=` in an address, and the session that a `lane=` names: with
/// that, anybody could take the session over.
pub fn head(bytes: &[u8]) -> Vec<u8> {
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

/// Masks all of a header's value, the colon before it apart, but the scheme; a value of one word is no scheme.
fn mask_credentials(value: &mut [u8]) {
    let start = value.iter().position(|&byte| byte != b':' && byte != b' ' && byte != b'\t').unwrap_or(value.len());
    let end = value.trim_ascii_end().len().max(start);
    let credentials = &mut value[start..end];
    let scheme = credentials.iter().position(|&byte| byte == b' ').unwrap_or(0);
    mask(&mut credentials[scheme..]);
}

/// Masks what follows a cookie's name; of one that has no name, all.
fn mask_cookie(cookie: &mut [u8]) {
    match cookie.iter().position(|&byte| byte == b'=') {
        Some(equals) => mask(&mut cookie[equals + 1..]),
        None => {
            cookie.iter_mut().filter(|byte| !byte.is_ascii_whitespace() && **byte != b':').for_each(|byte| *byte = MASK)
        }
    }
}

/// Masks what follows each `name` in a line, up to a byte that ends it.
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
    fn secrets_are_masked_and_all_else_stays_in_its_place() {
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
                let masked = head(format!("{line}{end}{end}").as_bytes());
                assert_eq!(String::from_utf8(masked).unwrap(), format!("{shown}{end}{end}"));
            }
        }
        assert_eq!(head(b""), b"");
    }
}
