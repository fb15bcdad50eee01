//! Transports in order of a figure, with a tie wherever the rounds do not show a difference.

use protocol::Transport;

use crate::number::short;
use crate::statistics::{Ratio, ratio};
use crate::summary::{Figures, Row, median};

/// A figure that transports are ranked by.
pub struct Criterion {
    /// Its name.
    pub name: &'static str,
    /// Its value for a round.
    pub figure: fn(&Figures) -> Option<f64>,
}

/// All figures that rankings are made of.
pub const CRITERIA: [Criterion; 3] = [
    Criterion { name: "Median latency", figure: |figures| figures.p50_ms },
    Criterion { name: "p99 latency", figure: |figures| figures.p99_ms },
    Criterion { name: "Server CPU", figure: |figures| figures.cpu_us },
];

/// A transport's place in a ranking.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    /// The transport.
    pub transport: Transport,
    /// How many times the figure of the transport before it: `None` for the first, and where the rounds are too few to say.
    pub times_the_one_before: Option<Ratio>,
}

/// The transports from the least of a figure to the greatest, by their rounds' medians.
pub fn ranking(rows: &[Row], criterion: &Criterion) -> Vec<Place> {
    let value = |row: &Row| median(&row.each(criterion.figure));
    let mut order: Vec<(&Row, f64)> = rows.iter().filter_map(|row| Some((row, value(row)?))).collect();
    order.sort_by(|a, b| a.1.total_cmp(&b.1));
    let mut before: Option<&Row> = None;
    order
        .into_iter()
        .map(|(row, _)| {
            let times_the_one_before = before.and_then(|before| paired(row, before, criterion.figure));
            before = Some(row);
            Place { transport: row.transport, times_the_one_before }
        })
        .collect()
}

/// How many times a figure of `left` is of that of `right`, over the rounds that are sound for both.
pub fn paired(left: &Row, right: &Row, figure: fn(&Figures) -> Option<f64>) -> Option<Ratio> {
    let pairs = left.figures.iter().filter_map(|one| {
        let other = right.figures.iter().find(|other| other.round == one.round)?;
        Some((figure(one)?, figure(other)?))
    });
    let (left, right): (Vec<f64>, Vec<f64>) = pairs.unzip();
    ratio(&left, &right)
}

/// The ranking in a line: `<` where the interval excludes a tie, `~` where no difference is shown.
pub fn line(places: &[Place]) -> String {
    let mut text = String::new();
    for place in places {
        if !text.is_empty() {
            let shown = place.times_the_one_before.is_some_and(|ratio| ratio.shows_difference());
            text += if shown { " < " } else { " ~ " };
        }
        text += place.transport.label();
    }
    text
}

/// A ratio with its interval, in words.
pub fn in_words(ratio: &Ratio) -> String {
    let Ratio { estimate, low, high } = ratio;
    let verdict = if ratio.shows_difference() { "" } else { ", no difference shown" };
    format!("{} times (95\u{a0}%: {} to {}{verdict})", short(*estimate), short(*low), short(*high))
}
