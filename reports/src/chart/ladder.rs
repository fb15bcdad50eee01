//! A sequence diagram of the bytes between a client and the server: time runs down, and each arrow is what one side sent at once.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};
use protocol::experiment::Ladder;

use super::scale;
use super::sheet::{self, FAINT, GRID, HEIGHT, INK, TEXT, drawing_error};

/// The x position of the client's line.
const CLIENT: i32 = 470;
/// The x position of the server's line.
const SERVER: i32 = 810;
/// The y position at which time begins.
const FROM: i32 = 160;
/// The y position at which the diagram ends.
const TO: i32 = HEIGHT - 30;
/// The smallest distance between two labels of one column.
const MIN_DISTANCE: i32 = 23;
/// The size of the text next to the lines.
const SMALL: i32 = TEXT - 7;

pub fn draw(drawing: &Ladder) -> anyhow::Result<String> {
    let y = |ms: f64| FROM + ((ms / drawing.length_ms).clamp(0.0, 1.0) * f64::from(TO - FROM)).round() as i32;
    let colour = sheet::colour(drawing.transport);
    sheet::draw(
        &drawing.title,
        "Time runs down, in ms; each arrow is what one side sent at once, with its bytes",
        |area| {
            for tick in scale::even_ticks(drawing.length_ms) {
                let height = y(tick);
                area.draw(&PathElement::new([(70, height), (1270, height)], GRID)).map_err(drawing_error)?;
                sheet::write(area, &scale::tick_text(tick), (60, height), SMALL, &FAINT, HPos::Right, VPos::Center)?;
            }
            for (line, name) in [(CLIENT, "client"), (SERVER, "server")] {
                area.draw(&PathElement::new([(line, FROM), (line, TO)], INK.stroke_width(3))).map_err(drawing_error)?;
                sheet::write(area, name, (line, FROM - 10), TEXT, &INK, HPos::Center, VPos::Bottom)?;
            }
            let (mut from_client, mut from_server) = (Vec::new(), Vec::new());
            for message in drawing.messages.iter().filter(|message| message.left_ms <= drawing.length_ms) {
                let (from, to) = if message.up { (CLIENT, SERVER) } else { (SERVER, CLIENT) };
                let ends = ((from, y(message.left_ms)), (to, y(message.arrived_ms)));
                arrow(area, ends, colour)?;
                let column = if message.up { &mut from_client } else { &mut from_server };
                let text = match message.bytes {
                    0 => message.label.clone(),
                    bytes => format!("{} ({bytes} B)", message.label),
                };
                column.push((ends.0.1, text));
            }
            column(area, from_client, CLIENT - 14, HPos::Right)?;
            column(area, from_server, SERVER + 14, HPos::Left)?;
            let (mut left, mut right) = (Vec::new(), Vec::new());
            for (&published, number) in drawing.published_ms.iter().zip(1..) {
                area.draw(&Circle::new((SERVER, y(published)), 7, INK.filled())).map_err(drawing_error)?;
                right.push((y(published), format!("event {number} published")));
            }
            for ((&delivered, published), number) in drawing.delivered_ms.iter().zip(&drawing.published_ms).zip(1..) {
                area.draw(&Circle::new((CLIENT, y(delivered)), 7, INK.filled())).map_err(drawing_error)?;
                left.push((y(delivered), format!("event {number} after {:.0} ms", delivered - published)));
            }
            column(area, left, 84, HPos::Left)?;
            column(area, right, 1262, HPos::Right)?;
            Ok(())
        },
    )
}

/// Writes a column of labels, each at its height, or below the label before it where they would overlap.
fn column(area: &sheet::Area<'_>, mut labels: Vec<(i32, String)>, at: i32, side: HPos) -> anyhow::Result<()> {
    labels.sort_by_key(|label| label.0);
    let mut free = FROM;
    for (wanted, text) in labels {
        let height = wanted.max(free);
        if height > TO {
            break;
        }
        sheet::write(area, &text, (at, height), SMALL, &INK, side, VPos::Center)?;
        free = height + MIN_DISTANCE;
    }
    Ok(())
}

type Point = (i32, i32);

/// A line with an arrowhead at its second end.
fn arrow(area: &sheet::Area<'_>, (from, to): (Point, Point), colour: RGBColor) -> anyhow::Result<()> {
    const HEAD: f64 = 15.0;
    const HALF: f64 = 6.0;
    area.draw(&PathElement::new([from, to], colour.stroke_width(3))).map_err(drawing_error)?;
    let (dx, dy) = (f64::from(to.0 - from.0), f64::from(to.1 - from.1));
    let length = dx.hypot(dy).max(1.0);
    let (ux, uy) = (dx / length, dy / length);
    let corner = |side: f64| {
        let x = f64::from(to.0) - HEAD * ux - side * HALF * uy;
        let y = f64::from(to.1) - HEAD * uy + side * HALF * ux;
        (x.round() as i32, y.round() as i32)
    };
    area.draw(&Polygon::new([to, corner(1.0), corner(-1.0)], colour.filled())).map_err(drawing_error)
}
