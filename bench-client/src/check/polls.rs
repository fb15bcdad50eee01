//! Requirements on polling and long polling.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::Requirement;
use super::feed::{DIFFICULT, Event, FUTURE, SOON, event, expect};
use super::http::Head;
use super::publishing::status;
use super::wire::{Fault, Outcome, STEP, Server, Wire};

/// How long a long poll without an event must wait at least.
const WAITS: Duration = Duration::from_millis(400);

/// Those on polling.
pub const POLLING: &[Requirement] = &[
    Requirement {
        id: "P1",
        points: 2,
        text: "Without a new event, GET /poll?after=N is answered at once with 204",
        see: "RFC 9110, section 15.3.5",
        run: nothing_new,
    },
    Requirement {
        id: "P2",
        points: 3,
        text: "A poll is answered with 200 and all events after its cursor, each once and in order, as a line of JSON each",
        see: "the cursor is the number of the last event that was received; RFC 6202 describes polls",
        run: |server| everything(server, "/poll"),
    },
    Requirement {
        id: "P3",
        points: 2,
        text: "A poll with a later cursor has only the events after that",
        see: "the cursor is the number of the last event that was received",
        run: |server| resumed(server, "/poll"),
    },
    Requirement {
        id: "P4",
        points: 1,
        text: "The header Cursor of the response is the cursor of the next poll",
        see: "a client need not parse the events to go on",
        run: |server| cursor(server, "/poll"),
    },
    Requirement {
        id: "P5",
        points: 2,
        text: "A cursor beyond the newest event is answered with 410 and JSON with a gap",
        see: "RFC 9110, section 15.5.11",
        run: |server| gap(server, "/poll"),
    },
    Requirement {
        id: "P6",
        points: 1,
        text: "A cursor that is not a number is refused with 400",
        see: "RFC 9110, section 15.5.1",
        run: |server| status(server, "GET", "/poll?after=x", b"", 400),
    },
    Requirement {
        id: "P7",
        points: 2,
        text: "An event has the text that was published, with quotes, line breaks and letters of every language",
        see: "RFC 8259, section 7",
        run: |server| unchanged(server, "/poll"),
    },
];

/// Those on long polling.
pub const LONG_POLLING: &[Requirement] = &[
    Requirement {
        id: "L1",
        points: 2,
        text: "Without a new event, GET /long-poll?after=N is not answered yet",
        see: "RFC 6202, section 2",
        run: waits,
    },
    Requirement {
        id: "L2",
        points: 3,
        text: "A long poll that waits is answered with the next event as soon as there is one",
        see: "RFC 6202, section 2.1",
        run: answered,
    },
    Requirement {
        id: "L3",
        points: 3,
        text: "A long poll is answered at once with all events after its cursor, each once and in order",
        see: "events that come while no request waits must not be lost",
        run: |server| everything(server, "/long-poll"),
    },
    Requirement {
        id: "L4",
        points: 2,
        text: "A long poll with a later cursor has only the events after that",
        see: "the cursor is the number of the last event that was received",
        run: |server| resumed(server, "/long-poll"),
    },
    Requirement {
        id: "L5",
        points: 2,
        text: "Two clients that wait at the same time both get the event",
        see: "an answer to one client is no answer to the other",
        run: both,
    },
    Requirement {
        id: "L6",
        points: 1,
        text: "The header Cursor of the response is the cursor of the next long poll",
        see: "a client need not parse the events to go on",
        run: |server| cursor(server, "/long-poll"),
    },
    Requirement {
        id: "L7",
        points: 2,
        text: "A cursor beyond the newest event is answered with 410 and JSON with a gap",
        see: "RFC 9110, section 15.5.11",
        run: |server| gap(server, "/long-poll"),
    },
    Requirement {
        id: "L8",
        points: 1,
        text: "A cursor that is not a number is refused with 400",
        see: "RFC 9110, section 15.5.1",
        run: |server| status(server, "GET", "/long-poll?after=x", b"", 400),
    },
    Requirement {
        id: "L9",
        points: 1,
        text: "A client that goes away while it waits does not disturb the others",
        see: "a response to a client that is gone fails, which must not end the server",
        run: abandoned,
    },
];

/// The events of a response, a line each, whose headers have come.
fn events(wire: &mut Wire, head: &Head) -> Result<Vec<Event>, Fault> {
    if head.status != 200 {
        return Err(wire.fault(format!("status {}", head.status)));
    }
    let body = wire.body(head)?;
    let lines = body.lines().filter(|line| !line.is_empty());
    lines.map(|line| event(line).map_err(|came| wire.fault(came))).collect()
}

fn poll(server: &Server, path: &str, after: u64) -> Result<(Wire, Vec<Event>), Fault> {
    let mut wire = Wire::request(server, "GET", &format!("{path}?after={after}"), &[], b"")?;
    let head = wire.head()?;
    let events = events(&mut wire, &head)?;
    Ok((wire, events))
}

fn nothing_new(server: &Server) -> Outcome {
    let last = server.publish("the last one")?;
    let mut wire = Wire::request(server, "GET", &format!("/poll?after={last}"), &[], b"")?;
    let head = wire.head_within(SOON)?;
    if head.status == 204 { Ok(()) } else { Err(wire.fault(format!("status {}", head.status))) }
}

fn everything(server: &Server, path: &str) -> Outcome {
    let before = server.publish("before")?;
    let wanted = server.publish_all(20)?;
    let (wire, events) = poll(server, path, before)?;
    expect(&wire, &events, &wanted)
}

fn resumed(server: &Server, path: &str) -> Outcome {
    let seqs = server.publish_all(6)?;
    let (wire, events) = poll(server, path, seqs[2])?;
    expect(&wire, &events, &seqs[3..])
}

fn cursor(server: &Server, path: &str) -> Outcome {
    let seqs = server.publish_all(3)?;
    let mut wire = Wire::request(server, "GET", &format!("{path}?after={}", seqs[0]), &[], b"")?;
    let head = wire.head()?;
    match head.header("Cursor") {
        Some(cursor) if cursor == seqs[2].to_string() => Ok(()),
        found => Err(wire.fault(format!("Cursor: {}, where the last event is {}", found.unwrap_or("(none)"), seqs[2]))),
    }
}

fn gap(server: &Server, path: &str) -> Outcome {
    let mut wire = Wire::request(server, "GET", &format!("{path}?after={FUTURE}"), &[], b"")?;
    let (head, body) = wire.response()?;
    let has_gap = serde_json::from_str::<Value>(&body).is_ok_and(|json| json["gap"].is_object());
    match (head.status, has_gap) {
        (410, true) => Ok(()),
        (status, _) => Err(wire.fault(format!("status {status}, {body:?}"))),
    }
}

fn unchanged(server: &Server, path: &str) -> Outcome {
    let seq = server.publish(DIFFICULT)?;
    let (wire, events) = poll(server, path, seq.saturating_sub(1))?;
    match events.as_slice() {
        [event] if event.data == DIFFICULT => Ok(()),
        events => Err(wire.fault(format!("{:?}", events.iter().map(|event| &event.data).collect::<Vec<_>>()))),
    }
}

/// Opens a long poll after the newest event, which must wait.
fn waiting(server: &Server) -> Result<Wire, Fault> {
    let last = server.publish("the last one")?;
    Wire::request(server, "GET", &format!("/long-poll?after={last}"), &[], b"")
}

fn waits(server: &Server) -> Outcome {
    let mut wire = waiting(server)?;
    match wire.fill(Instant::now() + WAITS)? {
        false => Ok(()),
        true => Err(wire.fault(format!(
            "an answer within {} ms: {:?}",
            WAITS.as_millis(),
            String::from_utf8_lossy(&wire.received)
        ))),
    }
}

fn answered(server: &Server) -> Outcome {
    let mut wire = waiting(server)?;
    thread::sleep(WAITS / 2);
    let seq = server.publish("the event that is waited for")?;
    next(&mut wire, seq)
}

/// Expects the answer to a long poll that waited.
fn next(wire: &mut Wire, seq: u64) -> Outcome {
    let head = wire.head_within(SOON)?;
    let events = events(wire, &head)?;
    expect(wire, &events, &[seq])
}

fn both(server: &Server) -> Outcome {
    let mut one = waiting(server)?;
    let last = server.publish("for both")?;
    // The first one has been answered with this event; it waits again.
    one.head_within(STEP).and_then(|head| one.body(&head))?;
    let mut one = Wire::request(server, "GET", &format!("/long-poll?after={last}"), &[], b"")?;
    let mut other = Wire::request(server, "GET", &format!("/long-poll?after={last}"), &[], b"")?;
    thread::sleep(WAITS / 2);
    let seq = server.publish("for both again")?;
    next(&mut one, seq)?;
    next(&mut other, seq)
}

fn abandoned(server: &Server) -> Outcome {
    let last = server.publish("the last one")?;
    let target = format!("/long-poll?after={last}");
    let mut stays = Wire::request(server, "GET", &target, &[], b"")?;
    for _ in 0..20 {
        drop(Wire::request(server, "GET", &target, &[], b"")?);
    }
    thread::sleep(WAITS / 4);
    let seq = server.publish("for the one that stays")?;
    next(&mut stays, seq)
}
