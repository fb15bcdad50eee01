//! Requirements on HTTP streaming and server-sent events.

use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use protocol::envelope::sse;
use serde_json::Value;

use super::Requirement;
use super::feed::{DIFFICULT, Event, FUTURE, HEARTBEAT, SOON, beside_slow_reader, event, expect};
use super::http::Head;
use super::publishing::status;
use super::wire::{Fault, Outcome, STEP, Server, Wire};

/// The form of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// A line of JSON for each event.
    Lines,
    /// Server-sent events.
    Sse,
}

impl Form {
    fn path(self) -> &'static str {
        match self {
            Self::Lines => "/stream",
            Self::Sse => "/sse",
        }
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::Lines => "application/x-ndjson",
            Self::Sse => "text/event-stream",
        }
    }
}

/// Those on HTTP streaming.
pub const STREAM: &[Requirement] = &[
    Requirement {
        id: "S1",
        points: 1,
        text: "GET /stream?after=N is answered with 200, the type application/x-ndjson, and a body that does not end",
        see: "RFC 6202, section 3",
        run: |server| begins(server, Form::Lines),
    },
    Requirement {
        id: "S2",
        points: 3,
        text: "The stream has all events after its cursor, each once and in order, as a line of JSON each",
        see: "RFC 6202, section 3.1",
        run: |server| everything(server, Form::Lines),
    },
    Requirement {
        id: "S3",
        points: 3,
        text: "A new event comes on the open stream as soon as it is published",
        see: "RFC 6202, section 3.2",
        run: |server| live(server, Form::Lines),
    },
    Requirement {
        id: "S4",
        points: 2,
        text: "A stream with a later cursor has only the events after that",
        see: "the cursor is the number of the last event that was received",
        run: |server| resumed(server, Form::Lines),
    },
    Requirement {
        id: "S5",
        points: 2,
        text: "A cursor beyond the newest event is answered with a line that tells a gap",
        see: "a client must learn that events are missing",
        run: |server| gap(server, Form::Lines),
    },
    Requirement {
        id: "S6",
        points: 1,
        text: "A cursor that is not a number is refused with 400",
        see: "RFC 9110, section 15.5.1",
        run: |server| status(server, "GET", "/stream?after=x", b"", 400),
    },
    Requirement {
        id: "S7",
        points: 2,
        text: "An event has the text that was published, with quotes, line breaks and letters of every language",
        see: "RFC 8259, section 7",
        run: |server| unchanged(server, Form::Lines),
    },
    Requirement {
        id: "S8",
        points: 3,
        text: "A client that reads nothing delays no other client: 300 events of 32 KiB come to that within 20 seconds",
        see: "the server must not wait for one socket before it writes to the next",
        run: |server| slow_reader(server, Form::Lines),
    },
    Requirement {
        id: "S9",
        points: 1,
        text: "A client that goes away does not disturb the others",
        see: "a write to its socket fails, which must not end the server",
        run: |server| gone(server, Form::Lines),
    },
];

/// Those on server-sent events.
pub const SSE: &[Requirement] = &[
    Requirement {
        id: "E1",
        points: 1,
        text: "GET /sse?after=N is answered with 200, the type text/event-stream, and a body that does not end",
        see: "WHATWG HTML, section 9.2.3",
        run: |server| begins(server, Form::Sse),
    },
    Requirement {
        id: "E2",
        points: 3,
        text: "The stream has all events after its cursor, each once and in order, as the data of a block each",
        see: "WHATWG HTML, section 9.2.5",
        run: |server| everything(server, Form::Sse),
    },
    Requirement {
        id: "E3",
        points: 3,
        text: "A new event comes on the open stream as soon as it is published",
        see: "a block ends with a blank line; without it, a browser waits",
        run: |server| live(server, Form::Sse),
    },
    Requirement {
        id: "E4",
        points: 2,
        text: "The id of a block is the event's sequence number",
        see: "WHATWG HTML, section 9.2.6: a browser sends it as Last-Event-ID",
        run: ids,
    },
    Requirement {
        id: "E5",
        points: 2,
        text: "A request with the header Last-Event-ID gets only the events after that",
        see: "WHATWG HTML, section 9.2.4: a browser reconnects with it by itself",
        run: last_event_id,
    },
    Requirement {
        id: "E6",
        points: 2,
        text: "A cursor beyond the newest event is answered with an event of the type gap",
        see: "a client must learn that events are missing",
        run: |server| gap(server, Form::Sse),
    },
    Requirement {
        id: "E7",
        points: 1,
        text: "A cursor that is not a number is refused with 400",
        see: "RFC 9110, section 15.5.1",
        run: |server| status(server, "GET", "/sse?after=x", b"", 400),
    },
    Requirement {
        id: "E8",
        points: 2,
        text: "An event has the text that was published, with quotes, line breaks and letters of every language",
        see: "a line break within data would end it, so the JSON must have none",
        run: |server| unchanged(server, Form::Sse),
    },
    Requirement {
        id: "E9",
        points: 3,
        text: "A client that reads nothing delays no other client: 300 events of 32 KiB come to that within 20 seconds",
        see: "the server must not wait for one socket before it writes to the next",
        run: |server| slow_reader(server, Form::Sse),
    },
];

/// Those that wait for a heartbeat.
pub const IDLE: &[Requirement] = &[
    Requirement {
        id: "S10",
        points: 1,
        text: "Something comes on an idle stream at least every 35 seconds: a blank line will do",
        see: "proxies end connections that are silent for too long",
        run: |server| heartbeat(server, Form::Lines),
    },
    Requirement {
        id: "E10",
        points: 1,
        text: "Something comes on an idle stream at least every 35 seconds: a comment will do",
        see: "WHATWG HTML, section 9.2.7",
        run: |server| heartbeat(server, Form::Sse),
    },
];

/// A message of a stream.
enum Message {
    Event(Event, Option<String>),
    Gap,
}

/// An open stream.
struct Stream {
    wire: Wire,
    head: Head,
    form: Form,
    body: BytesMut,
}

impl Stream {
    fn open(server: &Server, form: Form, after: u64) -> Result<Self, Fault> {
        Self::open_with(server, form, &format!("{}?after={after}", form.path()), &[])
    }

    fn open_with(server: &Server, form: Form, target: &str, headers: &[&str]) -> Result<Self, Fault> {
        let mut wire = Wire::request(server, "GET", target, headers, b"")?;
        let head = wire.head()?;
        if head.status != 200 {
            return Err(wire.fault(format!("status {}", head.status)));
        }
        Ok(Self { wire, head, form, body: BytesMut::new() })
    }

    /// The next message; `None` if there is none in time.
    fn next(&mut self, within: Duration) -> Result<Option<Message>, Fault> {
        let deadline = Instant::now() + within;
        loop {
            if let Some(message) = self.parse()? {
                return Ok(Some(message));
            }
            match self.wire.part(&self.head, deadline)? {
                Some(part) if part.is_empty() => return Err(self.wire.fault("the end of the stream")),
                Some(part) => self.body.extend(part),
                None => return Ok(None),
            }
        }
    }

    fn parse(&mut self) -> Result<Option<Message>, Fault> {
        loop {
            let (json, id, kind) = match self.form {
                Form::Lines => {
                    let Some(end) = self.body.iter().position(|&byte| byte == b'\n') else { return Ok(None) };
                    let line = self.body.split_to(end + 1);
                    (String::from_utf8_lossy(line.trim_ascii()).into_owned(), None, None)
                }
                Form::Sse => {
                    let Some((block, length)) = sse::split(&self.body) else { return Ok(None) };
                    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                    let found = (
                        block.data.as_deref().map(text).unwrap_or_default(),
                        block.id.map(text),
                        block.event.map(text),
                    );
                    self.body.advance(length);
                    found
                }
            };
            if json.is_empty() {
                continue;
            }
            let is_gap = serde_json::from_str::<Value>(&json).is_ok_and(|json| json["gap"].is_object());
            if is_gap {
                return match (self.form, kind.as_deref()) {
                    (Form::Sse, kind) if kind != Some("gap") => {
                        Err(self.wire.fault(format!("a gap as an event of the type {}", kind.unwrap_or("message"))))
                    }
                    _ => Ok(Some(Message::Gap)),
                };
            }
            return match event(&json) {
                Ok(event) => Ok(Some(Message::Event(event, id))),
                Err(came) => Err(self.wire.fault(came)),
            };
        }
    }

    /// The next `count` events, as many as come in time.
    fn events(&mut self, count: usize, within: Duration) -> Result<Vec<Event>, Fault> {
        let deadline = Instant::now() + within;
        let mut events = Vec::new();
        while events.len() < count {
            match self.next(deadline.saturating_duration_since(Instant::now()))? {
                Some(Message::Event(event, _)) => events.push(event),
                Some(Message::Gap) => return Err(self.wire.fault("a gap")),
                None => break,
            }
        }
        Ok(events)
    }

    /// Expects these events next, and no others before them.
    fn expect(&mut self, wanted: &[u64], within: Duration) -> Outcome {
        let events = self.events(wanted.len(), within)?;
        expect(&self.wire, &events, wanted)
    }
}

fn begins(server: &Server, form: Form) -> Outcome {
    let last = server.publish("the last one")?;
    let mut stream = Stream::open(server, form, last)?;
    let found = stream.head.header("Content-Type").unwrap_or("(none)").to_string();
    if !found.starts_with(form.content_type()) {
        return Err(stream.wire.fault(format!("Content-Type: {found}")));
    }
    if let Some(length) = stream.head.header("Content-Length") {
        return Err(stream.wire.fault(format!("Content-Length: {length}")));
    }
    // Nothing is published meanwhile, and the connection must stay open.
    stream.next(STEP / 8).map(|_| ())
}

fn everything(server: &Server, form: Form) -> Outcome {
    let before = server.publish("before")?;
    let wanted = server.publish_all(20)?;
    let mut stream = Stream::open(server, form, before)?;
    stream.expect(&wanted, STEP)?;
    match stream.next(STEP / 8)? {
        None => Ok(()),
        Some(Message::Event(event, _)) => {
            Err(stream.wire.fault(format!("event {} after all {} had come", event.seq, wanted.len())))
        }
        Some(Message::Gap) => Err(stream.wire.fault("a gap after all events")),
    }
}

fn live(server: &Server, form: Form) -> Outcome {
    let last = server.publish("the last one")?;
    let mut stream = Stream::open(server, form, last)?;
    for number in 0..3 {
        let seq = server.publish(&format!("live {number}"))?;
        stream.expect(&[seq], SOON)?;
    }
    Ok(())
}

fn resumed(server: &Server, form: Form) -> Outcome {
    let seqs = server.publish_all(6)?;
    Stream::open(server, form, seqs[2])?.expect(&seqs[3..], STEP)
}

fn gap(server: &Server, form: Form) -> Outcome {
    let mut stream = Stream::open(server, form, FUTURE)?;
    match stream.next(STEP)? {
        Some(Message::Gap) => Ok(()),
        Some(Message::Event(event, _)) => Err(stream.wire.fault(format!("event {}", event.seq))),
        None => Err(stream.wire.fault("nothing")),
    }
}

fn unchanged(server: &Server, form: Form) -> Outcome {
    let seq = server.publish(DIFFICULT)?;
    let mut stream = Stream::open(server, form, seq.saturating_sub(1))?;
    match stream.events(1, STEP)?.as_slice() {
        [event] if event.data == DIFFICULT => Ok(()),
        events => Err(stream.wire.fault(format!("{:?}", events.iter().map(|event| &event.data).collect::<Vec<_>>()))),
    }
}

fn ids(server: &Server) -> Outcome {
    let seq = server.publish("with an id")?;
    let mut stream = Stream::open(server, Form::Sse, seq.saturating_sub(1))?;
    match stream.next(STEP)? {
        Some(Message::Event(event, Some(id))) if id == event.seq.to_string() => Ok(()),
        Some(Message::Event(event, id)) => {
            Err(stream.wire.fault(format!("event {} with the id {}", event.seq, id.as_deref().unwrap_or("(none)"))))
        }
        Some(Message::Gap) | None => Err(stream.wire.fault("no event")),
    }
}

fn last_event_id(server: &Server) -> Outcome {
    let seqs = server.publish_all(4)?;
    let header = format!("Last-Event-ID: {}", seqs[1]);
    // As a browser does: the URL still has the cursor with which the stream was opened first.
    let target = format!("/sse?after={}", seqs[0].saturating_sub(1));
    Stream::open_with(server, Form::Sse, &target, &[&header])?.expect(&seqs[2..], STEP)
}

fn slow_reader(server: &Server, form: Form) -> Outcome {
    let last = server.publish("the last one")?;
    let _slow = Stream::open(server, form, last)?;
    let mut other = Stream::open(server, form, last)?;
    beside_slow_reader(server, |seq| {
        other.expect(&[seq], STEP)?;
        // What was read is not held against the bound of a connection.
        other.wire.forget();
        Ok(())
    })
}

fn gone(server: &Server, form: Form) -> Outcome {
    let last = server.publish("the last one")?;
    let mut stays = Stream::open(server, form, last)?;
    for _ in 0..20 {
        drop(Stream::open(server, form, last)?);
    }
    for _ in 0..3 {
        let seq = server.publish("for the one that stays")?;
        stays.expect(&[seq], SOON)?;
    }
    Ok(())
}

fn heartbeat(server: &Server, form: Form) -> Outcome {
    let mut stream = Stream::open(server, form, server.newest)?;
    // What comes at the beginning is no heartbeat.
    let settled = Instant::now() + STEP;
    while let Some(part) = stream.wire.part(&stream.head, settled)? {
        if part.is_empty() {
            return Err(stream.wire.fault("the end of the stream"));
        }
    }
    let deadline = Instant::now() + HEARTBEAT;
    match stream.wire.part(&stream.head, deadline)? {
        Some(part) if !part.is_empty() => Ok(()),
        Some(_) => Err(stream.wire.fault("the end of the stream")),
        None => Err(stream.wire.fault("nothing within 35 s")),
    }
}
