//! The figures, one a file, drawn as SVG; what they have in common, their sheet and its hand, is `sheet.rs`.

mod bytes_per_event;
mod latency_by_percentile;
mod latency_cdf;
mod memory_per_connection;
mod requests_per_event;
mod server_cpu;
mod sheet;
mod strip;

use protocol::result::Run;

use crate::summary::{Row, rows};

/// A figure, drawn.
pub struct Figure {
    /// Its file's name without the ending.
    pub name: &'static str,
    /// How to read it, in a sentence or two.
    pub caption: &'static str,
    /// The drawing.
    pub svg: String,
}

/// All figures of a run, in the order of the page. Transports without a sound round are left out.
///
/// # Errors
/// When the drawing library fails.
pub fn all(run: &Run) -> anyhow::Result<Vec<Figure>> {
    let rows: Vec<Row> = rows(run).into_iter().filter(|row| row.sound > 0).collect();
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let mut figures = vec![
        Figure {
            name: "latency-by-percentile",
            caption: "Each line says how long a share of all deliveries, the fastest, took at the most. Every step to the right \
                      looks ten times further into the slow tail; a line ends where the samples no longer carry it. Both \
                      scales are logarithmic.",
            svg: latency_by_percentile::draw(&rows)?,
        },
        Figure {
            name: "latency-cdf",
            caption: "The share of deliveries that had arrived after a time. A steep line is a transport that always takes \
                      about as long; polling is a slope, because an event may fall anywhere between two polls.",
            svg: latency_cdf::draw(&rows)?,
        },
        Figure {
            name: "bytes-per-event",
            caption: "All bytes that crossed the socket, both ways, divided by the events they brought. What is paid once, \
                      handshake and the heads of a stream, is spread over the events of the run, so it shrinks as a \
                      connection lives longer.",
            svg: bytes_per_event::draw(&rows)?,
        },
        Figure {
            name: "server-cpu-per-event",
            caption: "CPU time of the server's process, user and kernel, per delivered event. Each dot is a round, the bar \
                      is their median.",
            svg: server_cpu::draw(&rows)?,
        },
        Figure {
            name: "requests-per-event",
            caption: "HTTP requests that a subscriber sent per event it received, the upgrade to WebSocket included. Below 1, \
                      several events shared an answer, or one request brought them all.",
            svg: requests_per_event::draw(&rows)?,
        },
    ];
    if rows.iter().any(|row| !row.memory_kib().is_empty()) {
        figures.push(Figure {
            name: "memory-per-connection",
            caption: "Growth of the server's resident memory while the subscribers connected, per connection, without what \
                      the event history grew by. Memory in the kernel's socket buffers is not in it. Each dot is a round.",
            svg: memory_per_connection::draw(&rows)?,
        });
    }
    Ok(figures)
}
