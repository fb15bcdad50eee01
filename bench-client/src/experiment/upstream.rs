//! Measures messages that a subscriber sends to all: over the HTTP transports in a request of its own, over WebSocket in a frame.

use std::time::Duration;

use anyhow::{Context, ensure};
use protocol::facts::Facts;
use protocol::facts::upstream::{Duplex, Sender, UpstreamFacts};
use protocol::network::Network;
use protocol::result::Headers;
use protocol::transport::{Carrier, Exchange};
use protocol::{Cursor, Layer, Ledger, Transport, clock};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::fault::Fault;
use crate::round::group::SubscriberGroup;
use crate::subscriber::headers;
use crate::subscriber::{Subscriber, Target};
use crate::test_bed::TestBed;
use crate::test_bed::server_process::options;
use crate::transport::websocket;
use crate::wire::link::Link;
use crate::wire::{Connection, SharedLedger};
use server::Options;

const DELAYS_MS: [u64; 3] = [1, 10, 40];
const MESSAGES: u64 = 20;
const MESSAGE: &str = "a message of a subscriber's, to all";
/// How long one message may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Events a second on the connection that is used in both directions.
const DUPLEX_RATE: f64 = 500.0;
/// How long the client reads from a connection on which it sent no request.
const SILENT: Duration = Duration::from_millis(200);

/// The transports over HTTP that wait for events; a poller sends as a long poller does.
fn transports() -> Vec<Transport> {
    Transport::all_where(|transport| {
        transport.is_today() && transport.carrier() == Carrier::H1 && transport.waits_at_server()
    })
}

/// Runs it.
pub async fn run(seed: u64) -> anyhow::Result<Facts> {
    let mut senders = Vec::new();
    for delay_ms in DELAYS_MS {
        for transport in transports() {
            let mut test_bed = TestBed::open(&Options { seed, ..options() }).await?;
            let network = Network::with_delay(Duration::from_millis(delay_ms));
            let target = Target { network, headers: Headers::Browser, ..test_bed.target.clone() };
            let (round_trips_ms, sent) = match transport.exchange() {
                Exchange::Socket => frames(target).await?,
                Exchange::Poll | Exchange::LongPoll | Exchange::Stream => {
                    posts(&mut test_bed, transport, target).await?
                }
            };
            let (wire_bytes, requests) = (sent.wire_bytes(), sent.requests);
            senders.push(Sender { transport, delay_ms, round_trips_ms, wire_bytes, requests });
        }
    }
    let duplex = duplex(seed).await?;
    Ok(Facts::Upstream(UpstreamFacts { message_bytes: MESSAGE.len() as u64, senders, duplex }))
}

/// Sends by POST, on another connection than the one that events arrive on.
async fn posts(test_bed: &mut TestBed, transport: Transport, target: Target) -> anyhow::Result<(Vec<f64>, Ledger)> {
    let link = Link::new(target.network, 7, None)?;
    let ledger = SharedLedger::default();
    let mut wire = Connection::connect(target.endpoint.address, Some(link), None, ledger.clone()).await?;
    let headers = headers::post(target.headers, &target.endpoint, "/publish", MESSAGE.len());
    let request = format!("{headers}\r\n{MESSAGE}");
    let group = test_bed.connect(transport, target.clone(), 1).await?;
    // By then a long poll waits at the server.
    tokio::time::sleep(target.network.delay() * 4).await;
    let mut round_trips_ms = Vec::new();
    for number in 1..=MESSAGES {
        let sent = clock::now_ns();
        let there = group.wait_for_until(number, sent + TIMEOUT.as_nanos() as u64);
        let (posted, there) = tokio::join!(post(&mut wire, request.as_bytes()), there);
        posted?;
        ensure!(there, "message {number} was never received over {transport}");
        let arrived = received(&group, number).context("it has just been received")?;
        round_trips_ms.push((arrived - sent) as f64 / 1e6);
    }
    let sent = *ledger.borrow();
    group.close().await;
    Ok((round_trips_ms, sent))
}

async fn post(wire: &mut Connection, request: &[u8]) -> Result<(), Fault> {
    wire.request(request).await?;
    let head = wire.head().await?;
    while wire.received.len() < head.length.unwrap_or(0) {
        wire.fill().await?;
    }
    wire.received.clear();
    if head.status == 202 { Ok(()) } else { Err(Fault::Status(head.status)) }
}

/// When the first subscriber received an event.
fn received(group: &SubscriberGroup, seq: u64) -> Option<u64> {
    group.recorder.borrow().samples.iter().find(|sample| sample.seq == seq).map(|sample| sample.received)
}

/// A subscriber over WebSocket whose connection this experiment reads and writes itself.
async fn subscriber(target: &Target) -> anyhow::Result<Subscriber> {
    let mut subscriber = Subscriber::alone(Transport::WebSocket, target).await?;
    websocket::handshake(&mut subscriber).await?;
    Ok(subscriber)
}

/// Sends in frames, on the connection that events arrive on.
async fn frames(target: Target) -> anyhow::Result<(Vec<f64>, Ledger)> {
    let mut subscriber = subscriber(&target).await?;
    let (mut round_trips_ms, mut ledger) = (Vec::new(), Ledger::default());
    for number in 1..=MESSAGES {
        let sent = clock::now_ns();
        let framing = subscriber.wire.ledger()[Layer::Framing];
        websocket::publish(&mut subscriber, MESSAGE).await?;
        // The frame that was sent is all that was attributed since; the event that follows is not counted.
        ledger.sent_bytes += subscriber.wire.ledger()[Layer::Framing] - framing;
        while subscriber.cursor() < Cursor(number) {
            websocket::event(&mut subscriber).await?;
        }
        let arrived = subscriber.recorder.borrow().samples.last().context("it has just been received")?.received;
        round_trips_ms.push((arrived - sent) as f64 / 1e6);
    }
    Ok((round_trips_ms, ledger))
}

/// Sends messages on a connection over which the events of a busy feed arrive.
async fn duplex(seed: u64) -> anyhow::Result<Duplex> {
    let mut test_bed = TestBed::open(&Options { seed, rate: DUPLEX_RATE, ..options() }).await?;
    let before = test_bed.control.load().await?;
    let mut subscriber = subscriber(&test_bed.target).await?;
    let began = clock::now_ns();
    let (mut up, mut total_ns) = (0, 0);
    while up < MESSAGES {
        let sent = clock::now_ns();
        websocket::publish(&mut subscriber, MESSAGE).await?;
        up += 1;
        loop {
            let before = subscriber.wire.ledger()[Layer::Event];
            websocket::event(&mut subscriber).await?;
            // The feed's own events have 200 bytes and more, the message has fewer.
            if subscriber.wire.ledger()[Layer::Event] - before < 200 {
                break;
            }
        }
        total_ns += subscriber.recorder.borrow().samples.last().context("it has just been received")?.received - sent;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let down = subscriber.wire.ledger().events - up;
    drop(subscriber);
    // The server's own counts.
    let spent = test_bed.since(&before, 0).await?;
    let seconds = (clock::now_ns() - began) as f64 / 1e9;
    let unasked_bytes = unasked(&test_bed.target).await?;
    Ok(Duplex {
        rate: DUPLEX_RATE,
        down,
        up,
        requests: spent.requests,
        connections: spent.accepts,
        seconds,
        round_trip_ms: total_ns as f64 / MESSAGES as f64 / 1e6,
        unasked_bytes,
    })
}

/// Bytes that arrive on a connection without a request.
async fn unasked(target: &Target) -> anyhow::Result<u64> {
    let mut stream = TcpStream::connect(target.endpoint.address).await?;
    let mut buffer = [0; 4 << 10];
    match timeout(SILENT, stream.read(&mut buffer)).await {
        Ok(read) => Ok(read? as u64),
        Err(_) => Ok(0),
    }
}
