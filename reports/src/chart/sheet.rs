//! The common parts of all figures: size, text sizes, colours, and labels that do not overlap.
//!
//! Text is placed by explicit coordinates and uses plain letters, because plotters only estimates the width of text.

use anyhow::anyhow;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use protocol::Transport;
use protocol::appearance::Rgb;

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
        let lead = [(label.at.0 + 10, label.at.1), (column - 22, height)];
        // Thin and pale, so that it is not mistaken for data. The text is black, since not every colour can be read as text.
        area.draw(&PathElement::new(lead, label.colour.mix(0.45).stroke_width(1))).map_err(drawing_error)?;
        let key = [(column - 22, height), (column - 7, height)];
        area.draw(&PathElement::new(key, label.colour.stroke_width(6))).map_err(drawing_error)?;
        write(area, &label.text, (column, height), TEXT, &INK, HPos::Left, VPos::Center)?;
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

/// Converts an error of the drawing library.
pub fn drawing_error<E: std::error::Error + Send + Sync>(error: DrawingAreaErrorKind<E>) -> anyhow::Error {
    anyhow!("cannot draw: {error}")
}
