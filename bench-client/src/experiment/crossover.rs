//! The crossover: over event rate, acceptable staleness and network delay, which transport costs the server least.

use std::time::Duration;

use protocol::Transport;
use protocol::experiment::{Cell, Drawing, Experiment, Map};
use protocol::network::Network;
use protocol::result::{Comparison, Headers, Round, Scenario};
use reports::number::short;

use crate::compare::warm_up_ms;
use crate::trial::{self, small};

/// About how long it takes, in seconds.
pub const SECONDS: u64 = 190;

const RATES: [f64; 4] = [1.0, 4.0, 16.0, 64.0];
/// How old an event may be when it arrives, in ms.
const STALENESS_MS: [u64; 4] = [100, 300, 1_000, 3_000];
const DELAYS_MS: [u64; 2] = [2, 40];
/// The share of the deliveries that must not be older than that: a transport of which more are takes no part.
const IN_TIME: f64 = 0.95;
const SUBSCRIBERS: u32 = 300;
/// The transports that wait for nothing but the event, so that their cost does not depend on staleness.
const AT_ONCE: [Transport; 3] = [Transport::LongPolling, Transport::Ndjson, Transport::WebSocket];
const WINDOW_MS: u64 = 2_000;
/// What two CPU costs must differ by, as a ratio, before one is called less: each is one round's, and rounds of the same
/// transport under the same load differ by this much here.
const TELLING: f64 = 1.5;

/// What a subscriber costs a second, at one event rate.
#[derive(Clone, Copy)]
struct Cost {
    cpu_us: f64,
    bytes: f64,
}

/// Runs it.
pub async fn run(seed: u64) -> anyhow::Result<Experiment> {
    let mut scenarios = Vec::new();
    for delay_ms in DELAYS_MS {
        for rate in RATES {
            let network = Network::with_delay(Duration::from_millis(delay_ms));
            let base = Scenario {
                rate,
                network,
                subscribers: SUBSCRIBERS,
                headers: Headers::Browser,
                warm_up_ms: warm_up_ms(SUBSCRIBERS, network),
                duration_ms: WINDOW_MS,
                seed,
                ..small(&AT_ONCE)
            };
            scenarios.push(base.clone());
            scenarios.extend(STALENESS_MS.into_iter().map(|staleness_ms| {
                // An event that just missed a poll is found by the next and takes the way down.
                let interval = staleness_ms - delay_ms;
                Scenario {
                    transports: vec![Transport::Polling],
                    poll_interval_ms: interval,
                    duration_ms: WINDOW_MS.max(interval),
                    ..base.clone()
                }
            }));
        }
    }
    let found = trial::rounds(&scenarios, false).await?;
    let rounds: Vec<Comparison> =
        scenarios.into_iter().zip(found).map(|(scenario, rounds)| Comparison { scenario, rounds }).collect();
    Ok(work_out(rounds))
}

fn cost(comparison: &Comparison, transport: Transport) -> Option<Cost> {
    let round: &Round = comparison.rounds_of(transport).next().filter(|round| round.is_sound())?;
    let (ledger, rate) = (&round.ledger, comparison.scenario.rate);
    let per = |bytes: u64, count: u64| if count == 0 { 0.0 } else { bytes as f64 / count as f64 };
    let events = rate * per(ledger.event_bytes + ledger.framing_bytes, ledger.events);
    let answered = ledger.requests.saturating_sub(ledger.empty_polls);
    let answer = per(ledger.request_head_bytes + ledger.response_head_bytes, answered);
    // Heads of a stream and a handshake are paid once, and left out; heads of polls come again and again.
    let heads = match transport {
        Transport::Polling => {
            let polls = 1e3 / comparison.scenario.poll_interval_ms as f64;
            // Evenly spaced events, fewer than polls, each have a poll of their own.
            let with_events = polls.min(rate);
            with_events * answer + (polls - with_events) * per(ledger.empty_poll_bytes, ledger.empty_polls)
        }
        Transport::LongPolling => rate * per(answered, ledger.events) * answer,
        _ => 0.0,
    };
    // By the events that were really delivered in the window, since a short one holds one more or one less.
    let server = &round.server;
    let seconds = server.window_ns as f64 / 1e9;
    let cpu_us = match transport {
        Transport::Polling => server.cpu_ns as f64 / 1e3 / seconds / f64::from(comparison.scenario.subscribers),
        _ => rate * per(server.cpu_ns, server.deliveries) / 1e3,
    };
    Some(Cost { cpu_us, bytes: events + heads })
}

/// Whether the deliveries of a round were in time, as measured: [`IN_TIME`] of them no older than that.
fn in_time(comparison: &Comparison, transport: Transport, staleness_ms: u64) -> bool {
    let latency = comparison.rounds_of(transport).next().and_then(|round| round.latency_ns.quantile(IN_TIME));
    latency.is_some_and(|ns| ns <= staleness_ms * 1_000_000)
}

/// A cost that a map is drawn of.
struct Drawn {
    name: &'static str,
    of: &'static str,
    unit: &'static str,
    figure: fn(&Cost) -> f64,
    telling: f64,
}

const DRAWN: [Drawn; 2] = [
    Drawn { name: "cpu", of: "server CPU", unit: "us", figure: |cost| cost.cpu_us, telling: TELLING },
    Drawn { name: "bytes", of: "bytes on the wire", unit: "B", figure: |cost| cost.bytes, telling: 1.02 },
];

fn work_out(rounds: Vec<Comparison>) -> Experiment {
    let mut drawings = Vec::new();
    let mut answer = Vec::new();
    for drawn in &DRAWN {
        for delay_ms in DELAYS_MS {
            let cells: Vec<Vec<Cell>> = STALENESS_MS
                .iter()
                .map(|&staleness_ms| {
                    RATES.iter().map(|&rate| cell(&rounds, drawn, rate, staleness_ms, delay_ms)).collect()
                })
                .collect();
            let all: Vec<&Cell> = cells.iter().flatten().collect();
            let won = |wanted: &[Transport]| {
                all.iter().filter(|cell| cell.best.is_some_and(|best| wanted.contains(&best))).count()
            };
            let (polling, waiting) = (won(&[Transport::Polling]), won(&[Transport::LongPolling]));
            let push = all.iter().filter(|cell| cell.best.is_some_and(pushes)).count();
            let title = format!(
                "Least {} at {delay_ms} ms of delay: polling in {polling}, long polling in {waiting}, a push transport in {push}, ties in {} of {} cells",
                drawn.of,
                all.len() - polling - waiting - push,
                all.len()
            );
            answer.push(format!("{title}."));
            drawings.push(Drawing::Map(Map {
                name: format!("crossover-{}-{delay_ms}ms", drawn.name),
                title,
                caption: format!(
                    "Which transport takes least {} for each of {SUBSCRIBERS} subscribers, a second, among those that were measured to \
                     deliver {} % of the events within the acceptable staleness, at {delay_ms} ms of one-way delay. Below each name: \
                     what it takes, and how the next of the others stands to it; WebSocket and HTTP streaming, which both push, are \
                     near each other and count as one. Grey is a tie.",
                    drawn.of,
                    IN_TIME * 100.0
                ),
                x: "events a second".into(),
                columns: RATES.map(|rate| rate.to_string()).to_vec(),
                y: "how old an event may be when it arrives".into(),
                rows: STALENESS_MS.map(|ms| format!("{} s", ms as f64 / 1e3)).to_vec(),
                cells,
            }));
        }
    }
    Experiment {
        name: "crossover".into(),
        title: "When polling is right".into(),
        question: "Over event rate, acceptable staleness and delay: which transport costs the server least?".into(),
        answer,
        doubts: super::doubts(&rounds),
        drawings,
        method: vec![
            format!(
                "{SUBSCRIBERS} subscribers, events of 200 B evenly spaced, a browser's headers; one round for each rate, delay and poll interval, and \
                 one for each rate and delay of the others. Poll intervals are the staleness less one delay; each takes part wherever it was \
                 in time, and the cheapest stands for polling."
            ),
            format!(
                "CPU is noisy, and each figure is one round's: costs within a factor of {TELLING} are a tie. Bytes are exact to a few events."
            ),
            busy(&rounds),
            "What opening a connection costs, the heads of a stream among it, is left out: it is paid once.".into(),
        ],
        rounds,
        ..Experiment::default()
    }
}

fn cell(rounds: &[Comparison], drawn: &Drawn, rate: f64, staleness_ms: u64, delay_ms: u64) -> Cell {
    let here = |comparison: &&Comparison| {
        comparison.scenario.rate == rate && comparison.scenario.network.delay_us == delay_ms * 1_000
    };
    let mut costs: Vec<(Transport, f64)> = Vec::new();
    for comparison in rounds.iter().filter(here) {
        for &transport in &comparison.scenario.transports {
            if in_time(comparison, transport, staleness_ms)
                && let Some(cost) = cost(comparison, transport)
            {
                costs.push((transport, (drawn.figure)(&cost)));
            }
        }
    }
    costs.sort_by(|a, b| a.1.total_cmp(&b.1));
    let Some(&(best, least)) = costs.first() else {
        return Cell { best: None, cost: String::new(), against: "none is fast enough".into() };
    };
    let cost = format!("{} {}/s", short(least), drawn.unit);
    // Push transports are near each other everywhere; what a map is for is whether to push or to ask.
    let rivals = costs.iter().find(|cost| !(pushes(cost.0) && pushes(best)) && cost.0 != best);
    match rivals {
        Some(&(next, more)) if more < drawn.telling * least => {
            let words = |transport| if pushes(transport) { "push" } else { transport.label() };
            Cell { best: None, cost: format!("about {cost}"), against: format!("{}, {}", words(best), words(next)) }
        }
        Some(&(next, more)) => {
            let against = format!("{}: {} times that", next.label(), short(more / least));
            Cell { best: Some(best), cost, against }
        }
        None => Cell { best: Some(best), cost, against: String::new() },
    }
}

/// How busy the servers of the maps were, from the idlest to the busiest, in a sentence.
fn busy(rounds: &[Comparison]) -> String {
    let shares = rounds.iter().flat_map(|comparison| &comparison.rounds);
    let shares = shares.map(|round| round.server.cpu_ns as f64 / round.server.window_ns.max(1) as f64 * 100.0);
    let (least, greatest) =
        shares.fold((f64::INFINITY, 0.0f64), |(least, greatest), share| (least.min(share), greatest.max(share)));
    format!(
        "The servers were busy for {} to {} % of the time: the costs are those of {SUBSCRIBERS} subscribers, and fall where many more keep \
         a server busy.",
        short(least),
        short(greatest)
    )
}

/// Whether a transport sends events without being asked for each.
fn pushes(transport: Transport) -> bool {
    matches!(transport, Transport::Ndjson | Transport::WebSocket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn comparison(transport: Transport) -> Comparison {
        use protocol::result::{ClientCost, Faults, ServerCost};
        use protocol::{Histogram, Ledger};
        let scenario = Scenario { rate: 4.0, poll_interval_ms: 1_000, ..small(&[transport]) };
        // Four events of 240 bytes came with one answer of 700 bytes of heads; a poll of 600 brought nothing.
        let ledger = Ledger {
            event_bytes: 960,
            framing_bytes: 4,
            request_head_bytes: 550,
            response_head_bytes: 150,
            empty_poll_bytes: 600,
            events: 4,
            requests: 2,
            empty_polls: 1,
            ..Ledger::default()
        };
        let server = ServerCost {
            window_ns: 1_000_000_000,
            cpu_ns: 80_000,
            deliveries: 80,
            requests: 0,
            accepts: 0,
            context_switches: 0,
            resident_before_bytes: 0,
            resident_connected_bytes: 0,
        };
        let client = ClientCost { cpu_ns: 0, lag_ns: Histogram::default(), connect_ns: 0 };
        let round = Round {
            transport,
            round: 1,
            sent: 4,
            delivered: 80,
            schedule_hash: String::new(),
            latency_ns: Histogram::default(),
            slowest_ns: Histogram::default(),
            naive_latency_ns: Histogram::default(),
            publisher_lateness_ns: Histogram::default(),
            clock_bound_ns: None,
            ledger,
            window_ledger: None,
            faults: Faults::default(),
            server,
            client,
            failures: Vec::new(),
            warnings: Vec::new(),
        };
        Comparison { scenario, rounds: vec![round] }
    }

    #[test]
    fn push_transports_do_not_tie_with_each_other_but_with_those_that_ask() {
        let at = |transport, cpu_us: u64| {
            let mut comparison = comparison(transport);
            comparison.rounds[0].latency_ns.record(1_000_000);
            comparison.rounds[0].server.cpu_ns = cpu_us * 1_000;
            comparison
        };
        let found = |rounds: &[Comparison]| {
            let delay_ms = rounds[0].scenario.network.delay_us / 1_000;
            let cell = cell(rounds, &DRAWN[0], 4.0, 1_000, delay_ms);
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
    fn a_transport_that_was_late_takes_no_part_however_little_it_costs() {
        let mut late = comparison(Transport::Polling);
        late.rounds[0].latency_ns = [90_000_000; 3].into_iter().chain([110_000_000]).collect();
        late.rounds[0].server.cpu_ns = 1;
        let mut punctual = comparison(Transport::WebSocket);
        punctual.rounds[0].latency_ns.record(1_000_000);
        let cell = |staleness_ms| cell(&[late.clone(), punctual.clone()], &DRAWN[0], 4.0, staleness_ms, 0).best;
        assert_eq!((cell(100), cell(120)), (Some(Transport::WebSocket), Some(Transport::Polling)));
    }

    #[test]
    fn no_transport_costs_less_than_the_events_it_brings() {
        let bytes = |transport| cost(&comparison(transport), transport).unwrap().bytes;
        assert_eq!(bytes(Transport::WebSocket), 964.0);
        // One poll a second, with all four events.
        assert_eq!(bytes(Transport::Polling), 964.0 + 700.0);
        assert_eq!(bytes(Transport::LongPolling), 964.0 + 700.0);
    }
}
