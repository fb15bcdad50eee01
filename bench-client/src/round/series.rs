//! Rounds of a scenario, each on a server that is started for it: a single one, or the interleaved rounds of several scenarios.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use anyhow::Context;
use protocol::network::Network;
use protocol::result::{Incident, Round, Scenario};
use protocol::schedule::{seeded, uniform};
use protocol::timetable::Timetable;
use protocol::{Transport, clock};
use reports::judge::{failures, is_sound, warnings};

use tracing::{Instrument, info, info_span};

use crate::endpoint::Endpoint;
use crate::metrics::Metrics;
use crate::packets::{self, PacketNetwork};
use crate::progress::Progress;
use crate::round::agents::Agents;
use crate::round::run::{self, Plan};
use crate::target::TargetFile;
use crate::target::control::{Foreign, SETTLING};
use crate::test_bed::control::Control;
use crate::test_bed::server_process::{ServerProcess, options};
use server::Options;
use server::feed::max_event_bytes;

/// The server that a round of the scenario needs.
pub fn server_options(scenario: &Scenario) -> Options {
    // The history has room for the whole round, so that its publish times can be requested afterwards. It is the same for all transports.
    let seconds = (scenario.warm_up_ms + scenario.duration_ms + 2 * scenario.poll_interval_ms) / 1_000 + 5;
    let history = (scenario.rate * seconds as f64 * 1.5) as usize + 1_000;
    Options {
        rate: scenario.rate,
        schedule: scenario.schedule,
        seed: scenario.seed,
        payload: scenario.payload_bytes as usize,
        payload_kind: scenario.payload_kind,
        history,
        history_bytes: history * max_event_bytes(scenario.payload_bytes as usize + MAX_JSON_ADDED_BYTES),
        threads: scenario.server_threads as usize,
        tls_self_signed: scenario.tls,
        ..options()
    }
}

/// The most that an event's JSON adds to a payload without escapes, in bytes: the field names, quotes and two numbers.
const MAX_JSON_ADDED_BYTES: usize = 64;

/// Runs a round of the scenario on a server with these options, and `meanwhile` at the same time.
///
/// # Errors
/// When the server does not start or does not respond.
pub async fn round_with<F: Future<Output = ()>>(
    scenario: &Scenario,
    transport: Transport,
    options: Options,
    meanwhile: impl FnOnce(Arc<ServerProcess>) -> F,
) -> anyhow::Result<Round> {
    let server = Arc::new(ServerProcess::start(&options)?);
    let plan = Plan {
        scenario,
        transport,
        round: 1,
        endpoint: server.endpoint.clone(),
        fresh: true,
        packets: None,
        agents: None,
        foreign: None,
        deliveries: Arc::default(),
    };
    let (round, ()) = tokio::join!(run::run(plan), meanwhile(server.clone()));
    round
}

/// Runs a round of the scenario on a server that is started for it.
///
/// # Errors
/// When the server does not start or does not respond.
pub async fn round(scenario: &Scenario, transport: Transport) -> anyhow::Result<Round> {
    numbered(scenario, None, None, transport, 1, Arc::default()).await
}

/// Optional resources of a run, besides the servers and subscribers of this machine.
#[derive(Clone, Copy, Default)]
pub struct Equipment<'a> {
    /// Servers of another kind; a scenario names the one that it is about.
    pub targets: &'a [TargetFile],
    /// The agents at which all subscribers are.
    pub agents: Option<&'a Agents>,
    /// Where the progress is shown besides the terminal.
    pub metrics: Option<&'a Metrics>,
}

/// Runs all rounds of all scenarios, interleaved; returns for each scenario its rounds in the order in which they ran. Shows the progress,
/// with `show_each` also of each round.
///
/// # Errors
/// When a server does not start or does not respond.
pub async fn rounds(scenarios: &[Scenario], show_each: bool) -> anyhow::Result<Vec<Vec<Round>>> {
    rounds_with(scenarios, show_each, |_, _| ()).await
}

/// As [`rounds`], but calls `ended` each time that a round has ended, with the index of its scenario and that scenario's rounds so far.
///
/// # Errors
/// When a server does not start or does not respond.
pub async fn rounds_with(
    scenarios: &[Scenario],
    show_each: bool,
    ended: impl Fn(usize, &[Round]),
) -> anyhow::Result<Vec<Vec<Round>>> {
    rounds_at(scenarios, Equipment::default(), show_each, ended).await
}

/// As [`rounds_with`], with these resources.
///
/// # Errors
/// When a server does not start or does not respond.
pub async fn rounds_at(
    scenarios: &[Scenario],
    Equipment { targets, agents, metrics }: Equipment<'_>,
    show_each: bool,
    ended: impl Fn(usize, &[Round]),
) -> anyhow::Result<Vec<Vec<Round>>> {
    let order = order(scenarios);
    let mut progress = Progress::start(order.len() as u32, length(scenarios), show_each, metrics.cloned());
    let mut found: Vec<Vec<Round>> = scenarios.iter().map(|_| Vec::new()).collect();
    for (round, index, transport) in order {
        progress.begin(transport, scenarios[index].subscribers);
        let scenario = &scenarios[index];
        let target = targets.iter().find(|target| scenario.target.as_ref() == Some(&target.name));
        let result = numbered(scenario, target, agents, transport, round, progress.deliveries.clone()).await;
        let at = scenario.target.as_ref().map_or(String::new(), |name| format!(" at {name}"));
        let result = result.with_context(|| format!("{}{at}, round {round}", transport.label()))?;
        progress.end(&result, scenarios[index].subscribers);
        found[index].push(result);
        ended(index, &found[index]);
    }
    progress.finish();
    // A server at --url has one schedule for all rounds, so each round has another part of it.
    for (index, rounds) in found.iter_mut().enumerate().filter(|(index, _)| scenarios[*index].url.is_none()) {
        compare_schedules(rounds);
        ended(index, rounds);
    }
    Ok(found)
}

/// Rejects rounds whose schedule differs from that of the other transports' rounds of the same number: they had other events.
fn compare_schedules(rounds: &mut [Round]) {
    let first = |number: u32, rounds: &[Round]| {
        rounds.iter().find(|round| round.round == number && is_sound(round)).map(|round| round.schedule_hash.clone())
    };
    for index in 0..rounds.len() {
        let expected = first(rounds[index].round, rounds);
        let round = &mut rounds[index];
        if expected.is_some_and(|expected| expected != round.schedule_hash) {
            round.incidents.push(Incident::OtherSchedule);
        }
    }
}

async fn numbered(
    scenario: &Scenario,
    target: Option<&TargetFile>,
    agents: Option<&Agents>,
    transport: Transport,
    round: u32,
    deliveries: Arc<AtomicU64>,
) -> anyhow::Result<Round> {
    // Each round has another random schedule, so that the rounds are independent samples. Rounds of the same number have the same schedule
    // for all transports, and lose the same packets of those that are sent.
    let seed = scenario.seed.wrapping_add(u64::from(round) - 1);
    let loses = scenario.network.loses_packets();
    let packets = loses.then(|| PacketNetwork::open(scenario.network, seed)).transpose()?;
    let foreign = match target.and_then(|target| Some((target, target.transports.get(&transport)?.clone()))) {
        Some((target, source)) => Some((Foreign::start(target, || timetable(scenario, seed))?, source)),
        None => None,
    };
    let (server, endpoint) = match (&foreign, &scenario.url) {
        (Some((foreign, _)), _) => (None, foreign.endpoint().clone()),
        (None, Some(url)) => (None, Endpoint::named(url, scenario.insecure)?),
        (None, None) => {
            let options = Options { seed, ..server_options(scenario) };
            let server = match &packets {
                Some(packets) => {
                    packets.at_server(async { ServerProcess::start(&packets::listening(options)) }).await?
                }
                None => ServerProcess::start(&options)?,
            };
            let endpoint = server.endpoint.clone();
            (Some(server), endpoint)
        }
    };
    let fresh = server.is_some();
    let span = info_span!("round", %transport, round, subscribers = scenario.subscribers, rate = scenario.rate);
    let packets = packets.as_ref();
    let plan = Plan { scenario, transport, round, endpoint, fresh, packets, agents, foreign, deliveries };
    let result = run::run(plan).instrument(span.clone()).await?;
    let _entered = span.entered();
    info!(delivered = result.delivered, failures = ?failures(&result), warnings = ?warnings(&result), "finished");
    Ok(result)
}

/// The schedule of a round at a server of another kind, which begins shortly before the window.
fn timetable(scenario: &Scenario, seed: u64) -> Timetable {
    Timetable {
        started_ns: clock::now_ns() + (scenario.warm_up_ms * 1_000_000).saturating_sub(SETTLING.as_nanos() as u64),
        first: 1,
        rate: scenario.rate,
        spacing: scenario.schedule,
        seed,
        payload_bytes: scenario.payload_bytes,
        payload_kind: scenario.payload_kind,
    }
}

/// The order of all rounds: for each round number, all scenarios and their transports in another shuffled order. So a drift of the machine
/// affects all of them alike. An item is the round's number, the index of its scenario, and its transport.
pub fn order(scenarios: &[Scenario]) -> Vec<(u32, usize, Transport)> {
    let Some(first) = scenarios.first() else { return Vec::new() };
    let mut random = seeded(first.seed);
    let mut order = Vec::new();
    for round in 1..=scenarios.iter().map(|scenario| scenario.rounds).max().unwrap_or(0) {
        let mut pass: Vec<_> = scenarios
            .iter()
            .enumerate()
            .filter(|(_, scenario)| round <= scenario.rounds)
            .flat_map(|(index, scenario)| scenario.transports.iter().map(move |&transport| (round, index, transport)))
            .collect();
        for last in (1..pass.len()).rev() {
            // The shuffle of Fisher and Yates.
            pass.swap(last, (uniform(&mut random) * (last + 1) as f64) as usize);
        }
        order.extend(pass);
    }
    order
}

/// About how long all rounds of the scenarios take: warm-ups, windows, and the time for starting and ending processes.
pub fn length(scenarios: &[Scenario]) -> Duration {
    let each = |scenario: &Scenario| {
        let rounds = u64::from(scenario.rounds) * scenario.transports.len() as u64;
        let delay = scenario.network.delay_us / 1_000;
        rounds * (scenario.warm_up_ms + scenario.duration_ms + 3 * delay + 50)
    };
    Duration::from_millis(scenarios.iter().map(each).sum())
}

/// The time from a response's departure at the server to the next request's arrival there, over a network, in ms. It is as long as the time
/// from a request to its response, which is measured here.
///
/// # Errors
/// When a server does not start or does not respond.
pub async fn gap_ms(network: Network) -> anyhow::Result<f64> {
    let server = ServerProcess::start(&server_options(&Scenario::small(&[])))?;
    let mut control = Control::connect_over(network, &server.endpoint).await?;
    Ok(control.exchange_ns(EXCHANGES).await? as f64 / 1e6)
}

/// The number of requests of whose times the gap is the mean.
const EXCHANGES: u32 = 20;

#[cfg(test)]
mod tests {
    use protocol::{Cursor, payload};
    use server::feed::Feed;

    use super::*;

    #[test]
    fn the_history_of_a_round_s_server_has_enough_bytes_for_its_number_of_events() {
        for payload_bytes in [0, 200, 65_536] {
            let setup = server_options(&Scenario { payload_bytes, rate: 1_000.0, ..Scenario::small(&[]) });
            const EVENTS: usize = 10;
            let feed = Feed::new(EVENTS, EVENTS * (setup.history_bytes / setup.history));
            let data = payload::random(1, 1, payload_bytes as usize);
            (0..EVENTS).for_each(|_| _ = feed.publish(u64::MAX, &data));
            assert_eq!(feed.since(Cursor(0), usize::MAX).map(|events| events.len()), Ok(EVENTS), "{payload_bytes}");
        }
    }
}
