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
pub const SECONDS: u64 = 165;

const RATES: [f64; 5] = [1.0, 4.0, 16.0, 64.0, 256.0];
/// How old an event may be when it arrives, in ms.
const STALENESS_MS: [u64; 4] = [100, 300, 1_000, 3_000];
const DELAYS_MS: [u64; 2] = [2, 40];
const SUBSCRIBERS: u32 = 60;
/// The transports that wait for nothing but the event, so that their cost does not depend on staleness.
const AT_ONCE: [Transport; 3] = [Transport::LongPolling, Transport::Ndjson, Transport::WebSocket];
const WINDOW_MS: u64 = 1_200;
/// What two costs must differ by, as a ratio, before one is called less.
const TELLING: f64 = 1.15;

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
    let subscriber_seconds = f64::from(comparison.scenario.subscribers) * round.server.window_ns as f64 / 1e9;
    // Bytes of the whole connection, by events or by polls, brought to the window's rate of them.
    let ledger = &round.ledger;
    let per_event = |bytes: u64| bytes as f64 / ledger.events.max(1) as f64;
    let per_second = match transport {
        Transport::Polling => {
            let polls = 1e3 / comparison.scenario.poll_interval_ms as f64;
            polls * ledger.wire_bytes() as f64 / ledger.requests.max(1) as f64
        }
        Transport::LongPolling => comparison.scenario.rate * per_event(ledger.wire_bytes()),
        // The heads of a stream and the handshake of a WebSocket are what opening costs.
        _ => comparison.scenario.rate * per_event(ledger.event_bytes + ledger.framing_bytes),
    };
    Some(Cost { cpu_us: round.server.cpu_ns as f64 / 1e3 / subscriber_seconds, bytes: per_second })
}

/// The longest that an event can take over a transport that waits for nothing, in ms, beside what the machine takes.
fn worst_ms(transport: Transport, delay_ms: u64) -> u64 {
    if transport == Transport::LongPolling { 3 * delay_ms } else { delay_ms }
}

/// A cost that a map is drawn of.
struct Drawn {
    name: &'static str,
    of: &'static str,
    unit: &'static str,
    figure: fn(&Cost) -> f64,
}

const DRAWN: [Drawn; 2] = [
    Drawn { name: "cpu", of: "server CPU", unit: "us", figure: |cost| cost.cpu_us },
    Drawn { name: "bytes", of: "bytes on the wire", unit: "B", figure: |cost| cost.bytes },
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
            let title = format!(
                "Least {} at {delay_ms} ms of delay: polling in {polling}, long polling in {waiting} of {} cells",
                drawn.of,
                all.len()
            );
            answer.push(format!("{title}."));
            drawings.push(Drawing::Map(Map {
                name: format!("crossover-{}-{delay_ms}ms", drawn.name),
                title,
                caption: format!(
                    "Which transport takes least {} for a subscriber, a second, among those that deliver within the \
                     acceptable staleness at {delay_ms} ms of one-way delay. Polling asks as seldom as the staleness allows. \
                     A long poll can take three delays. Below each name: what it takes, and how the best of the others stands \
                     to it.",
                    drawn.of
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
                "{SUBSCRIBERS} subscribers, events of 200 B evenly spaced, a browser's headers; one round for each cell of polling, one for each rate and delay of the others."
            ),
            format!("CPU is noisy: costs within a factor of {TELLING} are called about the same. Bytes are exact."),
            "What opening a connection costs is left out: it is paid once.".into(),
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
            let in_time = match transport {
                Transport::Polling => comparison.scenario.poll_interval_ms == staleness_ms - delay_ms,
                _ => worst_ms(transport, delay_ms) <= staleness_ms,
            };
            if in_time && let Some(cost) = cost(comparison, transport) {
                costs.push((transport, (drawn.figure)(&cost)));
            }
        }
    }
    costs.sort_by(|a, b| a.1.total_cmp(&b.1));
    let Some(&(best, least)) = costs.first() else {
        return Cell { best: None, cost: String::new(), against: String::new() };
    };
    let against = match costs.get(1) {
        Some(&(next, more)) if more >= TELLING * least => {
            format!("{}: {} times that", next.label(), short(more / least))
        }
        Some(&(next, _)) => format!("{}: about the same", next.label()),
        None => String::new(),
    };
    Cell { best: Some(best), cost: format!("{} {}/s", short(least), drawn.unit), against }
}
