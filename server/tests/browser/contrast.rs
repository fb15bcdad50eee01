//! The colours of the live page, the hall and a phone's page: text has a contrast of at least 4.5:1, and marks of at least 3:1 (WCAG 2.2, success
//! criteria 1.4.3 and 1.4.11).

use std::net::SocketAddr;

use serde_json::json;
use server::{Options, Server};

use crate::driver::Browser;

/// Passes the texts and marks with too little contrast to `done`.
const CHECK: &str = "
    const pen = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
    const paint = (colour, alpha = 1) => {
        pen.globalAlpha = alpha;
        pen.fillStyle = colour;
        pen.fillRect(0, 0, 1, 1);
    };
    const luminance = () => {
        const linear = [...pen.getImageData(0, 0, 1, 1).data].map(part => part / 255).map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
    };
    const contrast = (background, draw) => {
        background();
        const one = luminance();
        draw();
        const [low, high] = [one, luminance()].sort((a, b) => a - b);
        return (high + 0.05) / (low + 0.05);
    };
    const root = getComputedStyle(document.documentElement);
    const paper = () => paint(root.getPropertyValue('--paper').trim());
    const weak = [];
    for (const element of document.querySelectorAll('body *')) {
        const hasText = [...element.childNodes].some(node => node.nodeType === Node.TEXT_NODE && node.data.trim());
        if (!hasText || !element.checkVisibility({ visibilityProperty: true }) || element.closest(':disabled, .visually-hidden, script, [aria-hidden=true] [data-here=false]')) continue;
        // The backgrounds of all ancestors, from the outermost.
        const ancestors = [];
        for (let ancestor = element; ancestor; ancestor = ancestor.parentElement) ancestors.unshift(getComputedStyle(ancestor));
        const background = () => {
            paper();
            ancestors.forEach(({ backgroundColor }) => paint(backgroundColor));
        };
        const opacity = ancestors.reduce((product, { opacity }) => product * Number(opacity), 1);
        const found = contrast(background, () => paint(ancestors.at(-1).color, opacity));
        if (found < 4.5) weak.push([element.outerHTML.slice(0, 80), found.toFixed(2)]);
    }
    for (const mark of ['--faint', '--accent', '--bad', '--delay-0', '--delay-1', '--delay-2', '--delay-3', '--delay-4']) {
        const colour = root.getPropertyValue(mark).trim();
        // Only some pages have the colours of delays.
        if (!colour) continue;
        const found = contrast(paper, () => paint(colour));
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
            assert_eq!(browser.run(CHECK), json!([[], true]), "{path} {scheme}");
        }
    }
}
