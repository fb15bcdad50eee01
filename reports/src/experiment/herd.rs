//! The thundering herd: requests after one event, and connections after a restart.

use anyhow::Context;
use protocol::Transport;
use protocol::experiment::{Drawing, Experiment, Line, Lines, Point, Status, Table, Verdict};
use protocol::facts::herd::{Accepted, HerdFacts, HerdGroup};
use protocol::facts::spent::Spent;

use super::claims::verdict;
use super::draw::{axis, labelled, line};
use super::evidence::Answer;
use crate::number::{short, thousands};

/// Claim 6: the share of the subscribers that must send a request within 100 ms of the event, and the share below which they did not all
/// return within a second.
const MIN_AT_ONCE: f64 = 0.95;
const MIN_LATER: f64 = 0.5;

/// Long pollers and their next requests.
pub struct Returned {
    /// Long pollers that received the event.
    pub subscribers: u32,
    /// Requests in the 100 ms after it.
    pub at_once: u64,
    /// Requests in the second after it.
    pub later: u64,
}

/// Claim 6: one event for many long pollers brings them all back at once.
pub fn all_come_back(returned: &[Returned]) -> Status {
    let back = returned.iter().map(|size| {
        let share = |requests: u64| requests as f64 / f64::from(size.subscribers);
        match share(size.at_once) {
            at_once if at_once >= MIN_AT_ONCE => Answer::Yes,
            // On a busy machine they may need longer; subscribers that sent nothing within a second did not return.
            _ if share(size.later) < MIN_LATER => Answer::No,
            _ => Answer::Unclear,
        }
    });
    Answer::all(back).decides(Status::Holds, Status::DoesNotHold)
}

/// The largest number of connections accepted between two readings, as a rate per ms.
fn busiest(readings: &[Accepted]) -> f64 {
    let rate =
        |pair: &[Accepted]| pair[1].connections.saturating_sub(pair[0].connections) as f64 / (pair[1].ms - pair[0].ms);
    readings.windows(2).map(rate).fold(0.0, f64::max)
}

pub fn derive(facts: &HerdFacts) -> anyhow::Result<Experiment> {
    let of = |transport| facts.groups.iter().filter(move |group| group.transport == transport);
    let largest = |transport: Transport| of(transport).next_back().with_context(|| format!("{transport} is missing"));
    let (herd, frames) = (largest(Transport::LongPolling)?, largest(Transport::WebSocket)?);
    let smallest = of(Transport::LongPolling).next().map_or(0, |group| group.subscribers);
    let returned: Vec<Returned> = of(Transport::LongPolling)
        .map(|group| Returned {
            subscribers: group.subscribers,
            at_once: group.spent.requests,
            later: group.later_requests,
        })
        .collect();
    let figure = format!(
        "One event to {} long pollers: {} requests and {} ms of CPU within 100 ms; to as many WebSockets {} requests, {} ms",
        thousands(herd.subscribers.into()),
        thousands(herd.spent.requests),
        short(herd.spent.cpu_ms),
        frames.spent.requests,
        short(frames.spent.cpu_ms),
    );
    let shares: Vec<String> = returned
        .iter()
        .map(|size| format!("{} of {}", thousands(size.at_once), thousands(size.subscribers.into())))
        .collect();
    let returns = format!(
        "Requests within 100 ms of one event: {} long pollers; {} of {} WebSockets",
        shares.join(", "),
        frames.spent.requests,
        thousands(frames.subscribers.into())
    );
    let (peak, with_jitter) = (busiest(&facts.restart), busiest(&facts.restart_with_jitter));
    let jitter_s = facts.jitter_ms as f64 / 1e3;
    let restarted = format!(
        "After a restart {} WebSockets reconnected, up to {} per ms; with {jitter_s} s of jitter before they reconnect, up to {} per ms",
        facts.returning,
        short(peak),
        short(with_jitter)
    );
    let row = |group: &HerdGroup| {
        vec![
            group.transport.label().into(),
            group.subscribers.to_string(),
            group.spent.requests.to_string(),
            short(group.spent.cpu_ms),
        ]
    };
    let sizes: Vec<String> = returned.iter().map(|size| thousands(size.subscribers.into())).collect();
    Ok(Experiment {
        title: "The thundering herd".into(),
        question:
            "How many requests reach the server at once after an event, and how many connections after a restart?"
                .into(),
        answer: vec![format!("{figure}."), format!("{restarted}.")],
        drawings: vec![
            Drawing::Lines(Lines {
                name: "herd-requests".into(),
                title: format!(
                    "One event brings {} of {} long pollers back within 100 ms",
                    thousands(herd.spent.requests),
                    thousands(herd.subscribers.into())
                ),
                caption:
                    "Requests that the server counted in the 100 ms after one event; each is the next one of a client."
                        .into(),
                x: axis("subscribers", true),
                y: axis("requests in the 100 ms after one event", false),
                lines: lines(&facts.groups, |spent| spent.requests as f64),
            }),
            Drawing::Lines(Lines {
                name: "herd-cpu".into(),
                title: format!(
                    "One event to {} subscribers: {} ms of CPU within 100 ms over long polling, {} ms over WebSocket",
                    thousands(herd.subscribers.into()),
                    short(herd.spent.cpu_ms),
                    short(frames.spent.cpu_ms)
                ),
                caption: "CPU time of the server in the 100 ms after one event, its delivery included.".into(),
                x: axis("subscribers", true),
                y: axis("server CPU in the 100 ms after one event, in ms", true),
                lines: lines(&facts.groups, |spent| spent.cpu_ms),
            }),
            Drawing::Lines(Lines {
                name: "herd-restart".into(),
                title: format!(
                    "After a restart: up to {} connections per ms, with jitter up to {}",
                    short(peak),
                    short(with_jitter)
                ),
                caption: format!(
                    "Connections accepted since the restart. Without jitter, each subscriber tries again 100 ms after it lost its \
                     connection. With jitter, it waits for a random time of up to {jitter_s} s longer."
                ),
                x: axis("ms since the server was back", false),
                y: axis("connections accepted", false),
                lines: vec![
                    accepted("without jitter", &facts.restart),
                    accepted("with jitter", &facts.restart_with_jitter),
                ],
            }),
        ],
        tables: vec![Table {
            title: "In the 100 ms after one event".into(),
            columns: ["transport", "subscribers", "requests", "server CPU, ms"].map(Into::into).to_vec(),
            rows: facts.groups.iter().map(row).collect(),
        }],
        verdicts: vec![Verdict {
            figure: returns,
            why: "Each response ends a request, and each client sends the next one at once.".into(),
            prediction: "As many requests within 100 ms of an event as there are long pollers; none over WebSocket."
                .into(),
            refuted_by: format!(
                "Fewer than {} % of the long pollers with a new request within a second, at any of the sizes.",
                MIN_LATER * 100.0
            ),
            working_point: format!(
                "One event to {} subscribers, loopback, clients that send the next request without a pause.",
                sizes.join(", ")
            ),
            turns_at: format!(
                "Does not change between {} and {} subscribers. It changes with the client: with a random pause before the next request, \
                 requests are spread over that pause, as the restart with jitter shows.",
                thousands(smallest.into()),
                thousands(herd.subscribers.into())
            ),
            ..verdict(6, all_come_back(&returned))
        }],
        method: vec!["Each group has a server of its own and one event. Requests are the server's own count.".into()],
        ..Experiment::default()
    })
}

/// A figure over the number of subscribers, a line for each transport.
fn lines(groups: &[HerdGroup], figure: fn(&Spent) -> f64) -> Vec<Line> {
    let of = |transport| {
        let groups = groups.iter().filter(|group| group.transport == transport);
        line(transport, groups.map(|group| Point::new(f64::from(group.subscribers), figure(&group.spent))).collect())
    };
    Transport::ALL.into_iter().map(of).filter(|line| !line.points.is_empty()).collect()
}

fn accepted(label: &str, readings: &[Accepted]) -> Line {
    labelled(label, readings.iter().map(|reading| Point::new(reading.ms, reading.connections as f64)).collect())
}
