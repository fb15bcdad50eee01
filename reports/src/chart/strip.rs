//! A strip chart: a row for each transport, with a dot for each round and a bar for their mean.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::scale;
use super::sheet::{self, BOTTOM, FAINT, GRID, HEIGHT, INK, LEFT, RIGHT, TEXT, TOP, WIDTH, drawing_error};
use crate::number::short;
use crate::summary::Row;

/// Draws the values that `figure` returns for each row, along an axis from 0 with the label `axis`. The bar ends at the row's `centre`.
pub fn draw(
    title: &str,
    subtitle: &str,
    axis: &str,
    rows: &[Row],
    figure: impl Fn(&Row) -> Vec<f64>,
    centre: impl Fn(&Row) -> Option<f64>,
) -> anyhow::Result<String> {
    let values: Vec<Vec<f64>> = rows.iter().map(figure).collect();
    let greatest = values.iter().flatten().copied().fold(0.0, f64::max);
    // Without a positive value the axis ends at 0.2.
    let step = scale::round_step(if greatest > 0.0 { greatest / 5.0 } else { 0.2 });
    let end = (greatest / step).ceil().max(1.0) * step;
    sheet::draw(title, subtitle, |area| {
        let (left, right, top, bottom) = (LEFT, WIDTH - RIGHT, TOP, HEIGHT - BOTTOM);
        let x = |value: f64| left + (value.clamp(0.0, end) / end * f64::from(right - left)) as i32;
        for index in 0..=(end / step).round() as i32 {
            let value = f64::from(index) * step;
            area.draw(&PathElement::new([(x(value), top), (x(value), bottom)], GRID)).map_err(drawing_error)?;
            sheet::write(area, &scale::tick_text(value), (x(value), bottom + 14), TEXT, &INK, HPos::Center, VPos::Top)?;
        }
        let pitch = (bottom - top) / rows.len().max(1) as i32;
        for ((row, values), index) in rows.iter().zip(&values).zip(0..) {
            let middle = top + pitch * index + pitch / 2;
            let half = (pitch / 4).min(26);
            sheet::write(area, row.transport.label(), (left - 14, middle), TEXT, &INK, HPos::Right, VPos::Center)?;
            let Some(centre) = centre(row) else { continue };
            let colour = sheet::colour(row.transport);
            let bar = [(x(0.0), middle - half), (x(centre), middle + half)];
            area.draw(&Rectangle::new(bar, colour.mix(0.55).filled())).map_err(drawing_error)?;
            for &value in values {
                area.draw(&Circle::new((x(value), middle), 7, WHITE.filled())).map_err(drawing_error)?;
                area.draw(&Circle::new((x(value), middle), 6, colour.filled())).map_err(drawing_error)?;
            }
            let farthest = values.iter().copied().fold(centre, f64::max);
            sheet::write(area, &short(centre), (x(farthest) + 18, middle), TEXT + 3, &INK, HPos::Left, VPos::Center)?;
        }
        let middle = (left + right) / 2;
        sheet::write(area, axis, (middle, HEIGHT - 36), TEXT - 3, &FAINT, HPos::Center, VPos::Top)
    })
}
