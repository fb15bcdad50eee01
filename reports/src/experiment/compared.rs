//! All transports under one load, for the claims about headers, frames and CPU.

use anyhow::Context;
use protocol::experiment::{Drawing, Experiment, Line, Lines, Point, Status, Table, Verdict};
use protocol::facts::compared::ComparedFacts;
use protocol::result::{Comparison, Scenario};
use protocol::transport::Exchange;
use protocol::{Layer, Transport};

use super::claims::verdict;
use super::draw::{axis, dashed, doubts, line};
use super::evidence::{Answer, CPU, Estimate, LATENCY, percent, times, utilisation};
use crate::number::{short, thousands};
use crate::summary::{Row, rows};

/// The smallest share of a processor at which the server counts as busy, the mean of both transports.
const MIN_BUSY: f64 = 0.5;
/// The longest header that a frame has, in bytes (RFC 6455, section 5.2).
const MAX_HEADER_BYTES: f64 = 14.0;
/// Claim 27: the smallest ratio of a WebSocket's opening bytes to raw TCP's that counts as different.
const MIN_OPENING_RATIO: f64 = 10.0;

/// The figures that decide claim 7: server CPU an event, long polling over HTTP streaming, at two loads.
pub struct Streaming {
    /// With few subscribers.
    pub small: Estimate,
    /// With many.
    pub busy: Estimate,
    /// The share of a processor that the server used at the busy load, the mean of both transports.
    pub utilisation: f64,
}

/// Claim 7: streaming spares the repeated request, so it costs less than long polling. The busy load decides: with few subscribers a
/// server is mostly idle, and its CPU time is the cost of its wake-ups.
pub fn streaming_costs_less(streaming: &Streaming) -> Status {
    let small = streaming.small.above(1.0);
    match streaming.busy.above(1.0) {
        Answer::Unclear => Status::NotMeasurable,
        _ if streaming.utilisation.is_nan() || streaming.utilisation < MIN_BUSY => Status::NotMeasurable,
        Answer::Yes if small == Answer::No => Status::HoldsWithinLimits,
        Answer::Yes => Status::Holds,
        Answer::No if small == Answer::Yes => Status::HoldsWithinLimits,
        Answer::No => Status::DoesNotHold,
    }
}

/// Claim 35: the largest ratio of WebSocket's latency to another transport's at which it counts as lower.
const LOWER: f64 = 0.95;

/// Claim 35: WebSocket gives the lowest latency. Mean latency of WebSocket over that of each other push transport in a browser.
pub fn lowest_latency(over_others: &[Estimate]) -> Status {
    Answer::all(over_others.iter().map(|ratio| ratio.below(LOWER))).decides(Status::Holds, Status::DoesNotHold)
}

/// The figures that decide claim 8: header bytes for each event, as they were counted on connections that carried many events, of the
/// transports over HTTP; and the event's own bytes.
pub struct HeaderBytes {
    /// Of each transport, for each event.
    pub transports: Vec<f64>,
    /// The event's own.
    pub event: f64,
}

/// Claim 8: all HTTP transports carry needlessly large headers with each message. Large is larger than the message. `None` where no
/// round is sound.
pub fn large_headers(headers: Option<&HeaderBytes>) -> Status {
    let Some(HeaderBytes { transports, event }) = headers else { return Status::NotMeasurable };
    match transports.iter().filter(|bytes| *bytes > event).count() {
        0 => Status::DoesNotHold,
        all if all == transports.len() => Status::Holds,
        _ => Status::HoldsWithinLimits,
    }
}

/// Claim 24: after the handshake there is no metadata at all. The bytes of frame header for each event; `None` where no round is
/// sound.
pub fn no_metadata(header: Option<f64>) -> Status {
    match header {
        None => Status::NotMeasurable,
        Some(0.0) => Status::Holds,
        Some(bytes) if bytes <= MAX_HEADER_BYTES => Status::HoldsWithinLimits,
        Some(_) => Status::DoesNotHold,
    }
}

/// Claim 27: a TCP socket and a WebSocket differ in how they connect. Bytes of opening and closing over those of raw TCP; `None` where
/// no round is sound.
pub fn connect_differently(ratio: Option<f64>) -> Status {
    ratio.map_or(Status::NotMeasurable, |ratio| {
        Answer::from(ratio > MIN_OPENING_RATIO).decides(Status::Holds, Status::DoesNotHold)
    })
}

/// Bytes of HTTP headers of all of a transport's exchanges together.
fn header_bytes(row: &Row) -> f64 {
    (row.ledger[Layer::RequestHeaders] + row.ledger[Layer::ResponseHeaders]) as f64
}

/// Bytes of headers of a request and a response that brought events.
fn exchange_bytes(row: &Row) -> f64 {
    header_bytes(row) / row.ledger.requests.saturating_sub(row.ledger.empty_polls).max(1) as f64
}

/// A load as text: "20 subscribers at 50 events/s".
fn load(comparison: &Comparison) -> String {
    let Scenario { subscribers, rate, .. } = comparison.scenario;
    format!("{} subscribers at {rate} events/s", thousands(subscribers.into()))
}

pub fn derive(facts: &ComparedFacts) -> anyhow::Result<Experiment> {
    let ComparedFacts { few, many } = facts;
    // The headers of a stream and handshakes count here, so the bytes are those of a connection's whole life and not of the window.
    let rows: Vec<Row> = rows(few).into_iter().map(|row| Row { ledger: row.whole, ..row }).collect();
    let of = |transport: Transport| {
        let found = rows.iter().find(|row| row.transport == transport);
        found.with_context(|| format!("{transport} is missing"))
    };
    let (polling, long_polling) = (of(Transport::Polling)?, of(Transport::LongPolling)?);
    let (stream, sse) = (of(Transport::Ndjson)?, of(Transport::Sse)?);
    let (websocket, tcp) = (of(Transport::WebSocket)?, of(Transport::Tcp)?);
    // A row without a sound round has no figures.
    let sound = |rows: &[&Row]| rows.iter().all(|row| row.sound > 0);
    let per_event = |row: &Row, layer: Layer| row.ledger[layer] as f64 / row.events();
    let per_connection = |row: &Row, bytes: f64| bytes / row.ledger.connections.max(1) as f64;
    let handshake = |row: &Row| per_connection(row, row.ledger[Layer::Handshake] as f64);

    let cpu = |comparison| times((comparison, Transport::LongPolling), (comparison, Transport::Ndjson), CPU);
    let share = |comparison: &Comparison| {
        [Transport::LongPolling, Transport::Ndjson].map(|transport| utilisation(comparison, transport))
    };
    let [busy_long_polling, busy_stream] = share(many);
    let streaming =
        Streaming { small: cpu(few), busy: cpu(many), utilisation: (busy_long_polling + busy_stream) / 2.0 };
    let at = |comparison: &Comparison, ratio: Estimate| {
        let [long_polling, stream] = share(comparison).map(percent);
        format!(
            "{} times at {} (the server used {long_polling} of a processor over long polling, {stream} over streaming)",
            ratio.in_words(),
            load(comparison)
        )
    };

    let over_http = [polling, long_polling, stream, sse];
    let event = per_event(long_polling, Layer::Event);
    let headers =
        HeaderBytes { transports: over_http.iter().map(|row| header_bytes(row) / row.events()).collect(), event };
    let once = per_connection(stream, header_bytes(stream));
    let carried = stream.events() / stream.ledger.connections.max(1) as f64;
    let each: Vec<String> = over_http
        .iter()
        .zip(&headers.transports)
        .map(|(row, bytes)| format!("{} B over {}", short(*bytes), row.transport.in_words()))
        .collect();
    let frame = per_event(websocket, Layer::Framing);
    let latency = times((few, Transport::WebSocket), (few, Transport::Tcp), LATENCY);
    let pushed = |transport: &Transport| transport.is_push() && transport.row().browser.is_some();
    let others: Vec<Transport> = few
        .scenario
        .transports
        .iter()
        .copied()
        .filter(|transport| pushed(transport) && *transport != Transport::WebSocket)
        .collect();
    let latencies: Vec<Estimate> =
        others.iter().map(|&other| times((few, Transport::WebSocket), (few, other), LATENCY)).collect();
    let over_others: Vec<String> = others
        .iter()
        .zip(&latencies)
        .map(|(other, ratio)| format!("{} times that of {}", ratio.in_words(), other.in_words()))
        .collect();
    let setting = format!("{}.", crate::table::scenario(few));
    let payload_bytes = few.scenario.payload_bytes;
    let verdicts = vec![
        Verdict {
            figure: format!(
                "Server CPU an event, long polling over HTTP streaming: {}; {}",
                at(few, streaming.small),
                at(many, streaming.busy)
            ),
            why: "A stream has no request to read and no headers to write for each event. Where events come faster than round trips, long \
                  polling puts many into one response and gets cheaper: see the experiment on the event rate."
                .into(),
            prediction: "An event costs the server more CPU over long polling than over HTTP streaming, at a load that keeps it busy."
                .into(),
            refuted_by: format!(
                "A ratio whose interval lies below 1 at {}. Where the server uses less than {} % of a processor, its CPU time is mostly \
                 the cost of its wake-ups, and decides nothing.",
                load(many),
                MIN_BUSY * 100.0
            ),
            working_point: format!(
                "{} and {}, {payload_bytes} B, a browser's headers, loopback without a delay.",
                load(few),
                load(many)
            ),
            turns_at: "Without a delay the verdict does not change between these loads. It changes where the response to a long poll \
                       carries several events: over a network, at an event rate beyond one over the round trip. The experiment on the event rate gives \
                       the crossing at a delay of 10 ms."
                .into(),
            ..verdict(7, streaming_costs_less(&streaming))
        },
        Verdict {
            figure: format!(
                "Header bytes for each event of {} B, on connections that carried {} events: {}",
                short(event),
                short(carried),
                each.join(", ")
            ),
            why: "Polling and long polling send headers with each response, however many events it carries; a stream sends them once."
                .into(),
            prediction: "Over each of the HTTP transports, the headers of an event have more bytes than the event itself.".into(),
            refuted_by: "Headers of fewer bytes than the event, for each event of a connection; if this is so for only some of the four \
                         transports, the claim holds within limits."
                .into(),
            working_point: format!("{setting} An event is {} B with its envelope.", short(event)),
            turns_at: format!(
                "A stream's headers of {} B fall below the event's {} B an event at {} events on one connection, and below a tenth of \
                 that at {}. The headers of a long poll, {} B, do so where it carries {} events; those of a poll, {} B, where it carries {}.",
                short(once),
                short(event),
                short(once / event),
                short(10.0 * once / event),
                short(exchange_bytes(long_polling)),
                short(exchange_bytes(long_polling) / event),
                short(exchange_bytes(polling)),
                short(exchange_bytes(polling) / event),
            ),
            ..verdict(8, large_headers(sound(&over_http).then_some(&headers)))
        },
        Verdict {
            figure: format!("{} B of frame header an event of {} B", short(frame), short(per_event(websocket, Layer::Event))),
            why: "A frame has no HTTP headers, but its own header has its kind and its length: 2, 4 or 10 bytes down, 4 more up for the mask."
                .into(),
            prediction: "An event takes no bytes besides its own.".into(),
            refuted_by: format!(
                "More than {MAX_HEADER_BYTES} B an event, the longest header. From 1 to {MAX_HEADER_BYTES} B the claim holds within limits: very \
                 little metadata, but not none."
            ),
            working_point: setting.clone(),
            turns_at: "The header grows from 2 to 4 B at a payload of 126 B, and to 10 B at 65,536 B; it never falls to 0.".into(),
            ..verdict(24, no_metadata(sound(&[websocket]).then_some(frame)))
        },
        Verdict {
            figure: format!(
                "Opening and closing {} B against {} B, framing {} B an event against {} B; mean latency of WebSocket over raw TCP: {} \
                 times",
                short(handshake(websocket)),
                short(handshake(tcp)),
                short(frame),
                short(per_event(tcp, Layer::Framing)),
                latency.in_words()
            ),
            why: "A WebSocket begins as HTTP and then puts its messages into frames; beyond that it is a TCP socket. The raw TCP protocol \
                  of this server begins with one line, by construction: this shows the difference and does not test it."
                .into(),
            prediction: format!("Opening a WebSocket takes at least {MIN_OPENING_RATIO} times the bytes of opening raw TCP."),
            refuted_by: format!("Opening bytes of at most {MIN_OPENING_RATIO} times those of raw TCP."),
            working_point: setting.clone(),
            turns_at: "Changes with the protocol over TCP: for one with a longer greeting than a line, the ratio is smaller.".into(),
            ..verdict(27, connect_differently(sound(&[websocket, tcp]).then(|| handshake(websocket) / handshake(tcp))))
        },
        Verdict {
            figure: format!("Mean latency of WebSocket: {}", over_others.join(", ")),
            why: "Once they are connected, all of them deliver an event with one write of the server and one read of the client. What differs is \
                  the other direction: a message from the client needs no request over WebSocket."
                .into(),
            prediction: "An event has a lower mean latency over WebSocket than over any other transport that pushes.".into(),
            refuted_by: format!("A ratio to one of them whose interval is not below {LOWER}."),
            working_point: setting.clone(),
            turns_at: "Does not change with a delay of the network, which is the same for all. The experiments upstream and frames show the other \
                       direction."
                .into(),
            ..verdict(35, lowest_latency(&latencies))
        },
    ];
    let table = Table {
        title: "Bytes by layer".into(),
        columns: std::iter::once("per event".to_string())
            .chain(Layer::ALL.map(|layer| layer.label().to_string()))
            .collect(),
        rows: rows
            .iter()
            .map(|row| {
                let layers = Layer::ALL.map(|layer| short(per_event(row, layer)));
                std::iter::once(row.transport.label().to_string()).chain(layers).collect()
            })
            .collect(),
    };
    Ok(Experiment {
        title: "Headers with each response, or once".into(),
        question: "How many bytes of headers does an event take, over the lifetime of a connection?".into(),
        answer: vec![verdicts[1].figure.clone() + ".", verdicts[0].figure.clone() + "."],
        doubts: doubts(&[few, many]),
        drawings: vec![Drawing::Lines(headers_over_events(&[polling, long_polling, stream, sse, websocket], event))],
        tables: vec![table],
        verdicts,
        method: vec![
            setting,
            format!(
                "For CPU also {}, in {} client processes, over long polling and HTTP streaming; all rounds in one shuffled order.",
                load(many),
                many.scenario.processes
            ),
            "The lines follow from the measured lengths of headers and handshakes; they are not measured at each point.".into(),
        ],
        ..Experiment::default()
    })
}

/// Bytes of headers and handshake for each event, over the events that a connection has carried.
fn headers_over_events(rows: &[&Row], event: f64) -> Lines {
    let of = |row: &&Row| -> Line {
        let connections = row.ledger.connections.max(1) as f64;
        let point = |events: f64| {
            let bytes = match row.transport.exchange() {
                // A response with one event has all of its headers.
                Exchange::Poll | Exchange::LongPoll => exchange_bytes(row),
                Exchange::Stream | Exchange::Socket => {
                    (header_bytes(row) + row.ledger[Layer::Handshake] as f64) / connections / events
                }
            };
            Point::new(events, bytes)
        };
        line(row.transport, [1.0, 10.0, 100.0, 1e3, 1e4].map(point).to_vec())
    };
    let mut lines: Vec<Line> = rows.iter().map(of).collect();
    lines.push(dashed("the event itself", [1.0, 1e4].map(|events| Point::new(events, event)).to_vec()));
    Lines {
        name: "heads".into(),
        title: "A stream's headers are spread over its events; a poll's come with each response".into(),
        caption: "Bytes of headers and handshake for each event, over the events that a connection has carried so far. The response to a \
                  poll is drawn with one event; several events share its headers. Polls without an event are left out. Headers are large \
                  while a line is above the dashed one."
            .into(),
        x: axis("events on one connection", true),
        y: axis("bytes of headers and handshake per event", true),
        lines,
    }
}
