//! The opening of a report: what suits a chat and what suits a ticker, in a sentence and a table. A cell without a figure in the run says so.

use protocol::Transport;
use protocol::experiment::Table;
use protocol::facts::Facts;
use protocol::facts::fallback::{FallbackFacts, Proxy};
use protocol::facts::idle::IdleFacts;
use protocol::facts::upstream::UpstreamFacts;
use protocol::result::Comparison;
use protocol::run::{Part, Run};

use crate::experiment::crossover::{self, SubscriberCost};
use crate::number::short;
use crate::summary::rows;

/// The largest ratio to the lowest cost that still counts as the lowest: single rounds of CPU time differ by as much.
const ABOUT: f64 = 1.5;
const NOT_MEASURED: &str = "not measured";

/// An application, by how many events it has and how old they may be when they arrive.
struct Application {
    name: &'static str,
    /// Whether it has many events: the busiest load of the run is used then, otherwise the quietest.
    busy: bool,
    /// The rate from which events count as many, or up to which they count as few, where the run has only one load.
    rate: f64,
    max_age_ms: u64,
}

const APPLICATIONS: [Application; 2] = [
    Application { name: "chat", busy: false, rate: 2.0, max_age_ms: 300 },
    Application { name: "ticker", busy: true, rate: 10.0, max_age_ms: 1_000 },
];

/// An application's load in the run, and the costs of all transports there.
struct Measured {
    load: String,
    max_age_ms: u64,
    costs: Vec<SubscriberCost>,
}

impl Measured {
    /// The transports whose cost is about the lowest among those that were fresh enough.
    fn cheapest(&self) -> Vec<Transport> {
        let fresh = || self.costs.iter().filter(|cost| !cost.is_late(self.max_age_ms));
        let lowest = fresh().map(|cost| cost.cpu_us_per_s).fold(f64::INFINITY, f64::min);
        fresh().filter(|cost| cost.cpu_us_per_s <= ABOUT * lowest).map(|cost| cost.transport).collect()
    }

    /// How fresh a transport was and what it cost, as texts.
    fn cells(&self, transport: Transport) -> Option<[String; 2]> {
        let cost = self.costs.iter().find(|cost| cost.transport == transport)?;
        let late = if cost.is_late(self.max_age_ms) { ", too late" } else { "" };
        let lowest = if self.cheapest().contains(&transport) { " ✓" } else { "" };
        Some([short(cost.p95_ms) + late, short(cost.cpu_us_per_s) + lowest])
    }
}

/// The sentence and the table; `None` for a run without any of the figures.
pub fn of(run: &Run) -> Option<(String, Table)> {
    let facts: Vec<&Facts> = run
        .parts
        .iter()
        .filter_map(|part| match part {
            Part::Measured(facts) => Some(facts),
            Part::Comparison(_) | Part::Claims | Part::Experiment(_) => None,
        })
        .collect();
    // The servers of others have rounds of their own, which say nothing about this lab's server.
    let comparison = run.comparisons().find(|comparison| comparison.scenario.target.is_none());
    let applications = APPLICATIONS.each_ref().map(|application| measured(application, &facts, comparison));
    let idle = facts.iter().find_map(|facts| match facts {
        Facts::Idle(idle) => Some(idle),
        _ => None,
    });
    let upstream = facts.iter().find_map(|facts| match facts {
        Facts::Upstream(upstream) => Some(upstream),
        _ => None,
    });
    let fallback = facts.iter().find_map(|facts| match facts {
        Facts::Fallback(fallback) => Some(fallback),
        _ => None,
    });
    let idle = |transport| idle.and_then(|facts| idle_cost(facts, transport));
    let upstream = |transport| upstream.and_then(|facts| message_bytes(facts, transport));
    let proxies = |transport| fallback.and_then(|facts| survived(facts, transport));
    let row = |transport: Transport| {
        let [chat, ticker] = applications.each_ref().map(|measured| {
            let cells = measured.as_ref().and_then(|measured| measured.cells(transport));
            cells.unwrap_or_else(|| [NOT_MEASURED.into(), NOT_MEASURED.into()])
        });
        let others =
            [text(idle(transport)), text(upstream(transport)), proxies(transport).unwrap_or(NOT_MEASURED.into())];
        [vec![transport.label().to_string()], chat.to_vec(), ticker.to_vec(), others.to_vec()].concat()
    };
    let has_figures = |cells: &Vec<String>| cells[1..].iter().any(|cell| cell != NOT_MEASURED);
    let rows: Vec<Vec<String>> = Transport::ALL.into_iter().map(row).filter(has_figures).collect();
    let columns = [
        "",
        "chat: fresh, 95 % within ms",
        "chat: busy cost, CPU us/s",
        "ticker: fresh, 95 % within ms",
        "ticker: busy cost, CPU us/s",
        "idle cost, CPU us/s",
        "two-way, bytes to send a message",
        "survives proxies",
    ];
    let table = Table { title: "Scorecard".into(), columns: columns.map(Into::into).to_vec(), rows: rows.clone() };
    (!rows.is_empty()).then(|| (sentence(&applications), table))
}

/// How to read the table.
pub const LEGEND: &str = "CPU time is the server's, for one subscriber and one second; ✓ is the lowest, or within 1.5 times of it. Fresh is the \
                          latency that 95 % of the deliveries did not exceed. Two-way is what it takes to send a message to the server: a \
                          request and its response, or a frame. Survives proxies is how many of the faulty proxies let all events through.";

fn text(value: Option<f64>) -> String {
    value.map_or_else(|| NOT_MEASURED.into(), short)
}

fn sentence(applications: &[Option<Measured>; 2]) -> String {
    let parts = APPLICATIONS.iter().zip(applications).map(|(application, measured)| match measured {
        None => format!("for a {}, nothing was measured", application.name),
        Some(measured) => {
            let names: Vec<&str> = measured.cheapest().into_iter().map(Transport::in_words).collect();
            let age = application.max_age_ms as f64 / 1e3;
            let (name, load) = (application.name, &measured.load);
            format!(
                "for a {name} ({load}, at most {age} s late), the server uses least CPU time with {}",
                listed(&names)
            )
        }
    });
    let joined = parts.collect::<Vec<_>>().join("; ");
    joined[..1].to_uppercase() + &joined[1..] + "."
}

/// Names with commas, and an "or" before the last one.
fn listed(names: &[&str]) -> String {
    match names {
        [] => "none of them".into(),
        [only] => (*only).into(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

fn measured(application: &Application, facts: &[&Facts], comparison: Option<&Comparison>) -> Option<Measured> {
    let max_age_ms = application.max_age_ms;
    let crossed = facts.iter().find_map(|facts| match facts {
        Facts::Crossover(crossed) => Some(crossed),
        _ => None,
    });
    let Some(crossed) = crossed else {
        let comparison = comparison.filter(|comparison| match application.busy {
            true => comparison.scenario.rate >= application.rate,
            false => comparison.scenario.rate <= application.rate,
        })?;
        return Some(Measured { load: load(comparison), max_age_ms, costs: compared(comparison) });
    };
    // At the longest distance of the run, where freshness is hardest.
    let farthest = crossed.comparisons.iter().map(|comparison| comparison.scenario.network.delay_us).max()?;
    let far = || crossed.comparisons.iter().filter(|comparison| comparison.scenario.network.delay_us == farthest);
    let by_rate = |one: &&Comparison, other: &&Comparison| one.scenario.rate.total_cmp(&other.scenario.rate);
    let at = if application.busy { far().max_by(by_rate) } else { far().min_by(by_rate) }?;
    let here: Vec<&Comparison> = far().filter(|comparison| comparison.scenario.rate == at.scenario.rate).collect();
    Some(Measured { load: load(at), max_age_ms, costs: crossover::costs(&here, max_age_ms) })
}

fn load(comparison: &Comparison) -> String {
    let scenario = &comparison.scenario;
    let rate = match scenario.rate {
        1.0 => "1 event a second".into(),
        rate => format!("{rate} events a second"),
    };
    match scenario.network.delay_us {
        0 => format!("{rate} on loopback"),
        delay => format!("{rate} over {} ms each way", delay as f64 / 1e3),
    }
}

/// The costs of a comparison's transports.
fn compared(comparison: &Comparison) -> Vec<SubscriberCost> {
    let cost = |row: crate::summary::Row| {
        let (p95_ms, cpu_us) = (row.latency_ms(0.95)?, row.cpu_us()?);
        let cpu_us_per_s = cpu_us * comparison.scenario.rate;
        Some(SubscriberCost { transport: row.transport, p95_ms, cpu_us_per_s })
    };
    rows(comparison).into_iter().filter_map(cost).collect()
}

/// The CPU time of an idle subscriber in the largest group of a transport, in us for each second.
fn idle_cost(facts: &IdleFacts, transport: Transport) -> Option<f64> {
    let group = facts.groups.iter().rfind(|group| group.transport == transport)?;
    let seconds: f64 = group.windows.iter().map(|spent| spent.seconds).sum();
    let cpu_ms: f64 = group.windows.iter().map(|spent| spent.cpu_ms).sum();
    Some(cpu_ms * 1e3 / seconds / f64::from(group.subscribers))
}

/// The bytes to send a message over a transport's way to the server, at the longest distance.
fn message_bytes(facts: &UpstreamFacts, transport: Transport) -> Option<f64> {
    let sender = facts.senders.iter().rfind(|sender| sender.transport == transport)?;
    (!sender.round_trips_ms.is_empty()).then(|| sender.wire_bytes as f64 / sender.round_trips_ms.len() as f64)
}

/// Through how many of the faulty proxies all events of a transport came: "3 of 5".
fn survived(facts: &FallbackFacts, transport: Transport) -> Option<String> {
    let tried = || facts.attempts.iter().filter(|tried| tried.transport == transport && tried.proxy != Proxy::None);
    let passed = tried().filter(|tried| tried.first_event_ms.is_some() && tried.received == tried.published).count();
    (tried().count() > 0).then(|| format!("{passed} of {}", tried().count()))
}

#[cfg(test)]
mod tests {
    use protocol::facts::fallback::Attempt;

    use super::*;

    #[test]
    fn the_lowest_cost_and_those_near_it_count_as_the_cheapest() {
        let cost = |transport, cpu_us_per_s| SubscriberCost { transport, p95_ms: 1.0, cpu_us_per_s };
        let late = SubscriberCost { p95_ms: 1_001.0, ..cost(Transport::LongPolling, 1.0) };
        let costs =
            vec![cost(Transport::Polling, 31.0), late, cost(Transport::WebSocket, 20.0), cost(Transport::Sse, 30.0)];
        let measured = Measured { load: "64 events a second".into(), max_age_ms: 1_000, costs };
        assert_eq!(measured.cheapest(), [Transport::WebSocket, Transport::Sse]);
        assert_eq!(measured.cells(Transport::LongPolling), Some(["1,001, too late".into(), "1.00".into()]));
        assert_eq!(measured.cells(Transport::Sse), Some(["1.00".into(), "30.0 ✓".into()]));
        assert_eq!(measured.cells(Transport::Tcp), None);
        let text = sentence(&[None, Some(measured)]);
        assert_eq!(
            text,
            "For a chat, nothing was measured; for a ticker (64 events a second, at most 1 s late), the server uses least CPU time with \
             WebSocket or SSE."
        );
    }

    #[test]
    fn a_proxy_that_loses_events_is_not_survived_and_a_transport_that_was_not_tried_has_no_figure() {
        let attempt = |proxy, first_event_ms: Option<f64>, received| Attempt {
            proxy,
            transport: Transport::Sse,
            first_event_ms,
            failed_ms: None,
            error: None,
            published: 11,
            received,
            reconnects: 0,
        };
        let attempts = vec![
            attempt(Proxy::None, Some(1.0), 11),
            attempt(Proxy::DropsUpgrade, Some(1.0), 11),
            attempt(Proxy::CutsSilence, Some(1.0), 10),
            attempt(Proxy::BuffersResponses, None, 0),
        ];
        let facts = FallbackFacts { timeout_ms: 1, silence_ms: 1, attempts };
        assert_eq!(survived(&facts, Transport::Sse).as_deref(), Some("1 of 3"));
        assert_eq!(survived(&facts, Transport::WebSocket), None);
    }
}
