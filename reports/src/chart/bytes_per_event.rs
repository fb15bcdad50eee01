//! Wire bytes per delivered event, by layer: the event itself and the overhead of each transport.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};
use protocol::Layer;

use super::sheet::{self, BOTTOM, FAINT, HEIGHT, INK, LEFT, RIGHT, TEXT, TOP, WIDTH, drawing_error};
use crate::answer::extremes;
use crate::number::short;
use crate::summary::Row;

/// The smallest width of a part of a bar, in pixels, at which its bytes are written inside it.
const MIN_LABELLED_WIDTH: i32 = 62;

pub fn draw(rows: &[Row], load: &str) -> anyhow::Result<String> {
    let title = match extremes(rows, |row| Some(row.overhead_bytes_per_event())) {
        Some([(light, least), (heavy, greatest)]) => format!(
            "In addition to the event itself: {} bytes over {}, {} bytes over {}",
            short(least),
            light.transport.in_words(),
            short(greatest),
            heavy.transport.in_words()
        ),
        None => "Bytes on the wire per event".into(),
    };
    let greatest = rows.iter().map(Row::wire_bytes_per_event).fold(1.0, f64::max);
    let subtitle = format!("Bytes on the wire per delivered event, both ways, once connections are open; {load}");
    sheet::draw(&title, &subtitle, |area| {
        let (left, right, top, bottom) = (LEFT, WIDTH - RIGHT, TOP + 44, HEIGHT - BOTTOM + 40);
        legend(area, rows)?;
        let width = |bytes: f64| bytes / greatest * f64::from(right - left);
        let pitch = (bottom - top) / rows.len().max(1) as i32;
        for (row, index) in rows.iter().zip(0..) {
            let middle = top + pitch * index + pitch / 2;
            let half = (pitch * 3 / 10).min(34);
            sheet::write(area, row.transport.label(), (left - 14, middle), TEXT, &INK, HPos::Right, VPos::Center)?;
            let mut from = 0.0;
            for layer in Layer::ALL {
                let bytes = row.ledger[layer] as f64 / row.events();
                let (start, end) = (left + width(from) as i32, left + width(from + bytes) as i32);
                let (fill, ink) = colours(layer);
                area.draw(&Rectangle::new([(start, middle - half), (end, middle + half)], fill.filled()))
                    .map_err(drawing_error)?;
                if end - start >= MIN_LABELLED_WIDTH {
                    let centre = ((start + end) / 2, middle);
                    sheet::write(area, &short(bytes), centre, TEXT - 3, &ink, HPos::Center, VPos::Center)?;
                }
                from += bytes;
            }
            let total = format!("{} B", short(row.wire_bytes_per_event()));
            sheet::write(
                area,
                &total,
                (left + width(from) as i32 + 14, middle),
                TEXT + 3,
                &INK,
                HPos::Left,
                VPos::Center,
            )?;
        }
        let note = "bytes per delivered event, without those of opening a connection";
        sheet::write(area, note, ((left + right) / 2, HEIGHT - 36), TEXT - 3, &FAINT, HPos::Center, VPos::Top)
    })
}

fn legend(area: &sheet::Area<'_>, rows: &[Row]) -> anyhow::Result<()> {
    const MARGIN: i32 = 34;
    let is_present = |&layer: &Layer| rows.iter().any(|row| row.ledger[layer] > 0);
    let width = |layer: Layer| 34 + 14 * layer.label().len() as i32 + 30;
    let total_width: i32 = Layer::ALL.into_iter().filter(is_present).map(width).sum();
    let mut x = MARGIN;
    for layer in Layer::ALL.into_iter().filter(is_present) {
        area.draw(&Rectangle::new([(x, TOP), (x + 24, TOP + 24)], colours(layer).0.filled())).map_err(drawing_error)?;
        sheet::write(area, layer.label(), (x + 34, TOP + 12), TEXT - 2, &INK, HPos::Left, VPos::Center)?;
        // All labels are in one row, closer together where there are many.
        x += width(layer) * (WIDTH - 2 * MARGIN).min(total_width) / total_width;
    }
    Ok(())
}

/// A layer's colour, which has a contrast of at least 3 to 1 with white, and the colour of the text on it.
fn colours(layer: Layer) -> (RGBColor, RGBColor) {
    match layer {
        Layer::Event => (RGBColor(38, 70, 83), WHITE),
        Layer::Framing => (RGBColor(190, 134, 0), INK),
        Layer::ResponseHeaders => (RGBColor(56, 155, 210), INK),
        Layer::RequestHeaders => (RGBColor(0, 114, 178), WHITE),
        Layer::EmptyPoll => (RGBColor(196, 78, 0), WHITE),
        Layer::Tls => (RGBColor(0, 133, 98), WHITE),
        Layer::Control => (RGBColor(179, 88, 139), WHITE),
        Layer::Quic => (RGBColor(120, 94, 240), WHITE),
        Layer::Handshake => (RGBColor(120, 120, 120), WHITE),
    }
}
