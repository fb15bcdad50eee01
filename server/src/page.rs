//! The live page: its files, embedded in the program, so that it works without any other.

use hyper::StatusCode;
use hyper::header::{ACCEPT, HeaderMap, HeaderValue};

use crate::answer::{self, Answer};

/// The page itself.
const INDEX: &str = include_str!("page/index.html");
/// Where the presenter's link leads.
const PRESENTER: &str = include_str!("page/presenter.html");
/// What the pages and their worker may do: run and load what this server gives out, and stand in a frame of its own slides.
const POLICY: &str = "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'self'";
/// The script that runs in a thread of its own.
const WORKER: &str = "worker.js";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Every file that the page asks for, by its path below `/page/`, with its type.
const FILES: [(&str, &str, &str); 23] = [
    ("page.css", "text/css; charset=utf-8", include_str!("page/page.css")),
    ("main.js", SCRIPT, include_str!("page/main.js")),
    ("bytes.js", SCRIPT, include_str!("page/bytes.js")),
    ("clock.js", SCRIPT, include_str!("page/clock.js")),
    ("ladder.js", SCRIPT, include_str!("page/ladder.js")),
    ("kept.js", SCRIPT, include_str!("page/kept.js")),
    ("lane.js", SCRIPT, include_str!("page/lane.js")),
    ("presenter.js", SCRIPT, include_str!("page/presenter.js")),
    ("sha1.js", SCRIPT, include_str!("page/sha1.js")),
    ("shared.js", SCRIPT, include_str!("page/shared.js")),
    ("subscriptions.js", SCRIPT, include_str!("page/subscriptions.js")),
    ("text.js", SCRIPT, include_str!("page/text.js")),
    ("text/en.js", SCRIPT, include_str!("page/text/en.js")),
    ("text/ko.js", SCRIPT, include_str!("page/text/ko.js")),
    ("watch.js", SCRIPT, include_str!("page/watch.js")),
    (WORKER, SCRIPT, include_str!("page/worker.js")),
    ("wire.js", SCRIPT, include_str!("page/wire.js")),
    ("transport/request.js", SCRIPT, include_str!("page/transport/request.js")),
    ("transport/polling.js", SCRIPT, include_str!("page/transport/polling.js")),
    ("transport/long_polling.js", SCRIPT, include_str!("page/transport/long_polling.js")),
    ("transport/ndjson.js", SCRIPT, include_str!("page/transport/ndjson.js")),
    ("transport/sse.js", SCRIPT, include_str!("page/transport/sse.js")),
    ("transport/websocket.js", SCRIPT, include_str!("page/transport/websocket.js")),
];

/// Whether who asks would rather have a page than plain text: a browser says so, curl does not.
pub fn is_wanted(headers: &HeaderMap) -> bool {
    headers.get_all(ACCEPT).iter().any(|accept| accept.to_str().is_ok_and(|accept| accept.contains("text/html")))
}

/// The page.
pub fn index() -> Answer {
    answer::page(INDEX, HeaderValue::from_static(POLICY))
}

/// The page that takes the presenter's token.
pub fn presenter() -> Answer {
    answer::page(PRESENTER, HeaderValue::from_static(POLICY))
}

/// One of its files; 404 where there is none of that name.
pub fn file(name: &str) -> Answer {
    match FILES.iter().find(|file| file.0 == name) {
        // A worker has a policy of its own, not that of the page that starts it.
        Some((WORKER, content_type, content)) => {
            answer::allowed(answer::file(content_type, *content), HeaderValue::from_static(POLICY))
        }
        Some((_, content_type, content)) => answer::file(content_type, *content),
        None => answer::text(StatusCode::NOT_FOUND, "the page has no such file\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_that_the_page_names_is_there_and_nothing_is_asked_of_another_host() {
        let known = |path: &str| FILES.iter().any(|file| file.0 == path);
        for (name, _, content) in FILES {
            let folder = name.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
            for line in content.lines().filter(|line| line.starts_with("import ")) {
                let path = line.split('\'').nth(1).unwrap().trim_start_matches("./");
                assert!(known(&format!("{folder}{path}")), "{name} imports {path}");
            }
            assert!(!content.contains("http://") && !content.contains("https://"), "{name}");
        }
        for path in [INDEX, PRESENTER]
            .iter()
            .flat_map(|page| page.split("\"/page/").skip(1))
            .map(|rest| rest.split('"').next().unwrap())
        {
            assert!(known(path), "{path}");
        }
    }
}
