//! Bare WebSocket and the protocols on top of it: what each adds, and what it is for.

use anyhow::Context;
use protocol::experiment::{Drawing, Experiment, Lines, Point, Status, Table, Verdict};
use protocol::facts::layers::{FirstEvent, LayersFacts, LibraryTrial, Trial};
use protocol::result::Headers;
use protocol::{Layer, Transport};

use super::claims::verdict;
use super::draw::{axis, doubts, line};
use super::evidence::{Answer, CPU, Estimate, percent, times, utilisation};
use super::memory::growths;
use crate::judge::is_sound;
use crate::number::{short, short_or_dash};
use crate::summary::{Row, rows};
use crate::table::scenario;

/// The sub-protocol that the server knows.
const SUBPROTOCOL: &str = "v12.stomp";

/// Claim 29: the fewest bytes by which STOMP's frames must be longer than bare messages: a format has at least a header.
const MIN_FORMAT_BYTES: f64 = 2.0;

/// Claim 29: WebSocket defines no message format, and a sub-protocol such as STOMP does. `opens_without` is whether a connection opens without a
/// sub-protocol that both sides know; the others are the bytes that frame an event, of WebSocket and of STOMP.
pub fn fixes_a_format(opens_without: Answer, websocket: Option<f64>, stomp: Option<f64>) -> Status {
    let (Some(websocket), Some(stomp)) = (websocket, stomp) else { return Status::NotMeasurable };
    opens_without.and(Answer::from(stomp >= websocket + MIN_FORMAT_BYTES)).decides(Status::Holds, Status::DoesNotHold)
}

/// The figures that decide claim 32.
pub struct Library {
    /// Whether a message was acknowledged.
    pub acknowledged: Answer,
    /// Framing bytes per event over those of bare WebSocket; `None` where no round is sound.
    pub framing: Option<f64>,
    /// Server CPU time per event over that of bare WebSocket.
    pub cpu: Estimate,
}

/// Claim 32: from this ratio on, the CPU time is more than that of bare WebSocket.
const MORE_CPU: f64 = 1.25;

/// Claim 32: Socket.IO adds acknowledgements, rooms and broadcasts, at a cost. It holds within limits where only bytes cost more.
pub fn at_a_cost(library: &Library) -> Status {
    let Some(framing) = library.framing else { return Status::NotMeasurable };
    match (library.acknowledged, framing > 1.0, library.cpu.above(MORE_CPU)) {
        (Answer::No, ..) | (Answer::Yes, false, Answer::No) => Status::DoesNotHold,
        (Answer::Unclear, ..) | (_, _, Answer::Unclear) => Status::NotMeasurable,
        (Answer::Yes, true, Answer::Yes) => Status::Holds,
        (Answer::Yes, ..) => Status::HoldsWithinLimits,
    }
}

/// Claim 16: of the sub-protocols and extensions that a client offers, one is chosen. `known` and `unknown` are the responses to offers of which
/// the server knows one and none, and `extension` is that to the offer of an extension. It holds within limits where no extension is chosen.
pub fn chooses_one(known: &LibraryTrial, unknown: &LibraryTrial, extension: &LibraryTrial) -> Status {
    // Without a handshake that succeeds, nothing is offered.
    if known.status != 101 {
        return Status::NotMeasurable;
    }
    if known.subprotocol.as_deref() != Some(SUBPROTOCOL) || unknown.subprotocol.is_some() || unknown.status != 101 {
        return Status::DoesNotHold;
    }
    if extension.extensions.is_some() { Status::Holds } else { Status::HoldsWithinLimits }
}

/// Claim 33: from another origin, such a library requires an allow-list. The trials are requests for a session by pages of the server's own
/// origin, of another one, and of another one that the options allow.
pub fn needs_an_allow_list(own: &LibraryTrial, foreign: &LibraryTrial, allowed: &LibraryTrial) -> Status {
    if own.status != 200 {
        return Status::NotMeasurable;
    }
    let named = allowed.allowed_origin.as_deref().is_some_and(|origin| origin != "*");
    Answer::from(foreign.status == 403 && allowed.status == 200 && named).decides(Status::Holds, Status::DoesNotHold)
}

/// Claim 38: Socket.IO detects the browser and picks the best transport. `begins_with_polling` is whether it first polls all the same.
pub fn picks_the_best(begins_with_polling: Answer) -> Status {
    begins_with_polling.decides(Status::DoesNotHold, Status::Holds)
}

/// The mean time until the first event, in ms.
pub fn mean_ms(event: &FirstEvent) -> f64 {
    event.ms.iter().sum::<f64>() / event.ms.len().max(1) as f64
}

/// Round trips until the first event: the growth of the time over that of the delay, each way.
pub fn round_trips(first_events: &[&FirstEvent]) -> Option<f64> {
    let (nearest, farthest) = first_events.first().zip(first_events.last())?;
    let delay = farthest.delay_ms.checked_sub(nearest.delay_ms).filter(|&delay| delay > 0)? as f64;
    Some((mean_ms(farthest) - mean_ms(nearest)) / (2.0 * delay))
}

/// Derives the experiment from its facts.
///
/// # Errors
/// When a transport or a trial is missing.
pub fn derive(facts: &LayersFacts) -> anyhow::Result<Experiment> {
    let LayersFacts { rounds, memory, first_events, message_bytes, sent, trials } = facts;
    let measured: Vec<Row> = rows(rounds);
    let row = |transport: Transport| measured.iter().find(|row| row.transport == transport && row.sound > 0);
    let framing = |transport| row(transport).map(|row| row.ledger[Layer::Framing] as f64 / row.events());
    let cpu = |transport| times((rounds, transport), (rounds, Transport::WebSocket), CPU);
    let first = |transport: Transport, headers: Headers| -> Vec<&FirstEvent> {
        first_events.iter().filter(|event| event.transport == transport && event.headers == headers).collect()
    };
    let each = |event: &FirstEvent, count: u64| count as f64 / event.ms.len().max(1) as f64;
    let growths = growths(memory);
    let kib = |transport: Transport| {
        growths.iter().find(|growth| growth.transport == transport).map(|growth| growth.slope().0)
    };
    let message = |transport: Transport| sent.iter().find(|sent| sent.transport == transport);
    let trial = |trial: Trial| -> anyhow::Result<&LibraryTrial> {
        trials.iter().find(|known| known.trial == trial).with_context(|| format!("the trial {trial:?} is missing"))
    };
    let transports: Vec<Transport> = measured.iter().map(|row| row.transport).collect();
    let deliveries = |&transport: &Transport| {
        let client_us = row(transport).map(|_| {
            let sums =
                rounds.rounds_of(transport).filter(|round| is_sound(round)).fold((0.0, 0.0), |(cpu, events), round| {
                    (cpu + round.client.cpu_ns as f64 / 1e3, events + round.server.deliveries as f64)
                });
            sums.0 / sums.1
        });
        vec![
            transport.label().into(),
            short_or_dash(framing(transport)),
            short_or_dash(row(transport).and_then(Row::cpu_us)),
            cpu(transport).in_words(),
            short_or_dash(client_us),
            short_or_dash(kib(transport)),
        ]
    };
    let opening = |transport: &Transport, headers: Headers| -> Option<Vec<String>> {
        let events = first(*transport, headers);
        let last = events.last()?;
        Some(vec![
            transport.label().into(),
            match headers {
                Headers::Lean => "lean",
                Headers::Browser => "browser",
            }
            .into(),
            short(each(last, last.ledger.requests)),
            short_or_dash(round_trips(&events)),
            short(mean_ms(last)),
            short(each(last, last.ledger.wire_bytes())),
        ])
    };
    let sent_row = |transport: &Transport| -> Option<Vec<String>> {
        let message = message(*transport)?;
        let acknowledgement = message.acknowledgement_bytes.map(|bytes| bytes as f64);
        Some(vec![transport.label().into(), message.up_bytes.to_string(), short_or_dash(acknowledgement)])
    };
    let lines = transports.iter().map(|&transport| {
        let points = first(transport, Headers::Lean).into_iter();
        line(transport, points.map(|event| Point::new(event.delay_ms as f64, mean_ms(event))).collect())
    });
    let trips = |transport| short_or_dash(round_trips(&first(transport, Headers::Lean)));
    let busy = percent(utilisation(rounds, Transport::SocketIo));
    let load = scenario(rounds);
    let text = |transport: Transport| short_or_dash(framing(transport));
    let answer = format!(
        "To frame an event, WebSocket takes {} bytes, STOMP {}, SockJS {} and Socket.IO {}. From connecting to the first event, WebSocket takes {} \
         round trips, and Socket.IO {}.",
        text(Transport::WebSocket),
        text(Transport::Stomp),
        text(Transport::SockJs),
        text(Transport::SocketIo),
        trips(Transport::WebSocket),
        trips(Transport::SocketIo),
    );
    let library = Library {
        acknowledged: message(Transport::SocketIo)
            .map_or(Answer::Unclear, |message| Answer::from(message.acknowledgement_bytes.is_some())),
        framing: framing(Transport::SocketIo).zip(framing(Transport::WebSocket)).map(|(one, other)| one / other),
        cpu: cpu(Transport::SocketIo),
    };
    let known = trial(Trial::KnownSubprotocol)?;
    let unknown = trial(Trial::UnknownSubprotocol)?;
    let extension = trial(Trial::Extension)?;
    let [own, foreign, allowed] =
        [trial(Trial::OwnOrigin)?, trial(Trial::ForeignOrigin)?, trial(Trial::AllowedOrigin)?];
    let plain = trial(Trial::PlainWebSocket)?;
    let chosen = |trial: &LibraryTrial| trial.subprotocol.clone().unwrap_or_else(|| "none".into());
    let begins_with_polling = own.status == 200 && own.body.contains("\"upgrades\":[\"websocket\"]");
    let socket_io_polls = first(Transport::SocketIo, Headers::Lean)
        .last()
        .map_or(Answer::Unclear, |event| Answer::from(each(event, event.ledger.requests) > 1.0));
    let no_load = "Does not change with the load: bytes do not depend on it.";
    Ok(Experiment {
        title: "What a library on top of WebSocket costs, and what it is for".into(),
        question: "What do STOMP, SockJS and Socket.IO cost over a bare WebSocket, and what do they add?".into(),
        answer: vec![answer],
        doubts: doubts(&[rounds]),
        drawings: vec![Drawing::Lines(Lines {
            name: "layers-first-event".into(),
            title: "Time to the first event over WebSocket and the protocols on top of it".into(),
            caption: "From the decision to connect until the first event, which is in the history already; lean headers.".into(),
            x: axis("one-way delay in ms", false),
            y: axis("until the first event, in ms", false),
            lines: lines.collect(),
        })],
        tables: vec![
            Table {
                title: "Deliveries".into(),
                columns: [
                    "transport",
                    "framing, B/event",
                    "server CPU, us/event",
                    "server CPU over WebSocket's",
                    "client CPU, us/event",
                    "server memory, KiB/connection",
                ]
                .map(Into::into)
                .to_vec(),
                rows: transports.iter().map(deliveries).collect(),
            },
            Table {
                title: "Until the first event, over the longest delay".into(),
                columns: ["transport", "headers", "requests", "round trips", "first event after, ms", "bytes, with closing"]
                    .map(Into::into)
                    .to_vec(),
                rows: [Headers::Lean, Headers::Browser]
                    .into_iter()
                    .flat_map(|headers| transports.iter().map(move |transport| (transport, headers)))
                    .filter_map(|(transport, headers)| opening(transport, headers))
                    .collect(),
            },
            Table {
                title: format!("A message of {message_bytes} bytes from a client"),
                columns: ["transport", "bytes up", "bytes of its acknowledgement"].map(Into::into).to_vec(),
                rows: transports.iter().filter_map(sent_row).collect(),
            },
        ],
        verdicts: vec![
            Verdict {
                figure: format!(
                    "Offered soap and {SUBPROTOCOL}: {} was chosen. Offered soap alone: {}. Offered permessage-deflate: {}",
                    chosen(known),
                    chosen(unknown),
                    extension.extensions.as_deref().unwrap_or("no extension")
                ),
                why: "The server chooses one of the client's offers, or none: then the client decides whether to go on (RFC 6455, section 4.2.2). \
                      The notes' deflate-frame became permessage-deflate (RFC 7692)."
                    .into(),
                prediction: "Of two offered sub-protocols, of which the server knows one, that one is in the response; of one that it does not \
                             know, none is."
                    .into(),
                refuted_by: "Another sub-protocol in the response, or several, or one that was not offered. The claim holds only within limits \
                             where no extension is chosen."
                    .into(),
                working_point: "Three handshakes at /ws.".into(),
                turns_at: "Does not change with the load.".into(),
                ..verdict(16, chooses_one(known, unknown, extension))
            },
            Verdict {
                figure: format!(
                    "The same events: {} B of framing each as WebSocket messages, and {} B as STOMP frames in such messages",
                    text(Transport::WebSocket),
                    text(Transport::Stomp)
                ),
                why: "A WebSocket message is text or bytes. What it means is agreed on by the applications, or by a sub-protocol: STOMP has \
                      commands, destinations, subscriptions and receipts."
                    .into(),
                prediction: "A WebSocket opens without any sub-protocol; STOMP's frames take more bytes than the bare messages, since they have a \
                             format."
                    .into(),
                refuted_by: format!(
                    "A connection that is refused without a common sub-protocol, or STOMP frames with fewer than {MIN_FORMAT_BYTES} B more than \
                     bare messages."
                ),
                working_point: load.clone(),
                turns_at: no_load.into(),
                ..verdict(29, fixes_a_format(Answer::from(unknown.status == 101), framing(Transport::WebSocket), framing(Transport::Stomp)))
            },
            Verdict {
                figure: format!(
                    "Framing: {} B an event instead of {}. Server CPU an event, over that of bare WebSocket: {}, at {busy} of a processor. A \
                     message of {message_bytes} B takes {} B up instead of {}, and its acknowledgement {} B",
                    text(Transport::SocketIo),
                    text(Transport::WebSocket),
                    cpu(Transport::SocketIo).in_words(),
                    short_or_dash(message(Transport::SocketIo).map(|sent| sent.up_bytes as f64)),
                    short_or_dash(message(Transport::WebSocket).map(|sent| sent.up_bytes as f64)),
                    short_or_dash(
                        message(Transport::SocketIo).and_then(|sent| sent.acknowledgement_bytes).map(|bytes| bytes as f64)
                    ),
                ),
                why: "An event has a name and is JSON in an array, which takes bytes. Acknowledgements, rooms and broadcasts are messages that \
                      an application would otherwise define itself. What they cost is in the experiment rooms."
                    .into(),
                prediction: "A message is acknowledged, and an event takes more bytes and CPU time than over a bare WebSocket.".into(),
                refuted_by: format!(
                    "No acknowledgement, or neither more bytes nor {MORE_CPU} times the CPU time. The claim holds only within limits where one of \
                     the two is not more."
                ),
                working_point: load,
                turns_at: format!(
                    "Bytes do not depend on the load. CPU time was compared at {busy} of a processor. An event is encoded once for all subscribers \
                     here; a server that encodes it for each of them pays more."
                ),
                ..verdict(32, at_a_cost(&library))
            },
            Verdict {
                figure: format!(
                    "From a page of this server: status {}. Of another origin: {}. Of another origin that the options allow: {}",
                    own.status, foreign.status, allowed.status
                ),
                why: "The library polls first, and a page may read the response of another origin only if its headers allow it. Requests with \
                      cookies must name the origin; a server that allowed every one would give its users' rights to every page."
                    .into(),
                prediction: "A page of another origin can begin a session only if the server allows that origin.".into(),
                refuted_by: "A session for a page of an origin that is not on the list, or none for one that is.".into(),
                working_point: "Three requests for a session of Socket.IO.".into(),
                turns_at: "Does not change with the load.".into(),
                ..verdict(33, needs_an_allow_list(own, foreign, allowed))
            },
            Verdict {
                figure: format!(
                    "The response to its first poll names the upgrades: {}. A plain WebSocket at its path gets status {}. Until its first event, \
                     its client sends {} requests",
                    if begins_with_polling { "websocket" } else { "none" },
                    plain.status,
                    short_or_dash(first(Transport::SocketIo, Headers::Lean).last().map(|event| each(event, event.ledger.requests)))
                ),
                why: "Its client begins with long polling in every browser, and upgrades when a probe over WebSocket has come back. It is a \
                      protocol of its own: a client without the library is not understood."
                    .into(),
                prediction: "A client that can use WebSocket begins with it.".into(),
                refuted_by: "A first request that is a poll, from a client that can use WebSocket.".into(),
                working_point: "A subscriber written to open a session as the library does, which the project's tests do with the library itself; \
                                one handshake without its parameters."
                    .into(),
                turns_at: "Changes with the options of the client: with transports: ['websocket'] it begins with that, and never polls.".into(),
                ..verdict(38, picks_the_best(if begins_with_polling { socket_io_polls } else { Answer::Unclear }))
            },
        ],
        method: vec![
            format!("{}, a fresh server for each round.", scenario(rounds)),
            "The load client opens a session of Socket.IO as the library does, but upgrades the connection that has polled instead of opening a \
             second one, and waits for the WebSocket. The library polls meanwhile, so its first event may come by polling, some round trips \
             earlier."
                .into(),
            "Memory is the slope over several numbers of subscribers, as in the experiment memory.".into(),
        ],
        ..Experiment::default()
    })
}
