//! The lecture at `/slides`, with live lanes in it: rendered when it is first asked for, from what the program holds.

use std::sync::{Arc, Mutex};

use anyhow::Context;
use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{ACCEPT_LANGUAGE, HeaderMap, HeaderValue, LOCATION};
use ring::digest::{SHA256, digest};
use slides::{EDITIONS, Edition, Figures, LANGUAGES, Place};
use tokio::sync::watch;

use crate::answer::{self, Answer};

/// The pages, in the order of [`LANGUAGES`] and within each in that of [`EDITIONS`]; or why there are none.
type Pages = Result<Arc<[Page]>, String>;

/// The pages, once they are rendered; requests that come before wait for them.
static PAGES: Mutex<Option<watch::Receiver<Option<Pages>>>> = Mutex::new(None);

/// A page, and what it may do.
struct Page {
    html: Bytes,
    policy: HeaderValue,
}

/// Whether a path is the lecture's.
pub fn is_there(path: &str) -> bool {
    path == "/slides" || path.starts_with("/slides/")
}

/// Answers with the page at `path`: `/slides/en.html` and the like. The bare path leads to the language that the browser asks
/// for, with the query that it came with. Viewers get the slides without the solutions of the exercises, and so does a presenter with
/// `solutions=0`.
pub async fn answer(path: &str, query: Option<&str>, headers: &HeaderMap, presenter: bool) -> Answer {
    if matches!(path, "/slides" | "/slides/") {
        let mut answer = answer::empty(StatusCode::FOUND);
        let query = query.map_or(String::new(), |query| format!("?{query}"));
        let location = HeaderValue::try_from(format!("/slides/{}.html{query}", wanted(headers)));
        answer.headers_mut().insert(LOCATION, location.expect("hyper takes no control character in a target"));
        return answer;
    }
    let name = path.strip_prefix("/slides/").and_then(|file| file.strip_suffix(".html"));
    let Some(index) = LANGUAGES.iter().position(|language| Some(language.code) == name) else {
        return answer::text(StatusCode::NOT_FOUND, "the slides are at /slides\n");
    };
    let without = query.is_some_and(|query| query.split('&').any(|pair| pair == "solutions=0"));
    let edition = if presenter && !without { Edition::Full } else { Edition::Handout };
    let index = index * EDITIONS.len() + EDITIONS.iter().position(|one| *one == edition).expect("it is one of all");
    match pages().await {
        Ok(pages) => answer::page(pages[index].html.clone(), pages[index].policy.clone()),
        Err(error) => {
            answer::text(StatusCode::INTERNAL_SERVER_ERROR, format!("the slides cannot be rendered: {error}\n"))
        }
    }
}

/// The pages. Drawing the charts takes a while, and this thread's subscribers must not wait for that: the first request starts a thread
/// for it, and it goes on even if nobody waits any more.
async fn pages() -> Pages {
    let start = || {
        let (rendered, pages) = watch::channel(None);
        let render = move || _ = rendered.send_replace(Some(render()));
        // Without a thread nothing renders them, and the requests that wait get an error.
        let _ = std::thread::Builder::new().name("slides".into()).spawn(render);
        pages
    };
    let kept = || PAGES.lock().expect("no holder panics");
    let mut pages = kept().get_or_insert_with(start).clone();
    if let Ok(pages) = pages.wait_for(Option::is_some).await {
        return pages.clone().expect("they are there");
    }
    *kept() = None;
    Err("the thread for it did not start, or failed; the next request tries again".into())
}

fn render() -> Pages {
    let render = || {
        let figures = Figures::recorded()?;
        let page = |(language, edition)| {
            let html = slides::render(language, &figures, Place::Server, edition)?;
            let policy = HeaderValue::try_from(policy(&html)?)?;
            Ok(Page { html: html.into(), policy })
        };
        let editions = LANGUAGES.iter().flat_map(|language| EDITIONS.map(|edition| (language, edition)));
        editions.map(page).collect::<anyhow::Result<_>>()
    };
    render().map_err(|error| format!("{error:#}"))
}

/// The policy of a page that bears its style and its script in itself: these two by their hashes, and the live page in frames.
fn policy(html: &str) -> anyhow::Result<String> {
    let hash = |start: &str, end: &str| {
        let text = html.split_once(start).and_then(|(_, rest)| Some(rest.split_once(end)?.0));
        let text = text.with_context(|| format!("the page has no {start}"))?;
        anyhow::Ok(base64(digest(&SHA256, text.as_bytes()).as_ref()))
    };
    let (style, script) = (hash("<style>", "</style>")?, hash("<script>", "</script>")?);
    Ok(format!(
        "default-src 'none'; style-src 'sha256-{style}'; script-src 'sha256-{script}'; img-src data:; frame-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    ))
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let bits = (0..3).fold(0, |bits, index| bits << 8 | u32::from(group.get(index).copied().unwrap_or(0)));
        let digit = |index: usize| match index <= group.len() {
            true => char::from(DIGITS[(bits >> (18 - 6 * index)) as usize & 63]),
            false => '=',
        };
        text.extend((0..4).map(digit));
    }
    text
}

/// The first language that the browser names and that there is; the first of all where there is none.
fn wanted(headers: &HeaderMap) -> &'static str {
    let named = headers.get(ACCEPT_LANGUAGE).and_then(|languages| languages.to_str().ok()).unwrap_or_default();
    let mut named = named.split(',').filter_map(|language| language.trim().get(..2));
    named.find_map(|code| LANGUAGES.iter().find(|language| language.code == code)).unwrap_or(&LANGUAGES[0]).code
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 4648, section 10.
    #[test]
    fn base64_is_that_of_the_rfc() {
        let vectors = ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"];
        for (length, text) in vectors.iter().enumerate() {
            assert_eq!(base64(&b"foobar"[..length]), *text);
        }
    }

    #[test]
    fn the_browser_s_first_language_that_there_is_decides() {
        let wanted = |languages: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_LANGUAGE, HeaderValue::from_static(languages));
            wanted(&headers)
        };
        let cases =
            [("ko-KR,ko;q=0.9,en;q=0.8", "ko"), ("en-US,en", "en"), ("de,ko;q=0.5", "ko"), ("fr", "en"), ("", "en")];
        for (languages, code) in cases {
            assert_eq!(wanted(languages), code, "{languages}");
        }
    }
}
