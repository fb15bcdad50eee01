//! What the client of a bare WebSocket sends: text, which is published.

use std::future::poll_fn;
use std::task::Poll;

use futures_util::{SinkExt, StreamExt};
use protocol::clock;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::carrier::{WebSocket, closing};
use crate::state::ServerState;

/// Reads and handles everything that the client has sent so far; returns whether the connection stays open.
pub async fn receive(socket: &mut WebSocket, state: &ServerState, may_publish: bool) -> bool {
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
            Ok(Message::Text(data)) => {
                if let Err(unavailable) = state.sink.publish(clock::now_ns(), &data).await {
                    closing::close(socket, CloseCode::Again.into(), unavailable.to_string()).await;
                    return false;
                }
            }
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
