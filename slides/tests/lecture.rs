//! The lecture as it is rendered: whole, self-contained, and with what it names put in.

use std::sync::OnceLock;

use slides::{Edition, Figures, LANGUAGES, Place, deck, render};

fn figures() -> &'static Figures {
    static FIGURES: OnceLock<Figures> = OnceLock::new();
    FIGURES.get_or_init(|| Figures::recorded().unwrap())
}

#[test]
fn every_language_is_rendered_whole_and_asks_for_nothing_from_outside() {
    for language in &LANGUAGES {
        let page = render(language, figures(), Place::File, Edition::Full).unwrap();
        assert_eq!(page.matches("<section class=\"slide ").count(), deck::slides(language.deck).len());
        assert!(page.contains(&format!("<html lang=\"{}\"", language.code)));
        for outside in ["src=\"", "<link rel=\"stylesheet\"", "@import", "url("] {
            assert!(!page.contains(outside), "{}: {outside}", language.code);
        }
        // What stood for something else was replaced.
        for left in ["../../../", "{{", "<!--"] {
            assert!(!page.contains(left), "{}: {left}", language.code);
        }
    }
}

#[test]
fn charts_code_verdicts_and_the_table_come_from_where_they_are_named() {
    let page = render(&LANGUAGES[0], figures(), Place::File, Edition::Full).unwrap();
    assert!(page.contains(figures().chart("bytes-per-event").unwrap()));
    assert!(page.contains(&reports::html::escape(&figures().verdict(23).unwrap().figure)));
    assert!(page.contains("feed.since(after, LARGEST_BATCH)"), "code of server/src/transport/polling.rs");
    for (name, cells) in &figures().table().rows {
        assert!(page.contains(&format!("<th>{name}</th><td>{}</td>", cells[0])), "{name}");
    }
}

#[test]
fn the_handout_has_all_slides_but_the_solutions() {
    for language in &LANGUAGES {
        let page = render(language, figures(), Place::File, Edition::Handout).unwrap();
        let slides = deck::slides(language.deck);
        let solutions = slides.iter().filter(|slide| slide.is_solution()).count();
        assert_eq!(solutions, 2, "{}: one slide for each of exercises", language.code);
        assert_eq!(page.matches("<section class=\"slide ").count(), slides.len() - solutions);
        // The unmasked frame, and where the code is that loses nothing.
        for answer in ["48 65 6c 6c 6f</code>", "server/src/page/lane.js"] {
            assert!(!page.contains(answer), "{}: {answer}", language.code);
        }
        assert!(page.contains("37 fa 21 3d 7f 9f 4d 51 58"), "{}: the exercise itself", language.code);
        assert!(page.contains(&format!("data-other=\"{}-handout\"", language.other)));
    }
}

#[test]
fn what_is_not_there_is_told_and_where() {
    let slide = |text: &str| slides::markdown::render(text, &LANGUAGES[0], figures()).unwrap_err().to_string();
    assert!(slide("![](../../../reports/record/all/charts/none.svg)").contains("no chart none"));
    assert!(slide("[code](../../../server/src/transport/polling.rs#none)").contains("defines no none"));
    assert!(slide("- [claim](../../../reports/record/all/run.json#claim-99)").contains("claim 99"));
}

#[test]
fn plain_links_stay_links() {
    let html =
        slides::markdown::render("See [the RFC](https://www.rfc-editor.org/rfc/rfc6455).", &LANGUAGES[0], figures());
    assert_eq!(html.unwrap(), "<p>See <a href=\"https://www.rfc-editor.org/rfc/rfc6455\">the RFC</a>.</p>\n");
}
