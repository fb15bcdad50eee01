//! The common parts of all figures: size, text sizes, colours, and labels that do not overlap.
//!
//! Text is placed by explicit coordinates and uses plain letters, because plotters only estimates the width of text.

use anyhow::anyhow;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use protocol::Transport;
use protocol::appearance::Rgb;

use crate::number::thousands;

/// Width of a figure, in pixels; it scales without loss.
pub const WIDTH: i32 = 1280;
/// Height of a figure, in pixels.
pub const HEIGHT: i32 = 720;
/// Space left of the plot.
pub const LEFT: i32 = 190;
/// Space right of the plot, for the labels.
pub const RIGHT: i32 = 220;
/// Space above the plot, for the title.
pub const TOP: i32 = 130;
/// Space below the plot, for the axis.
pub const BOTTOM: i32 = 90;

/// The colour of text: almost black.
pub const INK: RGBColor = RGBColor(34, 34, 34);
/// The colour of less important text: units and axes.
pub const FAINT: RGBColor = RGBColor(96, 96, 96);
/// The colour of the grid.
pub const GRID: RGBColor = RGBColor(222, 222, 222);

/// Size of the text along axes and next to lines, in pixels: large enough to be read from the last row of a lecture hall.
pub const TEXT: i32 = 25;
const TITLE: i32 = 30;

/// A figure being drawn.
pub type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Draws a figure below a title, which states the result, and a subtitle, which names the figures shown.
///
/// # Errors
/// When the drawing library fails.
pub fn draw(
    title: &str,
    subtitle: &str,
    content: impl FnOnce(&Area<'_>) -> anyhow::Result<()>,
) -> anyhow::Result<String> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH as u32, HEIGHT as u32)).into_drawing_area();
        area.fill(&WHITE).map_err(drawing_error)?;
        // A long title has a smaller font size instead of being truncated.
        let size = TITLE.min((WIDTH - 60) * 100 / (56 * title.chars().count().max(1) as i32));
        let style = ("sans-serif", size, FontStyle::Bold).into_font().color(&INK);
        area.draw(&Text::new(title.to_owned(), (30, 24), style)).map_err(drawing_error)?;
        write(&area, subtitle, (30, 78), TEXT - 3, &FAINT, HPos::Left, VPos::Top)?;
        content(&area)?;
        area.present().map_err(drawing_error)?;
    }
    Ok(svg)
}

/// Writes text at a point.
///
/// # Errors
/// When the drawing library fails.
pub fn write(
    area: &Area<'_>,
    text: &str,
    at: (i32, i32),
    size: i32,
    colour: &RGBColor,
    horizontal: HPos,
    vertical: VPos,
) -> anyhow::Result<()> {
    let style = ("sans-serif", size).into_font().color(colour).pos(Pos::new(horizontal, vertical));
    area.draw(&Text::new(text.to_owned(), at, style)).map_err(drawing_error)
}

/// A label of a point.
pub struct Label {
    /// Its text.
    pub text: String,
    /// Its colour.
    pub colour: RGBColor,
    /// The point that it belongs to.
    pub at: (i32, i32),
}

/// Writes labels in the margin right of the plot, each at the height of its point, moved apart where they would overlap.
///
/// # Errors
/// When the drawing library fails.
pub fn labels_on_the_right(area: &Area<'_>, mut labels: Vec<Label>) -> anyhow::Result<()> {
    const MIN_DISTANCE: i32 = TEXT + 7;
    labels.sort_by_key(|label| label.at.1);
    let mut heights: Vec<i32> = labels.iter().map(|label| label.at.1).collect();
    for index in 1..heights.len() {
        heights[index] = heights[index].max(heights[index - 1] + MIN_DISTANCE);
    }
    // Labels that were moved below the plot are moved up again, from the bottom.
    let mut floor = HEIGHT - BOTTOM;
    for height in heights.iter_mut().rev() {
        *height = (*height).min(floor);
        floor = *height - MIN_DISTANCE;
    }
    let column = WIDTH - RIGHT + 34;
    for (label, height) in labels.iter().zip(heights) {
        let lead = [(label.at.0 + 10, label.at.1), (column - 6, height)];
        // Thin and pale, so that it is not mistaken for data.
        area.draw(&PathElement::new(lead, label.colour.mix(0.45).stroke_width(1))).map_err(drawing_error)?;
        write(area, &label.text, (column, height), TEXT, &label.colour, HPos::Left, VPos::Center)?;
    }
    Ok(())
}

/// A transport's colour.
pub fn colour(transport: Transport) -> RGBColor {
    let Rgb(red, green, blue) = transport.row().colours.chart;
    RGBColor(red, green, blue)
}

/// Draws a transport's mark. Each transport has its own shape, and an outline of it over HTTP/2, so that transports can be distinguished without
/// colour.
///
/// # Errors
/// When the drawing library fails.
pub fn mark(area: &Area<'_>, transport: Transport, (x, y): (i32, i32), size: i32) -> anyhow::Result<()> {
    let outlined = transport.carrier().is_outlined();
    let inside = if outlined { WHITE } else { colour(transport) }.filled();
    let border = colour(transport).stroke_width(2);
    let corners = transport.row().marker.corners();
    if corners.is_empty() {
        area.draw(&Circle::new((x, y), size, inside)).map_err(drawing_error)?;
        return if outlined { area.draw(&Circle::new((x, y), size, border)).map_err(drawing_error) } else { Ok(()) };
    }
    let at = |origin: i32, offset: f64| origin + (offset * f64::from(size)).round() as i32;
    let points: Vec<_> = corners.iter().map(|&(dx, dy)| (at(x, dx), at(y, dy))).collect();
    area.draw(&Polygon::new(points.clone(), inside)).map_err(drawing_error)?;
    if outlined {
        let closed: Vec<_> = points.iter().chain(&points[..1]).copied().collect();
        area.draw(&PathElement::new(closed, border)).map_err(drawing_error)?;
    }
    Ok(())
}

/// The powers of ten in a range; in a range of at most 2.5 decades, 2 and 5 times these powers, too.
pub fn ticks(low: f64, high: f64) -> Vec<f64> {
    let decades = (high / low).log10();
    let steps: &[f64] = if decades > 2.5 { &[1.0] } else { &[1.0, 2.0, 5.0] };
    let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
    (first..=last)
        .flat_map(|power| steps.iter().map(move |step| step * 10f64.powi(power)))
        .filter(|tick| (low * 0.999..=high * 1.001).contains(tick))
        .collect()
}

/// About five multiples of a round step, from 0 to at most `high`.
pub fn even_ticks(high: f64) -> Vec<f64> {
    let step = round_step(high / 5.0);
    (0..=(high / step * 1.001) as i32).map(|index| f64::from(index) * step).collect()
}

/// The smallest of 1, 2 and 5 times a power of ten that is not below `step`.
pub fn round_step(step: f64) -> f64 {
    let power = 10f64.powf(step.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|factor| factor * power).find(|&round| round >= step * 0.999).unwrap_or(step)
}

/// A tick's value without rounding errors of binary fractions.
pub fn tick_text(value: f64) -> String {
    if value >= 10_000.0 {
        return thousands(value.round() as u64);
    }
    format!("{value:.5}").trim_end_matches('0').trim_end_matches('.').into()
}

/// Converts an error of the drawing library.
pub fn drawing_error<E: std::error::Error + Send + Sync>(error: DrawingAreaErrorKind<E>) -> anyhow::Error {
    anyhow!("cannot draw: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_lie_in_their_range_and_are_few() {
        assert_eq!(ticks(0.1, 1000.0), [0.1, 1.0, 10.0, 100.0, 1000.0]);
        assert_eq!(ticks(0.3, 3.0), [0.5, 1.0, 2.0]);
        assert_eq!([0.0, 0.1 + 0.2, 1.5, 100.0, 1e6].map(tick_text), ["0", "0.3", "1.5", "100", "1,000,000"]);
        assert_eq!(even_ticks(9.0), [0.0, 2.0, 4.0, 6.0, 8.0]);
    }

    #[test]
    fn steps_are_round() {
        assert_eq!([0.13, 0.2, 3.7, 41.0, 99.0].map(round_step), [0.2, 0.2, 5.0, 50.0, 100.0]);
    }
}
