//! The live page, as a browser shows it: what its lanes receive, what it says crossed the wire, and what its controls do.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use protocol::framing::websocket::{Opcode, frame};
use serde_json::{Value, json};
use server::{Options, Server};

use crate::driver::Browser;

/// A server that publishes only what it is told to.
fn server(token: Option<&str>) -> Server {
    Server::start(&Options { token: token.map(String::from), ..options() }).unwrap()
}

fn options() -> Options {
    let free: SocketAddr = "127.0.0.1:0".parse().unwrap();
    Options { listen: free, tcp_listen: free, rate: 0.0, payload: 20, ..Options::default() }
}

const TOKEN: &str = "abcdefgh12345678";

/// Opens the page with quick polls, and waits until all lanes are subscribed.
fn open(browser: &Browser, server: &Server, parameters: &str) {
    browser.open(&format!("{}/?lang=en{parameters}", server.addresses().http_url()));
    subscribed(browser);
}

/// Has the page poll quickly, and waits until all lanes are subscribed.
fn subscribed(browser: &Browser) {
    let ready = browser.run(
        "const look = () => {
             const ready = window.lab?.lanes.length === 5 && lab.lanes.every(lane => lane.state === 'on' && lane.crossings.length > 0);
             ready ? (lab.order('pollInterval', { ms: 50 }), done(true)) : setTimeout(look, 20);
         };
         look();",
    );
    assert_eq!(ready, json!(true));
}

/// Waits until every lane has received so many events, and gives each lane's seqs, misses and repeats.
fn received(browser: &Browser, events: u64) -> Value {
    browser.run(&format!(
        "const look = () => lab.lanes.length === 5 && lab.lanes.every(lane => lane.received >= {events})
             ? done(lab.lanes.map(lane => [lane.deliveries.map(({{ seq }}) => seq), lane.missed, lane.repeated]))
             : setTimeout(look, 20);
         look();"
    ))
}

#[test]
fn every_lane_shows_every_event_once_and_in_order_and_the_bytes_that_crossed_for_it() {
    let Some(browser) = Browser::start() else { return };
    every_lane_shows_every_event(&browser, &server(None));
}

#[test]
fn over_https_the_page_shows_the_same() {
    let Some(browser) = Browser::start() else { return };
    let server = Server::start(&Options { tls_self_signed: true, ..options() }).unwrap();
    every_lane_shows_every_event(&browser, &server);
    assert_eq!(browser.console_errors(), [""; 0]);
}

fn every_lane_shows_every_event(browser: &Browser, server: &Server) {
    open(browser, server, "");
    for number in 0..20 {
        server.feed().publish(protocol::clock::now_ns(), &format!("event {number}"));
    }
    let seqs: Vec<u64> = (1..=20).collect();
    assert_eq!(received(browser, 20), json!(vec![json!([seqs, 0, 0]); 5]));

    // What the page says came over the WebSocket is what the framing makes of these events, and the handshake's answer.
    let frames: usize = (0..20)
        .map(|seq| match server.feed().next(protocol::Cursor(seq)) {
            server::feed::Next::Event(event) => frame(Opcode::Text, event.json()).len(),
            _ => panic!("event {} is there", seq + 1),
        })
        .sum();
    let shown = browser.run(
        "const { bytes, crossings, connections, requests } = lab.lanes.find(lane => lane.name === 'websocket');
         const head = new TextDecoder().decode(crossings.find(crossing => !crossing.up).data);
         done([bytes.down - head.length, head.startsWith('HTTP/1.1 101'), connections, requests]);",
    );
    assert_eq!(shown, json!([frames, true, 1, 1]));
    // Each way has its event bytes in common, whatever it spends beside them.
    let event_bytes = browser.run("done(lab.lanes.map(lane => lane.bytes.event));");
    let first = event_bytes[0].clone();
    assert!(
        first.as_u64().unwrap() > 0 && event_bytes.as_array().unwrap().iter().all(|bytes| *bytes == first),
        "{event_bytes}"
    );

    // The handshake by hand: what the page worked out is what the server answered.
    let steps =
        browser.run("done(['.step4', '.step5'].map(step => document.querySelector(`#steps ${step}`).textContent));");
    assert_eq!(steps[0], steps[1]);
    assert_eq!(steps[0].as_str().unwrap().len(), 28);

    // An arrow opened up: overhead and event add up to what crossed.
    let opened = browser.run(
        "const lane = lab.lanes.find(lane => lane.name === 'ndjson');
         document.querySelector('[data-lane=ndjson] .ladder').dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter' }));
         done([document.querySelector('#crossing strong').textContent, lane.crossings.at(-1).size,
               document.querySelectorAll('#crossing .bytes .event').length]);",
    );
    assert!(opened[0].as_str().unwrap().ends_with(&format!("from the server: {} bytes", opened[1])), "{opened}");
    assert!(opened[2].as_u64().unwrap() >= 1);

    let outside = browser.run(
        "done(performance.getEntriesByType('resource').map(entry => entry.name).filter(name => !name.startsWith(location.origin)));",
    );
    assert_eq!(outside, json!([]), "the page needs nothing from outside");
    assert_eq!(browser.console_errors(), [""; 0]);
}

#[test]
fn the_controls_do_what_they_say_and_cut_connections_resume_without_loss() {
    let Some(browser) = Browser::start() else { return };
    let server = server(None);
    open(&browser, &server, "");
    browser.run("document.getElementById('publish').click(); done(0);");
    received(&browser, 1);
    browser.run("document.getElementById('burst').click(); done(0);");
    received(&browser, 101);
    browser.run("document.getElementById('cut').click(); done(0);");
    let cut = browser.run(
        "// A poll on a kept connection is asked again by the browser itself.
         const held = lab.lanes.filter(lane => !lane.name.endsWith('polling'));
         const look = () => held.every(lane => lane.reconnects === 1) ? done(true) : setTimeout(look, 20);
         look();",
    );
    assert_eq!(cut, json!(true));
    server.feed().publish(protocol::clock::now_ns(), "after the cut");
    let seqs: Vec<u64> = (1..=102).collect();
    assert_eq!(received(&browser, 102), json!(vec![json!([seqs, 0, 0]); 5]));
    // Each lane sends in its own way, and all receive it.
    browser.run("document.querySelectorAll('.send').forEach(send => send.click()); done(0);");
    received(&browser, 107);
    let requests = browser.run("done(lab.lanes.find(lane => lane.name === 'websocket').requests);");
    assert_eq!(requests, json!(2), "a handshake, another after the cut, and no request for what it sent");
    // A rate, set and unset.
    browser.run(
        "const rate = document.getElementById('rate');
         rate.value = 100;
         rate.dispatchEvent(new Event('change'));
         done(0);",
    );
    received(&browser, 150);
    browser.run("document.getElementById('language').click(); done(0);");
    assert_eq!(browser.run("done(document.documentElement.lang);"), json!("ko"));
}

#[test]
fn a_server_started_anew_is_told_from_the_one_before_however_far_its_feed_is() {
    let Some(browser) = Browser::start() else { return };
    let server = server(None);
    open(&browser, &server, "");
    let publish = |server: &Server, count: u64| {
        (0..count).for_each(|_| _ = server.feed().publish(protocol::clock::now_ns(), "event"));
    };
    publish(&server, 3);
    received(&browser, 3);
    let listen = server.addresses().http;
    server.shutdown();
    let server = Server::start(&Options { listen, ..options() }).unwrap();
    // Each lane has a number that this feed has too, and has had nothing of it.
    publish(&server, 5);
    assert_eq!(received(&browser, 8), json!(vec![json!([[1, 2, 3, 1, 2, 3, 4, 5], 0, 0]); 5]));
    // And what crosses the wire is seen again, though the lanes were back before the watcher was.
    let seen = browser.run(
        "const look = () => lab.lanes.length === 5 && lab.lanes.every(lane => lane.state === 'on' && lane.crossings.at(-1)?.at > lab.now() - 1000)
             && document.getElementById('away').hidden ? done(true) : setTimeout(look, 20);
         look();",
    );
    assert_eq!(seen, json!(true));
    publish(&server, 1);
    received(&browser, 9);
    let carried = browser.run(
        "const look = () => lab.lanes.every(lane => lane.crossings.some(({ seqs }) => seqs?.includes(6)))
             ? done(true) : setTimeout(look, 20);
         look();",
    );
    assert_eq!(carried, json!(true));
}

#[test]
fn a_viewer_watches_and_only_who_knows_the_token_publishes() {
    let Some(browser) = Browser::start() else { return };
    let server = server(Some(TOKEN));
    open(&browser, &server, "");
    let refused = browser.run(
        "const socket = new WebSocket(`ws://${location.host}/ws`);
         socket.onopen = () => socket.send('forged');
         socket.onclose = async ({ code }) => {
             const posts = ['/publish', '/control', '/presenter'].map(path => fetch(path, { method: 'POST', body: '{}' }));
             const statuses = (await Promise.all(posts)).map(({ status }) => status);
             done([code, ...statuses, document.getElementById('publish').disabled, document.getElementById('watching').hidden]);
         };",
    );
    assert_eq!(refused, json!([1008, 403, 403, 403, true, false]));
    assert_eq!(server.feed().head().0, 0, "nothing was published");
    browser.follow(&server.presenter_page(&server.url(), "?lang=en"), "/?lang=en");
    subscribed(&browser);
    browser.run("document.getElementById('publish').click(); done(0);");
    received(&browser, 1);
    browser.run("document.querySelectorAll('.send').forEach(send => send.click()); done(0);");
    received(&browser, 6);

    // Nothing that the page shows, or that a script could read, gives the token or the cookie away.
    let shown = browser.run(
        "const bytes = lab.lanes.flatMap(lane => lane.crossings.map(({ data }) => new TextDecoder().decode(data))).join('');
         const cookie = /lab-presenter-[0-9]+=([^\\s;]*)/.exec(bytes)?.[1];
         done([location.href, document.cookie, document.referrer, /token/i.test(bytes), cookie]);",
    );
    let href = format!("{}/?lang=en", server.url());
    assert_eq!(shown, json!([href, "", "", false, "*".repeat(32)]));

    // The cookie is for the lecture as well, which is opened without the link.
    browser.open(&format!("{}/slides", server.url()));
    let may_control = browser.run(
        "const live = document.querySelector('.live');
         show(slides.indexOf(live.closest('.slide')));
         const look = () => {
             const control = live.querySelector('iframe')?.contentDocument?.body?.dataset.control;
             control ? done(control) : setTimeout(look, 20);
         };
         look();",
    );
    assert_eq!(may_control, json!("true"));
}

#[test]
fn a_wrong_link_says_so_and_the_slides_link_leads_to_the_slides() {
    let Some(browser) = Browser::start() else { return };
    let server = server(Some(TOKEN));
    browser.open(&format!("{}/presenter?lang=en#token=another", server.url()));
    let told = browser.run(
        "const refused = document.getElementById('refused');
         const look = () => refused.hidden ? setTimeout(look, 20) : done([refused.textContent.slice(0, 27), location.hash]);
         look();",
    );
    assert_eq!(told, json!(["This is not the presenter’s", ""]));
    browser.follow(&server.presenter_slides(&server.url()), "/slides/en.html#1");
}

#[test]
fn a_page_that_may_not_watch_says_so_and_goes_on_when_it_may() {
    const VIEWERS: usize = 192;
    let Some(browser) = Browser::start() else { return };
    let server = server(Some(TOKEN));
    let watch = |index| {
        let host = server.addresses().http;
        let mut stream = TcpStream::connect(host).unwrap();
        let request = format!(
            "GET /watch?session=viewer{index} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        stream.read_exact(&mut [0; 12]).unwrap();
        stream
    };
    let watches: Vec<TcpStream> = (0..VIEWERS).map(watch).collect();
    let opened_and_refused = |browser: &Browser| {
        browser.open(&format!("{}/?lang=en", server.url()));
        let shown = browser.run(
            "const hidden = id => document.getElementById(id).hidden;
             const look = () => hidden('unwatched') ? setTimeout(look, 20)
                 : done([hidden('away'), document.getElementById('publish').disabled]);
             look();",
        );
        assert_eq!(shown, json!([true, true]));
    };
    opened_and_refused(&browser);
    // The presenter is watched all the same, and may publish.
    browser.follow(&server.presenter_page(&server.url(), "?lang=en"), "/?lang=en");
    subscribed(&browser);
    let enabled = browser
        .run("done([document.getElementById('unwatched').hidden, document.getElementById('publish').disabled]);");
    assert_eq!(enabled, json!([true, false]));
    drop(browser);

    let Some(viewer) = Browser::start() else { return };
    opened_and_refused(&viewer);
    drop(watches);
    subscribed(&viewer);
    assert_eq!(viewer.run("done(document.getElementById('unwatched').hidden);"), json!(true));
}

#[test]
fn a_tab_that_comes_by_the_presenters_link_gives_the_controls_to_all_tabs() {
    let Some(browser) = Browser::start() else { return };
    let server = server(Some(TOKEN));
    open(&browser, &server, "");
    browser.new_tab();
    browser.follow(&server.presenter_page(&server.url(), "?lang=en"), "/?lang=en");
    subscribed(&browser);
    for tab in [1, 0] {
        browser.show_tab_number(tab);
        let controls = browser.run(
            "const publish = document.getElementById('publish');
             const look = () => publish.disabled ? setTimeout(look, 20) : (publish.click(), done(true));
             look();",
        );
        assert_eq!(controls, json!(true), "tab {tab}");
    }
    assert_eq!(received(&browser, 2), json!(vec![json!([[1, 2], 0, 0]); 5]));
}

#[test]
fn the_page_fits_every_screen_it_is_made_for() {
    let Some(browser) = Browser::start() else { return };
    let server = server(None);
    for (width, height, parameters) in [(1280, 720, ""), (1280, 720, "&projector"), (420, 860, "&theme=dark")] {
        browser.resize(width, height);
        open(&browser, &server, parameters);
        let wide = browser.run("done(document.documentElement.scrollWidth - document.documentElement.clientWidth);");
        assert_eq!(wide, json!(0), "{width} by {height}{parameters}: nothing lies beyond the right edge");
    }
}

#[test]
fn a_projector_s_labels_grow_with_the_screen_and_no_number_is_cut() {
    let Some(browser) = Browser::start() else { return };
    let server = server(None);
    for (width, height) in [(1280, 720), (1920, 1080), (3840, 2160)] {
        browser.set_viewport(width, height);
        open(&browser, &server, "&projector");
        let faults = browser.run(
            "const check = () => {
                 const faults = [];
                 for (const element of document.querySelectorAll('header *, .controls *, #lanes *')) {
                     const says = [...element.childNodes].some(node => node.nodeType === Node.TEXT_NODE && node.data.trim());
                     const style = getComputedStyle(element);
                     if ((says || element.matches('input[type=number]')) && element.checkVisibility() && parseFloat(style.fontSize) < 0.022 * innerHeight)
                         faults.push(['small', element.outerHTML.slice(0, 60), parseFloat(style.fontSize) / innerHeight]);
                 }
                 for (const input of document.querySelectorAll('.controls input')) {
                     const style = getComputedStyle(input);
                     const pen = document.createElement('canvas').getContext('2d');
                     pen.font = `${style.fontSize} ${style.fontFamily}`;
                     const room = input.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
                     if (pen.measureText(input.value).width > room) faults.push(['cut', input.id, input.value, room]);
                 }
                 const end = document.querySelector('.axis-row').getBoundingClientRect().bottom;
                 if (end > innerHeight) faults.push(['below the screen', end]);
                 const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
                 if (wide > 0) faults.push(['beyond the right edge', wide]);
                 return faults;
             };
             const longest = { rate: 1000, payload: 65536, interval: 60000, span: 30 };
             for (const [id, value] of Object.entries(longest)) document.getElementById(id).value = value;
             // Figures are renewed twice a second.
             setTimeout(() => done(check()), 600);",
        );
        assert_eq!(faults, json!([]), "{width} by {height}");
    }
}

#[test]
fn three_tabs_share_one_set_of_subscriptions_and_each_shows_every_event_once() {
    let Some(browser) = Browser::start() else { return };
    let server = server(None);
    open(&browser, &server, "");
    browser.new_tab();
    open(&browser, &server, "");
    browser.new_tab();
    browser.open(&format!("{}/slides/en.html", server.addresses().http_url()));
    // The lanes of the slide are the page in a frame.
    let on_slide = "const frame = document.querySelector('.live iframe') ?? document.querySelector('.live');
         if (frame.tagName === 'DIV') show(slides.indexOf(frame.closest('.slide')));
         const page = () => document.querySelector('.live iframe')?.contentWindow;
         window.lab ??= null;
         const ready = () => page()?.lab?.lanes.length === 5 && page().lab.lanes.every(lane => lane.state === 'on')
             ? (window.lab = page().lab, done(lab.lanes.length)) : setTimeout(ready, 20);
         ready();";
    assert_eq!(browser.run(on_slide), json!(5));
    for number in 0..50 {
        server.feed().publish(protocol::clock::now_ns(), &format!("event {number}"));
    }
    let seqs: Vec<u64> = (1..=50).collect();
    let all = json!(vec![json!([seqs, 0, 0]); 5]);
    assert_eq!(received(&browser, 50), all, "the slide");
    // Orders of any tab are orders to the one set: connections are cut for all, and resume for all.
    browser.run("lab.order('cut'); done(0);");
    for tab in [0, 1] {
        browser.show_tab_number(tab);
        assert_eq!(received(&browser, 50), all, "tab {tab}");
        let cut = browser.run(
            "const held = lab.lanes.filter(lane => !lane.name.endsWith('polling'));
             const look = () => held.every(lane => lane.reconnects === 1) ? done(true) : setTimeout(look, 20);
             look();",
        );
        assert_eq!(cut, json!(true), "tab {tab}");
    }
    // The tab that came first is closed, and the others go on without a loss.
    browser.show_tab_number(0);
    browser.close_tab();
    server.feed().publish(protocol::clock::now_ns(), "afterwards");
    browser.show_tab_number(0);
    let seqs: Vec<u64> = (1..=51).collect();
    assert_eq!(received(&browser, 51), json!(vec![json!([seqs, 0, 0]); 5]));
    assert_eq!(browser.console_errors(), [""; 0]);
}

#[test]
fn a_browser_without_shared_workers_subscribes_in_the_tab_that_is_seen() {
    let Some(browser) = Browser::start() else { return };
    let server = server(None);
    browser.before_each_page("delete window.SharedWorker;");
    open(&browser, &server, "");
    server.feed().publish(protocol::clock::now_ns(), "one");
    assert_eq!(received(&browser, 1), json!(vec![json!([[1], 0, 0]); 5]));
    let rest = |hidden: bool| {
        browser.run(&format!(
            "Object.defineProperty(document, 'hidden', {{ value: {hidden}, configurable: true }});
             document.dispatchEvent(new Event('visibilitychange'));
             const look = () => lab.lanes.every(({{ state }}) => (state === 'off') === {hidden}) ? done(true) : setTimeout(look, 20);
             look();"
        ))
    };
    assert_eq!(rest(true), json!(true), "a hidden tab leaves the connections to the others");
    server.feed().publish(protocol::clock::now_ns(), "two");
    assert_eq!(rest(false), json!(true));
    assert_eq!(received(&browser, 2), json!(vec![json!([[1, 2], 0, 0]); 5]), "it goes on behind what it had");
    assert_eq!(browser.console_errors(), [""; 0]);
}

#[test]
fn the_page_works_where_the_browser_keeps_nothing() {
    let Some(browser) = Browser::start() else { return };
    let server = server(None);
    browser.before_each_page(
        "const refuse = () => { throw new DOMException('The operation is insecure.', 'SecurityError'); };
         Object.defineProperty(window, 'localStorage', { get: refuse });
         window.SharedWorker = class { constructor() { refuse(); } };",
    );
    browser.open(&format!("{}/", server.addresses().http_url()));
    open(&browser, &server, "");
    browser.run("document.getElementById('language').click(); done(0);");
    assert_eq!(browser.run("done(document.documentElement.lang);"), json!("ko"));
    browser.run("document.getElementById('publish').click(); done(0);");
    received(&browser, 1);
    assert_eq!(browser.console_errors(), [""; 0]);
}

#[test]
fn the_overhead_is_right_for_events_larger_than_what_is_shown_and_for_bursts() {
    let Some(browser) = Browser::start() else { return };
    let server = server(None);
    open(&browser, &server, "");
    let mut event_bytes = 0;
    for size in [100, 5_000, 60_000] {
        server.feed().publish(protocol::clock::now_ns(), &"x".repeat(size));
    }
    received(&browser, 3);
    browser.run("lab.order('burst', { events: 100 }); done(0);");
    received(&browser, 103);
    for seq in 0..103 {
        match server.feed().next(protocol::Cursor(seq)) {
            server::feed::Next::Event(event) => event_bytes += event.json().len(),
            _ => panic!("event {} is there", seq + 1),
        }
    }
    // The server's word of what crossed may come behind the events.
    let shown = browser.run(&format!(
        "const look = () => lab.lanes.every(({{ bytes }}) => bytes.event >= {event_bytes})
             ? done(lab.lanes.map(({{ bytes }}) => bytes.event)) : setTimeout(look, 20);
         look();"
    ));
    assert_eq!(shown, json!(vec![event_bytes; 5]));
    // Arrows that carry a part of a large event are not grey, and none waits for an arrival.
    let grey = browser.run(
        "const large = lab.lanes.map(({ crossings }) => crossings.filter(({ size, up }) => !up && size > 4096));
         done(large.map(found => [found.length > 0, found.filter(({ seqs, arrived }) => !seqs || arrived === null).length]));",
    );
    assert_eq!(grey, json!(vec![json!([true, 0]); 5]));
}

#[test]
fn what_crossed_has_an_end_though_the_browser_tells_of_none() {
    let Some(browser) = Browser::start() else { return };
    let server = server(None);
    browser.open(&format!("{}/", server.addresses().http_url()));
    // A lane in a world of its own: a clock that is set, and a server's words that come late.
    let ends = browser.run(
        "import('/page/lane.js').then(async ({ Lane }) => {
             let time = 1000;
             const told = [];
             const clock = { now: () => time, error: 2 };
             const lane = new Lane('sse', () => new Promise(() => {}), { id: 's', clock, pollInterval: 50 }, (entry) => told.push(entry));
             const crossed = (at, text, seqs = null) => lane.crossed({ up: false, at, size: text.length, connection: 1, watch: 1,
                 data: new TextEncoder().encode(text), seqs, events: [], event_bytes: 0 });
             const ends = () => {
                 const crossings = told.filter(({ kind }) => kind === 'crossing').map(({ crossing }) => ({ ...crossing }));
                 for (const { crossing, at } of told.filter(({ kind }) => kind === 'arrival')) crossings.find(({ id }) => id === crossing).arrived = at;
                 return crossings.map(({ arrived }) => arrived);
             };
             // The head came, by our clock, 3 ms before it left: so much the clocks may differ.
             lane.asked();
             lane.answered();
             crossed(1003, 'HTTP/1.1 200 OK');
             // A heartbeat, of which the browser tells nobody.
             crossed(1010, ':\\n\\n');
             // The head of a response that nobody waits for any longer.
             crossed(1020, 'HTTP/1.1 200 OK');
             time = 5000;
             lane.forget();
             done(ends());
         });",
    );
    assert_eq!(ends, json!([1003, 1012, 1022]));
}
