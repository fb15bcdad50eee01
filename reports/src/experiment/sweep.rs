//! A sweep: figures over one factor, a line for each transport, with theory dashed.

use std::time::Duration;

use anyhow::Context;
use protocol::Transport;
use protocol::experiment::{Drawing, Experiment, Line, Lines, Point, Table};
use protocol::facts::sweep::{Factor, SweepFacts};
use protocol::result::{Comparison, Scenario};
use protocol::schedule::Spacing;
use protocol::transport::Exchange;

use super::draw::{axis, doubts, line};
use super::evidence::{BYTES, CPU, Figure, LATENCY, REQUESTS};
use crate::judge::is_sound;
use crate::number::short;
use crate::statistics;
use crate::table::scenario;
use crate::theory::{self, off_percent};

/// The name of a factor with its unit.
fn label(factor: Factor) -> &'static str {
    match factor {
        Factor::Subscribers => "subscribers",
        Factor::Rate => "events a second",
        Factor::Payload => "payload in bytes",
        Factor::PollInterval => "poll interval in ms",
        Factor::Delay => "one-way delay in ms",
    }
}

/// A figure of a transport over the sound rounds of a comparison, with its interval; `None` where none is sound.
fn figure(comparison: &Comparison, transport: Transport, of: Figure) -> Option<(f64, Option<(f64, f64)>)> {
    let rounds: Vec<_> = comparison.rounds_of(transport).filter(|round| is_sound(round)).map(of).collect();
    statistics::pooled(&rounds)
}

/// A figure that is drawn over the factor.
struct Shown {
    name: &'static str,
    label: &'static str,
    caption: &'static str,
    figure: Figure,
}

const SHOWN: [Shown; 4] = [
    Shown {
        name: "latency",
        label: "mean delivery latency in ms",
        caption: "Over all deliveries of the rounds; the bars are 95 % intervals where there are five rounds. Theory follows from the \
                  settings, from the rate as it was drawn, from the latency of a push transport at the same point, and from the \
                  measured time of a request and its response.",
        figure: LATENCY.of,
    },
    Shown {
        name: "bytes",
        label: "bytes on the wire per event",
        caption: "Both ways, the event itself included.",
        figure: BYTES.of,
    },
    Shown {
        name: "requests",
        label: "requests per event",
        caption: "Below 1, several events shared a response; above 1, some polls brought no event.",
        figure: REQUESTS.of,
    },
    Shown {
        name: "cpu",
        label: "server CPU per delivered event in us",
        caption: "CPU time of the server's process, user and kernel.",
        figure: CPU.of,
    },
];

/// The smallest number of pollers, over all rounds, whose mean is compared with theory.
const MIN_PHASES: u32 = 50;
/// The smallest network delay at which long polling is compared with theory.
const MIN_DELAY: Duration = Duration::from_millis(1);

/// A transport at a point, measured and by theory.
struct Expected {
    /// The factor's value.
    x: f64,
    /// The transport.
    transport: Transport,
    /// Mean latency in ms, measured.
    mean_ms: f64,
    /// Mean latency in ms, from theory.
    expected_ms: f64,
    /// Requests per event, measured.
    requests: f64,
    /// Requests per event, from theory.
    expected_requests: f64,
}

/// Compares polling and long polling with theory, wherever a push transport shows how long an event takes without waiting.
fn expected(facts: &SweepFacts) -> Vec<Expected> {
    let mut all = Vec::new();
    for point in &facts.points {
        let (x, gap_ms, comparison) = (point.value, point.exchange_ms, &point.comparison);
        let of = |transport, what| figure(comparison, transport, what).map(|found| found.0);
        // Any push transport shows how long an event takes without waiting; WebSocket is the one that most comparisons have.
        let mut push = Transport::all_where(Transport::is_push);
        push.sort_by_key(|&transport| transport != Transport::WebSocket);
        let Some(delay) = push.into_iter().find_map(|push| of(push, LATENCY.of)) else { continue };
        let Scenario { poll_interval_ms, schedule, .. } = comparison.scenario;
        // Polls are spread over the interval, so no response waits for another: half of an exchange.
        let polling =
            theory::polling(gap_ms / 2.0, poll_interval_ms as f64, drawn_rate(comparison, Transport::Polling));
        let long_polling = theory::long_polling(delay, gap_ms, drawn_rate(comparison, Transport::LongPolling));
        // Each subscriber of each round is one phase of the interval; the mean over a few phases shows little.
        let phases = comparison.scenario.subscribers * comparison.scenario.rounds >= MIN_PHASES;
        // The formula is for events at random times, and for a gap that the network causes: without a delay, the gap depends on how
        // simultaneous requests wait for each other.
        let network = schedule == Spacing::Poisson && comparison.scenario.network.delay() >= MIN_DELAY;
        for (transport, expected_ms, expected_requests, applies) in [
            (Transport::Polling, polling.mean_ms, polling.requests_per_event, phases),
            (Transport::LongPolling, long_polling.mean_ms, long_polling.requests_per_event, network),
        ] {
            if !applies {
                continue;
            }
            let (Some(mean_ms), Some(requests)) = (of(transport, LATENCY.of), of(transport, REQUESTS.of)) else {
                continue;
            };
            all.push(Expected { x, transport, mean_ms, expected_ms, requests, expected_requests });
        }
    }
    all
}

/// Events a second as delivered in the windows: with only a few dozen events at random times, this rate differs from that of the scenario.
fn drawn_rate(comparison: &Comparison, transport: Transport) -> f64 {
    let sound = || comparison.rounds_of(transport).filter(|round| is_sound(round));
    let deliveries: u64 = sound().map(|round| round.server.deliveries).sum();
    let seconds: f64 = sound().map(|round| round.server.window_ns as f64 / 1e9).sum();
    deliveries as f64 / f64::from(comparison.scenario.subscribers) / seconds
}

/// Derives a sweep that the command line defined, or what all sweeps have in common.
///
/// # Errors
/// When the facts have no point.
pub fn derive(facts: &SweepFacts) -> anyhow::Result<Experiment> {
    let factor = facts.factor;
    let values: Vec<f64> = facts.points.iter().map(|point| point.value).collect();
    let [first, .., last] = values[..] else { anyhow::bail!("a sweep has at least two points") };
    let expected = expected(facts);
    let mut drawings = Vec::new();
    let mut answer = vec![format!("Over {}, from {first} to {last}:", label(factor))];
    for shown in &SHOWN {
        let mut lines = measured(facts, shown.figure);
        let title = title(shown, &lines);
        answer.push(format!("{title}."));
        lines.extend(dashed(shown, &expected));
        // A logarithmic axis for values that are far apart.
        let is_wide = |values: Vec<f64>| {
            let positive = || values.iter().copied().filter(|value| *value > 0.0);
            positive().fold(0.0, f64::max) > 15.0 * positive().fold(f64::INFINITY, f64::min)
        };
        drawings.push(Drawing::Lines(Lines {
            name: format!("{}-{}", factor.name(), shown.name),
            title,
            caption: shown.caption.into(),
            x: axis(label(factor), first > 0.0 && is_wide(values.clone())),
            y: axis(shown.label, is_wide(lines.iter().flat_map(|line| &line.points).map(|point| point.y).collect())),
            lines,
        }));
    }
    answer.extend(agreement(&expected));
    Ok(Experiment {
        title: format!("Over {}", label(factor)),
        question: format!("How do latency, bytes, requests and CPU change with {}?", label(factor)),
        answer,
        doubts: doubts(&facts.comparisons()),
        drawings,
        tables: if expected.is_empty() { Vec::new() } else { vec![table(factor, &expected)] },
        method: vec![
            format!("At the first point: {}.", scenario(&facts.points.first().context("no point")?.comparison)),
            "All points' rounds are interleaved in seeded random order, with a fresh server each.".into(),
        ],
        ..Experiment::default()
    })
}

/// A figure over the factor, a line for each transport.
fn measured(facts: &SweepFacts, of: Figure) -> Vec<Line> {
    let line = |transport: Transport| {
        let points = facts.points.iter().filter_map(|point| {
            let (y, interval) = figure(&point.comparison, transport, of)?;
            Some(Point { x: point.value, y, interval })
        });
        line(transport, points.collect())
    };
    Transport::ALL.into_iter().map(line).filter(|line| !line.points.is_empty()).collect()
}

/// Theory over the factor, a line for each transport that has one.
fn dashed(shown: &Shown, expected: &[Expected]) -> Vec<Line> {
    let of = |transport: Transport| {
        let at = |expected: &Expected| match shown.name {
            "latency" => Some(Point::new(expected.x, expected.expected_ms)),
            "requests" => Some(Point::new(expected.x, expected.expected_requests)),
            _ => None,
        };
        let points: Vec<Point> =
            expected.iter().filter(|expected| expected.transport == transport).filter_map(at).collect();
        Line { theory: true, label: format!("{}, theory", transport.label()), ..line(transport, points) }
    };
    Transport::all_where(|transport| !transport.is_push())
        .into_iter()
        .map(of)
        .filter(|line| !line.points.is_empty())
        .collect()
}

/// The title of a figure: the transports with its smallest and largest value, from the first point to the last.
fn title(shown: &Shown, lines: &[Line]) -> String {
    let ends = lines.iter().filter_map(|line| Some((line.transport?, line.points.first()?.y, line.points.last()?.y)));
    let mut ends: Vec<_> = ends.collect();
    // At the end where they are further apart.
    let apart = |of: fn(&(Transport, f64, f64)) -> f64| {
        let values = ends.iter().map(of);
        values.clone().fold(0.0, f64::max) / values.fold(f64::INFINITY, f64::min).max(1e-9)
    };
    let by_last = apart(|end| end.2) >= apart(|end| end.1);
    let value = |end: &(Transport, f64, f64)| if by_last { end.2 } else { end.1 };
    ends.sort_by(|a, b| value(a).total_cmp(&value(b)));
    let (what, unit) = shown.label.rsplit_once(" in ").unwrap_or((shown.label, ""));
    let what = what[..1].to_uppercase() + &what[1..];
    let from_to = |(transport, first, last): &(Transport, f64, f64)| {
        format!("{} {} to {} {unit}", transport.in_words(), short(*first), short(*last)).trim_end().to_string()
    };
    match (ends.first(), ends.last()) {
        (Some(min), Some(max)) if value(max) > value(min) * 1.25 => {
            format!("{what}: {}, {}", from_to(min), from_to(max))
        }
        _ => what,
    }
}

/// The largest difference between theory and measurement, in a sentence for each transport.
fn agreement(expected: &[Expected]) -> Vec<String> {
    let of = |transport: Transport| {
        let points = || expected.iter().filter(move |expected| expected.transport == transport);
        let max = points()
            .map(|point| off_percent(point.mean_ms, point.expected_ms))
            .max_by(|a, b| a.abs().total_cmp(&b.abs()))?;
        let mut sentence = format!(
            "{}: at each of {} points the mean latency is within {} % of theory",
            transport.label(),
            points().count(),
            short(max.abs()),
        );
        // A poller's requests per event follow from its interval and from the rate that theory is given, so they test nothing.
        if transport.exchange() != Exchange::Poll {
            let requests =
                points().map(|point| off_percent(point.requests, point.expected_requests).abs()).fold(0.0, f64::max);
            sentence += &format!(", requests per event within {} %", short(requests));
        }
        Some(sentence + ".")
    };
    Transport::all_where(|transport| !transport.is_push()).into_iter().filter_map(of).collect()
}

fn table(factor: Factor, expected: &[Expected]) -> Table {
    let signed = |percent: f64| format!("{percent:+.1} %");
    let row = |point: &Expected| {
        vec![
            short(point.x),
            point.transport.label().into(),
            short(point.mean_ms),
            short(point.expected_ms),
            signed(off_percent(point.mean_ms, point.expected_ms)),
            short(point.requests),
            short(point.expected_requests),
            signed(off_percent(point.requests, point.expected_requests)),
        ]
    };
    let headings =
        [label(factor), "transport", "mean ms", "theory ms", "difference", "requests/event", "theory", "difference"];
    Table {
        title: "Compared with theory".into(),
        columns: headings.map(Into::into).to_vec(),
        rows: expected.iter().map(row).collect(),
    }
}
