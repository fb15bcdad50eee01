//! `GET /echo`: a WebSocket that sends back each text and binary message, for experiments with handshake and frames.

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;

use crate::closing;

/// The largest message that is echoed, in bytes, however many fragments it comes in: 16 MiB.
pub const LARGEST: usize = 16 << 20;

/// Echoes until the peer closes or breaks a rule; tungstenite answers pings and closes by itself.
pub async fn session(mut socket: WebSocketStream<TcpStream>) {
    while let Some(message) = socket.next().await {
        match message {
            Ok(message) if message.is_text() || message.is_binary() => {
                if socket.send(message).await.is_err() {
                    return;
                }
            }
            Ok(_) => {}
            Err(error) => return closing::close_for(&mut socket, &error).await,
        }
    }
}
