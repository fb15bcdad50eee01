//! Measures how many requests reach a server at once after one event, and how many connections after a restart.

use std::time::Duration;

use protocol::facts::Facts;
use protocol::facts::herd::{Accepted, HerdFacts, HerdGroup};
use protocol::{Transport, clock};
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::subscriber::{BackOff, Target};
use crate::test_bed::TestBed;
use crate::test_bed::control::Control;
use crate::test_bed::server_process::{ServerProcess, options};
use server::Options;

const SIZES: [u32; 4] = [10, 100, 500, 1_000];
const TRANSPORTS: [Transport; 2] = [Transport::LongPolling, Transport::WebSocket];
/// How long after the event the server's counters are read.
const AFTER: Duration = Duration::from_millis(100);
/// When they are read again, if some subscribers had sent no request by then.
const LATEST: Duration = Duration::from_secs(1);
/// Subscribers of the server that is restarted.
const RETURNING: u32 = 500;
/// The longest time that subscribers add before they reconnect, where they add a random one.
const JITTER: Duration = Duration::from_secs(1);
/// How long the accepted connections are counted, and the time between two readings.
const OBSERVED: Duration = Duration::from_millis(1_600);
const READING_INTERVAL: Duration = Duration::from_millis(10);

/// Runs it.
pub async fn run(seed: u64) -> anyhow::Result<Facts> {
    let mut groups = Vec::new();
    for subscribers in SIZES {
        for transport in TRANSPORTS {
            groups.push(one_event(transport, subscribers, seed).await?);
        }
    }
    Ok(Facts::Herd(HerdFacts {
        groups,
        returning: RETURNING,
        restart: restart(BackOff::default(), seed).await?,
        restart_with_jitter: restart(BackOff { jitter: JITTER, ..BackOff::default() }, seed).await?,
        jitter_ms: JITTER.as_millis() as u64,
    }))
}

async fn one_event(transport: Transport, subscribers: u32, seed: u64) -> anyhow::Result<HerdGroup> {
    let mut test_bed = TestBed::open(&Options { seed, ..options() }).await?;
    let group = test_bed.connect(transport, test_bed.target.clone(), subscribers).await?;
    // By then every long poll waits at the server.
    sleep(AFTER).await;
    let before = test_bed.control.load().await?;
    test_bed.control.publish("to all").await?;
    sleep(AFTER).await;
    let spent = test_bed.since(&before, 1).await?;
    let mut later_requests = spent.requests;
    if transport == Transport::LongPolling && later_requests < u64::from(subscribers) {
        sleep(LATEST - AFTER).await;
        // The reading in between is one more request of the client's.
        later_requests = test_bed.since(&before, 2).await?.requests;
    }
    group.close().await;
    Ok(HerdGroup { transport, subscribers, spent, later_requests })
}

/// Readings of the connections that a server accepted after its restart.
async fn restart(back_off: BackOff, seed: u64) -> anyhow::Result<Vec<Accepted>> {
    let mut test_bed = TestBed::open(&Options { seed, ..options() }).await?;
    let target = Target { back_off, ..test_bed.target.clone() };
    let group = test_bed.connect(Transport::WebSocket, target, RETURNING).await?;
    let TestBed { server, control, target } = test_bed;
    drop(control);
    // On a thread of its own, so that the subscribers meet the closed port while it is closed.
    let again = Options { listen: target.endpoint.address, tcp_listen: target.tcp, seed, ..options() };
    let restart = move || {
        drop(server);
        ServerProcess::start(&again)
    };
    let server = spawn_blocking(restart).await??;
    let mut control = Control::connect(&server.endpoint).await?;
    let began = clock::now_ns();
    let mut readings = vec![Accepted { ms: 0.0, connections: 0 }];
    while clock::now_ns() < began + OBSERVED.as_nanos() as u64 {
        let load = control.load().await?;
        // The first of them is the client's own. The time is that of the count, since a response may have waited for other figures.
        let ms = load.now_ns.saturating_sub(began) as f64 / 1e6;
        readings.push(Accepted { ms, connections: load.connections_accepted.saturating_sub(1) });
        sleep(READING_INTERVAL).await;
    }
    group.close().await;
    Ok(readings)
}
