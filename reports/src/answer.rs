//! The answer in a few sentences, each derived from the run's figures, and what makes the figures doubtful.

use protocol::Histogram;
use protocol::result::{Comparison, Environment};

use crate::number::{short, thousands};
use crate::ranking::{CRITERIA, in_words, line, ranking};
use crate::statistics::{FEWEST_ROUNDS, correlation, geometric_mean};
use crate::summary::{Row, rows};

/// Below this ratio two figures are not set against each other in words.
const TELLING: f64 = 1.25;

/// What the letters of a ranking mean.
pub const LETTERS: &str = "From the least to the greatest. Two transports with a letter in common are not significantly different. The \
                           comparisons are corrected for their number: equal transports differ in at most one comparison of twenty.";

/// The rankings, a line each; none where there is nothing to rank.
pub fn rankings(comparison: &Comparison) -> Vec<String> {
    let rows = rows(comparison);
    let lines = CRITERIA.iter().filter_map(|criterion| {
        let ranking = ranking(&rows, criterion)?;
        Some(format!("{}: {}", criterion.name, line(&ranking)))
    });
    lines.collect()
}

/// The share of processor time that a hypervisor may take without being spoken of.
const MAX_STEAL: f64 = 0.01;

/// Publisher lateness at p90, in ns, above which it is spoken of.
const MAX_LATE_NS: u64 = 100_000;

/// The correlation of neighbouring rounds above which it is spoken of: of thirty independent ones it is greater in one run of a hundred.
const MAX_CORRELATION: f64 = 0.45;

/// What the comparison shows, a sentence each; none where no round was sound.
pub fn sentences(comparison: &Comparison) -> Vec<String> {
    let rows: Vec<Row> = rows(comparison).into_iter().filter(|row| row.sound > 0).collect();
    [latency(comparison, &rows), bytes(&rows), empty_polls(comparison, &rows), cpu(comparison, &rows)]
        .into_iter()
        .flatten()
        .collect()
}

/// The load of a comparison, for captions: "50 subscribers, 20 events/s".
pub fn load(comparison: &Comparison) -> String {
    let scenario = &comparison.scenario;
    format!("{} subscribers, {} events/s", thousands(u64::from(scenario.subscribers)), scenario.rate)
}

/// How late the publisher was at p90, in ns, over all sound rounds, whatever the transport: it knows of none. `None` where
/// fewer than a hundred events carry no p90.
pub fn publisher_late_ns(comparison: &Comparison) -> Option<u64> {
    let mut lateness = Histogram::default();
    rows(comparison).iter().for_each(|row| lateness.merge(&row.lateness));
    lateness.carried_quantile(0.9)
}

/// What makes all figures of a run doubtful, in words: what went on beside it.
pub fn disturbances(environment: &Environment) -> Option<String> {
    let steal = environment.steal.filter(|&steal| steal > MAX_STEAL)?;
    let percent = short(steal * 100.0);
    Some(format!("The hypervisor took {percent} % of all processor time away; latency and CPU suffer from it."))
}

/// What makes a comparison doubtful, in words: rejected rounds and what was noticed in sound ones.
pub fn doubts(comparison: &Comparison) -> Vec<String> {
    let mut doubts = Vec::new();
    if comparison.scenario.rounds < FEWEST_ROUNDS {
        doubts.push(format!("Fewer than {FEWEST_ROUNDS} rounds carry no interval, so nothing is ranked."));
    }
    if let Some(late) = publisher_late_ns(comparison).filter(|&late| late > MAX_LATE_NS) {
        let ms = short(late as f64 / 1e6);
        doubts.push(format!(
            "The publisher was late by {ms} ms at p90: part of every latency, and a sign of a busy machine."
        ));
    }
    if let Some(correlation) = drift(comparison).filter(|&drift| drift > MAX_CORRELATION) {
        doubts.push(format!(
            "The machine drifted: a round's median latency resembles that of the round before it (correlation {}), so intervals over \
             rounds are narrower than they should be.",
            short(correlation)
        ));
    }
    for row in rows(comparison) {
        let label = row.transport.label();
        let rounds = || comparison.rounds_of(row.transport);
        let all = row.rejected + row.sound;
        if row.rejected > 0 {
            let why = rounds().flat_map(|round| round.failures.iter());
            doubts.push(format!(
                "{label}: {} of {all} rounds are rejected and not counted: {}.",
                row.rejected,
                kinds(why)
            ));
        }
        let doubtful = rounds().filter(|round| round.is_sound() && !round.warnings.is_empty()).count();
        if doubtful > 0 {
            let why = rounds().filter(|round| round.is_sound()).flat_map(|round| round.warnings.iter());
            let unranked = [&CRITERIA[0], &CRITERIA[2]].into_iter().filter(|criterion| !criterion.ranks(&row));
            let unranked: Vec<_> =
                unranked.map(|criterion| criterion.name.to_lowercase().replace("cpu", "CPU")).collect();
            let ranked = match unranked.is_empty() || comparison.scenario.rounds < FEWEST_ROUNDS {
                true => String::new(),
                false => format!(
                    " Fewer than {FEWEST_ROUNDS} rounds are left, so it is not ranked by {}; more --rounds may do.",
                    unranked.join(" and ")
                ),
            };
            doubts.push(format!("{label}: {doubtful} of {all} rounds are in doubt: {}.{ranked}", kinds(why)));
        }
    }
    doubts
}

/// The first message of each kind, its figures left out of what makes a kind.
fn kinds<'a>(messages: impl Iterator<Item = &'a String>) -> String {
    let kind =
        |message: &str| message.chars().filter(|c| !c.is_ascii_digit() && !",.".contains(*c)).collect::<String>();
    let mut seen: Vec<(String, &str)> = Vec::new();
    for message in messages {
        let kind = kind(message);
        if !seen.iter().any(|(known, _)| *known == kind) {
            seen.push((kind, message));
        }
    }
    seen.into_iter().map(|(_, message)| message).collect::<Vec<_>>().join("; ")
}

/// How far each round's median latency resembles that of the round that ran before it, whatever their transports; `None` of fewer than
/// twenty rounds.
fn drift(comparison: &Comparison) -> Option<f64> {
    let median =
        |round: &protocol::result::Round| round.latency_ns.quantile(0.5).filter(|&ns| ns > 0).map(|ns| ns as f64);
    let usual: Vec<_> = comparison
        .scenario
        .transports
        .iter()
        .filter_map(|&transport| {
            let medians: Vec<f64> =
                comparison.rounds_of(transport).filter(|round| round.is_sound()).filter_map(median).collect();
            Some((transport, geometric_mean(&medians)?.0))
        })
        .collect();
    let departures = comparison.rounds.iter().filter(|round| round.is_sound()).filter_map(|round| {
        let usual = usual.iter().find(|usual| usual.0 == round.transport)?.1;
        Some((median(round)? / usual).ln())
    });
    let departures: Vec<f64> = departures.collect();
    (departures.len() >= 20).then(|| correlation(&departures))
}

/// The rows with the least and the greatest of a figure, where they are told apart clearly enough to speak of.
pub fn extremes(rows: &[Row], figure: impl Fn(&Row) -> Option<f64>) -> Option<[(&Row, f64); 2]> {
    let known = || rows.iter().filter_map(|row| Some((row, figure(row)?)));
    let least = known().min_by(|a, b| a.1.total_cmp(&b.1))?;
    let greatest = known().max_by(|a, b| a.1.total_cmp(&b.1))?;
    (greatest.1 > least.1 * TELLING).then_some([least, greatest])
}

fn latency(comparison: &Comparison, rows: &[Row]) -> Option<String> {
    let [(fast, least), (slow, greatest)] = extremes(rows, |row| row.latency_ms(0.5))?;
    // A no-break space keeps the percent sign with its number.
    let by_p99 = |row: &Row| match row.latency_ms(0.99) {
        Some(ms) => format!(" and 99\u{a0}% within {} ms", short(ms)),
        None => String::new(),
    };
    Some(format!(
        "At {} events a second to {} subscribers, half of all events arrive within {} ms over {}{}{}; over {} half arrive within {} ms{}.",
        comparison.scenario.rate,
        thousands(u64::from(comparison.scenario.subscribers)),
        short(least),
        fast.transport.in_words(),
        by_p99(fast),
        ties(rows, fast),
        slow.transport.in_words(),
        short(greatest),
        by_p99(slow),
    ))
}

/// The transports whose median latency the rounds do not tell from that of `fast`, in words.
fn ties(rows: &[Row], fast: &Row) -> String {
    let Some(ranking) = ranking(rows, &CRITERIA[0]) else { return String::new() };
    let tied = ranking.pairs.iter().filter(|pair| !pair.differs).filter_map(|pair| match fast.transport {
        fast if pair.lesser == fast => Some(pair.greater.in_words()),
        fast if pair.greater == fast => Some(pair.lesser.in_words()),
        _ => None,
    });
    let tied: Vec<_> = tied.collect();
    if tied.is_empty() { String::new() } else { format!(" (not significantly different from {})", tied.join(", ")) }
}

fn bytes(rows: &[Row]) -> Option<String> {
    let [(light, least), (heavy, greatest)] = extremes(rows, |row| Some(row.overhead_bytes_per_event()))?;
    let event = light.ledger.event_bytes as f64 / light.events();
    Some(format!(
        "Once a connection is open, an event of {} bytes takes {} bytes more on the wire over {}, and {} bytes more over {}.",
        short(event),
        short(least),
        light.transport.in_words(),
        short(greatest),
        heavy.transport.in_words(),
    ))
}

fn empty_polls(comparison: &Comparison, rows: &[Row]) -> Option<String> {
    let row = rows.iter().max_by(|a, b| a.empty_share().unwrap_or(0.0).total_cmp(&b.empty_share().unwrap_or(0.0)))?;
    let share = row.empty_share().filter(|&share| share > 0.01)?;
    Some(format!(
        "Of the requests sent by {} every {} ms, {} % brought nothing: {} requests for each event.",
        row.transport.in_words(),
        comparison.scenario.poll_interval_ms,
        short(share * 100.0),
        short(row.requests_per_event()),
    ))
}

fn cpu(comparison: &Comparison, rows: &[Row]) -> Option<String> {
    let [(light, least), (heavy, greatest)] = extremes(rows, Row::cpu_us)?;
    let ranking = ranking(rows, &CRITERIA[2]);
    let pair = ranking
        .iter()
        .flat_map(|ranking| &ranking.pairs)
        .find(|pair| (pair.greater, pair.lesser) == (heavy.transport, light.transport));
    let compared = match pair {
        Some(pair) if pair.differs => format!("; that is {}", in_words(&pair.ratio)),
        Some(_) => ", which is not significantly different".into(),
        None => String::new(),
    };
    let busy = |row: &Row| short(row.utilisation().unwrap_or(0.0) * 100.0);
    Some(format!(
        "With {} subscribers the server spends {} us of CPU on a delivery over {} (it is busy for {} % of the time), and {} us over {} \
         ({} %){}.",
        thousands(u64::from(comparison.scenario.subscribers)),
        short(least),
        light.transport.in_words(),
        busy(light),
        short(greatest),
        heavy.transport.in_words(),
        busy(heavy),
        compared,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_warnings_each_kind_is_told_once() {
        let messages =
            ["the client stood still for 60 ms", "the client stood still for 1,070 ms", "late"].map(String::from);
        assert_eq!(kinds(messages.iter()), "the client stood still for 60 ms; late");
    }
}
