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
fn where_the_page_is_live_on_the_screen_something_recorded_is_there_for_print_and_files() {
    for language in &LANGUAGES {
        let page = render(language, figures(), Place::File, Edition::Full).unwrap();
        let places: Vec<&str> = page.split("<div class=\"live\"").skip(1).collect();
        assert_eq!(places.len(), 3, "{}", language.code);
        for (place, recorded) in places.iter().zip(["<svg", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "content-length: 29"]) {
            let place = place.split("<aside").next().unwrap();
            assert!(
                place.contains("<div class=\"recorded\">") && place.contains(recorded),
                "{}: {recorded}",
                language.code
            );
        }
    }
    let lanes = figures().lanes().unwrap();
    for name in ["Polling", "Long polling", "HTTP stream", "SSE", "WebSocket"] {
        assert!(lanes.contains(&format!(">{name}</tspan>")), "{name}");
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
