//! WebSocket: a connection upgraded from HTTP that carries frames both ways (RFC 6455).
//!
//! - Initiated by `GET /ws?after=N` with the upgrade's headers (see `upgrade.rs`), answered by 101.
//! - Framed as one text frame an event: two, four or ten bytes before it. Server frames carry no mask, so a frame is made
//!   once and its bytes are written to every subscriber as they are.
//! - Resumed by a new connection with `after`. A gap ends the connection with close code 4410, whose reason names the
//!   cursor to go on from.
//! - Costs the handshake, then the frame header; a ping each 30 s. Text that the client sends is published.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use protocol::clock;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::closing;
use crate::feed::{Feed, Next};
use crate::subscription::Subscription;
use crate::write::write_all;

const HEARTBEAT: Duration = Duration::from_secs(30);
/// How many events are framed ahead of a write; more than this only waits for the next one.
const MOST_FRAMES: usize = 64;

/// Serves one subscriber until either side ends it.
pub async fn session(mut socket: WebSocketStream<TcpStream>, feed: &Feed, mut subscription: Subscription) {
    let mut heartbeat = tokio::time::interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
    let mut frames = Vec::new();
    loop {
        let going = tokio::select! {
            () = subscription.ready() => deliver(&mut socket, &mut subscription, &mut frames).await,
            message = socket.next() => match message {
                Some(message) => receive(&mut socket, feed, message).await,
                None => return,
            },
            _ = heartbeat.tick() => socket.send(Message::Ping(Bytes::new())).await.is_ok(),
        };
        if !going {
            return;
        }
    }
}

/// Writes all that is new; whether the connection goes on.
async fn deliver(
    socket: &mut WebSocketStream<TcpStream>,
    subscription: &mut Subscription,
    frames: &mut Vec<Bytes>,
) -> bool {
    loop {
        let next = loop {
            match subscription.take() {
                Next::Event(event) if frames.len() + 1 < MOST_FRAMES => frames.push(event.websocket()),
                next => break next,
            }
        };
        let more = matches!(next, Next::Event(_));
        if let Next::Event(event) = &next {
            frames.push(event.websocket());
        }
        // A pong that tungstenite has half written must be whole before our own bytes go past it.
        if socket.flush().await.is_err() || write_all(socket.get_mut(), frames).await.is_err() {
            return false;
        }
        frames.clear();
        match next {
            Next::Event(_) | Next::Nothing => {}
            Next::Gap(gap) => {
                closing::close(socket, closing::GAP, format!("gap: go on after={}", gap.resume())).await;
                return false;
            }
            Next::Closed => {
                closing::close(socket, CloseCode::Away.into(), "the server shuts down").await;
                return false;
            }
        }
        if !more {
            return true;
        }
    }
}

/// Takes what the client sent; whether the connection goes on.
async fn receive(socket: &mut WebSocketStream<TcpStream>, feed: &Feed, message: Result<Message, Error>) -> bool {
    match message {
        Ok(Message::Text(data)) => {
            feed.publish(clock::now_ns(), &data);
            true
        }
        Ok(Message::Binary(_)) => {
            closing::close(socket, CloseCode::Unsupported.into(), "an event's data is text").await;
            false
        }
        // tungstenite answers pings and closes by itself; after a close the stream ends.
        Ok(_) => true,
        Err(error) => {
            closing::close_for(socket, &error).await;
            false
        }
    }
}
