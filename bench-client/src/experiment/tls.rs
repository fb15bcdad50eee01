//! Measures what TLS adds: to each delivery, and to opening a connection.

use std::time::Duration;

use protocol::facts::Facts;
use protocol::facts::tls::{Opened, TlsFacts};
use protocol::network::Network;
use protocol::result::{Comparison, Scenario};
use protocol::{Ledger, Transport, clock};
use reports::statistics::MIN_ROUNDS;

use crate::round::series;
use crate::subscriber::{Subscriber, Target};
use crate::test_bed::TestBed;
use crate::test_bed::server_process::options;
use crate::transport::websocket;
use server::Options;

/// One-way delays of the modelled network.
const DELAYS_MS: [u64; 3] = [0, 20, 60];
/// Connections opened over each delay.
const CONNECTIONS: u32 = 10;
/// Connections opened at once, to measure the server's mean CPU time of opening one.
const CONNECTED_AT_ONCE: u32 = 300;

/// One transport of each exchange except polling. TLS adds the same to the other transports of these exchanges.
fn transports() -> Vec<Transport> {
    let mut transports = Transport::one_per_exchange();
    transports.retain(|transport| transport.waits_at_server());
    transports
}

/// Runs the experiment.
pub async fn run(seed: u64) -> anyhow::Result<Facts> {
    let scenario = |tls| Scenario { rounds: MIN_ROUNDS, duration_ms: 700, seed, tls, ..Scenario::small(&transports()) };
    let scenarios = [scenario(false), scenario(true)];
    let rounds = series::rounds(&scenarios, false).await?;
    let mut comparisons = scenarios.into_iter().zip(rounds).map(|(scenario, rounds)| Comparison { scenario, rounds });
    let (Some(plain), Some(within_tls)) = (comparisons.next(), comparisons.next()) else {
        anyhow::bail!("the rounds of a scenario are missing")
    };
    let mut opened = Vec::new();
    let mut cpu_us = [0.0; 2];
    for (tls, cpu_us) in [false, true].into_iter().zip(&mut cpu_us) {
        let mut test_bed = TestBed::open(&Options { seed, tls_self_signed: tls, ..options() }).await?;
        for delay_ms in DELAYS_MS {
            opened.push(open(&test_bed.target, delay_ms, tls).await?);
        }
        let before = test_bed.control.load().await?;
        let group = test_bed.connect(Transport::WebSocket, test_bed.target.clone(), CONNECTED_AT_ONCE).await?;
        *cpu_us = test_bed.since(&before, 0).await?.cpu_ms * 1e3 / f64::from(CONNECTED_AT_ONCE);
        group.close().await;
    }
    let [plain_opening_cpu_us, tls_opening_cpu_us] = cpu_us;
    Ok(Facts::Tls(Box::new(TlsFacts {
        plain,
        within_tls,
        opened,
        connected_at_once: CONNECTED_AT_ONCE,
        plain_opening_cpu_us,
        tls_opening_cpu_us,
    })))
}

/// Opens WebSockets over a delay, one after another, and measures how long each takes to open.
async fn open(target: &Target, delay_ms: u64, tls: bool) -> anyhow::Result<Opened> {
    let network = Network::with_delay(Duration::from_millis(delay_ms));
    let target = Target { network, ..target.clone() };
    let (mut ms, mut ledger) = (Vec::new(), Ledger::default());
    for _ in 0..CONNECTIONS {
        let began = clock::now_ns();
        let mut subscriber = Subscriber::alone(Transport::WebSocket, &target).await?;
        websocket::handshake(&mut subscriber).await?;
        ms.push((clock::now_ns() - began) as f64 / 1e6);
        let recorder = subscriber.recorder.clone();
        drop(subscriber);
        ledger += *recorder.borrow().ledger.borrow();
    }
    Ok(Opened { tls, delay_ms, ms, ledger })
}
