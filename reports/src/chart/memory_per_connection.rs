//! Server memory per connection, every round as a dot.

use super::strip;
use crate::answer::extremes;
use crate::number::short;
use crate::summary::{Row, median};

pub fn draw(rows: &[Row]) -> anyhow::Result<String> {
    let title = match extremes(rows, |row| median(&row.memory_kib())) {
        Some([(light, least), (heavy, greatest)]) => format!(
            "A connection holds {} KiB of server memory over {}, {} KiB over {}",
            short(least),
            light.transport.in_words(),
            short(greatest),
            heavy.transport.in_words()
        ),
        None => "Server memory per connection".into(),
    };
    let subtitle = "Growth of the server's resident memory per connection: median, and each round as a dot";
    strip::draw(&title, subtitle, "KiB per connection", rows, Row::memory_kib)
}
