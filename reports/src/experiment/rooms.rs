//! Messages to some of the clients: what rooms on the server spare.

use anyhow::Context;
use protocol::experiment::{Drawing, Experiment, Lines, Point, Status, Table, Verdict};
use protocol::facts::rooms::{Addressed, RoomsFacts, Sent};

use super::claims::verdict;
use super::draw::{axis, labelled};
use crate::number::{short, thousands};

/// How many times as much CPU time a filter must cost, where few clients are addressed, for rooms to be needed.
const MIN_RATIO: f64 = 2.0;

/// Claim 47: a message to some of the clients needs rooms on the server. `few` is the server's CPU time with a filter, over that with a room, for the
/// fewest addressees. It can hold within limits only, as both ways send the same where a message is for all clients.
pub fn needs_rooms(few: Option<f64>) -> Status {
    match few {
        Some(few) if few >= MIN_RATIO => Status::HoldsWithinLimits,
        Some(_) => Status::DoesNotHold,
        None => Status::NotMeasurable,
    }
}

/// Derives the experiment from its facts.
///
/// # Errors
/// When no message was sent.
pub fn derive(facts: &RoomsFacts) -> anyhow::Result<Experiment> {
    let RoomsFacts { clients, messages, message_bytes, addressed } = facts;
    let (few, all) = addressed.first().zip(addressed.last()).context("no message was sent")?;
    let each = |total: f64| total / f64::from((*messages).max(1));
    let bytes = |sent: &Sent| each(sent.received_bytes as f64);
    let cpu_us = |sent: &Sent| each(sent.server_cpu_ms * 1e3);
    let mean_ms = |sent: &Sent| sent.ms.iter().sum::<f64>() / sent.ms.len().max(1) as f64;
    let ratio = |addressed: &Addressed| {
        (addressed.by_room.server_cpu_ms > 0.0)
            .then(|| addressed.by_filter.server_cpu_ms / addressed.by_room.server_cpu_ms)
    };
    let drawing = |name: &str, title: &str, label: &str, of: &dyn Fn(&Sent) -> f64| {
        let points = |side: fn(&Addressed) -> &Sent| {
            addressed.iter().map(|one| Point::new(f64::from(one.addressees), of(side(one)))).collect()
        };
        Drawing::Lines(Lines {
            name: name.into(),
            title: title.into(),
            caption: format!(
                "{} clients of Socket.IO; a message of {message_bytes} bytes to some of them: the mean of {messages}.",
                thousands(u64::from(*clients))
            ),
            x: axis("addressees of a message", true),
            y: axis(label, true),
            lines: vec![labelled("room", points(|one| &one.by_room)), labelled("filter", points(|one| &one.by_filter))],
        })
    };
    let row = |one: &Addressed| {
        vec![
            thousands(u64::from(one.addressees)),
            short(bytes(&one.by_room)),
            short(bytes(&one.by_filter)),
            short(cpu_us(&one.by_room)),
            short(cpu_us(&one.by_filter)),
            short(mean_ms(&one.by_room)),
            short(mean_ms(&one.by_filter)),
        ]
    };
    let figure = format!(
        "A message for {} of {} clients takes {} B with a room, and {} B where each client filters; the server uses {} us of CPU time \
         instead of {} us. For all clients: {} B and {} B",
        few.addressees,
        thousands(u64::from(*clients)),
        short(bytes(&few.by_room)),
        short(bytes(&few.by_filter)),
        short(cpu_us(&few.by_room)),
        short(cpu_us(&few.by_filter)),
        short(bytes(&all.by_room)),
        short(bytes(&all.by_filter)),
    );
    Ok(Experiment {
        title: "A message to some: rooms on the server, or a filter at each client".into(),
        question: "What does it cost to send a message to some of the clients?".into(),
        answer: vec![format!("{figure}.")],
        drawings: vec![
            drawing("rooms-bytes", "Bytes of a message to some of the clients", "bytes received per message", &bytes),
            drawing("rooms-cpu", "Server CPU time of a message to some of the clients", "us per message", &cpu_us),
        ],
        tables: vec![Table {
            title: "A message".into(),
            columns: [
                "addressees",
                "bytes, room",
                "bytes, filter",
                "CPU us, room",
                "CPU us, filter",
                "until the last, ms, room",
                "until the last, ms, filter",
            ]
            .map(Into::into)
            .to_vec(),
            rows: addressed.iter().map(row).collect(),
        }],
        verdicts: vec![Verdict {
            figure,
            why: "With a room, the server sends a message to its members only. With a filter, every client receives every message, and \
                  also learns what is not for it."
                .into(),
            prediction: "A message to few of the clients takes the server far less CPU time with a room than with a filter.".into(),
            refuted_by: format!(
                "A filter that costs the server less than {MIN_RATIO} times the CPU time of a room for {} of {} clients. Otherwise the claim holds \
                 within limits, as both ways are the same for a message to all. The bytes follow from the numbers of receivers.",
                few.addressees, clients
            ),
            working_point: format!(
                "{} clients, {messages} messages of {message_bytes} B one after another, loopback.",
                thousands(u64::from(*clients))
            ),
            turns_at: "The ratio of bytes is that of all clients to the addressees, so rooms spare nothing where a message is for all.".into(),
            ..verdict(47, needs_rooms(ratio(few)))
        }],
        method: vec![
            "The message is encoded once and shared by all its receivers, with a room and without.".into(),
            "Bytes are counted at the clients' sockets. The sender and its acknowledgements are not among them.".into(),
        ],
        ..Experiment::default()
    })
}
