//! The WebSocket interface of a browser: which events a page gets, and what it learns of a slow connection.

use protocol::experiment::{Experiment, Status, Table, Verdict};
use protocol::facts::browser::{BrowserFacts, PageReport, SocketEvent};

use super::claims::verdict;
use super::evidence::Answer;
use crate::number::{short, thousands};

/// The events of a connection that opens, brings two messages and is closed by the page.
const WHOLE: [&str; 4] = ["open", "message", "message", "close"];
/// The events of a connection that is refused.
const REFUSED: [&str; 2] = ["error", "close"];
/// The share of what a page sent to a peer that reads nothing, above which `send()` has queued it without telling the page.
const MIN_BUFFERED: f64 = 0.5;

/// Claim 30: a browser reports open, message, error and close, and can send and close. `None` without a browser.
pub fn reports_events(events: Option<(&[&str], &[&str])>) -> Status {
    let Some((events, refused)) = events else { return Status::NotMeasurable };
    Answer::from(events == WHOLE && refused == REFUSED).decides(Status::Holds, Status::DoesNotHold)
}

/// Claim 39: send() tells the page when the connection is slow. `threw` is whether it failed, and `buffered` the share of the sent bytes that
/// were queued in the browser. `None` without a browser.
pub fn tells_of_slowness(threw_and_buffered: Option<(bool, f64)>) -> Status {
    match threw_and_buffered {
        Some((true, _)) => Status::Holds,
        Some((false, buffered)) if buffered > MIN_BUFFERED => Status::DoesNotHold,
        Some((false, _)) | None => Status::NotMeasurable,
    }
}

/// Derives the experiment from its facts.
pub fn derive(facts: &BrowserFacts) -> Experiment {
    let page = facts.page.as_ref();
    let names = |events: &[SocketEvent]| -> Vec<String> { events.iter().map(|event| event.name.clone()).collect() };
    let in_words = |events: &[SocketEvent]| {
        let each = events.iter().map(|event| match event.code {
            Some(code) => format!("{} ({code})", event.name),
            None => event.name.clone(),
        });
        each.collect::<Vec<_>>().join(", ")
    };
    let missing = || "No browser was found, or its page reported nothing in time".to_string();
    let events = page.map_or_else(missing, |page| {
        format!(
            "A WebSocket that is opened, used and closed: {}. One that is refused: {}",
            in_words(&page.events),
            in_words(&page.refused_events)
        )
    });
    let sending = page.map_or_else(missing, |page| {
        format!(
            "Of {} bytes sent to a peer that reads nothing, the browser queued {}; send() returned after {} ms in all, and {}",
            thousands(page.sent_bytes),
            thousands(page.buffered_bytes),
            short(page.sending_ms),
            if page.threw { "threw an error" } else { "threw no error" }
        )
    });
    let named = page.map(|page| (names(&page.events), names(&page.refused_events)));
    fn plain(names: &[String]) -> Vec<&str> {
        names.iter().map(String::as_str).collect()
    }
    let borrowed = named.as_ref().map(|(events, refused)| (plain(events), plain(refused)));
    let share = |page: &PageReport| page.buffered_bytes as f64 / page.sent_bytes.max(1) as f64;
    let working_point = page.map_or_else(missing, |page| format!("One page in {}, loopback.", page.user_agent));
    Experiment {
        title: "The browser's interface to WebSocket".into(),
        question: "Which events does a page get, and what does it learn of a slow connection?".into(),
        answer: vec![format!("{events}."), format!("{sending}.")],
        tables: vec![Table {
            title: "Events in the page".into(),
            columns: ["connection", "events"].map(Into::into).to_vec(),
            rows: page.map_or_else(Vec::new, |page| {
                vec![
                    vec!["opened, used and closed".into(), in_words(&page.events)],
                    vec!["refused by the server".into(), in_words(&page.refused_events)],
                ]
            }),
        }],
        verdicts: vec![
            Verdict {
                figure: events,
                why: "The interface is small: a constructor, send() and close(), and four events. A page does not learn why a connection was \
                      refused: error has no reason, and the code of the close is 1006."
                    .into(),
                prediction: "The events of a connection are open, message, message and close; those of a refused one are error and close.".into(),
                refuted_by: "Other events, or in another order.".into(),
                working_point: working_point.clone(),
                turns_at: "Does not change with the load: it is the standard's (WHATWG WebSockets).".into(),
                ..verdict(
                    30,
                    reports_events(borrowed.as_ref().map(|(events, refused)| (events.as_slice(), refused.as_slice()))),
                )
            },
            Verdict {
                figure: sending,
                why: "send() puts the data into a queue and returns. A page that wants to know whether the connection keeps up has to look at \
                      bufferedAmount, or to use WebSocketStream where a browser has it."
                    .into(),
                prediction: "send() fails or waits when the peer does not read.".into(),
                refuted_by: format!(
                    "No error, and more than {} % of the bytes in the browser's queue.",
                    MIN_BUFFERED * 100.0
                ),
                working_point,
                turns_at: "Changes with the amount: a browser closes the connection when its queue is full.".into(),
                ..verdict(39, tells_of_slowness(page.map(|page| (page.threw, share(page)))))
            },
        ],
        method: vec![
            "The load client serves a page to a headless Chromium, if one is installed; the page's script reports what happened.".into(),
        ],
        ..Experiment::default()
    }
}
