//! Socket.IO: opens a session by long polling, connects to the namespace, and continues on a WebSocket.
//!
//! The library opens a second connection for the WebSocket, so that polls can continue until it works. This client upgrades the connection
//! that has polled. So it needs as many round trips as the library until the first event on the WebSocket, but a connection fewer.

use protocol::Layer;
use protocol::envelope::engine_io::{self, Kind};
use protocol::envelope::socket_io::{Packet, Type, parse};
use protocol::transport::BrowserApi;
use serde::Deserialize;

use super::frames;
use crate::fault::Fault;
use crate::subscriber::{Subscriber, headers};
use crate::target::poll::Values;

/// The settings in the packet that opens a session.
#[derive(Deserialize)]
struct Settings {
    sid: String,
}

/// Opens the session, connects with the cursor, and upgrades to a WebSocket.
pub async fn open(subscriber: &mut Subscriber) -> Result<(), Fault> {
    let after = subscriber.after();
    let path = subscriber.target.path_of(subscriber.transport).to_string();
    let polling = format!("{path}?EIO={}&transport=polling", engine_io::VERSION);
    let opened = request(subscriber, &polling, None).await?;
    let settings = match engine_io::parse(&opened)? {
        (Kind::Open, text) => serde_json::from_slice::<Settings>(text)?,
        _ => return Err(unexpected(&opened)),
    };
    let session = format!("{polling}&sid={}", settings.sid);
    let auth = format!("{{\"after\":\"{after}\"}}");
    let connect = Packet { kind: Type::Connect, namespace: "/".into(), id: None, data: auth.as_bytes() };
    request(subscriber, &session, Some(&connect.encode())).await?;
    let connected = request(subscriber, &session, None).await?;
    match engine_io::parse(&connected)? {
        (Kind::Message, text) if parse(text)?.kind == Type::Connect => {}
        _ => return Err(unexpected(&connected)),
    }
    let upgrade = format!("{path}?EIO={}&transport=websocket&sid={}", engine_io::VERSION, settings.sid);
    let upgrade = subscriber.target.get_target(subscriber.transport, &upgrade);
    frames::upgrade(subscriber, upgrade).await?;
    frames::send(subscriber, &engine_io::encode(Kind::Ping, b"probe")).await?;
    let reply = frames::text(subscriber).await?;
    if reply != engine_io::encode(Kind::Pong, b"probe") {
        return Err(unexpected(&reply));
    }
    frames::send(subscriber, &engine_io::encode(Kind::Upgrade, b"")).await
}

/// Handles a message without an event: replies to a ping.
pub async fn control(subscriber: &mut Subscriber, text: &[u8]) -> Result<(), Fault> {
    match engine_io::parse(text)? {
        (Kind::Ping, _) => frames::reply(subscriber, &engine_io::encode(Kind::Pong, b"")).await,
        (Kind::Noop, _) => Ok(()),
        _ => Err(Fault::Ended(String::from_utf8_lossy(text).into())),
    }
}

/// Sends a request of the opening, with a body or without one, and returns the body of its response.
async fn request(subscriber: &mut Subscriber, target: &str, body: Option<&[u8]>) -> Result<Vec<u8>, Fault> {
    let mut request = match body {
        None => headers::get(subscriber.target.headers, BrowserApi::Fetch, &subscriber.target.endpoint, target),
        Some(body) => headers::post(subscriber.target.headers, &subscriber.target.endpoint, target, body.len()),
    };
    subscriber.target.source.iter().for_each(|source| request.push_str(&source.header_lines(&Values::new())));
    request.push_str("\r\n");
    let bytes = [request.as_bytes(), body.unwrap_or_default()].concat();
    let wire = &mut subscriber.wire;
    wire.request(&bytes).await?;
    let head = wire.head().await?;
    let length = head.length.unwrap_or(0);
    while wire.received.len() < length {
        wire.fill().await?;
    }
    let response = wire.received.split_to(length);
    wire.attribute_request(Layer::Handshake);
    wire.attribute(Layer::Handshake, head.bytes + length);
    if head.status == 200 { Ok(response.to_vec()) } else { Err(Fault::Status(head.status)) }
}

fn unexpected(packet: &[u8]) -> Fault {
    Fault::NotHttp(format!("the packet {:?}", String::from_utf8_lossy(packet)))
}
