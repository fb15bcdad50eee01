//! The answer in two or three sentences, each derived from the run's figures.

use protocol::Histogram;
use protocol::result::{Comparison, Environment};

use crate::number::short;
use crate::ranking::{CRITERIA, in_words, line, paired, ranking};
use crate::statistics::{FEWEST_ROUNDS, Ratio};
use crate::summary::{Row, median, rows};

/// Below this ratio two figures are not set against each other in words.
const TELLING: f64 = 1.25;

/// The rankings, a line each, with what their signs mean; none where there is nothing to rank.
pub fn rankings(comparison: &Comparison) -> Vec<String> {
    let rows: Vec<Row> = rows(comparison).into_iter().filter(|row| row.sound > 0).collect();
    if rows.len() < 2 || comparison.scenario.rounds < FEWEST_ROUNDS {
        return Vec::new();
    }
    let lines = CRITERIA.iter().map(|criterion| format!("{:<15} {}", criterion.name, line(&ranking(&rows, criterion))));
    let legend = "(each against its left neighbour: < the rounds show a difference at 95 %, ~ they show none)";
    lines.chain([legend.to_string()]).collect()
}

/// The share of processor time that a hypervisor may take without being spoken of.
const MOST_STEAL: f64 = 0.01;

/// Publisher lateness at p90, in ns, above which it is spoken of.
const MOST_LATE_NS: u64 = 100_000;

/// What the comparison shows, a sentence each; none where no round was sound.
pub fn sentences(comparison: &Comparison) -> Vec<String> {
    let rows: Vec<Row> = rows(comparison).into_iter().filter(|row| row.sound > 0).collect();
    [latency(comparison, &rows), bytes(&rows), cpu(&rows)].into_iter().flatten().collect()
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
    let steal = environment.steal.filter(|&steal| steal > MOST_STEAL)?;
    let percent = short(steal * 100.0);
    Some(format!("The hypervisor took {percent} % of all processor time away; latency and CPU suffer from it."))
}

/// What makes a comparison doubtful, in words: rejected rounds and what was noticed in sound ones.
pub fn doubts(comparison: &Comparison) -> Vec<String> {
    let mut doubts = Vec::new();
    if comparison.scenario.rounds < FEWEST_ROUNDS {
        doubts.push(format!("Fewer than {FEWEST_ROUNDS} rounds carry no interval: nothing is ranked."));
    }
    if let Some(late) = publisher_late_ns(comparison).filter(|&late| late > MOST_LATE_NS) {
        let ms = short(late as f64 / 1e6);
        doubts.push(format!(
            "The publisher was late by {ms} ms at p90: part of every latency, and a sign of a busy machine."
        ));
    }
    for row in rows(comparison) {
        let rounds = || comparison.rounds_of(row.transport);
        if row.rejected > 0 {
            let why = rounds().find_map(|round| round.failures.first()).map_or("", String::as_str);
            doubts.push(format!(
                "{}: rounds rejected, which do not count: {} of {} ({why}).",
                row.transport.label(),
                row.rejected,
                row.rejected + row.sound
            ));
        }
        let warned: Vec<_> = rounds().filter(|round| !round.warnings.is_empty()).collect();
        if let Some(first) = warned.first() {
            doubts.push(format!(
                "{}: doubtful rounds: {} of {} ({}).",
                row.transport.label(),
                warned.len(),
                row.rejected + row.sound,
                first.warnings[0]
            ));
        }
    }
    doubts
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
        "At {} events a second, half of all events arrive within {} ms over {}{}{}; over {} half arrive within {} ms{}.",
        comparison.scenario.rate,
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
    let tied = |row: &&Row| paired(row, fast, |figures| figures.p50_ms).is_some_and(|ratio| !ratio.shows_difference());
    let tied: Vec<_> = rows
        .iter()
        .filter(|row| row.transport != fast.transport)
        .filter(tied)
        .map(|row| row.transport.in_words())
        .collect();
    if tied.is_empty() { String::new() } else { format!(" (no difference shown to {})", tied.join(", ")) }
}

fn bytes(rows: &[Row]) -> Option<String> {
    let [(light, least), (heavy, greatest)] = extremes(rows, |row| Some(row.overhead_bytes_per_event()))?;
    let event = light.ledger.event_bytes as f64 / light.events();
    Some(format!(
        "An event of {} bytes costs {} bytes more on the wire over {}, and {} bytes more over {}.",
        short(event),
        short(least),
        light.transport.in_words(),
        short(greatest),
        heavy.transport.in_words(),
    ))
}

fn cpu(rows: &[Row]) -> Option<String> {
    let [(light, least), (heavy, greatest)] = extremes(rows, |row| median(&row.cpu_us()))?;
    let ratio = paired(heavy, light, |figures| figures.cpu_us).filter(Ratio::shows_difference);
    Some(format!(
        "The server spends {} us of CPU on a delivery over {}, and {} us over {}{}.",
        short(least),
        light.transport.in_words(),
        short(greatest),
        heavy.transport.in_words(),
        ratio.map_or(String::new(), |ratio| format!("; round by round that is {}", in_words(&ratio))),
    ))
}
