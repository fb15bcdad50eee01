//! `GET /learn`: the story to scroll through alone. It is rendered together with the lecture, from the same recorded run.

use hyper::StatusCode;
use hyper::header::{HeaderMap, HeaderValue};
use slides::LANGUAGES;

use super::lecture::{rendered, wanted};
use super::response::{self, Response};

/// The pages run their own script, have their own style, and load nothing else; the slides may frame them.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
);

/// Responds with the file at `path`, like `/learn/index.html`. `/learn` redirects to the language that the browser prefers, with the same
/// query.
pub async fn respond(path: &str, query: Option<&str>, headers: &HeaderMap) -> Response {
    if matches!(path, "/learn" | "/learn/") {
        let code = wanted(headers);
        let language = LANGUAGES.iter().find(|language| language.code == code).expect("one of them is wanted");
        return response::found(&format!("/learn/{}", language.story), query);
    }
    let name = path.strip_prefix("/learn/");
    match rendered().await {
        Ok(rendered) => match rendered.story.iter().find(|file| Some(file.name) == name) {
            Some(file) => response::allowed(response::file(file.content_type, file.content.clone()), POLICY),
            None => response::text(StatusCode::NOT_FOUND, "the story is at /learn\n"),
        },
        Err(error) => {
            response::text(StatusCode::INTERNAL_SERVER_ERROR, format!("the story cannot be rendered: {error}\n"))
        }
    }
}
