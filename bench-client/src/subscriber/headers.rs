//! The headers of the requests that subscribers send: lean, or those of a browser.
//!
//! The browser's headers are those that a desktop Chrome 156 on Linux sent for `fetch`, `EventSource`, `WebSocket`, a script and an iframe, in
//! its order, with a session cookie of the usual size. Only the lengths of their values matter.

use std::fmt::Write;

use protocol::result::Headers;
use protocol::transport::BrowserApi;

use crate::endpoint::Endpoint;

const CLIENT_HINTS: &str = "sec-ch-ua: \"Chromium\";v=\"156\", \"Google Chrome\";v=\"156\", \"Not:A-Brand\";v=\"8\"\r\n\
    sec-ch-ua-mobile: ?0\r\n";
const USER_AGENT: &str = "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
    Chrome/156.0.0.0 Safari/537.36\r\n";
const LANGUAGES_AND_COOKIE: &str = "Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Accept-Language: en-US,en;q=0.9\r\n\
    Cookie: session=5f0c1f7c9a3e4b6d8e2a7c4b1d9f6e3a0b8c5d2e7f4a1b6c\r\n";

/// The request line and headers of a GET of `target`, without the blank line, as `api` would send them.
pub fn get(headers: Headers, api: BrowserApi, endpoint: &Endpoint, target: &str) -> String {
    let mut request = format!("GET {target} HTTP/1.1\r\nHost: {}\r\n", endpoint.host);
    if headers == Headers::Browser {
        add_browser_headers(&mut request, api, &endpoint.origin());
    } else if api == BrowserApi::EventSource {
        request.push_str("Accept: text/event-stream\r\n");
    }
    request
}

/// The request line and headers of a POST of `length` bytes of text to `target`, without the blank line.
pub fn post(headers: Headers, endpoint: &Endpoint, target: &str, length: usize) -> String {
    let get = get(headers, BrowserApi::Fetch, endpoint, target);
    let mut request = get.replacen("GET", "POST", 1);
    write!(request, "Content-Length: {length}\r\n").expect("writing to memory");
    if headers == Headers::Browser {
        write!(request, "Content-Type: text/plain;charset=UTF-8\r\nOrigin: {}\r\n", endpoint.origin())
            .expect("writing to memory");
    }
    request
}

fn add_browser_headers(request: &mut String, api: BrowserApi, origin: &str) {
    let accept = match api {
        BrowserApi::WebSocket => {
            // The transport adds the headers of the upgrade itself (Connection, Upgrade, Sec-WebSocket-*).
            request.push_str("Pragma: no-cache\r\nCache-Control: no-cache\r\n");
            request.push_str(USER_AGENT);
            write!(request, "Origin: {origin}\r\n{LANGUAGES_AND_COOKIE}").expect("writing to memory");
            return;
        }
        // WebTransport sends its request by itself.
        BrowserApi::Fetch | BrowserApi::Script | BrowserApi::WebTransport => "*/*",
        BrowserApi::EventSource => "text/event-stream",
        BrowserApi::Iframe => {
            "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,\
             application/signed-exchange;v=b3;q=0.7"
        }
    };
    let (mode, purpose) = match api {
        BrowserApi::Script => ("no-cors", "script"),
        BrowserApi::Iframe => ("navigate", "iframe"),
        BrowserApi::Fetch | BrowserApi::EventSource | BrowserApi::WebSocket | BrowserApi::WebTransport => {
            ("cors", "empty")
        }
    };
    request.push_str("Connection: keep-alive\r\n");
    if api == BrowserApi::EventSource {
        request.push_str("Pragma: no-cache\r\nCache-Control: no-cache\r\n");
    }
    write!(
        request,
        "sec-ch-ua-platform: \"Linux\"\r\n{USER_AGENT}{CLIENT_HINTS}Accept: {accept}\r\nSec-Fetch-Site: same-origin\r\n\
         Sec-Fetch-Mode: {mode}\r\nSec-Fetch-Dest: {purpose}\r\nReferer: {origin}/\r\n{LANGUAGES_AND_COOKIE}"
    )
    .expect("writing to memory");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint() -> Endpoint {
        Endpoint::plain("127.0.0.1:8080".parse().unwrap())
    }

    #[test]
    fn a_lean_request_has_only_the_headers_that_http_requires() {
        assert_eq!(
            get(Headers::Lean, BrowserApi::Fetch, &endpoint(), "/poll?after=1"),
            "GET /poll?after=1 HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n"
        );
    }

    #[test]
    fn every_line_of_a_request_ends_with_cr_lf_and_no_header_occurs_twice() {
        for api in
            [BrowserApi::Fetch, BrowserApi::EventSource, BrowserApi::WebSocket, BrowserApi::Script, BrowserApi::Iframe]
        {
            let request = get(Headers::Browser, api, &endpoint(), "/x");
            let lines: Vec<_> = request.strip_suffix("\r\n").unwrap().split("\r\n").skip(1).collect();
            let mut names: Vec<_> = lines.iter().map(|line| line.split_once(": ").unwrap().0.to_lowercase()).collect();
            let count = names.len();
            names.sort();
            names.dedup();
            assert_eq!(names.len(), count, "{request}");
            assert!(!request.contains('\n') || request.matches('\n').count() == request.matches("\r\n").count());
        }
    }
}
