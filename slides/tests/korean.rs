//! The Korean slides show no English texts of the run.

use std::collections::BTreeSet;

use slides::dictionary::english_words;
use slides::{Destination, Edition, Figures, LANGUAGES, render};

/// How the elements with texts of the run start and end, and the least number of them in the deck.
const SHOWN: [(&str, &str, usize); 4] = [
    ("<figure class=\"chart\"", "</figure>", 20),
    ("<span class=\"claim\"", "</span>", 14),
    ("<table class=\"figures\"", "</table>", 1),
    ("<p class=\"scenario\"", "</p>", 1),
];

#[test]
fn every_text_of_a_chart_a_verdict_and_the_table_is_translated() {
    let figures = Figures::recorded().unwrap();
    let korean = LANGUAGES.iter().find(|language| language.code == "ko").unwrap();
    let page = render(korean, &figures, Destination::File, Edition::Full).unwrap();
    let mut untranslated = BTreeSet::new();
    for (start, end, least) in SHOWN {
        let elements: Vec<&str> = page.split(start).skip(1).map(|rest| rest.split(end).next().unwrap()).collect();
        assert!(elements.len() >= least, "{} elements {start}", elements.len());
        // Each part but the first, the rest of the start tag, is a text and the tag after it.
        let texts = elements.iter().flat_map(|element| element.split('>').skip(1)).map(|part| part.split('<').next());
        let texts = texts.map(|text| text.unwrap().trim().replace("&quot;", "\""));
        untranslated.extend(texts.filter(|text| !english_words(text).is_empty()));
    }
    assert!(untranslated.is_empty(), "slides/src/korean.rs has no pattern for {untranslated:#?}");
}
