//! How a transport looks in charts and on the page: its colours, and the shape that marks its points.

use std::fmt;

use serde::{Serialize, Serializer};

/// Red, green and blue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rgb(pub u8, pub u8, pub u8);

impl Rgb {
    /// The contrast with another colour, from 1 to 21 (WCAG 2.2, section 1.4.3).
    pub fn contrast(self, other: Self) -> f64 {
        let (one, other) = (self.luminance(), other.luminance());
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    fn luminance(self) -> f64 {
        let linear = |channel: u8| match f64::from(channel) / 255.0 {
            dark if dark <= 0.04045 => dark / 12.92,
            light => ((light + 0.055) / 1.055).powf(2.4),
        };
        0.2126 * linear(self.0) + 0.7152 * linear(self.1) + 0.0722 * linear(self.2)
    }
}

impl fmt::Display for Rgb {
    /// Formats the colour as in CSS: `#d55e00`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{:02x}{:02x}{:02x}", self.0, self.1, self.2)
    }
}

impl Serialize for Rgb {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A transport's colour on each background. All three are variants of one colour of the Okabe-Ito palette or of Paul Tol's muted palette,
/// which colour-blind readers can distinguish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Colours {
    /// For lines, marks and areas on white, with a contrast of at least 3 to 1.
    pub chart: Rgb,
    /// For text and marks on a light page, with a contrast of at least 4.5 to 1.
    pub light: Rgb,
    /// For text and marks on a dark page, with the same contrast.
    pub dark: Rgb,
}

/// The shape that marks a transport's points, so that charts do not rely on colours only.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Marker {
    /// A circle of radius 1.
    Circle,
    /// A square.
    Square,
    /// A triangle that points up.
    TriangleUp,
    /// A triangle that points down.
    TriangleDown,
    /// A square that stands on a corner.
    Diamond,
    /// A plus sign.
    Plus,
    /// A plus sign, rotated by 45 degrees.
    Cross,
    /// A triangle that points left.
    TriangleLeft,
    /// A triangle that points right.
    TriangleRight,
    /// A regular pentagon that stands on a side.
    Pentagon,
    /// A regular hexagon that stands on a corner.
    Hexagon,
    /// A star with five points.
    Star,
    /// Two triangles that touch at their points.
    Hourglass,
    /// The same, lying on its side.
    Bowtie,
}

impl Marker {
    /// The corners relative to the point, with `y` downwards, in multiples of the marker's size; none for the circle.
    pub const fn corners(self) -> &'static [(f64, f64)] {
        const THIRD: f64 = 1.0 / 3.0;
        match self {
            Self::Circle => &[],
            Self::Square => &[(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)],
            Self::TriangleUp => &[(0.0, -1.2), (1.1, 1.0), (-1.1, 1.0)],
            Self::TriangleDown => &[(-1.1, -1.0), (1.1, -1.0), (0.0, 1.2)],
            Self::Diamond => &[(0.0, -1.35), (1.35, 0.0), (0.0, 1.35), (-1.35, 0.0)],
            Self::Plus => &[
                (-THIRD, -1.0),
                (THIRD, -1.0),
                (THIRD, -THIRD),
                (1.0, -THIRD),
                (1.0, THIRD),
                (THIRD, THIRD),
                (THIRD, 1.0),
                (-THIRD, 1.0),
                (-THIRD, THIRD),
                (-1.0, THIRD),
                (-1.0, -THIRD),
                (-THIRD, -THIRD),
            ],
            Self::Cross => &[
                (0.0, -0.5),
                (0.7, -1.2),
                (1.2, -0.7),
                (0.5, 0.0),
                (1.2, 0.7),
                (0.7, 1.2),
                (0.0, 0.5),
                (-0.7, 1.2),
                (-1.2, 0.7),
                (-0.5, 0.0),
                (-1.2, -0.7),
                (-0.7, -1.2),
            ],
            Self::TriangleLeft => &[(-1.2, 0.0), (1.0, -1.1), (1.0, 1.1)],
            Self::TriangleRight => &[(1.2, 0.0), (-1.0, 1.1), (-1.0, -1.1)],
            Self::Pentagon => &[(0.0, -1.2), (1.14, -0.37), (0.71, 0.97), (-0.71, 0.97), (-1.14, -0.37)],
            Self::Hexagon => &[(0.0, -1.2), (1.04, -0.6), (1.04, 0.6), (0.0, 1.2), (-1.04, 0.6), (-1.04, -0.6)],
            Self::Star => &[
                (0.0, -1.4),
                (0.32, -0.44),
                (1.33, -0.43),
                (0.52, 0.17),
                (0.82, 1.13),
                (0.0, 0.55),
                (-0.82, 1.13),
                (-0.52, 0.17),
                (-1.33, -0.43),
                (-0.32, -0.44),
            ],
            Self::Hourglass => &[(-1.1, -1.2), (1.1, -1.2), (0.25, 0.0), (1.1, 1.2), (-1.1, 1.2), (-0.25, 0.0)],
            Self::Bowtie => &[(-1.2, -1.1), (0.0, -0.25), (1.2, -1.1), (1.2, 1.1), (0.0, 0.25), (-1.2, 1.1)],
        }
    }
}

impl Serialize for Marker {
    /// Serializes the [`Self::corners`].
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.corners().serialize(serializer)
    }
}
