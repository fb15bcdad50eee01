//! Latency by percentile, on an axis of nines: the tail of each transport.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::scale;
use super::sheet::{self, BOTTOM, FAINT, GRID, HEIGHT, INK, LEFT, Label, RIGHT, TEXT, TOP, WIDTH, drawing_error};
use crate::answer::extremes;
use crate::number::short;
use crate::summary::Row;

/// The quantile at which the axis begins. The chart of the distribution shows those below the median.
const FIRST: f64 = 0.5;
/// The quantiles that are named on the axis. From 0.9 on, the share above each is a tenth of the share above the one before.
const NAMED: [(f64, &str); 5] =
    [(FIRST, "50 %"), (0.9, "90 %"), (0.99, "99 %"), (0.999, "99.9 %"), (0.9999, "99.99 %")];

pub fn draw(rows: &[Row], load: &str) -> anyhow::Result<String> {
    let title = match extremes(rows, |row| row.latency_ms(0.99)) {
        Some([(fast, least), (slow, greatest)]) => format!(
            "99 % of events arrive within {} ms over {}, within {} ms over {}",
            short(least),
            fast.transport.in_words(),
            short(greatest),
            slow.transport.in_words()
        ),
        None => "Latency by percentile".into(),
    };
    let farthest = rows.iter().map(max_quantile).fold(FIRST, f64::max);
    let low = rows.iter().filter_map(|row| row.latency.quantile(FIRST)).min().unwrap_or(1_000) as f64 / 1e6 * 0.7;
    let high = rows.iter().filter_map(|row| row.latency.quantile(max_quantile(row))).max().unwrap_or(1_000_000) as f64
        / 1e6
        * 1.4;
    sheet::draw(&title, &format!("Delivery latency in ms, from the scheduled time, by percentile; {load}"), |area| {
        let plot = area.margin(TOP, BOTTOM, LEFT, RIGHT);
        let mut chart = ChartBuilder::on(&plot)
            .build_cartesian_2d(nines(FIRST)..nines(farthest), (low..high).log_scale())
            .map_err(drawing_error)?;
        for tick in scale::ticks(low, high) {
            let line = PathElement::new([(nines(FIRST), tick), (nines(farthest), tick)], GRID);
            chart.draw_series([line]).map_err(drawing_error)?;
            let (x, y) = chart.backend_coord(&(nines(FIRST), tick));
            sheet::write(
                area,
                &format!("{} ms", scale::tick_text(tick)),
                (x - 12, y),
                TEXT,
                &INK,
                HPos::Right,
                VPos::Center,
            )?;
        }
        for (quantile, name) in NAMED.into_iter().filter(|&(quantile, _)| quantile <= farthest + 1e-9) {
            chart
                .draw_series([PathElement::new([(nines(quantile), low), (nines(quantile), high)], GRID)])
                .map_err(drawing_error)?;
            let (x, _) = chart.backend_coord(&(nines(quantile), low));
            sheet::write(area, name, (x, HEIGHT - BOTTOM + 14), TEXT, &INK, HPos::Center, VPos::Top)?;
        }
        let mut labels = Vec::new();
        for row in rows {
            let colour = sheet::colour(row.transport);
            let last = nines(max_quantile(row));
            let points =
                (0..=300).map(|step| nines(FIRST) + (last - nines(FIRST)) * f64::from(step) / 300.0).filter_map(|x| {
                    let quantile = 1.0 - 10f64.powf(-x);
                    Some((x, row.latency.quantile(quantile)? as f64 / 1e6))
                });
            let points: Vec<_> = points.collect();
            let Some(&end) = points.last() else { continue };
            chart.draw_series(LineSeries::new(points, colour.stroke_width(4))).map_err(drawing_error)?;
            for (quantile, _) in NAMED.into_iter().filter(|&(quantile, _)| quantile <= max_quantile(row) + 1e-9) {
                if let Some(ns) = row.latency.quantile(quantile) {
                    let at = chart.backend_coord(&(nines(quantile), ns as f64 / 1e6));
                    sheet::mark(area, row.transport, at, 7)?;
                }
            }
            labels.push(Label { text: row.transport.label().into(), colour, at: chart.backend_coord(&end) });
        }
        sheet::labels_on_the_right(area, labels)?;
        let middle = (LEFT + WIDTH - RIGHT) / 2;
        sheet::write(area, "share of deliveries", (middle, HEIGHT - 36), TEXT - 3, &FAINT, HPos::Center, VPos::Top)
    })
}

/// The position of a quantile on the axis: 1 for 0.9, 2 for 0.99, 3 for 0.999.
fn nines(quantile: f64) -> f64 {
    -(1.0 - quantile).log10()
}

/// The largest named quantile that the row has enough deliveries and events for.
fn max_quantile(row: &Row) -> f64 {
    NAMED.iter().map(|named| named.0).filter(|&quantile| row.latency_ms(quantile).is_some()).fold(FIRST, f64::max)
}
