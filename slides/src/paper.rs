//! Pages to print on A4: a worksheet for students, and the instructor's guide. Both are the Markdown files of this crate with a style for
//! paper. The worksheet also has the exercises of the deck's slides of the class `worksheet`, with room for the answers.

use pulldown_cmark::{CowStr, Event, Options, Parser, Tag, TagEnd, html};

use crate::deck;
use crate::language::Language;

/// A page to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paper {
    /// The handout and the exercises, for students.
    Worksheet,
    /// The instructor's guide.
    Guide,
}

/// All pages to print.
pub const ALL: [Paper; 2] = [Paper::Worksheet, Paper::Guide];

/// The pages to which the Markdown files are rendered.
const FILES: [(&str, &str); 4] = [
    ("HANDOUT.md", "en-worksheet.html"),
    ("HANDOUT.ko.md", "ko-worksheet.html"),
    ("GUIDE.md", "en-guide.html"),
    ("GUIDE.ko.md", "ko-guide.html"),
];

impl Paper {
    /// The name of the page's file in a language, without `.html`.
    pub fn file_name(self, language: &str) -> String {
        match self {
            Self::Worksheet => format!("{language}-worksheet"),
            Self::Guide => format!("{language}-guide"),
        }
    }

    /// Renders the page in a language, as HTML that needs no script and loads nothing.
    pub fn render(self, language: &Language) -> String {
        let body = match self {
            Self::Worksheet => {
                let slides = deck::slides(language.deck);
                let exercises = slides.iter().filter(|slide| slide.has_class("worksheet"));
                let exercises: String = exercises
                    .map(|slide| format!("<section class=\"exercises\">\n{}</section>\n", render(&slide.body)))
                    .collect();
                render(language.handout) + &exercises
            }
            Self::Guide => render(language.guide),
        };
        let source = if self == Self::Guide { language.guide } else { language.handout };
        let title = source.lines().next().unwrap_or_default().trim_start_matches("# ");
        let parts = [
            ("{{code}}", language.code),
            ("{{title}}", &reports::html::escape(title)),
            ("{{css}}", include_str!("paper/paper.css")),
            ("{{body}}", &body),
        ];
        let template = include_str!("paper/index.html");
        parts.iter().fold(template.to_string(), |page, (placeholder, text)| page.replacen(placeholder, text, 1))
    }
}

/// Renders Markdown. A link into the project becomes its text with the path behind it, since paper and an exported site have no such files.
fn render(text: &str) -> String {
    let mut rendered: Vec<Event> = Vec::new();
    let mut path: Option<String> = None;
    for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
        match event {
            Event::Start(Tag::Link { link_type, dest_url, title, id }) => {
                let page = FILES.iter().find(|(file, _)| **file == *dest_url).map(|(_, page)| CowStr::from(*page));
                if page.is_some() || dest_url.contains("://") {
                    let dest_url = page.unwrap_or(dest_url);
                    rendered.push(Event::Start(Tag::Link { link_type, dest_url, title, id }));
                } else {
                    path = Some(dest_url.trim_start_matches("../").into());
                }
            }
            Event::End(TagEnd::Link) => match path.take() {
                None => rendered.push(Event::End(TagEnd::Link)),
                Some(path) => {
                    let is_named = matches!(rendered.last(), Some(Event::Text(text)) if **text == *path);
                    if !is_named {
                        rendered.extend([Event::Text(" (".into()), Event::Code(path.into()), Event::Text(")".into())]);
                    }
                }
            },
            _ => rendered.push(event),
        }
    }
    let mut page = String::new();
    html::push_html(&mut page, rendered.into_iter());
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_into_the_project_becomes_its_path_and_other_links_remain() {
        let html =
            render("[the contract](../bench-client/CONTRACT.md), [bench-client](../bench-client), [sheet](HANDOUT.md)");
        let expected = "<p>the contract (<code>bench-client/CONTRACT.md</code>), bench-client, <a href=\"en-worksheet.html\">sheet</a></p>\n";
        assert_eq!(html, expected);
        assert!(render("<https://www.rfc-editor.org>").contains("href=\"https://www.rfc-editor.org\""));
    }
}
