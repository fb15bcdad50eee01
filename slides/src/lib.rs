//! The lecture: a deck in Markdown, rendered into one self-contained page a language.
//!
//! [`deck`] holds the Markdown and takes it apart into slides; [`markdown`] renders one of them and puts in what it names:
//! charts, a table and verdicts of a recorded run ([`figures`]), code of this project ([`source`]), live lanes. The player,
//! which turns the page into a talk, is in `player/`.

pub mod deck;
pub mod figures;
mod findings;
pub mod language;
pub mod markdown;
pub mod source;

use anyhow::Context;

pub use crate::figures::Figures;
pub use crate::language::{LANGUAGES, Language};

/// Where the rendered page will lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In a file: instead of live lanes it says how to have them.
    File,
    /// On the lab's server, whose live page is at `/`.
    Server,
}

/// Renders the lecture in a language, as one page of HTML.
///
/// # Errors
/// When a slide names a chart, a claim or code that is not there.
pub fn render(language: &Language, figures: &Figures, place: Place) -> anyhow::Result<String> {
    let mut sections = String::new();
    for (index, slide) in deck::slides(language.deck).iter().enumerate() {
        let number = index + 1;
        let body = markdown::render(&slide.body, language, figures).with_context(|| {
            let title = slide.title();
            format!("slide {number} of {}, “{title}”", language.code)
        })?;
        let notes = markdown::render(&slide.notes, language, figures)?;
        sections += &format!(
            "<section class=\"slide {}\" id=\"{number}\">\n<div class=\"body\">\n{body}</div>\n<aside class=\"notes\">\n{notes}</aside>\n</section>\n",
            slide.class
        );
    }
    let parts = [
        ("{{code}}", language.code),
        ("{{other}}", language.other),
        ("{{words}}", &language.page_words()),
        ("{{live}}", if place == Place::Server { "yes" } else { "no" }),
        ("{{css}}", include_str!("player/player.css")),
        ("{{script}}", include_str!("player/player.js")),
        ("{{slides}}", &sections),
    ];
    let frame = include_str!("player/index.html");
    Ok(parts.iter().fold(frame.to_string(), |page, (place, text)| page.replacen(place, text, 1)))
}
