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
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::closing;
use crate::delivery::{Delivery, Due};
use crate::feed::{Feed, Framing};
use crate::frames::WebSocket;
use crate::subscription::Subscription;

/// Serves one subscriber until either side ends it; what it sends is published, if it may.
///
/// Events go past tungstenite, which is there for all that the client sends, and for what is said in answer.
pub async fn session(mut socket: WebSocket, feed: &Feed, subscription: Subscription, may_publish: bool) {
    let mut delivery = Delivery::new(subscription, socket.get_ref().socket().clone(), Framing::WebSocket);
    // Frames may have come together with the handshake.
    let mut going = receive(&mut socket, feed, may_publish).await;
    while going {
        going = match poll_fn(|context| delivery.poll(context)).await {
            Ok(Due::Input) => receive(&mut socket, feed, may_publish).await,
            Ok(Due::Heartbeat) => socket.send(Message::Ping(Bytes::new())).await.is_ok(),
            Ok(Due::Gap(gap)) => {
                closing::close(&mut socket, closing::GAP, format!("gap: go on after={}", gap.bookmark())).await;
                false
            }
            Ok(Due::End) => {
                closing::shut_down(&mut socket).await;
                false
            }
            // The connection itself is gone.
            Err(_) => false,
        };
    }
}

/// Takes all that the client has sent; whether the connection goes on.
async fn receive(socket: &mut WebSocket, feed: &Feed, may_publish: bool) -> bool {
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
