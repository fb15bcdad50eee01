//! The result of a comparison in a few sentences, each derived from the run's figures, and warnings about doubtful figures.

use protocol::result::{Comparison, Environment};
use protocol::{Histogram, Layer};

use crate::judge::{failures, is_sound, warnings};
use crate::number::{short, thousands};
use crate::ranking::{CRITERIA, in_words, line, ranking};
use crate::statistics::{MIN_ROUNDS, correlation, geometric_mean};
use crate::summary::{Row, rows};

/// The smallest ratio of two figures at which a sentence compares them.
const MIN_RATIO: f64 = 1.25;

/// An explanation of the letters of a ranking.
pub const LETTERS: &str = "From the smallest value to the largest. Two transports with a letter in common are not significantly \
                           different. The comparisons are corrected for their number: with equal transports, at most one run in \
                           twenty shows a significant difference.";

/// The rankings, a line each; none where fewer than two transports can be ranked.
pub fn rankings(comparison: &Comparison) -> Vec<String> {
    let rows = rows(comparison);
    let lines = CRITERIA.iter().filter_map(|criterion| {
        let ranking = ranking(&rows, criterion)?;
        Some(format!("{}: {}", criterion.name, line(&ranking)))
    });
    lines.collect()
}

/// The share of processor time withheld by the hypervisor (steal) above which the report has a warning.
const MAX_STEAL: f64 = 0.01;

/// Publisher lateness at p90, in ns, above which the report has a warning.
const MAX_LATE_NS: u64 = 100_000;

/// The correlation of consecutive rounds above which the report has a warning: with thirty independent rounds, one run in a hundred
/// exceeds it.
const MAX_CORRELATION: f64 = 0.45;

/// The results of the comparison, a sentence each; none where no round is sound.
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

/// How late the publisher was at p90, in ns, over all sound rounds. The rounds of all transports are merged, since the publisher does not
/// depend on the transport. `None` where there are fewer than a hundred events, too few for a p90.
pub fn publisher_late_ns(comparison: &Comparison) -> Option<u64> {
    let mut lateness = Histogram::default();
    rows(comparison).iter().for_each(|row| lateness.merge(&row.lateness));
    lateness.supported_quantile(0.9)
}

/// A warning where the hypervisor disturbed the whole run.
pub fn disturbances(environment: &Environment) -> Option<String> {
    let steal = environment.steal.filter(|&steal| steal > MAX_STEAL)?;
    let percent = short(steal * 100.0);
    Some(format!(
        "The hypervisor withheld {percent} % of all processor time (steal), which affects latency and CPU time."
    ))
}

/// Warnings about a comparison: too few rounds, a late publisher, drift, rejected rounds, and sound rounds with warnings.
pub fn doubts(comparison: &Comparison) -> Vec<String> {
    let mut doubts = Vec::new();
    if comparison.scenario.rounds < MIN_ROUNDS {
        doubts.push(format!(
            "There are fewer than {MIN_ROUNDS} rounds, too few for intervals, so the transports are not ranked."
        ));
    }
    if let Some(late) = publisher_late_ns(comparison).filter(|&late| late > MAX_LATE_NS) {
        let ms = short(late as f64 / 1e6);
        doubts.push(format!(
            "The publisher was late by {ms} ms at p90. This is part of every latency, and a sign of a busy machine."
        ));
    }
    if let Some(correlation) = drift(comparison).filter(|&drift| drift > MAX_CORRELATION) {
        doubts.push(format!(
            "The speed of the machine drifted: the median latencies of consecutive rounds are correlated ({}), so intervals over rounds \
             are narrower than they should be.",
            short(correlation)
        ));
    }
    let carriers = |over_tcp: bool| rows(comparison).iter().any(|row| row.transport.is_over_tcp() == over_tcp);
    if carriers(true) && carriers(false) {
        doubts.push(
            "The bytes of WebTransport contain the sequence numbers and acknowledgements that TCP has in its headers. For the other transports \
             these are not counted: 52 bytes for each segment."
                .into(),
        );
    }
    for row in rows(comparison) {
        let label = row.transport.label();
        let rounds = || comparison.rounds_of(row.transport);
        let all = row.rejected + row.sound;
        if row.rejected > 0 {
            let why = rounds().flat_map(failures);
            doubts.push(format!(
                "{label}: {} of {all} rounds were rejected and are not counted: {}.",
                row.rejected,
                kinds(why)
            ));
        }
        let sound = || rounds().filter(|round| is_sound(round));
        let expected: u64 = sound().map(|round| round.expected.unwrap_or(round.delivered)).sum();
        let missing = expected - sound().map(|round| round.delivered).sum::<u64>();
        if missing > 0 {
            doubts.push(format!(
                "{label}: {} of {} deliveries never came: lost datagrams are not sent again.",
                thousands(missing),
                thousands(expected)
            ));
        }
        let warnings: Vec<_> = sound().map(warnings).collect();
        let doubtful = warnings.iter().filter(|warnings| !warnings.is_empty()).count();
        if doubtful > 0 {
            let why = warnings.into_iter().flatten();
            let unranked = [&CRITERIA[0], &CRITERIA[2]].into_iter().filter(|criterion| !criterion.ranks(&row));
            let unranked: Vec<_> =
                unranked.map(|criterion| criterion.name.to_lowercase().replace("cpu", "CPU")).collect();
            let ranked = match unranked.is_empty() || comparison.scenario.rounds < MIN_ROUNDS {
                true => String::new(),
                false => format!(
                    " Fewer than {MIN_ROUNDS} rounds are left, so it is not ranked by {}; a run with more --rounds may help.",
                    unranked.join(" and ")
                ),
            };
            doubts.push(format!("{label}: {doubtful} of {all} rounds are doubtful: {}.{ranked}", kinds(why)));
        }
    }
    doubts
}

/// The first message of each kind, joined. Messages that differ only in their figures are of one kind.
fn kinds(messages: impl Iterator<Item: ToString>) -> String {
    let kind =
        |message: &str| message.chars().filter(|c| !c.is_ascii_digit() && !",.".contains(*c)).collect::<String>();
    let mut seen: Vec<(String, String)> = Vec::new();
    for message in messages {
        let message = message.to_string();
        let kind = kind(&message);
        if !seen.iter().any(|(known, _)| *known == kind) {
            seen.push((kind, message));
        }
    }
    seen.into_iter().map(|(_, message)| message).collect::<Vec<_>>().join("; ")
}

/// The correlation between the median latencies of consecutive rounds, each as a ratio to the mean of its transport. `None` for fewer than
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
                comparison.rounds_of(transport).filter(|round| is_sound(round)).filter_map(median).collect();
            Some((transport, geometric_mean(&medians)?.0))
        })
        .collect();
    let departures = comparison.rounds.iter().filter(|round| is_sound(round)).filter_map(|round| {
        let usual = usual.iter().find(|usual| usual.0 == round.transport)?.1;
        Some((median(round)? / usual).ln())
    });
    let departures: Vec<f64> = departures.collect();
    (departures.len() >= 20).then(|| correlation(&departures))
}

/// The rows with the smallest and the largest value of a figure; `None` where their ratio is at most `MIN_RATIO`.
pub fn extremes(rows: &[Row], figure: impl Fn(&Row) -> Option<f64>) -> Option<[(&Row, f64); 2]> {
    let known = || rows.iter().filter_map(|row| Some((row, figure(row)?)));
    let least = known().min_by(|a, b| a.1.total_cmp(&b.1))?;
    let greatest = known().max_by(|a, b| a.1.total_cmp(&b.1))?;
    (greatest.1 > least.1 * MIN_RATIO).then_some([least, greatest])
}

fn latency(comparison: &Comparison, rows: &[Row]) -> Option<String> {
    let [(fast, least), (slow, greatest)] = extremes(rows, |row| row.latency_ms(0.5))?;
    // A no-break space keeps the percent sign with its number.
    let by_p99 = |row: &Row| match row.latency_ms(0.99) {
        Some(ms) => format!(" and 99\u{a0}% within {} ms", short(ms)),
        None => String::new(),
    };
    Some(format!(
        "With {} events a second and {} subscribers, half of all events arrive within {} ms over {}{}{}; over {} half arrive within {} ms{}.",
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

/// The transports whose median latency is not significantly different from that of `fast`, in words.
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
    let event = light.ledger[Layer::Event] as f64 / light.events();
    Some(format!(
        "Once a connection is open, an event of {} bytes has an overhead of {} bytes on the wire over {}, and of {} bytes over {}.",
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
        "Of the requests sent by {} every {} ms, {} % returned no event; each event took {} requests.",
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
        "With {} subscribers the server uses {} us of CPU time for a delivery over {} (it is busy for {} % of the time), and {} us over {} \
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
    fn each_kind_of_warning_is_listed_once() {
        let messages = ["the client stalled for 60 ms", "the client stalled for 1,070 ms", "late"];
        assert_eq!(kinds(messages.iter()), "the client stalled for 60 ms; late");
    }
}
