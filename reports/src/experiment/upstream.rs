//! Upstream: a subscriber sends a message to all, by POST over the HTTP transports and in a frame over WebSocket.

use anyhow::Context;
use protocol::Transport;
use protocol::experiment::{Drawing, Experiment, Lines, Point, Status, Table, Verdict};
use protocol::facts::upstream::{Duplex, Sender, UpstreamFacts};

use super::claims::verdict;
use super::draw::{axis, line};
use super::evidence::{Answer, Estimate};
use crate::number::short;
use crate::statistics;

/// Claim 9: the ratio of bytes above which sending by POST counts as expensive, and the ratio of times from which it counts as slow too.
const MAX_BYTES_RATIO: f64 = 2.0;
const MAX_TIME_RATIO: f64 = 1.5;
/// Claim 11: the smallest share of the offered events that must arrive while messages are sent.
const MIN_SHARE_DOWN: f64 = 0.5;

/// Means over the messages of a sender.
pub(crate) struct Means {
    round_trip_ms: f64,
    /// Bytes on the wire of a message.
    pub bytes: f64,
    requests: f64,
}

impl Means {
    /// The means of a sender.
    pub(crate) fn of(sender: &Sender) -> Self {
        let messages = sender.round_trips_ms.len() as f64;
        Self {
            round_trip_ms: sender.round_trips_ms.iter().sum::<f64>() / messages,
            bytes: sender.wire_bytes as f64 / messages,
            requests: sender.requests as f64 / messages,
        }
    }
}

/// The figures that decide claim 9.
pub struct Sending {
    /// The ratio of the bytes of a message by POST to those of one in a frame: an exact count.
    pub bytes: f64,
    /// The ratio of the time until the sender receives the message as an event, by POST to that in a frame.
    pub time: Estimate,
}

/// Claim 9: over long polling and streaming it is hard to send from the client to the server.
pub fn hard_to_send(sending: &Sending) -> Status {
    if sending.bytes > MAX_BYTES_RATIO {
        // Expensive in bytes; slow as well, or only that.
        sending.time.below(MAX_TIME_RATIO).decides(Status::HoldsWithinLimits, Status::Holds)
    } else {
        Status::DoesNotHold
    }
}

/// Claim 11: HTTP sends only in response to a request; WebSocket is full duplex.
pub fn full_duplex(duplex: &Duplex) -> Status {
    let counts = duplex.connections == 1 && duplex.requests == 1 && duplex.unasked_bytes == 0 && duplex.down > 0;
    let share = duplex.down as f64 / (duplex.rate * duplex.seconds);
    let flows = if share >= MIN_SHARE_DOWN { Answer::Yes } else { Answer::Unclear };
    Answer::from(counts).and(flows).decides(Status::Holds, Status::DoesNotHold)
}

pub fn derive(facts: &UpstreamFacts) -> anyhow::Result<Experiment> {
    let UpstreamFacts { message_bytes, senders, duplex } = facts;
    let farthest = |transport: Transport| {
        let found = senders.iter().rfind(|sender| sender.transport == transport);
        found.with_context(|| format!("{transport} is missing"))
    };
    let (by_post, in_frame) = (farthest(Transport::Ndjson)?, farthest(Transport::WebSocket)?);
    let (post, frame) = (Means::of(by_post), Means::of(in_frame));
    let messages = by_post.round_trips_ms.len();
    let figure = format!(
        "A message of {message_bytes} B upstream: {} B and {} request by POST, {} B and {} requests in a frame; received as an event after \
         {} and {} ms at {} ms of delay",
        short(post.bytes),
        short(post.requests),
        short(frame.bytes),
        short(frame.requests),
        short(post.round_trip_ms),
        short(frame.round_trip_ms),
        by_post.delay_ms,
    );
    let duplex_figure = format!(
        "At {} events/s to 1 subscriber: {} events down and {} messages up in {} s, on {} connection with {} request; each message was \
         received as an event after {} ms. Over HTTP without a request: {} bytes",
        duplex.rate,
        duplex.down,
        duplex.up,
        short(duplex.seconds),
        duplex.connections,
        duplex.requests,
        short(duplex.round_trip_ms),
        duplex.unasked_bytes,
    );
    // H + M = R (F + M), where H are a POST's headers, F is the frame's header, M the message and R the ratio.
    let overhead = |means: &Means| means.bytes - *message_bytes as f64;
    let even_at = (overhead(&post) - MAX_BYTES_RATIO * overhead(&frame)) / (MAX_BYTES_RATIO - 1.0);
    let sending = Sending {
        bytes: post.bytes / frame.bytes,
        time: statistics::ratio(&by_post.round_trips_ms, &in_frame.round_trips_ms).into(),
    };
    let lines = Transport::ALL.into_iter().map(|transport| {
        let senders = senders.iter().filter(|sender| sender.transport == transport);
        let point = |sender: &Sender| Point::new(sender.delay_ms as f64, Means::of(sender).round_trip_ms);
        line(transport, senders.map(point).collect())
    });
    let row = |sender: &Sender| {
        let means = Means::of(sender);
        vec![
            sender.transport.label().into(),
            sender.delay_ms.to_string(),
            short(means.round_trip_ms),
            short(means.bytes),
            short(means.requests),
        ]
    };
    Ok(Experiment {
        title: "Upstream: a message from one to all".into(),
        question: "What does it cost a subscriber to send a message?".into(),
        answer: vec![format!("{figure}."), format!("{duplex_figure}.")],
        drawings: vec![Drawing::Lines(Lines {
            name: "upstream".into(),
            title: "From sending a message to receiving it as an event".into(),
            caption: format!(
                "The mean of {messages} messages, one after another, on open connections. A POST costs more bytes and a request, but not \
                 more time."
            ),
            x: axis("one-way delay in ms", true),
            y: axis("from sending to receiving, in ms", true),
            lines: lines.filter(|line| !line.points.is_empty()).collect(),
        })],
        tables: vec![Table {
            title: "One message upstream".into(),
            columns: ["subscribed over", "delay, ms", "received after, ms", "bytes", "requests"].map(Into::into).to_vec(),
            rows: senders.iter().map(row).collect(),
        }],
        verdicts: vec![
            Verdict {
                figure: format!("{figure}: {} times as long", sending.time.in_words()),
                why: "A POST takes many bytes, and a second or an unused connection; on an open connection the message is received as \
                      fast as in a frame."
                    .into(),
                prediction: "A message upstream takes more bytes, requests and time by POST than in a frame.".into(),
                refuted_by: format!(
                    "A POST of at most {MAX_BYTES_RATIO} times the bytes of a frame. The claim holds only within limits where the message is \
                     received in less than {MAX_TIME_RATIO} times the time."
                ),
                working_point: format!(
                    "1 subscriber, {messages} messages of {message_bytes} B one after another, no other events, a browser's headers, open \
                     connections, {} ms of delay each way.",
                    by_post.delay_ms,
                ),
                turns_at: format!(
                    "The ratio of bytes falls to {MAX_BYTES_RATIO} at messages of about {} B, since the headers of a POST stay as long. The \
                     ratio of times changes where no connection is open: opening one takes a round trip more (see keep-alive).",
                    short(even_at),
                ),
                ..verdict(9, hard_to_send(&sending))
            },
            Verdict {
                figure: duplex_figure,
                why: "After the handshake either side can send at any time, without a request.".into(),
                prediction: "Events come down and messages go up on one WebSocket with the one request of its handshake; over HTTP \
                             nothing arrives without a request."
                    .into(),
                refuted_by: "A second request or connection, no event while messages are sent, or a byte over HTTP to a client that sent \
                             no request."
                    .into(),
                working_point: format!(
                    "1 subscriber, {} events/s of 200 B down, {} messages of {message_bytes} B up, one every 20 ms, loopback.",
                    duplex.rate, duplex.up
                ),
                turns_at: "Does not change with the load. Over HTTP, a stream brings events after one request; a message upstream needs \
                           another."
                    .into(),
                ..verdict(11, full_duplex(duplex))
            },
        ],
        method: vec![
            "A POST has a browser's headers and is sent on an open connection; the client waits for its response besides the event.".into(),
        ],
        ..Experiment::default()
    })
}
