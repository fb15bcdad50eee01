//! The charts on the slides: their text is large enough, and their colours have enough contrast in both themes.

use std::collections::HashMap;

use protocol::Transport;
use protocol::appearance::Rgb;
use protocol::envelope::websocket;
use slides::{Destination, Edition, Figures, LANGUAGES, palette, render};

/// The width of a slide's content, and of the frame of a live page in it, in CSS pixels. A chart as wide as that is not scaled down.
const WIDTHS: [f64; 2] = [1152.0, 1116.0];

fn number(tag: &str, attribute: &str) -> Option<f64> {
    tag.split(&format!(" {attribute}=\"")).nth(1)?.split('"').next()?.parse().ok()
}

#[test]
fn every_text_of_a_chart_has_at_least_24_pixels_on_a_slide_that_is_1280_wide() {
    let figures = Figures::recorded().unwrap();
    for language in &LANGUAGES {
        let page = render(language, &figures, Destination::File, Edition::Full).unwrap();
        let charts: Vec<&str> = page.split("<figure class=\"chart\"").skip(1).collect();
        assert!(charts.len() >= 20, "{} charts", charts.len());
        for chart in charts {
            let svg = chart.split("</figure>").next().unwrap();
            let start = svg.split("<svg").nth(1).unwrap().split('>').next().unwrap();
            let bounds: Vec<f64> = start
                .split("viewBox=\"0 0 ")
                .nth(1)
                .unwrap()
                .split('"')
                .next()
                .unwrap()
                .split(' ')
                .map(|part| part.parse().unwrap())
                .collect();
            assert!(WIDTHS.contains(&bounds[0]), "{start}");
            let default = number(start, "font-size").unwrap();
            let mut texts = 0;
            for text in svg.split("<text").skip(1) {
                let tag = text.split('>').next().unwrap();
                assert!(number(tag, "font-size").unwrap_or(default) >= 24.0, "{tag}");
                let (x, y) = (number(tag, "x").unwrap(), number(tag, "y").unwrap());
                assert!((0.0..=bounds[0]).contains(&x) && (0.0..=bounds[1] + 2.0).contains(&y), "outside: {tag}");
                texts += 1;
            }
            assert!(texts > 0, "{start}");
        }
    }
}

/// The colours that a block of CSS defines as variables, in `#rgb` or `#rrggbb`.
fn variables(block: &str) -> HashMap<String, Rgb> {
    let declarations = block.split([';', '{', '\n']).filter_map(|declaration| declaration.trim().split_once(':'));
    let colour = |text: &str| -> Option<Rgb> {
        let digits: Vec<u8> =
            text.trim().strip_prefix('#')?.bytes().map(|digit| (digit as char).to_digit(16).unwrap() as u8).collect();
        Some(match *digits {
            [red, green, blue] => Rgb(red * 17, green * 17, blue * 17),
            [a, b, c, d, e, f] => Rgb(a * 16 + b, c * 16 + d, e * 16 + f),
            _ => return None,
        })
    };
    declarations.filter_map(|(name, value)| Some((name.strip_prefix("--")?.to_string(), colour(value)?))).collect()
}

/// The variables of the light theme and of the dark one.
fn themes() -> [HashMap<String, Rgb>; 2] {
    let css = include_str!("../src/player/player.css");
    let light = css.split(":root {").nth(1).unwrap().split('}').next().unwrap();
    let dark = css.split(":root[data-theme=\"dark\"] {").nth(1).unwrap().split('}').next().unwrap();
    [variables(light), variables(dark)]
}

#[test]
fn text_and_marks_have_enough_contrast_in_both_themes() {
    for (theme, is_dark) in themes().into_iter().zip([false, true]) {
        let paper = theme["paper"];
        for background in [paper, theme["panel"]] {
            for text in ["ink", "faint-ink", "accent", "good", "bad", "mixed"] {
                let contrast = theme[text].contrast(background);
                assert!(contrast >= 4.5, "--{text} on {background}: {contrast:.2}");
            }
        }
        for transport in Transport::ALL {
            let colours = transport.row().colours;
            let colour = if is_dark { colours.dark } else { colours.light };
            assert!(colour.contrast(paper) >= 4.5, "{transport} on {paper}: {:.2}", colour.contrast(paper));
            assert!(colours.chart.contrast(Rgb(255, 255, 255)) >= 3.0, "{transport} in a report");
        }
        for layer in palette::LAYERS {
            let colour = if is_dark { layer.dark } else { layer.light };
            assert!(colour.contrast(paper) >= 3.0, "{} on {paper}", layer.name);
        }
    }
    // The example of WCAG: black on white has the greatest contrast.
    assert!((Rgb(0, 0, 0).contrast(Rgb(255, 255, 255)) - 21.0).abs() < 1e-9);
}

#[test]
fn both_definitions_of_the_dark_theme_are_the_same() {
    let css = include_str!("../src/player/player.css");
    let preferred = css.split(":root:not([data-theme=\"light\"]) {").nth(1).unwrap().split('}').next().unwrap();
    assert_eq!(variables(preferred), themes()[1]);
}

#[test]
fn the_diagram_of_a_frame_shows_the_frame_that_the_server_sends() {
    let diagram = include_str!("../deck/frame.svg");
    let shown: Vec<&str> = diagram.split("<text").skip(1).map(|text| text.split(['>', '<']).nth(1).unwrap()).collect();
    let frame = websocket::text(b"Hello");
    let bits: String = frame[..2].iter().map(|byte| format!("{byte:08b}")).collect();
    // The boxes have one bit each, then one byte each.
    let boxes: Vec<&str> = shown.iter().copied().filter(|text| ["0", "1"].contains(text)).take(16).collect();
    assert_eq!(boxes.concat(), bits);
    let hex: Vec<String> = frame.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(shown[..2], hex[..2], "the bytes of the header");
    let payload: Vec<&str> = shown.iter().copied().skip(2 + 16).take(5).collect();
    assert_eq!(payload, hex[2..]);
}
