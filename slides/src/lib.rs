//! The lecture: a deck in Markdown, rendered into one self-contained page a language.
//!
//! [`deck`] holds the Markdown and takes it apart into slides; [`markdown`] renders one of them and puts in what it names:
//! charts, lanes, a table and verdicts of a recorded run ([`figures`]), code of this project ([`source`]), live lanes. The player,
//! which turns the page into a talk, is in `player/`.

pub mod deck;
pub mod figures;
mod findings;
mod lanes;
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

/// Which slides there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edition {
    /// All of them, for the presenter.
    Full,
    /// Those for viewers, which leave the solutions of the exercises out.
    Handout,
}

/// All editions.
pub const EDITIONS: [Edition; 2] = [Edition::Full, Edition::Handout];

impl Edition {
    /// The name of its page in a language, without the `.html`, where each edition is a file.
    pub fn file_name(self, language: &str) -> String {
        match self {
            Self::Full => language.into(),
            Self::Handout => format!("{language}-handout"),
        }
    }
}

/// Renders an edition of the lecture in a language, as one page of HTML.
///
/// # Errors
/// When a slide names a chart, a claim or code that is not there.
pub fn render(language: &Language, figures: &Figures, place: Place, edition: Edition) -> anyhow::Result<String> {
    let mut sections = String::new();
    let mut slides = deck::slides(language.deck);
    slides.retain(|slide| edition == Edition::Full || !slide.is_solution());
    for (index, slide) in slides.iter().enumerate() {
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
    let other = match place {
        Place::File => edition.file_name(language.other),
        Place::Server => language.other.into(),
    };
    let parts = [
        ("{{code}}", language.code),
        ("{{other}}", &other),
        ("{{words}}", &language.page_words()),
        ("{{live}}", if place == Place::Server { "yes" } else { "no" }),
        ("{{css}}", include_str!("player/player.css")),
        ("{{script}}", include_str!("player/player.js")),
        ("{{slides}}", &sections),
    ];
    let frame = include_str!("player/index.html");
    Ok(parts.iter().fold(frame.to_string(), |page, (place, text)| page.replacen(place, text, 1)))
}
