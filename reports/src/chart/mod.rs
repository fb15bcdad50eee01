//! The figures, drawn as SVG, one in each file; their common parts are in `sheet.rs`.

mod bytes_per_event;
mod ladder;
mod latency_by_percentile;
mod latency_cdf;
mod lines;
mod map;
mod requests_per_event;
pub mod scale;
mod server_cpu;
mod sheet;
mod strip;

use protocol::experiment::{Drawing, Experiment, Lines};
use protocol::result::Comparison;
use protocol::run::Run;

use crate::answer;
use crate::chapter::Chapter;
use crate::loads;
use crate::servers;
use crate::summary::{Row, rows};

/// A figure with its caption.
pub struct Figure {
    /// Its file's name without the ending.
    pub name: String,
    /// How to read it, in a sentence or two.
    pub caption: String,
    /// The drawing.
    pub svg: String,
}

impl Figure {
    fn new(name: &str, caption: &str, svg: String) -> Self {
        Self { name: name.into(), caption: caption.into(), svg }
    }
}

/// The figure that compares the loads of a run, where it has several.
///
/// # Errors
/// When the drawing library fails.
pub fn loads(run: &Run) -> anyhow::Result<Option<Figure>> {
    let draw = |drawing: Lines| Ok(Figure::new(&drawing.name, &drawing.caption, lines::draw(&drawing)?));
    loads::drawing(run).map(draw).transpose()
}

/// All figures of an experiment, in the order of its drawings.
///
/// # Errors
/// When the drawing library fails.
pub(crate) fn experiment(experiment: &Experiment) -> anyhow::Result<Vec<Figure>> {
    let draw = |drawing: &Drawing| {
        Ok(match drawing {
            Drawing::Lines(drawing) => Figure::new(&drawing.name, &drawing.caption, lines::draw(drawing)?),
            Drawing::Map(drawing) => Figure::new(&drawing.name, &drawing.caption, map::draw(drawing)?),
            Drawing::Ladder(drawing) => Figure::new(&drawing.name, &drawing.caption, ladder::draw(drawing)?),
        })
    };
    experiment.drawings.iter().map(draw).collect()
}

/// The figures of each chapter. The names of the figures of further comparisons, which have other loads, end in their number of
/// subscribers.
///
/// # Errors
/// When the drawing library fails.
pub fn of(chapters: &[Chapter]) -> anyhow::Result<Vec<Vec<Figure>>> {
    let mut is_first = true;
    let draw = |chapter: &Chapter| match chapter {
        Chapter::Experiment(derived) => experiment(&derived.experiment),
        Chapter::Comparison(found) => {
            let mut figures = comparison(found)?;
            if !std::mem::take(&mut is_first) {
                let target = found
                    .scenario
                    .target
                    .as_deref()
                    .map_or(String::new(), |name| format!("-{}", servers::anchor(name)));
                figures
                    .iter_mut()
                    .for_each(|figure| figure.name += &format!("{target}-{}", found.scenario.subscribers));
            }
            Ok(figures)
        }
    };
    chapters.iter().map(draw).collect()
}

/// All figures of a comparison, in the order of the page. Transports without a sound round are left out.
fn comparison(comparison: &Comparison) -> anyhow::Result<Vec<Figure>> {
    let rows: Vec<Row> = rows(comparison).into_iter().filter(|row| row.sound > 0).collect();
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let load = answer::load(comparison);
    Ok(vec![
        Figure::new(
            "latency-by-percentile",
            "Each line is the latency that a share of all deliveries did not exceed. From 90 % on, each step to the right \
                      leaves a tenth of the deliveries above it; a line ends where there are too few deliveries or different \
                      events beyond it. Both scales are logarithmic.",
            latency_by_percentile::draw(&rows, &load)?,
        ),
        Figure::new(
            "latency-cdf",
            "The share of deliveries that had arrived within a time. A steep line is a transport whose latency hardly \
                      varies; the line of polling is a slope, because an event may be published at any time between two polls.",
            latency_cdf::draw(&rows, &load)?,
        ),
        Figure::new(
            "bytes-per-event",
            "All bytes that crossed the sockets in the measurement windows, both ways, divided by the events received. The \
                      bytes of opening a connection, which are the handshake and the headers of a stream, are in the table.",
            bytes_per_event::draw(&rows, &load)?,
        ),
        Figure::new(
            "server-cpu-per-event",
            "CPU time of the server's process, user and kernel, per delivered event. Each dot is a round, the bar \
                      is their geometric mean. A server that is hardly busy wakes up for each event and uses more CPU time for it \
                      than a busy one, so only figures at the same load can be compared.",
            server_cpu::draw(&rows, &load)?,
        ),
        Figure::new(
            "requests-per-event",
            "HTTP requests that a subscriber sent per event it received, in the measurement windows. Below 1, several events \
                      shared a response, or one request was enough for all of them.",
            requests_per_event::draw(&rows, &load)?,
        ),
    ])
}
