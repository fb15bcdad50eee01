//! The ladder: what really went between one subscriber and the server for three events, over each transport.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use anyhow::ensure;
use bytes::Bytes;
use protocol::experiment::{Crossing, Drawing, Experiment, Ladder};
use protocol::network::Network;
use protocol::{Cursor, Transport, clock};
use tokio::time::{Instant, sleep_until};

use crate::bench::Bench;
use crate::lab::Setup;
use crate::link::{Passage, Trace};
use crate::subscriber::Target;

const DELAY: Duration = Duration::from_millis(20);
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// When the events are published, after the subscriber began to connect.
const EVENTS: [Duration; 3] = [Duration::from_millis(150), Duration::from_millis(180), Duration::from_millis(270)];
const LENGTH: Duration = Duration::from_millis(400);

/// Runs it.
pub async fn run(seed: u64) -> anyhow::Result<Experiment> {
    let mut drawings = Vec::new();
    for transport in Transport::ALL {
        drawings.push(Drawing::Ladder(watch(transport, seed).await?));
    }
    Ok(Experiment {
        name: "ladder".into(),
        title: "What goes over the wire, and when".into(),
        question: "Three events are published, two close together: what crosses between a subscriber and the server?".into(),
        answer: vec![
            "Polling asks on its own clock, and events wait for it. A long poll is answered at once, but the event that comes \
             while its answer is under way waits for the next request. Over the others each event leaves when it is published."
                .into(),
        ],
        drawings,
        method: vec![
            format!(
                "One subscriber over a modelled network of {} ms each way, no jitter; polls each {} ms. Times and bytes are those \
                 of the recorded exchange, seen from the link, which knows both of its ends.",
                DELAY.as_millis(),
                POLL_INTERVAL.as_millis()
            ),
            "Opening a connection is drawn as one exchange without bytes of ours: TCP's SYN and SYN-ACK.".into(),
        ],
        ..Experiment::default()
    })
}

async fn watch(transport: Transport, seed: u64) -> anyhow::Result<Ladder> {
    let mut bench = Bench::open(&Setup { seed, ..Setup::default() }).await?;
    let trace: Trace = Rc::new(RefCell::new(Vec::new()));
    let target = Target {
        network: Network::with_delay(DELAY),
        poll_interval: POLL_INTERVAL,
        trace: Some(trace.clone()),
        ..bench.target.clone()
    };
    let (began, began_ns) = (Instant::now(), clock::now_ns());
    let crowd = bench.gather(transport, target, 1).await?;
    for (event, number) in EVENTS.into_iter().zip(1..) {
        sleep_until(began + event).await;
        bench.control.publish(&format!("event {number}")).await?;
    }
    sleep_until(began + LENGTH).await;
    let (published, _) = bench.control.published(Cursor(0)).await?;
    let (recorder, _) = crowd.leave().await;
    ensure!(recorder.samples.len() == EVENTS.len(), "{} of 3 events came over {transport}", recorder.samples.len());
    let ms = |at: u64| at.saturating_sub(began_ns) as f64 / 1e6;
    let mut passages = trace.take();
    passages.sort_by_key(|passage| passage.left);
    let crossings: Vec<Crossing> = passages
        .iter()
        .filter(|passage| ms(passage.left) < LENGTH.as_secs_f64() * 1e3)
        .map(|passage| Crossing {
            up: passage.up,
            left_ms: ms(passage.left),
            arrived_ms: ms(passage.arrived),
            bytes: passage.bytes.len() as u64,
            label: label(transport, passage),
        })
        .collect();
    let count = crossings.iter().filter(|crossing| crossing.bytes > 0).count();
    let bytes: u64 = crossings.iter().map(|crossing| crossing.bytes).sum();
    Ok(Ladder {
        name: format!("ladder-{transport}"),
        title: format!("{}: {count} crossings and {bytes} bytes for three events", transport.label()),
        caption: caption(transport).into(),
        transport,
        length_ms: LENGTH.as_secs_f64() * 1e3,
        crossings,
        published_ms: published.iter().map(|event| ms(event.entered)).collect(),
        delivered_ms: recorder.samples.iter().map(|sample| ms(sample.received)).collect(),
    })
}

/// What a passage was, from its bytes.
fn label(transport: Transport, passage: &Passage) -> String {
    let text = String::from_utf8_lossy(&passage.bytes);
    let events = count(&passage.bytes, b"\"seq\":");
    let events = match events {
        0 => "",
        1 => ", 1 event",
        2 => ", 2 events",
        _ => ", 3 events",
    };
    match (passage.up, text.split(' ').next()) {
        (true, _) if passage.bytes.is_empty() => "TCP opens".into(),
        (false, _) if passage.bytes.is_empty() => "opened".into(),
        (true, Some("GET")) => format!("GET {}", text.split([' ', '?']).nth(1).unwrap_or_default()),
        (true, Some("SUB")) => "SUB".into(),
        (false, Some("HTTP/1.1")) => format!("{}{events}", text.split(' ').nth(1).unwrap_or_default()),
        (false, _) => match transport {
            Transport::WebSocket => format!("frame{events}"),
            Transport::Tcp => format!("line{events}"),
            _ => format!("chunk{events}"),
        },
        (true, _) => "frame".into(),
    }
}

fn count(bytes: &Bytes, pattern: &[u8]) -> usize {
    bytes.windows(pattern.len()).filter(|window| *window == pattern).count()
}

fn caption(transport: Transport) -> &'static str {
    match transport {
        Transport::Polling => {
            "A request each 100 ms, whether or not there is an event; 204 is an answer without one. An event waits for the \
             next request to come by."
        }
        Transport::LongPolling => {
            "The request waits at the server. The first event is answered at once; the second comes while that answer and \
             the next request are under way, and waits for them."
        }
        Transport::Ndjson => "One request; its response goes on, an event a chunk.",
        Transport::Sse => {
            "One request; its response goes on, a block of fields for each event, as browsers understand it."
        }
        Transport::WebSocket => "One upgrade; from then on frames, either way, without asking.",
        Transport::Tcp => "One line to subscribe; then a line for each event. What is left when HTTP is taken away.",
    }
}
