//! A sweep: one factor takes several values, everything else stays; a line for each transport, with theory beside it.

use std::str::FromStr;
use std::time::Duration;

use anyhow::ensure;
use protocol::Transport;
use protocol::experiment::{Drawing, Experiment, Line, Lines, Point, Table};
use protocol::network::Network;
use protocol::result::{Comparison, Round, Scenario};
use protocol::run::Part;
use protocol::schedule::Spacing;
use reports::number::short;
use reports::statistics;
use reports::theory::{self, off_percent};

use super::{axis, line};
use crate::{compare, report, trial};

/// What a sweep is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Factor {
    /// Subscribers connected at once.
    Subscribers,
    /// Events a second.
    Rate,
    /// Payload of an event, in bytes.
    Payload,
    /// Time between two polls, in ms.
    PollInterval,
    /// One-way delay of the modelled network, in ms.
    Delay,
}

impl Factor {
    const ALL: [Factor; 5] = [Self::Subscribers, Self::Rate, Self::Payload, Self::PollInterval, Self::Delay];

    /// The name on the command line and in links.
    pub fn name(self) -> &'static str {
        match self {
            Self::Subscribers => "subscribers",
            Self::Rate => "rate",
            Self::Payload => "payload",
            Self::PollInterval => "poll-interval",
            Self::Delay => "delay",
        }
    }

    /// The name with its unit.
    fn label(self) -> &'static str {
        match self {
            Self::Subscribers => "subscribers",
            Self::Rate => "events a second",
            Self::Payload => "payload in bytes",
            Self::PollInterval => "poll interval in ms",
            Self::Delay => "one-way delay in ms",
        }
    }

    /// `base` with the factor set to `value`.
    fn set(self, base: &Scenario, value: f64) -> Scenario {
        let mut scenario = base.clone();
        match self {
            Self::Subscribers => scenario.subscribers = value as u32,
            Self::Rate => scenario.rate = value,
            Self::Payload => scenario.payload_bytes = value as u32,
            Self::PollInterval => scenario.poll_interval_ms = value as u64,
            Self::Delay => scenario.network.delay_us = (value * 1e3) as u64,
        }
        scenario.warm_up_ms = compare::warm_up_ms(scenario.subscribers, scenario.network);
        scenario
    }

    /// Reads a value as the command line's option of the same name would.
    fn value(self, text: &str) -> Result<f64, String> {
        let ms = |duration: Duration| duration.as_secs_f64() * 1e3;
        match self {
            Self::Subscribers => match text.parse() {
                Ok(count @ 1..=50_000u32) => Ok(count.into()),
                _ => Err("subscribers are a whole number from 1 to 50000".into()),
            },
            Self::Rate => compare::rate(text),
            Self::Payload => server::options::payload(text).map(|bytes| bytes as f64),
            Self::PollInterval => compare::duration(text).map(ms),
            Self::Delay => {
                let network: Network = format!("delay={text}").parse().map_err(|error| format!("{error}"))?;
                Ok(ms(network.delay()))
            }
        }
    }
}

/// A factor and its values, as in `rate=1,10,100`.
#[derive(Debug, Clone, PartialEq)]
pub struct Over {
    /// The factor.
    pub factor: Factor,
    /// Its values, from the least to the greatest.
    pub values: Vec<f64>,
}

impl FromStr for Over {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = || Factor::ALL.map(Factor::name).join(", ");
        let form = || format!("a sweep is over FACTOR=VALUE,VALUE,... like rate=1,10,100; factors are {}", names());
        let (name, list) = text.split_once('=').ok_or_else(form)?;
        let factor = Factor::ALL.into_iter().find(|factor| factor.name() == name).ok_or_else(form)?;
        let mut values = list.split(',').map(|value| factor.value(value)).collect::<Result<Vec<f64>, String>>()?;
        values.sort_by(f64::total_cmp);
        values.dedup();
        if values.len() < 2 {
            Err("a sweep takes at least two values that differ".into())
        } else {
            Ok(Self { factor, values })
        }
    }
}

/// Measure how figures change with one factor, and draw them as lines over it.
#[derive(Debug, Clone, clap::Args)]
#[group(id = "sweep")]
pub struct Options {
    /// The factor and its values: subscribers=1,10,100 or rate=.. or payload=.. or poll-interval=50ms,200ms or delay=1ms,10ms
    #[arg(long, value_name = "FACTOR=VALUES")]
    pub over: Over,
    /// Subscribers connected at once
    #[arg(long, value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    pub subscribers: u32,
    /// What stays the same
    #[command(flatten)]
    pub fixed: compare::Fixed,
}

/// Runs a sweep from the command line, and writes its report.
///
/// # Errors
/// When it cannot be measured or written.
pub fn sweep(options: &Options, command: String) -> anyhow::Result<()> {
    ensure!(options.fixed.url.is_none(), "a sweep starts servers of its own, so it takes no --url");
    let least = Duration::from_secs_f64(options.over.values[0] / 1e3);
    ensure!(
        options.over.factor != Factor::Delay || options.fixed.network.jitter_us as u128 <= least.as_micros(),
        "the jitter of --network is larger than the least delay of the sweep"
    );
    let run = report::make(&options.fixed.out, command, async |finished| {
        let base = compare::scenario(&options.fixed, options.subscribers).await?;
        finished.push(Part::Experiment(measure(&base, &options.over).await?));
        Ok(())
    })?;
    run.experiments().for_each(super::print);
    println!("Report: {}", options.fixed.out.join("index.html").display());
    Ok(())
}

/// Measures all points of a sweep, their rounds interleaved, and works them out.
///
/// # Errors
/// When a server cannot be started or asked.
pub async fn measure(base: &Scenario, over: &Over) -> anyhow::Result<Experiment> {
    let scenarios: Vec<Scenario> = over.values.iter().map(|&value| over.factor.set(base, value)).collect();
    compare::raise_open_files(&scenarios)?;
    eprintln!("      {} rounds, about {} s", trial::order(&scenarios).len(), trial::length(&scenarios).as_secs());
    let found = trial::rounds(&scenarios, false).await?;
    let rounds: Vec<Comparison> =
        scenarios.into_iter().zip(found).map(|(scenario, rounds)| Comparison { scenario, rounds }).collect();
    let mut gaps_ms = Vec::new();
    for comparison in &rounds {
        gaps_ms.push(trial::gap_ms(comparison.scenario.network).await?);
    }
    Ok(work_out(over, rounds, &gaps_ms))
}

/// A figure of a round: what is divided, and what it is divided by.
pub type Figure = fn(&Round) -> (f64, f64);

/// Mean delivery latency, in ms.
pub const LATENCY: Figure = |round| {
    let count = round.latency_ns.count() as f64;
    (round.latency_ns.mean().unwrap_or(0.0) / 1e6 * count, count)
};
/// Wire bytes per event received, both ways.
pub const BYTES: Figure = |round| (round.ledger.wire_bytes() as f64, round.ledger.events as f64);
/// Requests that the server counted in the window, per event delivered in it.
pub const REQUESTS: Figure = |round| (round.server.requests as f64, round.server.deliveries as f64);
/// Server CPU time per event delivered, in us.
pub const CPU: Figure = |round| (round.server.cpu_ns as f64 / 1e3, round.server.deliveries as f64);

/// A figure of a transport over the sound rounds of a comparison, with its interval; `None` where none is sound.
pub fn figure(comparison: &Comparison, transport: Transport, of: Figure) -> Option<(f64, Option<(f64, f64)>)> {
    let rounds: Vec<_> = comparison.rounds_of(transport).filter(|round| round.is_sound()).map(of).collect();
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
        caption: "Over all deliveries of the rounds; the bars are 95 % intervals where there are five rounds. Theory is worked out from \
                  the settings, from the rate as it was drawn, from the latency of a push transport at the same point, and from \
                  the measured time of a request and its answer.",
        figure: LATENCY,
    },
    Shown {
        name: "bytes",
        label: "bytes on the wire per event",
        caption: "Both ways, the event itself included.",
        figure: BYTES,
    },
    Shown {
        name: "requests",
        label: "requests per event",
        caption: "Below 1, several events shared an answer; above 1, polls came back with nothing.",
        figure: REQUESTS,
    },
    Shown {
        name: "cpu",
        label: "server CPU per delivered event in us",
        caption: "CPU time of the server's process, user and kernel.",
        figure: CPU,
    },
];

/// The push transports from whose latency the bare way of an event is taken, the best witness first.
const PUSH: [Transport; 4] = [Transport::WebSocket, Transport::Tcp, Transport::Ndjson, Transport::Sse];

/// The fewest pollers, over all rounds, whose mean is held against theory.
const FEWEST_PHASES: u32 = 50;
/// The least network delay at which long polling is held against theory.
const LEAST_DELAY: Duration = Duration::from_millis(1);

/// What theory says of a transport at a point: mean latency in ms, and requests per event.
pub struct Expected {
    /// The factor's value.
    pub x: f64,
    /// The transport.
    pub transport: Transport,
    /// Mean latency in ms, measured.
    pub mean_ms: f64,
    /// Mean latency in ms, from theory.
    pub expected_ms: f64,
    /// Requests per event, measured.
    pub requests: f64,
    /// Requests per event, from theory.
    pub expected_requests: f64,
}

/// Holds polling and long polling against theory, wherever a push transport gives the bare way of an event.
pub fn expected(over: &Over, rounds: &[Comparison], gaps_ms: &[f64]) -> Vec<Expected> {
    let mut all = Vec::new();
    for ((&x, comparison), &gap_ms) in over.values.iter().zip(rounds).zip(gaps_ms) {
        let of = |transport, what| figure(comparison, transport, what).map(|found| found.0);
        let Some(delay) = PUSH.into_iter().find_map(|push| of(push, LATENCY)) else { continue };
        let Scenario { poll_interval_ms, schedule, .. } = comparison.scenario;
        // Polls come spread over the interval, so an answer waits for no other: half of an exchange.
        let polling =
            theory::polling(gap_ms / 2.0, poll_interval_ms as f64, drawn_rate(comparison, Transport::Polling));
        let long_polling = theory::long_polling(delay, gap_ms, drawn_rate(comparison, Transport::LongPolling));
        // Each subscriber of each round is one phase of the interval; of a few, the mean says little.
        let phases = comparison.scenario.subscribers * comparison.scenario.rounds >= FEWEST_PHASES;
        // The formula is for events that come at any time, and for a gap that is the network's: without one, what matters is
        // how requests that come together wait for each other.
        let network = schedule == Spacing::Poisson && comparison.scenario.network.delay() >= LEAST_DELAY;
        for (transport, expected_ms, expected_requests, applies) in [
            (Transport::Polling, polling.mean_ms, polling.requests_per_event, phases),
            (Transport::LongPolling, long_polling.mean_ms, long_polling.requests_per_event, network),
        ] {
            if !applies {
                continue;
            }
            let (Some(mean_ms), Some(requests)) = (of(transport, LATENCY), of(transport, REQUESTS)) else { continue };
            all.push(Expected { x, transport, mean_ms, expected_ms, requests, expected_requests });
        }
    }
    all
}

/// Events a second as they were delivered in the windows: of a few dozen at random times, there are more or fewer than the rate
/// says.
fn drawn_rate(comparison: &Comparison, transport: Transport) -> f64 {
    let sound = || comparison.rounds_of(transport).filter(|round| round.is_sound());
    let deliveries: u64 = sound().map(|round| round.server.deliveries).sum();
    let seconds: f64 = sound().map(|round| round.server.window_ns as f64 / 1e9).sum();
    deliveries as f64 / f64::from(comparison.scenario.subscribers) / seconds
}

/// The experiment that the rounds make.
fn work_out(over: &Over, rounds: Vec<Comparison>, gaps_ms: &[f64]) -> Experiment {
    let name = over.factor.name();
    let expected = expected(over, &rounds, gaps_ms);
    let mut drawings = Vec::new();
    let (first, last) = (over.values[0], over.values[over.values.len() - 1]);
    let mut answer = vec![format!("Over {}, from {first} to {last}:", over.factor.label())];
    for shown in &SHOWN {
        let mut lines = measured(over, &rounds, shown.figure);
        let title = title(shown, &lines);
        answer.push(format!("{title}."));
        lines.extend(dashed(shown, &expected));
        let spread = |values: Vec<f64>| {
            let positive = || values.iter().copied().filter(|value| *value > 0.0);
            positive().fold(0.0, f64::max) > 15.0 * positive().fold(f64::INFINITY, f64::min)
        };
        drawings.push(Drawing::Lines(Lines {
            name: format!("{name}-{}", shown.name),
            title,
            caption: shown.caption.into(),
            x: axis(over.factor.label(), over.values[0] > 0.0 && spread(over.values.clone())),
            y: axis(shown.label, spread(lines.iter().flat_map(|line| &line.points).map(|point| point.y).collect())),
            lines,
        }));
    }
    answer.extend(held(&expected));
    let tables = if expected.is_empty() { Vec::new() } else { vec![table(over, &expected)] };
    Experiment {
        name: name.into(),
        title: format!("Over {}", over.factor.label()),
        question: format!("How do latency, bytes, requests and CPU change with {}?", over.factor.label()),
        answer,
        doubts: super::doubts(&rounds),
        drawings,
        tables,
        verdicts: Vec::new(),
        method: vec![
            rounds
                .first()
                .map(|comparison| format!("At the first point: {}.", reports::table::scenario(comparison)))
                .unwrap_or_default(),
            "All points' rounds are interleaved in seeded random order, a fresh server each.".into(),
        ],
        rounds,
    }
}

fn measured(over: &Over, rounds: &[Comparison], what: Figure) -> Vec<Line> {
    let of = |transport: Transport| {
        let points = over.values.iter().zip(rounds).filter_map(|(&x, comparison)| {
            let (y, interval) = figure(comparison, transport, what)?;
            Some(Point { x, y, interval })
        });
        line(transport, points.collect())
    };
    Transport::ALL.into_iter().map(of).filter(|line| !line.points.is_empty()).collect()
}

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
    [Transport::Polling, Transport::LongPolling].into_iter().map(of).filter(|line| !line.points.is_empty()).collect()
}

/// What is to be seen: the least and the greatest at the last point, from what they were at the first.
fn title(shown: &Shown, lines: &[Line]) -> String {
    let ends = lines.iter().filter_map(|line| Some((line.transport?, line.points.first()?.y, line.points.last()?.y)));
    let mut ends: Vec<_> = ends.collect();
    // By whichever end tells them further apart.
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
        (Some(least), Some(greatest)) if value(greatest) > value(least) * 1.25 => {
            format!("{what}: {}, {}", from_to(least), from_to(greatest))
        }
        _ => what,
    }
}

/// How far theory and measurement are apart at the most, in a sentence for each transport.
fn held(expected: &[Expected]) -> Vec<String> {
    let of = |transport: Transport| {
        let points = || expected.iter().filter(move |expected| expected.transport == transport);
        let most = points()
            .map(|point| off_percent(point.mean_ms, point.expected_ms))
            .max_by(|a, b| a.abs().total_cmp(&b.abs()))?;
        let mut sentence = format!(
            "{}: at each of {} points the mean latency is within {} % of theory",
            transport.label(),
            points().count(),
            short(most.abs()),
        );
        // A poller's requests per event follow from its interval and from the rate that theory is given, so they test nothing.
        if transport != Transport::Polling {
            let requests =
                points().map(|point| off_percent(point.requests, point.expected_requests).abs()).fold(0.0, f64::max);
            sentence += &format!(", requests per event within {} %", short(requests));
        }
        Some(sentence + ".")
    };
    [Transport::Polling, Transport::LongPolling].into_iter().filter_map(of).collect()
}

fn table(over: &Over, expected: &[Expected]) -> Table {
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
        [over.factor.label(), "transport", "mean ms", "theory ms", "apart", "requests/event", "theory", "apart"];
    Table {
        title: "Held against theory".into(),
        columns: headings.map(Into::into).to_vec(),
        rows: expected.iter().map(row).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_is_read_as_the_options_of_the_same_names_are() {
        let over: Over = "delay=10ms,250us,10ms".parse().unwrap();
        assert_eq!(over, Over { factor: Factor::Delay, values: vec![0.25, 10.0] });
        assert_eq!("poll-interval=1s,50ms".parse::<Over>().unwrap().values, [50.0, 1_000.0]);
        for (wrong, right) in [
            ("speed=1,2", "factors are subscribers, rate"),
            ("rate", "FACTOR=VALUE"),
            ("rate=5", "at least two"),
            ("rate=5,0", "nothing to measure at 0"),
            ("subscribers=1,1.5", "whole number"),
            ("payload=1,100000", "from 0 to 65536"),
            ("delay=1,2", "lacks its unit: write 1ms"),
        ] {
            let said = wrong.parse::<Over>().unwrap_err();
            assert!(said.contains(right), "{wrong}: {said}");
        }
    }

    #[test]
    fn each_factor_sets_what_it_is_called() {
        let base = trial::small(&[Transport::Polling]);
        assert_eq!(Factor::Delay.set(&base, 2.5).network.delay_us, 2_500);
        assert_eq!(Factor::Rate.set(&base, 7.0).rate, 7.0);
        assert_eq!(Factor::Subscribers.set(&base, 70.0).subscribers, 70);
        assert_eq!(Factor::Payload.set(&base, 70.0).payload_bytes, 70);
        assert_eq!(Factor::PollInterval.set(&base, 70.0).poll_interval_ms, 70);
    }
}
