//! The lecture in a browser: every slide fits, live lanes work on the shown slide, and printing puts each slide on a page of its own.

use std::net::SocketAddr;

use serde_json::json;
use server::{Options, Server};

use crate::driver::Browser;

fn server() -> Server {
    let free: SocketAddr = "127.0.0.1:0".parse().unwrap();
    Server::start(&Options { listen: free, tcp_listen: free, rate: 0.0, ..Options::default() }).unwrap()
}

#[test]
fn every_slide_of_both_languages_fits() {
    let Some(browser) = Browser::start() else { return };
    let server = server();
    browser.resize(1280, 720);
    for language in ["en", "ko"] {
        browser.open(&format!("http://{}/slides/{language}.html", server.addresses().http));
        let beyond = browser.run(
            "// Slides are measured at their own size, not scaled to the window.
             document.documentElement.style.setProperty('--scale', 1);
             const found = [];
             for (const [index, slide] of slides.entries()) {
                 show(index);
                 const frame = slide.getBoundingClientRect();
                 if (frame.width !== 1280 || frame.height !== 720) found.push([index + 1, frame.width, frame.height]);
                 const title = slide.querySelector('h1').textContent;
                 for (const part of slide.querySelectorAll('.body > *, .body li, .body td, .body pre')) {
                     const { left, right, top, bottom } = part.getBoundingClientRect();
                     const [x, y] = [Math.max(frame.left - left, right - frame.right), Math.max(frame.top - top, bottom - frame.bottom)];
                     if (x > 0 || y > 0) found.push([index + 1, title, part.tagName, x, y]);
                     else if (part.tagName === 'PRE' && part.scrollWidth > part.clientWidth) found.push([index + 1, title, 'code cut off', part.scrollWidth - part.clientWidth]);
                     else if (part.tagName === 'PRE' && part.scrollHeight > part.clientHeight) found.push([index + 1, title, 'lines cut off', part.scrollHeight - part.clientHeight]);
                     else if (part.matches('.chart') && part.clientHeight < 400) found.push([index + 1, title, 'small chart']);
                 }
                 // No two parts overlap.
                 const parts = [...slide.querySelectorAll('.body > *')].map(part => part.getBoundingClientRect());
                 parts.forEach((one, at) => parts.slice(at + 1).forEach(other => {
                     const wide = Math.min(one.right, other.right) - Math.max(one.left, other.left);
                     const tall = Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top);
                     if (wide > 1 && tall > 1) found.push([index + 1, title, 'overlap', wide, tall]);
                 }));
             }
             done(found);",
        );
        assert_eq!(beyond, json!([]), "{language}");
    }
    assert_eq!(browser.console_errors(), [""; 0]);
}

#[test]
fn live_lanes_run_on_the_shown_slide_only_and_receive_its_keys() {
    let Some(browser) = Browser::start() else { return };
    let server = server();
    browser.open(&format!("http://{}/slides?projector", server.addresses().http));
    let received = browser.run(
        "const live = document.querySelector('.live');
         show(slides.indexOf(live.closest('.slide')));
         const press = key => document.body.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }));
         const page = () => live.querySelector('iframe')?.contentWindow.livePage;
         const when = (condition, then) => condition() ? then() : setTimeout(() => when(condition, then), 20);
         when(() => page()?.lanes.length === 5 && page().lanes.every(lane => lane.state === 'on' && lane.chunks.length > 0), () => {
             press('e');
             when(() => page().lanes.every(lane => lane.received === 1), () => {
                 const [lanes, frames] = [page().lanes.length, document.querySelectorAll('iframe').length];
                 live.querySelector('iframe').contentDocument.body.dispatchEvent(new KeyboardEvent('keydown', { key: 'PageDown', bubbles: true }));
                 when(() => !live.querySelector('iframe'), () => done([lanes, frames, document.querySelectorAll('iframe').length]));
             });
         });",
    );
    assert_eq!(received, json!([5, 1, 0]), "five lanes in one frame, and no frame after the slide is left");
    assert_eq!(server.feed().head().0, 1);
    assert_eq!(browser.console_errors(), [""; 0]);
}

#[test]
fn the_bytes_on_the_wire_are_shown_without_a_mouse() {
    let Some(browser) = Browser::start() else { return };
    let server = server();
    browser.open(&format!("http://{}/slides/en.html", server.addresses().http));
    let shown = browser.run(
        "const live = document.querySelector('.live[data-query*=\"embed=wire\"]');
         show(slides.indexOf(live.closest('.slide')));
         const press = key => document.body.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }));
         const page = () => live.querySelector('iframe')?.contentDocument;
         const about = () => page()?.querySelector('#chunk .about')?.textContent ?? '';
         const when = (condition, then) => condition() ? then() : setTimeout(() => when(condition, then), 20);
         when(() => about() !== '', () => {
             const first = about();
             press('2');
             when(() => about() !== first, () => done([first.startsWith('Long polling'), about().startsWith('WebSocket')]));
         });",
    );
    assert_eq!(
        shown,
        json!([true, true]),
        "a message of the first lane at once, and one of the second lane with its key"
    );
    assert_eq!(browser.console_errors(), [""; 0]);
}

#[test]
fn a_click_in_the_overview_selects_a_slide_and_the_presenter_s_window_follows() {
    let Some(browser) = Browser::start() else { return };
    let server = server();
    browser.open(&format!("http://{}/slides/ko.html", server.addresses().http));
    let shown = browser.run(
        "document.body.dispatchEvent(new KeyboardEvent('keydown', { key: 'o', bubbles: true }));
         slides[6].click();
         document.body.dispatchEvent(new KeyboardEvent('keydown', { key: 'n', bubbles: true }));
         const look = () => {
             const page = other?.document;
             const notes = page?.querySelector('#speaker-notes')?.textContent ?? '';
             if (!notes) return setTimeout(look, 20);
             const before = [location.hash, notes.trim() === slides[6].querySelector('.notes').textContent.trim()];
             page.body.dispatchEvent(new KeyboardEvent('keydown', { key: 'ArrowRight', bubbles: true }));
             const follow = () => location.hash === '#8' ? done(before) : setTimeout(follow, 20);
             follow();
         };
         look();",
    );
    assert_eq!(shown, json!(["#7", true]));
}

#[test]
fn in_print_a_recording_replaces_the_live_page() {
    let Some(browser) = Browser::start() else { return };
    let server = server();
    for language in ["en", "ko"] {
        browser.open(&format!("http://{}/slides/{language}.html#3", server.addresses().http));
        browser.emulate_print();
        let shown = browser.run(
            "const shown = [...document.querySelectorAll('.live')].map(live => {
                 const frame = live.getBoundingClientRect();
                 const parts = [...live.querySelectorAll('.recorded > *')].map(part => part.getBoundingClientRect());
                 const tall = parts.reduce((sum, part) => sum + part.height, 0);
                 return [tall > 0.25 * frame.height, parts.every(part => part.bottom <= frame.bottom && part.right <= frame.right),
                         [...live.querySelectorAll('iframe')].every(frame => !frame.checkVisibility())];
             });
             done(shown);",
        );
        assert_eq!(shown, json!(vec![json!([true, true, true]); 5]), "{language}");
    }
}

#[test]
fn printing_puts_each_slide_on_a_page_of_its_own() {
    let Some(browser) = Browser::start() else { return };
    let server = server();
    browser.open(&format!("http://{}/slides/en.html", server.addresses().http));
    let slides = browser.run("done(slides.length);").as_u64().unwrap();
    let pdf = browser.print(1280.0, 720.0);
    // Objects of the type Page are counted; lists of pages have the type Pages.
    let pages = pdf.windows(12).filter(|bytes| bytes.starts_with(b"/Type /Page") && bytes[11] != b's').count();
    assert_eq!(pages as u64, slides);
}
