//! `GET /echo`: a WebSocket that sends back each text and binary message, for experiments with handshake and frames.

use std::pin::pin;

use futures_util::{SinkExt, StreamExt};

use crate::closing;
use crate::frames::WebSocket;

/// The largest message that is echoed, in bytes, however many fragments it comes in: 16 MiB.
pub const LARGEST: usize = 16 << 20;

/// Echoes until the peer closes or breaks a rule, or the server is `closing`; tungstenite answers pings by itself.
pub async fn session(mut socket: WebSocket, closing: impl Future<Output = ()>) {
    let mut closing = pin!(closing);
    loop {
        let message = tokio::select! {
            message = socket.next() => message,
            () = &mut closing => return closing::shut_down(&mut socket).await,
        };
        match message {
            Some(Ok(message)) if message.is_text() || message.is_binary() => {
                if socket.send(message).await.is_err() {
                    return;
                }
            }
            Some(Ok(message)) if message.is_close() => return closing::leave(&mut socket).await,
            Some(Ok(_)) => {}
            Some(Err(error)) => return closing::close_for(&mut socket, &error).await,
            None => return,
        }
    }
}
