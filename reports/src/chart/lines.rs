//! Figures over a factor: a line for each transport with its intervals, and theory as dashed lines.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};
use protocol::experiment::{Line, Lines, Point};

use super::scale::{Scale, tick_text};
use super::sheet::{self, BOTTOM, FAINT, GRID, HEIGHT, INK, LEFT, Label, RIGHT, TEXT, TOP, WIDTH, drawing_error};

/// The colours of lines that belong to no transport.
const OTHER_COLOURS: [RGBColor; 2] = [INK, RGBColor(0, 114, 178)];
/// The largest number of points at which a line has marks; with more, marks would cover the line.
const MAX_MARKS: usize = 30;

pub fn draw(drawing: &Lines) -> anyhow::Result<String> {
    let points = || drawing.lines.iter().flat_map(|line| &line.points);
    let heights = points().flat_map(|point| {
        let (low, high) = point.interval.unwrap_or((point.y, point.y));
        [low, point.y, high]
    });
    let x = Scale::new(&drawing.x, points().map(|point| point.x), (LEFT, WIDTH - RIGHT));
    let y = Scale::new(&drawing.y, heights, (HEIGHT - BOTTOM, TOP));
    let dashed = drawing.lines.iter().any(|line| line.theory);
    let subtitle = if dashed { format!("{}; dashed: theory", drawing.y.label) } else { drawing.y.label.clone() };
    sheet::draw(&drawing.title, &subtitle, |area| {
        grid(area, &x, &y)?;
        let mut labels = Vec::new();
        for (line, other) in drawing.lines.iter().zip(OTHER_COLOURS.into_iter().cycle()) {
            let colour = line.transport.map_or(other, sheet::colour);
            let shown = |point: &&Point| !drawing.y.logarithmic || point.y > 0.0;
            let at = |point: &Point| (x.pixel(point.x), y.pixel(point.y));
            let path: Vec<_> = line.points.iter().filter(shown).map(at).collect();
            let Some(&end) = path.last() else { continue };
            if line.theory {
                dashes(area, &path, colour)?;
                continue;
            }
            area.draw(&PathElement::new(path.clone(), colour.stroke_width(4))).map_err(drawing_error)?;
            for point in line.points.iter().filter(shown) {
                interval(area, point, &x, &y, colour)?;
            }
            for at in path.into_iter().filter(|_| line.points.len() <= MAX_MARKS) {
                match line.transport {
                    Some(transport) => sheet::mark(area, transport, at, 8)?,
                    None => area.draw(&Circle::new(at, 6, colour.filled())).map_err(drawing_error)?,
                }
            }
            labels.push(Label { text: label(line), colour, at: end });
        }
        sheet::labels_on_the_right(area, labels)?;
        let middle = (LEFT + WIDTH - RIGHT) / 2;
        sheet::write(area, &drawing.x.label, (middle, HEIGHT - 36), TEXT - 3, &FAINT, HPos::Center, VPos::Top)
    })
}

/// A line's name, truncated to the width of the margin.
fn label(line: &Line) -> String {
    const MAX_CHARACTERS: usize = 15;
    line.label.chars().take(MAX_CHARACTERS).collect()
}

fn grid(area: &sheet::Area<'_>, x: &Scale, y: &Scale) -> anyhow::Result<()> {
    let (left, right, top, bottom) = (x.pixels.0, x.pixels.1, y.pixels.1, y.pixels.0);
    for tick in y.ticks() {
        let height = y.pixel(tick);
        area.draw(&PathElement::new([(left, height), (right, height)], GRID)).map_err(drawing_error)?;
        let text = tick_text(tick);
        sheet::write(area, &text, (left - 12, height), TEXT, &INK, HPos::Right, VPos::Center)?;
    }
    for tick in x.ticks() {
        let across = x.pixel(tick);
        area.draw(&PathElement::new([(across, top), (across, bottom)], GRID)).map_err(drawing_error)?;
        let text = tick_text(tick);
        sheet::write(area, &text, (across, bottom + 14), TEXT, &INK, HPos::Center, VPos::Top)?;
    }
    Ok(())
}

/// An error bar over a point's interval.
fn interval(area: &sheet::Area<'_>, point: &Point, x: &Scale, y: &Scale, colour: RGBColor) -> anyhow::Result<()> {
    let Some((low, high)) = point.interval else { return Ok(()) };
    let (across, low, high) = (x.pixel(point.x), y.pixel(low), y.pixel(high));
    let bars = [
        [(across, low), (across, high)],
        [(across - 7, low), (across + 7, low)],
        [(across - 7, high), (across + 7, high)],
    ];
    for bar in bars {
        area.draw(&PathElement::new(bar, colour.stroke_width(2))).map_err(drawing_error)?;
    }
    Ok(())
}

/// A dashed path.
fn dashes(area: &sheet::Area<'_>, path: &[(i32, i32)], colour: RGBColor) -> anyhow::Result<()> {
    const DASH: f64 = 11.0;
    // The length used of the current dash and the gap after it, carried over from one segment of the path to the next.
    let mut used = 0.0;
    for ends in path.windows(2) {
        let [from, to] = [ends[0], ends[1]].map(|(x, y)| (f64::from(x), f64::from(y)));
        let length = (to.0 - from.0).hypot(to.1 - from.1);
        let at = |along: f64| {
            let share = along / length;
            ((from.0 + share * (to.0 - from.0)).round() as i32, (from.1 + share * (to.1 - from.1)).round() as i32)
        };
        let mut along = 0.0;
        while along < length {
            let in_dash = used < DASH;
            let left = if in_dash { DASH - used } else { 2.0 * DASH - used };
            let next = (along + left).min(length);
            if in_dash {
                area.draw(&PathElement::new([at(along), at(next)], colour.stroke_width(3))).map_err(drawing_error)?;
            }
            used = (used + next - along) % (2.0 * DASH);
            along = next;
        }
    }
    Ok(())
}
