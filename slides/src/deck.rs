//! The decks in Markdown, and their division into slides.
//!
//! A line `---` ends a slide. A comment contains notes for the speaker or, as `_class: NAME`, the slide's layout; other slide tools have
//! the same conventions. The handout does not contain slides of the class `solution`. A slide of the class `steps` is shown step by step, and the
//! exercises on one of the class `worksheet` are also on the worksheet.

/// The files of a deck, in the order in which they are shown.
macro_rules! deck {
    ($language:literal) => {
        &[
            include_str!(concat!("../deck/", $language, "/01-why.md")),
            include_str!(concat!("../deck/", $language, "/02-polling.md")),
            include_str!(concat!("../deck/", $language, "/03-long-polling.md")),
            include_str!(concat!("../deck/", $language, "/04-streaming.md")),
            include_str!(concat!("../deck/", $language, "/05-before-websocket.md")),
            include_str!(concat!("../deck/", $language, "/06-websocket.md")),
            include_str!(concat!("../deck/", $language, "/07-libraries.md")),
            include_str!(concat!("../deck/", $language, "/08-cost.md")),
            include_str!(concat!("../deck/", $language, "/09-choice.md")),
            include_str!(concat!("../deck/", $language, "/10-claims.md")),
            include_str!(concat!("../deck/", $language, "/11-exercises.md")),
        ]
    };
}

/// The deck in English.
pub const ENGLISH: &[&str] = deck!("en");
/// The deck in Korean.
pub const KOREAN: &[&str] = deck!("ko");

/// A slide in Markdown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Slide {
    /// The content of the slide.
    pub body: String,
    /// The speaker's notes.
    pub notes: String,
    /// The names of its layouts, with spaces between them; may be empty.
    pub class: String,
}

impl Slide {
    /// The text of its heading.
    pub fn title(&self) -> &str {
        self.body.lines().find_map(|line| line.strip_prefix("# ")).unwrap_or_default()
    }

    /// Whether it contains solutions of exercises.
    pub fn is_solution(&self) -> bool {
        self.has_class("solution")
    }

    /// Whether it has a layout or a property of that name.
    pub fn has_class(&self, name: &str) -> bool {
        self.class.split(' ').any(|class| class == name)
    }

    fn parse(text: &str) -> Self {
        let mut slide = Self::default();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("<!--") {
            slide.body += before;
            let (comment, remaining) = after.split_once("-->").unwrap_or((after, ""));
            match comment.trim().strip_prefix("_class:") {
                Some(class) => slide.class = class.trim().into(),
                None => slide.notes += comment,
            }
            rest = remaining;
        }
        slide.body += rest;
        slide
    }
}

/// The slides of all files of a deck, in order.
pub fn slides(files: &[&str]) -> Vec<Slide> {
    files.iter().flat_map(|file| file.split("\n---\n")).map(Slide::parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_ends_a_slide_and_a_comment_has_notes_or_the_layout() {
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
