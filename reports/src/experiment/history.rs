//! The same events over every generation of transports: bytes, requests and latency of each.

use protocol::experiment::{Drawing, Experiment, Line, Lines, Point, Status, Table, Verdict};
use protocol::facts::history::HistoryFacts;
use protocol::transport::Exchange;
use protocol::{Ledger, Transport};

use super::claims::verdict;
use super::draw::{axis, doubts, line};
use crate::judge::is_sound;
use crate::number::{short, short_or_dash};
use crate::table::scenario;

/// What a transport's sound rounds have in common.
struct Measured {
    transport: Transport,
    /// The bytes of all rounds, from connecting to closing.
    ledger: Ledger,
    /// Mean latency, in ms.
    mean_ms: Option<f64>,
}

impl Measured {
    fn bytes_per_event(&self) -> f64 {
        self.ledger.wire_bytes() as f64 / self.ledger.events.max(1) as f64
    }

    fn requests_per_event(&self) -> f64 {
        self.ledger.requests as f64 / self.ledger.events.max(1) as f64
    }
}

/// Claim 40: streaming came after long polling. The years decide it: when applications first streamed, and when they first long polled.
pub fn streaming_came_later(streaming: Option<u16>, long_polling: Option<u16>) -> Status {
    match (streaming, long_polling) {
        (Some(streaming), Some(long_polling)) if streaming > long_polling => Status::Holds,
        (Some(_), Some(_)) => Status::DoesNotHold,
        _ => Status::NotMeasurable,
    }
}

/// The first year in which one of the transports with that exchange was used.
fn first_year(transports: &[Transport], exchange: Exchange) -> Option<u16> {
    transports.iter().filter(|transport| transport.exchange() == exchange).map(|transport| transport.row().since).min()
}

/// Derives the experiment from its facts.
pub fn derive(facts: &HistoryFacts) -> Experiment {
    let comparison = &facts.rounds;
    let mut measured: Vec<Measured> = comparison
        .scenario
        .transports
        .iter()
        .map(|&transport| {
            let sound = || comparison.rounds_of(transport).filter(|round| is_sound(round));
            let mut ledger = Ledger::default();
            sound().for_each(|round| ledger += round.ledger);
            let mut latency = protocol::Histogram::default();
            sound().for_each(|round| latency.merge(&round.latency_ns));
            Measured { transport, ledger, mean_ms: latency.mean().map(|ns| ns / 1e6) }
        })
        .filter(|measured| measured.ledger.events > 0)
        .collect();
    measured.sort_by_key(|measured| measured.transport.row().since);
    let first = measured.iter().map(|measured| measured.transport.row().since).min().unwrap_or(0);
    let drawing = |name: &str, title: &str, label: &str, of: fn(&Measured) -> Option<f64>| {
        let point = |measured: &Measured| -> Option<Line> {
            let x = f64::from(measured.transport.row().since - first);
            Some(line(measured.transport, vec![Point::new(x, of(measured)?)]))
        };
        Drawing::Lines(Lines {
            name: name.into(),
            title: title.into(),
            caption: format!(
                "One subscriber, {} events a second of {} bytes, with a browser's headers. The year is that from which applications used a \
                 transport.",
                comparison.scenario.rate, comparison.scenario.payload_bytes
            ),
            x: axis(&format!("years after {first}"), false),
            y: axis(label, true),
            lines: measured.iter().filter_map(point).collect(),
        })
    };
    let row = |measured: &Measured| {
        vec![
            measured.transport.row().since.to_string(),
            measured.transport.label().into(),
            short(measured.bytes_per_event()),
            short(measured.requests_per_event()),
            short_or_dash(measured.mean_ms),
        ]
    };
    let extreme = |compare: fn(f64, f64) -> bool| {
        measured.iter().reduce(|a, b| if compare(b.bytes_per_event(), a.bytes_per_event()) { b } else { a })
    };
    let answer = match (extreme(|a, b| a < b), extreme(|a, b| a > b)) {
        (Some(least), Some(most)) => format!(
            "The same events take {} bytes each over {} ({}), and {} bytes each over {} ({}); opening and closing the connections included.",
            short(most.bytes_per_event()),
            most.transport.in_words(),
            most.transport.row().since,
            short(least.bytes_per_event()),
            least.transport.in_words(),
            least.transport.row().since,
        ),
        _ => "No round is sound.".into(),
    };
    let [streaming, long_polling] =
        [Exchange::Stream, Exchange::LongPoll].map(|exchange| first_year(&comparison.scenario.transports, exchange));
    let year = |year: Option<u16>| year.map_or_else(|| short_or_dash(None), |year| year.to_string());
    Experiment {
        title: "The same events over every transport since 1995".into(),
        question: "What did each generation of transports change?".into(),
        answer: vec![answer],
        doubts: doubts(&[comparison]),
        drawings: vec![
            drawing("history-bytes", "Bytes of an event over each generation of transports", "wire bytes per event", |measured| {
                Some(measured.bytes_per_event())
            }),
            drawing("history-latency", "Latency over each generation of transports", "mean latency in ms", |measured| {
                measured.mean_ms
            }),
        ],
        tables: vec![Table {
            title: "Each generation".into(),
            columns: ["year", "transport", "wire bytes/event", "requests/event", "mean latency, ms"].map(Into::into).to_vec(),
            rows: measured.iter().map(row).collect(),
        }],
        verdicts: vec![Verdict {
            figure: format!(
                "The first transport with a response that does not end was used from {}, and the first with a request that waits from {}",
                year(streaming),
                year(long_polling)
            ),
            why: "Netscape's browser streamed parts of a response in 1995, and hidden frames streamed scripts before XMLHttpRequest could \
                  wait for a response. What came later is streaming that a page can read without tricks."
                .into(),
            prediction: "The first transport with a response that does not end was used after the first with a request that waits.".into(),
            refuted_by: "A streaming transport among those that work here, and that was used before long polling: the years are those of the \
                         table of transports, and no measurement."
                .into(),
            working_point: scenario(comparison),
            turns_at: "Depends on what counts as streaming: server-sent events and the stream that a page reads with fetch() came later.".into(),
            ..verdict(40, streaming_came_later(streaming, long_polling))
        }],
        method: vec![
            format!("{}, over every transport that uses HTTP.", scenario(comparison)),
            "Bytes are those of the whole subscription, from connecting to closing: with few events, opening is a large part of them.".into(),
        ],
        ..Experiment::default()
    }
}
