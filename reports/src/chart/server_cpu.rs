//! Server CPU time per delivered event, every round as a dot.

use super::strip;
use crate::answer::extremes;
use crate::number::short;
use crate::summary::{Row, median};

pub fn draw(rows: &[Row]) -> anyhow::Result<String> {
    let title = match extremes(rows, |row| median(&row.cpu_us())) {
        Some([(light, least), (heavy, greatest)]) => format!(
            "A delivery costs the server {} us of CPU over {}, {} us over {}",
            short(least),
            light.transport.in_words(),
            short(greatest),
            heavy.transport.in_words()
        ),
        None => "Server CPU per delivered event".into(),
    };
    let subtitle = "CPU time of the server process per delivered event: median, and each round as a dot";
    strip::draw(&title, subtitle, "microseconds of CPU per delivered event", rows, Row::cpu_us)
}
