//! Transports in order of a figure, and which of them differ significantly: all pairs are compared, with a correction for their number,
//! and transports that do not differ significantly share a letter.

use protocol::Transport;

use crate::number::short;
use crate::statistics::{MIN_ROUNDS, Ratio, differing, ratio};
use crate::summary::{Figures, Row, median};

/// A figure that transports are ranked by.
pub struct Criterion {
    /// Its name.
    pub name: &'static str,
    /// Its value for a round.
    pub figure: fn(&Figures) -> Option<f64>,
}

/// All figures that transports are ranked by.
pub const CRITERIA: [Criterion; 3] = [
    Criterion { name: "Median latency", figure: Figures::reliable_p50_ms },
    Criterion { name: "p99 latency", figure: Figures::reliable_p99_ms },
    Criterion { name: "Server CPU", figure: Figures::reliable_cpu_us },
];

/// Transports in order of a figure.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranking {
    /// The transports from the smallest value to the largest, by the median over their rounds.
    pub ranks: Vec<Rank>,
    /// Every pair of them that has a ratio.
    pub pairs: Vec<Pair>,
}

/// A transport in a ranking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rank {
    /// The transport.
    pub transport: Transport,
    /// Its letters: two transports with a letter in common are not significantly different.
    pub letters: String,
}

/// Two transports with the ratio of their figures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair {
    /// The transport with the larger median.
    pub greater: Transport,
    /// The transport with the smaller median.
    pub lesser: Transport,
    /// The figure of `greater` over that of `lesser`.
    pub ratio: Ratio,
    /// Whether they differ significantly, after the correction for the number of pairs.
    pub differs: bool,
}

impl Criterion {
    /// Whether a transport has enough rounds to be ranked: [`MIN_ROUNDS`] that are sound and have a figure that is not doubtful.
    pub fn ranks(&self, row: &Row) -> bool {
        row.each(self.figure).len() >= MIN_ROUNDS as usize
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
    // A pair with too few rounds in common counts as not different, and shares a letter.
    let differing = differing(&ratios, CRITERIA.len());
    let apart: Vec<(usize, usize)> =
        indices.iter().zip(&differing).filter(|(_, differs)| **differs).map(|(pair, _)| *pair).collect();
    let letters = letters(order.len(), &apart);
    let ranks = order.iter().zip(letters).map(|((row, _), letters)| Rank { transport: row.transport, letters });
    let pair = |(((greater, lesser), ratio), differs): (((usize, usize), Option<Ratio>), bool)| {
        let of = |index: usize| order[index].0.transport;
        Some(Pair { greater: of(greater), lesser: of(lesser), ratio: ratio?, differs })
    };
    let pairs = indices.into_iter().zip(ratios).zip(differing).filter_map(pair).collect();
    Some(Ranking { ranks: ranks.collect(), pairs })
}

/// Letters for `count` items in order. Two items share a letter exactly where they are not a pair in `apart` (Piepho 2004, insert and
/// absorb).
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

/// The ratio of a figure of `left` to that of `right`, over the rounds that are sound for both.
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
    let ranks = ranking.ranks.iter().map(|rank| format!("{} ({})", rank.transport.label(), rank.letters));
    ranks.collect::<Vec<_>>().join(", ")
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
    fn two_items_share_a_letter_exactly_where_they_do_not_differ() {
        assert_eq!(letters(3, &[]), ["a", "a", "a"]);
        assert_eq!(letters(3, &[(1, 0), (2, 0), (2, 1)]), ["a", "b", "c"]);
        // A chain of ties whose ends differ.
        assert_eq!(letters(3, &[(2, 0)]), ["a", "ab", "b"]);
        assert_eq!(letters(4, &[(2, 0), (3, 0), (3, 1)]), ["a", "ab", "bc", "c"]);
    }

    #[test]
    fn transports_that_differ_have_different_letters() {
        let row = |transport, values: [f64; 5]| row_with(transport, values.into_iter());
        let rows = [
            row(Transport::Tcp, [10.0, 11.0, 9.5, 10.5, 10.2]),
            row(Transport::Sse, [10.9, 10.4, 10.2, 10.1, 11.3]),
            row(Transport::Polling, [31.0, 30.2, 29.5, 30.8, 31.5]),
        ];
        let cpu = &CRITERIA[2];
        let ranking = ranking(&rows, cpu).unwrap();
        let letters: Vec<_> = ranking.ranks.iter().map(|rank| rank.letters.as_str()).collect();
        assert_eq!(letters, ["a", "a", "b"], "{ranking:?}");
        assert_eq!(ranking.pairs.iter().filter(|pair| pair.differs).count(), 2);
        assert_eq!(line(&ranking), "Raw TCP (a), SSE (a), Polling (b)");
    }

    #[test]
    fn a_transport_with_too_few_reliable_rounds_is_not_ranked() {
        let [sound, other] =
            [Transport::Tcp, Transport::Sse].map(|transport| row_with(transport, [1.0; 5].into_iter()));
        let mut doubtful = row_with(Transport::Polling, [9.0; 5].into_iter());
        doubtful.figures[0].is_cpu_doubtful = true;
        let ranking = ranking(&[sound.clone(), doubtful.clone(), other], &CRITERIA[2]).unwrap();
        assert!(ranking.ranks.iter().all(|rank| rank.transport != Transport::Polling));
        assert_eq!(super::ranking(&[sound, doubtful], &CRITERIA[2]), None);
    }
}
