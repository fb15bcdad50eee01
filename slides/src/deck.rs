//! The deck's Markdown, taken apart into slides.
//!
//! A line `---` ends a slide. A comment is a note for the speaker, or, as `_class: NAME`, a layout; other slide tools read
//! both in the same way. Slides of the class `solution` are left out of the handout.

/// The files of a deck, in the order in which they are shown.
macro_rules! deck {
    ($language:literal) => {
        &[
            include_str!(concat!("../deck/", $language, "/01-why.md")),
            include_str!(concat!("../deck/", $language, "/02-polling.md")),
            include_str!(concat!("../deck/", $language, "/03-long-polling.md")),
            include_str!(concat!("../deck/", $language, "/04-streaming.md")),
            include_str!(concat!("../deck/", $language, "/05-websocket.md")),
            include_str!(concat!("../deck/", $language, "/06-cost.md")),
            include_str!(concat!("../deck/", $language, "/07-choice.md")),
            include_str!(concat!("../deck/", $language, "/08-claims.md")),
            include_str!(concat!("../deck/", $language, "/09-exercises.md")),
        ]
    };
}

/// The deck in English.
pub const ENGLISH: &[&str] = deck!("en");
/// The deck in Korean.
pub const KOREAN: &[&str] = deck!("ko");

/// A slide, as written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Slide {
    /// What is shown, in Markdown.
    pub body: String,
    /// What the speaker sees, in Markdown.
    pub notes: String,
    /// The names of its layouts, or nothing.
    pub class: String,
}

impl Slide {
    /// Its heading.
    pub fn title(&self) -> &str {
        self.body.lines().find_map(|line| line.strip_prefix("# ")).unwrap_or_default()
    }

    /// Whether it solves exercises.
    pub fn is_solution(&self) -> bool {
        self.class.split(' ').any(|class| class == "solution")
    }

    fn read(text: &str) -> Self {
        let mut slide = Self::default();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("<!--") {
            slide.body += before;
            let (comment, behind) = after.split_once("-->").unwrap_or((after, ""));
            match comment.trim().strip_prefix("_class:") {
                Some(class) => slide.class = class.trim().into(),
                None => slide.notes += comment,
            }
            rest = behind;
        }
        slide.body += rest;
        slide
    }
}

/// All slides of a deck's files, in order.
pub fn slides(files: &[&str]) -> Vec<Slide> {
    files.iter().flat_map(|file| file.split("\n---\n")).map(Slide::read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_ends_a_slide_and_comments_are_notes_or_a_layout() {
        let found = slides(&["<!-- _class: title -->\n# One\n\n<!-- Say hello. -->\n\n---\n\n# Two\n", "# Three\n"]);
        let expected = [("One", "title", "Say hello."), ("Two", "", ""), ("Three", "", "")];
        assert_eq!(
            found.iter().map(|slide| (slide.title(), &*slide.class, slide.notes.trim())).collect::<Vec<_>>(),
            expected
        );
        assert!(!found[0].body.contains("<!--"));
    }

    #[test]
    fn both_languages_have_the_same_slides_with_the_same_layouts() {
        let shape = |files| slides(files).iter().map(|slide| slide.class.clone()).collect::<Vec<_>>();
        assert_eq!(shape(ENGLISH), shape(KOREAN));
        for slide in slides(ENGLISH).iter().chain(&slides(KOREAN)) {
            assert!(!slide.title().is_empty(), "a slide without a heading: {}", slide.body);
            assert!(!slide.notes.trim().is_empty(), "{} has notes for the speaker", slide.title());
        }
    }
}
