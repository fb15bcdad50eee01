//! Capacity: the highest load that a server of one thread carries over each transport while 99 % of the deliveries keep within a bound,
//! and the cost of a delivery on the way there, from an idle server to a busy one.

use anyhow::Context;
use protocol::Transport;
use protocol::experiment::{Drawing, Experiment, Line, Lines, Point, Table};
use protocol::facts::capacity::{CapacityFacts, Search};
use protocol::result::{Comparison, Round};

use super::draw::{axis, dashed, line};
use crate::judge::is_sound;
use crate::number::{short, thousands};
use crate::statistics::{MIN_ROUNDS, pooled};

/// The smallest share of a processor at which a process counts as the limit.
const MIN_BUSY: f64 = 0.85;

/// The figures of a round at one rate.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// Events a second.
    pub rate: f64,
    /// Subscribers connected.
    pub subscribers: u32,
    /// Whether the round passed its gates.
    pub sound: bool,
    /// Whether it passed its gates and met the objective.
    pub carried: bool,
    /// Latency that 99 % of the deliveries did not exceed, in ms.
    pub p99_ms: f64,
    /// Share of a processor that the server used.
    pub server_busy: f64,
    /// Share of a processor that the client used.
    pub client_busy: f64,
    /// Server CPU time in us, and the number of deliveries.
    pub cost: (f64, f64),
}

impl Trial {
    /// The figures of a round that had so many events a second.
    pub fn of(rate: f64, subscribers: u32, round: &Round, objective_ms: f64) -> Self {
        let share = |cpu_ns: u64| cpu_ns as f64 / round.server.window_ns.max(1) as f64;
        let p99_ms = round.latency_ns.quantile(0.99).unwrap_or(0) as f64 / 1e6;
        Self {
            rate,
            subscribers,
            sound: is_sound(round),
            carried: is_sound(round) && p99_ms <= objective_ms,
            p99_ms,
            server_busy: share(round.server.cpu_ns),
            client_busy: share(round.client.cpu_ns),
            cost: (round.server.cpu_ns as f64 / 1e3, round.server.deliveries as f64),
        }
    }

    /// Deliveries offered a second.
    fn load(&self) -> f64 {
        self.rate * f64::from(self.subscribers)
    }

    fn cpu_us(&self) -> f64 {
        self.cost.0 / self.cost.1.max(1.0)
    }
}

/// The number of trials that met the objective.
fn count_carried(trials: &[Trial]) -> usize {
    trials.iter().filter(|trial| trial.carried).count()
}

/// Whether a rate counts as carried after several rounds at it: nearly all met the objective.
pub fn is_confirmed(trials: &[Trial]) -> bool {
    count_carried(trials) + 1 >= trials.len()
}

/// The result of the search over a transport.
struct Found {
    transport: Transport,
    /// The trials of the search, in order of their rates.
    trials: Vec<Trial>,
    /// Several rounds at the highest rate that was carried.
    at_capacity: Vec<Trial>,
    /// The lowest rate that was not carried.
    beyond: Option<Trial>,
}

impl Found {
    fn of(search: &Search, objective_ms: f64) -> Self {
        let (mut trials, mut at_capacity, mut beyond) = (Vec::new(), Vec::new(), None);
        for step in &search.steps {
            let trial = |comparison: &Comparison| {
                let round = comparison.rounds.first()?;
                Some(Trial::of(comparison.scenario.rate, comparison.scenario.subscribers, round, objective_ms))
            };
            let tried: Vec<Trial> = step.comparisons.iter().filter_map(trial).collect();
            let failed = tried.iter().find(|trial| !trial.carried).cloned();
            if !step.is_repetition {
                beyond = failed.or(beyond);
                trials.extend(tried);
            } else if is_confirmed(&tried) {
                at_capacity = tried;
            } else {
                beyond = failed.or(beyond);
            }
        }
        trials.sort_by(|a, b| a.rate.total_cmp(&b.rate));
        Self { transport: search.transport, trials, at_capacity, beyond }
    }
}

/// The process that limited the search, from the trial beyond the highest load that was carried.
fn limit(beyond: Option<&Trial>) -> String {
    let Some(trial) = beyond else { return "unknown: the search ended first, so this is a lower bound".into() };
    let percent = |share: f64| format!("{} %", short(share * 100.0));
    match (trial.server_busy >= MIN_BUSY, trial.client_busy >= MIN_BUSY) {
        (_, true) => format!("the client, busy for {}, so this is a lower bound", percent(trial.client_busy)),
        (true, false) => format!("the server, busy for {}", percent(trial.server_busy)),
        (false, false) => format!(
            "neither process: the server was busy for {}, the client for {}; a single event may have been late",
            percent(trial.server_busy),
            percent(trial.client_busy)
        ),
    }
}

fn row(found: &Found) -> Vec<String> {
    let label = found.transport.label().to_string();
    let Some(capacity) = found.at_capacity.first() else {
        return vec![label, "none".into(), limit(found.beyond.as_ref()), String::new(), String::new()];
    };
    let sound = found.at_capacity.iter().filter(|trial| trial.sound);
    let costs: Vec<_> = sound.map(|trial| trial.cost).collect();
    let cost = match pooled(&costs) {
        Some((cost, Some((low, high)))) => format!("{} ({} to {})", short(cost), short(low), short(high)),
        Some((cost, None)) => short(cost),
        None => "-".into(),
    };
    let busy = found.at_capacity.iter().map(|trial| trial.server_busy).sum::<f64>() / found.at_capacity.len() as f64;
    vec![
        label,
        thousands(capacity.load().round() as u64),
        format!("{} of {}", count_carried(&found.at_capacity), found.at_capacity.len()),
        limit(found.beyond.as_ref()),
        cost,
        short(busy * 100.0),
    ]
}

fn sentence(found: &Found) -> Option<String> {
    let (idle, busy) = (found.trials.first()?, found.at_capacity.first()?);
    Some(format!(
        "{}: up to {} deliveries a second; the limit is {}. A delivery costs {} us of server CPU at {} a second and {} us at that limit.",
        found.transport.label(),
        thousands(busy.load().round() as u64),
        limit(found.beyond.as_ref()),
        short(idle.cpu_us()),
        thousands(idle.load().round() as u64),
        short(busy.cpu_us())
    ))
}

/// A figure of the trials that are `shown` over another, a line for each transport.
fn lines(found: &[Found], shown: fn(&Trial) -> bool, x: fn(&Trial) -> f64, y: fn(&Trial) -> f64) -> Vec<Line> {
    let of = |found: &Found| {
        let shown = found.trials.iter().filter(|trial| shown(trial));
        let mut points: Vec<_> = shown.map(|trial| Point::new(x(trial), y(trial))).collect();
        points.sort_by(|a, b| a.x.total_cmp(&b.x));
        line(found.transport, points)
    };
    found.iter().map(of).collect()
}

/// Derives the experiment from its facts.
///
/// # Errors
/// When no rate was tried.
pub fn derive(facts: &CapacityFacts) -> anyhow::Result<Experiment> {
    let CapacityFacts { objective_ms, growth, halvings, searches } = facts;
    let found: Vec<Found> = searches.iter().map(|search| Found::of(search, *objective_ms)).collect();
    let comparisons = facts.comparisons();
    let scenario = &comparisons.first().context("no rate was tried")?.scenario;
    let subscribers = scenario.subscribers;
    let mut latencies = lines(&found, |_| true, Trial::load, |trial| trial.p99_ms);
    let loads = || latencies.iter().flat_map(|line| &line.points).map(|point| point.x);
    let (first, last) = (loads().fold(f64::INFINITY, f64::min), loads().fold(0.0, f64::max));
    latencies.push(dashed("objective", vec![Point::new(first, *objective_ms), Point::new(last, *objective_ms)]));
    Ok(Experiment {
        title: "Capacity of one server thread".into(),
        question: format!(
            "Up to which load do 99 % of the deliveries to {subscribers} subscribers arrive within {objective_ms} ms, and what does each \
             cost?"
        ),
        answer: found.iter().filter_map(sentence).collect(),
        drawings: vec![
            Drawing::Lines(Lines {
                name: "capacity-cost".into(),
                title: "Server CPU time of a delivery, by load".into(),
                caption: format!(
                    "Server CPU per delivered event over the deliveries a second to {subscribers} subscribers, with \
                     an increasing event rate, up to the highest that was carried. An idle server wakes up for each event; a busy one \
                     writes several at once."
                ),
                x: axis("deliveries a second", true),
                y: axis("server CPU per delivered event in us", true),
                // Beyond the capacity, the client lags behind, and what a delivery costs is no longer that of the load.
                lines: lines(&found, |trial| trial.carried, Trial::load, Trial::cpu_us),
            }),
            Drawing::Lines(Lines {
                name: "capacity-latency".into(),
                title: format!("The load at which p99 exceeds {objective_ms} ms"),
                caption: format!(
                    "Latency that 99 % of the deliveries did not exceed, over the deliveries offered a second to {subscribers} subscribers; \
                     dashed, the objective. Each point is one round."
                ),
                x: axis("deliveries offered a second", true),
                y: axis("p99 delivery latency in ms", true),
                lines: latencies,
            }),
        ],
        tables: vec![Table {
            title: format!("Capacity with {subscribers} subscribers at p99 within {objective_ms} ms"),
            columns: ["transport", "deliveries/s", "rounds within it", "limited by", "server CPU us/delivery (95 %)", "server busy %"]
                .map(Into::into)
                .to_vec(),
            rows: found.iter().map(row).collect(),
        }],
        method: vec![
            format!(
                "{subscribers} subscribers, events of {} B evenly spaced, polls every {} ms, a browser's headers. The rate of events grows \
                 {growth}-fold until a round misses the objective, then the gap is halved {halvings} times on a logarithmic scale; at the \
                 highest rate that was carried, {MIN_ROUNDS} rounds more give the interval; where more than one of them misses the \
                 objective, the search goes on below that rate. Rounds at the lowest rates have only a few dozen events, so their p99 \
                 depends on single events. The search looks for rates at which rounds are rejected, so rejected rounds are expected and \
                 give no warning.",
                scenario.payload_bytes, scenario.poll_interval_ms
            ),
            "Server and client share the machine, a processor for each. Where the client was as busy as the server or busier, the figure is \
             a lower bound."
                .into(),
        ],
        ..Experiment::default()
    })
}

#[cfg(test)]
mod tests {
    use protocol::facts::capacity::Step;

    use super::*;
    use crate::experiment::fabricated;

    fn trial(server_busy: f64, client_busy: f64) -> Trial {
        Trial {
            rate: 1.0,
            subscribers: 500,
            sound: true,
            carried: false,
            p99_ms: 900.0,
            server_busy,
            client_busy,
            cost: (1.0, 1.0),
        }
    }

    #[test]
    fn the_limit_is_the_process_that_was_busy() {
        assert!(limit(Some(&trial(0.97, 0.6))).starts_with("the server"));
        assert!(limit(Some(&trial(0.97, 0.95))).starts_with("the client"));
        assert!(limit(Some(&trial(0.2, 0.2))).starts_with("neither"));
        assert!(limit(None).contains("lower bound"));
    }

    #[test]
    fn a_rate_that_its_repetition_refutes_is_beyond_the_capacity() {
        let at = |rate: f64, ms: u64| {
            let mut comparison = fabricated::comparison(&[(Transport::WebSocket, 10.0)]);
            comparison.rounds.truncate(1);
            comparison.rounds[0].latency_ns.record(ms * 1_000_000);
            comparison.scenario.rate = rate;
            comparison
        };
        let search = |rate, ms| Step { is_repetition: false, comparisons: vec![at(rate, ms)] };
        let repeat = |rate, ms| Step { is_repetition: true, comparisons: vec![at(rate, ms); 5] };
        let steps = vec![search(20.0, 1), search(80.0, 1), search(320.0, 900), repeat(80.0, 900), repeat(20.0, 1)];
        let found = Found::of(&Search { transport: Transport::WebSocket, steps }, 300.0);
        assert_eq!((found.at_capacity.len(), found.at_capacity[0].rate), (5, 20.0));
        assert_eq!(found.beyond.map(|trial| trial.rate), Some(80.0));
        assert_eq!(found.trials.len(), 3);
    }
}
