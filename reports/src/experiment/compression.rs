//! WebSocket with compression: what it saves, and what it costs.

use protocol::experiment::{Drawing, Experiment, Lines, Point, Status, Table, Verdict};
use protocol::facts::compression::CompressionFacts;
use protocol::payload::PayloadKind;
use protocol::result::Comparison;
use protocol::{Layer, Transport};

use super::claims::verdict;
use super::draw::{axis, doubts, line};
use super::evidence::{Answer, CPU, Estimate, percent, times, utilisation};
use super::memory::growths;
use crate::number::{short, short_or_dash};
use crate::summary::rows;
use crate::table::scenario;

/// Claim 45: an event of text is small if it takes at most this share of its bytes.
const SMALL: f64 = 0.7;
/// Claim 45: from this ratio of CPU time on, compression has a price.
const MORE_CPU: f64 = 1.25;

/// The figures that decide claim 45, for text of one size.
pub struct Compressed {
    /// Wire bytes of an event over those without compression, each message by itself and with context takeover.
    pub shares: Option<[f64; 2]>,
    /// Server CPU time over that without compression, with context takeover.
    pub cpu: Estimate,
}

/// Claim 45: compression makes text events small. It holds within limits where only context takeover does, or where it costs CPU time.
pub fn makes_small(compressed: &Compressed) -> Status {
    let Some([alone, takeover]) = compressed.shares else { return Status::NotMeasurable };
    match (alone <= SMALL, takeover <= SMALL, compressed.cpu.above(MORE_CPU)) {
        (_, false, _) => Status::DoesNotHold,
        (_, true, Answer::Unclear) => Status::NotMeasurable,
        (true, true, Answer::No) => Status::Holds,
        (_, true, _) => Status::HoldsWithinLimits,
    }
}

/// Wire bytes of an event, in the window.
fn bytes(comparison: &Comparison, transport: Transport) -> Option<f64> {
    let row = rows(comparison).into_iter().find(|row| row.transport == transport && row.sound > 0)?;
    Some((row.ledger[Layer::Event] + row.ledger[Layer::Framing]) as f64 / row.events())
}

/// Derives the experiment from its facts.
pub fn derive(facts: &CompressionFacts) -> Experiment {
    let growths = growths(&facts.memory);
    let kib = |transport: Transport| {
        growths.iter().find(|growth| growth.transport == transport).map(|growth| growth.slope().0)
    };
    let share = |comparison: &Comparison, transport| {
        Some(bytes(comparison, transport)? / bytes(comparison, Transport::WebSocket)?)
    };
    let cpu =
        |comparison: &Comparison, transport| times((comparison, transport), (comparison, Transport::WebSocket), CPU);
    let row = |comparison: &Comparison| {
        let [alone, takeover] = [Transport::WebSocketDeflate, Transport::WebSocketTakeover];
        let percent = |transport| share(comparison, transport).map_or_else(|| short_or_dash(None), percent);
        vec![
            comparison.scenario.payload_kind.to_string(),
            comparison.scenario.payload_bytes.to_string(),
            short_or_dash(bytes(comparison, Transport::WebSocket)),
            short_or_dash(bytes(comparison, alone)),
            short_or_dash(bytes(comparison, takeover)),
            percent(alone),
            percent(takeover),
            cpu(comparison, alone).in_words(),
            cpu(comparison, takeover).in_words(),
        ]
    };
    let drawing = |kind: PayloadKind| {
        let of_kind: Vec<&Comparison> =
            facts.rounds.iter().filter(|comparison| comparison.scenario.payload_kind == kind).collect();
        let drawn = |transport: Transport| {
            let point = |comparison: &&Comparison| {
                Some(Point::new(f64::from(comparison.scenario.payload_bytes), bytes(comparison, transport)?))
            };
            line(transport, of_kind.iter().filter_map(point).collect())
        };
        let transports =
            Transport::all_where(|transport| of_kind.iter().any(|comparison| bytes(comparison, transport).is_some()));
        Drawing::Lines(Lines {
            name: format!("compression-{kind}"),
            title: format!("Wire bytes of an event whose payload is {}", described(kind)),
            caption: "Event and framing, in the measurement window.".into(),
            x: axis("payload in bytes", true),
            y: axis("wire bytes per event", true),
            lines: transports.into_iter().map(drawn).collect(),
        })
    };
    let text = facts.rounds.iter().find(|comparison| {
        comparison.scenario.payload_kind == PayloadKind::Text && comparison.scenario.payload_bytes == 200
    });
    let shares = text
        .and_then(|text| Some([share(text, Transport::WebSocketDeflate)?, share(text, Transport::WebSocketTakeover)?]));
    let compressed =
        Compressed { shares, cpu: text.map_or(Estimate::UNKNOWN, |text| cpu(text, Transport::WebSocketTakeover)) };
    let memory = [
        short_or_dash(kib(Transport::WebSocket)),
        short_or_dash(kib(Transport::WebSocketDeflate)),
        short_or_dash(kib(Transport::WebSocketTakeover)),
    ];
    let [share_alone, share_takeover] =
        [0, 1].map(|index| shares.map_or_else(|| "an unknown share".into(), |shares| percent(shares[index])));
    Experiment {
        title: "Compression of WebSocket messages".into(),
        question: "What does permessage-deflate save, and what does it cost, over kind and size of the payload?".into(),
        answer: vec![format!(
            "A text event of 200 bytes takes {share_alone} of its bytes if each message is compressed by itself, and {share_takeover} with context \
             takeover. A connection takes {} KiB of the server's memory without compression, {} with shared messages, and {} with context takeover.",
            memory[0], memory[1], memory[2]
        )],
        doubts: doubts(&facts.rounds.iter().collect::<Vec<_>>()),
        drawings: [PayloadKind::Text, PayloadKind::Json, PayloadKind::Random].map(drawing).to_vec(),
        tables: vec![
            Table {
                title: "Bytes and CPU".into(),
                columns: [
                    "payload",
                    "bytes",
                    "wire bytes/event",
                    "deflate",
                    "takeover",
                    "deflate, share",
                    "takeover, share",
                    "server CPU, deflate over none",
                    "server CPU, takeover over none",
                ]
                .map(Into::into)
                .to_vec(),
                rows: facts.rounds.iter().map(row).collect(),
            },
            Table {
                title: "Server memory".into(),
                columns: ["transport", "KiB/connection"].map(Into::into).to_vec(),
                rows: growths
                    .iter()
                    .map(|growth| vec![growth.transport.label().into(), short(growth.slope().0)])
                    .collect(),
            },
        ],
        verdicts: vec![Verdict {
            figure: format!(
                "A text event of 200 B takes {share_alone} of its bytes, each message by itself, and {share_takeover} with context takeover. Server \
                 CPU an event with context takeover, over that without compression: {}. Server memory per connection: {} KiB without, {} with \
                 shared messages, {} with context takeover",
                compressed.cpu.in_words(),
                memory[0],
                memory[1],
                memory[2]
            ),
            why: "A short text has few repetitions of its own; most of what can be saved is in common with earlier messages. To refer to these, \
                  the server keeps a compressor for each connection and compresses each event for each subscriber."
                .into(),
            prediction: format!("A text event of 200 bytes takes at most {} of its bytes.", percent(SMALL)),
            refuted_by: format!(
                "More than {} of the bytes even with context takeover. The claim holds only within limits where it needs context takeover, or \
                 {MORE_CPU} times the CPU time.",
                percent(SMALL)
            ),
            working_point: text.map_or_else(String::new, |text| {
                format!("{}, at {} of a processor.", scenario(text), percent(utilisation(text, Transport::WebSocketTakeover)))
            }),
            turns_at: "Large texts compress without context, too; random or already compressed data does not compress at all.".into(),
            ..verdict(45, makes_small(&compressed))
        }],
        method: vec![
            "The default level of zlib, a window of 32 KiB. A message that would become longer is sent without compression, unless later messages \
             may refer to it."
                .into(),
            "Memory is the slope over several numbers of subscribers, to each of which events are sent. Only context takeover needs a compressor \
             for each of them."
                .into(),
        ],
        ..Experiment::default()
    }
}

/// A kind of payload within a sentence.
fn described(kind: PayloadKind) -> &'static str {
    match kind {
        PayloadKind::Random => "random letters",
        PayloadKind::Text => "English words",
        PayloadKind::Json => "JSON",
    }
}
