//! All transports side by side, for what the claims say of heads, framing and CPU.

use protocol::experiment::{Drawing, Experiment, Line, Lines, Point, Standing, Table, Verdict};
use protocol::result::{Comparison, Headers, Scenario, ServerCost};
use protocol::{Layer, Transport};
use reports::number::{short, thousands};
use reports::statistics::FEWEST_ROUNDS;
use reports::summary::{Row, rows};

use super::evidence::{Answer, CPU, Estimate, LATENCY, percent, times, utilisation, verdict};
use super::{axis, line};
use crate::compare::{raise_open_files, warm_up_ms};
use crate::trial::{self, small};

/// The busy load of claim 7: many subscribers, and so many events a second that the server would have this share of a processor over
/// long polling if an event cost what it costs at the trial's lower rate. It costs about a fifth less when the server is busy.
const BUSY_SUBSCRIBERS: u32 = 1_000;
const AIM: f64 = 1.0;
const TRIAL_RATE: f64 = 20.0;
/// Events a second that are tried at the least and at the most, in steps.
const RATES: (f64, f64) = (10.0, 400.0);
const RATE_STEP: f64 = 5.0;
/// Processes that share the busy load's subscribers, so that the client is not what is measured.
const BUSY_PROCESSES: u32 = 3;
/// The least share of a processor at which the server counts as busy, the mean of both transports.
const BUSY: f64 = 0.5;
/// The longest header that a frame has, in bytes (RFC 6455, section 5.2).
const LONGEST_HEADER: f64 = 14.0;
/// Claim 27: how many times longer a WebSocket's opening must be than raw TCP's to differ.
const LONGER: f64 = 10.0;

/// What claim 7 is decided by: server CPU an event, long polling over HTTP streaming, at two loads.
pub struct Streaming {
    /// With few subscribers.
    pub small: Estimate,
    /// With many.
    pub busy: Estimate,
    /// The share of a processor that the server had at the busy load, the mean of both transports.
    pub utilisation: f64,
}

/// Claim 7: streaming spares the repeated request, so it costs less than long polling. The busy load decides: with few subscribers a
/// server that is mostly idle pays for waking up.
pub fn streaming_costs_less(streaming: &Streaming) -> Standing {
    let small = streaming.small.above(1.0);
    match streaming.busy.above(1.0) {
        Answer::Unclear => Standing::NotMeasurable,
        _ if streaming.utilisation.is_nan() || streaming.utilisation < BUSY => Standing::NotMeasurable,
        Answer::Yes if small == Answer::No => Standing::HoldsWithinLimits,
        Answer::Yes => Standing::Holds,
        Answer::No if small == Answer::Yes => Standing::HoldsWithinLimits,
        Answer::No => Standing::DoesNotHold,
    }
}

/// What claim 8 is decided by: head bytes for each event, as they were counted on connections that carried many, of the three ways of
/// HTTP; and the event's own bytes. `None` where no round is sound.
pub struct HeadBytes {
    /// Of each way, for each event.
    pub ways: Vec<f64>,
    /// The event's own.
    pub event: f64,
}

/// Claim 8: all HTTP ways carry needlessly large headers with each message. Large is larger than the message.
pub fn large_heads(heads: Option<&HeadBytes>) -> Standing {
    let Some(HeadBytes { ways, event }) = heads else { return Standing::NotMeasurable };
    match ways.iter().filter(|way| *way > event).count() {
        0 => Standing::DoesNotHold,
        all if all == ways.len() => Standing::Holds,
        _ => Standing::HoldsWithinLimits,
    }
}

/// Claim 24: after the handshake there is no metadata at all. The bytes of frame header for each event; `None` where no round is
/// sound.
pub fn no_metadata(header: Option<f64>) -> Standing {
    match header {
        None => Standing::NotMeasurable,
        Some(0.0) => Standing::Holds,
        Some(bytes) if bytes <= LONGEST_HEADER => Standing::HoldsWithinLimits,
        Some(_) => Standing::DoesNotHold,
    }
}

/// Claim 27: a TCP socket and a WebSocket differ in how they connect. Bytes of opening and closing over those of raw TCP; `None` where
/// no round is sound.
pub fn connect_differently(ratio: Option<f64>) -> Standing {
    ratio.map_or(Standing::NotMeasurable, |ratio| {
        Answer::from(ratio > LONGER).decides(Standing::Holds, Standing::DoesNotHold)
    })
}

/// Runs it.
pub async fn run(seed: u64) -> anyhow::Result<Experiment> {
    let few =
        Scenario { rounds: FEWEST_ROUNDS, duration_ms: 900, headers: Headers::Browser, seed, ..small(&Transport::ALL) };
    let many = Scenario {
        transports: vec![Transport::LongPolling, Transport::Ndjson],
        subscribers: BUSY_SUBSCRIBERS,
        rate: TRIAL_RATE,
        processes: BUSY_PROCESSES,
        warm_up_ms: warm_up_ms(BUSY_SUBSCRIBERS, few.network) + 100 * u64::from(BUSY_PROCESSES),
        duration_ms: 1_000,
        ..few.clone()
    };
    raise_open_files(std::slice::from_ref(&many))?;
    let rate = busy_rate(&trial::round(&many, Transport::LongPolling).await?.server);
    let scenarios = [few, Scenario { rate, ..many }];
    let found = trial::rounds(&scenarios, false).await?;
    let mut comparisons = scenarios.into_iter().zip(found).map(|(scenario, rounds)| Comparison { scenario, rounds });
    let (Some(few), Some(many)) = (comparisons.next(), comparisons.next()) else { anyhow::bail!("two were measured") };
    Ok(work_out(few, many))
}

/// Events a second at which the server is as busy as it should be, from what it used at another rate.
fn busy_rate(trial: &ServerCost) -> f64 {
    let share = trial.cpu_ns as f64 / trial.window_ns.max(1) as f64;
    let steps = (AIM / share.max(f64::MIN_POSITIVE) * TRIAL_RATE / RATE_STEP).floor();
    (steps * RATE_STEP).clamp(RATES.0, RATES.1)
}

/// Bytes of heads that a transport's events took, all together.
fn heads(row: &Row) -> f64 {
    (row.ledger[Layer::RequestHead] + row.ledger[Layer::ResponseHead]) as f64
}

/// A load in words: "20 subscribers at 50 events/s".
fn load(comparison: &Comparison) -> String {
    let Scenario { subscribers, rate, .. } = comparison.scenario;
    format!("{} subscribers at {rate} events/s", thousands(subscribers.into()))
}

fn work_out(few: Comparison, many: Comparison) -> Experiment {
    // Heads of a stream and handshakes are what this is about, so a connection's whole life counts and not the window alone.
    let rows: Vec<Row> = rows(&few).into_iter().map(|row| Row { ledger: row.whole, ..row }).collect();
    let of = |transport| rows.iter().find(|row| row.transport == transport).expect("every transport was measured");
    let [polling, long_polling, stream, sse, websocket, tcp] = [
        Transport::Polling,
        Transport::LongPolling,
        Transport::Ndjson,
        Transport::Sse,
        Transport::WebSocket,
        Transport::Tcp,
    ]
    .map(of);
    // A row without a sound round has nothing to say.
    let sound = |rows: &[&Row]| rows.iter().all(|row| row.sound > 0);
    let per_event = |row: &Row, layer: Layer| row.ledger[layer] as f64 / row.events();
    let per_connection = |row: &Row, bytes: f64| bytes / row.ledger.connections.max(1) as f64;
    let handshake = |row: &Row| per_connection(row, row.ledger[Layer::Handshake] as f64);

    let cpu = |comparison| times((comparison, Transport::LongPolling), (comparison, Transport::Ndjson), CPU);
    let share = |comparison: &Comparison| {
        [Transport::LongPolling, Transport::Ndjson].map(|transport| utilisation(comparison, transport))
    };
    let [busy_long_polling, busy_stream] = share(&many);
    let streaming =
        Streaming { small: cpu(&few), busy: cpu(&many), utilisation: (busy_long_polling + busy_stream) / 2.0 };
    let at = |comparison: &Comparison, ratio: Estimate| {
        let [long_polling, stream] = share(comparison).map(percent);
        format!(
            "{} times at {} (the server had {long_polling} of a processor over long polling, {stream} over streaming)",
            ratio.in_words(),
            load(comparison)
        )
    };

    let ways = [polling, long_polling, stream, sse];
    let event = per_event(long_polling, Layer::Event);
    let head_bytes = HeadBytes { ways: ways.iter().map(|row| heads(row) / row.events()).collect(), event };
    let once = per_connection(stream, heads(stream));
    let answered = |row: &Row| heads(row) / (row.ledger.requests - row.ledger.empty_polls).max(1) as f64;
    let carried = stream.events() / stream.ledger.connections.max(1) as f64;
    let in_each: Vec<String> = ways
        .iter()
        .zip(&head_bytes.ways)
        .map(|(row, bytes)| format!("{} B over {}", short(*bytes), row.transport.in_words()))
        .collect();
    let frame = per_event(websocket, Layer::Framing);
    let latency = times((&few, Transport::WebSocket), (&few, Transport::Tcp), LATENCY);
    let setting = format!("{}.", reports::table::scenario(&few));
    let verdicts = vec![
        Verdict {
            figure: format!(
                "Server CPU an event, long polling over HTTP streaming: {}; {}",
                at(&few, streaming.small),
                at(&many, streaming.busy)
            ),
            why: "No request to read and no head to write for each event. Where events come faster than round trips, long polling puts \
                  many into one answer and gets cheaper: see the rate of events."
                .into(),
            prediction: "An event costs the server more CPU over long polling than over HTTP streaming, at a load that keeps it busy."
                .into(),
            refuted_by: format!(
                "A ratio whose interval lies below 1 at {}. Where the server has less than {} % of a processor, its CPU is mostly the \
                 price of waking up, and decides nothing.",
                load(&many),
                BUSY * 100.0
            ),
            working_point: format!("{} and {}, 200 B, a browser's headers, loopback without a delay.", load(&few), load(&many)),
            turns_at: "Without a delay it turns nowhere between these loads. It turns where a long poll's answer carries several events: \
                       over a network, at an event rate beyond one over the round trip. The experiment on the event rate gives the \
                       crossing at 10 ms of delay."
                .into(),
            ..verdict(7, streaming_costs_less(&streaming))
        },
        Verdict {
            figure: format!(
                "Head bytes for each event of {} B, on connections that carried {} events: {}",
                short(event),
                short(carried),
                in_each.join(", ")
            ),
            why: "Polling and long polling pay for each answer, however many events it carries; a stream pays once.".into(),
            prediction: "In each of the HTTP ways, an event takes more bytes of heads than it has itself.".into(),
            refuted_by: "Heads of fewer bytes than the event, for each event of a connection; one way of the four leaves it true within \
                         limits."
                .into(),
            working_point: format!("{setting} An event is {} B with its envelope.", short(event)),
            turns_at: format!(
                "A stream's heads of {} B fall below the event's {} B an event at {} events on one connection, and below a tenth of \
                 that at {}. A long poll's answer of {} B does so where it carries {} events; a poll's of {} B where it carries {}.",
                short(once),
                short(event),
                short(once / event),
                short(10.0 * once / event),
                short(answered(long_polling)),
                short(answered(long_polling) / event),
                short(answered(polling)),
                short(answered(polling) / event),
            ),
            ..verdict(8, large_heads(sound(&ways).then_some(&head_bytes)))
        },
        Verdict {
            figure: format!("{} B of frame header an event of {} B", short(frame), short(per_event(websocket, Layer::Event))),
            why: "No heads, but each frame says its kind and its length: 2, 4 or 10 bytes down, 4 more up for the mask.".into(),
            prediction: "An event takes no bytes beside its own.".into(),
            refuted_by: format!(
                "More than {LONGEST_HEADER} B an event, the longest header. From 1 to {LONGEST_HEADER} B it holds within limits: very \
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
            why: "A WebSocket begins as HTTP and then frames its messages; beyond that it is a TCP socket. The lab's raw TCP protocol \
                  begins with one line, by construction: this shows the difference and does not test it."
                .into(),
            prediction: format!("Opening a WebSocket takes at least {LONGER} times the bytes of opening raw TCP."),
            refuted_by: format!("Opening bytes of at most {LONGER} times those of raw TCP."),
            working_point: setting.clone(),
            turns_at: "Turns with the protocol that is spoken over TCP: one with a longer greeting than a line comes nearer.".into(),
            ..verdict(27, connect_differently(sound(&[websocket, tcp]).then(|| handshake(websocket) / handshake(tcp))))
        },
    ];
    let table = Table {
        title: "Bytes by what they are for".into(),
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
    Experiment {
        name: "compared".into(),
        title: "Heads are paid for each answer, or once".into(),
        question: "What do heads cost an event, the longer a connection lives?".into(),
        answer: vec![verdicts[1].figure.clone() + ".", verdicts[0].figure.clone() + "."],
        doubts: super::doubts(&[few.clone(), many.clone()]),
        drawings: vec![Drawing::Lines(heads_over_events(&[polling, long_polling, stream, sse, websocket], event))],
        tables: vec![table],
        verdicts,
        method: vec![
            setting,
            format!(
                "For CPU also {}, in {BUSY_PROCESSES} client processes, over long polling and HTTP streaming; all rounds in one \
                 shuffled order.",
                load(&many)
            ),
            "The lines are worked out from the heads' and the handshake's measured lengths, not measured at each point.".into(),
        ],
        rounds: vec![few, many],
    }
}

/// Heads and handshake for each event, over the events that a connection has carried.
fn heads_over_events(rows: &[&Row], event: f64) -> Lines {
    let of = |row: &&Row| -> Line {
        let connections = row.ledger.connections.max(1) as f64;
        let point = |events: f64| {
            let bytes = match row.transport {
                // An answer with one event bears all of its heads.
                Transport::Polling | Transport::LongPolling => {
                    heads(row) / (row.ledger.requests - row.ledger.empty_polls).max(1) as f64
                }
                _ => (heads(row) + row.ledger[Layer::Handshake] as f64) / connections / events,
            };
            Point::new(events, bytes)
        };
        line(row.transport, [1.0, 10.0, 100.0, 1e3, 1e4].map(point).to_vec())
    };
    let mut lines: Vec<Line> = rows.iter().map(of).collect();
    lines.push(Line {
        label: "the event itself".into(),
        transport: None,
        theory: true,
        points: [1.0, 1e4].map(|events| Point::new(events, event)).to_vec(),
    });
    Lines {
        name: "heads".into(),
        title: "A stream's head is spread over its events; a poll's comes with each answer".into(),
        caption:
            "Bytes of heads and handshake for each event, over the events that a connection has carried so far. A poll's \
                  answer is drawn as bearing one event; several share its heads. Polls that bring nothing are not in it. \
                  Heads are large while a line is above the dashed one."
                .into(),
        x: axis("events on one connection", true),
        y: axis("bytes of heads and handshake per event", true),
        lines,
    }
}

#[cfg(test)]
mod tests {
    use super::super::fabricated;
    use super::*;

    #[test]
    fn the_busy_rate_follows_from_what_a_lower_one_cost() {
        let cost = |share: f64| {
            let mut comparison = fabricated::comparison(&[(Transport::LongPolling, 1.0)]);
            let server = &mut comparison.rounds[0].server;
            server.cpu_ns = (server.window_ns as f64 * share) as u64;
            *server
        };
        // 0.3 of a processor at 20 events/s: 66.7 events/s take all of it, in steps of 5.
        assert_eq!(busy_rate(&cost(0.3)), 65.0);
        assert_eq!(busy_rate(&cost(5.0)), RATES.0);
        assert_eq!(busy_rate(&cost(0.0)), RATES.1);
    }
}
