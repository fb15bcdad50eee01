//! Server CPU time per delivered event, every round as a dot.

use super::strip;
use crate::answer::extremes;
use crate::number::short;
use crate::summary::Row;

pub fn draw(rows: &[Row], load: &str) -> anyhow::Result<String> {
    let title = match extremes(rows, Row::cpu_us) {
        Some([(light, least), (heavy, greatest)]) => format!(
            "A delivery costs the server {} us of CPU over {}, {} us over {}",
            short(least),
            light.transport.in_words(),
            short(greatest),
            heavy.transport.in_words()
        ),
        None => "Server CPU per delivered event".into(),
    };
    let subtitle = format!("CPU time of the server process: geometric mean, and each round as a dot; {load}");
    let rounds = |row: &Row| row.each(|figures| figures.cpu_us);
    strip::draw(&title, &subtitle, "microseconds of CPU per delivered event", rows, rounds, Row::cpu_us)
}
