//! STOMP 1.2 over WebSocket: CONNECT, then SUBSCRIBE with the cursor.

use protocol::envelope::stomp::{DESTINATION, SUBSCRIPTION, encode, parse};

use super::frames;
use crate::fault::Fault;
use crate::subscriber::Subscriber;

/// Performs the WebSocket handshake, connects, and subscribes.
pub async fn open(subscriber: &mut Subscriber) -> Result<(), Fault> {
    let after = subscriber.after().to_string();
    let path = subscriber.transport.row().path.unwrap_or_default();
    let request = subscriber.target.get_target(subscriber.transport, path);
    frames::upgrade(subscriber, request).await?;
    let connect = [("accept-version", "1.2"), ("host", "lab"), ("heart-beat", "0,0")];
    frames::send(subscriber, &encode("CONNECT", &connect, b"")).await?;
    let reply = frames::text(subscriber).await?;
    match parse(&reply)? {
        (Some(frame), _) if frame.command == "CONNECTED" => {}
        _ => return Err(ended(&reply)),
    }
    let subscribe = [("id", SUBSCRIPTION), ("destination", DESTINATION), ("after", &after)];
    frames::send(subscriber, &encode("SUBSCRIBE", &subscribe, b"")).await
}

/// Handles a message without an event: a heartbeat, or an error.
pub fn control(text: &[u8]) -> Result<(), Fault> {
    match parse(text)? {
        (None, _) => Ok(()),
        (Some(_), _) => Err(ended(text)),
    }
}

fn ended(frame: &[u8]) -> Fault {
    Fault::Ended(String::from_utf8_lossy(frame).trim_end_matches('\0').replace('\n', " "))
}
