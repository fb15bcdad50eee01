//! The charts of the lecture. They show the same figures as those of the report, but are drawn for slides: larger text, fewer lines, one message,
//! and the colours of the theme. The slide's heading says what a chart shows, so it has no title of its own.

mod bars;
mod ladder;
mod lanes;
mod lines;
mod map;
pub mod sheet;

use std::collections::HashMap;

use protocol::Transport;
use protocol::experiment::{Drawing, Experiment, Ladder, Line, Lines};
use protocol::result::Comparison;
use reports::number::{short, thousands};
use reports::summary::{Row, rows};

use self::bars::Bar;
use crate::parts::{PARTS, bytes_per_event};

/// The transports that a chart over a factor shows; one that is not listed shows all of them.
const SHOWN: [(&str, &[Transport]); 6] = [
    ("poll-interval-latency", &[Transport::Polling, Transport::WebSocket]),
    ("poll-interval-bytes", &[Transport::Polling, Transport::WebSocket]),
    ("rate-requests-a-second", &[Transport::Polling, Transport::LongPolling]),
    ("delay-latency", &[Transport::LongPolling, Transport::WebSocket]),
    ("idle-cpu", &[Transport::Polling, Transport::WebSocket]),
    ("herd-requests", &[Transport::LongPolling, Transport::WebSocket]),
];

/// The charts of a run by their names, as SVG; each has the name of the report's chart of the same figures.
pub fn all(comparison: &Comparison, experiments: &[&Experiment]) -> HashMap<String, String> {
    let drawings = experiments.iter().flat_map(|experiment| &experiment.drawings);
    let drawn = drawings.map(|drawing| match drawing {
        Drawing::Lines(drawing) => (drawing.name.clone(), over_a_factor(drawing)),
        Drawing::Map(drawing) => (drawing.name.clone(), map::draw(drawing)),
        Drawing::Ladder(drawing) => (drawing.name.clone(), ladder::draw(drawing)),
    });
    drawn.chain(compared(comparison)).collect()
}

/// The ladders of the usual transports, drawn like the lanes of the live page; empty if there are none.
pub fn lanes(experiments: &[&Experiment]) -> String {
    let drawings = experiments.iter().flat_map(|experiment| &experiment.drawings);
    let ladders: Vec<&Ladder> = drawings
        .filter_map(|drawing| match drawing {
            Drawing::Ladder(ladder) => Some(ladder),
            _ => None,
        })
        .collect();
    lanes::draw(&ladders)
}

fn over_a_factor(drawing: &Lines) -> String {
    let shown = SHOWN.iter().find(|shown| shown.0 == drawing.name).map(|shown| shown.1);
    let is_shown = |line: &Line| match (shown, line.transport) {
        (Some(shown), Some(transport)) => shown.contains(&transport),
        _ => true,
    };
    // Where the largest group tells the whole story, or where each line has one point only, bars are easier to read than lines.
    match &*drawing.name {
        "idle-cpu" => last_points(drawing, is_shown, "server CPU in ms a second, without an event", "ms"),
        "herd-requests" => last_points(drawing, is_shown, "requests in the 100 ms after one event", ""),
        "history-bytes" => by_year(drawing, "B"),
        "history-latency" => by_year(drawing, "ms"),
        "loss-late-per-lost" => late_deliveries(drawing),
        // On logarithmic axes, twice the latency looks like little more.
        "delay-latency" => lines::draw(&linear(drawing), is_shown),
        _ => lines::draw(drawing, is_shown),
    }
}

/// The same lines on linear axes.
fn linear(drawing: &Lines) -> Lines {
    let mut drawing = drawing.clone();
    (drawing.x.logarithmic, drawing.y.logarithmic) = (false, false);
    drawing
}

/// The last point of each line, as bars.
fn last_points(drawing: &Lines, is_shown: impl Fn(&Line) -> bool, caption: &str, unit: &str) -> String {
    let ends =
        || drawing.lines.iter().filter(|line| is_shown(line)).filter_map(|line| Some((line, line.points.last()?)));
    let bars = ends().filter_map(|(line, end)| Some(bar(line.transport?, line.label.clone(), end.y, unit)));
    let size = ends().map(|(_, end)| end.x).fold(0.0, f64::max);
    bars::draw(&bars.collect::<Vec<_>>(), &format!("{caption}, {} subscribers", thousands(size as u64)), &[], "")
}

/// The first point of each line, where fewest packets are lost, as bars.
fn late_deliveries(drawing: &Lines) -> String {
    let starts = || drawing.lines.iter().filter_map(|line| Some((line, line.points.first()?)));
    let bars = starts().filter_map(|(line, start)| Some(bar(line.transport?, line.label.clone(), start.y, "")));
    let lost = starts().map(|(_, start)| start.x).fold(f64::INFINITY, f64::min);
    let caption = format!("late deliveries per lost packet, while {lost} % of the packets are lost");
    bars::draw(&bars.collect::<Vec<_>>(), &caption, &[], "")
}

/// The only point of each line, as bars in the order of the years.
fn by_year(drawing: &Lines, unit: &str) -> String {
    let bars = drawing.lines.iter().filter_map(|line| {
        let transport = line.transport?;
        Some(bar(transport, format!("{} {}", transport.row().since, line.label), line.points.first()?.y, unit))
    });
    bars::draw(&bars.collect::<Vec<_>>(), &drawing.y.label, &[], "")
}

fn bar(transport: Transport, name: String, value: f64, unit: &str) -> Bar {
    let figure = format!("{} {unit}", short(value)).trim_end().into();
    Bar { name, figure, parts: vec![(value, sheet::colour(transport))] }
}

/// The charts of the comparison.
fn compared(comparison: &Comparison) -> Vec<(String, String)> {
    let rows: Vec<Row> = rows(comparison).into_iter().filter(|row| row.sound > 0).collect();
    let each = |figure: &dyn Fn(&Row) -> Option<f64>, unit: &str| -> Vec<Bar> {
        let bar = |row: &Row| Some(bar(row.transport, row.transport.label().into(), figure(row)?, unit));
        rows.iter().filter_map(bar).collect()
    };
    let latency = each(&|row| row.latency_ms(0.5), "ms");
    let cpu = each(&Row::cpu_us, "us");
    let note = shared_responses(&rows);
    vec![
        ("latency-cdf".into(), bars::draw(&latency, "median delivery latency", &[], &slowest(&latency))),
        (
            "bytes-per-event".into(),
            bars::draw(&layers(&rows), "", &PARTS.map(|part| (part.name, part.variable)), &note),
        ),
        ("server-cpu-per-event".into(), bars::draw(&cpu, "server CPU per delivered event", &[], &note)),
    ]
}

/// A sentence on the longest bar and the rest.
fn slowest(bars: &[Bar]) -> String {
    let length = |bar: &&Bar| bar.parts.iter().map(|part| part.0).sum::<f64>();
    let mut sorted: Vec<&Bar> = bars.iter().collect();
    sorted.sort_by(|one, other| length(other).total_cmp(&length(one)));
    match sorted[..] {
        [longest, next, _, ..] => format!("{}: {}; all others: {} at most", longest.name, longest.figure, next.figure),
        _ => String::new(),
    }
}

/// A sentence on the transport whose responses carry several events, since this makes it late and cheap.
fn shared_responses(rows: &[Row]) -> String {
    let events = |row: &Row| {
        let full = row.ledger.requests.saturating_sub(row.ledger.empty_polls);
        (full > 0).then(|| (row.transport, row.events() / full as f64))
    };
    match rows.iter().filter_map(events).max_by(|one, other| one.1.total_cmp(&other.1)) {
        Some((transport, events)) if events > 1.5 => {
            format!(
                "{}: one response carries {} events, which share its headers and its work",
                transport.label(),
                short_whole(events)
            )
        }
        _ => String::new(),
    }
}

/// A number of events, which need not be a whole one.
fn short_whole(events: f64) -> String {
    if (events - events.round()).abs() < 0.05 { format!("{events:.0}") } else { format!("{events:.1}") }
}

/// The bytes of an event over each transport, in the parts that the lecture distinguishes.
fn layers(rows: &[Row]) -> Vec<Bar> {
    let bar = |row: &Row| {
        let parts = bytes_per_event(row).into_iter().zip(PARTS);
        Bar {
            name: row.transport.label().into(),
            figure: format!("{} B", short(row.wire_bytes_per_event())),
            parts: parts.map(|(bytes, part)| (bytes, part.variable.to_string())).collect(),
        }
    };
    rows.iter().map(bar).collect()
}
