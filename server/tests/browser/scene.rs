//! The opening scene in a browser: the prediction, the event on its way to each phone, and what the presenter's network controls do.

use std::net::SocketAddr;

use serde_json::{Value, json};
use server::{Options, Server};

use crate::driver::Browser;

const TOKEN: &str = "abcdefgh12345678";

fn server(token: Option<&str>) -> Server {
    let free: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let token = token.map(String::from);
    Server::start(&Options { listen: free, tcp_listen: free, rate: 0.0, payload: 20, token, ..Options::default() })
        .unwrap()
}

/// Functions for the scripts of these tests.
const HELP: &str = "
    const get = id => document.getElementById(id);
    const column = name => document.querySelector(`[data-lane=${name}]`);
    const lane = name => livePage.lanes.find(lane => lane.name === name);
    const when = (condition, then) => condition() ? then() : setTimeout(() => when(condition, then), 20);
    const press = key => document.body.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }));
    const connected = () => livePage.lanes.length === 5 && livePage.lanes.every(lane => lane.state === 'on');
";

/// Runs a script with these functions.
fn run(browser: &Browser, script: &str) -> Value {
    browser.run(&format!("{HELP}{script}"))
}

/// Opens the scene at normal speed, as the presenter, and waits until the lanes are connected through the relay.
fn open(browser: &Browser, server: &Server) {
    browser.follow(&server.presenter_page(&server.url(), "?lang=en&slow=1"), "/?lang=en");
    ready(browser);
}

fn ready(browser: &Browser) {
    let ready = run(
        browser,
        "when(() => window.livePage?.settings?.delay_ms === 300 && connected(), () => setTimeout(() => when(connected, () => done(true)), 500));",
    );
    assert_eq!(ready, json!(true));
}

/// Publishes an event with the key, and waits for the end of the scene.
fn goal(browser: &Browser) {
    run(browser, "press(' '); when(() => !get('again').hidden, () => done(0));");
}

#[test]
fn the_class_predicts_an_event_reaches_every_phone_and_the_sentence_has_the_measured_figures() {
    let Some(browser) = Browser::start() else { return };
    let server = server(Some(TOKEN));
    browser.set_viewport(1280, 720);
    open(&browser, &server);
    let settings = run(&browser, "done([livePage.settings.rate, livePage.pollInterval, get('verdict').textContent]);");
    assert_eq!(settings, json!([0, 3000, ""]));
    // Key 1 picks polling; the slider is moved to 2.0 s.
    let said = run(
        &browser,
        "press('1');
         get('seconds').value = 2;
         get('seconds').dispatchEvent(new Event('input'));
         done([get('said').textContent, get('seconds-value').textContent, column('polling').querySelector('.phone').ariaPressed]);",
    );
    assert_eq!(said, json!(["Your prediction: Polling is last,", "2.0 s after the goal", "true"]));
    goal(&browser);
    assert_eq!(server.feed().head().0, 1);
    let shown = run(
        &browser,
        "const phones = livePage.lanes.map(({ name }) => {
             const { dataset: { ball }, lastElementChild: phone } = column(name);
             return [name, ball, phone.querySelector('.delay').textContent, `${(lane(name).deliveries[0].latency / 1000).toFixed(2)} s`];
         });
         done([phones, get('verdict').textContent, get('account').textContent]);",
    );
    let phones = shown[0].as_array().unwrap();
    assert_eq!(phones.len(), 5);
    for phone in phones {
        assert_eq!(phone[1], "arrived", "{phone}");
        assert_eq!(phone[2], phone[3], "the phone shows what its lane measured");
    }
    // Polling was last, unless its request came at the moment of the event.
    let delay = |phone: &Value| phone[2].as_str().unwrap().trim_end_matches(" s").parse::<f64>().unwrap();
    assert!(phones.iter().all(|phone| delay(phone) >= 0.3), "{phones:?}");
    let last = phones.iter().max_by(|a, b| delay(a).total_cmp(&delay(b))).unwrap();
    let verdict = shown[1].as_str().unwrap();
    assert!(verdict.starts_with("You said Polling, 2.0 s. It was "), "{verdict}");
    assert!(verdict.contains(&format!(", {}", last[2].as_str().unwrap())), "{verdict}: {phones:?}");
    if last[0] == "polling" {
        let waited = run(
            &browser,
            "const { chunks, deliveries } = lane('polling');
             done(((chunks.find(({ up, seqs }) => !up && seqs).at - deliveries[0].at) / 1000).toFixed(2));",
        );
        let expected =
            format!("the news waited {} s for a request to come, and travelled 0.3", waited.as_str().unwrap());
        assert!(verdict.contains(&expected) && verdict.contains("The others had something open: 0.3"), "{verdict}");
    }
    for phone in phones {
        assert!(shown[2].as_str().unwrap().contains(phone[2].as_str().unwrap()), "{shown}");
    }
    // Again, with the other key.
    run(
        &browser,
        "press('r'); when(() => !get('goal').hidden, () => { press('e'); when(() => !get('again').hidden, () => done(0)); });",
    );
    assert_eq!(server.feed().head().0, 2);
    // In Korean, the sentence is another one, with the same figures.
    let korean = run(&browser, "press('l'); done([document.documentElement.lang, get('verdict').textContent]);");
    assert_eq!(korean[0], "ko");
    assert!(korean[1].as_str().unwrap().starts_with("예측은 폴링, 2.0초였습니다."), "{korean}");
    assert_eq!(browser.console_errors(), [""; 0]);
}

#[test]
fn over_many_goals_the_event_waits_for_polls_and_for_nothing_else() {
    let Some(browser) = Browser::start() else { return };
    let server = server(None);
    open(&browser, &server);
    run(&browser, "livePage.order('pollInterval', { ms: 1000 }); done(0);");
    for _ in 0..5 {
        server.feed().publish(protocol::clock::now_ns(), "goal");
        let events = server.feed().head().0;
        run(&browser, &format!("when(() => livePage.lanes.every(lane => lane.received >= {events}), () => done(0));"));
    }
    // How long each event waited at the server, at least, in ms.
    let longest = run(
        &browser,
        "setTimeout(() => done(Object.fromEntries(livePage.lanes.map(({ name, chunks, deliveries }) => [name, Math.max(...deliveries.map(({ seq, at }) =>
             chunks.find(({ up, seqs }) => !up && seqs && seqs[0] <= seq && seq <= seqs[1]).at - at))]))), 500);",
    );
    let of = |name: &str| longest[name].as_f64().unwrap();
    for push in ["ndjson", "sse", "websocket"] {
        assert!(of(push) < of("polling"), "{longest}");
    }
}

#[test]
fn the_delay_of_the_presenter_s_slider_is_measured_by_every_lane() {
    let Some(browser) = Browser::start() else { return };
    let server = server(None);
    open(&browser, &server);
    let set = |ms: u64| {
        run(
            &browser,
            &format!(
                "const slider = document.querySelector('#tools .delay');
                 slider.value = {ms};
                 slider.dispatchEvent(new Event('change'));
                 when(() => livePage.settings.delay_ms === {ms} && connected(), () => done(document.querySelector('.delay-value').textContent));"
            ),
        )
    };
    assert_eq!(set(1000), json!("1 s"));
    server.feed().publish(protocol::clock::now_ns(), "goal");
    let latencies = run(
        &browser,
        "when(() => livePage.lanes.every(lane => lane.received === 1), () => done(livePage.lanes.map(lane => lane.deliveries[0].latency)));",
    );
    // The clocks of browser and server are known to a few ms.
    assert!(latencies.as_array().unwrap().iter().all(|latency| latency.as_f64().unwrap() >= 990.0), "{latencies}");
    // Without a delay, the lanes connect to the server itself, and continue where they were.
    set(0);
    server.feed().publish(protocol::clock::now_ns(), "goal");
    let seqs = run(
        &browser,
        "when(() => livePage.lanes.every(lane => lane.received === 2), () => done(livePage.lanes.map(lane => [lane.deliveries.map(({ seq }) => seq), lane.missed, lane.repeated])));",
    );
    assert_eq!(seqs, json!(vec![json!([[1, 2], 0, 0]); 5]));
    assert_eq!(browser.console_errors(), [""; 0]);
}

#[test]
fn what_a_lane_publishes_takes_the_delayed_way_too_with_the_presenter_s_rights() {
    let Some(browser) = Browser::start() else { return };
    let server = server(Some(TOKEN));
    open(&browser, &server);
    let sent = run(
        &browser,
        "for (const name of ['polling', 'websocket']) livePage.order('send', { name, text: name });
         const request = () => lane('polling').chunks.find(({ up, data }) => up && new TextDecoder().decode(data.subarray(0, 14)) === 'POST /publish?');
         when(() => request() && livePage.lanes.every(({ received }) => received === 2), () => done(request().at - request().askedAt + livePage.error));",
    );
    assert!(sent.as_f64().unwrap() >= 300.0, "{sent} ms");
    assert_eq!(browser.console_errors(), [""; 0]);
}

/// Chooses a fault with its key, and waits until `condition` is true for the lanes.
fn break_it(browser: &Browser, key: &str, fault: &str) {
    let chosen = run(
        browser,
        &format!(
            "press('{key}'); when(() => document.querySelector('[data-fault={fault}]')?.ariaPressed === 'true', () => done(0));"
        ),
    );
    assert_eq!(chosen, json!(0));
}

/// Waits until exactly these lanes have failed, and their phones say so in words that begin with `said`.
fn failed(browser: &Browser, lanes: &[&str], said: &str) {
    let failing = run(
        browser,
        &format!(
            "const failing = () => [...document.querySelectorAll('.line[data-failed=true]')].map(line => [line.dataset.lane, line.querySelector('.how').textContent]);
             const expected = {};
             when(() => failing().length === expected.length && failing().every(([name, how], at) => name === expected[at] && how.startsWith('{said}')),
                 () => done(true));",
            json!(lanes)
        ),
    );
    assert_eq!(failing, json!(true));
}

/// Ends the fault, and checks that every lane receives everything once.
fn recovers(browser: &Browser, server: &Server) {
    break_it(browser, "n", "off");
    server.feed().publish(protocol::clock::now_ns(), "afterwards");
    let head = server.feed().head().0;
    let received = run(
        browser,
        &format!(
            "when(() => livePage.lanes.every(lane => lane.received === {head}) && connected() && !document.querySelector('.line[data-failed=true]'),
                 () => done(livePage.lanes.map(lane => [lane.received, lane.missed, lane.repeated])));"
        ),
    );
    assert_eq!(received, json!(vec![json!([head, 0, 0]); 5]));
}

#[test]
fn a_proxy_that_buffers_silences_streams_and_a_lost_upgrade_refuses_the_websocket() {
    let Some(browser) = Browser::start() else { return };
    let server = server(None);
    open(&browser, &server);
    break_it(&browser, "g", "buffer");
    let watch = run(&browser, "done(document.querySelector('.watch-for').textContent.slice(0, 13));");
    assert_eq!(watch, json!("A proxy holds"));
    server.feed().publish(protocol::clock::now_ns(), "held back");
    failed(&browser, &["ndjson", "sse"], "asked, no response yet");
    recovers(&browser, &server);
    let said = run(&browser, "done(column('sse').querySelector('.how').textContent);");
    let said = said.as_str().unwrap();
    assert!(said.starts_with("back ") && said.ends_with(" s after the fault, none missed"), "{said}");

    break_it(&browser, "u", "drop-upgrade");
    server.feed().publish(protocol::clock::now_ns(), "without WebSocket");
    failed(&browser, &["websocket"], "refused: 4");
    recovers(&browser, &server);
}

#[test]
fn after_a_crash_and_a_half_open_network_every_lane_resumes_where_it_was() {
    let Some(browser) = Browser::start() else { return };
    let server = server(None);
    open(&browser, &server);
    break_it(&browser, "o", "half-open");
    server.feed().publish(protocol::clock::now_ns(), "unheard");
    // The browser has been told nothing: every connection looks open.
    let all = ["polling", "long_polling", "ndjson", "sse", "websocket"];
    failed(&browser, &all, "looks open, but misses 1");
    recovers(&browser, &server);

    run(
        &browser,
        "press('k'); when(() => livePage.settings.fault === 'crash', () => when(() => column('websocket').dataset.failed === 'true', () => done(0)));",
    );
    server.feed().publish(protocol::clock::now_ns(), "during the crash");
    run(&browser, "when(() => livePage.settings.fault === 'off', () => done(0));");
    recovers(&browser, &server);
}

#[test]
fn a_proxy_that_cuts_silence_loses_connections_and_no_events() {
    let Some(browser) = Browser::start() else { return };
    let server = server(None);
    open(&browser, &server);
    break_it(&browser, "i", "cut-idle");
    let before = run(&browser, "done(lane('sse').reconnects);").as_u64().unwrap();
    let cut = run(
        &browser,
        &format!(
            "when(() => ['ndjson', 'sse', 'websocket'].every(name => lane(name).reconnects > {before} + 1), () => done(lane('polling').reconnects));"
        ),
    );
    assert!(cut.as_u64().unwrap() <= before + 1, "polling is not silent");
    recovers(&browser, &server);
}

#[test]
fn a_recovery_counts_from_the_end_of_the_fault_and_otherwise_from_the_loss_of_the_connection() {
    let Some(browser) = Browser::start() else { return };
    let server = server(None);
    browser.open(&format!("{}/?lang=en", server.url()));
    let conditions = run(
        &browser,
        "import('/page/condition.js').then(({ Condition, words }) => {
             const said = (faultEndedAt, lostAt) => {
                 const condition = new Condition();
                 const lane = { name: 'sse', state: 'on', chunks: [], cursor: 0, missed: 0, lostAt: null, onSince: 0 };
                 let time = 0;
                 const shared = { now: () => time, published: [], pollInterval: 1000, settings: { delay_ms: 0 }, faultEndedAt: -Infinity };
                 condition.update(lane, shared);
                 // The page looks every now and then; the connection is lost at 1000 and works again at 9250.
                 Object.assign(lane, { state: 'lost', lostAt });
                 for (time = 1400; time < 9000; time += 500) condition.update(lane, shared);
                 shared.faultEndedAt = faultEndedAt;
                 Object.assign(lane, { state: 'on', onSince: 9250 });
                 time = 9400;
                 return words(condition.update(lane, shared));
             };
             done([said(9000, 1000), said(-Infinity, 1000), said(-Infinity, null)]);
         });",
    );
    // One that was started anew has not lost a connection since: the failure was noticed at 1400.
    let expected =
        ["back 0.3 s after the fault, none missed", "back after 8.3 s, none missed", "back after 7.8 s, none missed"];
    assert_eq!(conditions, json!(expected));
}

#[test]
fn taking_back_the_seventh_tab_while_its_streams_open_does_not_wait_for_them() {
    let Some(browser) = Browser::start() else { return };
    let server = server(None);
    browser.open(&format!("{}/?lang=en", server.url()));
    // Streams that never open.
    let waited = run(
        &browser,
        "import('/page/other_tabs.js').then(async ({ OtherTabs }) => {
             const tabs = new OtherTabs();
             let isOver = false;
             const opening = tabs.open('http://127.0.0.1:1').then(() => (isOver = true));
             await new Promise(resolve => setTimeout(resolve, 100));
             const before = isOver;
             const closed = performance.now();
             tabs.close();
             await opening;
             done([before, tabs.areOpen, performance.now() - closed < 5000]);
         });",
    );
    assert_eq!(waited, json!([false, false, true]));
}

#[test]
fn a_slider_stays_where_it_was_put_until_its_setting_has_come() {
    let Some(browser) = Browser::start() else { return };
    let server = server(None);
    browser.open(&format!("{}/?lang=en", server.url()));
    let shown = run(
        &browser,
        "import('/page/slider.js').then(async ({ Slider }) => {
             const input = Object.assign(document.createElement('input'), { type: 'range', min: 0, max: 100 });
             const slider = new Slider(input, document.createElement('output'), { words: String, apply: () => {} });
             const shows = (value) => (slider.show(value), Number(input.value));
             slider.show(10);
             input.value = 50;
             input.dispatchEvent(new Event('change'));
             // The setting from before, the new one, and then that of another presenter.
             done([10, 50, 30].map(shows));
         });",
    );
    assert_eq!(shown, json!([50, 50, 30]));
}

#[test]
fn a_question_ends_with_the_goal_even_in_a_hidden_tab_and_closes_with_the_scene() {
    let Some(browser) = Browser::start() else { return };
    let server = server(None);
    // A hidden tab draws nothing.
    browser.before_each_page("window.requestAnimationFrame = () => 0;");
    open(&browser, &server);
    run(
        &browser,
        "for (const repeat of [false, true, true]) document.body.dispatchEvent(new KeyboardEvent('keydown', { key: 'a', bubbles: true, repeat }));
         when(() => get('votes').textContent, () => done(0));",
    );
    let question =
        "fetch('/hall/state').then(response => response.json()).then(({ question }) => done(question?.id ?? null));";
    assert_eq!(run(&browser, question), json!(1), "a key that is held down asks once");
    server.feed().publish(protocol::clock::now_ns(), "goal");
    let ended = "const look = async () => (await (await fetch('/hall/state')).json()).question.shown ? done(true) : setTimeout(look, 20);
         look();";
    assert_eq!(run(&browser, ended), json!(true));
    browser.open(&format!("{}/hall?lang=en", server.url()));
    let closed = "const look = async () => (await (await fetch('/hall/state')).json()).question ? setTimeout(look, 20) : done(true);
         look();";
    assert_eq!(run(&browser, closed), json!(true));
}

#[test]
fn a_slow_reader_receives_a_burst_late_and_completely() {
    let Some(browser) = Browser::start() else { return };
    let server = server(None);
    open(&browser, &server);
    break_it(&browser, "w", "slow-reader");
    run(&browser, "when(connected, () => done(0));");
    // Over each lane, these take at least four seconds at 5 kB a second; the page notices after three.
    for _ in 0..100 {
        server.feed().publish(protocol::clock::now_ns(), &"x".repeat(200));
    }
    let missing = run(
        &browser,
        "const seen = new Set();
         const look = () => {
             const lines = [...document.querySelectorAll('.line[data-condition=silent]')];
             lines.filter(line => line.querySelector('.how').textContent.startsWith('looks open, but misses ')).forEach(line => seen.add(line.dataset.lane));
             return ['ndjson', 'sse', 'websocket'].every(name => seen.has(name));
         };
         when(look, () => done(true));",
    );
    assert_eq!(missing, json!(true));
    // Nothing is lost, even before the fault ends.
    run(&browser, "when(() => lane('websocket').received === 100, () => done(0));");
    recovers(&browser, &server);
}

#[test]
fn the_seventh_tab_s_requests_wait_in_the_browser_and_its_websocket_does_not() {
    let Some(browser) = Browser::start() else { return };
    let server = server(None);
    open(&browser, &server);
    break_it(&browser, "7", "seventh-tab");
    failed(&browser, &["polling", "long_polling", "ndjson", "sse"], "asked, no response yet");
    server.feed().publish(protocol::clock::now_ns(), "over WebSocket only");
    let received = run(
        &browser,
        "when(() => lane('websocket').received === 1, () => done(livePage.lanes.map(({ received }) => received)));",
    );
    assert_eq!(received, json!([0, 0, 0, 0, 1]));
    recovers(&browser, &server);
}

#[test]
fn phones_predict_the_goal_and_the_scene_shows_their_predictions_beside_the_measurement() {
    let Some(browser) = Browser::start() else { return };
    let server = server(Some(TOKEN));
    browser.set_viewport(360, 740);
    browser.open(&format!("{}/join?lang=en", server.url()));
    run(&browser, "when(() => get('transport').textContent, () => done(0));");
    browser.new_tab();
    browser.set_viewport(1280, 720);
    open(&browser, &server);
    let asked = run(
        &browser,
        "press('a'); when(() => get('votes').textContent.includes(' of 1 '), () => done([get('votes').textContent, get('ask-phones').hidden]));",
    );
    assert_eq!(asked, json!(["0 of 1 phones have predicted", true]));
    browser.show_tab_number(0);
    let answered = run(
        &browser,
        "when(() => !get('question').hidden, () => {
             const isIncomplete = get('send').disabled;
             get('choices').children[0].click();
             get('guess').value = 2;
             get('guess').dispatchEvent(new Event('input'));
             const shown = [isIncomplete, get('send').disabled, get('choices').children[0].ariaPressed, get('value').textContent];
             get('send').click();
             when(() => !get('answered').hidden, () => done(shown));
         });",
    );
    assert_eq!(answered, json!([true, false, "true", "2.0 s"]));
    browser.show_tab_number(1);
    let before = run(
        &browser,
        "when(() => get('votes').textContent.startsWith('1 '), () => done([...document.querySelectorAll('[data-votes]')].length));",
    );
    assert_eq!(before, json!(0), "nobody sees what others have said before the goal");
    goal(&browser);
    let shown = run(
        &browser,
        "when(() => document.querySelector('[data-votes]'), () => done([get('verdict').textContent, ['polling', 'sse'].map(name => column(name).querySelector('.guess').textContent)]));",
    );
    let verdict = shown[0].as_str().unwrap();
    assert!(verdict.starts_with("1 of 1 phones said Polling, and the median was 2.0 s. It was "), "{verdict}");
    assert_eq!(shown[1], json!(["1 phone", "0 phones"]));
    let question =
        "fetch('/hall/state').then(response => response.json()).then(({ question }) => done(question?.shown ?? null));";
    assert_eq!(run(&browser, question), json!(true));
    run(&browser, "press('r'); done(0);");
    let closed = "const look = async () => (await (await fetch('/hall/state')).json()).question ? setTimeout(look, 20) : done([get('votes').textContent, get('ask-phones').hidden]);
         look();";
    assert_eq!(run(&browser, closed), json!(["", false]));
    assert_eq!(browser.console_errors(), [""; 0]);
}

#[test]
fn a_viewer_predicts_and_watches_on_a_phone_without_controls_that_do_nothing() {
    let Some(browser) = Browser::start() else { return };
    let server = server(Some(TOKEN));
    let Some(presenter) = Browser::start() else { return };
    open(&presenter, &server);
    browser.set_viewport(360, 740);
    browser.open(&format!("{}/?lang=en&slow=1", server.url()));
    ready(&browser);
    let shown = run(
        &browser,
        "const visible = [...document.querySelectorAll('button, input, select, a')].filter(control => control.checkVisibility());
         done([document.documentElement.scrollWidth - document.documentElement.clientWidth,
               visible.filter(control => control.disabled || control.matches('[data-control]')).length,
               get('watching').hidden, visible.filter(control => control.matches('.phone')).length]);",
    );
    assert_eq!(shown, json!([0, 0, false, 5]), "nothing beyond the right edge, no dead control, five phones");
    run(&browser, "column('polling').querySelector('.phone').click(); press('e'); done(0);");
    let refused = run(
        &browser,
        "fetch('/control', { method: 'POST', body: '{\"fault\":\"crash\"}' }).then(({ status }) => done(status));",
    );
    assert_eq!(refused, json!(403));
    assert_eq!(server.feed().head().0, 0, "a viewer's key publishes nothing");
    goal(&presenter);
    let verdict = run(&browser, "when(() => !get('again').hidden, () => done(get('verdict').textContent));");
    assert!(verdict.as_str().unwrap().starts_with("You said Polling. It was "), "{verdict}");
    assert_eq!(presenter.console_errors(), [""; 0]);
}

#[test]
fn the_scene_fits_a_projector_and_a_phone_and_its_text_is_large_enough() {
    let Some(browser) = Browser::start() else { return };
    let server = server(None);
    for (width, height, parameters) in [
        (1280, 720, "?lang=en"),
        (1280, 720, "?lang=ko&theme=dark"),
        (1920, 1080, "?lang=en"),
        (360, 740, "?lang=ko"),
        (420, 860, "?lang=en"),
    ] {
        browser.set_viewport(width, height);
        browser.open(&format!("{}/{parameters}", server.url()));
        run(&browser, "when(() => window.livePage && connected(), () => done(0));");
        let faults = run(
            &browser,
            "const faults = [];
             const large = innerWidth >= 1280;
             for (const element of document.querySelectorAll('body *')) {
                 const hasText = [...element.childNodes].some(node => node.nodeType === Node.TEXT_NODE && node.data.trim());
                 if (!hasText || !element.checkVisibility() || element.matches('.visually-hidden, script, option')) continue;
                 const size = parseFloat(getComputedStyle(element).fontSize);
                 if (size < (large ? innerHeight / 720 * (element.matches('h1') ? 32 : 20) - 0.01 : 14)) faults.push(['small', element.outerHTML.slice(0, 60), size]);
                 const { right, bottom } = element.getBoundingClientRect();
                 if (right > innerWidth + 1 || (large && bottom > innerHeight + 1)) faults.push(['cut off', element.outerHTML.slice(0, 60), right, bottom]);
             }
             const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
             if (wide > 0) faults.push(['beyond the right edge', wide]);
             done(faults);",
        );
        assert_eq!(faults, json!([]), "{width} by {height}{parameters}");
    }
}
