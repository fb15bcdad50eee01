//! The figures, one a file, drawn as SVG; what they have in common, their sheet and its hand, is `sheet.rs`.

mod bytes_per_event;
mod ladder;
mod latency_by_percentile;
mod latency_cdf;
mod lines;
mod map;
mod requests_per_event;
mod server_cpu;
mod sheet;
mod strip;

use protocol::experiment::{Drawing, Experiment, Lines};
use protocol::result::Comparison;
use protocol::run::{Part, Run};

use crate::answer;
use crate::loads;
use crate::summary::{Row, rows};

/// A figure, drawn.
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

/// The figure of the loads of a run side by side, where it has several.
///
/// # Errors
/// When the drawing library fails.
pub fn loads(run: &Run) -> anyhow::Result<Option<Figure>> {
    let draw = |drawing: Lines| Ok(Figure::new(&drawing.name, &drawing.caption, lines::draw(&drawing)?));
    loads::drawing(run).map(draw).transpose()
}

/// All figures of an experiment, in its order.
fn experiment(experiment: &Experiment) -> anyhow::Result<Vec<Figure>> {
    let draw = |drawing: &Drawing| {
        Ok(match drawing {
            Drawing::Lines(drawing) => Figure::new(&drawing.name, &drawing.caption, lines::draw(drawing)?),
            Drawing::Map(drawing) => Figure::new(&drawing.name, &drawing.caption, map::draw(drawing)?),
            Drawing::Ladder(drawing) => Figure::new(&drawing.name, &drawing.caption, ladder::draw(drawing)?),
        })
    };
    experiment.drawings.iter().map(draw).collect()
}

/// The figures of each part of a run. Those of a second comparison, which has another load, bear its subscribers in their names.
///
/// # Errors
/// When the drawing library fails.
pub fn of(run: &Run) -> anyhow::Result<Vec<Vec<Figure>>> {
    let first = run.comparison();
    let draw = |part: &Part| match part {
        Part::Experiment(found) => experiment(found),
        Part::Comparison(found) if first.is_some_and(|first| std::ptr::eq(first, found)) => comparison(found),
        Part::Comparison(found) => {
            let mut figures = comparison(found)?;
            figures.iter_mut().for_each(|figure| figure.name += &format!("-{}", found.scenario.subscribers));
            Ok(figures)
        }
    };
    run.parts.iter().map(draw).collect()
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
            "Each line says how long a share of all deliveries, the fastest, took at the most. Every step to the right \
                      looks ten times further into the slow tail; a line ends where deliveries and different events no longer \
                      carry it. Both scales are logarithmic.",
            latency_by_percentile::draw(&rows, &load)?,
        ),
        Figure::new(
            "latency-cdf",
            "The share of deliveries that had arrived after a time. A steep line is a transport that always takes \
                      about as long; polling is a slope, because an event may fall anywhere between two polls.",
            latency_cdf::draw(&rows, &load)?,
        ),
        Figure::new(
            "bytes-per-event",
            "All bytes that crossed the sockets in the measurement windows, both ways, divided by the events they brought. What \
                      opening a connection takes, handshake and the heads of a stream, stands in the table.",
            bytes_per_event::draw(&rows, &load)?,
        ),
        Figure::new(
            "server-cpu-per-event",
            "CPU time of the server's process, user and kernel, per delivered event. Each dot is a round, the bar \
                      is their geometric mean. A server that is hardly busy is woken up for each event and spends more on it than \
                      a busy one: compare the loads.",
            server_cpu::draw(&rows, &load)?,
        ),
        Figure::new(
            "requests-per-event",
            "HTTP requests that a subscriber sent per event it received, in the measurement windows. Below 1, several events \
                      shared a response, or one request brought them all.",
            requests_per_event::draw(&rows, &load)?,
        ),
    ])
}
