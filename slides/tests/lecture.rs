//! The rendered lecture: it is complete and self-contained, and everything that slides refer to is inserted.

use std::sync::OnceLock;

use slides::markdown::Page;
use slides::{Destination, Edition, Figures, LANGUAGES, deck, render};

fn figures() -> &'static Figures {
    static FIGURES: OnceLock<Figures> = OnceLock::new();
    FIGURES.get_or_init(|| Figures::recorded().unwrap())
}

/// What an English page is rendered with.
fn page(destination: Destination) -> Page<'static> {
    Page { language: &LANGUAGES[0], figures: figures(), destination }
}

#[test]
fn every_language_is_rendered_completely_and_loads_nothing_from_outside() {
    for language in &LANGUAGES {
        let page = render(language, figures(), Destination::File, Edition::Full).unwrap();
        assert_eq!(page.matches("<section class=\"slide ").count(), deck::slides(language.deck).len());
        assert!(page.contains(&format!("<html lang=\"{}\"", language.code)));
        for outside in ["src=\"", "<link rel=\"stylesheet\"", "@import", "url("] {
            assert!(!page.contains(outside), "{}: {outside}", language.code);
        }
        // All links into the project, placeholders and comments were replaced.
        for remaining in ["../../../", "{{", "<!--"] {
            assert!(!page.contains(remaining), "{}: {remaining}", language.code);
        }
    }
}

#[test]
fn charts_code_verdicts_and_the_table_are_inserted() {
    let page = render(&LANGUAGES[0], figures(), Destination::File, Edition::Full).unwrap();
    assert!(page.contains(figures().chart("bytes-per-event").unwrap()));
    assert!(page.contains(&reports::html::escape(&figures().verdict(23).unwrap().figure)));
    assert!(page.contains("events.slice(after)"), "code of slides/examples/server.cjs");
    for (name, cells) in &figures().comparison().rows {
        assert!(page.contains(&format!("<th>{name}</th><td>{}</td>", cells[0])), "{name}");
    }
}

#[test]
fn every_live_page_has_a_recording_for_print_and_files() {
    for language in &LANGUAGES {
        let page = render(language, figures(), Destination::File, Edition::Full).unwrap();
        let frames: Vec<&str> = page.split("<div class=\"live\"").skip(1).collect();
        assert_eq!(frames.len(), 5, "{}", language.code);
        for (frame, recorded) in frames.iter().zip([
            "<ol>",
            "<svg",
            "content-length: 34",
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
            "content-length: 29",
        ]) {
            let frame = frame.split("<aside").next().unwrap();
            assert!(
                frame.contains("<div class=\"recorded\">") && frame.contains(recorded),
                "{}: {recorded}",
                language.code
            );
        }
    }
    let lanes = figures().lanes().unwrap();
    for name in ["Polling", "Long polling", "HTTP stream", "SSE", "WebSocket"] {
        assert!(lanes.contains(&format!(">{name}</text>")), "{name}");
    }
    assert_eq!(lanes.matches("font-weight=\"bold\"").count(), 5, "as many lanes as the heading says");
}

#[test]
fn the_handout_has_all_slides_except_the_solutions() {
    for language in &LANGUAGES {
        let page = render(language, figures(), Destination::File, Edition::Handout).unwrap();
        let slides = deck::slides(language.deck);
        let solutions = slides.iter().filter(|slide| slide.is_solution()).count();
        assert_eq!(solutions, 4, "{}: one slide of solutions for each slide of exercises", language.code);
        assert_eq!(page.matches("<section class=\"slide ").count(), slides.len() - solutions);
        // Parts of the solutions: the unmasked frame, and the file that resumes after the cursor.
        for solution in ["48 65 6c 6c 6f</code>", "server/src/page/lane.js"] {
            assert!(!page.contains(solution), "{}: {solution}", language.code);
        }
        assert!(page.contains("37 fa 21 3d 7f 9f 4d 51 58"), "{}: the exercise itself", language.code);
        assert!(page.contains(&format!("data-other=\"{}-handout\"", language.other)));
    }
}

#[test]
fn a_reference_to_something_missing_is_an_error_that_names_it() {
    let slide = |text: &str| slides::markdown::render(text, page(Destination::File)).unwrap_err().to_string();
    assert!(slide("![](../../../reports/record/all/charts/none.svg)").contains("no chart none"));
    assert!(slide("[code](../../../slides/examples/server.cjs#none)").contains("does not define none"));
    assert!(slide("[table](../../../reports/record/loss/tables/none-1.csv)").contains("no table none-1"));
    assert!(slide("- [claim](../../../reports/record/all/run.json#claim-99)").contains("claim 99"));
}

#[test]
fn other_links_remain_links() {
    let html =
        slides::markdown::render("See [the RFC](https://www.rfc-editor.org/rfc/rfc6455).", page(Destination::File));
    assert_eq!(html.unwrap(), "<p>See <a href=\"https://www.rfc-editor.org/rfc/rfc6455\">the RFC</a>.</p>\n");
}

#[test]
fn a_link_to_a_page_of_the_lab_leads_there_from_where_the_slides_are_opened() {
    let link = |path: &str, destination| {
        let text = format!("[label](http://127.0.0.1:8080/{path})");
        let html = slides::markdown::render(&text, page(destination)).unwrap();
        html.split("href=\"").nth(1).map(|rest| rest.split('"').next().unwrap().to_string())
    };
    let cases = [
        ("", ["/?lang=en", "", ""]),
        ("hall", ["/hall?lang=en", "", ""]),
        ("learn", ["/learn/index.html", "../index.html", ""]),
        ("slides/en-worksheet.html", ["en-worksheet.html"; 3]),
    ];
    for (path, expected) in cases {
        for (destination, target) in
            [Destination::Server, Destination::Site, Destination::File].into_iter().zip(expected)
        {
            assert_eq!(link(path, destination).unwrap_or_default(), target, "{path}, {destination:?}");
        }
    }
}

#[test]
fn a_claim_is_followed_by_the_verdict_of_the_run_and_the_rest_of_the_item() {
    let text = "- [“Strings.”](../../../reports/record/all/run.json#claim-23) Frames are *text* or binary";
    let html = slides::markdown::render(text, page(Destination::File)).unwrap();
    let expected = "<li><span class=\"claim\">“Strings.”</span> <span class=\"answer\"><b class=\"status doesnothold\">does not hold</b> \
                    Frames are <em>text</em> or binary</span></li>";
    assert_eq!(html.replace('\n', ""), format!("<ul>{expected}</ul>"));
}
