//! Upstream: a subscriber sends a message that all receive; over the HTTP ways a request of its own, over WebSocket a frame.

use std::time::Duration;

use anyhow::{Context, ensure};
use protocol::experiment::{Drawing, Experiment, Lines, Point, Standing, Table};
use protocol::network::Network;
use protocol::result::Headers;
use protocol::{Cursor, Layer, Ledger, Transport, clock};
use reports::number::short;

use super::{axis, line, verdict};
use crate::bench::Bench;
use crate::counted::{Counted, SharedLedger};
use crate::crowd::Crowd;
use crate::fault::Fault;
use crate::headers;
use crate::lab::Setup;
use crate::link::Link;
use crate::subscriber::{Subscriber, Target};
use crate::transport::websocket;

const TRANSPORTS: [Transport; 4] = [Transport::LongPolling, Transport::Ndjson, Transport::Sse, Transport::WebSocket];
const DELAYS_MS: [u64; 3] = [1, 10, 40];
const MESSAGES: u64 = 20;
const MESSAGE: &str = "a message of a subscriber's, to all";
/// How long one message may take.
const PATIENCE: Duration = Duration::from_secs(5);

struct Upstream {
    transport: Transport,
    delay_ms: u64,
    /// From sending a message until the sender has it as an event, in ms: the mean.
    round_trip_ms: f64,
    /// Bytes to send one message, answers included; receiving it is not.
    bytes: f64,
    /// Requests to send one message.
    requests: f64,
}

/// Runs it.
pub async fn run(seed: u64) -> anyhow::Result<Experiment> {
    let mut found = Vec::new();
    for delay_ms in DELAYS_MS {
        for transport in TRANSPORTS {
            let mut bench = Bench::open(&Setup { seed, ..Setup::default() }).await?;
            let network = Network::with_delay(Duration::from_millis(delay_ms));
            let target = Target { network, headers: Headers::Browser, ..bench.target.clone() };
            let (round_trip_ms, sent) = match transport {
                Transport::WebSocket => frames(target).await?,
                _ => posts(&mut bench, transport, target).await?,
            };
            let each = |count: u64| count as f64 / MESSAGES as f64;
            let (bytes, requests) = (each(sent.wire_bytes()), each(sent.requests));
            found.push(Upstream { transport, delay_ms, round_trip_ms, bytes, requests });
        }
    }
    let duplex = duplex(seed).await?;
    Ok(work_out(&found, &duplex))
}

/// Sends by POST, on a connection beside the one that events come on.
async fn posts(bench: &mut Bench, transport: Transport, target: Target) -> anyhow::Result<(f64, Ledger)> {
    let link = Link::new(target.network, 7, None)?;
    let ledger = SharedLedger::default();
    let mut wire = Counted::connect(target.place.address, Some(link), None, ledger.clone()).await?;
    let head = headers::post(target.headers, &target.place, "/publish", MESSAGE.len());
    let request = format!("{head}\r\n{MESSAGE}");
    let crowd = bench.gather(transport, target.clone(), 1).await?;
    // So that a long poll is waiting.
    tokio::time::sleep(target.network.delay() * 4).await;
    let mut total_ns = 0;
    for number in 1..=MESSAGES {
        let sent = clock::now_ns();
        let there = crowd.have_by(number, sent + PATIENCE.as_nanos() as u64);
        let (answered, there) = tokio::join!(post(&mut wire, request.as_bytes()), there);
        answered?;
        ensure!(there, "message {number} never came back over {transport}");
        total_ns += received(&crowd, number).context("it has just come")? - sent;
    }
    let sent = *ledger.borrow();
    crowd.leave().await;
    Ok((total_ns as f64 / MESSAGES as f64 / 1e6, sent))
}

async fn post(wire: &mut Counted, request: &[u8]) -> Result<(), Fault> {
    wire.request(request).await?;
    let head = wire.head().await?;
    while wire.received.len() < head.length.unwrap_or(0) {
        wire.fill().await?;
    }
    wire.received.clear();
    if head.status == 202 { Ok(()) } else { Err(Fault::Status(head.status)) }
}

/// When the first subscriber had an event.
fn received(crowd: &Crowd, seq: u64) -> Option<u64> {
    crowd.recorder.borrow().samples.iter().find(|sample| sample.seq == seq).map(|sample| sample.received)
}

/// A subscriber by WebSocket whose connection we hold in our own hands.
async fn subscriber(target: &Target) -> anyhow::Result<Subscriber> {
    let mut subscriber = Subscriber::alone(target).await?;
    websocket::handshake(&mut subscriber).await?;
    Ok(subscriber)
}

/// Sends by frames, on the connection that events come on.
async fn frames(target: Target) -> anyhow::Result<(f64, Ledger)> {
    let mut subscriber = subscriber(&target).await?;
    let (mut total_ns, mut ledger) = (0, Ledger::default());
    for number in 1..=MESSAGES {
        let sent = clock::now_ns();
        let framing = subscriber.wire.ledger()[Layer::Framing];
        websocket::publish(&mut subscriber, MESSAGE).await?;
        // Up to here the frame that was sent is all that was explained; what comes down is the event.
        ledger.sent_bytes += subscriber.wire.ledger()[Layer::Framing] - framing;
        while subscriber.cursor() < Cursor(number) {
            websocket::event(&mut subscriber).await?;
        }
        total_ns += subscriber.recorder.borrow().samples.last().context("it has just come")?.received - sent;
    }
    Ok((total_ns as f64 / MESSAGES as f64 / 1e6, ledger))
}

/// Both directions at once on one connection.
struct Duplex {
    down: u64,
    up: u64,
    requests: u64,
    connections: u64,
    seconds: f64,
    round_trip_ms: f64,
}

/// Sends messages on a connection over which a busy feed comes down.
async fn duplex(seed: u64) -> anyhow::Result<Duplex> {
    const RATE: f64 = 500.0;
    let mut bench = Bench::open(&Setup { seed, rate: RATE, ..Setup::default() }).await?;
    let before = bench.control.load().await?;
    let mut subscriber = subscriber(&bench.target).await?;
    let began = clock::now_ns();
    let (mut up, mut total_ns) = (0, 0);
    while up < MESSAGES {
        let sent = clock::now_ns();
        websocket::publish(&mut subscriber, MESSAGE).await?;
        up += 1;
        // Ours is the event that has no place in the schedule: it was due when it was published.
        loop {
            let before = subscriber.wire.ledger()[Layer::Event];
            websocket::event(&mut subscriber).await?;
            // The feed's own events are of 200 bytes and more.
            if subscriber.wire.ledger()[Layer::Event] - before < 200 {
                break;
            }
        }
        total_ns += subscriber.recorder.borrow().samples.last().context("it has just come")?.received - sent;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let down = subscriber.wire.ledger().events - up;
    drop(subscriber);
    // The server's own counts, not ours.
    let spent = bench.since(&before, 0).await?;
    Ok(Duplex {
        down,
        up,
        requests: spent.requests,
        connections: spent.accepts,
        seconds: (clock::now_ns() - began) as f64 / 1e9,
        round_trip_ms: total_ns as f64 / MESSAGES as f64 / 1e6,
    })
}

fn work_out(found: &[Upstream], duplex: &Duplex) -> Experiment {
    let far = |transport| found.iter().rfind(|sent| sent.transport == transport).expect("each was measured");
    let (post, frame) = (far(Transport::Ndjson), far(Transport::WebSocket));
    let figure = format!(
        "A message of {} B upstream: {} B and {} request by POST, {} B and {} requests in a frame; back as an event after {} and \
         {} ms at {} ms of delay",
        MESSAGE.len(),
        short(post.bytes),
        short(post.requests),
        short(frame.bytes),
        short(frame.requests),
        short(post.round_trip_ms),
        short(frame.round_trip_ms),
        post.delay_ms,
    );
    let duplex_figure = format!(
        "{} events down and {} messages up in {} s, on {} connection with {} request; each message was back after {} ms",
        duplex.down,
        duplex.up,
        short(duplex.seconds),
        duplex.connections,
        duplex.requests,
        short(duplex.round_trip_ms),
    );
    let lines = TRANSPORTS.map(|transport| {
        let points = found.iter().filter(|sent| sent.transport == transport);
        line(transport, points.map(|sent| Point::new(sent.delay_ms as f64, sent.round_trip_ms)).collect())
    });
    Experiment {
        name: "upstream".into(),
        title: "Upstream: a message from one to all".into(),
        question: "What does it take to send, and not only to receive?".into(),
        answer: vec![format!("{figure}."), format!("{duplex_figure}.")],
        drawings: vec![Drawing::Lines(Lines {
            name: "upstream".into(),
            title: "From sending a message to having it as an event".into(),
            caption: "The mean of 20 messages, one after another, on connections that stand. What a POST costs is bytes and a \
                      request; the way is as long."
                .into(),
            x: axis("one-way delay in ms", true),
            y: axis("from sending to having it, in ms", true),
            lines: lines.to_vec(),
        })],
        tables: vec![Table {
            title: "One message upstream".into(),
            columns: ["subscribed by", "delay, ms", "back after, ms", "bytes", "requests"].map(Into::into).to_vec(),
            rows: found
                .iter()
                .map(|sent| {
                    vec![
                        sent.transport.label().into(),
                        sent.delay_ms.to_string(),
                        short(sent.round_trip_ms),
                        short(sent.bytes),
                        short(sent.requests),
                    ]
                })
                .collect(),
        }],
        verdicts: vec![
            verdict(
                9,
                if post.bytes > 2.0 * frame.bytes { Standing::HoldsWithinLimits } else { Standing::DoesNotHold },
                figure,
                "It is dear in bytes, and takes a second connection or a free one; while a connection stands, the message is back as fast.",
            ),
            verdict(
                11,
                if duplex.connections == 1 && duplex.requests == 1 { Standing::Holds } else { Standing::DoesNotHold },
                duplex_figure,
                "After the handshake either side sends when it likes, without asking.",
            ),
        ],
        method: vec![
            "A POST bears a browser's headers, goes over a connection that stands, and its answer is waited for beside the event."
                .into(),
        ],
        ..Experiment::default()
    }
}
