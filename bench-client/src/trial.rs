//! One round of a scenario on a server of its own, and many of them, interleaved.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use anyhow::Context;
use protocol::Transport;
use protocol::network::Network;
use protocol::result::{Headers, Round, Scenario};
use protocol::schedule::{Spacing, seeded, uniform};

use crate::control::Control;
use crate::lab::{OwnServer, Setup};
use crate::place::Place;
use crate::progress::Progress;
use crate::runner::{self, Plan};

/// A small scenario for checks and experiments to start from.
pub fn small(transports: &[Transport]) -> Scenario {
    Scenario {
        transports: transports.to_vec(),
        subscribers: 20,
        rate: 50.0,
        schedule: Spacing::Periodic,
        payload_bytes: 200,
        poll_interval_ms: 100,
        rounds: 1,
        warm_up_ms: 500,
        duration_ms: 1_000,
        headers: Headers::Lean,
        network: Network::default(),
        server_threads: 1,
        tls: false,
        processes: 1,
        seed: 1,
        url: None,
        insecure: false,
    }
}

/// The server that a round of the scenario needs.
pub fn setup(scenario: &Scenario) -> Setup {
    // Room for the whole round, so that its publish times can be asked for afterwards; it is the same for all transports.
    let seconds = (scenario.warm_up_ms + scenario.duration_ms + 2 * scenario.poll_interval_ms) / 1_000 + 5;
    let history = (scenario.rate * seconds as f64 * 1.5) as u64 + 1_000;
    Setup {
        rate: scenario.rate,
        schedule: scenario.schedule.to_string(),
        seed: scenario.seed,
        payload: scenario.payload_bytes,
        history,
        // In all five framings, and what an event takes beside its payload.
        history_bytes: history * (5 * u64::from(scenario.payload_bytes) + 1_024),
        threads: scenario.server_threads,
        tls: scenario.tls,
        ..Setup::default()
    }
}

/// Runs a round of the scenario on a server of its own, with something going on beside it.
///
/// # Errors
/// When the server does not start or cannot be asked.
pub async fn round_beside<F: Future<Output = ()>>(
    scenario: &Scenario,
    transport: Transport,
    setup: Setup,
    beside: impl FnOnce(Arc<OwnServer>) -> F,
) -> anyhow::Result<Round> {
    let server = Arc::new(OwnServer::start(&setup)?);
    let plan =
        Plan { scenario, transport, round: 1, place: server.place.clone(), fresh: true, deliveries: Arc::default() };
    let (round, ()) = tokio::join!(runner::run(&plan), beside(server.clone()));
    round
}

/// Runs a round of the scenario on a server of its own.
///
/// # Errors
/// When the server does not start or cannot be asked.
pub async fn round(scenario: &Scenario, transport: Transport) -> anyhow::Result<Round> {
    numbered(scenario, transport, 1, Arc::default()).await
}

/// Runs all rounds of all scenarios, interleaved; for each scenario, its rounds in the order in which they ran. Tells how far
/// it is, and of each round if asked to.
///
/// # Errors
/// When a server does not start or cannot be asked.
pub async fn rounds(scenarios: &[Scenario], tell_each: bool) -> anyhow::Result<Vec<Vec<Round>>> {
    rounds_into(scenarios, tell_each, |_, _| ()).await
}

/// The same; each time that a round has ended, `ended` is given the number of its scenario and that scenario's rounds so far.
///
/// # Errors
/// When a server does not start or cannot be asked.
pub async fn rounds_into(
    scenarios: &[Scenario],
    tell_each: bool,
    ended: impl Fn(usize, &[Round]),
) -> anyhow::Result<Vec<Vec<Round>>> {
    let order = order(scenarios);
    let mut progress = Progress::start(order.len() as u32, length(scenarios), tell_each);
    let mut found: Vec<Vec<Round>> = scenarios.iter().map(|_| Vec::new()).collect();
    for (round, index, transport) in order {
        progress.begin(transport, scenarios[index].subscribers);
        let result = numbered(&scenarios[index], transport, round, progress.deliveries.clone()).await;
        let result = result.with_context(|| format!("{}, round {round}", transport.label()))?;
        progress.end(&result, scenarios[index].subscribers);
        found[index].push(result);
        ended(index, &found[index]);
    }
    progress.finish();
    // A server that runs already shows each round another part of its schedule.
    for (index, rounds) in found.iter_mut().enumerate().filter(|(index, _)| scenarios[*index].url.is_none()) {
        compare_schedules(rounds);
        ended(index, rounds);
    }
    Ok(found)
}

/// Rejects rounds of one number that did not see the same schedule: their transports did not carry the same events.
fn compare_schedules(rounds: &mut [Round]) {
    let first = |number: u32, rounds: &[Round]| {
        rounds.iter().find(|round| round.round == number && round.is_sound()).map(|round| round.schedule_hash.clone())
    };
    for index in 0..rounds.len() {
        let expected = first(rounds[index].round, rounds);
        let round = &mut rounds[index];
        if expected.is_some_and(|expected| expected != round.schedule_hash) {
            round
                .failures
                .push("it saw another schedule than the other transports in rounds of the same number".into());
        }
    }
}

async fn numbered(
    scenario: &Scenario,
    transport: Transport,
    round: u32,
    deliveries: Arc<AtomicU64>,
) -> anyhow::Result<Round> {
    let (server, place) = match &scenario.url {
        Some(url) => (None, Place::named(url, scenario.insecure)?),
        None => {
            // Another draw of the schedule each time, so that rounds are more than one sample of it; all transports see the
            // same one in rounds of one number.
            let seed = scenario.seed.wrapping_add(u64::from(round) - 1);
            let server = OwnServer::start(&Setup { seed, ..setup(scenario) })?;
            let place = server.place.clone();
            (Some(server), place)
        }
    };
    let fresh = server.is_some();
    runner::run(&Plan { scenario, transport, round, place, fresh, deliveries }).await
}

/// Every pass over the scenarios and their transports in a shuffled order of its own: drift of the machine falls on all of
/// them alike. A pass is a round's number, which scenario, which transport.
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
            // Fisher and Yates.
            pass.swap(last, (uniform(&mut random) * (last + 1) as f64) as usize);
        }
        order.extend(pass);
    }
    order
}

/// About how long all rounds of the scenarios take: their windows, warming up before them, starting and ending processes.
pub fn length(scenarios: &[Scenario]) -> Duration {
    let each = |scenario: &Scenario| {
        let rounds = u64::from(scenario.rounds) * scenario.transports.len() as u64;
        let delay = scenario.network.delay_us / 1_000;
        rounds * (scenario.warm_up_ms + scenario.duration_ms + 3 * delay + 50)
    };
    Duration::from_millis(scenarios.iter().map(each).sum())
}

/// What an answer and the next request take together over a network, in ms: an exchange, only begun at its other end.
///
/// # Errors
/// When a server cannot be started or asked.
pub async fn gap_ms(network: Network) -> anyhow::Result<f64> {
    let server = OwnServer::start(&setup(&small(&[])))?;
    let mut control = Control::connect_over(network, &server.place).await?;
    Ok(control.exchange_ns(EXCHANGES).await? as f64 / 1e6)
}

/// Exchanges that a gap is the mean of.
const EXCHANGES: u32 = 20;

#[cfg(test)]
mod tests {
    use protocol::{Cursor, schedule};
    use server::feed::Feed;

    use super::*;

    #[test]
    fn a_round_s_server_has_room_in_bytes_for_as_many_events_as_it_is_to_keep() {
        for payload_bytes in [0, 200, 65_536] {
            let setup = setup(&Scenario { payload_bytes, rate: 1_000.0, ..small(&[]) });
            const EVENTS: usize = 10;
            let feed = Feed::new(EVENTS, EVENTS * (setup.history_bytes / setup.history) as usize);
            let data = schedule::payload(1, 1, payload_bytes as usize);
            (0..EVENTS).for_each(|_| _ = feed.publish(u64::MAX, &data));
            assert_eq!(feed.since(Cursor(0), usize::MAX).map(|events| events.len()), Ok(EVENTS), "{payload_bytes}");
        }
    }
}
