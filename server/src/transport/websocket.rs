//! WebSocket: a connection upgraded from HTTP that carries frames both ways (RFC 6455).
//!
//! - Initiated by `GET /ws?after=N` with the upgrade's headers (see `upgrade.rs`), answered by 101.
//! - Framed as one text frame an event: two, four or ten bytes before it. Server frames carry no mask, so a frame is made
//!   once and its bytes are written to every subscriber as they are.
//! - Resumed by a new connection with `after`. A gap ends the connection with close code 4410, whose reason names the
//!   cursor to go on from.
//! - Costs the handshake, then the frame header, and a ping as heartbeat when nothing else was sent for a while. Text that the
//!   client sends is published.

use std::future::poll_fn;
use std::task::Poll;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use protocol::clock;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::closing;
use crate::feed::{Feed, Next};
use crate::subscription::{Subscription, Turn};
use crate::tap::Tapped;
use crate::write::write_all;

/// How many events go into one write at the most.
const MOST_FRAMES: usize = 64;

/// Serves one subscriber until either side ends it; what it sends is published, if it may.
pub async fn session(
    mut socket: WebSocketStream<Tapped>,
    feed: &Feed,
    mut subscription: Subscription,
    may_publish: bool,
) {
    let mut frames = Vec::new();
    // Frames may have come together with the handshake.
    let mut going = receive(&mut socket, feed, may_publish).await;
    while going {
        let turn = poll_fn(|context| {
            // First, so that a subscriber who never catches up can still close. tungstenite clears its read buffer at each
            // attempt to read, so it is asked only when there is something.
            if socket.get_ref().poll_read_ready(context).is_ready() {
                return Poll::Ready(None);
            }
            subscription.poll_turn(context).map(Some)
        });
        going = match turn.await {
            None => receive(&mut socket, feed, may_publish).await,
            Some(Turn::Deliver) => deliver(&mut socket, &mut subscription, &mut frames).await,
            Some(Turn::Heartbeat) => socket.send(Message::Ping(Bytes::new())).await.is_ok(),
        };
    }
}

/// Writes what is new, up to a batch; whether the connection goes on.
async fn deliver(
    socket: &mut WebSocketStream<Tapped>,
    subscription: &mut Subscription,
    frames: &mut Vec<Bytes>,
) -> bool {
    let end = loop {
        match subscription.take() {
            Next::Event(event) => frames.push(event.websocket()),
            end => break end,
        }
        if frames.len() == MOST_FRAMES {
            break Next::Nothing;
        }
    };
    if write_all(socket.get_mut(), frames).await.is_err() {
        return false;
    }
    frames.clear();
    match end {
        Next::Event(_) | Next::Nothing => return true,
        Next::Gap(gap) => closing::close(socket, closing::GAP, format!("gap: go on after={}", gap.resume())).await,
        Next::Closed => closing::shut_down(socket).await,
    }
    false
}

/// Takes all that the client has sent; whether the connection goes on.
async fn receive(socket: &mut WebSocketStream<Tapped>, feed: &Feed, may_publish: bool) -> bool {
    loop {
        let message = match poll_fn(|context| Poll::Ready(socket.poll_next_unpin(context))).await {
            Poll::Ready(Some(message)) => message,
            Poll::Ready(None) => return false,
            // A pong must be whole before our own bytes go past it.
            Poll::Pending => return socket.flush().await.is_ok(),
        };
        match message {
            Ok(Message::Text(_)) if !may_publish => {
                closing::close(socket, CloseCode::Policy.into(), "publishing takes the presenter's token").await;
                return false;
            }
            Ok(Message::Text(data)) => _ = feed.publish(clock::now_ns(), &data),
            Ok(Message::Binary(_)) => {
                closing::close(socket, CloseCode::Unsupported.into(), "an event's data is text").await;
                return false;
            }
            Ok(Message::Close(_)) => {
                closing::leave(socket).await;
                return false;
            }
            // tungstenite answers pings by itself.
            Ok(_) => {}
            Err(error) => {
                closing::close_for(socket, &error).await;
                return false;
            }
        }
    }
}
