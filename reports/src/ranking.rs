//! Transports in order of a figure, and which of them the rounds really tell apart: all pairs are compared, with a correction for their
//! number, and transports that no comparison separates share a letter.

use protocol::Transport;

use crate::number::short;
use crate::statistics::{FEWEST_ROUNDS, Ratio, differing, ratio};
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
    Criterion { name: "Median latency", figure: Figures::clear_p50_ms },
    Criterion { name: "p99 latency", figure: Figures::clear_p99_ms },
    Criterion { name: "Server CPU", figure: Figures::clear_cpu_us },
];

/// Transports in order of a figure.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranking {
    /// The transports from the least of the figure to the greatest, by their rounds' medians.
    pub places: Vec<Place>,
    /// Every pair of them: the one with the greater figure, the one with the lesser, and how they compare.
    pub pairs: Vec<Pair>,
}

/// A transport's place in a ranking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The transport.
    pub transport: Transport,
    /// Its letters: two transports with a letter in common are not significantly different.
    pub letters: String,
}

/// How two transports compare.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair {
    /// The one with the greater figure.
    pub greater: Transport,
    /// The one with the lesser.
    pub lesser: Transport,
    /// How many times the lesser's figure the greater's is.
    pub ratio: Ratio,
    /// Whether they differ, all pairs of the ranking taken together.
    pub differs: bool,
}

impl Criterion {
    /// Whether a transport has the rounds that a ranking takes: [`FEWEST_ROUNDS`] that are sound, and in which the figure is there and
    /// not in doubt.
    pub fn ranks(&self, row: &Row) -> bool {
        row.each(self.figure).len() >= FEWEST_ROUNDS as usize
    }
}

/// Ranks the transports that have the figure in enough rounds. `None` where there are fewer than two.
pub fn ranking(rows: &[Row], criterion: &Criterion) -> Option<Ranking> {
    let value = |row: &Row| median(&row.each(criterion.figure));
    let mut order: Vec<(&Row, f64)> =
        rows.iter().filter(|row| criterion.ranks(row)).filter_map(|row| Some((row, value(row)?))).collect();
    order.sort_by(|a, b| a.1.total_cmp(&b.1));
    let mut indices = Vec::new();
    let mut ratios = Vec::new();
    for greater in 1..order.len() {
        for lesser in 0..greater {
            indices.push((greater, lesser));
            ratios.push(paired(order[greater].0, order[lesser].0, criterion.figure));
        }
    }
    if order.len() < 2 {
        return None;
    }
    // Two that have too few rounds in common are not told apart, and share a letter.
    let differing = differing(&ratios, CRITERIA.len());
    let apart: Vec<(usize, usize)> =
        indices.iter().zip(&differing).filter(|(_, differs)| **differs).map(|(pair, _)| *pair).collect();
    let letters = letters(order.len(), &apart);
    let places = order.iter().zip(letters).map(|((row, _), letters)| Place { transport: row.transport, letters });
    let pair = |(((greater, lesser), ratio), differs): (((usize, usize), Option<Ratio>), bool)| {
        let of = |index: usize| order[index].0.transport;
        Some(Pair { greater: of(greater), lesser: of(lesser), ratio: ratio?, differs })
    };
    let pairs = indices.into_iter().zip(ratios).zip(differing).filter_map(pair).collect();
    Some(Ranking { places: places.collect(), pairs })
}

/// Letters for so many things in order, such that two share one just where they are not `apart` (Piepho 2004, insert and absorb).
fn letters(count: usize, apart: &[(usize, usize)]) -> Vec<String> {
    let mut groups: Vec<Vec<usize>> = vec![(0..count).collect()];
    for &(one, other) in apart {
        let (both, mut rest): (Vec<_>, Vec<_>) =
            groups.into_iter().partition(|group| group.contains(&one) && group.contains(&other));
        let without = |left_out: usize| {
            both.iter().map(move |group| group.iter().copied().filter(|&index| index != left_out).collect::<Vec<_>>())
        };
        for group in without(one).chain(without(other)).collect::<Vec<_>>() {
            if !rest.iter().any(|larger| group.iter().all(|index| larger.contains(index))) {
                rest.retain(|smaller| !smaller.iter().all(|index| group.contains(index)));
                rest.push(group);
            }
        }
        groups = rest;
    }
    groups.sort();
    let of = |index: usize| {
        ('a'..).zip(&groups).filter(|(_, group)| group.contains(&index)).map(|(letter, _)| letter).collect()
    };
    (0..count).map(of).collect()
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

/// The ranking in a line: each transport with its letters.
pub fn line(ranking: &Ranking) -> String {
    let places = ranking.places.iter().map(|place| format!("{} ({})", place.transport.label(), place.letters));
    places.collect::<Vec<_>>().join(", ")
}

/// A ratio with its interval, in words.
pub fn in_words(ratio: &Ratio) -> String {
    let Ratio { estimate, low, high, .. } = ratio;
    let verdict = if ratio.shows_difference() { "" } else { ", not significant" };
    format!("{} times (95\u{a0}%: {} to {}{verdict})", short(*estimate), short(*low), short(*high))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::tests::row_with;

    #[test]
    fn two_share_a_letter_just_where_they_are_not_told_apart() {
        assert_eq!(letters(3, &[]), ["a", "a", "a"]);
        assert_eq!(letters(3, &[(1, 0), (2, 0), (2, 1)]), ["a", "b", "c"]);
        // A chain of ties whose ends differ.
        assert_eq!(letters(3, &[(2, 0)]), ["a", "ab", "b"]);
        assert_eq!(letters(4, &[(2, 0), (3, 0), (3, 1)]), ["a", "ab", "bc", "c"]);
    }

    #[test]
    fn ends_of_a_chain_are_told_apart_though_neighbours_are_not() {
        let row = |transport, values: [f64; 5]| row_with(transport, values.into_iter());
        let rows = [
            row(Transport::Tcp, [10.0, 11.0, 9.5, 10.5, 10.2]),
            row(Transport::Sse, [10.9, 10.4, 10.2, 10.1, 11.3]),
            row(Transport::Polling, [31.0, 30.2, 29.5, 30.8, 31.5]),
        ];
        let cpu = &CRITERIA[2];
        let ranking = ranking(&rows, cpu).unwrap();
        let letters: Vec<_> = ranking.places.iter().map(|place| place.letters.as_str()).collect();
        assert_eq!(letters, ["a", "a", "b"], "{ranking:?}");
        assert_eq!(ranking.pairs.iter().filter(|pair| pair.differs).count(), 2);
        assert_eq!(line(&ranking), "Raw TCP (a), SSE (a), Polling (b)");
    }

    #[test]
    fn a_transport_whose_rounds_are_in_doubt_is_not_ranked() {
        let [sound, other] =
            [Transport::Tcp, Transport::Sse].map(|transport| row_with(transport, [1.0; 5].into_iter()));
        let mut doubtful = row_with(Transport::Polling, [9.0; 5].into_iter());
        doubtful.figures[0].cpu_in_doubt = true;
        let ranking = ranking(&[sound.clone(), doubtful.clone(), other], &CRITERIA[2]).unwrap();
        assert!(ranking.places.iter().all(|place| place.transport != Transport::Polling));
        assert_eq!(super::ranking(&[sound, doubtful], &CRITERIA[2]), None);
    }
}
