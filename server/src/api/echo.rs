//! `GET /echo`: a WebSocket that returns each text and binary message, for experiments with the handshake and frames.
//!
//! It requires no token, so its use of resources is limited: the length of a message, the bytes of all echoes together, the time without a
//! message, and the time that a client may take to read an echo.

use std::pin::pin;
use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::carrier::{WebSocket, closing};
use crate::state::ServerState;

/// The largest message, in bytes, all its fragments together: 16 MiB, the largest in suites of conformance tests.
pub const MAX_MESSAGE_BYTES: usize = 16 << 20;
/// The bytes of messages that all echo connections together may hold: 64 MiB. A connection counts with the largest message that it has
/// announced so far, since its buffers keep that size. tungstenite may need three times as much memory: for the frames, the message and
/// the echo.
pub const MAX_TOTAL_BYTES: usize = 64 << 20;

/// Echoes messages until the peer closes the connection or violates the protocol, sends or reads nothing for too long, or the server shuts
/// down. tungstenite replies to pings by itself.
pub async fn session(mut socket: WebSocket, state: Arc<ServerState>) {
    let mut closing = pin!(state.closing());
    loop {
        let message = tokio::select! {
            message = timeout(state.idle_timeout, message(&mut socket)) => message,
            () = &mut closing => return closing::shut_down(&mut socket).await,
        };
        match message {
            Ok(Some(Ok(message))) if message.is_close() => return closing::finish(&mut socket).await,
            Ok(Some(Ok(message))) => match timeout(state.stall_timeout, socket.send(message)).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return,
                // A peer that reads no echo would not read a close frame either.
                Err(_) => return state.counters.stalled(),
            },
            Ok(Some(Err(error))) => return closing::close_for(&mut socket, &error).await,
            Ok(None) => return,
            Err(_) => {
                let reason = format!("no message was received for {:?}", state.idle_timeout);
                return closing::close(&mut socket, CloseCode::Away.into(), reason).await;
            }
        }
    }
}

/// The next message to echo, a close frame, an error, or `None` at the end. Pings and pongs do not count as activity.
async fn message(socket: &mut WebSocket) -> Option<Result<Message, Error>> {
    loop {
        match socket.next().await {
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            message => return message,
        }
    }
}
