//! The charts on the slides: their text is large enough, and their colours have enough contrast in both themes.

use protocol::Transport;
use protocol::appearance::Rgb;
use protocol::envelope::websocket;
use slides::parts::PARTS;
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

#[test]
fn text_and_marks_have_enough_contrast_in_both_themes() {
    for is_dark in [false, true] {
        let theme = |light: Rgb, dark: Rgb| if is_dark { dark } else { light };
        let page = |name: &str| {
            let colour = palette::PAGE.iter().find(|colour| colour.name == name).unwrap();
            theme(colour.light, colour.dark)
        };
        let paper = page("paper");
        for background in [paper, page("panel")] {
            for text in ["ink", "faint-ink", "accent", "good", "bad", "mixed"] {
                let contrast = page(text).contrast(background);
                assert!(contrast >= 4.5, "--{text} on {background}: {contrast:.2}");
            }
        }
        assert!(page("line").contrast(paper) >= 3.0, "the outlines of controls on {paper}");
        for transport in Transport::ALL {
            let colours = transport.row().colours;
            let contrast = theme(colours.light, colours.dark).contrast(paper);
            assert!(contrast >= 4.5, "{transport} on {paper}: {contrast:.2}");
            assert!(colours.chart.contrast(Rgb(255, 255, 255)) >= 3.0, "{transport} in a report");
        }
        for part in PARTS {
            assert!(theme(part.light, part.dark).contrast(paper) >= 3.0, "{} on {paper}", part.name);
        }
    }
    // The example of WCAG: black on white has the greatest contrast.
    assert!((Rgb(0, 0, 0).contrast(Rgb(255, 255, 255)) - 21.0).abs() < 1e-9);
}

#[test]
fn the_colours_of_both_themes_are_defined_whether_the_system_or_the_reader_chooses() {
    let css = palette::css();
    let blocks: Vec<&str> = css.split('{').filter(|block| block.contains("color-scheme")).collect();
    let [light, preferred, chosen] = blocks[..] else { panic!("three blocks: {css}") };
    assert!(light.contains("--paper: #ffffff;") && light.contains("color-scheme: light;"), "{light}");
    let dark = |block: &str| block.split('}').next().unwrap().to_string();
    assert_eq!(dark(preferred), dark(chosen));
    assert!(dark(chosen).contains("--paper: #161616;"));
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
