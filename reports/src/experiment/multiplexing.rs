//! Subscribers that share HTTP/2 connections: the cost of a subscriber, and the limit of browsers on connections of HTTP/1.1.

use protocol::Transport;
use protocol::experiment::{Drawing, Experiment, Lines, Point, Status, Table, Verdict};
use protocol::facts::multiplexing::{MultiplexingFacts, OpenedSources, TabsReport};
use protocol::result::Comparison;
use protocol::transport::Carrier;

use super::claims::verdict;
use super::draw::{axis, doubts, line};
use super::evidence::{BYTES, CPU, Estimate, LATENCY, figure, percent, times, utilisation};
use super::memory::growths;
use crate::number::{short, short_or_dash};
use crate::table::scenario;

/// Claim 44: an event over SSE and HTTP/2 costs about as much as over WebSocket, if the ratio is within these bounds.
const ABOUT: (f64, f64) = (0.8, 1.25);

/// The figures that decide claim 44: SSE over HTTP/2 compared with WebSocket over HTTP/1.1.
pub struct Compared {
    /// Whether a page can open as many event sources as it likes over HTTP/2, where it cannot over HTTP/1.1; `None` without a browser.
    pub limit_is_gone: Option<bool>,
    /// Wire bytes of an event over those of WebSocket.
    pub bytes: Estimate,
    /// Server CPU time of an event over that of WebSocket.
    pub cpu: Estimate,
}

/// Claim 44: under HTTP/2, nothing is left of WebSocket's advantage. It holds within limits where the limit of connections is gone, but an event
/// still costs more than over WebSocket.
pub fn nothing_is_left(compared: &Compared) -> Status {
    use super::evidence::Answer::{No, Unclear, Yes};
    let Some(limit_is_gone) = compared.limit_is_gone else { return Status::NotMeasurable };
    // Costing less than WebSocket also leaves nothing of its advantage.
    let costs_no_more = compared.bytes.below(ABOUT.1).and(compared.cpu.below(ABOUT.1));
    match (limit_is_gone, costs_no_more) {
        (false, _) => Status::DoesNotHold,
        (true, Yes) => Status::Holds,
        (true, No) => Status::HoldsWithinLimits,
        (true, Unclear) => Status::NotMeasurable,
    }
}

/// Whether every event source was open over HTTP/2, and fewer over HTTP/1.1.
fn limit_is_gone(tabs: &TabsReport) -> bool {
    tabs.http1.open < tabs.sources && tabs.http2.open == tabs.sources
}

/// Claim 26: many WebSockets share one TCP connection. Not in RFC 6455; over HTTP/2 they do. `connections` is how many were opened for
/// that many subscribers over each version.
pub fn share_a_connection(subscribers: u64, over_http1: Option<u64>, over_http2: Option<u64>) -> Status {
    match (over_http1, over_http2) {
        (Some(one), Some(two)) if one >= subscribers && two < subscribers => Status::HoldsWithinLimits,
        (Some(one), Some(_)) if one < subscribers => Status::Holds,
        (Some(_), Some(_)) => Status::DoesNotHold,
        _ => Status::NotMeasurable,
    }
}

/// Derives the experiment from its facts.
pub fn derive(facts: &MultiplexingFacts) -> Experiment {
    let streams = |comparison: &Comparison| comparison.scenario.streams_per_connection;
    let first = facts.shared.first();
    let last = facts.shared.last();
    let kib = |transport: Transport, count: u32| {
        let memory = facts
            .memory
            .iter()
            .find(|memory| memory.comparisons.first().is_some_and(|comparison| streams(comparison) == count))?;
        growths(memory).iter().find(|growth| growth.transport == transport).map(|growth| growth.slope().0)
    };
    let connections = |comparison: &Comparison, transport: Transport| {
        comparison.rounds_of(transport).next().map(|round| round.ledger.connections)
    };
    let settings: Vec<(&Comparison, Transport)> = facts
        .shared
        .iter()
        .flat_map(|comparison| comparison.scenario.transports.iter().map(move |&transport| (comparison, transport)))
        .collect();
    let row = |&(comparison, transport): &(&Comparison, Transport)| {
        let value = |measure| figure(comparison, transport, measure).value;
        let per_connection = match transport.carrier() {
            Carrier::H2 => streams(comparison).to_string(),
            _ => "-".into(),
        };
        vec![
            transport.label().into(),
            per_connection,
            short_or_dash(connections(comparison, transport).map(|count| count as f64)),
            short(value(BYTES)),
            short(value(CPU)),
            short(value(LATENCY)),
            short_or_dash(kib(transport, streams(comparison))),
        ]
    };
    let over_streams = |name: &str, title: &str, label: &str, of: &dyn Fn(&Comparison, Transport) -> Option<f64>| {
        let drawn = |transport: Transport| {
            let points =
                settings.iter().filter(|setting| setting.1 == transport).filter_map(|&(comparison, transport)| {
                    Some(Point::new(f64::from(streams(comparison)), of(comparison, transport)?))
                });
            line(transport, points.collect())
        };
        let transports = Transport::all_where(|transport| settings.iter().any(|setting| setting.1 == transport));
        Drawing::Lines(Lines {
            name: name.into(),
            title: title.into(),
            caption: "Subscribers that share a connection over HTTP/2. Over HTTP/1.1 each has its own, so there is one point.".into(),
            x: axis("subscribers per connection", true),
            y: axis(label, true),
            lines: transports.into_iter().map(drawn).filter(|line| !line.points.is_empty()).collect(),
        })
    };
    let sse = |measure| match first {
        Some(first) => times((first, Transport::SseH2), (first, Transport::WebSocket), measure),
        None => Estimate::UNKNOWN,
    };
    let compared = Compared { limit_is_gone: facts.tabs.as_ref().map(limit_is_gone), bytes: sse(BYTES), cpu: sse(CPU) };
    let opened = |sources: &OpenedSources, of: u32| {
        let request = match sources.request_ms {
            Some(ms) => format!("a further request took {} ms", short(ms)),
            None => "a further request had no response".into(),
        };
        format!("{} of {of} open, and {request}", sources.open)
    };
    let tabs = facts.tabs.as_ref().map_or_else(
        || "No browser was found".to_string(),
        |tabs| {
            format!(
                "Of the event sources of a page, over HTTP/1.1 {}; over HTTP/2 {}",
                opened(&tabs.http1, tabs.sources),
                opened(&tabs.http2, tabs.sources)
            )
        },
    );
    let subscribers = last.map_or(0, |last| u64::from(last.scenario.subscribers));
    let over_http1 = first.and_then(|first| connections(first, Transport::WebSocket));
    let over_http2 = last.and_then(|last| connections(last, Transport::WebSocketH2));
    let counted = |count: Option<u64>| short_or_dash(count.map(|count| count as f64));
    Experiment {
        title: "Many subscribers on one connection".into(),
        question: "What does HTTP/2 change for a subscriber, and how much depends on how many share a connection?".into(),
        answer: vec![
            format!("{tabs}."),
            format!(
                "A waiting SSE subscriber takes {} KiB of the server's memory over HTTP/1.1; over HTTP/2 {} KiB with a connection of its own, and {} \
                 KiB where {} share one.",
                short_or_dash(kib(Transport::Sse, 1)),
                short_or_dash(kib(Transport::SseH2, 1)),
                short_or_dash(last.and_then(|last| kib(Transport::SseH2, streams(last)))),
                last.map_or(0, streams)
            ),
        ],
        doubts: doubts(&facts.shared.iter().collect::<Vec<_>>()),
        drawings: vec![
            over_streams(
                "multiplexing-memory",
                "Server memory of a subscriber over subscribers per connection",
                "KiB per subscriber",
                &|comparison, transport| kib(transport, streams(comparison)),
            ),
            over_streams(
                "multiplexing-cpu",
                "Server CPU time of a delivery over subscribers per connection",
                "us of server CPU per event",
                &|comparison, transport| Some(figure(comparison, transport, CPU).value).filter(|value| value.is_finite()),
            ),
        ],
        tables: vec![Table {
            title: "A subscriber over subscribers per connection".into(),
            columns: [
                "transport",
                "streams/connection",
                "connections",
                "wire bytes/event",
                "server CPU, us/event",
                "mean latency, ms",
                "server memory, KiB/subscriber",
            ]
            .map(Into::into)
            .to_vec(),
            rows: settings.iter().map(row).collect(),
        }],
        verdicts: vec![
            Verdict {
                figure: format!(
                    "{subscribers} WebSockets took {} connections over HTTP/1.1, and {} over HTTP/2",
                    counted(over_http1),
                    counted(over_http2)
                ),
                why: "RFC 6455 gives each WebSocket a TCP connection of its own. Over HTTP/2 a WebSocket is a stream (RFC 8441), and the \
                      connection carries many."
                    .into(),
                prediction: "Fewer TCP connections than WebSockets.".into(),
                refuted_by: "As many TCP connections as WebSockets, over both versions. The claim holds within limits where it is true over HTTP/2 \
                             only."
                    .into(),
                working_point: last.map_or_else(String::new, scenario),
                turns_at: "Changes with the version of HTTP, not with the load.".into(),
                ..verdict(26, share_a_connection(subscribers, over_http1, over_http2))
            },
            Verdict {
                figure: format!(
                    "{tabs}. An event over SSE and HTTP/2, compared with WebSocket: bytes {}, server CPU {}",
                    compared.bytes.in_words(),
                    compared.cpu.in_words()
                ),
                why: "HTTP/2 removes the limit of six connections and compresses headers. What is left to WebSocket is the direction from client \
                      to server without a request, and that a server may write the same bytes to every connection: over HTTP/2, each stream has \
                      frames, flow control and a state of its own."
                    .into(),
                prediction: "A page opens every event source over HTTP/2, and an event costs about as much as over WebSocket.".into(),
                refuted_by: format!(
                    "Event sources that wait over HTTP/2 as well. The claim holds only within limits where an event takes more than {} times the \
                     bytes or the CPU time.",
                    ABOUT.1
                ),
                working_point: first.map_or_else(String::new, |first| {
                    format!("{}, at {} of a processor.", scenario(first), percent(utilisation(first, Transport::SseH2)))
                }),
                turns_at: "With more subscribers on a connection, one write carries the events of several of them.".into(),
                ..verdict(44, nothing_is_left(&compared))
            },
        ],
        method: vec![
            "The same feed to the same number of subscribers, with several numbers of streams per connection, in interleaved rounds.".into(),
            "Memory is the slope over several numbers of subscribers, as in the experiment memory.".into(),
            "The page opens its event sources at once to a server without TLS, which the browser speaks HTTP/1.1 with, and to one with TLS, where \
             both choose HTTP/2. Tabs of the same site share the browser's six connections."
                .into(),
        ],
        ..Experiment::default()
    }
}
