//! Upstream: a subscriber sends a message that all receive; over the HTTP ways a request of its own, over WebSocket a frame.

use std::time::Duration;

use anyhow::{Context, ensure};
use protocol::experiment::{Drawing, Experiment, Lines, Point, Standing, Table, Verdict};
use protocol::network::Network;
use protocol::result::Headers;
use protocol::{Cursor, Layer, Ledger, Transport, clock};
use reports::number::short;
use reports::statistics;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::evidence::{Answer, Estimate, verdict};
use super::{axis, line};
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
/// Events a second on the connection that is used both ways.
const DUPLEX_RATE: f64 = 500.0;
/// How long a connection that asks for nothing is listened to.
const SILENT: Duration = Duration::from_millis(200);
/// Claim 9: the ratio of bytes from which sending by POST is dear, and the ratio of times from which it is slow as well.
const DEAR: f64 = 2.0;
const SLOW: f64 = 1.5;
/// Claim 11: the least share of the offered events that must come down while messages go up.
const LEAST_SHARE_DOWN: f64 = 0.5;

struct Upstream {
    transport: Transport,
    delay_ms: u64,
    /// From sending a message until the sender has it as an event, in ms, message by message.
    round_trips_ms: Vec<f64>,
    /// Bytes to send one message, answers included; receiving it is not.
    bytes: f64,
    /// Requests to send one message.
    requests: f64,
}

impl Upstream {
    fn round_trip_ms(&self) -> f64 {
        self.round_trips_ms.iter().sum::<f64>() / self.round_trips_ms.len() as f64
    }
}

/// What claim 9 is decided by.
pub struct Sending {
    /// Bytes of a message by POST over those of one in a frame: an exact count.
    pub bytes: f64,
    /// The time until the sender has it back, by POST over in a frame.
    pub time: Estimate,
}

/// Claim 9: over long polling and streaming it is hard to send from the client to the server.
pub fn hard_to_send(sending: &Sending) -> Standing {
    match sending.bytes > DEAR {
        false => Standing::DoesNotHold,
        // Dear in bytes; slow as well, or only that.
        true => sending.time.below(SLOW).decides(Standing::HoldsWithinLimits, Standing::Holds),
    }
}

/// Claim 11: HTTP speaks only when asked; WebSocket is full duplex.
pub fn full_duplex(duplex: &Duplex) -> Standing {
    let counts = duplex.connections == 1 && duplex.requests == 1 && duplex.unasked_bytes == 0 && duplex.down > 0;
    let share = duplex.down as f64 / (DUPLEX_RATE * duplex.seconds);
    let flows = if share >= LEAST_SHARE_DOWN { Answer::Yes } else { Answer::Unclear };
    Answer::from(counts).and(flows).decides(Standing::Holds, Standing::DoesNotHold)
}

/// Runs it.
pub async fn run(seed: u64) -> anyhow::Result<Experiment> {
    let mut found = Vec::new();
    for delay_ms in DELAYS_MS {
        for transport in TRANSPORTS {
            let mut bench = Bench::open(&Setup { seed, ..Setup::default() }).await?;
            let network = Network::with_delay(Duration::from_millis(delay_ms));
            let target = Target { network, headers: Headers::Browser, ..bench.target.clone() };
            let (round_trips_ms, sent) = match transport {
                Transport::WebSocket => frames(target).await?,
                _ => posts(&mut bench, transport, target).await?,
            };
            let each = |count: u64| count as f64 / MESSAGES as f64;
            let (bytes, requests) = (each(sent.wire_bytes()), each(sent.requests));
            found.push(Upstream { transport, delay_ms, round_trips_ms, bytes, requests });
        }
    }
    let duplex = duplex(seed).await?;
    Ok(work_out(&found, &duplex))
}

/// Sends by POST, on a connection beside the one that events come on.
async fn posts(bench: &mut Bench, transport: Transport, target: Target) -> anyhow::Result<(Vec<f64>, Ledger)> {
    let link = Link::new(target.network, 7, None)?;
    let ledger = SharedLedger::default();
    let mut wire = Counted::connect(target.place.address, Some(link), None, ledger.clone()).await?;
    let head = headers::post(target.headers, &target.place, "/publish", MESSAGE.len());
    let request = format!("{head}\r\n{MESSAGE}");
    let crowd = bench.gather(transport, target.clone(), 1).await?;
    // So that a long poll is waiting.
    tokio::time::sleep(target.network.delay() * 4).await;
    let mut round_trips_ms = Vec::new();
    for number in 1..=MESSAGES {
        let sent = clock::now_ns();
        let there = crowd.have_by(number, sent + PATIENCE.as_nanos() as u64);
        let (answered, there) = tokio::join!(post(&mut wire, request.as_bytes()), there);
        answered?;
        ensure!(there, "message {number} never came back over {transport}");
        let came = received(&crowd, number).context("it has just come")?;
        round_trips_ms.push((came - sent) as f64 / 1e6);
    }
    let sent = *ledger.borrow();
    crowd.leave().await;
    Ok((round_trips_ms, sent))
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
async fn frames(target: Target) -> anyhow::Result<(Vec<f64>, Ledger)> {
    let mut subscriber = subscriber(&target).await?;
    let (mut round_trips_ms, mut ledger) = (Vec::new(), Ledger::default());
    for number in 1..=MESSAGES {
        let sent = clock::now_ns();
        let framing = subscriber.wire.ledger()[Layer::Framing];
        websocket::publish(&mut subscriber, MESSAGE).await?;
        // Up to here the frame that was sent is all that was explained; what comes down is the event.
        ledger.sent_bytes += subscriber.wire.ledger()[Layer::Framing] - framing;
        while subscriber.cursor() < Cursor(number) {
            websocket::event(&mut subscriber).await?;
        }
        let came = subscriber.recorder.borrow().samples.last().context("it has just come")?.received;
        round_trips_ms.push((came - sent) as f64 / 1e6);
    }
    Ok((round_trips_ms, ledger))
}

/// Both directions at once on one connection, and a connection on which nothing was asked.
pub struct Duplex {
    /// Events that came down.
    pub down: u64,
    /// Messages that went up.
    pub up: u64,
    /// Requests that the server counted.
    pub requests: u64,
    /// Connections that it accepted.
    pub connections: u64,
    /// How long it took.
    pub seconds: f64,
    /// How long each message took until it was back, in ms.
    pub round_trip_ms: f64,
    /// Bytes that the server sent over HTTP to a client that asked for nothing, while events were published.
    pub unasked_bytes: u64,
}

/// Sends messages on a connection over which a busy feed comes down.
async fn duplex(seed: u64) -> anyhow::Result<Duplex> {
    let mut bench = Bench::open(&Setup { seed, rate: DUPLEX_RATE, ..Setup::default() }).await?;
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
    let seconds = (clock::now_ns() - began) as f64 / 1e9;
    let unasked_bytes = unasked(&bench.target).await?;
    Ok(Duplex {
        down,
        up,
        requests: spent.requests,
        connections: spent.accepts,
        seconds,
        round_trip_ms: total_ns as f64 / MESSAGES as f64 / 1e6,
        unasked_bytes,
    })
}

/// Bytes that come over a connection on which nothing is asked.
async fn unasked(target: &Target) -> anyhow::Result<u64> {
    let mut stream = TcpStream::connect(target.place.address).await?;
    let mut buffer = [0; 4 << 10];
    match timeout(SILENT, stream.read(&mut buffer)).await {
        Ok(read) => Ok(read? as u64),
        Err(_) => Ok(0),
    }
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
        short(post.round_trip_ms()),
        short(frame.round_trip_ms()),
        post.delay_ms,
    );
    let duplex_figure = format!(
        "At {DUPLEX_RATE} events/s to 1 subscriber: {} events down and {} messages up in {} s, on {} connection with {} request; each \
         message was back after {} ms. Over HTTP without a request: {} bytes",
        duplex.down,
        duplex.up,
        short(duplex.seconds),
        duplex.connections,
        duplex.requests,
        short(duplex.round_trip_ms),
        duplex.unasked_bytes,
    );
    // H + M = DEAR (F + M), where H are a POST's heads, F is the frame's header and M the message.
    let beside = |sent: &Upstream| sent.bytes - MESSAGE.len() as f64;
    let even_at = (beside(post) - DEAR * beside(frame)) / (DEAR - 1.0);
    let sending = Sending {
        bytes: post.bytes / frame.bytes,
        time: statistics::ratio(&post.round_trips_ms, &frame.round_trips_ms).into(),
    };
    let lines = TRANSPORTS.map(|transport| {
        let points = found.iter().filter(|sent| sent.transport == transport);
        line(transport, points.map(|sent| Point::new(sent.delay_ms as f64, sent.round_trip_ms())).collect())
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
                        short(sent.round_trip_ms()),
                        short(sent.bytes),
                        short(sent.requests),
                    ]
                })
                .collect(),
        }],
        verdicts: vec![
            Verdict {
                figure: format!("{figure}: {} times as long", sending.time.in_words()),
                why: "It takes many bytes, and a second connection or a free one; while a connection stands, the message is back as \
                      fast."
                    .into(),
                prediction: "A message upstream takes more bytes, requests and time by POST than in a frame.".into(),
                refuted_by: format!(
                    "A POST of at most {DEAR} times the bytes of a frame. It holds only within limits where the message is back in less \
                     than {SLOW} times the time."
                ),
                working_point: format!(
                    "1 subscriber, {MESSAGES} messages of {} B one after another, no other events, a browser's headers, connections \
                     that stand, {} ms of delay each way.",
                    MESSAGE.len(),
                    post.delay_ms,
                ),
                turns_at: format!(
                    "The ratio of bytes falls to {DEAR} at messages of about {} B, since a POST's heads are as long as before. The time \
                     turns where no connection stands: opening one takes a round trip more (see keep-alive).",
                    short(even_at),
                ),
                ..verdict(9, hard_to_send(&sending))
            },
            Verdict {
                figure: duplex_figure,
                why: "After the handshake either side sends when it likes, without asking.".into(),
                prediction: "Events come down and messages go up on one WebSocket with the one request of its handshake; over HTTP \
                             nothing comes without a request."
                    .into(),
                refuted_by: "A second request or connection, no event while messages go up, or a byte over HTTP to a client that asked \
                             for nothing."
                    .into(),
                working_point: format!(
                    "1 subscriber, {DUPLEX_RATE} events/s of 200 B down, {MESSAGES} messages of {} B up, one each 20 ms, loopback.",
                    MESSAGE.len()
                ),
                turns_at: "Does not turn with the load. Over HTTP, streaming comes down unasked after one request; upstream needs \
                           another."
                    .into(),
                ..verdict(11, full_duplex(duplex))
            },
        ],
        method: vec![
            "A POST bears a browser's headers, goes over a connection that stands, and its answer is waited for beside the event."
                .into(),
        ],
        ..Experiment::default()
    }
}
