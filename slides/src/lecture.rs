//! The lecture's pages: for each language, one with all slides, a handout without the solutions, and the pages to print.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::destination::Destination;
use crate::figures::Figures;
use crate::language::{LANGUAGES, Language};
use crate::markdown::Page;
use crate::{deck, markdown, palette, paper};

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
    let page = Page { language, figures, destination };
    let mut sections = String::new();
    let mut slides = deck::slides(language.deck);
    slides.retain(|slide| edition == Edition::Full || !slide.is_solution());
    for (index, slide) in slides.iter().enumerate() {
        let number = index + 1;
        let body = markdown::render(&slide.body, page).with_context(|| {
            let title = slide.title();
            format!("slide {number} of {}, “{title}”", language.code)
        })?;
        let notes = markdown::render(&slide.notes, page)?;
        sections += &format!(
            "<section class=\"slide {}\" id=\"{number}\">\n<div class=\"body\">\n{body}</div>\n<aside class=\"notes\">\n{notes}</aside>\n</section>\n",
            slide.class
        );
    }
    let other = match destination {
        Destination::File | Destination::Site => edition.file_name(language.other),
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

/// Writes the lecture for each language into a directory, which is created if it is missing: with the solutions of the exercises, the handout
/// without them, and the pages to print. Returns the files.
///
/// # Errors
/// When a page cannot be rendered, or the directory cannot be written.
pub fn write(figures: &Figures, destination: Destination, directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    reports::prepare(directory)?;
    fs::create_dir_all(directory).with_context(|| format!("cannot make the directory {}", directory.display()))?;
    let mut pages = Vec::new();
    for language in &LANGUAGES {
        for edition in EDITIONS {
            pages.push((edition.file_name(language.code), render(language, figures, destination, edition)?));
        }
        pages.extend(paper::ALL.map(|paper| (paper.file_name(language.code), paper.render(language))));
    }
    let mut files = Vec::new();
    for (name, page) in pages {
        let file = directory.join(format!("{name}.html"));
        fs::write(&file, page).with_context(|| format!("cannot write {}", file.display()))?;
        files.push(file);
    }
    Ok(files)
}
