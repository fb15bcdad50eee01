//! The sweeps that a report holds, with what they say of the claims.

use std::time::Duration;

use protocol::Transport;
use protocol::experiment::{Experiment, Standing};
use protocol::network::Network;
use protocol::result::{Comparison, Headers, Scenario};
use protocol::schedule::Spacing;
use reports::number::short;
use reports::statistics;

use super::sweep::{BYTES, Factor, Figure, LATENCY, Over, REQUESTS, figure, measure};
use super::verdict;
use crate::trial::small;

/// The four that the question is about.
const FOUR: [Transport; 4] = [Transport::Polling, Transport::LongPolling, Transport::Ndjson, Transport::WebSocket];
/// The fewest that carry an interval.
const ROUNDS: u32 = statistics::FEWEST_ROUNDS;

fn base(transports: &[Transport], seed: u64) -> Scenario {
    Scenario {
        rounds: ROUNDS,
        schedule: Spacing::Poisson,
        headers: Headers::Browser,
        poll_interval_ms: 250,
        seed,
        ..small(transports)
    }
}

/// A figure of a transport at one point of a sweep; NaN, which no rule takes for anything, where no round was sound.
fn at(comparison: &Comparison, transport: Transport, what: Figure) -> f64 {
    figure(comparison, transport, what).map_or(f64::NAN, |found| found.0)
}

fn mean_ms(comparison: &Comparison, transport: Transport) -> f64 {
    at(comparison, transport, LATENCY)
}

/// How a claim stands by two rules: what would show it, and what would refute it; neither is not shown.
fn by(holds: bool, refuted: bool, shown: Standing) -> Standing {
    match (holds, refuted) {
        (true, false) => shown,
        (false, true) => Standing::DoesNotHold,
        _ => Standing::NotShown,
    }
}

/// Over the poll interval: latency is bought with empty answers.
pub async fn poll_interval(seed: u64) -> anyhow::Result<Experiment> {
    let transports = [Transport::Polling, Transport::WebSocket];
    let scenario = Scenario { rate: 10.0, subscribers: 50, duration_ms: 1_200, ..base(&transports, seed) };
    let over = Over { factor: Factor::PollInterval, values: vec![25.0, 100.0, 250.0, 500.0] };
    let mut found = measure(&scenario, &over).await?;
    found.title = "The poll interval buys latency with empty answers".into();
    found.question = "How late is an event over polling, and what does it cost to be less late?".into();
    let (often, seldom) = (&found.rounds[0], &found.rounds[3]);
    let polling = Transport::Polling;
    let bytes = |point| at(point, polling, BYTES);
    let half = mean_ms(seldom, polling) / (500.0 / 2.0);
    found.verdicts.push(verdict(
        2,
        by((half - 1.0).abs() <= 0.03, half < 0.5, Standing::Holds),
        format!(
            "Each 500 ms: {} ms on average, {} B an event. Each 25 ms: {} ms, {} B",
            short(mean_ms(seldom, polling)),
            short(bytes(seldom)),
            short(mean_ms(often, polling)),
            short(bytes(often))
        ),
        "Half the interval on average, the whole of it at worst; a shorter interval is paid for in polls that bring nothing.",
    ));
    Ok(found)
}

/// Over the network's delay: who needs a round trip for each event, and what theory says of it.
pub async fn delay(seed: u64) -> anyhow::Result<Experiment> {
    let transports = [Transport::LongPolling, Transport::WebSocket];
    let scenario = Scenario { rate: 25.0, subscribers: 4, duration_ms: 2_000, ..base(&transports, seed) };
    let over = Over { factor: Factor::Delay, values: vec![4.0, 12.0, 36.0, 100.0] };
    let mut found = measure(&scenario, &over).await?;
    found.title = "A long poll pays for the way back".into();
    found.question =
        "How much later than over WebSocket is an event over long polling, the farther the server is?".into();
    let ratio = |point: usize| {
        mean_ms(&found.rounds[point], Transport::LongPolling) / mean_ms(&found.rounds[point], Transport::WebSocket)
    };
    let (near, far) = (ratio(0), ratio(3));
    found.verdicts.push(verdict(
        3,
        by(near < 1.5 && far < 3.1, near >= 3.1, if far < 1.1 { Standing::Holds } else { Standing::HoldsWithinLimits }),
        format!("At 25 events/s: {} times WebSocket's latency at 4 ms of delay, {} times at 100 ms", short(near), short(far)),
        "A request that waits is answered at once; an event that comes while none waits, for a round trip after each answer, \
         is late by up to that round trip.",
    ));
    Ok(found)
}

/// Over the rate of events: when long polling stops sparing requests.
pub async fn rate(seed: u64) -> anyhow::Result<Experiment> {
    let network = Network::with_delay(Duration::from_millis(10));
    let scenario = Scenario { network, subscribers: 15, duration_ms: 2_000, ..base(&FOUR, seed) };
    let over = Over { factor: Factor::Rate, values: vec![2.0, 20.0, 200.0, 1_000.0] };
    let mut found = measure(&scenario, &over).await?;
    found.title = "What a busy feed does to each transport".into();
    found.question = "As events grow more frequent, who asks more often, and who pays more for each event?".into();
    let requests = |point: usize, transport| at(&found.rounds[point], transport, REQUESTS);
    // Requests a second are those per event, times the events.
    let per_s = |point: usize| requests(point, Transport::LongPolling) * over.values[point];
    let polls_per_s = 1e3 / scenario.poll_interval_ms as f64;
    let (few, some) = (per_s(0), per_s(1));
    let busiest = over.values.len() - 1;
    let (asks, polls) = (requests(busiest, Transport::LongPolling), requests(busiest, Transport::Polling));
    let late = |transport| mean_ms(&found.rounds[busiest], transport);
    let (waits, polling_late) = (late(Transport::LongPolling), late(Transport::Polling));
    found.verdicts = vec![
        verdict(
            4,
            by(
                few < polls_per_s,
                few > polls_per_s,
                if some > polls_per_s { Standing::HoldsWithinLimits } else { Standing::Holds },
            ),
            format!(
                "Polls each 250 ms are {} a second. Long polls: {} at 2 events/s, {} at 20",
                short(polls_per_s),
                short(few),
                short(some)
            ),
            "It asks once an event rather than once an interval: fewer requests only while events are rarer than polls.",
        ),
        verdict(
            5,
            by(
                asks > polls,
                asks <= polls && waits < polling_late,
                if waits >= polling_late { Standing::Holds } else { Standing::HoldsWithinLimits },
            ),
            format!(
                "At 1,000 events/s: {} requests an event over long polling, {} over polling; {} ms against {} ms",
                short(asks),
                short(polls),
                short(waits),
                short(polling_late)
            ),
            "It asks more often than polling, an answer for each round trip with all that came meanwhile; but it stays as \
             fresh as a round trip allows, which polling does not.",
        ),
    ];
    Ok(found)
}

/// Over the payload: how large an event must be for the overhead not to matter.
pub async fn payload(seed: u64) -> anyhow::Result<Experiment> {
    let scenario = Scenario { rate: 20.0, duration_ms: 800, ..base(&FOUR, seed) };
    let over = Over { factor: Factor::Payload, values: vec![20.0, 200.0, 2_000.0, 20_000.0] };
    let mut found = measure(&scenario, &over).await?;
    found.title = "Overhead fades with the size of the event".into();
    found.question = "How large must an event be for its transport not to matter?".into();
    Ok(found)
}

/// Over the number of subscribers: fan-out, one after another.
pub async fn subscribers(seed: u64) -> anyhow::Result<Experiment> {
    let scenario = Scenario { rate: 5.0, ..base(&FOUR, seed) };
    let over = Over { factor: Factor::Subscribers, values: vec![1.0, 10.0, 100.0, 1_000.0] };
    let mut found = measure(&scenario, &over).await?;
    found.title = "A full hall".into();
    found.question = "What does an event cost, and how late is it, when many are to get it?".into();
    found.method.push(
        "The client's subscribers share one thread, so with many of them a good part of the latency is the client's own \
         queue; rounds in which it was busy are marked."
            .into(),
    );
    Ok(found)
}
