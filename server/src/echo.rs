//! `GET /echo`: a WebSocket that sends back each text and binary message, for experiments with handshake and frames.
//!
//! It needs no token, so what it takes is bounded: a message's length, the bytes that all echoes hold together, the time without a
//! message, and the time for which an echo is not read.

use std::pin::pin;
use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::closing;
use crate::frames::WebSocket;
use crate::site::Site;

/// The largest message that is echoed, in bytes, however many fragments it comes in: 1 MiB.
pub const MAX_MESSAGE: usize = 1 << 20;
/// How many bytes of messages all echoing connections may hold together: 32 MiB. A connection holds the largest message that it has
/// announced so far: its buffers stay that large. tungstenite may need three times as much, for the frames, the message, and the echo.
pub const MAX_HELD: usize = 32 << 20;

/// Echoes until the peer closes or breaks a rule, sends or reads nothing for too long, or the server ends; tungstenite answers pings
/// by itself.
pub async fn session(mut socket: WebSocket, site: Arc<Site>) {
    let mut closing = pin!(site.closing());
    loop {
        let message = tokio::select! {
            message = timeout(site.idle_timeout, message(&mut socket)) => message,
            () = &mut closing => return closing::shut_down(&mut socket).await,
        };
        match message {
            Ok(Some(Ok(message))) if message.is_close() => return closing::leave(&mut socket).await,
            Ok(Some(Ok(message))) => match timeout(site.stall_timeout, socket.send(message)).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return,
                // A peer that takes no echo would not take a close frame either.
                Err(_) => return site.counters.stalled(),
            },
            Ok(Some(Err(error))) => return closing::close_for(&mut socket, &error).await,
            Ok(None) => return,
            Err(_) => {
                let reason = format!("no message came for {:?}", site.idle_timeout);
                return closing::close(&mut socket, CloseCode::Away.into(), reason).await;
            }
        }
    }
}

/// The next message to echo, a close frame, or the end. Pings and pongs are not waited for: only messages keep a connection.
async fn message(socket: &mut WebSocket) -> Option<Result<Message, Error>> {
    loop {
        match socket.next().await {
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            message => return message,
        }
    }
}
