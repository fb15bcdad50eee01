//! The colours of the lecture and of the story as CSS variables, in the light and in the dark theme: those of the page, of transports, and of
//! the parts of an event's bytes. A page has the theme that its system prefers, or the one that its attribute `data-theme` names.

use protocol::Transport;
use protocol::appearance::Rgb;

use crate::parts::PARTS;

/// A colour of the page in both themes.
pub struct Colour {
    /// The name of its CSS variable, without the hyphens in front.
    pub name: &'static str,
    /// The colour in the light theme.
    pub light: Rgb,
    /// The colour in the dark theme.
    pub dark: Rgb,
}

const fn colour(name: &'static str, light: u32, dark: u32) -> Colour {
    const fn rgb(hex: u32) -> Rgb {
        let [_, red, green, blue] = hex.to_be_bytes();
        Rgb(red, green, blue)
    }
    Colour { name, light: rgb(light), dark: rgb(dark) }
}

/// The colours of the page.
pub const PAGE: [Colour; 11] = [
    colour("paper", 0xffffff, 0x161616),
    // Around a slide.
    colour("around", 0xd8d8d6, 0x000000),
    colour("panel", 0xf4f4f2, 0x222222),
    colour("ink", 0x1c1c1c, 0xf0f0f0),
    colour("faint-ink", 0x5c5c5c, 0xa8a8a8),
    // Lines between rows and in charts, which show nothing themselves.
    colour("grid", 0xdcdcdc, 0x383838),
    // The outlines of controls.
    colour("line", 0x767676, 0x8a8a8a),
    colour("accent", 0x0072b2, 0x56b4e9),
    colour("good", 0x00704f, 0x4fd1a5),
    colour("bad", 0xb3261e, 0xff8a80),
    colour("mixed", 0x8a5a00, 0xf0b840),
];

/// The CSS variable with a transport's colour.
pub fn variable(transport: Transport) -> String {
    let name = transport.name().replace(|letter: char| !letter.is_ascii_alphanumeric(), "-");
    format!("--transport-{name}")
}

/// The definitions of all variables, for both themes.
pub fn css() -> String {
    let theme = |scheme: &str, page: fn(&Colour) -> Rgb, transport: fn(Transport) -> Rgb, part: fn(usize) -> Rgb| {
        let page = PAGE.iter().map(|colour| format!("--{}: {};", colour.name, page(colour)));
        let transports = Transport::ALL.into_iter().map(|of| format!("{}: {};", variable(of), transport(of)));
        let parts = PARTS.iter().enumerate().map(|(index, of)| {
            let name = of.variable.trim_start_matches("var(").trim_end_matches(')');
            format!("{name}: {};", part(index))
        });
        let all: String = page.chain(transports).chain(parts).collect();
        format!("{{ color-scheme: {scheme};{all} }}")
    };
    let light = theme("light", |page| page.light, |of| of.row().colours.light, |index| PARTS[index].light);
    let dark = theme("dark", |page| page.dark, |of| of.row().colours.dark, |index| PARTS[index].dark);
    format!(
        ":root {light}\n@media (prefers-color-scheme: dark) {{ :root:not([data-theme=\"light\"]) {dark} }}\n\
         :root[data-theme=\"dark\"] {dark}\n"
    )
}
