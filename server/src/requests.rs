//! Where the requests on a connection begin and end.
//!
//! hyper reads them, and does not say. The wire trace has to know: a proxy may send the requests of several people over one connection,
//! and a page that watches a lane is shown the bytes of that lane's requests and of no other.

use httparse::{EMPTY_HEADER, Request, Status};

use crate::query;

/// The longest head that is followed, in bytes.
const MAX_HEAD: usize = 64 << 10;
/// The most fields that a head may have; hyper refuses more.
const MAX_FIELDS: usize = 100;

/// A part of a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// A whole head, with the lane that it names.
    Head(&'a [u8], Option<&'a str>),
    /// Bytes of the body of the request whose head came last.
    Body(&'a [u8]),
}

/// Follows the requests on a connection from its first byte on.
pub struct Requests(State);

enum State {
    /// In a head, of which so much has come.
    Head(Vec<u8>),
    /// In a body, of which so many bytes are to come.
    Body(u64),
    /// Where the next request begins is not known: after what is no HTTP, after a body that does not announce its length, and after a
    /// request to upgrade, which frames may follow that are no request.
    Lost,
}

impl Default for Requests {
    fn default() -> Self {
        Self(State::Head(Vec::new()))
    }
}

impl Requests {
    /// Takes the connection's next bytes, and hands over the parts of requests that they complete.
    ///
    /// A `#` in a request line becomes a zero byte. A target has no fragment (RFC 9112, section 3.2), but hyper takes one off without
    /// a word; a zero byte it refuses.
    pub fn follow(&mut self, mut bytes: &mut [u8], mut found: impl FnMut(Part<'_>)) {
        while !bytes.is_empty() {
            let taken = match &mut self.0 {
                State::Lost => return,
                State::Body(left) => {
                    let taken = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
                    found(Part::Body(&bytes[..taken]));
                    *left -= taken as u64;
                    if *left == 0 {
                        *self = Self::default();
                    }
                    taken
                }
                // Empty lines before a request are none of it (RFC 9112, section 2.2).
                State::Head(head) if head.is_empty() && matches!(bytes[0], b'\r' | b'\n') => 1,
                State::Head(head) => {
                    if !head.contains(&b'\n') {
                        let line = bytes.iter_mut().take_while(|byte| **byte != b'\n');
                        line.filter(|byte| **byte == b'#').for_each(|byte| *byte = 0);
                    }
                    let before = head.len();
                    head.extend_from_slice(bytes);
                    // A head that comes in small pieces is not parsed anew for each.
                    if head.len() <= MAX_HEAD && !ends_a_head(&head[before.saturating_sub(3)..]) {
                        return;
                    }
                    let mut fields = [EMPTY_HEADER; MAX_FIELDS];
                    let mut request = Request::new(&mut fields);
                    match request.parse(head) {
                        Ok(Status::Complete(length)) => {
                            let query = request.path.and_then(|target| target.split_once('?')).map(|(_, query)| query);
                            found(Part::Head(&head[..length], query::lane(query)));
                            let upgrades =
                                request.headers.iter().any(|field| field.name.eq_ignore_ascii_case("upgrade"));
                            self.0 = match body_length(&request) {
                                _ if upgrades => State::Lost,
                                Some(0) => State::Head(Vec::new()),
                                Some(length) => State::Body(length),
                                None => State::Lost,
                            };
                            length - before
                        }
                        Ok(Status::Partial) if head.len() <= MAX_HEAD => return,
                        _ => {
                            self.0 = State::Lost;
                            return;
                        }
                    }
                }
            };
            bytes = &mut bytes[taken..];
        }
    }
}

/// Whether an empty line, which ends a head, is among the bytes.
fn ends_a_head(bytes: &[u8]) -> bool {
    [&b"\n\r\n"[..], b"\n\n"].into_iter().any(|end| bytes.windows(end.len()).any(|window| window == end))
}

/// How long a request's body is; `None` where its head does not say so, or in two ways.
fn body_length(request: &Request<'_, '_>) -> Option<u64> {
    let mut length = None;
    for field in request.headers.iter() {
        if field.name.eq_ignore_ascii_case("transfer-encoding") {
            return None;
        }
        if field.name.eq_ignore_ascii_case("content-length") {
            let announced = std::str::from_utf8(field.value).ok()?.parse().ok()?;
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

    /// The parts of what comes in pieces of `size` bytes, each part written as text, the pieces of one body put together.
    fn parts(bytes: &str, size: usize) -> Vec<String> {
        let mut requests = Requests::default();
        let mut parts: Vec<String> = Vec::new();
        let mut in_body = false;
        for piece in bytes.as_bytes().chunks(size) {
            requests.follow(&mut piece.to_vec(), |part| match part {
                Part::Head(head, lane) => {
                    in_body = false;
                    parts.push(format!("{}: {}", lane.unwrap_or("nobody"), head.escape_ascii()));
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
    fn each_request_is_found_with_its_lane_and_its_body_however_the_bytes_come() {
        let bytes = "\r\nPOST /publish?lane=a.b HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello\
            GET /poll?after=0&lane=c.d HTTP/1.1\r\nHost: x\r\n\r\n\
            POST /publish HTTP/1.1\r\ncontent-length: 24\r\n\r\nGET /?lane=e.f HTTP/1.1\n\nGET / HTTP/1.1\r\n\r\n";
        for size in 1..=bytes.len() {
            let expected = [
                r"a.b: POST /publish?lane=a.b HTTP/1.1\r\nContent-Length: 5\r\n\r\n",
                "hello",
                r"c.d: GET /poll?after=0&lane=c.d HTTP/1.1\r\nHost: x\r\n\r\n",
                r"nobody: POST /publish HTTP/1.1\r\ncontent-length: 24\r\n\r\n",
                r"GET /?lane=e.f HTTP/1.1\n",
                r"nobody: GET / HTTP/1.1\r\n\r\n",
            ];
            assert_eq!(parts(bytes, size), expected, "in pieces of {size} bytes");
        }
    }

    #[test]
    fn nothing_is_found_behind_what_is_not_understood() {
        let request = "GET /poll?lane=a.b HTTP/1.1\r\n\r\n";
        for before in [
            "hello there\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
            &format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(2 * MAX_HEAD)),
        ] {
            let found = parts(&format!("{before}{request}"), 1000);
            assert!(!found.iter().any(|part| part.contains("a.b")), "behind {:.50}", before.escape_debug().to_string());
        }
    }

    #[test]
    fn a_fragment_in_a_target_is_made_something_that_hyper_refuses() {
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
        let fine = "POST / HTTP/1.1\r\nX: #\r\nContent-Length: 2\r\n\r\n#!GET / HTTP/1.1\r\n\r\n";
        assert_eq!(follow(fine), fine);
    }

    #[test]
    fn frames_that_come_with_a_handshake_are_left_as_they_are() {
        let head = b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
        let frame = b"\x81\x84####\n#\x23\x00";
        let mut bytes = [&head[..], frame].concat();
        let mut heads = 0;
        Requests::default().follow(&mut bytes, |part| heads += usize::from(matches!(part, Part::Head(..))));
        assert_eq!((heads, &bytes[head.len()..]), (1, &frame[..]));
    }
}
