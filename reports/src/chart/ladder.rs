//! What really went between a client and the server: time runs down, an arrow for what crossed at once.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};
use protocol::experiment::Ladder;

use super::sheet::{self, FAINT, GRID, HEIGHT, INK, TEXT, lost};

/// Where the client's line stands.
const CLIENT: i32 = 470;
/// Where the server's line stands.
const SERVER: i32 = 810;
/// Where time begins, and where the sheet ends.
const FROM: i32 = 160;
const TO: i32 = HEIGHT - 30;
/// How far apart two labels of one column stand at the least.
const APART: i32 = 23;
/// The size of what is written beside the lines.
const SMALL: i32 = TEXT - 7;

pub fn draw(drawing: &Ladder) -> anyhow::Result<String> {
    let y = |ms: f64| FROM + ((ms / drawing.length_ms).clamp(0.0, 1.0) * f64::from(TO - FROM)).round() as i32;
    let colour = sheet::colour(drawing.transport);
    sheet::draw(
        &drawing.title,
        "Time runs down, in ms; each arrow is what one side sent at once, with its bytes",
        |area| {
            for tick in sheet::even_ticks(drawing.length_ms) {
                let height = y(tick);
                area.draw(&PathElement::new([(70, height), (1270, height)], GRID)).map_err(lost)?;
                sheet::write(area, &sheet::tick_text(tick), (60, height), SMALL, &FAINT, HPos::Right, VPos::Center)?;
            }
            for (line, name) in [(CLIENT, "client"), (SERVER, "server")] {
                area.draw(&PathElement::new([(line, FROM), (line, TO)], INK.stroke_width(3))).map_err(lost)?;
                sheet::write(area, name, (line, FROM - 10), TEXT, &INK, HPos::Center, VPos::Bottom)?;
            }
            let (mut near, mut far) = (Vec::new(), Vec::new());
            for crossing in drawing.crossings.iter().filter(|crossing| crossing.left_ms <= drawing.length_ms) {
                let (from, to) = if crossing.up { (CLIENT, SERVER) } else { (SERVER, CLIENT) };
                let ends = ((from, y(crossing.left_ms)), (to, y(crossing.arrived_ms)));
                arrow(area, ends, colour)?;
                let column = if crossing.up { &mut near } else { &mut far };
                let text = match crossing.bytes {
                    0 => crossing.label.clone(),
                    bytes => format!("{} ({bytes} B)", crossing.label),
                };
                column.push((ends.0.1, text));
            }
            column(area, near, CLIENT - 14, HPos::Right)?;
            column(area, far, SERVER + 14, HPos::Left)?;
            let (mut left, mut right) = (Vec::new(), Vec::new());
            for (&published, number) in drawing.published_ms.iter().zip(1..) {
                area.draw(&Circle::new((SERVER, y(published)), 7, INK.filled())).map_err(lost)?;
                right.push((y(published), format!("event {number} published")));
            }
            for ((&there, published), number) in drawing.delivered_ms.iter().zip(&drawing.published_ms).zip(1..) {
                area.draw(&Circle::new((CLIENT, y(there)), 7, INK.filled())).map_err(lost)?;
                left.push((y(there), format!("event {number} after {:.0} ms", there - published)));
            }
            column(area, left, 84, HPos::Left)?;
            column(area, right, 1262, HPos::Right)?;
            Ok(())
        },
    )
}

/// Writes a column of labels, each at its height, or below the one before it where there is no room.
fn column(area: &sheet::Area<'_>, mut labels: Vec<(i32, String)>, at: i32, side: HPos) -> anyhow::Result<()> {
    labels.sort_by_key(|label| label.0);
    let mut free = FROM;
    for (wanted, text) in labels {
        let height = wanted.max(free);
        if height > TO {
            break;
        }
        sheet::write(area, &text, (at, height), SMALL, &INK, side, VPos::Center)?;
        free = height + APART;
    }
    Ok(())
}

type Point = (i32, i32);

/// A line with a head at its second end.
fn arrow(area: &sheet::Area<'_>, (from, to): (Point, Point), colour: RGBColor) -> anyhow::Result<()> {
    const HEAD: f64 = 15.0;
    const HALF: f64 = 6.0;
    area.draw(&PathElement::new([from, to], colour.stroke_width(3))).map_err(lost)?;
    let (dx, dy) = (f64::from(to.0 - from.0), f64::from(to.1 - from.1));
    let length = dx.hypot(dy).max(1.0);
    let (ux, uy) = (dx / length, dy / length);
    let corner = |side: f64| {
        let x = f64::from(to.0) - HEAD * ux - side * HALF * uy;
        let y = f64::from(to.1) - HEAD * uy + side * HALF * ux;
        (x.round() as i32, y.round() as i32)
    };
    area.draw(&Polygon::new([to, corner(1.0), corner(-1.0)], colour.filled())).map_err(lost)
}
