//! The instructor's guide and the handout: the slides, files and keys that they name exist, and both languages have the same structure.

use std::path::Path;

use protocol::envelope::{line, sse};
use slides::{LANGUAGES, Language, deck};

const GUIDES: [(&str, &str); 2] = [("GUIDE.md", "HANDOUT.md"), ("GUIDE.ko.md", "HANDOUT.ko.md")];

fn read(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// The texts between quotation marks in the tables of a guide: the headings of slides.
fn quoted(text: &str) -> Vec<&str> {
    let lines = text.lines().filter(|line| line.starts_with("| "));
    lines
        .flat_map(|line| match line.contains('“') {
            true => line.split('“').skip(1).map(|rest| rest.split('”').next().unwrap()).collect::<Vec<_>>(),
            false => line.split('"').skip(1).step_by(2).collect(),
        })
        .collect()
}

#[test]
fn every_slide_that_a_guide_names_exists() {
    for (language, (guide, _)) in LANGUAGES.iter().zip(GUIDES) {
        let text = read(guide);
        let slides = deck::slides(language.deck);
        let titles: Vec<&str> = slides.iter().map(|slide| slide.title()).collect();
        let named = quoted(&text);
        assert!(named.len() > 30, "{guide} names {} slides", named.len());
        let missing: Vec<&&str> = named.iter().filter(|name| !titles.contains(name)).collect();
        assert!(missing.is_empty(), "{guide} names slides that do not exist: {missing:#?}");
    }
}

#[test]
fn every_file_that_a_guide_links_to_or_runs_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for name in GUIDES.iter().flat_map(|(guide, handout)| [guide, handout]) {
        let text = read(name);
        for link in text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            assert!(root.join(link).exists(), "{name}: {link}");
        }
        for file in
            text.split("node ").skip(1).map(|rest| rest.split(' ').next().unwrap()).filter(|word| word.contains('/'))
        {
            assert!(root.join("..").join(file).exists(), "{name}: {file}");
        }
    }
}

#[test]
fn the_keys_of_the_slides_in_a_guide_are_keys_of_the_player() {
    for (language, (guide, _)) in LANGUAGES.iter().zip(GUIDES) {
        let text = read(guide);
        // The first three rows of the table of keys are those of the slides; those of the live page follow.
        let rows: Vec<&str> =
            text.lines().filter(|line| line.starts_with("| ") && line.contains("`")).take(3).collect();
        let known = keys(language);
        for key in rows.iter().flat_map(|row| row.split('`').skip(1).step_by(2)) {
            assert!(known.iter().any(|known| known == key), "{guide}: {key} is not among {known:?}");
        }
    }
}

#[test]
fn the_keys_of_the_live_page_in_a_guide_are_keys_of_its_views() {
    for (guide, _) in GUIDES {
        let text = read(guide);
        let rows = text.lines().filter(|line| line.starts_with("| ") && line.contains("`")).skip(3);
        for (row, view) in rows.zip(["scene", "lanes"]) {
            let page = read(&format!("../server/src/page/{view}.html"));
            let named = page.split("data-key=\"").skip(1).flat_map(|rest| rest.split('"').next().unwrap().split(' '));
            // The scene gives its five phones their numbers.
            let known: Vec<&str> = named.chain(["1", "5"].into_iter().filter(|_| view == "scene")).collect();
            let keys: Vec<String> = row.split('`').skip(1).step_by(2).map(str::to_lowercase).collect();
            assert!(keys.len() > 4, "{guide}: {row}");
            for key in keys {
                assert!(known.contains(&key.as_str()), "{guide}: {key} is not among {known:?} of {view}");
            }
        }
    }
}

fn keys(language: &Language) -> Vec<String> {
    let texts: serde_json::Value = serde_json::from_str(&language.player_texts()).unwrap();
    let keys = texts["keys"].as_array().unwrap().iter();
    keys.flat_map(|key| key[0].as_str().unwrap().split(' ').map(String::from).collect::<Vec<_>>()).collect()
}

#[test]
fn both_languages_have_the_same_tables_and_commands() {
    let shape = |text: &str| -> (usize, usize, Vec<String>) {
        let rows = text.lines().filter(|line| line.starts_with('|')).count();
        let headings = text.lines().filter(|line| line.starts_with('#')).count();
        let commands = text.split("cargo run").skip(1).map(|rest| rest.split(['`', '\n']).next().unwrap().to_string());
        (rows, headings, commands.collect())
    };
    let [english, korean] = GUIDES;
    for (english, korean) in [(english.0, korean.0), (english.1, korean.1)] {
        assert_eq!(shape(&read(english)), shape(&read(korean)), "{english}");
    }
}

#[test]
fn the_handout_names_the_overhead_of_each_envelope_for_the_event_that_it_shows() {
    let event = br#"{"seq":42,"at":7,"data":"a"}"#;
    assert_eq!(event.len(), 28);
    // A chunk adds the length in hex and two line ends.
    let overhead = |body: usize| body + format!("{body:x}").len() + 4 - event.len();
    let line = overhead(line::encode(event).len());
    let block = overhead(sse::encode(42, event).len());
    for (_, name) in GUIDES {
        let text = read(name);
        let row = text.lines().find(|line| line.contains("(SSE)")).unwrap();
        for figure in [line, block, event.len()] {
            let is_named = row.split(|letter: char| !letter.is_ascii_digit()).any(|word| word == figure.to_string());
            assert!(is_named, "{name}: {figure} is not in {row}");
        }
    }
}
