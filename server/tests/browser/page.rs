//! The live page in a browser: what its lanes receive, which bytes on the wire it shows, and what its controls do.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use protocol::answer::Question;
use protocol::envelope::websocket::{Opcode, encode};
use serde_json::{Value, json};
use server::{Options, Server};

use crate::driver::Browser;

/// A server without a schedule: it publishes only what a test or a page publishes.
fn server(token: Option<&str>) -> Server {
    Server::start(&Options { token: token.map(String::from), ..options() }).unwrap()
}

fn options() -> Options {
    let free: SocketAddr = "127.0.0.1:0".parse().unwrap();
    Options { listen: free, tcp_listen: free, rate: 0.0, payload: 20, ..Options::default() }
}

const TOKEN: &str = "abcdefgh12345678";

/// Opens the page with a short poll interval, and waits until all lanes are subscribed.
fn open(browser: &Browser, server: &Server, parameters: &str) {
    browser.open(&format!("{}/?view=lanes&lang=en{parameters}", server.addresses().http_url()));
    subscribed(browser);
}

/// Waits until all lanes are subscribed, and sets a short poll interval.
fn subscribed(browser: &Browser) {
    let ready = browser.run(
        "const look = () => {
             const ready = window.livePage?.lanes.length === 5 && livePage.lanes.every(lane => lane.state === 'on' && lane.chunks.length > 0);
             ready ? (livePage.order('pollInterval', { ms: 50 }), done(true)) : setTimeout(look, 20);
         };
         look();",
    );
    assert_eq!(ready, json!(true));
}

/// Waits until every lane has received that many events; returns each lane's sequence numbers, and its counts of missed and repeated
/// events.
fn received(browser: &Browser, events: u64) -> Value {
    browser.run(&format!(
        "const look = () => livePage.lanes.length === 5 && livePage.lanes.every(lane => lane.received >= {events})
             ? done(livePage.lanes.map(lane => [lane.deliveries.map(({{ seq }}) => seq), lane.missed, lane.repeated]))
             : setTimeout(look, 20);
         look();"
    ))
}

#[test]
fn every_lane_shows_every_event_once_and_in_order_and_its_bytes_on_the_wire() {
    let Some(browser) = Browser::start() else { return };
    every_lane_shows_every_event(&browser, &server(None));
}

#[test]
fn the_lanes_of_older_transports_and_of_libraries_receive_every_event_once_and_resume() {
    let Some(browser) = Browser::start() else { return };
    let server = server(None);
    // A browser opens six connections of HTTP/1.1 to a host, and four of these lanes need one each. The others are WebSockets.
    for lanes in ["jsonp,multipart,iframe", "stomp,sockjs,socket_io"] {
        let first = server.feed().head().0 + 1;
        browser.open(&format!("{}/?view=lanes&lang=en&lanes={lanes}", server.addresses().http_url()));
        // The worker also runs the usual lanes, which are not shown here.
        let ready = "const look = () => window.livePage?.lanes.length === 3 && livePage.lanes.every(lane => lane.state === 'on' && lane.chunks.length > 0)
             ? done(true) : setTimeout(look, 20);
             look();";
        assert_eq!(browser.run(ready), json!(true), "{lanes}");
        let publish = |from: u64, to: u64| {
            (from..to).for_each(|number| {
                _ = server.feed().publish(protocol::clock::now_ns(), &format!("<{number}> \u{2028}"))
            });
        };
        publish(0, 10);
        let received = |events: u64| {
            browser.run(&format!(
                "const look = () => livePage.lanes.every(lane => lane.received >= {events})
                     ? done(livePage.lanes.map(lane => [lane.deliveries.map(({{ seq }}) => seq), lane.missed, lane.repeated]))
                     : setTimeout(look, 20);
                 look();"
            ))
        };
        let seqs = |count: u64| (first..first + count).collect::<Vec<_>>();
        assert_eq!(received(10), json!(vec![json!([seqs(10), 0, 0]); 3]), "{lanes}");
        // The trace finds the events in the bytes of every lane, also where they are escaped.
        let event_bytes =
            browser.run("setTimeout(() => done(livePage.lanes.map(lane => lane.bytes.event > 300)), 300);");
        assert_eq!(event_bytes, json!([true, true, true]), "{lanes}");
        // After a failure of the connections, every lane resumes at its cursor.
        browser.run("livePage.order('cut'); done(true);");
        publish(10, 20);
        assert_eq!(received(20), json!(vec![json!([seqs(20), 0, 0]); 3]), "{lanes}");
    }
    // The browser reports the page in the iframe that was cut off.
    let unexpected = |error: &String| !error.contains("ERR_INCOMPLETE_CHUNKED_ENCODING");
    assert_eq!(browser.console_errors().into_iter().filter(unexpected).collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn the_lanes_of_webtransport_receive_every_event_and_can_send() {
    let Some(browser) = Browser::start() else { return };
    let server = server(None);
    let lanes = "webtransport,webtransport_streams,webtransport_datagrams";
    browser.open(&format!("{}/?view=lanes&lang=en&lanes={lanes}", server.addresses().http_url()));
    let ready = "const look = () => window.livePage?.lanes.length === 3
             && livePage.lanes.every(lane => lane.notes.some(({ what }) => what === 'ready')) ? done(true) : setTimeout(look, 20);
         look();";
    assert_eq!(browser.run(ready), json!(true));
    for _ in 0..10 {
        server.feed().publish(protocol::clock::now_ns(), "from the server");
    }
    // The page's own message is the eleventh event, and comes over every lane.
    let received = browser.run(
        "const look = (events, then) => livePage.lanes.every(lane => lane.received >= events) ? then() : setTimeout(look, 20, events, then);
         look(10, () => {
             livePage.order('send', { name: 'webtransport_streams', text: 'from the page' });
             look(11, () => done(livePage.lanes.map(lane =>
                 [lane.deliveries.map(({ seq }) => seq).toSorted((a, b) => a - b), lane.missed, lane.repeated])));
         });",
    );
    assert_eq!(received, json!(vec![json!([(1..=11).collect::<Vec<_>>(), 0, 0]); 3]));
    // Its bytes are encrypted, so they are not shown as zero.
    let shown = browser
        .run("setTimeout(() => done([...document.querySelectorAll('.down')].map(field => field.textContent)), 700);");
    assert_eq!(shown, json!(["\u{2013}", "\u{2013}", "\u{2013}"]));
    assert_eq!(browser.console_errors(), [""; 0]);
}

#[test]
fn an_answer_is_typed_out_in_every_way_and_then_the_lanes_go_on() {
    let Some(browser) = Browser::start() else { return };
    let server = server(None);
    open(&browser, &server, "");
    let lines = browser.run(
        "document.getElementById('ask').click();
         const rows = () => [...document.querySelectorAll('#answers tr')];
         const look = () => rows().length === 6 && rows().every(row => row.dataset.state === 'complete')
             ? done(rows().map(row => [row.dataset.way, row.querySelector('.typed').textContent])) : setTimeout(look, 50);
         look();",
    );
    let question = Question { tokens: 60, ..Question::new("Polling, long polling, HTTP streaming or WebSocket?") };
    let text: String = question.answer().collect();
    let ways = ["whole", "polling", "long_polling", "ndjson", "sse", "websocket"];
    assert_eq!(lines, json!(ways.map(|way| [way.to_string(), text.clone()])));
    subscribed(&browser);
    server.feed().publish(protocol::clock::now_ns(), "after the answer");
    received(&browser, 1);
    assert_eq!(browser.console_errors(), [""; 0]);
}

#[test]
fn over_https_the_page_shows_the_same() {
    let Some(browser) = Browser::start() else { return };
    let server = Server::start(&Options { tls_self_signed: true, ..options() }).unwrap();
    every_lane_shows_every_event(&browser, &server);
    // All of it came over one connection of HTTP/2.
    let protocols = browser
        .run("done([...new Set(performance.getEntriesByType('resource').map(entry => entry.nextHopProtocol))]);");
    assert_eq!(protocols, json!(["h2"]));
    assert_eq!(browser.console_errors(), [""; 0]);
    // A relay cannot read what TLS encrypts, and HTTP/2 has no limit of connections.
    let faults = browser.run(
        "fetch('/control', { method: 'POST', body: '{\"fault\":\"buffer\"}' }).then(({ status }) => done([status, livePage.settings.faults]));",
    );
    assert_eq!(faults, json!([400, ["off", "cut-idle", "half-open", "slow-reader", "crash"]]));
}

fn every_lane_shows_every_event(browser: &Browser, server: &Server) {
    let tls = server.tls().is_some();
    open(browser, server, "");
    for number in 0..20 {
        server.feed().publish(protocol::clock::now_ns(), &format!("event {number}"));
    }
    let seqs: Vec<u64> = (1..=20).collect();
    assert_eq!(received(browser, 20), json!(vec![json!([seqs, 0, 0]); 5]));

    // The bytes that the page shows for the WebSocket are the frames of these events, and the headers of the handshake's response.
    let frames: usize = (0..20)
        .map(|seq| match server.feed().next(protocol::Cursor(seq)) {
            server::feed::Next::Event(event) => encode(Opcode::Text, event.json()).len(),
            _ => panic!("event {} is there", seq + 1),
        })
        .sum();
    let shown = browser.run(
        "const { bytes, chunks, connections, requests } = livePage.lanes.find(lane => lane.name === 'websocket');
         const headers = new TextDecoder().decode(chunks.find(chunk => !chunk.up).data);
         done([bytes.down - headers.length, headers.startsWith('HTTP/1.1 101'), connections, requests]);",
    );
    // Over HTTP/2 each frame is in a DATA frame, and the response's headers are shorter than their text.
    let shown_bytes = shown[0].as_i64().unwrap();
    match tls {
        false => assert_eq!(shown, json!([frames, true, 1, 1])),
        true => {
            assert_eq!(shown.as_array().unwrap()[1..], [json!(false), json!(1), json!(1)]);
            let around = frames as i64 + 20 * 9;
            assert!((around - 200..around + 1).contains(&shown_bytes), "{shown_bytes} bytes, {frames} of frames");
        }
    }
    // All transports carry the same event bytes, whatever their overhead.
    let event_bytes = browser.run("done(livePage.lanes.map(lane => lane.bytes.event));");
    let first = event_bytes[0].clone();
    assert!(
        first.as_u64().unwrap() > 0 && event_bytes.as_array().unwrap().iter().all(|bytes| *bytes == first),
        "{event_bytes}"
    );

    // The handshake by hand: the page computes what the server has sent.
    // There is no key over HTTP/2 (RFC 8441).
    if !tls {
        let steps = browser
            .run("done(['.step4', '.step5'].map(step => document.querySelector(`#steps ${step}`).textContent));");
        assert_eq!(steps[0], steps[1]);
        assert_eq!(steps[0].as_str().unwrap().len(), 28);
    }

    // The details of an arrow: its size, and its bytes with the event marked.
    let opened = browser.run(
        "const lane = livePage.lanes.find(lane => lane.name === 'ndjson');
         document.querySelector('[data-lane=ndjson] .ladder').dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter' }));
         done([document.querySelector('#chunk strong').textContent, lane.chunks.at(-1).size,
               document.querySelectorAll('#chunk .bytes .event').length]);",
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
fn the_controls_work_and_cut_connections_resume_without_loss() {
    let Some(browser) = Browser::start() else { return };
    let server = server(None);
    open(&browser, &server, "");
    browser.run("document.getElementById('publish').click(); done(0);");
    received(&browser, 1);
    browser.run("document.getElementById('burst').click(); done(0);");
    received(&browser, 101);
    browser.run("document.getElementById('cut').click(); done(0);");
    let cut = browser.run(
        "// The browser itself repeats a poll whose kept connection was cut.
         const connected = livePage.lanes.filter(lane => !lane.name.endsWith('polling'));
         const look = () => connected.every(lane => lane.reconnects === 1) ? done(true) : setTimeout(look, 20);
         look();",
    );
    assert_eq!(cut, json!(true));
    server.feed().publish(protocol::clock::now_ns(), "after the cut");
    let seqs: Vec<u64> = (1..=102).collect();
    assert_eq!(received(&browser, 102), json!(vec![json!([seqs, 0, 0]); 5]));
    // Each lane publishes as its transport can, and all lanes receive it.
    browser.run("document.querySelectorAll('.send').forEach(send => send.click()); done(0);");
    received(&browser, 107);
    let requests = browser.run("done(livePage.lanes.find(lane => lane.name === 'websocket').requests);");
    assert_eq!(
        requests,
        json!(2),
        "a handshake, another after the cut, and no request for the event that it published"
    );
    // The rate can be changed.
    let words = browser.run(
        "const rate = document.getElementById('rate');
         // The slider's positions are 0, 0.1, 0.2, 0.5, 1 and so on.
         const words = [0, 1, 4, 10].map(position => {
             rate.value = position;
             rate.dispatchEvent(new Event('input'));
             return [document.getElementById('rate-value').textContent, rate.getAttribute('aria-valuetext')];
         });
         rate.dispatchEvent(new Event('change'));
         done(words.every(([shown, spoken]) => shown === spoken) && words.map(([shown]) => shown));",
    );
    assert_eq!(words, json!(["none", "one every 10 s", "1 a second", "100 a second"]));
    received(&browser, 150);
    let schedule = browser.run(
        "const look = () => livePage.settings.rate === 100 ? done(livePage.settings.schedule) : setTimeout(look, 20);
         look();",
    );
    assert_eq!(schedule, json!("poisson"), "in step with the events, polls would always wait equally long");
    // A setting between two positions is shown as it is.
    let between = browser.run(
        "livePage.order('settings', { rate: 3 });
         const look = () => livePage.settings.rate === 3 ? setTimeout(() => done([document.getElementById('rate-value').textContent, document.getElementById('rate').value]), 100) : setTimeout(look, 20);
         look();",
    );
    assert_eq!(between, json!(["3 a second", "5"]));
    browser.run("document.getElementById('language').click(); done(0);");
    assert_eq!(browser.run("done(document.documentElement.lang);"), json!("ko"));
}

#[test]
fn a_restarted_server_is_distinguished_from_the_one_before_by_its_epoch() {
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
    // The new feed already has the sequence number of each lane's cursor, but the lanes have received none of its events.
    publish(&server, 5);
    assert_eq!(received(&browser, 8), json!(vec![json!([[1, 2, 3, 1, 2, 3, 4, 5], 0, 0]); 5]));
    // Bytes on the wire are shown again, even if the lanes reconnected before the trace session did.
    let traced = browser.run(
        "const look = () => livePage.lanes.length === 5 && livePage.lanes.every(lane => lane.state === 'on' && lane.chunks.at(-1)?.at > livePage.now() - 1000)
             && document.getElementById('away').hidden ? done(true) : setTimeout(look, 20);
         look();",
    );
    assert_eq!(traced, json!(true));
    publish(&server, 1);
    received(&browser, 9);
    let carried = browser.run(
        "const look = () => livePage.lanes.every(lane => lane.chunks.some(({ seqs }) => seqs?.includes(6)))
             ? done(true) : setTimeout(look, 20);
         look();",
    );
    assert_eq!(carried, json!(true));
}

#[test]
fn a_viewer_can_watch_but_only_the_presenter_can_publish() {
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
    browser.follow(&server.presenter_page(&server.url(), "?view=lanes&lang=en"), "/?view=lanes&lang=en");
    subscribed(&browser);
    browser.run("document.getElementById('publish').click(); done(0);");
    received(&browser, 1);
    browser.run("document.querySelectorAll('.send').forEach(send => send.click()); done(0);");
    received(&browser, 6);

    // Nothing that the page shows, or that a script could read, contains the token or the cookie.
    let shown = browser.run(
        "const bytes = livePage.lanes.flatMap(lane => lane.chunks.map(({ data }) => new TextDecoder().decode(data))).join('');
         const cookie = /lab-presenter-[0-9]+=([^\\s;]*)/.exec(bytes)?.[1];
         done([location.href, document.cookie, document.referrer, /token/i.test(bytes), cookie]);",
    );
    let href = format!("{}/?view=lanes&lang=en", server.url());
    assert_eq!(shown, json!([href, "", "", false, "*".repeat(32)]));

    // The cookie is valid for the lecture too, which is opened without the link.
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
fn a_wrong_link_shows_an_error_and_the_slides_link_opens_the_slides() {
    let Some(browser) = Browser::start() else { return };
    let server = server(Some(TOKEN));
    browser.open(&format!("{}/presenter?lang=en#token=another", server.url()));
    let shown = browser.run(
        "const refused = document.getElementById('refused');
         const look = () => refused.hidden ? setTimeout(look, 20) : done([refused.textContent.slice(0, 27), location.hash]);
         look();",
    );
    assert_eq!(shown, json!(["This is not the presenter’s", ""]));
    browser.follow(&server.presenter_slides(&server.url()), "/slides/en.html#1");
}

#[test]
fn a_page_that_gets_no_trace_session_shows_that_and_starts_when_it_gets_one() {
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
        browser.open(&format!("{}/?view=lanes&lang=en", server.url()));
        let shown = browser.run(
            "const hidden = id => document.getElementById(id).hidden;
             const look = () => hidden('unwatched') ? setTimeout(look, 20)
                 : done([hidden('away'), document.getElementById('publish').disabled]);
             look();",
        );
        assert_eq!(shown, json!([true, true]));
    };
    opened_and_refused(&browser);
    // The presenter's page gets a reserved trace session, and may publish.
    browser.follow(&server.presenter_page(&server.url(), "?view=lanes&lang=en"), "/?view=lanes&lang=en");
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
fn a_tab_opened_with_the_presenters_link_enables_the_controls_of_all_tabs() {
    let Some(browser) = Browser::start() else { return };
    let server = server(Some(TOKEN));
    open(&browser, &server, "");
    browser.new_tab();
    browser.follow(&server.presenter_page(&server.url(), "?view=lanes&lang=en"), "/?view=lanes&lang=en");
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
fn the_page_fits_every_supported_screen_size() {
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
fn on_a_projector_labels_grow_with_the_screen_and_no_number_is_cut_off() {
    let Some(browser) = Browser::start() else { return };
    let server = server(None);
    for (width, height) in [(1280, 720), (1920, 1080), (3840, 2160)] {
        browser.set_viewport(width, height);
        open(&browser, &server, "&projector");
        let faults = browser.run(
            "const check = () => {
                 const faults = [];
                 for (const element of document.querySelectorAll('header *, .controls *, #lanes *')) {
                     const hasText = [...element.childNodes].some(node => node.nodeType === Node.TEXT_NODE && node.data.trim());
                     const style = getComputedStyle(element);
                     if ((hasText || element.matches('input[type=number]')) && element.checkVisibility() && parseFloat(style.fontSize) < 0.022 * innerHeight)
                         faults.push(['small', element.outerHTML.slice(0, 60), parseFloat(style.fontSize) / innerHeight]);
                 }
                 for (const input of document.querySelectorAll('.controls input[type=number]')) {
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
             const longest = { payload: 65536, span: 30 };
             for (const [id, value] of Object.entries(longest)) document.getElementById(id).value = value;
             // Figures are updated twice a second.
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
         window.livePage ??= null;
         const ready = () => page()?.livePage?.lanes.length === 5 && page().livePage.lanes.every(lane => lane.state === 'on')
             ? (window.livePage = page().livePage, done(livePage.lanes.length)) : setTimeout(ready, 20);
         ready();";
    assert_eq!(browser.run(on_slide), json!(5));
    for number in 0..50 {
        server.feed().publish(protocol::clock::now_ns(), &format!("event {number}"));
    }
    let seqs: Vec<u64> = (1..=50).collect();
    let all = json!(vec![json!([seqs, 0, 0]); 5]);
    assert_eq!(received(&browser, 50), all, "the slide");
    // An order of any tab applies to the shared subscriptions: it cuts the connections of all tabs, and all resume.
    browser.run("livePage.order('cut'); done(0);");
    for tab in [0, 1] {
        browser.show_tab_number(tab);
        assert_eq!(received(&browser, 50), all, "tab {tab}");
        let cut = browser.run(
            "const connected = livePage.lanes.filter(lane => !lane.name.endsWith('polling'));
             const look = () => connected.every(lane => lane.reconnects === 1) ? done(true) : setTimeout(look, 20);
             look();",
        );
        assert_eq!(cut, json!(true), "tab {tab}");
    }
    // When the first tab is closed, the others continue without loss.
    browser.show_tab_number(0);
    browser.close_tab();
    server.feed().publish(protocol::clock::now_ns(), "afterwards");
    browser.show_tab_number(0);
    let seqs: Vec<u64> = (1..=51).collect();
    assert_eq!(received(&browser, 51), json!(vec![json!([seqs, 0, 0]); 5]));
    assert_eq!(browser.console_errors(), [""; 0]);
}

#[test]
fn a_browser_without_shared_workers_subscribes_in_the_visible_tab() {
    let Some(browser) = Browser::start() else { return };
    let server = server(None);
    browser.before_each_page("delete window.SharedWorker;");
    open(&browser, &server, "");
    server.feed().publish(protocol::clock::now_ns(), "one");
    assert_eq!(received(&browser, 1), json!(vec![json!([[1], 0, 0]); 5]));
    let set_hidden = |hidden: bool| {
        browser.run(&format!(
            "Object.defineProperty(document, 'hidden', {{ value: {hidden}, configurable: true }});
             document.dispatchEvent(new Event('visibilitychange'));
             const look = () => livePage.lanes.every(({{ state }}) => (state === 'off') === {hidden}) ? done(true) : setTimeout(look, 20);
             look();"
        ))
    };
    assert_eq!(set_hidden(true), json!(true), "a hidden tab closes its connections");
    server.feed().publish(protocol::clock::now_ns(), "two");
    assert_eq!(set_hidden(false), json!(true));
    assert_eq!(
        received(&browser, 2),
        json!(vec![json!([[1, 2], 0, 0]); 5]),
        "it resumes after the last event received"
    );
    assert_eq!(browser.console_errors(), [""; 0]);
}

#[test]
fn the_page_works_in_a_browser_without_storage() {
    let Some(browser) = Browser::start() else { return };
    let server = server(None);
    browser.before_each_page(
        "const refuse = () => { throw new DOMException('The operation is insecure.', 'SecurityError'); };
         Object.defineProperty(window, 'localStorage', { get: refuse });
         window.SharedWorker = class { constructor() { refuse(); } };",
    );
    browser.open(&format!("{}/?view=lanes", server.addresses().http_url()));
    open(&browser, &server, "");
    browser.run("document.getElementById('language').click(); done(0);");
    assert_eq!(browser.run("done(document.documentElement.lang);"), json!("ko"));
    browser.run("document.getElementById('publish').click(); done(0);");
    received(&browser, 1);
    assert_eq!(browser.console_errors(), [""; 0]);
}

#[test]
fn the_overhead_is_right_for_bursts_and_for_events_larger_than_what_is_shown_of_them() {
    let Some(browser) = Browser::start() else { return };
    let server = server(None);
    open(&browser, &server, "");
    let mut event_bytes = 0;
    for size in [100, 5_000, 60_000] {
        server.feed().publish(protocol::clock::now_ns(), &"x".repeat(size));
    }
    received(&browser, 3);
    browser.run("livePage.order('burst', { events: 100 }); done(0);");
    received(&browser, 103);
    for seq in 0..103 {
        match server.feed().next(protocol::Cursor(seq)) {
            server::feed::Next::Event(event) => event_bytes += event.json().len(),
            _ => panic!("event {} is there", seq + 1),
        }
    }
    // The trace may come after the events.
    let shown = browser.run(&format!(
        "const look = () => livePage.lanes.every(({{ bytes }}) => bytes.event >= {event_bytes})
             ? done(livePage.lanes.map(({{ bytes }}) => bytes.event)) : setTimeout(look, 20);
         look();"
    ));
    assert_eq!(shown, json!(vec![event_bytes; 5]));
    // Arrows that carry a part of a large event are not grey, and all of them have arrived.
    let grey = browser.run(
        "const large = livePage.lanes.map(({ chunks }) => chunks.filter(({ size, up }) => !up && size > 4096));
         done(large.map(found => [found.length > 0, found.filter(({ seqs, arrivedAt }) => !seqs || arrivedAt === null).length]));",
    );
    assert_eq!(grey, json!(vec![json!([true, 0]); 5]));
}

#[test]
fn every_arrow_has_the_times_of_the_server_s_trace_and_of_the_page_s_deliveries() {
    let Some(browser) = Browser::start() else { return };
    let server = server(None);
    // Without a shared worker, the page itself receives the trace, and the test can listen.
    browser.before_each_page(
        "delete window.SharedWorker;
         window.traced = [];
         window.WebSocket = class extends WebSocket {
             constructor(url, ...rest) {
                 super(url, ...rest);
                 if (url.includes('/watch?')) this.addEventListener('message', ({ data }) => {
                     const message = JSON.parse(data);
                     if (message.kind === 'chunk') window.traced.push(message);
                 });
             }
         };",
    );
    open(&browser, &server, "");
    server.feed().publish(protocol::clock::now_ns(), "one");
    received(&browser, 1);
    browser.run("livePage.order('burst', { events: 100 }); done(0);");
    received(&browser, 101);
    browser.run("document.querySelectorAll('.send').forEach(send => send.click()); done(0);");
    received(&browser, 106);
    let faults = browser.run(
        "livePage.order('pollInterval', { ms: 10_000 });
         // The page has all of the trace, and has shown nothing new for a while.
         const state = () => livePage.lanes.map(({ name, chunks }) =>
             [chunks.length, traced.filter(({ lane }) => lane === name).length, chunks.filter(({ arrivedAt }) => arrivedAt !== null).length]);
         let [last, changedAt] = [null, 0];
         const isSettled = () => {
             const found = state();
             const isSame = JSON.stringify(found) === last && found.every(([shown, all]) => shown === all);
             if (!isSame) [last, changedAt] = [JSON.stringify(found), performance.now()];
             return performance.now() - changedAt > 300;
         };
         const settled = new Promise(resolve => {
             const look = () => isSettled() ? resolve() : setTimeout(look, 20);
             look();
         });
         Promise.all([import('/page/arrows.js'), settled]).then(([{ arrows }]) => {
             const faults = [];
             const counts = {};
             for (const lane of livePage.lanes) {
                 const drawn = arrows(lane, { since: -Infinity, now: livePage.now() });
                 const trace = traced.filter(({ lane: name }) => name === lane.name);
                 const known = new Map(lane.deliveries.map(({ seq, receivedAt }) => [seq, receivedAt]));
                 if (drawn.length !== trace.length) faults.push([lane.name, 'arrows', drawn.length, trace.length]);
                 trace.forEach(({ up, at_ns, size, seqs }, index) => {
                     const { chunk, from, ends, isLost, events } = drawn[index];
                     // What the server has seen is the end of an arrow upwards, and the start of one downwards.
                     if ((up ? ends[0] : from) !== at_ns / 1e6) faults.push([lane.name, up, from, ends, at_ns / 1e6]);
                     // The clocks of browser and server are known to a bound.
                     if (ends.some(end => end < from - livePage.error - 0.01) || isLost || chunk.size !== size) faults.push([lane.name, from, ends, size]);
                     const expected = seqs ? Array.from({ length: seqs[1] - seqs[0] + 1 }, (_, at) => known.get(seqs[0] + at)) : null;
                     if (expected && JSON.stringify(expected) !== JSON.stringify(ends)) faults.push([lane.name, seqs, expected, ends]);
                     counts[lane.name] = Math.max(counts[lane.name] ?? 0, events);
                 });
                 if (trace.filter(({ up }) => up).length === 0) faults.push([lane.name, 'sends nothing']);
             }
             done([faults, counts.polling]);
         });",
    );
    assert_eq!(faults[0], json!([]));
    assert!(faults[1].as_u64().unwrap() > 1, "a poll brings several events: {faults}");
    assert_eq!(browser.console_errors(), [""; 0]);
}

#[test]
fn arrows_show_a_connection_s_start_what_was_lost_and_where_a_lane_resumed() {
    let Some(browser) = Browser::start() else { return };
    let server = server(None);
    browser.open(&format!("{}/?view=lanes", server.addresses().http_url()));
    // A lane with a clock that the test sets, behind a relay that delays bytes by 100 ms. Its first connection ends when the test says so.
    let shown = browser.run(
        "Promise.all([import('/page/lane.js'), import('/page/arrows.js')]).then(async ([{ Lane }, { arrows, resumptions }]) => {
             let time = 1000;
             const lane = { chunks: [], deliveries: [], cuts: [] };
             const log = ({ kind, chunk, at, ...rest }) => {
                 if (kind === 'chunk') lane.chunks.push({ ...chunk });
                 else if (kind === 'delivery') lane.deliveries.push(rest);
                 else if (kind === 'cut') lane.cuts.push({ at });
                 else lane.chunks.find(({ id }) => id === chunk)[kind === 'lost' ? 'lostAt' : 'arrivedAt'] = at;
             };
             const clock = { now: () => time, error: 2 };
             let end;
             const subscribe = () => new Promise((_, reject) => (end = reject));
             const transport = { name: 'websocket', path: '/ws', exchange: 'socket', subscribe };
             const subject = new Lane(transport, { id: 's', clock, pollInterval: 50, delay: 100 }, log);
             const trace = (up, at, text, connection, seqs = null) => subject.traced({ up, at, size: text.length, connection, traceSession: 1,
                 data: new TextEncoder().encode(text), seqs, events: [], event_bytes: 0 });
             subject.run();
             // The request is handed to the browser at 1000, which opens a connection first.
             subject.requested();
             trace(true, 1300, 'GET /ws?after=0-7 HTTP/1.1', 1);
             time = 1402;
             subject.responded();
             trace(false, 1300, 'HTTP/1.1 101', 1);
             // A frame that the page sends at 1500, one that the browser sends by itself, and an event that arrives.
             time = 1500;
             subject.send = () => {};
             subject.publish('x');
             trace(true, 1603, 'frame', 1);
             trace(true, 1700, 'pong', 1);
             trace(false, 1700, 'event', 1, [4, 4]);
             time = 1802;
             subject.event(JSON.stringify({ seq: 4, at: 1_700_000_000, data: '' }));
             // An event is under way when the connection ends; the trace of another one comes later.
             trace(false, 1850, 'event', 1, [5, 5]);
             time = 1900;
             end(new Error('cut'));
             await new Promise(resolve => setTimeout(resolve, 0));
             trace(false, 1860, 'event', 1, [6, 6]);
             time = 2000;
             subject.requested();
             trace(true, 2202, 'GET /ws?after=4-7 HTTP/1.1', 2);
             time = 2300;
             const drawn = arrows(lane, { since: 0, now: time }).map(({ chunk, kind, from, ends, isLost }) => [kind, from, ends, isLost, chunk.askedAt ?? null]);
             const published = [{ seq: 4, at: 1700 }, { seq: 5, at: 1850 }];
             done([drawn, resumptions(lane, published)]);
         }).catch(error => done(String(error)));",
    );
    let arrows = json!([
        ["request", 1198.0, [1300.0], false, 1000.0],
        ["response", 1300.0, [1402.0], false, null],
        [null, 1500.0, [1603.0], false, null],
        [null, 1598.0, [1700.0], false, null],
        ["event", 1700.0, [1802.0], false, null],
        ["event", 1850.0, [1900.0], true, null],
        ["event", 1860.0, [1900.0], true, null],
        ["request", 2100.0, [2202.0], false, 2000.0],
    ]);
    let integers = |value: &Value| value.to_string().replace(".0", "");
    assert_eq!(integers(&shown[0]), integers(&arrows));
    assert_eq!(shown[1], json!([{ "cutAt": 1900, "at": 2202, "after": 4, "eventAt": 1700 }]));
}

#[test]
fn a_lane_is_connected_by_its_own_responses_and_loses_only_what_was_connected() {
    let Some(browser) = Browser::start() else { return };
    let server = server(None);
    browser.open(&format!("{}/?view=lanes&lang=en", server.addresses().http_url()));
    let shown = browser.run(
        "Promise.all([import('/page/lane.js'), import('/page/transport/websocket.js'), import('/page/text/en.js')]).then(async ([{ Lane }, websocket, en]) => {
             let time = 1000;
             const cuts = [];
             const requests = [];
             const log = ({ kind, at, chunk }) => kind === 'cut' ? cuts.push(at) : kind === 'chunk' && requests.push(chunk.sentAt);
             let end;
             const subscribe = () => new Promise((_, reject) => (end = reject));
             const session = { id: 's', clock: { now: () => time, error: 2 }, pollInterval: 50, origin: location.origin, delay: 0 };
             const lane = new Lane({ name: 'sse', path: '/sse', exchange: 'stream', subscribe }, session, log);
             const turn = () => new Promise(resolve => setTimeout(resolve, 0));
             // The response to what it publishes does not connect it.
             lane.run();
             await lane.publish('x');
             const states = [lane.state];
             // An attempt that fails loses no connection, and an open connection is lost.
             end(new Error('refused'));
             await turn();
             const beforeConnection = [...cuts];
             lane.run();
             lane.responded();
             states.push(lane.state);
             time = 2000;
             end(new Error('cut'));
             await turn();
             lane.stop();
             await lane.publish('x');
             states.push(lane.state);
             // Connection 1 of a restarted server is another one.
             const trace = (traceSession) => lane.traced({ up: true, at: time, size: 4, connection: 1, traceSession,
                 data: new TextEncoder().encode('GET /sse'), seqs: null, events: [], event_bytes: 0 });
             time = 3000;
             for (const traceSession of [1, 1, 2]) trace(traceSession);
             // What a WebSocket cannot send yet is sent in another way.
             const socket = { requested() {}, requestUrl: () => `${location.origin}/ws?after=0`, note() {}, send: null };
             const connecting = new AbortController();
             websocket.subscribe(socket, connecting.signal).catch(() => {});
             const sends = socket.send;
             connecting.abort();
             done([states, beforeConnection, cuts, lane.figures.connections, sends, en.default.rateIs(0.3)]);
         }).catch(error => done(String(error)));",
    );
    let expected = json!([["asking", "on", "off"], [], [2000], 2, null, "one every 3.33 s"]);
    assert_eq!(shown, expected);
}

#[test]
fn every_chunk_gets_an_arrival_time_even_if_the_browser_does_not_report_it() {
    let Some(browser) = Browser::start() else { return };
    let server = server(None);
    browser.open(&format!("{}/?view=lanes", server.addresses().http_url()));
    // A lane without a connection, with a clock that the test sets and a trace that comes late.
    let arrivals = browser.run(
        "import('/page/lane.js').then(async ({ Lane }) => {
             let time = 1000;
             const log = [];
             const clock = { now: () => time, error: 2 };
             const transport = { name: 'sse', path: '/sse', exchange: 'stream', subscribe: () => new Promise(() => {}) };
             const lane = new Lane(transport, { id: 's', clock, pollInterval: 50, delay: 0 }, (entry) => log.push(entry));
             const trace = (at, text, seqs = null) => lane.traced({ up: false, at, size: text.length, connection: 1, traceSession: 1,
                 data: new TextEncoder().encode(text), seqs, events: [], event_bytes: 0 });
             const arrivals = () => {
                 const chunks = log.filter(({ kind }) => kind === 'chunk').map(({ chunk }) => ({ ...chunk }));
                 for (const { chunk, at } of log.filter(({ kind }) => kind === 'arrival')) chunks.find(({ id }) => id === chunk).arrivedAt = at;
                 return chunks.map(({ arrivedAt }) => arrivedAt);
             };
             // By the browser's clock, the response came 3 ms before it was sent, which is within the clocks' error.
             lane.requested();
             lane.responded();
             trace(1003, 'HTTP/1.1 200 OK');
             // A heartbeat, which the browser does not report.
             trace(1010, ':\\n\\n');
             // A response that the browser does not report in time.
             trace(1020, 'HTTP/1.1 200 OK');
             time = 5000;
             lane.discardOld();
             done(arrivals());
         });",
    );
    assert_eq!(arrivals, json!([1003, 1012, 1022]));
}
