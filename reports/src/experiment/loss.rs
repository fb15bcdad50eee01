//! The effect of lost packets: which deliveries wait for a packet to be sent again, and which never come.

use protocol::Transport;
use protocol::experiment::{Drawing, Experiment, Lines, Point, Status, Table, Verdict};
use protocol::facts::loss::{DELAY_MS, LossFacts};
use protocol::result::{Comparison, Packets, Round};

use super::claims::verdict;
use super::draw::{axis, doubts, line};
use super::evidence::{Estimate, Measure, figure, percent, times};
use crate::judge::is_sound;
use crate::number::{short, short_or_dash};
use crate::table::scenario;

/// A delivery is late from this latency on: half a round trip after an event whose packets were all delivered.
const LATE_NS: u64 = 2 * DELAY_MS * 1_000_000;
/// Claim 49: on a connection, a lost packet stops every stream if it delays this many times as many deliveries as where streams do not wait.
const STOPS: f64 = 2.0;

/// Late deliveries for each packet that was lost on its way to the load client.
const LATE_PER_LOST: Measure =
    Measure::counted(|round| (round.latency_ns.count_above(LATE_NS) as f64, lost(round) as f64));
/// The share of deliveries that were late.
const LATE: Measure = Measure::counted(|round| (round.latency_ns.count_above(LATE_NS) as f64, round.delivered as f64));
/// The share of deliveries that never came.
const MISSING: Measure = Measure::counted(|round| {
    let expected = round.expected.unwrap_or(round.delivered);
    (expected.saturating_sub(round.delivered) as f64, expected as f64)
});

fn lost(round: &Round) -> u64 {
    round.packets.map_or(0, |Packets { down, .. }| down.lost)
}

/// Claim 49: a lost packet stops every stream of a TCP connection. `ratio` is the number of deliveries that a lost packet delays on one, over that
/// with a QUIC stream for each event.
pub fn stops_every_stream(ratio: Estimate) -> Status {
    ratio.above(STOPS).decides(Status::Holds, Status::DoesNotHold)
}

/// Derives the experiment from its facts.
pub fn derive(facts: &LossFacts) -> Experiment {
    let percent_lost = |comparison: &Comparison| f64::from(comparison.scenario.network.loss_per_million) / 1e4;
    let settings = || {
        let of = |comparison| move |&transport| (comparison, transport);
        facts.comparisons.iter().flat_map(move |comparison| comparison.scenario.transports.iter().map(of(comparison)))
    };
    let row = |(comparison, transport): (&Comparison, Transport)| {
        let sound = comparison.rounds_of(transport).filter(|round| is_sound(round));
        let (packets, reordered) = sound
            .fold((0, 0), |(packets, reordered), round| (packets + lost(round), reordered + round.faults.reordered));
        vec![
            format!("{} %", percent_lost(comparison)),
            transport.label().into(),
            packets.to_string(),
            figure(comparison, transport, LATE_PER_LOST).in_words(),
            percent(figure(comparison, transport, LATE).value),
            percent(figure(comparison, transport, MISSING).value),
            reordered.to_string(),
        ]
    };
    let first = facts.comparisons.first();
    let late = |transport| first.map_or(Estimate::UNKNOWN, |first| figure(first, transport, LATE_PER_LOST));
    let value = |transport| short_or_dash(Some(late(transport).value).filter(|value| value.is_finite()));
    let ratio = first.map_or(Estimate::UNKNOWN, |first| {
        times((first, Transport::SseH2), (first, Transport::WebTransportStreams), LATE_PER_LOST)
    });
    let missing = first.map_or(f64::NAN, |first| figure(first, Transport::WebTransportDatagrams, MISSING).value);
    let transports = Transport::all_where(|transport| settings().any(|setting| setting.1 == transport));
    let per_lost = transports.iter().map(|&transport| {
        let points = facts.comparisons.iter().map(|comparison| {
            let late = figure(comparison, transport, LATE_PER_LOST);
            Point { x: percent_lost(comparison), y: late.value, interval: late.interval }
        });
        line(transport, points.filter(|point| point.y.is_finite()).collect())
    });
    let curve = transports.iter().filter_map(|&transport| Some(line(transport, later_than(first?, transport))));
    Experiment {
        title: "Lost packets".into(),
        question: "When the network loses a packet, which events wait for it, and which never come?".into(),
        answer: vec![match first {
            None => "Not measured: this system did not let packets be lost.".into(),
            Some(_) => format!(
            "Where two subscriptions share a TCP connection, a lost packet delays {} deliveries; on one stream of QUIC it delays {}, and with a stream for each event \
                 {}. Over datagrams, {} of the deliveries are late, and {} never come.",
            value(Transport::SseH2),
            value(Transport::WebTransport),
            value(Transport::WebTransportStreams),
 percent(first.map_or(f64::NAN, |first| figure(first, Transport::WebTransportDatagrams, LATE).value)),
            percent(missing)
        )}],
        doubts: doubts(&facts.comparisons.iter().collect::<Vec<_>>()),
        drawings: vec![
            Drawing::Lines(Lines {
                name: "loss-later".into(),
                title: "Deliveries that are later than a time".into(),
                caption: format!(
                    "The share of all deliveries whose latency is longer than the time at the bottom, with {} % of the packets lost. Without loss, \
                     each would take {DELAY_MS} ms.",
                    first.map_or(0.0, percent_lost)
                ),
                x: axis("delivery latency in ms", false),
                y: axis("share of deliveries that are later, in %", true),
                lines: curve.filter(|line| !line.points.is_empty()).collect(),
            }),
            Drawing::Lines(Lines {
                name: "loss-late-per-lost".into(),
                title: "Deliveries that a lost packet delays".into(),
                caption: "Late deliveries, divided by the packets that were lost on the way to the load client in the same time. At 1, only the event in the lost \
                          packet is late."
                    .into(),
                x: axis("lost packets in %", false),
                y: axis("late deliveries per lost packet", false),
                lines: per_lost.filter(|line| !line.points.is_empty()).collect(),
            }),
        ],
        tables: vec![Table {
            title: "Late and missing deliveries".into(),
            columns: [
                "packets lost",
                "transport",
                "lost on the way down",
                "late deliveries per lost packet",
                "late",
                "never came",
                "overtaken by later ones",
            ]
            .map(Into::into)
            .to_vec(),
            rows: settings().map(row).collect(),
        }],
        verdicts: vec![Verdict {
            figure: format!(
                "Late deliveries per lost packet: {} over SSE with two subscriptions on a TCP connection, {} over WebSocket, {} over one QUIC stream, \
                 {} with a QUIC stream for each event. The first over the last: {}",
                value(Transport::SseH2),
                value(Transport::WebSocket),
                value(Transport::WebTransport),
                value(Transport::WebTransportStreams),
                ratio.in_words()
            ),
            why: "TCP passes bytes on in order only. So what came after a lost packet waits in the kernel until that packet was sent again, \
                  whichever stream it belongs to. QUIC keeps an order for each stream by itself."
                .into(),
            prediction: format!(
                "On a TCP connection with two streams, a lost packet delays more than {STOPS} times as many deliveries as with a QUIC stream for each event."
            ),
            refuted_by: "A smaller ratio.".into(),
            working_point: first.map_or_else(String::new, |first| format!("{}.", scenario(first))),
            turns_at: "The more events within the time of a retransmission, the more wait. At less than one event in that time there is nothing \
                       behind the lost packet that could wait. One QUIC stream has the same order as TCP, and the same delay."
                .into(),
            ..verdict(49, stops_every_stream(ratio))
        }],
        method: vec![
            format!(
                "Server and load client run in two network namespaces. The packets between them pass through this program, which delays each by \
                 {DELAY_MS} ms and drops some at random, in both directions. TCP is the kernel's own, with its retransmission and congestion control; \
                 QUIC is that of the quinn crate on both sides."
            ),
            format!(
                "A delivery is late if it takes longer than {} ms: half a round trip more than without loss. Lost packets that carried only \
                 acknowledgements count, too; they delay nothing.",
                short(LATE_NS as f64 / 1e6)
            ),
            "Deliveries that never came are a failure of a round over every transport but datagrams.".into(),
        ],
        ..Experiment::default()
    }
}

/// The share of deliveries that are later than a time, in percent, over the time in ms.
fn later_than(comparison: &Comparison, transport: Transport) -> Vec<Point> {
    let sound: Vec<&Round> = comparison.rounds_of(transport).filter(|round| is_sound(round)).collect();
    let all: u64 = sound.iter().map(|round| round.latency_ns.count()).sum();
    let share = |ms: u64| {
        let later: u64 = sound.iter().map(|round| round.latency_ns.count_above(ms * 1_000_000)).sum();
        Point::new(ms as f64, later as f64 / all.max(1) as f64 * 100.0)
    };
    (DELAY_MS..=10 * DELAY_MS).step_by(2).map(share).take_while(|point| point.y > 0.0).collect()
}
