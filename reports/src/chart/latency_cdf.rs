//! The distribution of latency: the share of the deliveries that had arrived, over time.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::scale;
use super::sheet::{self, BOTTOM, FAINT, GRID, HEIGHT, INK, LEFT, Label, RIGHT, TEXT, TOP, WIDTH, drawing_error};
use crate::answer::extremes;
use crate::number::short;
use crate::summary::Row;

pub fn draw(rows: &[Row], load: &str) -> anyhow::Result<String> {
    let title = match extremes(rows, |row| row.latency_ms(0.5)) {
        Some([(fast, least), (slow, greatest)]) => format!(
            "Half of all events arrive within {} ms over {}, within {} ms over {}",
            short(least),
            fast.transport.in_words(),
            short(greatest),
            slow.transport.in_words()
        ),
        None => "Distribution of latency".into(),
    };
    let low = rows.iter().filter_map(|row| row.latency.quantile(0.0)).min().unwrap_or(1_000) as f64 / 1e6 * 0.8;
    let high = rows.iter().filter_map(|row| row.latency.max()).max().unwrap_or(1_000_000) as f64 / 1e6 * 1.2;
    sheet::draw(&title, &format!("Share of deliveries that have arrived, by delivery latency; {load}"), |area| {
        let plot = area.margin(TOP, BOTTOM, LEFT, RIGHT);
        let mut chart =
            ChartBuilder::on(&plot).build_cartesian_2d((low..high).log_scale(), 0.0..1.0f64).map_err(drawing_error)?;
        for percent in [0, 25, 50, 75, 100] {
            let share = f64::from(percent) / 100.0;
            chart.draw_series([PathElement::new([(low, share), (high, share)], GRID)]).map_err(drawing_error)?;
            let (x, y) = chart.backend_coord(&(low, share));
            sheet::write(area, &format!("{percent} %"), (x - 12, y), TEXT, &INK, HPos::Right, VPos::Center)?;
        }
        for tick in scale::ticks(low, high) {
            chart.draw_series([PathElement::new([(tick, 0.0), (tick, 1.0)], GRID)]).map_err(drawing_error)?;
            let (x, _) = chart.backend_coord(&(tick, 0.0));
            let text = format!("{} ms", scale::tick_text(tick));
            sheet::write(area, &text, (x, HEIGHT - BOTTOM + 14), TEXT, &INK, HPos::Center, VPos::Top)?;
        }
        let mut labels = Vec::new();
        for (index, row) in rows.iter().enumerate() {
            let colour = sheet::colour(row.transport);
            let total = row.latency.count() as f64;
            let mut below = 0;
            let mut points = vec![(row.latency.quantile(0.0).unwrap_or(1_000) as f64 / 1e6, 0.0)];
            for (ns, count) in row.latency.buckets() {
                below += count;
                points.push((ns as f64 / 1e6, below as f64 / total));
            }
            chart.draw_series(LineSeries::new(points, colour.stroke_width(4))).map_err(drawing_error)?;
            // The marks are at different heights, so that close lines can be distinguished.
            let share = (index as f64 + 1.0) / (rows.len() as f64 + 1.0);
            if let Some(ns) = row.latency.quantile(share) {
                let at = chart.backend_coord(&(ns as f64 / 1e6, share));
                sheet::mark(area, row.transport, at, 8)?;
                labels.push(Label { text: row.transport.label().into(), colour, at });
            }
        }
        sheet::labels_on_the_right(area, labels)?;
        let middle = (LEFT + WIDTH - RIGHT) / 2;
        sheet::write(area, "delivery latency", (middle, HEIGHT - 36), TEXT - 3, &FAINT, HPos::Center, VPos::Top)
    })
}
