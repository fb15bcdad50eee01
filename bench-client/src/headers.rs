//! The heads of the requests that subscribers send: lean, or as a browser would.
//!
//! The browser's are those of a desktop Chrome 156 on Linux, written down from what it really sent for `fetch`, `EventSource`
//! and `WebSocket`, in its order, with a session cookie of the usual size. Their values decide only how many bytes they take.

use std::fmt::Write;

use protocol::result::Headers;

use crate::place::Place;

/// What in a page would send the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// `fetch()`: polling, long polling, HTTP streaming.
    Fetch,
    /// `new EventSource()`.
    EventSource,
    /// `new WebSocket()`.
    WebSocket,
}

const CLIENT_HINTS: &str = "sec-ch-ua: \"Chromium\";v=\"156\", \"Google Chrome\";v=\"156\", \"Not:A-Brand\";v=\"8\"\r\n\
    sec-ch-ua-mobile: ?0\r\n";
const USER_AGENT: &str = "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
    Chrome/156.0.0.0 Safari/537.36\r\n";
const LANGUAGES_AND_COOKIE: &str = "Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Accept-Language: en-US,en;q=0.9\r\n\
    Cookie: session=5f0c1f7c9a3e4b6d8e2a7c4b1d9f6e3a0b8c5d2e7f4a1b6c\r\n";

/// The head of a GET of `target` at `place`, up to and without the blank line.
pub fn get(headers: Headers, caller: Caller, place: &Place, target: &str) -> String {
    let mut head = format!("GET {target} HTTP/1.1\r\nHost: {}\r\n", place.host);
    if headers == Headers::Browser {
        browser(&mut head, caller, &place.origin());
    } else if caller == Caller::EventSource {
        head.push_str("Accept: text/event-stream\r\n");
    }
    head
}

/// The head of a POST of `length` bytes of text to `target` at `place`, up to and without the blank line.
pub fn post(headers: Headers, place: &Place, target: &str, length: usize) -> String {
    let get = get(headers, Caller::Fetch, place, target);
    let mut head = get.replacen("GET", "POST", 1);
    write!(head, "Content-Length: {length}\r\n").expect("writing to memory");
    if headers == Headers::Browser {
        write!(head, "Content-Type: text/plain;charset=UTF-8\r\nOrigin: {}\r\n", place.origin())
            .expect("writing to memory");
    }
    head
}

fn browser(head: &mut String, caller: Caller, origin: &str) {
    let accept = match caller {
        Caller::WebSocket => {
            // The upgrade's own lines (Connection, Upgrade, Sec-WebSocket-*) are the transport's to add.
            head.push_str("Pragma: no-cache\r\nCache-Control: no-cache\r\n");
            head.push_str(USER_AGENT);
            write!(head, "Origin: {origin}\r\n{LANGUAGES_AND_COOKIE}").expect("writing to memory");
            return;
        }
        Caller::Fetch => "*/*",
        Caller::EventSource => "text/event-stream",
    };
    head.push_str("Connection: keep-alive\r\n");
    if caller == Caller::EventSource {
        head.push_str("Pragma: no-cache\r\nCache-Control: no-cache\r\n");
    }
    write!(
        head,
        "sec-ch-ua-platform: \"Linux\"\r\n{USER_AGENT}{CLIENT_HINTS}Accept: {accept}\r\nSec-Fetch-Site: same-origin\r\n\
         Sec-Fetch-Mode: cors\r\nSec-Fetch-Dest: empty\r\nReferer: {origin}/\r\n{LANGUAGES_AND_COOKIE}"
    )
    .expect("writing to memory");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        Place::plain("127.0.0.1:8080".parse().unwrap())
    }

    #[test]
    fn a_lean_head_is_what_http_demands() {
        assert_eq!(
            get(Headers::Lean, Caller::Fetch, &place(), "/poll?after=1"),
            "GET /poll?after=1 HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n"
        );
    }

    #[test]
    fn every_head_is_lines_that_end_with_cr_lf_and_names_each_field_once() {
        for caller in [Caller::Fetch, Caller::EventSource, Caller::WebSocket] {
            let head = get(Headers::Browser, caller, &place(), "/x");
            let lines: Vec<_> = head.strip_suffix("\r\n").unwrap().split("\r\n").skip(1).collect();
            let mut names: Vec<_> = lines.iter().map(|line| line.split_once(": ").unwrap().0.to_lowercase()).collect();
            let count = names.len();
            names.sort();
            names.dedup();
            assert_eq!(names.len(), count, "{head}");
            assert!(!head.contains('\n') || head.matches('\n').count() == head.matches("\r\n").count());
        }
    }
}
