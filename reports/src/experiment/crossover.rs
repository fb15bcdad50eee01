//! The crossover: over event rate, acceptable staleness and network delay, the transport that costs the server least.

use anyhow::Context;
use protocol::experiment::{Cell, Drawing, Experiment, Map};
use protocol::facts::crossover::CrossoverFacts;
use protocol::result::{Comparison, Round};
use protocol::transport::Exchange;
use protocol::{Layer, Transport};

use super::draw::doubts;
use crate::judge::is_sound;
use crate::number::short;

/// The share of the deliveries that must not be older than the acceptable staleness; a transport that delivers fewer in time is left out.
const MIN_IN_TIME: f64 = 0.95;
/// The smallest ratio of two CPU costs that counts as a difference: each cost is one round's, and rounds of the same transport under the
/// same load differ by this much here.
pub(crate) const MIN_RATIO_CPU: f64 = 1.5;
/// The same of bytes, which are exact to a few events.
const MIN_RATIO_BYTES: f64 = 1.02;

/// The cost of a subscriber for a second, at one event rate.
#[derive(Clone, Copy)]
struct Cost {
    cpu_us: f64,
    bytes: f64,
}

fn cost(comparison: &Comparison, transport: Transport) -> Option<Cost> {
    let round: &Round = comparison.rounds_of(transport).next().filter(|round| is_sound(round))?;
    let (ledger, rate) = (&round.ledger, comparison.scenario.rate);
    let per = |bytes: u64, count: u64| if count == 0 { 0.0 } else { bytes as f64 / count as f64 };
    let events = rate * per(ledger[Layer::Event] + ledger[Layer::Framing], ledger.events);
    let with_events = ledger.requests.saturating_sub(ledger.empty_polls);
    let exchange = per(ledger[Layer::RequestHeaders] + ledger[Layer::ResponseHeaders], with_events);
    // The headers of a stream and a handshake are sent once, and left out; the headers of polls are sent again and again.
    let headers = match transport.exchange() {
        Exchange::Poll => {
            let polls = 1e3 / comparison.scenario.poll_interval_ms as f64;
            // Evenly spaced events, fewer than polls, each have a poll of their own.
            let full = polls.min(rate);
            full * exchange + (polls - full) * per(ledger[Layer::EmptyPoll], ledger.empty_polls)
        }
        Exchange::LongPoll => rate * per(with_events, ledger.events) * exchange,
        Exchange::Stream | Exchange::Socket => 0.0,
    };
    // By the events that were delivered in the window, since a short one has one event more or fewer.
    let server = &round.server;
    let seconds = server.window_ns as f64 / 1e9;
    let cpu_us = match transport.exchange() {
        Exchange::Poll => server.cpu_ns as f64 / 1e3 / seconds / f64::from(comparison.scenario.subscribers),
        Exchange::LongPoll | Exchange::Stream | Exchange::Socket => rate * per(server.cpu_ns, server.deliveries) / 1e3,
    };
    Some(Cost { cpu_us, bytes: events + headers })
}

/// The latency that [`MIN_IN_TIME`] of the deliveries did not exceed, in ns.
fn latency_ns(comparison: &Comparison, transport: Transport) -> Option<u64> {
    comparison.rounds_of(transport).next()?.latency_ns.quantile(MIN_IN_TIME)
}

/// Whether the deliveries of a round were measured to be in time: [`MIN_IN_TIME`] of them no older than `staleness_ms`.
fn in_time(comparison: &Comparison, transport: Transport, staleness_ms: u64) -> bool {
    latency_ns(comparison, transport).is_some_and(|ns| ns <= staleness_ms * 1_000_000)
}

/// The CPU time of a subscriber over a transport, and the latency.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct SubscriberCost {
    /// The transport.
    pub transport: Transport,
    /// The latency that 95 % of the deliveries do not exceed, in ms.
    pub p95_ms: f64,
    /// Server CPU time of a subscriber, in us for each second.
    pub cpu_us_per_s: f64,
    /// The poll interval, for polling.
    pub poll_interval_ms: Option<u64>,
}

impl SubscriberCost {
    /// Whether more than 5 % of the events were older than `max_age_ms` when they arrived.
    pub(crate) fn is_late(&self, max_age_ms: u64) -> bool {
        self.p95_ms > max_age_ms as f64
    }
}

/// The poll interval of a transport that polls.
pub(crate) fn poll_interval_ms(comparison: &Comparison, transport: Transport) -> Option<u64> {
    (transport.exchange() == Exchange::Poll).then_some(comparison.scenario.poll_interval_ms)
}

/// The cost of each transport with its cheapest setting, among those that were in time if any was; the comparisons have the same rate and delay.
pub(crate) fn costs(comparisons: &[&Comparison], staleness_ms: u64) -> Vec<SubscriberCost> {
    let mut found: Vec<SubscriberCost> = Vec::new();
    for comparison in comparisons {
        for &transport in &comparison.scenario.transports {
            let p95 = latency_ns(comparison, transport);
            let (Some(p95), Some(cost)) = (p95, cost(comparison, transport)) else { continue };
            let cost = SubscriberCost {
                transport,
                p95_ms: p95 as f64 / 1e6,
                cpu_us_per_s: cost.cpu_us,
                poll_interval_ms: poll_interval_ms(comparison, transport),
            };
            let rank = |cost: &SubscriberCost| (cost.is_late(staleness_ms), cost.cpu_us_per_s);
            match found.iter_mut().find(|known| known.transport == transport) {
                Some(known) if rank(known) <= rank(&cost) => {}
                Some(known) => *known = cost,
                None => found.push(cost),
            }
        }
    }
    found
}

/// A cost that a map shows.
struct Shown {
    name: &'static str,
    cost: &'static str,
    unit: &'static str,
    figure: fn(&Cost) -> f64,
    /// The smallest ratio that counts as a difference.
    min_ratio: f64,
}

const SHOWN: [Shown; 2] = [
    Shown { name: "cpu", cost: "server CPU", unit: "us", figure: |cost| cost.cpu_us, min_ratio: MIN_RATIO_CPU },
    Shown {
        name: "bytes",
        cost: "bytes on the wire",
        unit: "B",
        figure: |cost| cost.bytes,
        min_ratio: MIN_RATIO_BYTES,
    },
];

/// The different values, from the smallest to the largest.
fn distinct(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.dedup();
    values
}

pub fn derive(facts: &CrossoverFacts) -> anyhow::Result<Experiment> {
    let CrossoverFacts { staleness_ms, comparisons } = facts;
    let scenario = &comparisons.first().context("nothing was compared")?.scenario;
    let subscribers = scenario.subscribers;
    let rates = distinct(comparisons.iter().map(|comparison| comparison.scenario.rate));
    let delays_ms = distinct(comparisons.iter().map(|comparison| comparison.scenario.network.delay_us as f64 / 1e3));
    let mut drawings = Vec::new();
    let mut answer = Vec::new();
    for shown in &SHOWN {
        for &delay_ms in &delays_ms {
            let cells: Vec<Vec<Cell>> = staleness_ms
                .iter()
                .map(|&staleness_ms| {
                    rates.iter().map(|&rate| cell(comparisons, shown, rate, staleness_ms, delay_ms)).collect()
                })
                .collect();
            let all: Vec<&Cell> = cells.iter().flatten().collect();
            let won = |is_wanted: &dyn Fn(Transport) -> bool| {
                all.iter().filter(|cell| cell.best.is_some_and(is_wanted)).count()
            };
            let polling = won(&|best| best.exchange() == Exchange::Poll);
            let waiting = won(&|best| best.exchange() == Exchange::LongPoll);
            let push = won(&Transport::is_push);
            let title = format!(
                "Lowest {} at {delay_ms} ms of delay: polling in {polling}, long polling in {waiting}, a push transport in {push}, ties in \
                 {} of {} cells",
                shown.cost,
                all.len() - polling - waiting - push,
                all.len()
            );
            answer.push(format!("{title}."));
            drawings.push(Drawing::Map(Map {
                name: format!("crossover-{}-{delay_ms}ms", shown.name),
                title,
                caption: format!(
                    "The transport with the lowest {} a second for each of {subscribers} subscribers, among those that were measured to \
                     deliver {} % of the events within the acceptable staleness, at {delay_ms} ms of one-way delay. Below each name: the \
                     cost, and how many times as much the next of the others costs; transports that push cost about the same and \
                     count as one, and so do polls over each version of HTTP. Grey is a tie.",
                    shown.cost,
                    MIN_IN_TIME * 100.0
                ),
                x: "events a second".into(),
                columns: rates.iter().map(f64::to_string).collect(),
                y: "acceptable age of an event when it arrives".into(),
                rows: staleness_ms.iter().map(|&ms| format!("{} s", ms as f64 / 1e3)).collect(),
                cells,
            }));
        }
    }
    Ok(Experiment {
        title: "When polling is right".into(),
        question: "Over event rate, acceptable staleness and delay: which transport costs the server least?".into(),
        answer,
        doubts: doubts(&comparisons.iter().collect::<Vec<_>>()),
        drawings,
        method: vec![
            format!(
                "{subscribers} subscribers, events of {} B evenly spaced, a browser's headers; one round of polling for each rate, delay \
                 and poll interval, and one round of the others for each rate and delay. Poll intervals are the staleness less one delay; \
                 each counts wherever it was in time, and the cheapest represents polling.",
                scenario.payload_bytes
            ),
            format!(
                "Over HTTP/2, each subscriber has a connection of its own, and so its own table of headers. CPU is noisy, and each figure is one round's: costs within a factor of {MIN_RATIO_CPU} are a tie. Bytes are exact to a few \
                 events."
            ),
            busy(comparisons, subscribers),
            "The cost of opening a connection, the headers of a stream included, is left out: it is paid once.".into(),
        ],
        ..Experiment::default()
    })
}

fn cell(comparisons: &[Comparison], shown: &Shown, rate: f64, staleness_ms: u64, delay_ms: f64) -> Cell {
    let here = |comparison: &&Comparison| {
        comparison.scenario.rate == rate && comparison.scenario.network.delay_us as f64 / 1e3 == delay_ms
    };
    let mut costs: Vec<(Transport, f64)> = Vec::new();
    for comparison in comparisons.iter().filter(here) {
        for &transport in &comparison.scenario.transports {
            if in_time(comparison, transport, staleness_ms)
                && let Some(cost) = cost(comparison, transport)
            {
                costs.push((transport, (shown.figure)(&cost)));
            }
        }
    }
    costs.sort_by(|a, b| a.1.total_cmp(&b.1));
    let Some(&(best, lowest)) = costs.first() else {
        return Cell { best: None, cost: String::new(), against: "none is fast enough".into() };
    };
    let cost = format!("{} {}/s", short(lowest), shown.unit);
    // The map shows whether to push or to request: push transports cost about the same everywhere, and so does an exchange over several
    // versions of HTTP.
    let kind = |transport: Transport| (!transport.is_push()).then(|| transport.exchange());
    let rivals = costs.iter().find(|cost| kind(cost.0) != kind(best));
    match rivals {
        Some(&(next, more)) if more < shown.min_ratio * lowest => {
            let name = |transport: Transport| if transport.is_push() { "push" } else { transport.label() };
            Cell { best: None, cost: format!("about {cost}"), against: format!("{}, {}", name(best), name(next)) }
        }
        Some(&(next, more)) => {
            let against = format!("{}: {} times that", next.label(), short(more / lowest));
            Cell { best: Some(best), cost, against }
        }
        None => Cell { best: Some(best), cost, against: String::new() },
    }
}

/// How busy the servers were, from the least busy to the busiest, in a sentence.
fn busy(comparisons: &[Comparison], subscribers: u32) -> String {
    let shares = comparisons.iter().flat_map(|comparison| &comparison.rounds);
    let shares = shares.map(|round| round.server.cpu_ns as f64 / round.server.window_ns.max(1) as f64 * 100.0);
    let (min, max) = shares.fold((f64::INFINITY, 0.0f64), |(min, max), share| (min.min(share), max.max(share)));
    format!(
        "The servers were busy for {} to {} % of the time: the costs are those of {subscribers} subscribers, and fall where many more keep \
         a server busy.",
        short(min),
        short(max)
    )
}

#[cfg(test)]
mod tests {
    use protocol::Ledger;
    use protocol::result::Scenario;

    use super::*;
    use crate::experiment::fabricated;

    fn comparison(transport: Transport) -> Comparison {
        let scenario = Scenario { rate: 4.0, poll_interval_ms: 1_000, ..Scenario::small(&[transport]) };
        // Four events of 240 bytes arrived with one response and 700 bytes of headers; a poll of 600 bytes brought nothing.
        let ledger = Ledger { events: 4, requests: 2, empty_polls: 1, received_bytes: 2_264, ..Ledger::default() }
            .with(Layer::Event, 960)
            .with(Layer::Framing, 4)
            .with(Layer::RequestHeaders, 550)
            .with(Layer::ResponseHeaders, 150)
            .with(Layer::EmptyPoll, 600);
        let mut round = fabricated::round(transport, 1, 1.0);
        round.ledger = ledger;
        (round.server.cpu_ns, round.server.deliveries) = (80_000, 80);
        Comparison { scenario, rounds: vec![round] }
    }

    #[test]
    fn push_transports_do_not_tie_with_each_other_but_with_those_that_send_requests() {
        let at = |transport, cpu_us: u64| {
            let mut comparison = comparison(transport);
            comparison.rounds[0].latency_ns.record(1_000_000);
            comparison.rounds[0].server.cpu_ns = cpu_us * 1_000;
            comparison
        };
        let found = |rounds: &[Comparison]| {
            let cell = cell(rounds, &SHOWN[0], 4.0, 1_000, 0.0);
            (cell.best, cell.against)
        };
        let push = [at(Transport::WebSocket, 80), at(Transport::Ndjson, 90)];
        assert_eq!(found(&push), (Some(Transport::WebSocket), String::new()));
        let [websocket, ndjson] = push;
        let tie = found(&[websocket.clone(), ndjson.clone(), at(Transport::Polling, 100)]);
        assert_eq!(tie, (None, "push, Polling".into()));
        let clear = found(&[websocket, ndjson, at(Transport::Polling, 800)]);
        assert_eq!(clear, (Some(Transport::WebSocket), "Polling: 10.0 times that".into()));
    }

    #[test]
    fn a_transport_that_was_late_is_left_out_however_little_it_costs() {
        let mut late = comparison(Transport::Polling);
        late.rounds[0].latency_ns = [90_000_000; 3].into_iter().chain([110_000_000]).collect();
        late.rounds[0].server.cpu_ns = 1;
        let mut in_time = comparison(Transport::WebSocket);
        in_time.rounds[0].latency_ns.record(1_000_000);
        let cell = |staleness_ms| cell(&[late.clone(), in_time.clone()], &SHOWN[0], 4.0, staleness_ms, 0.0).best;
        assert_eq!((cell(100), cell(120)), (Some(Transport::WebSocket), Some(Transport::Polling)));
    }

    #[test]
    fn no_transport_costs_fewer_bytes_than_its_events() {
        let bytes = |transport| cost(&comparison(transport), transport).unwrap().bytes;
        assert_eq!(bytes(Transport::WebSocket), 964.0);
        // One poll a second, with all four events.
        assert_eq!(bytes(Transport::Polling), 964.0 + 700.0);
        assert_eq!(bytes(Transport::LongPolling), 964.0 + 700.0);
    }
}
