//! The colours of transports and of layers of bytes, as CSS variables, in the light and in the dark theme.

use protocol::Transport;
use protocol::appearance::Rgb;

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

/// The parts of the bytes of an event that the lecture distinguishes.
pub const LAYERS: [Part; 4] = [
    Part { name: "Event", variable: "var(--event)", light: Rgb(38, 70, 83), dark: Rgb(214, 228, 234) },
    Part { name: "Framing", variable: "var(--framing)", light: Rgb(176, 120, 0), dark: Rgb(240, 200, 80) },
    Part { name: "Headers", variable: "var(--headers)", light: Rgb(0, 114, 178), dark: Rgb(86, 180, 233) },
    Part { name: "Empty polls", variable: "var(--empty)", light: Rgb(196, 78, 0), dark: Rgb(255, 143, 74) },
];

/// The CSS variable with a transport's colour.
pub fn variable(transport: Transport) -> String {
    let name = transport.name().replace(|letter: char| !letter.is_ascii_alphanumeric(), "-");
    format!("--transport-{name}")
}

/// The definitions of all variables, for both themes.
pub fn css() -> String {
    let transports = |of: fn(Transport) -> Rgb| -> String {
        Transport::ALL.into_iter().map(|transport| format!("{}: {};", variable(transport), of(transport))).collect()
    };
    let layers = |of: fn(&Part) -> Rgb| -> String {
        let name = |part: &Part| part.variable.replace("var(", "").replace(')', "");
        LAYERS.iter().map(|part| format!("{}: {};", name(part), of(part))).collect()
    };
    let light = transports(|transport| transport.row().colours.light) + &layers(|part| part.light);
    let dark = transports(|transport| transport.row().colours.dark) + &layers(|part| part.dark);
    format!(
        ":root {{ {light} }}\n@media (prefers-color-scheme: dark) {{ :root:not([data-theme=\"light\"]) {{ {dark} }} }}\n\
         :root[data-theme=\"dark\"] {{ {dark} }}\n"
    )
}
