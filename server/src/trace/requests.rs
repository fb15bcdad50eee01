//! Finds where the requests on a connection begin and end.
//!
//! hyper parses the requests but does not report their positions. The wire trace needs these: a proxy may send the requests of several
//! clients over one connection, and a page must receive the bytes of its own requests only.

use httparse::{EMPTY_HEADER, Request, Status};

use crate::api::query;

/// The maximum length of the request line and headers that are parsed here, in bytes.
const MAX_HEADERS_BYTES: usize = 64 << 10;
/// The most headers of a request; hyper rejects more.
const MAX_HEADERS: usize = 100;

/// A part of a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// The request line and all headers, and the value of `lane` in the query of the request, if it has one.
    Headers(&'a [u8], Option<&'a str>),
    /// Bytes of the body of the last request.
    Body(&'a [u8]),
}

/// Finds the requests in the bytes of one connection, from its first byte on. The state is the position within the current request.
pub struct Requests(State);

enum State {
    /// In the request line or the headers, of which these bytes have been received.
    Headers(Vec<u8>),
    /// In a body, of which this many bytes are still to be received.
    Body(u64),
    /// The start of the next request is unknown: after bytes that are not HTTP, after a body without announced length, and after an upgrade
    /// request, which may be followed by frames.
    Lost,
}

impl Default for Requests {
    fn default() -> Self {
        Self(State::Headers(Vec::new()))
    }
}

impl Requests {
    /// Parses the connection's next bytes, and calls `found` with each part of a request in them.
    ///
    /// A `#` in a request line is replaced by a zero byte, which hyper rejects: a target has no fragment (RFC 9112, section 3.2), but
    /// hyper would silently remove it.
    pub fn follow(&mut self, mut bytes: &mut [u8], mut found: impl FnMut(Part<'_>)) {
        while !bytes.is_empty() {
            let parsed = match &mut self.0 {
                State::Lost => return,
                State::Body(left) => {
                    let parsed = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
                    found(Part::Body(&bytes[..parsed]));
                    *left -= parsed as u64;
                    if *left == 0 {
                        *self = Self::default();
                    }
                    parsed
                }
                // Empty lines before a request are ignored (RFC 9112, section 2.2).
                State::Headers(received) if received.is_empty() && matches!(bytes[0], b'\r' | b'\n') => 1,
                State::Headers(received) => {
                    if !received.contains(&b'\n') {
                        let line = bytes.iter_mut().take_while(|byte| **byte != b'\n');
                        line.filter(|byte| **byte == b'#').for_each(|byte| *byte = 0);
                    }
                    let before = received.len();
                    received.extend_from_slice(bytes);
                    // Headers that arrive in small pieces are parsed once they are complete, and not after each piece.
                    if received.len() <= MAX_HEADERS_BYTES && !has_empty_line(&received[before.saturating_sub(3)..]) {
                        return;
                    }
                    let mut headers = [EMPTY_HEADER; MAX_HEADERS];
                    let mut request = Request::new(&mut headers);
                    match request.parse(received) {
                        Ok(Status::Complete(length)) => {
                            let query = request.path.and_then(|target| target.split_once('?')).map(|(_, query)| query);
                            found(Part::Headers(&received[..length], query::lane(query)));
                            let upgrades =
                                request.headers.iter().any(|header| header.name.eq_ignore_ascii_case("upgrade"));
                            self.0 = match body_length(&request) {
                                _ if upgrades => State::Lost,
                                Some(0) => State::Headers(Vec::new()),
                                Some(length) => State::Body(length),
                                None => State::Lost,
                            };
                            length - before
                        }
                        Ok(Status::Partial) if received.len() <= MAX_HEADERS_BYTES => return,
                        _ => {
                            self.0 = State::Lost;
                            return;
                        }
                    }
                }
            };
            bytes = &mut bytes[parsed..];
        }
    }
}

/// Whether the bytes contain an empty line, which ends the headers.
fn has_empty_line(bytes: &[u8]) -> bool {
    [&b"\n\r\n"[..], b"\n\n"].into_iter().any(|end| bytes.windows(end.len()).any(|window| window == end))
}

/// The length of a request's body, 0 if it has none; `None` if the length is unknown: the body is chunked, or `Content-Length` is not valid
/// or occurs twice.
fn body_length(request: &Request<'_, '_>) -> Option<u64> {
    let mut length = None;
    for header in request.headers.iter() {
        if header.name.eq_ignore_ascii_case("transfer-encoding") {
            return None;
        }
        if header.name.eq_ignore_ascii_case("content-length") {
            let announced = std::str::from_utf8(header.value).ok()?.parse().ok()?;
            if length.replace(announced).is_some() {
                return None;
            }
        }
    }
    Some(length.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parses `bytes` in pieces of `size` bytes. Returns the found parts as text, with the pieces of a body joined.
    fn parts(bytes: &str, size: usize) -> Vec<String> {
        let mut requests = Requests::default();
        let mut parts: Vec<String> = Vec::new();
        let mut in_body = false;
        for piece in bytes.as_bytes().chunks(size) {
            requests.follow(&mut piece.to_vec(), |part| match part {
                Part::Headers(headers, lane) => {
                    in_body = false;
                    parts.push(format!("{}: {}", lane.unwrap_or("no lane"), headers.escape_ascii()));
                }
                Part::Body(body) => {
                    if !std::mem::replace(&mut in_body, true) {
                        parts.push(String::new());
                    }
                    *parts.last_mut().unwrap() += &body.escape_ascii().to_string();
                }
            });
        }
        parts
    }

    #[test]
    fn every_request_is_found_with_its_lane_and_body_however_the_bytes_are_divided() {
        let bytes = "\r\nPOST /publish?lane=a.b HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello\
            GET /poll?after=0&lane=c.d HTTP/1.1\r\nHost: x\r\n\r\n\
            POST /publish HTTP/1.1\r\ncontent-length: 24\r\n\r\nGET /?lane=e.f HTTP/1.1\n\nGET / HTTP/1.1\r\n\r\n";
        for size in 1..=bytes.len() {
            let expected = [
                r"a.b: POST /publish?lane=a.b HTTP/1.1\r\nContent-Length: 5\r\n\r\n",
                "hello",
                r"c.d: GET /poll?after=0&lane=c.d HTTP/1.1\r\nHost: x\r\n\r\n",
                r"no lane: POST /publish HTTP/1.1\r\ncontent-length: 24\r\n\r\n",
                r"GET /?lane=e.f HTTP/1.1\n",
                r"no lane: GET / HTTP/1.1\r\n\r\n",
            ];
            assert_eq!(parts(bytes, size), expected, "in pieces of {size} bytes");
        }
    }

    #[test]
    fn no_request_is_found_after_one_that_cannot_be_parsed() {
        let request = "GET /poll?lane=a.b HTTP/1.1\r\n\r\n";
        for before in [
            "hello there\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
            &format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(2 * MAX_HEADERS_BYTES)),
        ] {
            let found = parts(&format!("{before}{request}"), 1000);
            assert!(!found.iter().any(|part| part.contains("a.b")), "after {:.50}", before.escape_debug().to_string());
        }
    }

    #[test]
    fn a_fragment_in_a_target_is_replaced_so_that_hyper_rejects_the_request() {
        let follow = |text: &str| {
            let mut requests = Requests::default();
            let pieces = text.as_bytes().chunks(7).map(|piece| {
                let mut piece = piece.to_vec();
                requests.follow(&mut piece, |_| ());
                piece
            });
            String::from_utf8(pieces.flatten().collect()).unwrap()
        };
        assert_eq!(follow("GET /poll#x HTTP/1.1\r\n\r\n"), "GET /poll\0x HTTP/1.1\r\n\r\n");
        let valid = "POST / HTTP/1.1\r\nX: #\r\nContent-Length: 2\r\n\r\n#!GET / HTTP/1.1\r\n\r\n";
        assert_eq!(follow(valid), valid);
    }

    #[test]
    fn frames_that_come_with_a_handshake_are_not_changed() {
        let headers = b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
        let frame = b"\x81\x84####\n#\x23\x00";
        let mut bytes = [&headers[..], frame].concat();
        let mut found = 0;
        Requests::default().follow(&mut bytes, |part| found += usize::from(matches!(part, Part::Headers(..))));
        assert_eq!((found, &bytes[headers.len()..]), (1, &frame[..]));
    }
}
