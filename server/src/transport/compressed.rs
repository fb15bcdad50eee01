//! WebSocket with a compressor for each connection ("context takeover", RFC 7692, section 7.1.1): a message may refer to the text of those before
//! it, so no two connections send the same bytes, and nothing is shared.
//!
//! The dispatcher wakes this task for each event, and tungstenite writes the message, which is compressed on its way (see
//! `carrier/deflate.rs`).

use std::future::poll_fn;
use std::task::Poll;

use bytes::Bytes;
use futures_util::SinkExt;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use super::upstream::receive;
use crate::carrier::{WebSocket, closing};
use crate::fan_out::{Subscription, Turn};
use crate::feed::Next;
use crate::state::ServerState;

/// The reason why waiting has ended.
enum Wait {
    Turn(Turn),
    Input,
}

/// Serves one subscriber until either side ends the connection.
pub async fn session(mut socket: WebSocket, state: &ServerState, mut subscription: Subscription, may_publish: bool) {
    let mut open = receive(&mut socket, state, may_publish).await;
    while open {
        let wait = poll_fn(|context| {
            if socket.get_ref().socket().poll_read_ready(context).is_ready() {
                return Poll::Ready(Wait::Input);
            }
            subscription.poll_turn(context).map(Wait::Turn)
        });
        open = match wait.await {
            Wait::Input => receive(&mut socket, state, may_publish).await,
            Wait::Turn(Turn::Heartbeat) => send(&mut socket, Message::Ping(Bytes::new())).await,
            Wait::Turn(Turn::Deliver) => match subscription.take() {
                Next::Event(entry) => {
                    let text = Utf8Bytes::try_from(entry.json().clone()).expect("JSON is UTF-8");
                    send(&mut socket, Message::Text(text)).await
                }
                Next::Gap(gap) => {
                    closing::close(&mut socket, closing::GAP, format!("gap: go on after={}", gap.bookmark())).await;
                    false
                }
                Next::Closed => {
                    closing::end(&mut socket).await;
                    false
                }
                Next::Nothing => true,
            },
        };
    }
}

/// Sends a message; returns whether the connection is still open. A client that reads nothing for too long is disconnected.
async fn send(socket: &mut WebSocket, message: Message) -> bool {
    let state = socket.get_ref().socket().state.clone();
    match timeout(state.stall_timeout, socket.send(message)).await {
        Ok(sent) => sent.is_ok(),
        Err(_) => {
            state.counters.stalled();
            false
        }
    }
}
