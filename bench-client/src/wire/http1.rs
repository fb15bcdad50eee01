//! The part of HTTP/1.1 that a subscriber needs (RFC 9112).
//!
//! An HTTP library would hide what the ledger needs: how long the headers were, and where a chunk began. So headers are parsed with httparse,
//! bodies by their envelope, and each byte is attributed where it is parsed.

use std::mem;

use protocol::{Cursor, chunked};

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
    /// The cursor to resume from: `Cursor`, if it is a number.
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
    // A server that speaks HTTP/1.0 closes the connection, unless it says that it keeps it (RFC 9112, section 9.3).
    let close = response.version == Some(0);
    let mut head = Head { bytes, close, status: response.code.unwrap_or_default(), ..Head::default() };
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
            "connection" => {
                let names =
                    |token: &str| text().map(|text| text.split(',').any(|one| one.trim().eq_ignore_ascii_case(token)));
                head.close = names("close")? || head.close && !names("keep-alive")?;
            }
            "cursor" => head.cursor = text()?.parse().ok(),
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

/// A whole response.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The status line and headers.
    pub head: Vec<u8>,
    /// The body, without the framing of chunks.
    pub body: Vec<u8>,
    /// The length of all of it on the wire, in bytes.
    pub bytes: usize,
    /// Whether the connection cannot be used for a further request.
    pub close: bool,
}

/// A whole response as its bytes come. What was parsed once is not parsed again: otherwise a body of many chunks would take time that is
/// quadratic in its length, on the thread that measures.
#[derive(Debug, Default)]
pub struct Incoming {
    head: Option<Head>,
    chunks: Chunks,
}

impl Incoming {
    /// Parses the response at the front of `buffer`, which has what it had at the last call, and more; `None` while it is incomplete. A body of
    /// unknown length is complete when the server has `ended` the connection (RFC 9112, section 6.3).
    ///
    /// # Errors
    /// When it is not HTTP/1.1, or its body is larger than 16 MiB.
    pub fn response(&mut self, buffer: &[u8], ended: bool) -> Result<Option<Response>, Fault> {
        if self.head.is_none() {
            self.head = parse(buffer)?;
        }
        let Some(head) = &self.head else { return Ok(None) };
        let rest = &buffer[head.bytes..];
        // Such responses have no body, even if they have a Content-Length.
        let bodiless = matches!(head.status, 100..=199 | 204 | 304);
        let body = match head.length {
            _ if bodiless => Some((Vec::new(), 0)),
            Some(length) => rest.get(..length).map(|body| (body.to_vec(), length)),
            None if head.chunked => {
                self.chunks.parse(rest)?.then(|| (mem::take(&mut self.chunks.content), self.chunks.end))
            }
            None => ended.then(|| (rest.to_vec(), rest.len())),
        };
        let Some((body, length)) = body else {
            return if rest.len() > MAX_BODY_BYTES {
                Err(Fault::NotHttp("a body of more than 16 MiB".into()))
            } else {
                Ok(None)
            };
        };
        let until_end = !bodiless && head.length.is_none() && !head.chunked;
        Ok(Some(Response {
            status: head.status,
            head: buffer[..head.bytes].to_vec(),
            body,
            bytes: head.bytes + length,
            close: head.close || until_end,
        }))
    }
}

/// The chunks of a body that have come so far.
#[derive(Debug, Default)]
struct Chunks {
    /// What is in them.
    content: Vec<u8>,
    /// Where the last of them ends.
    end: usize,
}

impl Chunks {
    /// Parses the further chunks that are complete in the body `bytes`; returns whether the one that ends the body was among them.
    fn parse(&mut self, bytes: &[u8]) -> Result<bool, Fault> {
        loop {
            let rest = &bytes[self.end..];
            let Some((size, line)) = chunked::size(rest)? else { return Ok(false) };
            let data = line + size;
            let Some(content) = rest.get(line..data) else { return Ok(false) };
            let Some(end) = chunked::end(&rest[data..])? else { return Ok(false) };
            self.content.extend_from_slice(content);
            self.end += data + end;
            if size == 0 {
                return Ok(true);
            }
        }
    }
}

/// The value of a header in the status line and headers of a response; `None` if it is missing or no text.
pub fn field(head: &[u8], name: &str) -> Option<String> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut fields);
    response.parse(head).ok()?;
    let field = response.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name))?;
    std::str::from_utf8(field.value).ok().map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_response_ends_after_its_length_its_last_chunk_or_with_the_connection() {
        let of = |wire: &str, ended| {
            Incoming::default()
                .response(wire.as_bytes(), ended)
                .unwrap()
                .map(|found| (String::from_utf8(found.body).unwrap(), wire.len() - found.bytes, found.close))
        };
        let some = |body: &str, left, close| Some((body.to_string(), left, close));
        assert_eq!(of("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi+", false), some("hi", 1, false));
        assert_eq!(of("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nh", true), None);
        let chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nh\r\n1\r\ni\r\n0\r\n\r\n";
        assert_eq!(of(chunks, false), some("hi", 0, false));
        assert!((1..chunks.len()).all(|end| of(&chunks[..end], false).is_none()));
        // As its bytes come one by one; those that were parsed are not read again.
        let (mut incoming, mut received) = (Incoming::default(), chunks.as_bytes().to_vec());
        for end in 1..chunks.len() {
            assert_eq!(incoming.response(&received[..end], false).unwrap(), None);
            let parsed = incoming.head.as_ref().map_or(0, |head| head.bytes) + incoming.chunks.end;
            received[..parsed].fill(b'?');
        }
        assert_eq!(received[..received.len() - 5], *"?".repeat(received.len() - 5).as_bytes());
        let found = incoming.response(&received, false).unwrap().unwrap();
        assert_eq!((found.body, found.bytes), (b"hi".to_vec(), chunks.len()));
        let until_end = "HTTP/1.0 200 OK\r\n\r\nhi";
        assert_eq!((of(until_end, false), of(until_end, true)), (None, some("hi", 0, true)));
        assert_eq!(of("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", false), some("", 0, false));
        assert_eq!(of("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", false), some("", 0, false), "no body follows");
        let kept = "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(of(kept, false), some("", 0, false));
        assert_eq!(of(&kept.replace("keep-alive", "x"), false), some("", 0, true));
    }

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
