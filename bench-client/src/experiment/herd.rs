//! Measures a thundering herd: how many requests reach a server at once after one event, and how many connections after its restart.

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
/// How long after the event the server's counters are read. Before the event, subscribers have as long to send their first request.
const READ_AFTER: Duration = Duration::from_millis(100);
/// How long after the event they are read again, if not every long-polling subscriber had sent another request at the first reading.
const READ_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// Subscribers of the server that is restarted.
const RETURNING: u32 = 500;
/// The upper bound of the random time that each subscriber waits in addition before it reconnects, in the second of the two restarts.
const JITTER: Duration = Duration::from_secs(1);
/// How long the accepted connections are counted, and the time between two readings.
const OBSERVED: Duration = Duration::from_millis(1_600);
const READING_INTERVAL: Duration = Duration::from_millis(10);

/// Runs the experiment.
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
    // After this time every long poll is waiting at the server.
    sleep(READ_AFTER).await;
    let before = test_bed.control.load().await?;
    test_bed.control.publish("to all").await?;
    sleep(READ_AFTER).await;
    // One control request published the event.
    let spent = test_bed.since(&before, 1).await?;
    let mut later_requests = spent.requests;
    if transport == Transport::LongPolling && later_requests < u64::from(subscribers) {
        sleep(READ_AGAIN_AFTER - READ_AFTER).await;
        // The first reading was another control request.
        later_requests = test_bed.since(&before, 2).await?.requests;
    }
    group.close().await;
    Ok(HerdGroup { transport, subscribers, spent, later_requests })
}

/// Restarts a server that has subscribers; returns readings of how many connections it has accepted since.
async fn restart(back_off: BackOff, seed: u64) -> anyhow::Result<Vec<Accepted>> {
    let mut test_bed = TestBed::open(&Options { seed, ..options() }).await?;
    let target = Target { back_off, ..test_bed.target.clone() };
    let group = test_bed.connect(Transport::WebSocket, target, RETURNING).await?;
    let TestBed { server, control, target } = test_bed;
    drop(control);
    // On another thread, since this blocks: meanwhile the subscribers try to reconnect, and find the port closed.
    let same_ports = Options { listen: target.endpoint.address, tcp_listen: target.tcp, seed, ..options() };
    let restart = move || {
        drop(server);
        ServerProcess::start(&same_ports)
    };
    let server = spawn_blocking(restart).await??;
    let mut control = Control::connect(&server.endpoint).await?;
    let began = clock::now_ns();
    let mut readings = vec![Accepted { ms: 0.0, connections: 0 }];
    while clock::now_ns() < began + OBSERVED.as_nanos() as u64 {
        let load = control.load().await?;
        // The time is when the server read its counter, since it may have waited for other figures before it responded.
        // One of the connections is the control connection.
        let ms = load.now_ns.saturating_sub(began) as f64 / 1e6;
        readings.push(Accepted { ms, connections: load.connections_accepted.saturating_sub(1) });
        sleep(READING_INTERVAL).await;
    }
    group.close().await;
    Ok(readings)
}
