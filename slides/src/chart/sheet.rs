//! The common parts of all charts on slides: size, text size, and shapes in the colours of the theme.

use std::fmt::Write;

use protocol::Transport;
use reports::html::escape;

/// Width of a chart: that of a slide without its margins, in CSS pixels, so that a chart is never scaled down.
pub const WIDTH: f64 = 1152.0;
/// Height of a chart below a heading, with a line of text below it.
pub const HEIGHT: f64 = 450.0;
/// Size of all text, in CSS pixels: large enough to be read from the last row of a lecture hall.
pub const TEXT: u32 = 25;

/// The colour of the slide.
pub const PAPER: &str = "var(--paper)";
/// The colour of text.
pub const INK: &str = "var(--ink)";
/// The colour of less important text.
pub const FAINT: &str = "var(--faint-ink)";
/// The colour of what stands out.
pub const ACCENT: &str = "var(--accent)";
/// The colour of the grid.
pub const GRID: &str = "var(--grid)";

/// A point, from the top left corner.
pub type Point = (f64, f64);

/// Where a text is relative to its point.
#[derive(Debug, Clone, Copy)]
pub enum Anchor {
    Start,
    Middle,
    End,
}

/// A chart being drawn. All writes go to memory and cannot fail.
pub struct Sheet {
    svg: String,
}

impl Sheet {
    /// An empty chart.
    pub fn new(width: f64, height: f64) -> Self {
        Self {
            svg: format!(
                "<svg viewBox=\"0 0 {width} {height}\" xmlns=\"http://www.w3.org/2000/svg\" font-family=\"inherit\" font-size=\"{TEXT}\">\n"
            ),
        }
    }

    /// The finished chart, as SVG.
    pub fn finish(self) -> String {
        self.svg + "</svg>"
    }

    /// A straight line.
    pub fn line(&mut self, (x1, y1): Point, (x2, y2): Point, colour: &str, width: f64) {
        self.write(format_args!(
            "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{colour}\" stroke-width=\"{width}\"/>"
        ));
    }

    /// A line through several points.
    pub fn path(&mut self, points: &[Point], colour: &str, width: f64, dashed: bool) {
        let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let dashes = if dashed { " stroke-dasharray=\"10 9\"" } else { "" };
        self.write(format_args!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\"{dashes}/>",
            points.join(" ")
        ));
    }

    /// A filled polygon.
    pub fn polygon(&mut self, points: &[Point], colour: &str) {
        let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        self.write(format_args!("<polygon points=\"{}\" fill=\"{colour}\"/>", points.join(" ")));
    }

    /// A filled rectangle.
    pub fn rectangle(&mut self, (x, y): Point, (width, height): Point, colour: &str, opacity: f64) {
        self.write(format_args!(
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"{colour}\" fill-opacity=\"{opacity}\"/>"
        ));
    }

    /// A filled circle.
    pub fn circle(&mut self, (x, y): Point, radius: f64, colour: &str) {
        self.write(format_args!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\" fill=\"{colour}\"/>"));
    }

    /// A text whose middle is at the height of a point.
    pub fn text(&mut self, (x, y): Point, text: &str, colour: &str, anchor: Anchor) {
        self.label((x, y), text, colour, anchor, false);
    }

    /// A text in bold.
    pub fn bold(&mut self, (x, y): Point, text: &str, anchor: Anchor) {
        self.label((x, y), text, INK, anchor, true);
    }

    fn label(&mut self, (x, y): Point, text: &str, colour: &str, anchor: Anchor, bold: bool) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let weight = if bold { " font-weight=\"bold\"" } else { "" };
        // A third of the text size below the middle, which is where most letters stand.
        let base = y + f64::from(TEXT) * 0.35;
        self.write(format_args!(
            "<text x=\"{x:.1}\" y=\"{base:.1}\" fill=\"{colour}\" text-anchor=\"{anchor}\"{weight}>{}</text>",
            escape(text)
        ));
    }

    /// A transport's mark, so that transports can be distinguished without colour.
    pub fn mark(&mut self, transport: Transport, (x, y): Point, size: f64) {
        let colour = colour(transport);
        match transport.row().marker.corners() {
            [] => self.circle((x, y), size, &colour),
            corners => {
                let at = |&(dx, dy): &(f64, f64)| (x + dx * size, y + dy * size);
                self.polygon(&corners.iter().map(at).collect::<Vec<_>>(), &colour);
            }
        }
    }

    /// An arrow that ends at its second point.
    pub fn arrow(&mut self, from: Point, to: Point, colour: &str, width: f64) {
        const HEAD: f64 = 14.0;
        const HALF: f64 = 6.0;
        self.line(from, to, colour, width);
        let (dx, dy) = (to.0 - from.0, to.1 - from.1);
        let length = dx.hypot(dy).max(1.0);
        let (ux, uy) = (dx / length, dy / length);
        let corner = |side: f64| (to.0 - HEAD * ux - side * HALF * uy, to.1 - HEAD * uy + side * HALF * ux);
        self.polygon(&[to, corner(1.0), corner(-1.0)], colour);
    }

    /// A group of what is drawn, with the time in ms at which it appears when the picture is played.
    pub fn at(&mut self, ms: f64, draw: impl FnOnce(&mut Self)) {
        self.group(&format!("<g data-at=\"{ms:.1}\">"), draw);
    }

    /// A group of what is drawn, which appears with that step on a slide that is shown in steps. The first step is 1.
    pub fn step(&mut self, number: usize, draw: impl FnOnce(&mut Self)) {
        self.group(&format!("<g data-step=\"{number}\">"), draw);
    }

    /// A row of a chart: its name, and the steps that belong to it.
    pub fn row(&mut self, draw: impl FnOnce(&mut Self)) {
        self.group("<g>", draw);
    }

    fn group(&mut self, start: &str, draw: impl FnOnce(&mut Self)) {
        self.write(format_args!("{start}"));
        draw(self);
        self.write(format_args!("</g>"));
    }

    fn write(&mut self, element: std::fmt::Arguments) {
        writeln!(self.svg, "{element}").expect("writing to memory");
    }
}

/// The colour of a transport in the current theme; the variables are defined in `palette.rs`.
pub fn colour(transport: Transport) -> String {
    format!("var({})", crate::palette::variable(transport))
}

/// The heights of labels at the wanted ones, moved apart where they would overlap, and up again where they would be below `bottom`. The wanted
/// heights grow.
pub fn apart(wanted: &[f64], bottom: f64) -> Vec<f64> {
    const DISTANCE: f64 = TEXT as f64 + 5.0;
    let mut heights = wanted.to_vec();
    for index in 1..heights.len() {
        heights[index] = heights[index].max(heights[index - 1] + DISTANCE);
    }
    let mut floor = bottom;
    for height in heights.iter_mut().rev() {
        *height = height.min(floor);
        floor = *height - DISTANCE;
    }
    heights
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_moved_apart_and_stay_above_the_bottom() {
        assert_eq!(apart(&[10.0, 12.0, 100.0], 200.0), [10.0, 40.0, 100.0]);
        assert_eq!(apart(&[95.0, 100.0], 100.0), [70.0, 100.0]);
    }
}
