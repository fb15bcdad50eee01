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
             if (window.lab) lab.page.pollInterval = 50;
             const ready = window.lab?.lanes.every(lane => lane.state === 'on' && lane.crossings.length > 0);
             ready ? done(true) : setTimeout(look, 20);
         };
         look();",
    );
    assert_eq!(ready, json!(true));
}

/// Waits until every lane has received so many events, and gives each lane's seqs, misses and repeats.
fn received(browser: &Browser, events: u64) -> Value {
    browser.run(&format!(
        "const look = () => lab.lanes.every(lane => lane.received >= {events})
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
         done([bytes.down - head.length, head.startsWith('HTTP/1.1 101'), connections.size, requests]);",
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
        "const look = () => lab.lanes.every(lane => lane.state === 'on' && lane.crossings.at(-1)?.at > lab.clock.now() - 1000)
             && document.getElementById('away').hidden ? done(true) : setTimeout(look, 20);
         look();",
    );
    assert_eq!(seen, json!(true));
    publish(&server, 1);
    received(&browser, 9);
    let carried = browser.run(
        "const look = () => lab.lanes.every(lane => lane.crossings.some(({ seqs }) => seqs.includes(6)))
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
fn tabs_share_six_connections_and_each_says_what_it_lacks() {
    let Some(browser) = Browser::start() else { return };
    let server = server(None);
    let states = |wanted: &str| {
        browser.open(&format!("http://{}/?lang=en", server.addresses().http));
        browser.run(&format!(
            "lab.page.pollInterval = 50;
             const look = () => {{
                 const states = lab.lanes.map(lane => lane.state).join(' ');
                 // The words follow with the next figures.
                 const told = [...document.querySelectorAll('.lane')].filter(lane => lane.querySelector('.why').textContent).length;
                 states === '{wanted}' && told === states.split('full').length - 1 ? done(true) : setTimeout(look, 20);
             }};
             look();"
        ))
    };
    assert_eq!(states("on on on on on"), json!(true));
    browser.new_tab();
    assert_eq!(states("on on on full on"), json!(true), "three of five are held by the first tab");
    browser.new_tab();
    assert_eq!(states("on full full full on"), json!(true), "polls and WebSockets need none of them");

    // The first tab, hidden all the while, has missed nothing.
    for number in 0..50 {
        server.feed().publish(protocol::clock::now_ns(), &format!("event {number}"));
    }
    let third = browser.run(
        "const running = lab.lanes.filter(lane => lane.state !== 'full');
         const look = () => running.every(lane => lane.received === 50) ? done(running.length) : setTimeout(look, 20);
         look();",
    );
    assert_eq!(third, json!(2));
    browser.show_first_tab();
    let seqs: Vec<u64> = (1..=50).collect();
    assert_eq!(received(&browser, 50), json!(vec![json!([seqs, 0, 0]); 5]));
    assert_eq!(browser.console_errors(), [""; 0]);
}
