//! The time from nothing to the first event, over the delay of the network.

use protocol::Transport;
use protocol::experiment::{Drawing, Experiment, Lines, Point, Table};
use protocol::facts::first_event::FirstEventFacts;
use protocol::facts::layers::FirstEvent;

use super::draw::{axis, line};
use super::layers::{mean_ms, round_trips};
use crate::number::{short, short_or_dash};

/// Derives the experiment from its facts.
pub fn derive(facts: &FirstEventFacts) -> Experiment {
    let of = |transport: Transport, tls: bool| -> Vec<&FirstEvent> {
        let openings =
            facts.openings.iter().filter(|opening| opening.tls == tls && opening.first.transport == transport);
        openings.map(|opening| &opening.first).collect()
    };
    let measured =
        Transport::all_where(|transport| !of(transport, false).is_empty() || !of(transport, true).is_empty());
    let trips = |transport, tls| round_trips(&of(transport, tls));
    let row = |transport: &Transport| {
        let last = |tls| of(*transport, tls).last().map(|event| mean_ms(event));
        let bytes =
            of(*transport, true).last().map(|event| event.ledger.wire_bytes() as f64 / event.ms.len().max(1) as f64);
        vec![
            transport.label().into(),
            short_or_dash(trips(*transport, false)),
            short_or_dash(trips(*transport, true)),
            short_or_dash(last(false)),
            short_or_dash(last(true)),
            short_or_dash(bytes),
        ]
    };
    let drawing = |tls: bool, name: &str, title: &str| {
        let lines = measured.iter().map(|&transport| {
            let points = of(transport, tls).into_iter().map(|event| Point::new(event.delay_ms as f64, mean_ms(event)));
            line(transport, points.collect())
        });
        Drawing::Lines(Lines {
            name: name.into(),
            title: title.into(),
            caption: "From the decision to connect until the first event, which is in the history already. Lines with the same number of round \
                      trips lie on each other."
                .into(),
            x: axis("one-way delay in ms", false),
            y: axis("until the first event, in ms", false),
            lines: lines.filter(|line| !line.points.is_empty()).collect(),
        })
    };
    let answer = match (
        trips(Transport::WebSocket, true),
        trips(Transport::WebSocketH2, true),
        trips(Transport::Sse, true),
    ) {
        (Some(websocket), Some(over_http2), Some(sse)) => vec![format!(
            "Over TLS, the first event comes after {} round trips over WebSocket and {} over SSE. A WebSocket over HTTP/2 takes {}: it must wait \
             for the server's settings before it may be opened, unless the connection is open already.",
            short(websocket),
            short(sse),
            short(over_http2)
        )],
        _ => Vec::new(),
    };
    let over_quic = trips(Transport::WebTransport, true).map(|trips| {
        format!(
            "WebTransport takes {}: QUIC opens the connection and agrees on keys in one round trip, and the request for the session is another.",
            short(trips)
        )
    });
    Experiment {
        title: "From nothing to the first event".into(),
        question: "How long does it take until a new subscriber has its first event, and over how many round trips?".into(),
        answer: answer.into_iter().chain(over_quic).collect(),
        drawings: vec![
            drawing(false, "first-event-plain", "Time to the first event, without TLS"),
            drawing(true, "first-event-tls", "Time to the first event, within TLS 1.3"),
        ],
        tables: vec![Table {
            title: "Round trips until the first event".into(),
            columns: [
                "transport",
                "round trips",
                "round trips, TLS",
                "over the longest delay, ms",
                "the same with TLS, ms",
                "bytes with TLS, with closing",
            ]
            .map(Into::into)
            .to_vec(),
            rows: measured.iter().map(row).collect(),
        }],
        method: vec![
            "Subscriptions are opened one after another over a modelled delay, each on a connection of its own, with a browser's headers. Round \
             trips are the growth of the time over that of the delay."
                .into(),
            "Opening the TCP connection is one round trip, and the handshake of TLS 1.3 another one; no session is resumed. QUIC opens the connection \
             and agrees on keys in one; WebTransport has no form without TLS.".into(),
        ],
        ..Experiment::default()
    }
}
