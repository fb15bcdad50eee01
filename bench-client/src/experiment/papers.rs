//! Repeats published measurements: each with the settings of its publication, as far as they can be had here.

use std::time::Duration;

use protocol::Transport;
use protocol::facts::Facts;
use protocol::facts::papers::PapersFacts;
use protocol::network::Network;
use protocol::result::{Comparison, Headers, Scenario};
use protocol::schedule::Spacing;
use reports::statistics::MIN_ROUNDS;

use crate::command::compare::{raise_open_files, warm_up_ms};
use crate::round::series;

/// Time for each additional process of the client to start, in ms.
const START_MS: u64 = 100;

/// Runs the experiment.
pub async fn run(seed: u64) -> anyhow::Result<Facts> {
    let kaazing = one(seed, short_messages(&[Transport::Polling, Transport::WebSocket])).await?;
    let in_browsers = Transport::all_where(|transport| transport.is_today() && transport.row().browser.is_some());
    let appelqvist = one(seed, short_messages(&in_browsers)).await?;
    let (scenario, pimentel_pause_ms) = pimentel();
    let pimentel = one(seed, scenario).await?;
    let scenario = rfc_6202();
    let rfc_6202_exchange_ms = series::gap_ms(scenario.network).await?;
    let rfc_6202 = one(seed, scenario).await?;
    let [bozdag, bozdag_busy] = all(seed, self::bozdag()).await?;
    let [van_de_vyvere_sse, van_de_vyvere_polling @ ..]: [Comparison; 1 + POLL_INTERVALS_MS.len()] =
        all(seed, van_de_vyvere()).await?;
    let signalr = all(seed, signalr()).await?;
    Ok(Facts::Papers(Box::new(PapersFacts {
        kaazing,
        appelqvist,
        pimentel,
        pimentel_pause_ms,
        rfc_6202,
        rfc_6202_exchange_ms,
        bozdag,
        bozdag_busy,
        van_de_vyvere_sse,
        van_de_vyvere_polling: van_de_vyvere_polling.to_vec(),
        signalr: signalr.to_vec(),
    })))
}

async fn one(seed: u64, scenario: Scenario) -> anyhow::Result<Comparison> {
    let [found] = all(seed, [scenario]).await?;
    Ok(found)
}

/// Measures scenarios, with their rounds interleaved.
async fn all<const N: usize>(seed: u64, scenarios: [Scenario; N]) -> anyhow::Result<[Comparison; N]> {
    let scenarios = scenarios.map(|scenario| {
        let starting = START_MS * u64::from(scenario.processes - 1);
        Scenario { seed, warm_up_ms: warm_up_ms(scenario.subscribers, scenario.network) + starting, ..scenario }
    });
    raise_open_files(&scenarios)?;
    let mut found = series::rounds(&scenarios, false).await?.into_iter();
    Ok(scenarios.map(|scenario| Comparison { scenario, rounds: found.next().unwrap_or_default() }))
}

/// Kaazing 2010, Appelqvist and Ornmyr 2017: messages of 20 characters, with a browser's headers.
fn short_messages(transports: &[Transport]) -> Scenario {
    Scenario {
        payload_bytes: 20,
        rate: 20.0,
        poll_interval_ms: 50,
        headers: Headers::Browser,
        ..Scenario::small(transports)
    }
}

/// Pimentel and Nickerson 2012, with the pause between a response and the next poll in ms.
fn pimentel() -> (Scenario, f64) {
    /// The mean latency that the publication measured over WebSocket from Edmonton, used as the one-way delay, in ms.
    const DELAY_MS: f64 = 40.3;
    const PAUSE_MS: f64 = 150.0;
    let scenario = Scenario {
        rate: 4.0,
        network: Network::with_delay(Duration::from_micros((DELAY_MS * 1e3) as u64)),
        // A client that pauses after each response polls at an interval of the pause and a round trip.
        poll_interval_ms: (PAUSE_MS + 2.0 * DELAY_MS).round() as u64,
        duration_ms: 1_500,
        rounds: MIN_ROUNDS,
        ..Scenario::small(&[Transport::Polling, Transport::WebSocket])
    };
    (scenario, PAUSE_MS)
}

/// RFC 6202: long polling and WebSocket over a modelled network.
fn rfc_6202() -> Scenario {
    Scenario {
        rate: 5.0,
        network: Network::with_delay(Duration::from_millis(40)),
        schedule: Spacing::Poisson,
        subscribers: 10,
        duration_ms: 2_000,
        rounds: MIN_ROUNDS,
        ..Scenario::small(&[Transport::LongPolling, Transport::WebSocket])
    }
}

/// Bozdag et al. 2007: push, which is long polling here, and pull, which is polling with as many polls as events; at the paper's own load
/// and at one that keeps this server busy.
fn bozdag() -> [Scenario; 2] {
    let push_and_pull = |per_s: u64, duration_ms| Scenario {
        rate: per_s as f64,
        poll_interval_ms: 1_000 / per_s,
        duration_ms,
        subscribers: 1_000,
        rounds: MIN_ROUNDS,
        processes: 3,
        ..Scenario::small(&[Transport::Polling, Transport::LongPolling])
    };
    [push_and_pull(1, 2_000), push_and_pull(50, 800)]
}

/// The poll intervals that are compared with SSE.
const POLL_INTERVALS_MS: [u64; 4] = [50, 100, 250, 1_000];

/// Van de Vyvere et al. 2020: SSE, and polling at several intervals.
fn van_de_vyvere() -> [Scenario; 1 + POLL_INTERVALS_MS.len()] {
    let sse = Scenario {
        rate: 20.0,
        subscribers: 500,
        duration_ms: 1_000,
        rounds: MIN_ROUNDS,
        processes: 2,
        ..Scenario::small(&[Transport::Sse])
    };
    std::array::from_fn(|index| match index.checked_sub(1) {
        None => sse.clone(),
        Some(index) => {
            Scenario { poll_interval_ms: POLL_INTERVALS_MS[index], transports: vec![Transport::Polling], ..sse.clone() }
        }
    })
}

/// SignalR issue 2293: the event rate is raised until deliveries fall behind, if such a rate can be reached.
fn signalr() -> [Scenario; 2] {
    [20_000.0, 80_000.0].map(|rate| Scenario {
        rate,
        schedule: Spacing::Poisson,
        subscribers: 20,
        duration_ms: 300,
        payload_bytes: 20,
        rounds: MIN_ROUNDS,
        ..Scenario::small(&[Transport::LongPolling, Transport::WebSocket])
    })
}
