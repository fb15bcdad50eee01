//! A figure over a factor: a line for each transport, and theory as dashed lines.

use protocol::experiment::{Line, Lines};
use reports::chart::scale::{Scale, tick_text};

use super::sheet::{ACCENT, Anchor, FAINT, GRID, HEIGHT, INK, PAPER, Point, Sheet, WIDTH, apart, colour};

const LEFT: f64 = 124.0;
const RIGHT: f64 = 240.0;
const TOP: f64 = 50.0;
const BOTTOM: f64 = 78.0;

/// The label at the end of a line.
struct Label<'a> {
    line: &'a Line,
    /// The step with which the line appears.
    step: usize,
    /// The last point of the line.
    end: Point,
    colour: String,
}

/// Draws the lines of the drawing that `is_shown` selects. In steps, a line with its label appears after the other, and theory last.
pub fn draw(drawing: &Lines, is_shown: impl Fn(&Line) -> bool) -> String {
    let lines: Vec<&Line> = drawing.lines.iter().filter(|line| is_shown(line)).collect();
    let points = || lines.iter().flat_map(|line| &line.points);
    let x = Scale::new(&drawing.x, points().map(|point| point.x), (LEFT as i32, (WIDTH - RIGHT) as i32));
    let y = Scale::new(&drawing.y, points().map(|point| point.y), ((HEIGHT - BOTTOM) as i32, TOP as i32));
    let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
    let path = |line: &Line| -> Vec<Point> {
        let shown = line.points.iter().filter(|point| !drawing.y.logarithmic || point.y > 0.0);
        shown.map(|point| (f64::from(x.pixel(point.x)), f64::from(y.pixel(point.y)))).collect()
    };
    let mut sheet = Sheet::new(WIDTH, HEIGHT);
    for tick in y.ticks() {
        let height = f64::from(y.pixel(tick));
        sheet.line((LEFT, height), (right, height), GRID, 1.5);
        sheet.text((LEFT - 12.0, height), &tick_text(tick), INK, Anchor::End);
    }
    for tick in x.ticks() {
        let across = f64::from(x.pixel(tick));
        sheet.line((across, TOP), (across, bottom), GRID, 1.5);
        sheet.text((across, bottom + 24.0), &tick_text(tick), INK, Anchor::Middle);
    }
    sheet.text((0.0, 16.0), &drawing.y.label, FAINT, Anchor::Start);
    sheet.text(((LEFT + right) / 2.0, HEIGHT - 18.0), &drawing.x.label, FAINT, Anchor::Middle);
    let mut labels: Vec<Label> = Vec::new();
    let (theory, measured): (Vec<&Line>, Vec<&Line>) = lines.iter().partition(|line| line.theory);
    for ((line, other), step) in measured.into_iter().zip([INK, ACCENT].into_iter().cycle()).zip(1..) {
        let colour = line.transport.map_or(other.into(), colour);
        let path = path(line);
        sheet.step(step, |sheet| {
            sheet.path(&path, &colour, 5.0, false);
            if let Some(transport) = line.transport {
                path.iter().for_each(|&at| sheet.mark(transport, at, 9.0));
            }
        });
        labels.extend(path.last().map(|&end| Label { line, step, end, colour }));
    }
    if !theory.is_empty() {
        // Theory is drawn last, since it mostly lies on what was measured.
        sheet.step(labels.len() + 1, |sheet| {
            for line in theory {
                let path = path(line);
                // The dashes have an edge, so that they are seen on the measured line.
                sheet.path(&path, PAPER, 7.0, true);
                sheet.path(&path, INK, 2.5, true);
            }
            sheet.path(&[(right + 18.0, 16.0), (right + 52.0, 16.0)], INK, 2.5, true);
            sheet.text((right + 58.0, 16.0), "theory", INK, Anchor::Start);
        });
    }
    labels.sort_by(|one, other| one.end.1.total_cmp(&other.end.1));
    let wanted: Vec<f64> = labels.iter().map(|label| label.end.1).collect();
    for (Label { line, step, end, colour }, height) in labels.iter().zip(apart(&wanted, bottom)) {
        sheet.step(*step, |sheet| {
            if (height - end.1).abs() > 4.0 {
                sheet.line((end.0 + 12.0, end.1), (right + 28.0, height), GRID, 1.5);
            }
            match line.transport {
                Some(transport) => sheet.mark(transport, (right + 40.0, height), 8.0),
                None => sheet.line((right + 28.0, height), (right + 50.0, height), colour, 5.0),
            }
            sheet.text((right + 58.0, height), &line.label, INK, Anchor::Start);
        });
    }
    sheet.finish()
}
