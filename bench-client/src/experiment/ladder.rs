//! Records the messages on the wire between one subscriber and the server for three events, over each transport. The report draws them as
//! ladder diagrams.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use anyhow::ensure;
use protocol::facts::Facts;
use protocol::facts::ladder::{Chunk, LadderFacts, WireTrace};
use protocol::http2::{FrameWalker, Part};
use protocol::network::Network;
use protocol::transport::Carrier;
use protocol::{Cursor, Transport, clock};
use tokio::time::{Instant, sleep_until};

use crate::subscriber::Target;
use crate::test_bed::TestBed;
use crate::test_bed::server_process::options;
use crate::wire::link::{Trace, Transit};
use server::Options;

/// One-way delay of the modelled network.
const DELAY_MS: u64 = 20;
const POLL_INTERVAL_MS: u64 = 100;
/// When the events are published, counted from when the subscriber began to connect.
const PUBLISH_AFTER: [Duration; 3] =
    [Duration::from_millis(150), Duration::from_millis(180), Duration::from_millis(270)];
/// How long the wire is traced, counted from when the subscriber began to connect.
const LENGTH_MS: u64 = 400;

/// Runs the experiment.
pub async fn run(seed: u64) -> anyhow::Result<Facts> {
    let mut traces = Vec::new();
    for transport in Transport::ALL {
        traces.push(trace(transport, seed).await?);
    }
    Ok(Facts::Ladder(LadderFacts {
        delay_ms: DELAY_MS,
        poll_interval_ms: POLL_INTERVAL_MS,
        length_ms: LENGTH_MS,
        traces,
    }))
}

async fn trace(transport: Transport, seed: u64) -> anyhow::Result<WireTrace> {
    let mut test_bed = TestBed::open(&Options { seed, ..options() }).await?;
    let trace: Trace = Rc::new(RefCell::new(Vec::new()));
    let target = Target {
        network: Network::with_delay(Duration::from_millis(DELAY_MS)),
        poll_interval: Duration::from_millis(POLL_INTERVAL_MS),
        trace: Some(trace.clone()),
        ..test_bed.target.clone()
    };
    let (began, began_ns) = (Instant::now(), clock::now_ns());
    let group = test_bed.connect(transport, target, 1).await?;
    for (publish_after, number) in PUBLISH_AFTER.into_iter().zip(1..) {
        sleep_until(began + publish_after).await;
        test_bed.control.publish(&format!("event {number}")).await?;
    }
    sleep_until(began + Duration::from_millis(LENGTH_MS)).await;
    let (published, _) = test_bed.control.published(Cursor(0)).await?;
    let (recorder, _) = group.close().await;
    let (delivered, expected) = (recorder.samples.len(), PUBLISH_AFTER.len());
    ensure!(delivered == expected, "{delivered} of {expected} events were delivered over {transport}");
    let ms = |at: u64| at.saturating_sub(began_ns) as f64 / 1e6;
    let mut transits = trace.take();
    transits.sort_by_key(|transit| transit.left);
    let traced = transits.iter().filter(|transit| ms(transit.left) < LENGTH_MS as f64);
    let mut frames = Frames::of(transport);
    let chunk = |transit: &Transit| Chunk {
        up: transit.up,
        left_ms: ms(transit.left),
        arrived_ms: ms(transit.arrived),
        bytes: transit.bytes.len() as u64,
        first_line: first_line(&transit.bytes),
        frames: frames.next(transit),
        // The JSON of each event contains this field name once, since quotes in a payload are escaped.
        events: count(&transit.bytes, b"\"seq\":"),
    };
    Ok(WireTrace {
        transport,
        chunks: traced.map(chunk).collect(),
        published_ms: published.iter().map(|event| ms(event.entered)).collect(),
        delivered_ms: recorder.samples.iter().map(|sample| ms(sample.received)).collect(),
    })
}

/// The frames of both directions of an HTTP/2 connection; none over other carriers.
struct Frames(Option<[FrameWalker; 2]>);

impl Frames {
    fn of(transport: Transport) -> Self {
        let is_http2 = transport.carrier() == Carrier::H2;
        Self(is_http2.then(|| [FrameWalker::server(), FrameWalker::client()]))
    }

    /// The names of the frames that begin in the next bytes.
    fn next(&mut self, transit: &Transit) -> Vec<String> {
        let mut names = Vec::new();
        if let Some(directions) = &mut self.0 {
            directions[usize::from(transit.up)].walk(&transit.bytes, |part| match part {
                Part::Preface(_) => names.push("preface".to_string()),
                Part::Header(header) if header.acknowledges() => names.push(format!("{} ACK", header.kind)),
                Part::Header(header) => names.push(header.kind.to_string()),
                Part::Payload(..) => {}
            });
        }
        names
    }
}

/// The first line, if it is a request line, a status line or the `SUB` line of raw TCP.
fn first_line(bytes: &[u8]) -> Option<String> {
    let known = [&b"GET "[..], b"SUB ", b"HTTP/1.1 "];
    let line = bytes.split(|&byte| byte == b'\r' || byte == b'\n').next()?;
    known.iter().any(|start| line.starts_with(start)).then(|| String::from_utf8_lossy(line).into_owned())
}

fn count(bytes: &[u8], pattern: &[u8]) -> u64 {
    bytes.windows(pattern.len()).filter(|window| *window == pattern).count() as u64
}
