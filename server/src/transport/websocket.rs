//! WebSocket: a connection that was upgraded from HTTP and carries frames in both directions (RFC 6455).
//!
//! - Starts with `GET /ws?after=N` and the headers of the upgrade (see `carrier/upgrade.rs`); the response is 101.
//! - Each event is a text frame, with a header of two, four or ten bytes. A server's frames are not masked, so a frame is encoded once and
//!   written to all subscribers.
//! - Resumes with a new connection and `after`. A gap closes the connection with code 4410, and the reason contains the cursor to resume
//!   from.
//! - Costs the handshake, then the frame headers, and a ping as heartbeat when nothing else was sent for a while. Text that the client
//!   sends is published, if the client may publish.

use std::future::poll_fn;
use std::task::Poll;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use protocol::{Envelope, clock};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::carrier::{WebSocket, closing};
use crate::fan_out::{Delivery, Due, Subscription};
use crate::feed::{Encoding, Feed};

/// Serves one subscriber until either side ends the connection. If the subscriber may publish, the text that it sends is published.
///
/// Events are written to the socket directly. tungstenite reads what the client sends, and writes pings, pongs and close frames.
pub async fn session(mut socket: WebSocket, feed: &Feed, subscription: Subscription, may_publish: bool) {
    let encoding = Encoding::plain(Envelope::WebSocket);
    let mut delivery = Delivery::new(subscription, socket.get_ref().socket().clone(), encoding);
    // Frames may have been received together with the handshake.
    let mut open = receive(&mut socket, feed, may_publish).await;
    while open {
        open = match poll_fn(|context| delivery.poll(context)).await {
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
            // The connection has failed.
            Err(_) => false,
        };
    }
}

/// Reads and handles everything that the client has sent so far; returns whether the connection stays open.
async fn receive(socket: &mut WebSocket, feed: &Feed, may_publish: bool) -> bool {
    loop {
        let message = match poll_fn(|context| Poll::Ready(socket.poll_next_unpin(context))).await {
            Poll::Ready(Some(message)) => message,
            Poll::Ready(None) => return false,
            // A pong must be written completely before events are written to the socket again.
            Poll::Pending => return socket.flush().await.is_ok(),
        };
        match message {
            Ok(Message::Text(_)) if !may_publish => {
                closing::close(socket, CloseCode::Policy.into(), "publishing requires the presenter's token").await;
                return false;
            }
            Ok(Message::Text(data)) => _ = feed.publish(clock::now_ns(), &data),
            Ok(Message::Binary(_)) => {
                closing::close(socket, CloseCode::Unsupported.into(), "an event's data must be text").await;
                return false;
            }
            Ok(Message::Close(_)) => {
                closing::finish(socket).await;
                return false;
            }
            // tungstenite replies to pings by itself.
            Ok(_) => {}
            Err(error) => {
                closing::close_for(socket, &error).await;
                return false;
            }
        }
    }
}
