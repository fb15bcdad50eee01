//! Capacity: the highest load that a server of one thread carries over each transport while 99 % of the deliveries keep within a bound,
//! found by search; and what a delivery costs on the way there, from an idle server to a busy one.

use protocol::Transport;
use protocol::experiment::{Drawing, Experiment, Line, Lines, Point, Table};
use protocol::result::{Comparison, Headers, Round, Scenario};
use reports::number::{short, thousands};
use reports::statistics::{FEWEST_ROUNDS, pooled};

use super::{axis, line};
use crate::compare::warm_up_ms;
use crate::trial::{self, small};

const SUBSCRIBERS: u32 = 500;
/// What 99 % of the deliveries must keep within, in ms: a poll interval, and a fifth of one more.
const OBJECTIVE_MS: f64 = 300.0;
const POLL_INTERVAL_MS: u64 = 250;
/// The rate that the search begins at, and beyond which it does not go, in events a second.
const FIRST_RATE: f64 = 20.0;
const MAX_RATE: f64 = 5_120.0;
/// How many times the rate is that is tried after one that was carried, until one is not.
const GROWTH: f64 = 4.0;
/// How often the gap between a rate that was carried and one that was not is halved, on a logarithmic scale: to 9 %.
const HALVINGS: u32 = 4;
/// The share of a processor above which a process is what limits.
const BUSY: f64 = 0.85;
/// The four that the lab's question is about; SSE costs what HTTP streaming does.
const TRANSPORTS: [Transport; 4] =
    [Transport::Polling, Transport::LongPolling, Transport::Ndjson, Transport::WebSocket];

/// What was measured at a rate.
#[derive(Debug, Clone, PartialEq)]
struct Trial {
    rate: f64,
    /// Whether the round passed its gates.
    sound: bool,
    /// Whether it did, and met the objective.
    carried: bool,
    /// Latency that 99 % of the deliveries did not exceed, in ms.
    p99_ms: f64,
    /// Shares of a processor that server and client used, in [0, 1].
    server_busy: f64,
    client_busy: f64,
    /// Server CPU time in us, and the deliveries that it was spent on.
    cost: (f64, f64),
}

impl Trial {
    fn of(rate: f64, round: &Round) -> Self {
        let share = |cpu_ns: u64| cpu_ns as f64 / round.server.window_ns.max(1) as f64;
        let p99_ms = round.latency_ns.quantile(0.99).unwrap_or(0) as f64 / 1e6;
        Self {
            rate,
            sound: round.is_sound(),
            carried: round.is_sound() && p99_ms <= OBJECTIVE_MS,
            p99_ms,
            server_busy: share(round.server.cpu_ns),
            client_busy: share(round.client.cpu_ns),
            cost: (round.server.cpu_ns as f64 / 1e3, round.server.deliveries as f64),
        }
    }

    fn load(&self) -> f64 {
        self.rate * f64::from(SUBSCRIBERS)
    }

    fn cpu_us(&self) -> f64 {
        self.cost.0 / self.cost.1.max(1.0)
    }
}

/// The highest rate that was carried, and the lowest that was not.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Bracket {
    carried: Option<f64>,
    failed: Option<f64>,
}

/// The rate to try next; none when the search is over. It grows until one is not carried, then halves the gap.
fn next(bracket: Bracket, halvings: u32) -> Option<f64> {
    match bracket {
        Bracket { carried: None, failed: None } => Some(FIRST_RATE),
        Bracket { carried: Some(carried), failed: None } => Some(carried * GROWTH).filter(|&rate| rate <= MAX_RATE),
        Bracket { carried: Some(carried), failed: Some(failed) } => {
            (halvings < HALVINGS).then(|| (carried * failed).sqrt())
        }
        Bracket { carried: None, failed: Some(_) } => None,
    }
}

/// The bracket once more rounds have shown that `rate` is not carried: it ends there, and begins at the next lower rate that one round
/// carried.
fn refuted(rate: f64, trials: &[Trial]) -> Bracket {
    let lower = trials.iter().filter(|trial| trial.carried && trial.rate < rate).map(|trial| trial.rate);
    Bracket { carried: lower.reduce(f64::max), failed: Some(rate) }
}

/// What was found of a transport.
struct Found {
    transport: Transport,
    /// All trials, in order of their rates.
    trials: Vec<Trial>,
    /// Several rounds at the highest rate that was carried.
    at_capacity: Vec<Trial>,
    /// The lowest rate that was not.
    beyond: Option<Trial>,
}

/// Runs it.
pub async fn run(seed: u64) -> anyhow::Result<Experiment> {
    let (mut found, mut rounds) = (Vec::new(), Vec::new());
    for transport in TRANSPORTS {
        let mut bracket = Bracket { carried: None, failed: None };
        let (mut trials, mut at_capacity): (Vec<Trial>, Vec<Trial>) = (Vec::new(), Vec::new());
        let (mut halvings, mut beyond) = (0, None);
        loop {
            while let Some(rate) = next(bracket, halvings) {
                halvings += u32::from(bracket.failed.is_some());
                let trial = measure(transport, rate, seed, &mut rounds).await?;
                if trial.carried {
                    bracket.carried = Some(rate);
                } else {
                    bracket.failed = Some(rate);
                    beyond = Some(trial.clone());
                }
                trials.push(trial);
            }
            // A single round may have been lucky: a rate counts if nearly all of several more rounds meet the objective, too.
            let Some(rate) = bracket.carried else { break };
            at_capacity.clear();
            for number in 0..FEWEST_ROUNDS {
                at_capacity.push(measure(transport, rate, seed + u64::from(number), &mut rounds).await?);
            }
            if kept(&at_capacity) + 1 >= at_capacity.len() {
                break;
            }
            bracket = refuted(rate, &trials);
            beyond = at_capacity.iter().find(|trial| !trial.carried).cloned();
            at_capacity.clear();
        }
        trials.sort_by(|a, b| a.rate.total_cmp(&b.rate));
        found.push(Found { transport, trials, at_capacity, beyond });
    }
    Ok(work_out(&found, rounds))
}

async fn measure(transport: Transport, rate: f64, seed: u64, rounds: &mut Vec<Comparison>) -> anyhow::Result<Trial> {
    let scenario = Scenario {
        rate,
        subscribers: SUBSCRIBERS,
        poll_interval_ms: POLL_INTERVAL_MS,
        headers: Headers::Browser,
        warm_up_ms: warm_up_ms(SUBSCRIBERS, small(&[]).network),
        duration_ms: 1_200,
        seed,
        ..small(&[transport])
    };
    let round = trial::round(&scenario, transport).await?;
    let trial = Trial::of(rate, &round);
    rounds.push(Comparison { scenario, rounds: vec![round] });
    Ok(trial)
}

/// How many of several trials met the objective.
fn kept(trials: &[Trial]) -> usize {
    trials.iter().filter(|trial| trial.carried).count()
}

/// The process that the search came up against, in words, from the trial beyond the highest load that was carried.
fn limit(beyond: Option<&Trial>) -> String {
    let Some(trial) = beyond else { return "the search ended first: at least that".into() };
    let percent = |share: f64| format!("{} %", short(share * 100.0));
    match (trial.server_busy >= BUSY, trial.client_busy >= BUSY) {
        (_, true) => format!("the client, busy for {}: at least that", percent(trial.client_busy)),
        (true, false) => format!("the server, busy for {}", percent(trial.server_busy)),
        (false, false) => format!(
            "neither was busy: server {}, client {}; a single event may have been late",
            percent(trial.server_busy),
            percent(trial.client_busy)
        ),
    }
}

fn work_out(found: &[Found], rounds: Vec<Comparison>) -> Experiment {
    let row = |found: &Found| {
        let Some(capacity) = found.at_capacity.first() else {
            return vec![
                found.transport.label().into(),
                "none".into(),
                limit(found.beyond.as_ref()),
                String::new(),
                String::new(),
            ];
        };
        let sound = found.at_capacity.iter().filter(|trial| trial.sound);
        let costs: Vec<_> = sound.map(|trial| trial.cost).collect();
        let cost = match pooled(&costs) {
            Some((cost, Some((low, high)))) => format!("{} ({} to {})", short(cost), short(low), short(high)),
            Some((cost, None)) => short(cost),
            None => "-".into(),
        };
        let busy =
            found.at_capacity.iter().map(|trial| trial.server_busy).sum::<f64>() / found.at_capacity.len() as f64;
        vec![
            found.transport.label().into(),
            thousands(capacity.load().round() as u64),
            format!("{} of {}", kept(&found.at_capacity), found.at_capacity.len()),
            limit(found.beyond.as_ref()),
            cost,
            short(busy * 100.0),
        ]
    };
    let sentence = |found: &Found| {
        let (idle, busy) = (found.trials.first()?, found.at_capacity.first()?);
        Some(format!(
            "{}: up to {} deliveries a second; what limits is {}. A delivery costs {} us of server CPU at {} a second and {} us there.",
            found.transport.label(),
            thousands(busy.load().round() as u64),
            limit(found.beyond.as_ref()),
            short(idle.cpu_us()),
            thousands(idle.load().round() as u64),
            short(busy.cpu_us())
        ))
    };
    let lines = |x: fn(&Trial) -> f64, y: fn(&Trial) -> f64| -> Vec<Line> {
        let of = |found: &Found| {
            let mut points: Vec<_> = found.trials.iter().map(|trial| Point::new(x(trial), y(trial))).collect();
            points.sort_by(|a, b| a.x.total_cmp(&b.x));
            line(found.transport, points)
        };
        found.iter().map(of).collect()
    };
    let mut latencies = lines(Trial::load, |trial| trial.p99_ms);
    let loads = || latencies.iter().flat_map(|line| &line.points).map(|point| point.x);
    let (first, last) = (loads().fold(f64::INFINITY, f64::min), loads().fold(0.0, f64::max));
    latencies.push(Line {
        label: "objective".into(),
        transport: None,
        theory: true,
        points: vec![Point::new(first, OBJECTIVE_MS), Point::new(last, OBJECTIVE_MS)],
    });
    Experiment {
        name: "capacity".into(),
        title: "How much one server thread carries".into(),
        question: format!(
            "Up to which load do 99 % of the deliveries to {SUBSCRIBERS} subscribers arrive within {OBJECTIVE_MS} ms, and what does each cost?"
        ),
        answer: found.iter().filter_map(sentence).collect(),
        doubts: Vec::new(),
        drawings: vec![
            Drawing::Lines(Lines {
                name: "capacity-cost".into(),
                title: "The busier the server, the less it spends on a delivery".into(),
                caption: format!(
                    "Server CPU per delivered event over how busy the server's process was, with {SUBSCRIBERS} subscribers and more and more \
                     events a second. An idle server is woken up for each event; a busy one writes several at once."
                ),
                x: axis("server busy in % of one processor", false),
                y: axis("server CPU per delivered event in us", true),
                lines: lines(|trial| trial.server_busy * 100.0, Trial::cpu_us),
            }),
            Drawing::Lines(Lines {
                name: "capacity-latency".into(),
                title: format!("The load at which p99 leaves {OBJECTIVE_MS} ms"),
                caption: format!(
                    "Latency that 99 % of the deliveries did not exceed, over the deliveries offered a second to {SUBSCRIBERS} subscribers; \
                     dashed, the objective. One round a point."
                ),
                x: axis("deliveries offered a second", true),
                y: axis("p99 delivery latency in ms", true),
                lines: latencies,
            }),
        ],
        tables: vec![Table {
            title: format!("Capacity with {SUBSCRIBERS} subscribers at p99 within {OBJECTIVE_MS} ms"),
            columns: ["transport", "deliveries/s", "rounds within it", "limited by", "server CPU us/delivery (95 %)", "server busy %"]
                .map(Into::into)
                .to_vec(),
            rows: found.iter().map(row).collect(),
        }],
        method: vec![
            format!(
                "{SUBSCRIBERS} subscribers, events of 200 B evenly spaced, polls each {POLL_INTERVAL_MS} ms, a browser's headers. The rate of \
                 events grows {GROWTH}-fold until a round misses the objective, then the gap is halved {HALVINGS} times on a logarithmic scale; at the highest rate that was \
                 carried, {FEWEST_ROUNDS} rounds more give the interval; where more than one of them misses the objective, the next lower \
                 rate is taken. Rounds at the lowest rates hold a few dozen events, so their p99 rests on single ones. Rejected rounds \
                 beyond the capacity are what the search looks for."
            ),
            "Server and client share the machine, a processor for each. Where the client was as busy as the server or busier, the figure is \
             a lower bound."
                .into(),
        ],
        rounds,
        ..Experiment::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Searches a server that carries up to so many events a second.
    fn search(capacity: f64) -> (Bracket, usize) {
        let (mut bracket, mut halvings, mut trials) = (Bracket { carried: None, failed: None }, 0, 0);
        while let Some(rate) = next(bracket, halvings) {
            halvings += u32::from(bracket.failed.is_some());
            let side = if rate <= capacity { &mut bracket.carried } else { &mut bracket.failed };
            *side = Some(rate);
            trials += 1;
        }
        (bracket, trials)
    }

    #[test]
    fn the_search_comes_within_a_tenth_of_the_capacity_from_below() {
        for capacity in [21.0, 137.0, 1_000.0, 4_999.0] {
            let (Bracket { carried, failed }, trials) = search(capacity);
            let (carried, failed) = (carried.unwrap(), failed.unwrap());
            assert!(carried <= capacity && capacity < failed && failed / carried < 1.1, "{carried} {failed}");
            assert!(trials < 16);
        }
        assert_eq!(search(1.0).0, Bracket { carried: None, failed: Some(FIRST_RATE) });
        assert_eq!(search(1e9).0.failed, None, "a server without a limit ends the search");
    }

    fn trial_at(rate: f64, carried: bool) -> Trial {
        Trial { rate, sound: true, carried, p99_ms: 900.0, server_busy: 0.0, client_busy: 0.0, cost: (1.0, 1.0) }
    }

    #[test]
    fn a_rate_that_one_round_carried_and_more_rounds_did_not_ends_the_bracket() {
        let trials = [(20.0, true), (80.0, true), (320.0, true), (1_280.0, false)];
        let trials = trials.map(|(rate, carried)| trial_at(rate, carried));
        let bracket = refuted(320.0, &trials);
        assert_eq!(bracket, Bracket { carried: Some(80.0), failed: Some(320.0) });
        assert_eq!(next(bracket, 0), Some(160.0), "the search goes on below");
        assert_eq!(next(refuted(20.0, &trials), 0), None);
    }

    #[test]
    fn what_limits_is_told_from_who_was_busy() {
        let trial = |server_busy, client_busy| Trial { server_busy, client_busy, ..trial_at(1.0, false) };
        assert!(limit(Some(&trial(0.97, 0.6))).starts_with("the server"));
        assert!(limit(Some(&trial(0.97, 0.95))).starts_with("the client"));
        assert!(limit(Some(&trial(0.2, 0.2))).starts_with("neither"));
        assert!(limit(None).contains("at least"));
    }
}
