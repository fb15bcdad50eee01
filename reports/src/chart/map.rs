//! The transport with the lowest cost over two factors: a grid of cells, each in the colour of that transport.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};
use protocol::experiment::Map;

use super::sheet::{self, BOTTOM, FAINT, HEIGHT, INK, LEFT, TEXT, TOP, WIDTH, drawing_error};

/// Space right of the grid.
const MARGIN: i32 = 40;
/// The colour of a cell without a single cheapest transport: none is fast enough, or several tie.
const NONE: RGBColor = RGBColor(236, 236, 236);

pub fn draw(drawing: &Map) -> anyhow::Result<String> {
    let (columns, rows) = (drawing.columns.len().max(1) as i32, drawing.rows.len().max(1) as i32);
    let (width, height) = ((WIDTH - LEFT - MARGIN) / columns, (HEIGHT - TOP - BOTTOM) / rows);
    sheet::draw(&drawing.title, &format!("From bottom to top: {}", drawing.y), |area| {
        for (row, index) in drawing.rows.iter().zip(0..) {
            let middle = HEIGHT - BOTTOM - index * height - height / 2;
            sheet::write(area, row, (LEFT - 14, middle), TEXT, &INK, HPos::Right, VPos::Center)?;
        }
        for (column, index) in drawing.columns.iter().zip(0..) {
            let middle = LEFT + index * width + width / 2;
            sheet::write(area, column, (middle, HEIGHT - BOTTOM + 14), TEXT, &INK, HPos::Center, VPos::Top)?;
        }
        for (cells, row) in drawing.cells.iter().zip(0..) {
            for (cell, column) in cells.iter().zip(0..) {
                let (left, bottom) = (LEFT + column * width, HEIGHT - BOTTOM - row * height);
                let corners = [(left + 2, bottom - height + 2), (left + width - 2, bottom - 2)];
                let fill = cell.best.map_or(NONE, sheet::colour);
                area.draw(&Rectangle::new(corners, fill.mix(if cell.best.is_some() { 0.30 } else { 1.0 }).filled()))
                    .map_err(drawing_error)?;
                let (middle, centre) = (left + width / 2, bottom - height / 2);
                let name = cell.best.map_or(if cell.cost.is_empty() { "" } else { "a tie" }, |best| best.label());
                if let Some(best) = cell.best {
                    sheet::mark(area, best, (left + 24, centre - 26), 8)?;
                }
                sheet::write(area, name, (middle, centre - 26), TEXT - 3, &INK, HPos::Center, VPos::Center)?;
                sheet::write(area, &cell.cost, (middle, centre + 2), TEXT - 6, &INK, HPos::Center, VPos::Center)?;
                sheet::write(area, &cell.against, (middle, centre + 27), TEXT - 9, &INK, HPos::Center, VPos::Center)?;
            }
        }
        let middle = (LEFT + WIDTH - MARGIN) / 2;
        sheet::write(area, &drawing.x, (middle, HEIGHT - 36), TEXT - 3, &FAINT, HPos::Center, VPos::Top)
    })
}
