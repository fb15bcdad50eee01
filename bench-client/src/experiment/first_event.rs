//! Measures the time from nothing to the first event, over several delays, with and without TLS.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use protocol::facts::Facts;
use protocol::facts::first_event::{FirstEventFacts, Opening};
use protocol::facts::layers::FirstEvent;
use protocol::network::Network;
use protocol::result::Headers;
use protocol::transport::Family;
use protocol::{Cursor, Ledger, Transport, clock};
use tokio::task::spawn_local;
use tokio::time::{sleep, timeout};

use crate::round::recorder::Recorder;
use crate::subscriber::stop::Stop;
use crate::subscriber::{Target, session};
use crate::test_bed::TestBed;
use crate::test_bed::server_process::options;
use server::Options;

/// One-way delays of the modelled network.
pub const DELAYS_MS: [u64; 3] = [1, 20, 60];
/// Subscriptions opened over each delay.
const OPENINGS: usize = 5;
/// How long a first event may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The transports of today, and those over HTTP/2 and HTTP/3.
fn transports() -> Vec<Transport> {
    Transport::all_where(|transport| {
        transport.is_today() || matches!(transport.row().family, Family::Http2 | Family::Http3)
    })
}

/// Runs the experiment.
pub async fn run(seed: u64) -> anyhow::Result<Facts> {
    let mut openings = Vec::new();
    for tls in [false, true] {
        let mut test_bed = TestBed::open(&Options { seed, tls_self_signed: tls, ..options() }).await?;
        test_bed.control.publish("the first event").await?;
        for delay_ms in DELAYS_MS {
            // WebTransport has no form without TLS.
            for transport in transports().into_iter().filter(|transport| tls || transport.is_over_tcp()) {
                let first = measure(&test_bed.target, transport, Headers::Browser, delay_ms).await?;
                openings.push(Opening { tls, first });
            }
        }
    }
    Ok(Facts::FirstEvent(FirstEventFacts { openings }))
}

/// Opens subscriptions one after another, each until its first event, which is in the history already.
///
/// # Errors
/// When there is no event in time.
pub async fn measure(
    target: &Target,
    transport: Transport,
    headers: Headers,
    delay_ms: u64,
) -> anyhow::Result<FirstEvent> {
    let network = Network::with_delay(Duration::from_millis(delay_ms));
    let target = Rc::new(Target { headers, network, ..target.clone() });
    let (mut ms, mut ledger) = (Vec::new(), Ledger::default());
    for _ in 0..OPENINGS {
        let recorder = Rc::new(RefCell::new(Recorder::new(0..u64::MAX, 0, Arc::default())));
        let stop = Stop::default();
        let began = clock::now_ns();
        let (target, shared) = (target.clone(), recorder.clone());
        let running = {
            let (after, slot) = (Cursor(0).into(), Rc::default());
            spawn_local(session::run(transport, target, after, Duration::ZERO, slot, shared, stop.stopped()))
        };
        let received = async {
            loop {
                if let Some(sample) = recorder.borrow().samples.first() {
                    return sample.received;
                }
                sleep(Duration::from_millis(1)).await;
            }
        };
        let received = timeout(TIMEOUT, received).await.with_context(|| format!("no event over {transport}"))?;
        ms.push((received - began) as f64 / 1e6);
        stop.stop();
        running.await?;
        ledger += *recorder.borrow().ledger.borrow();
    }
    Ok(FirstEvent { transport, headers, delay_ms, ms, ledger })
}
