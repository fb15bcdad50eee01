//! The story in a browser, from the server and from files: each scene asks for a prediction, then shows its measurement; nothing is loaded
//! from outside; and it fits the screen of a phone.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use serde_json::{Value, json};
use server::{Options, Server};

use crate::contrast;
use crate::driver::Browser;

fn server() -> Server {
    let free: SocketAddr = "127.0.0.1:0".parse().unwrap();
    Server::start(&Options { listen: free, tcp_listen: free, rate: 0.0, ..Options::default() }).unwrap()
}

/// Goes through all scenes: before the prediction the measurement is hidden and cannot be shown; afterwards the sentence names the prediction
/// and what was measured. Returns the names of the scenes, and what was wrong.
const ALL_SCENES: &str = "
    const wrong = [];
    const check = (scene, name, is) => { if (!is) wrong.push([scene.name, name]); };
    scenes.forEach((scene, index) => {
        const section = sections[index];
        const [button, measurement, sentence] = ['form button', '.measurement', '.sentence'].map(name => section.querySelector(name));
        const inputs = [...section.querySelectorAll('input')];
        section.querySelector('form').requestSubmit();
        check(scene, 'the measurement is hidden before a prediction', !measurement.checkVisibility() && button.disabled);
        check(scene, 'there is no sentence yet', sentence.textContent === '');
        if (scene.prediction.kind === 'slider') {
            inputs[0].value = 1;
            inputs[0].dispatchEvent(new Event('input', { bubbles: true }));
        } else inputs[scene.prediction.answer].click();
        check(scene, 'a prediction alone shows nothing', !measurement.checkVisibility());
        button.click();
        check(scene, 'the measurement is shown', measurement.checkVisibility() && measurement.querySelector('.picture').clientHeight > 100);
        check(scene, 'the sentence has the measured figure', sentence.textContent.includes(scene.fact));
        const said = scene.prediction.kind === 'slider' ? section.querySelector('output').textContent : inputs[scene.prediction.answer].parentElement.textContent.trim();
        check(scene, 'the sentence has the prediction', sentence.textContent.includes(said));
        if (scene.prediction.kind === 'choice') check(scene, 'the right choice is right', sentence.textContent.startsWith(texts.right));
        check(scene, 'a prediction is not changed afterwards', inputs.every(input => input.matches(':disabled')));
        const text = measurement.querySelector('ol li, table');
        check(scene, 'the picture has a text version', text && text.textContent.length > 10);
        for (const cell of measurement.querySelectorAll('td, th')) check(scene, `the text fits: ${cell.textContent}`, cell.scrollWidth <= cell.clientWidth + 1);
    });
    done({ names: scenes.map(scene => scene.name), wrong, wide: document.documentElement.scrollWidth - document.documentElement.clientWidth });
";

/// The addresses of everything that the page has loaded.
fn loaded(browser: &Browser) -> Vec<String> {
    let names = browser.run(
        "const resources = performance.getEntriesByType('resource').map(entry => entry.name);
         const [scripts, styles] = [[...document.scripts].map(({ src }) => src), [...document.styleSheets].map(({ href }) => href)];
         done([...resources, ...scripts, ...styles].filter(Boolean));",
    );
    names.as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_string()).collect()
}

/// Asserts that all scenes of the page at `url` work, at the width of a projector and of a phone.
fn assert_works(browser: &Browser, url: &str, base: &str) {
    for (width, height) in [(1280, 720), (360, 740)] {
        browser.set_viewport(width, height);
        browser.open(url);
        let result = browser.run(ALL_SCENES);
        let names = ["ask", "wait", "stream", "upgrade", "frame", "break", "scale", "choose"];
        assert_eq!(result, json!({ "names": names, "wrong": [], "wide": 0 }), "{url}, {width} pixels wide");
        let loaded = loaded(browser);
        assert!(loaded.len() >= 2 && loaded.iter().all(|name| name.starts_with(base)), "{url}: {loaded:?}");
        assert_eq!(browser.console_errors(), [""; 0], "{url}");
    }
}

#[test]
fn every_scene_works_from_the_server_in_both_languages() {
    let Some(browser) = Browser::start() else { return };
    let server = server();
    for page in ["index.html", "index.ko.html"] {
        let base = format!("{}/learn/", server.url());
        assert_works(&browser, &format!("{base}{page}"), &base);
    }
}

#[test]
fn every_scene_works_from_a_file_without_a_network() {
    let Some(browser) = Browser::start() else { return };
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("learn-site");
    let _ = fs::remove_dir_all(&directory);
    slides::learn::export(&directory).unwrap();
    browser.disconnect();
    for page in ["index.html", "index.ko.html"] {
        let base = format!("file://{}/", directory.display());
        assert_works(&browser, &format!("{base}{page}"), &base);
    }
}

/// The scenes that are shown, and whether anything else is.
fn shown(browser: &Browser) -> Value {
    browser.run(
        "const visible = part => part.checkVisibility();
         done([sections.filter(visible).map(section => section.id), [...document.querySelectorAll('nav, header, footer')].some(visible)]);",
    )
}

#[test]
fn a_frame_can_show_a_single_scene() {
    let Some(browser) = Browser::start() else { return };
    let server = server();
    for (query, expected) in [("scene=3", "stream"), ("scene=break", "break")] {
        browser.follow(&format!("{}/learn?{query}", server.url()), &format!("/learn/index.html?{query}"));
        assert_eq!(shown(&browser), json!([[expected], false]), "{query}");
    }
    browser.open(&format!("{}/learn/index.html?scene=9", server.url()));
    assert_eq!(shown(&browser)[0].as_array().unwrap().len(), 8, "there is no ninth scene");
}

#[test]
fn a_scene_is_predicted_with_the_keyboard_and_the_sentence_tells_how_close_it_was() {
    let Some(browser) = Browser::start() else { return };
    let server = server();
    browser.set_viewport(1280, 720);
    browser.open(&format!("{}/learn/index.html", server.url()));
    let sentences = browser.run(
        "const press = (key, target = document.body) => target.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }));
         document.documentElement.style.scrollBehavior = 'auto';
         sections[0].scrollIntoView();
         follow();
         press('ArrowRight');
         const focused = document.activeElement.id;
         const { steps, answer } = scenes[0].prediction;
         const verdicts = [0, nearest(steps, answer), steps.length - 1].map(index => verdict(scenes[0].prediction, index));
         press('t');
         done([focused, verdicts, document.documentElement.dataset.theme]);",
    );
    assert_eq!(sentences, json!(["wait-heading", ["more", "close", "less"], "dark"]));
}

#[test]
fn texts_and_marks_have_enough_contrast_in_both_themes() {
    let Some(browser) = Browser::start() else { return };
    let server = server();
    for theme in ["light", "dark"] {
        browser.open(&format!("{}/learn/index.html?theme={theme}", server.url()));
        let weak = browser.run(&format!(
            "{}
             const style = getComputedStyle(document.documentElement);
             const value = name => style.getPropertyValue(name).trim();
             const weak = [];
             for (const paper of ['--paper', '--panel']) {{
                 for (const text of ['--ink', '--faint-ink', '--accent', '--good', '--bad']) {{
                     if (contrast(value(paper), value(text)) < 4.5) weak.push([paper, text, contrast(value(paper), value(text))]);
                 }}
             }}
             const marks = ['polling', 'long-polling', 'ndjson', 'sse', 'websocket'].map(name => `--transport-${{name}}`);
             for (const mark of [...marks, '--event', '--framing', '--headers', '--line']) {{
                 if (!(contrast(value('--paper'), value(mark)) >= 3)) weak.push([mark, value(mark)]);
             }}
             done(weak);",
            contrast::FUNCTIONS
        ));
        assert_eq!(weak, json!([]), "{theme}");
    }
}
