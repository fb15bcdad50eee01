//! The transport with the lowest cost over two factors: a grid of cells, each in the colour of that transport.

use protocol::Transport;
use protocol::experiment::{Cell, Map};

use super::sheet::{Anchor, FAINT, GRID, HEIGHT, INK, PAPER, Sheet, WIDTH, colour};

const LEFT: f64 = 100.0;
const TOP: f64 = 44.0;
const BOTTOM: f64 = 78.0;

/// Draws a map. Transports that push cost about the same, and count as one. In steps, its columns appear one after the other.
pub fn draw(drawing: &Map) -> String {
    let width = (WIDTH - LEFT) / drawing.columns.len().max(1) as f64;
    let height = (HEIGHT - TOP - BOTTOM) / drawing.rows.len().max(1) as f64;
    let mut sheet = Sheet::new(WIDTH, HEIGHT);
    sheet.text((0.0, 16.0), &drawing.y, FAINT, Anchor::Start);
    sheet.text(((LEFT + WIDTH) / 2.0, HEIGHT - 18.0), &drawing.x, FAINT, Anchor::Middle);
    for (row, index) in drawing.rows.iter().zip(0..) {
        let middle = HEIGHT - BOTTOM - (f64::from(index) + 0.5) * height;
        sheet.text((LEFT - 14.0, middle), row, INK, Anchor::End);
    }
    for (column, index) in drawing.columns.iter().zip(0..) {
        let middle = LEFT + (f64::from(index) + 0.5) * width;
        sheet.text((middle, HEIGHT - BOTTOM + 24.0), column, INK, Anchor::Middle);
    }
    for (cells, row) in drawing.cells.iter().zip(0..) {
        for (cell, column) in cells.iter().zip(0..) {
            let corner = (LEFT + f64::from(column) * width + 3.0, HEIGHT - BOTTOM - f64::from(row + 1) * height + 3.0);
            let size = (width - 6.0, height - 6.0);
            let (name, fill) = content(cell);
            let (middle, centre) = (corner.0 + size.0 / 2.0, corner.1 + size.1 / 2.0);
            // The cell is there from the start, so that a class can predict what is in it.
            sheet.rectangle(corner, size, GRID, 0.5);
            sheet.step(column as usize + 1, |sheet| match fill {
                Some(transport) => {
                    sheet.rectangle(corner, size, PAPER, 1.0);
                    sheet.rectangle(corner, size, &colour(transport), 0.22);
                    sheet.rectangle(corner, (10.0, size.1), &colour(transport), 1.0);
                    sheet.bold((middle, centre), name, Anchor::Middle);
                }
                None => sheet.text((middle, centre), name, INK, Anchor::Middle),
            });
        }
    }
    sheet.finish()
}

/// A cell's text, and the transport whose colour it has. A cell without a cost has none that is fast enough.
fn content(cell: &Cell) -> (&'static str, Option<Transport>) {
    match cell.best {
        Some(best) if best.is_push() => ("push", Some(Transport::WebSocket)),
        Some(best) => (best.label(), Some(best)),
        None => (if cell.cost.is_empty() { "-" } else { "a tie" }, None),
    }
}
