//! The lecture at `/slides`, with live lanes in it: rendered when it is first asked for, from what the program holds.

use std::sync::OnceLock;

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{ACCEPT_LANGUAGE, HeaderMap, HeaderValue, LOCATION};
use slides::{EDITIONS, Edition, Figures, LANGUAGES, Place};

use crate::answer::{self, Answer};

/// The pages, in the order of [`LANGUAGES`] and within each in that of [`EDITIONS`]; or why there are none.
static PAGES: OnceLock<Result<Vec<Bytes>, String>> = OnceLock::new();

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
    // Drawing the charts takes a while, in which this thread's subscribers are not to wait.
    let pages = tokio::task::spawn_blocking(|| PAGES.get_or_init(render)).await.expect("rendering does not panic");
    match pages {
        Ok(pages) => answer::file("text/html; charset=utf-8", pages[index].clone()),
        Err(error) => {
            answer::text(StatusCode::INTERNAL_SERVER_ERROR, format!("the slides cannot be rendered: {error}\n"))
        }
    }
}

fn render() -> Result<Vec<Bytes>, String> {
    let render = || {
        let figures = Figures::recorded()?;
        let editions = LANGUAGES.iter().flat_map(|language| EDITIONS.map(|edition| (language, edition)));
        let page = |(language, edition)| Ok(slides::render(language, &figures, Place::Server, edition)?.into());
        editions.map(page).collect::<anyhow::Result<_>>()
    };
    render().map_err(|error| format!("{error:#}"))
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
