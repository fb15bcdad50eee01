//! Draws the ladders of a recorded run like the lanes of the live page: one lane for each transport, with time from left to right.

use std::fmt::Write;

use protocol::experiment::Ladder;
use reports::html::escape;

const WIDTH: f64 = 1150.0;
const LANE: f64 = 88.0;
/// The left end of a lane's lines, and the distances of the server's and the client's line from the top of the lane.
const LEFT: f64 = 250.0;
const SERVER: f64 = 18.0;
const CLIENT: f64 = 72.0;
const AXIS: f64 = 34.0;
const INK: &str = "#222";
const FAINT: &str = "#606060";

/// Draws the ladders of the transports that a browser can use; the text is empty if there are none.
pub fn draw(ladders: &[&Ladder]) -> String {
    let lanes: Vec<_> = ladders.iter().filter(|ladder| ladder.transport.row().browser.is_some()).collect();
    let Some(length) = lanes.iter().map(|lane| lane.length_ms).reduce(f64::max) else { return String::new() };
    let x = |ms: f64| LEFT + ms.clamp(0.0, length) / length * (WIDTH - LEFT - 45.0);
    let height = lanes.len() as f64 * LANE + AXIS;
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {height}\" xmlns=\"http://www.w3.org/2000/svg\" font-family=\"sans-serif\" font-size=\"20\">\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#fff\"/>\n"
    );
    let step = length / 4.0;
    for tick in 0..=4 {
        let (at, ms) = (x(f64::from(tick) * step), f64::from(tick) * step);
        line(&mut svg, (at, 0.0), (at, height - AXIS), "#dedede", 1.0);
        text(&mut svg, (at, height - 10.0), &format!("{ms:.0} ms"), FAINT, "middle");
    }
    for (lane, top) in lanes.iter().zip(0..) {
        draw_lane(&mut svg, lane, f64::from(top) * LANE, &x);
    }
    svg + "</svg>"
}

fn draw_lane(svg: &mut String, lane: &Ladder, top: f64, x: &impl Fn(f64) -> f64) {
    let colour = lane.transport.row().colours.chart.to_string();
    let (server, client) = (top + SERVER, top + CLIENT);
    let bytes: u64 = lane.messages.iter().map(|message| message.bytes).sum();
    let waits = lane.delivered_ms.iter().zip(&lane.published_ms).map(|(delivered, published)| delivered - published);
    let longest = waits.fold(0.0, f64::max);
    line(svg, (0.0, top), (WIDTH, top), "#dedede", 1.0);
    writeln!(svg, "<rect y=\"{top}\" width=\"7\" height=\"{LANE}\" fill=\"{colour}\"/>").expect("writing to memory");
    let name = format!("<tspan font-size=\"26\" font-weight=\"bold\">{}</tspan>", escape(lane.transport.label()));
    writeln!(svg, "<text x=\"22\" y=\"{}\" fill=\"{colour}\">{name}</text>", top + 36.0).expect("writing to memory");
    text(svg, (22.0, top + 64.0), &format!("up to {longest:.0} ms, {bytes} B"), FAINT, "start");
    for y in [server, client] {
        line(svg, (x(0.0), y), (x(lane.length_ms), y), INK, 1.5);
    }
    // Waiting: from when an event was published until the message that carried it was sent.
    for (&published, &delivered) in lane.published_ms.iter().zip(&lane.delivered_ms) {
        let carried = lane.messages.iter().filter(|message| !message.up && message.arrived_ms <= delivered);
        let left = carried.map(|message| message.left_ms).fold(published, f64::max);
        write!(svg, "<g opacity=\"0.4\">").expect("writing to memory");
        line(svg, (x(published), server), (x(left), server), &colour, 7.0);
        svg.push_str("</g>\n");
    }
    for message in lane.messages.iter().filter(|message| message.left_ms <= lane.length_ms) {
        let (from, to) = if message.up { (client, server) } else { (server, client) };
        let carries = message.label.contains("event");
        let ends = ((x(message.left_ms), from), (x(message.arrived_ms), to));
        let stroke = if carries { &colour } else { "#a0a0a0" };
        line(svg, ends.0, ends.1, stroke, if carries { 3.0 } else { 1.5 });
        arrowhead(svg, ends, stroke);
    }
    for (times, y, fill) in [(&lane.published_ms, server, INK), (&lane.delivered_ms, client, &*colour)] {
        for &at in times {
            writeln!(svg, "<circle cx=\"{:.1}\" cy=\"{y}\" r=\"6\" fill=\"{fill}\"/>", x(at))
                .expect("writing to memory");
        }
    }
}

type Point = (f64, f64);

fn line(svg: &mut String, from: Point, to: Point, colour: &str, width: f64) {
    writeln!(
        svg,
        "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"{colour}\" stroke-width=\"{width}\"/>",
        from.0, from.1, to.0, to.1
    )
    .expect("writing to memory");
}

/// The head of an arrow, at its second end.
fn arrowhead(svg: &mut String, (from, to): (Point, Point), colour: &str) {
    const LENGTH: f64 = 11.0;
    const HALF: f64 = 4.5;
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    let length = dx.hypot(dy).max(1.0);
    let (ux, uy) = (dx / length, dy / length);
    let corner = |side: f64| {
        format!("{:.1},{:.1}", to.0 - LENGTH * ux - side * HALF * uy, to.1 - LENGTH * uy + side * HALF * ux)
    };
    writeln!(svg, "<polygon points=\"{:.1},{:.1} {} {}\" fill=\"{colour}\"/>", to.0, to.1, corner(1.0), corner(-1.0))
        .expect("writing to memory");
}

fn text(svg: &mut String, (x, y): Point, text: &str, colour: &str, anchor: &str) {
    writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" fill=\"{colour}\" text-anchor=\"{anchor}\">{}</text>", escape(text))
        .expect("writing to memory");
}
