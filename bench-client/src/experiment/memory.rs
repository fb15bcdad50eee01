//! Memory: what a connection takes of the server's, as the slope over several numbers of subscribers.
//!
//! The growth of a process with a few subscribers is mostly what their handshakes took at one moment, and stays with the allocator; only
//! what grows with their number is a connection's own.

use protocol::Transport;
use protocol::experiment::{Drawing, Experiment, Lines, Point, Table};
use protocol::result::{Comparison, Scenario};
use reports::number::short;

use super::{axis, line};
use crate::trial::{self, small};

/// Beyond the 500 that connect at once: what their handshakes take at that moment is in each size alike.
const SIZES: [u32; 6] = [500, 1_000, 1_500, 2_000, 3_000, 4_000];
/// The fewest sizes that carry a slope, and Student's t for the 95 % interval of a slope over that many points and more: two to four
/// degrees of freedom.
const FEWEST_SIZES: usize = 4;
const STUDENT_T: [f64; 3] = [4.303, 3.182, 2.776];
/// The transports with a connection that waits; polls hold nothing between them that a waiting long poll would not.
const TRANSPORTS: [Transport; 5] =
    [Transport::LongPolling, Transport::Ndjson, Transport::Sse, Transport::WebSocket, Transport::Tcp];

/// A transport's memory over the number of its subscribers.
pub struct Growth {
    /// The transport.
    pub transport: Transport,
    /// Subscribers, and by how many KiB the server's resident memory had grown with them, less what its history grew by.
    pub points: Vec<(f64, f64)>,
}

impl Growth {
    /// KiB a connection: the least-squares slope, and half the width of its 95 % interval; not numbers where fewer than four sizes were
    /// measured soundly.
    pub fn slope(&self) -> (f64, f64) {
        let Some(student) = self.points.len().checked_sub(FEWEST_SIZES).and_then(|more| STUDENT_T.get(more)) else {
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

/// Measures the growth of each transport, with the rounds that it was measured in.
///
/// # Errors
/// When a server cannot be started or asked.
pub async fn measure(seed: u64) -> anyhow::Result<(Vec<Growth>, Vec<Comparison>)> {
    let (mut growths, mut rounds) = (Vec::new(), Vec::new());
    for transport in TRANSPORTS {
        let mut points = Vec::new();
        for subscribers in SIZES {
            let scenario = Scenario {
                subscribers,
                rate: 5.0,
                warm_up_ms: 400 + u64::from(subscribers),
                duration_ms: 500,
                seed,
                ..small(&[transport])
            };
            let round = trial::round(&scenario, transport).await?;
            let server = &round.server;
            let grown = server.resident_connected_bytes as f64 - server.resident_before_bytes as f64;
            if round.is_sound() {
                points.push((f64::from(subscribers), grown / 1024.0));
            }
            rounds.push(Comparison { scenario, rounds: vec![round] });
        }
        growths.push(Growth { transport, points });
    }
    Ok((growths, rounds))
}

/// Runs it.
pub async fn run(seed: u64) -> anyhow::Result<Experiment> {
    let (growths, rounds) = measure(seed).await?;
    Ok(work_out(&growths, rounds))
}

fn work_out(growths: &[Growth], rounds: Vec<Comparison>) -> Experiment {
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
        (Some((least, small)), Some((most, large))) => vec![format!(
            "A waiting connection takes {} KiB of the server's memory over {}, and {} KiB over {}.",
            short(small),
            least.in_words(),
            short(large),
            most.in_words()
        )],
        _ => Vec::new(),
    };
    let drawn = |growth: &Growth| {
        let points = growth.points.iter().map(|(x, y)| Point::new(*x, y / 1024.0));
        line(growth.transport, points.collect())
    };
    Experiment {
        name: "memory".into(),
        title: "A connection's memory is a slope".into(),
        question: "What does a connection that waits take of the server's memory?".into(),
        answer,
        doubts: super::doubts(&rounds),
        drawings: vec![Drawing::Lines(Lines {
            name: "memory".into(),
            title: "Server memory grows with the connections, and not only with them".into(),
            caption: "Growth of the server's resident memory since before anyone connected, less what its history grew by. A connection's \
                      own memory is the slope; where a line begins is what handshakes at one moment took."
                .into(),
            x: axis("subscribers", false),
            y: axis("growth of server memory in MiB", false),
            lines: growths.iter().map(drawn).collect(),
        })],
        tables: vec![Table {
            title: "Memory per connection".into(),
            columns: ["transport", "KiB/connection", "95 %"].map(Into::into).to_vec(),
            rows: growths.iter().map(row).collect(),
        }],
        method: vec![
            format!("The slope of a line through {} numbers of subscribers, a fresh server for each.", SIZES.len()),
            "What the kernel holds for a socket is not in it.".into(),
        ],
        rounds,
        ..Experiment::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_its_slope_whatever_it_begins_at() {
        let points = SIZES.map(|size| (f64::from(size), 100.0 + 12.0 * f64::from(size))).to_vec();
        let (slope, half) = Growth { transport: Transport::Tcp, points }.slope();
        assert!((slope - 12.0).abs() < 1e-9 && half < 1e-6);
    }
}
