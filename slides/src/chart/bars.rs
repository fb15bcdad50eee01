//! A figure of each transport as a horizontal bar, in one part or in several.

use super::sheet::{Anchor, FAINT, HEIGHT, INK, Sheet, TEXT, WIDTH};

/// Space left of the bars, for the names.
const LEFT: f64 = 290.0;
/// Space right of the longest bar, for its figure.
const RIGHT: f64 = 190.0;

/// A row: its name, its figure as text, and the lengths and colours of the parts of its bar.
pub struct Bar {
    /// The name.
    pub name: String,
    /// The figure, with its unit.
    pub figure: String,
    /// The parts, from left to right.
    pub parts: Vec<(f64, String)>,
}

/// Draws bars from top to bottom. Above them is what they show, or the names and colours of their parts; below them a note, which may be empty.
/// In steps, bars of one part appear one after the other; of bars of several parts, one part of all bars after the other, and the figures
/// with the last part. The note is the last step. The names are there from the start, so that a class can predict.
pub fn draw(bars: &[Bar], caption: &str, key: &[(&str, &str)], note: &str) -> String {
    const TOP: f64 = 44.0;
    let mut sheet = Sheet::new(WIDTH, HEIGHT);
    let bottom = if note.is_empty() { HEIGHT } else { HEIGHT - 40.0 };
    sheet.text((0.0, 18.0), caption, FAINT, Anchor::Start);
    let mut across = LEFT;
    let is_present = |colour: &str| bars.iter().flat_map(|bar| &bar.parts).any(|part| part.0 > 0.0 && part.1 == colour);
    let key: Vec<_> = key.iter().filter(|part| is_present(part.1)).collect();
    // The step of a part: that of its bar, or its own place in the key.
    let step = |bar: usize, colour: &str| key.iter().position(|part| part.1 == colour).unwrap_or(bar) + 1;
    let last = |bar: usize| if key.is_empty() { bar + 1 } else { key.len() };
    for ((name, colour), index) in key.iter().zip(1..) {
        sheet.step(index, |sheet| {
            sheet.rectangle((across, 6.0), (24.0, 24.0), colour, 1.0);
            sheet.text((across + 34.0, 18.0), name, INK, Anchor::Start);
        });
        // Wide enough for letters of Korean, which are as wide as they are high.
        across += 80.0 + f64::from(TEXT) * 0.62 * name.chars().count() as f64;
    }
    let length = |bar: &Bar| bar.parts.iter().map(|part| part.0).sum::<f64>();
    let longest = bars.iter().map(length).fold(f64::MIN_POSITIVE, f64::max);
    let pitch = (bottom - TOP) / bars.len().max(1) as f64;
    let half = (pitch * 0.32).min(36.0);
    for (index, bar) in bars.iter().enumerate() {
        let middle = TOP + pitch * (index as f64 + 0.5);
        sheet.row(|sheet| {
            sheet.text((LEFT - 16.0, middle), &bar.name, INK, Anchor::End);
            let mut from = LEFT;
            for (value, colour) in bar.parts.iter().filter(|part| part.0 > 0.0) {
                let width = value / longest * (WIDTH - LEFT - RIGHT);
                sheet.step(step(index, colour), |sheet| {
                    sheet.rectangle((from, middle - half), (width, 2.0 * half), colour, 1.0);
                });
                from += width;
            }
            sheet.step(last(index), |sheet| sheet.bold((from + 14.0, middle), &bar.figure, Anchor::Start));
        });
    }
    if !note.is_empty() {
        sheet.step(last(bars.len().saturating_sub(1)) + 1, |sheet| {
            sheet.text((0.0, HEIGHT - 16.0), note, INK, Anchor::Start)
        });
    }
    sheet.finish()
}
