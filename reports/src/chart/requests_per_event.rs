//! Requests per delivered event.

use super::strip;
use crate::answer::extremes;
use crate::number::short;
use crate::summary::Row;

pub fn draw(rows: &[Row], load: &str) -> anyhow::Result<String> {
    let title = match extremes(rows, |row| Some(row.requests_per_event())) {
        Some([_, (heavy, greatest)]) => {
            format!("{} sends {} requests for each event it receives", heavy.transport.label(), short(greatest))
        }
        None => "Requests per delivered event".into(),
    };
    let subtitle = format!("HTTP requests sent per event received, once connections are open; {load}");
    let requests = Row::requests_per_event;
    strip::draw(
        &title,
        &subtitle,
        "requests per delivered event",
        rows,
        |row| vec![requests(row)],
        |row| Some(requests(row)),
    )
}
