//! Cost of idle subscribers: what the server uses while no event is published.

use anyhow::Context;
use protocol::Transport;
use protocol::experiment::{Drawing, Experiment, Line, Lines, Point, Status, Table, Verdict};
use protocol::facts::idle::{IdleFacts, IdleGroup};
use protocol::facts::spent::Spent;

use super::claims::verdict;
use super::draw::{axis, line};
use super::evidence::{Estimate, pooled};
use crate::number::{short, thousands};
use crate::statistics;

/// Claim 1: the smallest growth of CPU time from the fewest pollers to the most, and the smallest ratio of their CPU time to that of idle
/// WebSockets. The first is far below the ratio of their numbers, since a few pollers mostly cost the server its wake-ups.
const MIN_GROWTH: f64 = 5.0;
const MIN_OVER_PUSH: f64 = 3.0;
/// The smallest CPU time that can be distinguished from none, in ms.
const MIN_CPU_MS: f64 = 1e-3;

fn requests_per_s(group: &IdleGroup) -> Estimate {
    per_s(group, |spent| spent.requests as f64)
}

/// CPU time of a group, in ms for each second.
pub(crate) fn cpu_ms_per_s(group: &IdleGroup) -> Estimate {
    per_s(group, |spent| spent.cpu_ms)
}

fn per_s(group: &IdleGroup, figure: fn(&Spent) -> f64) -> Estimate {
    pooled(&group.windows.iter().map(|spent| (figure(spent), spent.seconds)).collect::<Vec<_>>())
}

/// The CPU time of a group over that of another, window by window.
fn cpu_times(group: &IdleGroup, other: &IdleGroup) -> Estimate {
    let cpu = |group: &IdleGroup| -> Vec<f64> {
        group.windows.iter().map(|spent| spent.cpu_ms.max(MIN_CPU_MS) / spent.seconds).collect()
    };
    statistics::ratio(&cpu(group), &cpu(other)).into()
}

/// The figures that decide claim 1, measured while no event is published.
pub struct IdleRatios {
    /// CPU time of the most pollers over that of the fewest.
    pub growth: Estimate,
    /// CPU time of the most pollers over that of as many WebSockets.
    pub over_push: Estimate,
}

/// Claim 1: polling loads the server with every client, whether or not anything happens.
pub fn polling_loads(ratios: &IdleRatios) -> Status {
    let grows = ratios.growth.above(MIN_GROWTH);
    grows.and(ratios.over_push.above(MIN_OVER_PUSH)).decides(Status::Holds, Status::DoesNotHold)
}

pub fn derive(facts: &IdleFacts) -> anyhow::Result<Experiment> {
    let IdleFacts { poll_interval_ms, window_ms, groups } = facts;
    let of = |transport| groups.iter().filter(move |group| group.transport == transport);
    let largest = |transport: Transport| of(transport).next_back().with_context(|| format!("{transport} is missing"));
    let (polling, waiting) = (largest(Transport::Polling)?, largest(Transport::LongPolling)?);
    let websocket = largest(Transport::WebSocket)?;
    let smallest = of(Transport::Polling).next().context("polling is missing")?;
    let windows = polling.windows.len();
    let ratios = IdleRatios { growth: cpu_times(polling, smallest), over_push: cpu_times(polling, websocket) };
    let used = |group: &IdleGroup| {
        format!(
            "{} requests and {} ms of CPU a second",
            short(requests_per_s(group).value),
            short(cpu_ms_per_s(group).value)
        )
    };
    let many = thousands(polling.subscribers.into());
    let few = thousands(smallest.subscribers.into());
    let figure = format!(
        "Without an event, polls every {poll_interval_ms} ms: {many} pollers: {}; as many long polls: {}; as many WebSockets: {}. CPU time \
         of {many} pollers over that of {few}: {} times; over that of {} WebSockets: {} times",
        used(polling),
        used(waiting),
        used(websocket),
        ratios.growth.in_words(),
        thousands(websocket.subscribers.into()),
        ratios.over_push.in_words(),
    );
    let row = |group: &IdleGroup| {
        vec![
            group.transport.label().into(),
            group.subscribers.to_string(),
            short(requests_per_s(group).value),
            short(cpu_ms_per_s(group).value),
        ]
    };
    let sizes: Vec<String> = of(Transport::Polling).map(|group| thousands(group.subscribers.into())).collect();
    // The poll interval at which the large group sends as many requests as the small one does now.
    let slow_s = f64::from(polling.subscribers) / f64::from(smallest.subscribers) * *poll_interval_ms as f64 / 1e3;
    Ok(Experiment {
        title: "Cost of idle subscribers".into(),
        question: "What do subscribers cost the server while there is no event?".into(),
        answer: vec![format!("{figure}.")],
        drawings: vec![Drawing::Lines(Lines {
            name: "idle-cpu".into(),
            title: format!(
                "Without events: {} ms of CPU a second for {many} pollers, {} ms for as many long polls",
                short(cpu_ms_per_s(polling).value),
                short(cpu_ms_per_s(waiting).value)
            ),
            caption: format!(
                "CPU time of the server's process while no event was published. Each client polls every {poll_interval_ms} ms."
            ),
            x: axis("subscribers", true),
            y: axis("server CPU in ms a second", true),
            lines: lines(facts, cpu_ms_per_s),
        })],
        tables: vec![Table {
            title: "Without an event".into(),
            columns: ["transport", "subscribers", "requests a second", "server CPU, ms a second"].map(Into::into).to_vec(),
            rows: groups.iter().map(row).collect(),
        }],
        verdicts: vec![Verdict {
            figure,
            why: "The server responds to every poll, whether or not there is an event; its work grows with the number of clients, not with \
                  the number of events."
                .into(),
            prediction: "Without an event, N pollers with an interval of T send N / T requests a second, and CPU time grows with N. \
                         Waiting subscribers cost almost nothing."
                .into(),
            refuted_by: format!(
                "CPU time of {many} pollers that is less than {MIN_GROWTH} times that of {few}, or less than {MIN_OVER_PUSH} times that \
                 of {many} idle WebSockets."
            ),
            working_point: format!(
                "{} subscribers, 0 events/s, polls every {poll_interval_ms} ms, loopback.",
                listed(&sizes)
            ),
            turns_at: format!(
                "Does not change with the number of subscribers between {few} and {many}. The effect decreases with the poll interval: at {slow_s} s, \
                 {many} pollers send as many requests as {few} do at {poll_interval_ms} ms."
            ),
            ..verdict(1, polling_loads(&ratios))
        }],
        method: vec![format!(
            "Each group has a server of its own; figures are taken over {windows} windows of {} s, one after another.",
            *window_ms as f64 / 1e3
        )],
        ..Experiment::default()
    })
}

/// A figure over the number of subscribers, a line for each transport.
fn lines(facts: &IdleFacts, figure: fn(&IdleGroup) -> Estimate) -> Vec<Line> {
    let point = |group: &IdleGroup| {
        let Estimate { value, interval } = figure(group);
        Point { x: f64::from(group.subscribers), y: value, interval }
    };
    let of = |transport| {
        let groups = facts.groups.iter().filter(|group| group.transport == transport);
        line(transport, groups.map(point).collect())
    };
    Transport::ALL.into_iter().map(of).filter(|line| !line.points.is_empty()).collect()
}

/// Items with commas and a last "and": "10, 100 and 1,000".
fn listed(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}
