//! What a proxy does to requests and responses of HTTP/1.1: removes headers, or holds responses back.
//!
//! Both read just as much as they need: where headers end, and how long the body is. Bytes that they cannot parse are forwarded unchanged.

use protocol::chunked;

/// The longest headers that are changed, in bytes.
const MAX_HEADERS_BYTES: usize = 16 << 10;
/// How much of a response is held back, in bytes.
pub const MAX_HELD_BYTES: usize = 64 << 10;

/// The bytes of one direction of a connection on their way through the relay.
pub enum Filter {
    /// Passes everything on.
    None,
    /// Removes `Upgrade` and `Connection` from requests.
    DropUpgrade(Requests),
    /// Holds responses back.
    Hold(Responses),
}

impl Filter {
    /// Passes `bytes` through; returns what is to be forwarded now.
    pub fn pass(&mut self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::None => bytes.to_vec(),
            Self::DropUpgrade(requests) => requests.pass(bytes),
            Self::Hold(responses) => responses.pass(bytes),
        }
    }

    /// The bytes that are still held when the connection ends.
    pub fn finish(&mut self) -> Vec<u8> {
        match self {
            Self::None => Vec::new(),
            Self::DropUpgrade(requests) => std::mem::take(&mut requests.headers),
            Self::Hold(responses) => std::mem::take(&mut responses.held),
        }
    }
}

/// Requests whose headers `Upgrade` and `Connection` are removed.
#[derive(Default)]
pub struct Requests {
    /// The headers of the current request, while they are incomplete.
    headers: Vec<u8>,
    /// How much of the body of the last request is still to come.
    body: usize,
}

impl Requests {
    fn pass(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut passed = Vec::with_capacity(bytes.len());
        let held = std::mem::take(&mut self.headers);
        let all = [&held[..], bytes].concat();
        let mut rest = &all[..];
        loop {
            let (body, after) = rest.split_at(self.body.min(rest.len()));
            passed.extend_from_slice(body);
            self.body -= body.len();
            let Some(end) = end_of_headers(after) else {
                rest = after;
                break;
            };
            let headers = String::from_utf8_lossy(&after[..end]);
            self.body = content_length(&headers).unwrap_or(0);
            let is_removed = |line: &&str| {
                let name = line.split(':').next().unwrap_or_default();
                ["upgrade", "connection"].iter().any(|removed| name.eq_ignore_ascii_case(removed))
            };
            let kept = headers.split_inclusive("\r\n").filter(|line| !is_removed(line));
            kept.for_each(|line| passed.extend_from_slice(line.as_bytes()));
            rest = &after[end..];
        }
        match rest.len() > MAX_HEADERS_BYTES {
            true => passed.extend_from_slice(rest),
            false => self.headers = rest.to_vec(),
        }
        passed
    }
}

/// Responses that are held back until they are complete, or there are 64 kB of one.
#[derive(Default)]
pub struct Responses {
    held: Vec<u8>,
    /// The body of the current response; `None` while its headers are incomplete.
    body: Option<Body>,
}

/// How a body ends.
#[derive(Clone, Copy)]
enum Body {
    /// After this many more bytes; never if the length is unknown.
    Length(usize),
    /// With the last chunk.
    Chunked,
    /// There is no body: the connection has been upgraded, and all bytes are forwarded.
    Upgraded,
}

impl Responses {
    fn pass(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.held.extend_from_slice(bytes);
        let body = match self.body {
            Some(Body::Length(left)) => Some(Body::Length(left.saturating_sub(bytes.len()))),
            Some(body) => Some(body),
            None => end_of_headers(&self.held).map(|end| {
                let headers = String::from_utf8_lossy(&self.held[..end]).into_owned();
                match body_of(&headers) {
                    Body::Length(length) => Body::Length(length.saturating_sub(self.held.len() - end)),
                    body => body,
                }
            }),
        };
        self.body = body;
        let is_complete = match body {
            None => false,
            Some(Body::Length(left)) => left == 0,
            // The server sends nothing after a response until the next request.
            Some(Body::Chunked) => self.held.ends_with(chunked::LAST),
            Some(Body::Upgraded) => return std::mem::take(&mut self.held),
        };
        if is_complete {
            self.body = None;
        }
        if is_complete || self.held.len() >= MAX_HELD_BYTES { std::mem::take(&mut self.held) } else { Vec::new() }
    }
}

/// The body of a response with these headers.
fn body_of(headers: &str) -> Body {
    let status = headers.split(' ').nth(1).unwrap_or_default();
    let is_chunked =
        || header(headers, "transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"));
    match status {
        "101" => Body::Upgraded,
        "204" | "304" => Body::Length(0),
        _ if is_chunked() => Body::Chunked,
        _ => Body::Length(content_length(headers).unwrap_or(usize::MAX)),
    }
}

/// Where the empty line ends that ends the headers.
fn end_of_headers(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|end| end == b"\r\n\r\n").map(|at| at + 4)
}

fn header<'a>(headers: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = headers.lines().filter_map(|line| line.split_once(':'));
    lines.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

fn content_length(headers: &str) -> Option<usize> {
    header(headers, "content-length")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upgrade_headers_are_removed_from_every_request_however_the_bytes_are_divided() {
        let request = |more: &str| format!("GET /ws HTTP/1.1\r\nHost: lab\r\n{more}Cookie: a=1\r\n\r\n");
        let post = "POST /publish HTTP/1.1\r\nContent-Length: 22\r\n\r\nUpgrade: x\r\n\r\nbody 567";
        let sent = [&request("Upgrade: websocket\r\nconnection: Upgrade\r\n"), post, &request("")].concat();
        let expected = [&request(""), post, &request("")].concat();
        for size in 1..=sent.len() {
            let mut filter = Filter::DropUpgrade(Requests::default());
            let passed: Vec<u8> = sent.as_bytes().chunks(size).flat_map(|bytes| filter.pass(bytes)).collect();
            assert_eq!(String::from_utf8(passed).unwrap(), expected, "in pieces of {size} bytes");
        }
    }

    #[test]
    fn a_response_is_held_until_it_is_complete_and_an_upgraded_connection_is_not_held() {
        for response in [
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            "HTTP/1.1 204 No Content\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        ] {
            let mut filter = Filter::Hold(Responses::default());
            // Two responses on one connection.
            for _ in 0..2 {
                let (last, before) = response.as_bytes().split_last().unwrap();
                assert!(before.iter().all(|&byte| filter.pass(&[byte]).is_empty()), "{response}");
                assert_eq!(filter.pass(&[*last]), response.as_bytes());
            }
        }
        let mut filter = Filter::Hold(Responses::default());
        let upgraded = b"HTTP/1.1 101 Switching Protocols\r\n\r\n".to_vec();
        assert_eq!((filter.pass(&upgraded), filter.pass(b"frame")), (upgraded, b"frame".to_vec()));
    }

    #[test]
    fn an_endless_response_is_released_in_portions_and_at_its_end() {
        let mut filter = Filter::Hold(Responses::default());
        assert!(filter.pass(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").is_empty());
        let chunk = [b'x'; 1_000];
        let portions: Vec<usize> =
            (0..200).map(|_| filter.pass(&chunk).len()).filter(|&released| released > 0).collect();
        assert_eq!(portions.len(), 3, "{portions:?}");
        assert!(portions.iter().all(|&portion| (MAX_HELD_BYTES..MAX_HELD_BYTES + 1_000).contains(&portion)));
        let rest = 200 * chunk.len() + 47 - portions.iter().sum::<usize>();
        assert_eq!(filter.finish().len(), rest);
    }
}
