//! `GET /slides`: the lecture, with live lanes in it. It is rendered at the first request, from data that is part of the program.

use std::sync::{Arc, Mutex};

use anyhow::Context;
use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{ACCEPT_LANGUAGE, HeaderMap, HeaderValue};
use ring::digest::{SHA256, digest};
use slides::learn::{self, File};
use slides::{Destination, EDITIONS, Edition, Figures, LANGUAGES, paper};
use tokio::sync::watch;

use super::response::{self, Response};

/// The lecture and the story, or the error of rendering them.
type Pages = Result<Arc<Rendered>, String>;

/// The lecture and the story, rendered from the recorded run, which is read once for both.
pub struct Rendered {
    /// The lecture's pages, in the order of [`LANGUAGES`] and for each language in that of [`EDITIONS`].
    lecture: Vec<Page>,
    /// The pages to print, by their names.
    papers: Vec<(String, Page)>,
    /// The files of the story.
    pub story: Vec<StoryFile>,
}

/// A file of the story.
pub struct StoryFile {
    /// Its name below `/learn/`.
    pub name: &'static str,
    /// Its media type.
    pub content_type: &'static str,
    /// Its content, which all responses share.
    pub content: Bytes,
}

/// The pages, once they are rendered; requests that come earlier wait for them.
static PAGES: Mutex<Option<watch::Receiver<Option<Pages>>>> = Mutex::new(None);

/// A page, and its content security policy.
struct Page {
    html: Bytes,
    policy: HeaderValue,
}

/// Responds with the page at `path`, like `/slides/en.html` or `/slides/en-worksheet.html`. `/slides` redirects to the language that the browser prefers, with the same
/// query. Viewers receive the slides without the solutions of the exercises, and so does a presenter with `solutions=0`.
pub async fn respond(path: &str, query: Option<&str>, headers: &HeaderMap, presenter: bool) -> Response {
    if matches!(path, "/slides" | "/slides/") {
        return response::found(&format!("/slides/{}.html", wanted(headers)), query);
    }
    let name = path.strip_prefix("/slides/").and_then(|file| file.strip_suffix(".html"));
    let language = LANGUAGES.iter().position(|language| Some(language.code) == name);
    let without = query.is_some_and(|query| query.split('&').any(|pair| pair == "solutions=0"));
    let edition = if presenter && !without { Edition::Full } else { Edition::Handout };
    let edition = EDITIONS.iter().position(|other| *other == edition).expect("every edition is in the list");
    match rendered().await {
        Ok(rendered) => {
            let slides = language.map(|language| &rendered.lecture[language * EDITIONS.len() + edition]);
            let paper = || rendered.papers.iter().find(|(paper, _)| Some(&**paper) == name).map(|(_, page)| page);
            match slides.or_else(paper) {
                Some(page) => response::page(page.html.clone(), page.policy.clone()),
                None => response::text(StatusCode::NOT_FOUND, "the slides are at /slides\n"),
            }
        }
        Err(error) => {
            response::text(StatusCode::INTERNAL_SERVER_ERROR, format!("the slides cannot be rendered: {error}\n"))
        }
    }
}

/// The rendered pages. Drawing the charts takes a while, and the subscribers of this worker must not wait for that. So the first request
/// starts a thread for it, which continues even if the client of that request disconnects.
pub async fn rendered() -> Pages {
    let start = || {
        let (rendered, pages) = watch::channel(None);
        let render = move || _ = rendered.send_replace(Some(render()));
        // If the thread does not start, `rendered` is dropped, and the waiting requests get an error.
        let _ = std::thread::Builder::new().name("slides".into()).spawn(render);
        pages
    };
    let kept = || PAGES.lock().expect("no holder panics");
    let mut pages = kept().get_or_insert_with(start).clone();
    if let Ok(pages) = pages.wait_for(Option::is_some).await {
        return pages.clone().expect("the wait was for this");
    }
    *kept() = None;
    Err("the rendering thread did not start, or failed; the next request tries again".into())
}

fn render() -> Pages {
    let render = || {
        let run = slides::recorded()?;
        let file = |File { name, content_type, content }| StoryFile { name, content_type, content: content.into() };
        let story = learn::files(&run, Destination::Server)?.into_iter().map(file).collect();
        let figures = Figures::with_later(run)?;
        let page = |html: String| {
            let policy = HeaderValue::try_from(policy(&html)?)?;
            anyhow::Ok(Page { html: html.into(), policy })
        };
        let editions = LANGUAGES.iter().flat_map(|language| EDITIONS.map(|edition| (language, edition)));
        let lecture = editions
            .map(|(language, edition)| page(slides::render(language, &figures, Destination::Server, edition)?))
            .collect::<anyhow::Result<_>>()?;
        let papers = LANGUAGES.iter().flat_map(|language| paper::ALL.map(|paper| (language, paper)));
        let papers = papers
            .map(|(language, paper)| anyhow::Ok((paper.file_name(language.code), page(paper.render(language))?)))
            .collect::<anyhow::Result<_>>()?;
        anyhow::Ok(Arc::new(Rendered { lecture, papers, story }))
    };
    render().map_err(|error| format!("{error:#}"))
}

/// The content security policy of a page that has one inline style and at most one inline script, which it allows by their hashes, and that
/// shows the live page in frames.
fn policy(html: &str) -> anyhow::Result<String> {
    let hash = |start: &str, end: &str| {
        let text = html.split_once(start).and_then(|(_, rest)| Some(rest.split_once(end)?.0))?;
        Some(format!("'sha256-{}'", base64(digest(&SHA256, text.as_bytes()).as_ref())))
    };
    let style = hash("<style>", "</style>").context("the page has no <style>")?;
    let script = hash("<script>", "</script>").unwrap_or("'none'".into());
    Ok(format!(
        "default-src 'none'; style-src {style}; script-src {script}; img-src data:; frame-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'self'"
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

/// The first of the browser's preferred languages in which the lecture is available; otherwise the first available language.
pub fn wanted(headers: &HeaderMap) -> &'static str {
    let named = headers.get(ACCEPT_LANGUAGE).and_then(|languages| languages.to_str().ok()).unwrap_or_default();
    let mut named = named.split(',').filter_map(|language| language.trim().get(..2));
    named.find_map(|code| LANGUAGES.iter().find(|language| language.code == code)).unwrap_or(&LANGUAGES[0]).code
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 4648, section 10.
    #[test]
    fn the_base64_test_vectors_of_the_rfc_are_reproduced() {
        let vectors = ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"];
        for (length, text) in vectors.iter().enumerate() {
            assert_eq!(base64(&b"foobar"[..length]), *text);
        }
    }

    #[test]
    fn the_first_preferred_language_that_is_available_is_chosen() {
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
