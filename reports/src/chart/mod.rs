//! The figures, one a file, drawn as SVG; what they have in common, their sheet and its hand, is `sheet.rs`.

mod bytes_per_event;
mod ladder;
mod latency_by_percentile;
mod latency_cdf;
mod lines;
mod map;
mod memory_per_connection;
mod requests_per_event;
mod server_cpu;
mod sheet;
mod strip;

use protocol::experiment::{Drawing, Experiment};
use protocol::result::Comparison;

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

/// All figures of an experiment, in its order.
///
/// # Errors
/// When the drawing library fails.
pub fn experiment(experiment: &Experiment) -> anyhow::Result<Vec<Figure>> {
    let draw = |drawing: &Drawing| {
        Ok(match drawing {
            Drawing::Lines(drawing) => Figure::new(&drawing.name, &drawing.caption, lines::draw(drawing)?),
            Drawing::Map(drawing) => Figure::new(&drawing.name, &drawing.caption, map::draw(drawing)?),
            Drawing::Ladder(drawing) => Figure::new(&drawing.name, &drawing.caption, ladder::draw(drawing)?),
        })
    };
    experiment.drawings.iter().map(draw).collect()
}

/// All figures of a comparison, in the order of the page. Transports without a sound round are left out.
///
/// # Errors
/// When the drawing library fails.
pub fn comparison(comparison: &Comparison) -> anyhow::Result<Vec<Figure>> {
    let rows: Vec<Row> = rows(comparison).into_iter().filter(|row| row.sound > 0).collect();
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let mut figures = vec![
        Figure::new(
            "latency-by-percentile",
            "Each line says how long a share of all deliveries, the fastest, took at the most. Every step to the right \
                      looks ten times further into the slow tail; a line ends where the samples no longer carry it. Both \
                      scales are logarithmic.",
            latency_by_percentile::draw(&rows)?,
        ),
        Figure::new(
            "latency-cdf",
            "The share of deliveries that had arrived after a time. A steep line is a transport that always takes \
                      about as long; polling is a slope, because an event may fall anywhere between two polls.",
            latency_cdf::draw(&rows)?,
        ),
        Figure::new(
            "bytes-per-event",
            "All bytes that crossed the socket, both ways, divided by the events they brought. What is paid once, \
                      handshake and the heads of a stream, is spread over the events of the run, so it shrinks as a \
                      connection lives longer.",
            bytes_per_event::draw(&rows)?,
        ),
        Figure::new(
            "server-cpu-per-event",
            "CPU time of the server's process, user and kernel, per delivered event. Each dot is a round, the bar \
                      is their median.",
            server_cpu::draw(&rows)?,
        ),
        Figure::new(
            "requests-per-event",
            "HTTP requests that a subscriber sent per event it received, the upgrade to WebSocket included. Below 1, \
                      several events shared an answer, or one request brought them all.",
            requests_per_event::draw(&rows)?,
        ),
    ];
    if rows.iter().any(|row| !row.memory_kib().is_empty()) {
        figures.push(Figure::new("memory-per-connection", "Growth of the server's resident memory while the subscribers connected, per connection, without what \
                      the event history grew by. Memory in the kernel's socket buffers is not in it. Each dot is a round.", memory_per_connection::draw(&rows)?));
    }
    Ok(figures)
}
