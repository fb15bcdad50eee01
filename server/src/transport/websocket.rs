//! WebSocket: a connection that was upgraded from HTTP and carries frames in both directions (RFC 6455).
//!
//! - Starts with `GET /ws?after=N` and the headers of the upgrade (see `carrier/upgrade.rs`); the response is 101.
//! - Each event is a text frame, with a header of two, four or ten bytes. A server's frames are not masked, so a frame is encoded once and
//!   written to all subscribers.
//! - Resumes with a new connection and `after`. A gap closes the connection with code 4410, and the reason contains the cursor to resume
//!   from.
//! - A client may offer compression (permessage-deflate, RFC 7692). By default no message depends on another then, so that events are compressed
//!   once for all; with `compression=takeover`, each connection has a compressor of its own, which compresses better.
//! - Costs the handshake, then the frame headers, and a ping as heartbeat when nothing else was sent for a while. Text that the client
//!   sends is published, if the client may publish.

use std::future::poll_fn;

use bytes::Bytes;
use futures_util::SinkExt;
use protocol::Envelope;
use tokio_tungstenite::tungstenite::Message;

use super::compressed;
use super::upstream::receive;
use crate::carrier::{WebSocket, closing};
use crate::fan_out::{Delivery, Due, Subscription};
use crate::feed::Encoding;
use crate::state::ServerState;

/// Serves one subscriber until either side ends the connection. If the subscriber may publish, the text that it sends is published.
///
/// Events are written to the socket directly. tungstenite reads what the client sends, and writes pings, pongs and close frames.
pub async fn session(mut socket: WebSocket, state: &ServerState, subscription: Subscription, may_publish: bool) {
    let encoding = match socket.get_ref().compression() {
        None => Encoding::plain(Envelope::WebSocket),
        Some(parameters) if parameters.is_shared() => Encoding::deflated(),
        // Boxed, so that a session without compression of its own does not take the memory for it.
        Some(_) => return Box::pin(compressed::session(socket, state, subscription, may_publish)).await,
    };
    let mut delivery = Delivery::new(subscription, socket.get_ref().socket().clone(), encoding);
    // Frames may have been received together with the handshake.
    let mut open = receive(&mut socket, state, may_publish).await;
    while open {
        open = match poll_fn(|context| delivery.poll(context)).await {
            Ok(Due::Input) => receive(&mut socket, state, may_publish).await,
            Ok(Due::Heartbeat) => socket.send(Message::Ping(Bytes::new())).await.is_ok(),
            Ok(Due::Gap(gap)) => {
                closing::close(&mut socket, closing::GAP, format!("gap: go on after={}", gap.bookmark())).await;
                false
            }
            Ok(Due::End) => {
                closing::end(&mut socket).await;
                false
            }
            // The connection has failed.
            Err(_) => false,
        };
    }
}
