//! The lecture: a deck in Markdown for each language, rendered into one self-contained page.
//!
//! [`deck`] contains the Markdown and divides it into slides. [`markdown`] renders a slide and inserts what the slide refers to: charts,
//! lanes, a table and verdicts of a recorded run ([`figures`]), code of this project ([`source`]), and live lanes. A lane shows the
//! messages of one subscription over time; a live lane is a subscription of the browser itself. The player, the script that shows one
//! slide at a time, is in `player/`.

mod chart;
pub mod deck;
pub mod dictionary;
pub mod figures;
mod findings;
mod korean;
pub mod language;
pub mod markdown;
pub mod palette;
pub mod source;

use anyhow::Context;

pub use crate::figures::Figures;
pub use crate::language::{LANGUAGES, Language};

/// Where the rendered page will be opened from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// From a file. Live lanes are replaced by a recording, with a note on how to see them live.
    File,
    /// From the server, whose live page is at `/`.
    Server,
}

/// Which slides a page contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edition {
    /// All slides, for the presenter.
    Full,
    /// The slides for viewers, without the solutions of the exercises.
    Handout,
}

/// All editions.
pub const EDITIONS: [Edition; 2] = [Edition::Full, Edition::Handout];

impl Edition {
    /// The name of the edition's file in a language, without `.html`.
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
/// When a slide refers to a chart, a claim or code that does not exist.
pub fn render(
    language: &Language,
    figures: &Figures,
    destination: Destination,
    edition: Edition,
) -> anyhow::Result<String> {
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
    let other = match destination {
        Destination::File => edition.file_name(language.other),
        Destination::Server => language.other.into(),
    };
    let parts = [
        ("{{code}}", language.code),
        ("{{other}}", &other),
        ("{{texts}}", &language.player_texts()),
        ("{{live}}", if destination == Destination::Server { "yes" } else { "no" }),
        ("{{css}}", &(palette::css() + include_str!("player/player.css"))),
        ("{{script}}", include_str!("player/player.js")),
        ("{{slides}}", &sections),
    ];
    let template = include_str!("player/index.html");
    Ok(parts.iter().fold(template.to_string(), |page, (placeholder, text)| page.replacen(placeholder, text, 1)))
}
