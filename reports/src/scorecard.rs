//! The opening of a report: what suits a chat and what suits a ticker, in a sentence and a table. A cell without a figure in the run says so.

use protocol::Transport;
use protocol::experiment::Table;
use protocol::facts::Facts;
use protocol::facts::crossover::CrossoverFacts;
use protocol::facts::fallback::{FallbackFacts, Proxy};
use protocol::facts::idle::IdleFacts;
use protocol::facts::upstream::UpstreamFacts;
use protocol::result::Comparison;
use protocol::run::{Part, Run};

use crate::experiment::crossover::{self, MIN_RATIO_CPU, SubscriberCost};
use crate::experiment::idle::cpu_ms_per_s;
use crate::experiment::upstream::Means;
use crate::number::{short, thousands};
use crate::summary::rows;

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
        fresh().filter(|cost| cost.cpu_us_per_s <= MIN_RATIO_CPU * lowest).map(|cost| cost.transport).collect()
    }

    /// How fresh a transport was and what it cost, as texts.
    fn cells(&self, transport: Transport) -> Option<[String; 2]> {
        let cost = self.costs.iter().find(|cost| cost.transport == transport)?;
        let late = if cost.is_late(self.max_age_ms) { ", too late" } else { "" };
        let lowest = if self.cheapest().contains(&transport) { " ✓" } else { "" };
        let polls = cost.poll_interval_ms.map_or(String::new(), |interval| format!(", a poll each {interval} ms"));
        Some([short(cost.p95_ms) + late, short(cost.cpu_us_per_s) + lowest + &polls])
    }
}

/// The opening of a report.
pub struct Scorecard {
    /// What suits each application.
    pub sentence: String,
    /// The figures of each transport.
    pub table: Table,
    /// How to read the table, and what the run has not measured.
    pub legend: String,
}

/// The columns after the transport, and what each is about.
const COLUMNS: [(&str, &str); 7] = [
    ("chat: fresh, 95 % within ms", "a chat"),
    ("chat: busy cost, CPU us/s", "a chat"),
    ("ticker: fresh, 95 % within ms", "a ticker"),
    ("ticker: busy cost, CPU us/s", "a ticker"),
    ("idle cost, CPU us/s", "idle subscribers"),
    ("two-way, bytes to send a message", "sending to the server"),
    ("survives proxies", "faulty proxies"),
];

/// The scorecard; `None` for a run without any of its figures.
pub fn of(run: &Run) -> Option<Scorecard> {
    let facts: Vec<&Facts> = run
        .parts
        .iter()
        .filter_map(|part| match part {
            Part::Measured(facts) => Some(facts),
            Part::Comparison(_) | Part::Claims | Part::Experiment(_) => None,
        })
        .collect();
    macro_rules! facts_of {
        ($variant:ident) => {
            facts.iter().find_map(|facts| match facts {
                Facts::$variant(facts) => Some(facts),
                _ => None,
            })
        };
    }
    // The servers of others have rounds of their own, which say nothing about this lab's server.
    let comparison = run.comparisons().find(|comparison| comparison.scenario.target.is_none());
    let (crossed, idle) = (facts_of!(Crossover), facts_of!(Idle));
    let (upstream, fallback) = (facts_of!(Upstream), facts_of!(Fallback));
    let applications = APPLICATIONS.each_ref().map(|application| measured(application, crossed, comparison));
    let cells = |transport: Transport| -> Vec<Option<String>> {
        let load = |measured: &Option<Measured>| measured.as_ref().and_then(|measured| measured.cells(transport));
        let applications =
            applications.iter().flat_map(|measured| load(measured).map_or([None, None], |cells| cells.map(Some)));
        let others = [
            idle.and_then(|facts| idle_cost(facts, transport)).map(short),
            upstream.and_then(|facts| message_bytes(facts, transport)).map(short),
            fallback.and_then(|facts| survived(facts, transport)),
        ];
        applications.chain(others).collect()
    };
    let rows = Transport::ALL.into_iter().map(|transport| (transport, cells(transport)));
    let rows: Vec<_> = rows.filter(|(_, cells)| cells.iter().any(Option::is_some)).collect();
    if rows.is_empty() {
        return None;
    }
    // A column without a figure is named below the table instead.
    let is_measured = |column: usize| rows.iter().any(|(_, cells)| cells[column].is_some());
    let shown: Vec<usize> = (0..COLUMNS.len()).filter(|&column| is_measured(column)).collect();
    let mut missing: Vec<&str> =
        (0..COLUMNS.len()).filter(|&column| !is_measured(column)).map(|column| COLUMNS[column].1).collect();
    missing.dedup();
    let line = |(transport, cells): &(Transport, Vec<Option<String>>)| {
        let cell = |&column: &usize| cells[column].clone().unwrap_or(NOT_MEASURED.into());
        std::iter::once(transport.label().to_string()).chain(shown.iter().map(cell)).collect()
    };
    let headings = shown.iter().map(|&column| COLUMNS[column].0.to_string());
    let table = Table {
        title: "Scorecard".into(),
        columns: std::iter::once(String::new()).chain(headings).collect(),
        rows: rows.iter().map(line).collect(),
    };
    Some(Scorecard { sentence: sentence(&applications), table, legend: legend(idle, &missing) })
}

fn legend(idle: Option<&IdleFacts>, missing: &[&str]) -> String {
    let idle = idle.and_then(|idle| Some((idle.groups.last()?.subscribers, idle.poll_interval_ms)));
    let idle = idle.map_or(String::new(), |(subscribers, interval)| {
        let subscribers = thousands(u64::from(subscribers));
        format!(" Idle cost is that of {subscribers} subscribers without events, with a poll each {interval} ms.")
    });
    let missing = match missing {
        [] => String::new(),
        missing => format!(" This run has not measured: {}; the command all measures it.", listed(missing)),
    };
    format!(
        "CPU time is the server's, for one subscriber and one second; ✓ is the lowest, or within a factor of {MIN_RATIO_CPU}, since single rounds \
         differ by as much. Fresh is the latency that 95 % of the deliveries did not exceed.{idle}{missing}"
    )
}

fn sentence(applications: &[Option<Measured>; 2]) -> String {
    let parts = APPLICATIONS.iter().zip(applications).filter_map(|(application, measured)| {
        let measured = measured.as_ref()?;
        let names: Vec<&str> = measured.cheapest().into_iter().map(Transport::in_words).collect();
        let cheapest = match &names[..] {
            [] => "no transport was in time".into(),
            names => format!("least server CPU time, within a factor of {MIN_RATIO_CPU}: {}", listed(names)),
        };
        let age = application.max_age_ms as f64 / 1e3;
        Some(format!("For a {} ({}, at most {age} s late), {cheapest}.", application.name, measured.load))
    });
    parts.collect::<Vec<_>>().join(" ")
}

/// Names with commas, and an "and" before the last one.
fn listed(names: &[&str]) -> String {
    match names {
        [first @ .., last] if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        names => names.concat(),
    }
}

fn measured(
    application: &Application,
    crossed: Option<&CrossoverFacts>,
    comparison: Option<&Comparison>,
) -> Option<Measured> {
    let max_age_ms = application.max_age_ms;
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
    let events = if scenario.rate == 1.0 { "event" } else { "events" };
    let subscribers = thousands(u64::from(scenario.subscribers));
    let rate = format!("{subscribers} subscribers, {} {events} a second", scenario.rate);
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
        let poll_interval_ms = crossover::poll_interval_ms(comparison, row.transport);
        Some(SubscriberCost { transport: row.transport, p95_ms, cpu_us_per_s, poll_interval_ms })
    };
    rows(comparison).into_iter().filter_map(cost).collect()
}

/// The CPU time of an idle subscriber in the largest group of a transport, in us for each second.
fn idle_cost(facts: &IdleFacts, transport: Transport) -> Option<f64> {
    let group = facts.groups.iter().rfind(|group| group.transport == transport)?;
    Some(cpu_ms_per_s(group).value * 1e3 / f64::from(group.subscribers))
}

/// The bytes to send a message over a transport's way to the server, at the longest distance.
fn message_bytes(facts: &UpstreamFacts, transport: Transport) -> Option<f64> {
    let sender = facts.senders.iter().rfind(|sender| sender.transport == transport)?;
    (!sender.round_trips_ms.is_empty()).then(|| Means::of(sender).bytes)
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
        let cost =
            |transport, cpu_us_per_s| SubscriberCost { transport, p95_ms: 1.0, cpu_us_per_s, poll_interval_ms: None };
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
            "For a ticker (64 events a second, at most 1 s late), least server CPU time, within a factor of 1.5: WebSocket and SSE."
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
