//! The part of HTTP/1.1 that a subscriber needs (RFC 9112).
//!
//! An HTTP library would hide what the ledger needs: how long the headers were, and where a chunk began. So headers are parsed with httparse,
//! bodies by their envelope, and each byte is attributed where it is parsed.

use protocol::Cursor;

use crate::fault::Fault;

/// The longest status line and headers that are accepted, in bytes.
const MAX_HEAD_BYTES: usize = 16 << 10;
/// The longest announced body that is accepted, in bytes.
pub const MAX_BODY_BYTES: usize = 16 << 20;
const MAX_HEADERS: usize = 64;

/// The status line and headers of a response, as far as a subscriber needs them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Head {
    /// The status code.
    pub status: u16,
    /// `Content-Length`.
    pub length: Option<usize>,
    /// Whether the body comes in chunks.
    pub chunked: bool,
    /// Whether the server closes the connection after this response.
    pub close: bool,
    /// The cursor to resume from.
    pub cursor: Option<Cursor>,
    /// `Location`.
    pub location: Option<String>,
    /// `Sec-WebSocket-Accept`.
    pub accept: Option<String>,
    /// `Upgrade`.
    pub upgrade: Option<String>,
    /// `Sec-WebSocket-Protocol`.
    pub subprotocol: Option<String>,
    /// `Sec-WebSocket-Extensions`.
    pub extensions: Option<String>,
    /// The length of status line and headers, including the blank line, in bytes.
    pub bytes: usize,
}

/// Parses the status line and headers at the front of `buffer`; `None` while they are incomplete.
///
/// # Errors
/// When they are not HTTP/1.1, or ambiguous.
pub fn parse(buffer: &[u8]) -> Result<Option<Head>, Fault> {
    let not_http = |fault: &str| Fault::NotHttp(fault.into());
    let mut fields = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut fields);
    let bytes = match response.parse(buffer) {
        Ok(httparse::Status::Complete(bytes)) => bytes,
        Ok(httparse::Status::Partial) if buffer.len() < MAX_HEAD_BYTES => return Ok(None),
        Ok(httparse::Status::Partial) => return Err(not_http("headers of more than 16 KiB")),
        Err(error) => return Err(Fault::NotHttp(error.to_string())),
    };
    let mut head = Head { bytes, status: response.code.unwrap_or_default(), ..Head::default() };
    for field in response.headers.iter() {
        let text = || std::str::from_utf8(field.value).map_err(|_| not_http("a header that is not text"));
        match field.name.to_ascii_lowercase().as_str() {
            "content-length" => {
                let length = text()?.parse().map_err(|_| not_http("a Content-Length that is not a number"))?;
                if head.length.replace(length).is_some() || length > MAX_BODY_BYTES {
                    return Err(not_http("a Content-Length given twice, or of more than 16 MiB"));
                }
            }
            "transfer-encoding" if text()?.eq_ignore_ascii_case("chunked") => head.chunked = true,
            "transfer-encoding" => return Err(not_http("a Transfer-Encoding other than chunked")),
            "connection" => head.close |= text()?.split(',').any(|token| token.trim().eq_ignore_ascii_case("close")),
            "cursor" => head.cursor = Some(text()?.parse().map_err(|_| not_http("a Cursor that is not a number"))?),
            "location" => head.location = Some(text()?.into()),
            "sec-websocket-accept" => head.accept = Some(text()?.into()),
            "upgrade" => head.upgrade = Some(text()?.into()),
            "sec-websocket-protocol" => head.subprotocol = Some(text()?.into()),
            "sec-websocket-extensions" => head.extensions = Some(text()?.into()),
            _ => {}
        }
    }
    if head.chunked && head.length.is_some() {
        // Implementations that disagree on which of the two counts make response smuggling possible (RFC 9112, section 6.3).
        return Err(not_http("both Content-Length and Transfer-Encoding"));
    }
    Ok(Some(head))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_parsed_with_their_length() {
        let wire = b"HTTP/1.1 200 OK\r\nCursor: 12\r\ncontent-length: 5\r\nConnection: close\r\n\r\nhello";
        let head = parse(wire).unwrap().unwrap();
        assert_eq!(head.bytes, wire.len() - 5);
        assert_eq!((head.status, head.length, head.close, head.cursor), (200, Some(5), true, Some(Cursor(12))));
        assert_eq!(parse(&wire[..20]).unwrap(), None);
    }

    #[test]
    fn ambiguous_or_malformed_headers_are_rejected() {
        for wrong in [
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
            "SSH-2.0-OpenSSH\r\n\r\n",
        ] {
            assert!(parse(wrong.as_bytes()).is_err(), "{wrong}");
        }
        assert!(parse(&[&b"HTTP/1.1 200 OK\r\nA: "[..], &[b'a'; MAX_HEAD_BYTES]].concat()).is_err());
    }
}
