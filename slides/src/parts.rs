//! The parts of the bytes of an event that the lecture and the story distinguish: fewer than the layers of a ledger.

use protocol::Layer;
use protocol::appearance::Rgb;
use reports::summary::Row;

/// A part of the bytes of an event.
pub struct Part {
    /// Its name in charts.
    pub name: &'static str,
    /// Its colour, as a use of its CSS variable.
    pub variable: &'static str,
    /// Its colour on white.
    pub light: Rgb,
    /// Its colour on a dark slide.
    pub dark: Rgb,
}

/// All parts, in the order in which charts show them.
pub const PARTS: [Part; 4] = [
    Part { name: "Event", variable: "var(--event)", light: Rgb(38, 70, 83), dark: Rgb(214, 228, 234) },
    Part { name: "Framing", variable: "var(--framing)", light: Rgb(176, 120, 0), dark: Rgb(240, 200, 80) },
    Part { name: "Headers", variable: "var(--headers)", light: Rgb(0, 114, 178), dark: Rgb(86, 180, 233) },
    Part { name: "Empty polls", variable: "var(--empty)", light: Rgb(196, 78, 0), dark: Rgb(255, 143, 74) },
];

/// The place of a layer's part in [`PARTS`].
fn part_of(layer: Layer) -> usize {
    match layer {
        Layer::Event => 0,
        Layer::Framing | Layer::Control | Layer::Tls | Layer::Quic | Layer::Handshake => 1,
        Layer::RequestHeaders | Layer::ResponseHeaders => 2,
        Layer::EmptyPoll => 3,
    }
}

/// The bytes of an event over a transport, in both directions, by part.
pub fn bytes_per_event(row: &Row) -> [f64; PARTS.len()] {
    let mut bytes = [0.0; PARTS.len()];
    for layer in Layer::ALL {
        bytes[part_of(layer)] += row.ledger[layer] as f64 / row.events();
    }
    bytes
}
