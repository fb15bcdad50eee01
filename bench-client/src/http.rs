//! The little HTTP/1.1 that a subscriber speaks, byte by byte (RFC 9112).
//!
//! An HTTP library would hide just what the ledger is about: how long a head was, and where a chunk began. So heads are
//! read with httparse, bodies by their framing, and each byte is explained where it is taken.

use bytes::Buf;
use protocol::Cursor;

use crate::counted::Counted;
use crate::fault::Fault;

/// A head larger than this is refused, in bytes.
const LARGEST_HEAD: usize = 16 << 10;
/// An announced body larger than this is refused, in bytes.
pub const LARGEST_BODY: usize = 16 << 20;
const MOST_HEADERS: usize = 64;

/// What the head of a response says, as far as a subscriber cares.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Head {
    /// The status code.
    pub status: u16,
    /// `Content-Length`.
    pub length: Option<usize>,
    /// Whether the body comes in chunks.
    pub chunked: bool,
    /// Whether the server will end the connection after this answer.
    pub close: bool,
    /// The cursor to go on from.
    pub cursor: Option<Cursor>,
    /// `Sec-WebSocket-Accept`.
    pub accept: Option<String>,
    /// `Upgrade`.
    pub upgrade: Option<String>,
    /// The length of the head itself, blank line included, in bytes.
    pub bytes: usize,
}

/// Reads the head that `buffer` begins with; `None` while it is unfinished.
///
/// # Errors
/// When it is no head of HTTP/1.1, or one with two meanings.
pub fn parse(buffer: &[u8]) -> Result<Option<Head>, Fault> {
    let not_http = |fault: &str| Fault::NotHttp(fault.into());
    let mut fields = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut response = httparse::Response::new(&mut fields);
    let bytes = match response.parse(buffer) {
        Ok(httparse::Status::Complete(bytes)) => bytes,
        Ok(httparse::Status::Partial) if buffer.len() < LARGEST_HEAD => return Ok(None),
        Ok(httparse::Status::Partial) => return Err(not_http("a head of more than 16 KiB")),
        Err(error) => return Err(Fault::NotHttp(error.to_string())),
    };
    let mut head = Head { bytes, status: response.code.unwrap_or_default(), ..Head::default() };
    for field in response.headers.iter() {
        let text = || std::str::from_utf8(field.value).map_err(|_| not_http("a header that is not text"));
        match field.name.to_ascii_lowercase().as_str() {
            "content-length" => {
                let length = text()?.parse().map_err(|_| not_http("a Content-Length that is no number"))?;
                if head.length.replace(length).is_some() || length > LARGEST_BODY {
                    return Err(not_http("a Content-Length given twice, or of more than 16 MiB"));
                }
            }
            "transfer-encoding" if text()?.eq_ignore_ascii_case("chunked") => head.chunked = true,
            "transfer-encoding" => return Err(not_http("a Transfer-Encoding other than chunked")),
            "connection" => head.close |= text()?.split(',').any(|token| token.trim().eq_ignore_ascii_case("close")),
            "cursor" => head.cursor = Some(text()?.parse().map_err(|_| not_http("a Cursor that is no number"))?),
            "sec-websocket-accept" => head.accept = Some(text()?.into()),
            "upgrade" => head.upgrade = Some(text()?.into()),
            _ => {}
        }
    }
    if head.chunked && head.length.is_some() {
        // Which of the two counts is how responses get smuggled (RFC 9112, section 6.3).
        return Err(not_http("both Content-Length and Transfer-Encoding"));
    }
    Ok(Some(head))
}

impl Counted {
    /// Reads a response's head. Its bytes are taken, and left to the caller to explain.
    ///
    /// # Errors
    /// When the connection ends or what comes is no head.
    pub async fn head(&mut self) -> Result<Head, Fault> {
        loop {
            if let Some(head) = parse(&self.received)? {
                self.received.advance(head.bytes);
                return Ok(head);
            }
            self.fill().await?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_with_its_own_length() {
        let wire = b"HTTP/1.1 200 OK\r\nCursor: 12\r\ncontent-length: 5\r\nConnection: close\r\n\r\nhello";
        let head = parse(wire).unwrap().unwrap();
        assert_eq!(head.bytes, wire.len() - 5);
        assert_eq!((head.status, head.length, head.close, head.cursor), (200, Some(5), true, Some(Cursor(12))));
        assert_eq!(parse(&wire[..20]).unwrap(), None);
    }

    #[test]
    fn a_head_with_two_meanings_or_none_is_refused() {
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
        assert!(parse(&[&b"HTTP/1.1 200 OK\r\nA: "[..], &[b'a'; LARGEST_HEAD]].concat()).is_err());
    }
}
