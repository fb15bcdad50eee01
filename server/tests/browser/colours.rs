//! The colours of the live page, the hall and a phone's page: text has a contrast of at least 4.5:1, and marks of at least 3:1 (WCAG 2.2, success
//! criteria 1.4.3 and 1.4.11).

use std::net::SocketAddr;

use serde_json::json;
use server::{Options, Server};

use crate::contrast;
use crate::driver::Browser;

/// Passes the texts and marks with too little contrast to `done`.
const CHECK: &str = "
    // The colour of these layers, from the lowest, each with its opacity.
    const painted = layers => {
        canvas.clearRect(0, 0, 1, 1);
        for (const [colour, opacity] of layers) {
            canvas.globalAlpha = opacity;
            canvas.fillStyle = colour;
            canvas.fillRect(0, 0, 1, 1);
        }
        canvas.globalAlpha = 1;
        return `rgb(${[...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3)})`;
    };
    const root = getComputedStyle(document.documentElement);
    const paper = root.getPropertyValue('--paper').trim();
    const weak = [];
    for (const element of document.querySelectorAll('body *')) {
        const hasText = [...element.childNodes].some(node => node.nodeType === Node.TEXT_NODE && node.data.trim());
        if (!hasText || !element.checkVisibility({ visibilityProperty: true }) || element.closest(':disabled, .visually-hidden, script, [aria-hidden=true] [data-here=false]')) continue;
        // The backgrounds of all ancestors, from the outermost.
        const ancestors = [];
        for (let ancestor = element; ancestor; ancestor = ancestor.parentElement) ancestors.unshift(getComputedStyle(ancestor));
        const behind = [[paper, 1], ...ancestors.map(({ backgroundColor }) => [backgroundColor, 1])];
        const opacity = ancestors.reduce((product, { opacity }) => product * Number(opacity), 1);
        const found = contrast(painted(behind), painted([...behind, [ancestors.at(-1).color, opacity]]));
        if (found < 4.5) weak.push([element.outerHTML.slice(0, 80), found.toFixed(2)]);
    }
    for (const mark of ['--faint', '--accent', '--bad', '--delay-0', '--delay-1', '--delay-2', '--delay-3', '--delay-4']) {
        const colour = root.getPropertyValue(mark).trim();
        // Only some pages have the colours of delays.
        if (!colour) continue;
        const found = contrast(paper, colour);
        if (found < 3) weak.push([mark, found.toFixed(2)]);
    }
    done([weak, document.querySelectorAll('body *').length > 20]);";

#[test]
fn texts_and_marks_have_enough_contrast_on_every_page_and_in_both_themes() {
    let Some(browser) = Browser::start() else { return };
    let free: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let server = Server::start(&Options { listen: free, tcp_listen: free, rate: 0.0, ..Options::default() }).unwrap();
    browser.set_viewport(1280, 720);
    // A fault is on, a question is open, and phones have reported delays of each class.
    for _ in 0..5 {
        server.feed().publish(protocol::clock::now_ns(), "event");
    }
    browser.open(&format!("{}/presenter", server.url()));
    browser.run(
        "const post = (path, body) => fetch(path, { method: 'POST', body: JSON.stringify(body) });
         (async () => {
             for (const delay_ms of [10, 100, 300, 700, 2000]) {
                 const { token } = await (await post('/hall/join', {})).json();
                 const reports = [{ event: 5, transport: 'sse', delay_ms, clock_bound_ms: 1 }];
                 await post('/hall/report', { token, batch: 1, reports, missed: 0, repeated: 0 });
             }
             await post('/hall/control', { ask: { kind: 'goal' } });
             await post('/control', { fault: 'half-open' });
             done(0);
         })();",
    );
    let check = format!("{}{CHECK}", contrast::FUNCTIONS);
    for scheme in ["light", "dark"] {
        browser.emulate_colour_scheme(scheme);
        for (path, ready) in [
            ("/?", "document.querySelector('.line[data-failed=true]')"),
            ("/?view=lanes&", "document.querySelector('.lane[data-failed=true]')"),
            ("/hall?", "document.querySelectorAll('.dot[data-last=true]').length === 5"),
            ("/join?", "!document.getElementById('question').hidden"),
        ] {
            browser.open(&format!("{}{path}lang=en", server.url()));
            browser.run(&format!("const look = () => {ready} ? done(0) : setTimeout(look, 50); look();"));
            assert_eq!(browser.run(&check), json!([[], true]), "{path} {scheme}");
        }
    }
}
