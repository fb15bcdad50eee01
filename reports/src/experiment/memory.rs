//! Memory per connection: the slope of the server's memory over several numbers of subscribers.
//!
//! With few subscribers, the growth of a process is mostly memory that simultaneous handshakes used and that the allocator keeps. Only the
//! part that grows with the number of subscribers belongs to a connection.

use protocol::Transport;
use protocol::experiment::{Drawing, Experiment, Lines, Point, Table};
use protocol::facts::memory::MemoryFacts;

use super::draw::{axis, doubts, line};
use crate::judge::is_sound;
use crate::number::short;

/// The smallest number of sizes that a slope is given for, and Student's t for the 95 % interval of a slope over that many points and
/// more: two to four degrees of freedom.
const MIN_SIZES: usize = 4;
const STUDENT_T: [f64; 3] = [4.303, 3.182, 2.776];

/// A transport's memory over the number of its subscribers.
pub struct Growth {
    /// The transport.
    pub transport: Transport,
    /// Subscribers, and the growth of the server's resident memory with them in KiB, without the growth of its history.
    pub points: Vec<(f64, f64)>,
}

impl Growth {
    /// KiB per connection: the least-squares slope, and half the width of its 95 % interval; not numbers where fewer than four sizes have
    /// a sound round.
    pub fn slope(&self) -> (f64, f64) {
        let Some(student) = self.points.len().checked_sub(MIN_SIZES).and_then(|more| STUDENT_T.get(more)) else {
            return (f64::NAN, f64::NAN);
        };
        let count = self.points.len() as f64;
        let mean = |of: fn(&(f64, f64)) -> f64| self.points.iter().map(of).sum::<f64>() / count;
        let (mean_x, mean_y) = (mean(|point| point.0), mean(|point| point.1));
        let spread: f64 = self.points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
        let slope = self.points.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum::<f64>() / spread;
        let residual: f64 = self.points.iter().map(|(x, y)| (y - mean_y - slope * (x - mean_x)).powi(2)).sum();
        (slope, student * (residual / (count - 2.0) / spread).sqrt())
    }
}

/// The growth of each transport, from its sound rounds.
pub fn growths(facts: &MemoryFacts) -> Vec<Growth> {
    let rounds = || {
        facts.comparisons.iter().flat_map(|comparison| comparison.rounds.iter().map(move |round| (comparison, round)))
    };
    let growth = |transport: Transport| {
        let sound = rounds().filter(|(_, round)| round.transport == transport && is_sound(round));
        let point = sound.map(|(comparison, round)| {
            let server = &round.server;
            let grown = server.resident_connected_bytes as f64 - server.resident_before_bytes as f64;
            (f64::from(comparison.scenario.subscribers), grown / 1024.0)
        });
        Growth { transport, points: point.collect() }
    };
    let measured = Transport::all_where(|transport| rounds().any(|(_, round)| round.transport == transport));
    measured.into_iter().map(growth).collect()
}

/// Derives the experiment from its facts.
pub fn derive(facts: &MemoryFacts) -> Experiment {
    let growths = growths(facts);
    let mut sizes: Vec<u32> = facts.comparisons.iter().map(|comparison| comparison.scenario.subscribers).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let row = |growth: &Growth| {
        let (slope, half) = growth.slope();
        vec![
            growth.transport.label().into(),
            short(slope),
            format!("{} to {}", short(slope - half), short(slope + half)),
        ]
    };
    let slopes = || growths.iter().map(|growth| (growth.transport, growth.slope().0));
    let by_slope = |a: &(Transport, f64), b: &(Transport, f64)| a.1.total_cmp(&b.1);
    let answer = match (slopes().min_by(by_slope), slopes().max_by(by_slope)) {
        (Some((smallest, small)), Some((largest, large))) => vec![format!(
            "A waiting connection takes {} KiB of the server's memory over {}, and {} KiB over {}.",
            short(small),
            smallest.in_words(),
            short(large),
            largest.in_words()
        )],
        _ => Vec::new(),
    };
    let drawn = |growth: &Growth| {
        let points = growth.points.iter().map(|(x, y)| Point::new(*x, y / 1024.0));
        line(growth.transport, points.collect())
    };
    Experiment {
        title: "Memory per connection".into(),
        question: "How much of the server's memory does a waiting connection take?".into(),
        answer,
        doubts: doubts(&facts.comparisons.iter().collect::<Vec<_>>()),
        drawings: vec![Drawing::Lines(Lines {
            name: "memory".into(),
            title: "Growth of server memory with the number of connections".into(),
            caption: "Growth of the server's resident memory since before the first subscriber connected, without the growth of its \
                      history. The memory of one connection is the slope; the offset of a line is memory of simultaneous handshakes."
                .into(),
            x: axis("subscribers", false),
            y: axis("growth of server memory in MiB", false),
            lines: growths.iter().map(drawn).collect(),
        })],
        tables: vec![Table {
            title: "KiB per connection".into(),
            columns: ["transport", "KiB/connection", "95 %"].map(Into::into).to_vec(),
            rows: growths.iter().map(row).collect(),
        }],
        method: vec![
            format!("The slope of a line through {} numbers of subscribers, with a fresh server for each.", sizes.len()),
            "The kernel's memory for a socket is not in it.".into(),
        ],
        ..Experiment::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slope_of_a_line_does_not_depend_on_its_offset() {
        let sizes = [500.0, 1_000.0, 1_500.0, 2_000.0, 3_000.0, 4_000.0];
        let points = sizes.map(|size| (size, 100.0 + 12.0 * size)).to_vec();
        let (slope, half) = Growth { transport: Transport::Tcp, points }.slope();
        assert!((slope - 12.0).abs() < 1e-9 && half < 1e-6);
    }
}
