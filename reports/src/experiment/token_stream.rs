//! An answer of a language model, token by token: what a reader waits for, what it costs, and what a disconnection and a buffering proxy do to
//! it.

use protocol::Transport;
use protocol::experiment::{Drawing, Experiment, Line, Lines, Point, Status, Table, Verdict};
use protocol::facts::token_stream::{Answer, Disconnect, TokenStreamFacts, Way};

use super::claims::verdict;
use super::draw::{axis, dashed, labelled, line};
use super::evidence::{self, Estimate};
use crate::number::{short, short_or_dash};
use crate::statistics;

/// Claim 48: the ratio up to which SSE counts as no slower than WebSocket.
const MAX_RATIO: f64 = 1.25;
/// The points of a line over time.
const POINTS: usize = 24;
/// The time that is drawn: the first tokens.
const DRAWN_MS: f64 = 1_200.0;
/// The share of an answer's time after which its first token counts as held back.
const HELD_BACK: f64 = 0.5;

/// The figures that decide claim 48.
pub struct Needed {
    /// Whether every token came over SSE, also after a disconnection.
    pub complete: bool,
    /// The ratio of the time until the first token over SSE to that over WebSocket.
    pub first: Estimate,
    /// The ratio of the lateness of a token over SSE to that over WebSocket.
    pub late: Estimate,
}

/// Claim 48: a language model's answer needs WebSocket.
pub fn needs_websocket(needed: &Needed) -> Status {
    evidence::Answer::from(needed.complete)
        .and(needed.first.below(MAX_RATIO))
        .and(needed.late.below(MAX_RATIO))
        .decides(Status::DoesNotHold, Status::Holds)
}

fn label(way: Way) -> String {
    match way {
        Way::Whole => "Whole text".into(),
        Way::Events(transport) => transport.label().into(),
        Way::Mcp => "MCP".into(),
    }
}

fn drawn(way: Way, points: Vec<Point>) -> Line {
    match way {
        Way::Events(transport) => line(transport, points),
        Way::Whole | Way::Mcp => labelled(&label(way), points),
    }
}

fn first_ms(answer: &Answer) -> f64 {
    answer.received_ms.first().copied().unwrap_or(f64::NAN)
}

/// How late each token came, in ms, sorted.
fn late_ms(answer: &Answer) -> Vec<f64> {
    let mut late: Vec<f64> =
        answer.received_ms.iter().zip(&answer.due_ms).map(|(received, due)| received - due).collect();
    late.sort_by(f64::total_cmp);
    late
}

fn median_late_ms(answer: &Answer) -> f64 {
    let late = late_ms(answer);
    late.get(late.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The longest time without a token, in ms.
fn longest_pause_ms(answer: &Answer) -> f64 {
    answer.received_ms.windows(2).map(|pair| pair[1] - pair[0]).fold(0.0, f64::max)
}

fn bytes_per_token(answer: &Answer) -> f64 {
    answer.ledger.wire_bytes() as f64 / answer.received.max(1) as f64
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let values: Vec<f64> = values.collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Tokens over time, at the same times for every line.
fn over_time(times_ms: &[f64], until_ms: f64) -> Vec<Point> {
    let at = |number: usize| until_ms * number as f64 / POINTS as f64;
    let count = |until: f64| times_ms.iter().filter(|&&ms| ms <= until).count() as f64;
    (0..=POINTS).map(|number| Point::new(at(number) / 1e3, count(at(number)))).collect()
}

/// Derives the experiment from its facts.
pub fn derive(facts: &TokenStreamFacts) -> Experiment {
    let TokenStreamFacts { tokens, rate, delay_ms, poll_interval_ms, answers, disconnects, buffered, .. } = facts;
    let mut ways: Vec<Way> = Vec::new();
    for answer in answers {
        if !ways.contains(&answer.way) {
            ways.push(answer.way);
        }
    }
    let of = |way: Way| answers.iter().filter(move |answer| answer.way == way);
    let figure = |way: Way, of_answer: fn(&Answer) -> f64| mean(of(way).map(of_answer));
    let each = |way: Way, of_answer: fn(&Answer) -> f64| of(way).map(of_answer).collect::<Vec<f64>>();

    let generated =
        of(Way::Events(Transport::Sse)).next().map(|answer| dashed("generated", over_time(&answer.due_ms, DRAWN_MS)));
    let lines = ways.iter().filter_map(|&way| Some(drawn(way, over_time(&of(way).next()?.received_ms, DRAWN_MS))));
    let rows = ways.iter().map(|&way| {
        let requests = mean(of(way).map(|answer| answer.ledger.requests as f64));
        vec![
            label(way),
            short_or_dash(figure(way, first_ms)),
            short_or_dash(figure(way, median_late_ms)),
            short_or_dash(figure(way, |answer| late_ms(answer).last().copied().unwrap_or(f64::NAN))),
            short_or_dash(figure(way, longest_pause_ms)),
            short_or_dash(figure(way, bytes_per_token)),
            short_or_dash(requests),
        ]
    });
    let (sse, websocket) = (Way::Events(Transport::Sse), Way::Events(Transport::WebSocket));
    let ratio = |of_answer: fn(&Answer) -> f64| -> Estimate {
        statistics::ratio(&each(sse, of_answer), &each(websocket, of_answer)).into()
    };
    let resumed = |way: Way| {
        disconnects
            .iter()
            .find(|end| end.way == way && end.background)
            .is_some_and(|end| end.faults == 0 && end.received >= end.generated)
    };
    let needed = Needed {
        complete: of(sse).count() > 0 && of(sse).all(|answer| answer.received == u64::from(*tokens)) && resumed(sse),
        first: ratio(first_ms),
        late: ratio(median_late_ms),
    };
    let in_words = |way: Way| {
        format!(
            "{} ms until the first token, then each about {} ms late, {} B per token",
            short_or_dash(figure(way, first_ms)),
            short_or_dash(figure(way, median_late_ms)),
            short_or_dash(figure(way, bytes_per_token)),
        )
    };
    let figures = format!("SSE: {}. WebSocket: {}", in_words(sse), in_words(websocket));
    let cancelled = disconnects.iter().find(|end| end.way == sse && !end.background);
    let answer = [
        Some(format!("An answer of {tokens} tokens at {rate} per second. {figures}.")),
        figure(Way::Whole, first_ms)
            .map(|ms| format!("Without a stream, the reader sees nothing for {} s.", short(ms / 1e3))),
        cancelled.map(|end| {
            format!(
                "A client that disconnected after {} tokens cancelled its answer: the server stopped at {}.",
                end.before, end.generated
            )
        }),
        resumed(sse)
            .then(|| "An answer in the background was resumed at the cursor, without a token lost or repeated.".into()),
    ];
    let held: Vec<String> = buffered
        .iter()
        .filter(|answer| first_ms(answer) > HELD_BACK * answer.due_ms.last().copied().unwrap_or(0.0))
        .map(|answer| label(answer.way))
        .collect();
    let passed: Vec<String> =
        buffered.iter().map(|answer| label(answer.way)).filter(|label| !held.contains(label)).collect();
    let behind = (!buffered.is_empty()).then(|| {
        format!(
            "Through a proxy that buffers responses, these came as a whole at the end: {}. These still came token by token: {}.",
            held.join(", "),
            passed.join(", ")
        )
    });
    let outcome = |end: &Disconnect| match (end.background, end.received >= end.generated && end.faults == 0) {
        (true, true) => "resumed at the cursor",
        (true, false) => "resumed, but tokens are missing or were repeated",
        (false, _) => "cancelled: the question must be asked again",
    };
    Experiment {
        title: "An answer, token by token".into(),
        question: "How should a language model's answer reach its reader, and what happens when the connection breaks?".into(),
        answer: answer.into_iter().flatten().chain(behind).collect(),
        drawings: vec![Drawing::Lines(Lines {
            name: "token-stream".into(),
            title: "The first tokens: a stream is read along, a whole text is waited for".into(),
            caption: format!(
                "From asking, on a new connection with {delay_ms} ms of delay each way. The streams follow the dashed line of what has been \
                 generated; polling every {poll_interval_ms} ms brings several tokens at a time, and the whole text comes at the end."
            ),
            x: axis("time since asking, in s", false),
            y: axis("tokens received", false),
            lines: lines.chain(generated).collect(),
        })],
        tables: vec![
            Table {
                title: "One answer".into(),
                columns: [
                    "asked by",
                    "first token after, ms",
                    "a token late by, median ms",
                    "at most, ms",
                    "longest pause, ms",
                    "bytes per token",
                    "requests",
                ]
                .map(Into::into)
                .to_vec(),
                rows: rows.collect(),
            },
            Table {
                title: "A client that disconnects in the middle".into(),
                columns: ["asked by", "in the background", "tokens by then", "generated in the end", "received in the end", "result"]
                    .map(Into::into)
                    .to_vec(),
                rows: disconnects
                    .iter()
                    .map(|end| {
                        vec![
                            label(end.way),
                            if end.background { "yes" } else { "no" }.into(),
                            end.before.to_string(),
                            end.generated.to_string(),
                            end.received.to_string(),
                            outcome(end).into(),
                        ]
                    })
                    .collect(),
            },
            Table {
                title: "Through a proxy that buffers responses".into(),
                columns: ["asked by", "first token after, ms", "last token after, ms"].map(Into::into).to_vec(),
                rows: buffered
                    .iter()
                    .map(|answer| {
                        vec![label(answer.way), short(first_ms(answer)), short_or_dash(answer.received_ms.last().copied())]
                    })
                    .collect(),
            },
        ],
        verdicts: vec![Verdict {
            figure: format!(
                "{figures}. First token, SSE to WebSocket: {}; lateness: {}",
                needed.first.in_words(),
                needed.late.in_words()
            ),
            why: "The question is one message and the answer flows one way, so a stream in the response to a POST is enough. It even saves the \
                  round trip of the upgrade."
                .into(),
            prediction: "Over SSE the first token comes later than over WebSocket, or tokens come late or get lost.".into(),
            refuted_by: format!(
                "Every token arrives over SSE, also after a disconnection, and neither the first token nor the others come more than {MAX_RATIO} \
                 times as late as over WebSocket."
            ),
            working_point: format!(
                "{tokens} tokens at {rate} per second, {delay_ms} ms of delay each way, a new connection, a browser's headers."
            ),
            turns_at: "A user who interrupts by speaking, or audio in both directions, needs messages upstream during the answer. A proxy that \
                       buffers responses holds SSE back, and not WebSocket."
                .into(),
            ..verdict(48, needs_websocket(&needed))
        }],
        method: vec![
            "A token is a word with the space after it, carried as an event with its number and the time at which it was due, so the bytes per \
             token are more than those of the text. The server generates tokens on a fixed schedule from when the question arrives; its timer is \
             at most about 1 ms late."
                .into(),
            "All ways are measured at the same time, each with a connection of its own. The bytes include connecting and closing. The whole text \
             counts as all of its tokens."
                .into(),
            "SSE and HTTP streaming come in the response to the POST with the question; over WebSocket the question is a message; polling and \
             long polling ask for an answer in the background and read it by further requests. MCP is a tool of the Model Context Protocol, \
             revision 2026-07-28, whose notifications of progress carry the tokens: it has no way to resume."
                .into(),
        ],
        ..Experiment::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lateness_pauses_and_tokens_over_time_follow_from_the_times() {
        let answer = Answer {
            way: Way::Mcp,
            received: 3,
            received_ms: vec![30.0, 50.0, 250.0],
            due_ms: vec![20.0, 40.0, 60.0],
            ledger: protocol::Ledger::default(),
        };
        assert_eq!((first_ms(&answer), median_late_ms(&answer), longest_pause_ms(&answer)), (30.0, 10.0, 200.0));
        let points = over_time(&answer.received_ms, 250.0);
        assert_eq!((points[0].y, points[4].y, points[POINTS].y, points[POINTS].x), (0.0, 1.0, 3.0, 0.25));
    }
}
