//! The hall in a browser: a phone's page in one tab, the big screen in another.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

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
    const when = (condition, then) => condition() ? then() : setTimeout(() => when(condition, then), 20);
    const press = key => document.body.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }));
    const hall = () => fetch('/hall/state').then(response => response.json());
";

fn run(browser: &Browser, script: &str) -> Value {
    browser.run(&format!("{HELP}{script}"))
}

/// What is beyond the right edge, or on a large screen beyond the lower one.
const CUT_OFF: &str = "
    const faults = [...document.querySelectorAll('body *')].filter(element => element.checkVisibility()).map(element => [element.outerHTML.slice(0, 80), element.getBoundingClientRect()])
        .filter(([, { right, bottom }]) => right > innerWidth + 1 || (innerWidth >= 1280 && bottom > innerHeight + 1)).map(([html]) => html);
    done([faults, document.documentElement.scrollWidth - document.documentElement.clientWidth]);";

/// Requests the hall's state until it meets a condition.
fn wait(browser: &Browser, condition: &str) -> Value {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let state = run(browser, &format!("hall().then(hall => done([{condition}, hall]));"));
        if state[0] == json!(true) {
            return state[1].clone();
        }
        assert!(Instant::now() < deadline, "{condition}: {state}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_phone_joins_receives_switches_and_answers_and_the_hall_shows_and_saves_it() {
    let Some(browser) = Browser::start() else { return };
    let server = server(Some(TOKEN));
    browser.follow(&server.presenter_page(&server.url(), "?lang=en"), "/?lang=en");
    // The presenter's cookie would let the phone do more; here both tabs have it.
    browser.set_viewport(360, 740);
    browser.open(&format!("{}/join?lang=en", server.url()));
    let joined = run(
        &browser,
        "when(() => get('said').textContent === 'waiting for an event', () => done([get('number').textContent, get('transport').textContent]));",
    );
    assert_eq!(joined, json!(["Phone 1", "SSE: one response that never ends"]));
    assert_eq!(run(&browser, CUT_OFF), json!([[], 0]));

    browser.new_tab();
    browser.set_viewport(1280, 720);
    browser.open(&format!("{}/hall?lang=en", server.url()));
    run(&browser, "when(() => document.querySelector('.dot'), () => { press('e'); done(0); });");
    let shown = run(
        &browser,
        "when(() => document.querySelector('.dot').dataset.last === 'true' && get('summary').children.length === 1,
             () => done([get('counts').textContent, document.querySelector('.dot').textContent, get('invitation').hidden]));",
    );
    assert_eq!(shown, json!(["1 joined, 1 received event 1, 0 missed", "1", true]));
    let sse = wait(&browser, "hall.summary[0]?.count === 1");
    assert_eq!((&sse["summary"][0]["transport"], &sse["summary"][0]["requests"]), (&json!("sse"), &json!(1)));
    assert_eq!(run(&browser, CUT_OFF), json!([[], 0]));

    // Everybody polls, and the server's requests per second grow.
    run(
        &browser,
        "get('interval').value = '500'; get('interval').dispatchEvent(new Event('change')); press('1'); done(0);",
    );
    let polls = wait(&browser, "hall.requests_per_second >= 1");
    assert_eq!((&polls["transport"], &polls["poll_interval_ms"]), (&json!("polling"), &json!(500)));
    let shows = run(&browser, "when(() => Number(get('requests').textContent) >= 1, () => done(true));");
    assert_eq!(shows, json!(true));

    // A question, with its answer on the phone.
    run(
        &browser,
        "press('a'); when(() => get('asking').open, () => { get('ready').children[0].click(); when(() => !get('question').hidden, () => done(0)); });",
    );
    browser.show_tab_number(0);
    let question = run(
        &browser,
        "when(() => !get('question').hidden, () => {
             const choices = [...get('choices').children].map(button => button.textContent);
             get('choices').children[0].click();
             when(() => !get('answered').hidden, () => done([get('asked').textContent, choices, get('choices').hidden]));
         });",
    );
    let names = json!(["Polling", "Long polling", "HTTP stream", "SSE", "WebSocket"]);
    assert_eq!(question, json!(["Over which transport does an event arrive last?", names, true]));
    browser.show_tab_number(1);
    run(&browser, "press('e'); done(0);");
    wait(&browser, "hall.summary[0].transport === 'polling' && hall.summary[0].count === 1");
    let measured = run(
        &browser,
        "when(() => get('answer-count').textContent === '1 answer.', () => {
             press('m');
             when(() => get('measured').textContent, () => done([get('measured').textContent, document.querySelector('.marked .label').textContent]));
         });",
    );
    assert!(measured[0].as_str().unwrap().starts_with("Measured: Polling, median "), "{measured}");
    assert_eq!(measured[1], "Polling");
    let korean = run(&browser, "press('l'); done([document.documentElement.lang, get('asked').textContent]);");
    assert_eq!(korean, json!(["ko", "어느 방식에서 이벤트가 가장 늦게 도착할까요?"]));
    assert_eq!(run(&browser, CUT_OFF), json!([[], 0]));

    // What is printed has the question with its answer and the measurement, in light colours.
    let printed = run(
        &browser,
        "window.print = () => {
             const { children: [heading, bars, measured] } = document.querySelector('#all-questions .asked');
             done([heading.textContent, bars.children.length, bars.textContent.includes('1'), measured.textContent.startsWith('측정값: 폴링'), document.documentElement.dataset.theme]);
         };
         get('print').click();",
    );
    assert_eq!(printed, json!(["어느 방식에서 이벤트가 가장 늦게 도착할까요?", 5, true, true, "light"]));

    // The saved file has what the phone has shown.
    let csv = run(
        &browser,
        "const link = document.querySelector('.saves a[href$=csv]'); fetch(link.href).then(response => response.text()).then(csv => done([link.download, csv]));",
    );
    let lines: Vec<&str> = csv[1].as_str().unwrap().lines().collect();
    assert_eq!(lines.len(), 3, "{csv}");
    assert!(lines[1].starts_with("1,1,sse,") && lines[2].starts_with("1,2,polling,"), "{csv}");
    browser.show_tab_number(0);
    let last = run(&browser, "done([get('last-delay').textContent, get('said').textContent]);");
    assert_eq!(last[1], "after publication");
    let delay: f64 = lines[2].split(',').nth(3).unwrap().parse().unwrap();
    let words = if delay >= 1000.0 {
        format!("{} s", (delay / 10.0).round() / 100.0)
    } else if delay < 10.0 {
        format!("{delay:.1} ms")
    } else {
        format!("{delay:.0} ms")
    };
    assert_eq!(last[0], words);
    assert_eq!(browser.console_errors(), [""; 0]);
}

#[test]
fn a_viewer_looks_and_a_page_that_is_loaded_again_is_the_same_phone() {
    let Some(browser) = Browser::start() else { return };
    let server = server(Some(TOKEN));
    browser.set_viewport(360, 740);
    for _ in 0..2 {
        browser.open(&format!("{}/join?lang=ko", server.url()));
        let number = run(&browser, "when(() => get('transport').textContent, () => done(get('number').textContent));");
        assert_eq!(number, json!("휴대폰 1"));
    }
    assert_eq!(run(&browser, CUT_OFF), json!([[], 0]));
    browser.open(&format!("{}/hall?lang=ko", server.url()));
    let shown = run(
        &browser,
        "when(() => document.querySelector('.dot'), () => done([...document.querySelectorAll('body [data-control]')].filter(control => control.checkVisibility()).length));",
    );
    assert_eq!(shown, json!(0), "a viewer has no controls");
    assert_eq!(run(&browser, CUT_OFF), json!([[], 0]));
    run(&browser, "press('e'); press('1'); done(0);");
    let state = wait(&browser, "hall.joined === 1");
    assert_eq!((&state["head"], &state["transport"]), (&json!(0), &json!("sse")));
    assert_eq!(browser.console_errors(), [""; 0]);
}
