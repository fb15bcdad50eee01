//! All transports side by side, for what the claims say of heads, framing and CPU.

use protocol::experiment::{Drawing, Experiment, Line, Lines, Point, Standing, Table, Verdict};
use protocol::result::{Comparison, Headers, Scenario};
use protocol::{Layer, Transport};
use reports::number::short;
use reports::ranking::{in_words, paired};
use reports::statistics::FEWEST_ROUNDS;
use reports::summary::{Row, rows};

use super::{axis, line, verdict};
use crate::trial::{self, small};

/// Runs it.
pub async fn run(seed: u64) -> anyhow::Result<Experiment> {
    let scenario =
        Scenario { rounds: FEWEST_ROUNDS, duration_ms: 900, headers: Headers::Browser, seed, ..small(&Transport::ALL) };
    let scenarios = [scenario];
    let rounds = trial::rounds(&scenarios, false).await?.concat();
    let [scenario] = scenarios;
    Ok(work_out(Comparison { scenario, rounds }))
}

/// Bytes of heads that a transport's events took, all together.
fn heads(row: &Row) -> f64 {
    (row.ledger[Layer::RequestHead] + row.ledger[Layer::ResponseHead]) as f64
}

fn work_out(comparison: Comparison) -> Experiment {
    let rows = rows(&comparison);
    // A row without a sound round has nothing to say; what follows from it is not shown.
    let sound = rows.iter().all(|row| row.sound > 0);
    let of = |transport| rows.iter().find(|row| row.transport == transport).expect("every transport was measured");
    let [long_polling, stream, websocket, tcp] =
        [Transport::LongPolling, Transport::Ndjson, Transport::WebSocket, Transport::Tcp].map(of);
    let per_event = |row: &Row, layer: Layer| row.ledger[layer] as f64 / row.events();
    let per_connection = |row: &Row, bytes: f64| bytes / row.ledger.connections.max(1) as f64;

    let event = per_event(long_polling, Layer::Event);
    let long_poll_heads = heads(long_polling) / long_polling.events();
    // What a stream would pay for heads over a thousand events, if it paid for each.
    let heads_a_stream = per_connection(stream, heads(stream)) / 1e3;
    let cpu = paired(long_polling, stream, |figures| figures.cpu_us);
    let streaming = match cpu {
        Some(ratio) if ratio.low > 1.0 => Standing::HoldsWithinLimits,
        Some(ratio) if ratio.high < 1.0 => Standing::DoesNotHold,
        _ => Standing::NotShown,
    };
    let frame = per_event(websocket, Layer::Framing);
    let latency = paired(websocket, tcp, |figures| figures.p50_ms);
    let after = websocket.ledger[Layer::RequestHead] + websocket.ledger[Layer::ResponseHead];
    let in_full =
        |ratio: Option<reports::statistics::Ratio>| ratio.map_or("too few rounds".into(), |ratio| in_words(&ratio));
    let handshake = |row: &Row| per_connection(row, row.ledger[Layer::Handshake] as f64);
    let verdicts = vec![
        verdict(
            7,
            streaming,
            format!(
                "At 50 events/s without network delay, server CPU an event, long polling over HTTP streaming: {}",
                in_full(cpu)
            ),
            "No request to read and no head to write for each event. Where events come faster than round trips, long polling puts many \
             into one answer and gets cheaper: see the rate of events.",
        ),
        verdict(
            8,
            if heads_a_stream > 10.0 * long_poll_heads {
                Standing::Holds
            } else if long_poll_heads > event {
                Standing::HoldsWithinLimits
            } else {
                Standing::DoesNotHold
            },
            format!(
                "Heads an event: {} B over long polling; over a stream {} B once, so {} B an event after 1,000 events",
                short(heads(long_polling) / long_polling.events()),
                short(per_connection(stream, heads(stream))),
                short(per_connection(stream, heads(stream)) / 1e3)
            ),
            "True of polling and long polling, which pay for each answer; a stream pays once.",
        ),
        verdict(
            17,
            if after == 0 { Standing::Holds } else { Standing::DoesNotHold },
            format!("{after} bytes of heads after the handshake, over {} events", websocket.ledger.events),
            "After 101 the connection carries frames only.",
        ),
        verdict(
            24,
            if frame > 0.0 && frame <= 14.0 { Standing::HoldsWithinLimits } else { Standing::DoesNotHold },
            format!("{} B of frame header an event of {} B", short(frame), short(per_event(websocket, Layer::Event))),
            "No heads, but each frame says its kind and its length: 2, 4 or 10 bytes down, 4 more up for the mask.",
        ),
        verdict(
            27,
            if handshake(websocket) > 10.0 * handshake(tcp) { Standing::Holds } else { Standing::DoesNotHold },
            format!(
                "Opening and closing {} B against {} B, framing {} B an event against {} B; median latency {}",
                short(handshake(websocket)),
                short(handshake(tcp)),
                short(frame),
                short(per_event(tcp, Layer::Framing)),
                in_full(latency)
            ),
            "A WebSocket begins as HTTP and then frames its messages; beyond that it is a TCP socket.",
        ),
    ];
    let verdicts: Vec<_> = verdicts
        .into_iter()
        .map(|found| if sound { found } else { Verdict { standing: Standing::NotShown, ..found } })
        .collect();
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
        doubts: super::doubts(std::slice::from_ref(&comparison)),
        drawings: vec![Drawing::Lines(heads_over_events(&[of(Transport::Polling), long_polling, stream, of(Transport::Sse), websocket]))],
        tables: vec![table],
        verdicts,
        method: vec![
            format!("{}.", reports::table::scenario(&comparison)),
            "The lines are worked out from the heads' and the handshake's measured lengths, not measured at each point.".into(),
        ],
        rounds: vec![comparison],
    }
}

/// Heads and handshake for each event, over the events that a connection has carried.
fn heads_over_events(rows: &[&Row]) -> Lines {
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
    Lines {
        name: "heads".into(),
        title: "A stream's head is spread over its events; a poll's comes with each answer".into(),
        caption:
            "Bytes of heads and handshake for each event, over the events that a connection has carried so far. A poll's \
                  answer is drawn as bearing one event; several share its heads. Polls that bring nothing are not in it."
                .into(),
        x: axis("events on one connection", true),
        y: axis("bytes of heads and handshake per event", true),
        lines: rows.iter().map(of).collect(),
    }
}
