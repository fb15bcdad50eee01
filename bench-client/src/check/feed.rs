//! What the requirements of all exercises have in common: publishing, events, and what is demanded of them.

use std::time::Duration;

use serde_json::Value;

use super::wire::{Fault, Outcome, Server, Wire};

/// How soon a new event must come.
pub const SOON: Duration = Duration::from_secs(1);
/// How long an idle connection may be silent.
pub const HEARTBEAT: Duration = Duration::from_secs(35);
/// A cursor that no feed has reached.
pub const FUTURE: u64 = 1_000_000_000;
/// A text in which each character might be changed by a careless server.
pub const DIFFICULT: &str = "\"quotes\", \\ and \n line breaks, \r, \t, 한글, \u{1f600}, \u{2028}, </script>";
/// The events that a slow reader leaves unread, and their size in bytes: more than the buffers of its connection hold.
const UNREAD: (u64, usize) = (300, 32 << 10);

/// An event that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its sequence number.
    pub seq: u64,
    /// Its payload.
    pub data: String,
}

impl Server {
    /// Publishes a text; returns the event's sequence number.
    ///
    /// # Errors
    /// When the server does not accept it.
    pub fn publish(&self, text: &str) -> Result<u64, Fault> {
        self.publish_on(&mut None, text)
    }

    /// Publishes a text on this connection, or on a new one where there is none; leaves none if the server ends it afterwards.
    ///
    /// # Errors
    /// When the server does not accept it.
    pub fn publish_on(&self, connection: &mut Option<Wire>, text: &str) -> Result<u64, Fault> {
        let mut wire = connection.take().map_or_else(|| Wire::open(self), Ok)?;
        wire.again(self, "POST", "/publish", &[], text.as_bytes())?;
        let (head, body) = wire.response()?;
        let seq = serde_json::from_str::<Value>(&body).ok().and_then(|json| json["seq"].as_u64());
        match (head.status, seq) {
            (202, Some(seq)) => {
                *connection = (!head.is_last).then_some(wire);
                Ok(seq)
            }
            (status, _) => Err(wire.fault(format!("{status}, {body:?}"))),
        }
    }

    /// Publishes numbered texts; returns their sequence numbers.
    ///
    /// # Errors
    /// When the server does not accept one.
    pub fn publish_all(&self, count: u64) -> Result<Vec<u64>, Fault> {
        (0..count).map(|number| self.publish(&format!("text {number}"))).collect()
    }
}

/// Parses the JSON of an event.
///
/// # Errors
/// What came instead.
pub fn event(json: &str) -> Result<Event, String> {
    let value: Value = serde_json::from_str(json).map_err(|error| format!("{json:?}, which is no JSON: {error}"))?;
    match (value["seq"].as_u64(), value["at"].as_u64(), value["data"].as_str()) {
        (Some(seq), Some(_), Some(data)) => Ok(Event { seq, data: data.into() }),
        _ => Err(format!("{json:?}, which lacks seq or at as a whole number, or data as a text")),
    }
}

/// Expects the events to be these, in this order.
///
/// # Errors
/// When others came on the connection.
pub fn expect(wire: &Wire, events: &[Event], wanted: &[u64]) -> Outcome {
    if events.iter().map(|event| event.seq).eq(wanted.iter().copied()) {
        return Ok(());
    }
    let came: Vec<String> = events.iter().map(|event| event.seq.to_string()).collect();
    let came = if came.is_empty() { "no event".into() } else { format!("events {}", came.join(", ")) };
    Err(wire.fault(format!("{came}, instead of {wanted:?}")))
}

/// Publishes many large events on one connection, while a client that the caller has connected reads nothing. A server that says that it ends
/// the connection gets new ones: that fails U7 and nothing else. `receive` expects the event with a number at
/// another client.
///
/// # Errors
/// When the server does not accept an event, or the other client does not get it in time.
pub fn beside_slow_reader(server: &Server, mut receive: impl FnMut(u64) -> Outcome) -> Outcome {
    let text = "x".repeat(UNREAD.1);
    let told = |at: &str, fault: Fault| Fault {
        sent: format!("{} events of {} KiB, while a client reads nothing", UNREAD.0, UNREAD.1 >> 10),
        came: format!("{at}: {}", fault.came),
    };
    let mut connection = None;
    for _ in 0..UNREAD.0 {
        let seq = server.publish_on(&mut connection, &text).map_err(|fault| told("at POST /publish", fault))?;
        receive(seq).map_err(|fault| told("at another client", fault))?;
    }
    Ok(())
}
