//! The overhead that the live page shows for its lanes, against the load client's ledger.
//!
//! Both measure a burst of 100 events over the same server. What is compared is the share of overhead: of all bytes in both directions since just
//! before the burst, those that do not belong to events. How often a poll is answered depends on the time and not on the accounting, so the ledger
//! gives the bytes of an exchange, and the page the number of exchanges.

// The browser tests of the server use all of it.
#[allow(dead_code)]
#[path = "../../server/tests/browser/driver.rs"]
mod driver;

use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bench_client::endpoint::Endpoint;
use bench_client::round::recorder::Recorder;
use bench_client::subscriber::Target;
use bench_client::subscriber::session;
use bench_client::subscriber::stop::Stop;
use protocol::result::Headers;
use protocol::{Cursor, Layer, Ledger, Transport};
use serde_json::{Value, json};
use server::{Options, Server};
use tokio::runtime::{Builder, LocalOptions};

use driver::Browser;

const BURST: u64 = 100;
/// Long enough for the burst, and for the page's figures, between two polls.
const POLL_INTERVAL: Duration = Duration::from_secs(3);
/// How far the two may be apart, in percentage points. The page shows whole ones, and its requests differ from the modelled ones in their
/// cookies and in the name of the browser.
const TOLERANCE: f64 = 2.0;

/// The transports that the live page shows at first.
fn lanes() -> Vec<Transport> {
    Transport::all_where(|transport| transport.is_today() && transport.is_lane())
}

#[test]
fn after_a_burst_the_page_shows_the_overhead_that_the_load_client_s_ledger_has() {
    let Some(browser) = Browser::start() else { return };
    let free: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let options = Options { listen: free, tcp_listen: free, rate: 0.0, payload: 200, ..Options::default() };
    let server = Server::start(&options).unwrap();
    let shown = shown(&browser, &server);
    let ledgers = ledgers(&server);
    for (transport, ledger) in lanes().into_iter().zip(ledgers) {
        let lane = &shown[transport.name()];
        let exchanges = lane["requests"].as_f64().unwrap();
        let headers = (ledger[Layer::RequestHeaders] + ledger[Layer::ResponseHeaders]) as f64;
        let answered = (ledger.requests - ledger.empty_polls).max(1) as f64;
        let overhead = ledger[Layer::Framing] as f64 + exchanges * headers / answered;
        let expected = 100.0 * overhead / (overhead + ledger[Layer::Event] as f64);
        let percent: f64 = lane["overhead"].as_str().unwrap().trim_end_matches(" %").parse().unwrap();
        assert!(
            (percent - expected).abs() <= TOLERANCE,
            "{transport}: {percent} % instead of {expected:.1} %: {ledger:?}"
        );
    }
}

/// What each lane of the page shows after a burst: its overhead, and the number of its requests.
fn shown(browser: &Browser, server: &Server) -> Value {
    let event_bytes = |server: &Server| -> usize {
        (0..BURST)
            .map(|seq| match server.feed().next(Cursor(seq)) {
                server::feed::Next::Event(event) => event.json().len(),
                _ => panic!("event {} is there", seq + 1),
            })
            .sum()
    };
    browser.open(&format!("{}/?view=lanes&lang=en", server.url()));
    // The burst comes shortly after a poll, so that no empty one is counted.
    browser.run(&format!(
        "const when = (condition, then) => condition() ? then() : setTimeout(() => when(condition, then), 10);
         const polling = () => livePage.lanes.find(({{ name }}) => name === 'polling');
         when(() => window.livePage?.lanes.length === 5 && livePage.lanes.every(lane => lane.state === 'on' && lane.chunks.length > 0), () => {{
             livePage.order('pollInterval', {{ ms: {} }});
             const polled = () => polling().requests;
             const first = polled();
             when(() => polled() > first + 1, () => setTimeout(() => {{
                 livePage.order('reset');
                 livePage.order('burst', {{ events: {BURST} }});
                 when(() => livePage.lanes.every(({{ received }}) => received === {BURST}), () => done(0));
             }}, 200));
         }});",
        POLL_INTERVAL.as_millis()
    ));
    // The trace may come after the events; the figures are written twice a second.
    browser.run(&format!(
        "const look = () => livePage.lanes.every(({{ bytes }}) => bytes.event === {})
             ? setTimeout(() => done(Object.fromEntries(livePage.lanes.map(({{ name, requests }}) =>
                 [name, {{ requests, overhead: document.querySelector(`[data-lane=${{name}}] .overhead`).textContent }}]))), 700)
             : setTimeout(look, 20);
         look();",
        event_bytes(server)
    ))
}

/// What the ledger of a subscriber over each transport has of a burst.
fn ledgers(server: &Server) -> Vec<Ledger> {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).unwrap();
    runtime.block_on(async {
        let (http, tcp) = (server.addresses().http, server.addresses().tcp);
        let target = Target {
            headers: Headers::Browser,
            poll_interval: POLL_INTERVAL,
            ..Target::lean(Endpoint::plain(http), tcp)
        };
        let (target, stop) = (Rc::new(target), Stop::default());
        let subscribed: Vec<_> = lanes()
            .into_iter()
            .map(|transport| {
                let recorder = Rc::new(RefCell::new(Recorder::new(0..u64::MAX, 0, Arc::default())));
                let (slot, after) = (Rc::default(), Cursor(BURST).into());
                let (recorded, stopped) = (recorder.clone(), stop.stopped());
                tokio::task::spawn_local(session::run(
                    transport,
                    target.clone(),
                    after,
                    Duration::ZERO,
                    slot,
                    recorded,
                    stopped,
                ));
                recorder
            })
            .collect();
        let wait = async |condition: &dyn Fn(&Recorder) -> bool| {
            while !subscribed.iter().all(|recorder| condition(&recorder.borrow())) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        wait(&|recorder| recorder.connected > 0).await;
        let ledger = |recorder: &Rc<RefCell<Recorder>>| *recorder.borrow().ledger.borrow();
        let before: Vec<Ledger> = subscribed.iter().map(ledger).collect();
        burst(http);
        tokio::time::timeout(3 * POLL_INTERVAL, wait(&|recorder| recorder.samples.len() as u64 == BURST))
            .await
            .unwrap();
        subscribed.iter().map(ledger).zip(before).map(|(after, before)| after - before).collect()
    })
}

/// Has the server publish a burst.
fn burst(http: SocketAddr) {
    let body = json!({ "burst": BURST }).to_string();
    let mut stream = TcpStream::connect(http).unwrap();
    let headers = format!(
        "POST /control HTTP/1.1\r\nHost: {http}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all((headers + &body).as_bytes()).unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    assert!(response.starts_with("HTTP/1.1 204 "), "{response}");
}
