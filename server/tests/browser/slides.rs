//! The lecture in a browser: every slide fits and can be read, steps appear one after the other, live lanes work on the shown slide, and printing
//! puts each slide on a page of its own.

use std::net::SocketAddr;

use serde_json::{Value, json};
use server::{Options, Server};

use crate::contrast;
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
                 // The texts of a chart are large enough, within it, and apart from each other.
                 for (const chart of slide.querySelectorAll('.chart svg')) {
                     const edge = chart.getBoundingClientRect();
                     const texts = [...chart.querySelectorAll('text')].filter(text => text.textContent.trim());
                     const boxes = texts.map(text => text.getBoundingClientRect());
                     texts.forEach((text, at) => {
                         const [box, name] = [boxes[at], text.textContent];
                         const size = parseFloat(getComputedStyle(text).fontSize) * edge.width / chart.viewBox.baseVal.width;
                         if (size < 24) found.push([index + 1, title, name, 'small', size]);
                         if (box.left < edge.left - 1 || box.right > edge.right + 1) found.push([index + 1, title, name, 'beyond the chart']);
                         boxes.slice(at + 1).forEach((other, after) => {
                             const wide = Math.min(box.right, other.right) - Math.max(box.left, other.left);
                             const tall = Math.min(box.bottom, other.bottom) - Math.max(box.top, other.top);
                             if (wide > 1 && tall > 6) found.push([index + 1, title, name, 'on', texts[at + 1 + after].textContent]);
                         });
                     });
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
    assert_eq!(pages(&browser.print(1280.0, 720.0)) as u64, slides);
    browser.run("showOverview(true); done(0);");
    assert_eq!(pages(&browser.print(1280.0, 720.0)) as u64, slides, "from the overview");
}

/// The number of pages of a PDF. Objects of the type Page are counted; lists of pages have the type Pages.
fn pages(pdf: &[u8]) -> usize {
    pdf.windows(12).filter(|bytes| bytes.starts_with(b"/Type /Page") && bytes[11] != b's').count()
}

/// Functions for the scripts of the tests of steps.
const STEPS: &str = "
    const press = key => document.body.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }));
    const named = chart => slides.findIndex(slide => slide.matches('.steps') && slide.innerHTML.includes(chart));
    const count = index => stepsOf(slides[index]).length;
    const isShown = part => part.checkVisibility({ visibilityProperty: true, opacityProperty: true });
    const hidden = index => stepsOf(slides[index]).filter(step => !step.every(isShown)).length;
    const when = (condition, then) => condition() ? then() : setTimeout(() => when(condition, then), 20);
";

fn run_steps(browser: &Browser, script: &str) -> Value {
    browser.run(&format!("{STEPS}{script}"))
}

#[test]
fn the_steps_of_a_slide_appear_one_after_the_other_with_the_key_that_goes_forward() {
    let Some(browser) = Browser::start() else { return };
    let server = server();
    for language in ["en", "ko"] {
        browser.open(&format!("http://{}/slides/{language}.html", server.addresses().http));
        let wrong = run_steps(
            &browser,
            "const wrong = [];
             let staged = 0;
             slides.forEach((slide, index) => {
                 if (count(index) > 0) staged += 1;
                 else if (slide.matches('.steps')) wrong.push([index + 1, 'has no steps']);
                 show(index);
                 const heights = slide.querySelector('.body').scrollHeight;
                 for (let shown = 0; shown <= count(index); shown += 1) {
                     if (hidden(index) !== count(index) - shown) wrong.push([index + 1, shown, hidden(index)]);
                     if (step !== shown) wrong.push([index + 1, shown, step]);
                     if (slide.querySelector('.body').scrollHeight !== heights) wrong.push([index + 1, shown, 'moved']);
                     const isLast = index === slides.length - 1 && shown === count(index);
                     if (!isLast) press([' ', 'ArrowRight', 'PageDown'][shown % 3]);
                 }
                 if (index < slides.length - 1 && current !== index + 1) wrong.push([index + 1, 'the next slide', current]);
                 if (index === slides.length - 1) return;
                 press('ArrowLeft');
                 if (current !== index || hidden(index) > 0) wrong.push([index + 1, 'going back shows everything', current, hidden(index)]);
             });
             done([wrong, staged > 10]);",
        );
        assert_eq!(wrong, json!([[], true]), "{language}");
    }
    assert_eq!(browser.console_errors(), [""; 0]);
}

#[test]
fn a_step_is_announced_and_the_overview_and_print_show_all_steps() {
    let Some(browser) = Browser::start() else { return };
    let server = server();
    browser.open(&format!("http://{}/slides/en.html", server.addresses().http));
    let index = "const index = named('median delivery latency');";
    let said = run_steps(
        &browser,
        &format!(
            "{index}
             show(index);
             const said = [get('said').textContent, get('position').textContent];
             press('ArrowRight');
             said.push(get('said').textContent, get('position').textContent);
             const polling = slides[index].querySelector('[data-step=\"1\"]').closest('svg').textContent;
             press('o');
             const inOverview = hidden(index);
             press('Escape');
             done([said[0], said[1].endsWith(` · 0 / ${{count(index)}}`), said[2].startsWith('Polling '), polling.includes(said[2].slice(8)),
                   said[3].endsWith(` · 1 / ${{count(index)}}`), inOverview, hidden(index) === count(index) - 1]);"
        ),
    );
    assert_eq!(said, json!(["", true, true, true, true, 0, true]));
    browser.emulate_print();
    assert_eq!(run_steps(&browser, &format!("{index} done(hidden(index));")), json!(0), "print shows everything");
}

#[test]
fn the_address_names_a_step_and_the_presenter_s_window_is_in_step() {
    let Some(browser) = Browser::start() else { return };
    let server = server();
    browser.open(&format!("http://{}/slides/en.html", server.addresses().http));
    let shown = run_steps(
        &browser,
        "const index = named('median delivery latency');
         location.hash = `#${index + 1}.2`;
         when(() => current === index && step === 2, () => {
             const before = hidden(index) === count(index) - 2;
             press('n');
             const later = () => other?.document?.querySelectorAll('#current-slide .later').length;
             // The presenter sees what comes, in a faint colour.
             const faint = () => {
                 const [part] = other.document.querySelectorAll('#current-slide .later');
                 const { visibility, opacity } = other.getComputedStyle(part);
                 return visibility === 'visible' && opacity === '0.3';
             };
             when(() => later() > 0, () => {
                 const opened = [later() === document.querySelectorAll('.later').length, faint()];
                 other.document.body.dispatchEvent(new other.KeyboardEvent('keydown', { key: 'ArrowRight', bubbles: true }));
                 when(() => step === 3, () => {
                     const followed = [location.hash === `#${index + 1}.3`, later() === document.querySelectorAll('.later').length];
                     press('ArrowRight');
                     when(() => later() === document.querySelectorAll('.later').length, () => done([before, ...opened, ...followed]));
                 });
             });
         });",
    );
    assert_eq!(shown, json!([true, true, true, true, true]));
    assert_eq!(browser.console_errors(), [""; 0]);
}

#[test]
fn every_text_of_a_slide_has_enough_contrast_in_both_themes() {
    let Some(browser) = Browser::start() else { return };
    let server = server();
    for theme in ["light", "dark"] {
        browser.open(&format!("http://{}/slides/en.html?theme={theme}", server.addresses().http));
        let weak = browser.run(&format!(
            "{}
             // The colour behind a text: that of the nearest element with one. In a chart it is that of the slide.
             const behind = part => {{
                 for (let at = part; at; at = at.parentElement) {{
                     const colour = getComputedStyle(at).backgroundColor;
                     if (rgb(colour)[3] === 255) return colour;
                 }}
             }};
             const weak = new Set();
             let texts = 0;
             for (const slide of slides) for (const part of slide.querySelectorAll('.body, .body *')) {{
                 if (![...part.childNodes].some(node => node.nodeType === Node.TEXT_NODE && node.textContent.trim())) continue;
                 const style = getComputedStyle(part);
                 const found = contrast(part.matches('text') ? style.fill : style.color, behind(part));
                 texts += 1;
                 if (!(found >= 4.5)) weak.add(`${{slide.id}}: ${{part.textContent.slice(0, 40)}} ${{found.toFixed(2)}}`);
             }}
             done([texts > 1000, [...weak]]);",
            contrast::FUNCTIONS
        ));
        assert_eq!(weak, json!([true, []]), "{theme}");
    }
}

#[test]
fn the_worksheet_is_printed_on_two_pages_of_a4_and_nothing_is_cut() {
    let Some(browser) = Browser::start() else { return };
    let server = server();
    // A4 in CSS pixels.
    let (width, height) = (793.7, 1122.5);
    for language in ["en", "ko"] {
        browser.open(&format!("http://{}/slides/{language}-worksheet.html?", server.addresses().http));
        assert_eq!(pages(&browser.print(width, height)), 2, "{language}");
        browser.set_viewport(width as u32, height as u32);
        browser.emulate_print();
        let found = browser.run(
            "const wide = [...document.querySelectorAll('body *')].filter(part => part.scrollWidth > part.clientWidth + 1 && part.clientWidth > 0);
             const room = document.querySelectorAll('.exercises li').length;
             done([wide.map(part => part.textContent.slice(0, 40)), room, getComputedStyle(document.body).backgroundColor]);",
        );
        assert_eq!(found, json!([[], 5, "rgb(255, 255, 255)"]), "{language}");
        browser.open(&format!("http://{}/slides/{language}-guide.html", server.addresses().http));
        assert!(pages(&browser.print(width, height)) > 2, "{language}");
    }
    assert_eq!(browser.console_errors(), [""; 0]);
}

#[test]
fn the_slides_lead_to_the_other_pages_with_the_keyboard() {
    let Some(browser) = Browser::start() else { return };
    let server = server();
    browser.open(&format!("http://{}/slides/en.html", server.addresses().http));
    let links = browser.run(
        "const links = [...document.querySelectorAll('.title .entry a')];
         show(slides.indexOf(links[0].closest('.slide')));
         links[0].focus();
         // The key stays with the link: the player does not take it.
         const enter = new KeyboardEvent('keydown', { key: 'Enter', bubbles: true, cancelable: true });
         links[0].dispatchEvent(enter);
         done([slides[0].querySelector('.live') !== null, enter.defaultPrevented, links.map(link => link.getAttribute('href'))]);",
    );
    assert_eq!(
        links,
        json!([true, false, ["/?lang=en", "/hall?lang=en", "/learn/index.html", "en-worksheet.html"]]),
        "the first slide is the scene"
    );
    for path in ["/?lang=en", "/hall?lang=en", "/learn/index.html", "/slides/en-worksheet.html"] {
        browser.open(&format!("http://{}{path}", server.addresses().http));
        assert_eq!(browser.console_errors(), [""; 0], "{path}");
    }
}
