//! `GET /watch?session=S`: a WebSocket that sends a page its wire trace, the times at which events were due, and the current settings.

use std::fmt::Write;
use std::future::poll_fn;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use tokio::sync::watch::Receiver;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use super::{Chunk, TraceSession};
use crate::carrier::{WebSocket, closing};
use crate::fan_out::{Subscription, Turn};
use crate::feed::{Next, Plan};

/// The largest message that a page may send here, in bytes. The protocol has no messages from the page.
pub const MAX_MESSAGE_BYTES: usize = 1 << 10;
/// How long a page may take to read a message.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);

/// Serves the page until either side ends the connection.
pub async fn run(
    mut socket: WebSocket,
    mut session: TraceSession,
    mut subscription: Subscription,
    mut plan: Receiver<Plan>,
    may_control: bool,
    closing: impl Future<Output = ()>,
) {
    let mut closing = std::pin::pin!(closing);
    // The current settings are sent at once, and not only after the next change.
    plan.mark_changed();
    loop {
        let message = tokio::select! {
            chunk = session.next() => match chunk {
                Some(chunk) => describe(&chunk),
                None => return,
            },
            turn = poll_fn(|context| subscription.poll_turn(context)) => match turn {
                Turn::Heartbeat => json!({ "kind": "alive" }),
                Turn::Deliver => match subscription.take() {
                    Next::Event(event) => json!({ "kind": "published", "seq": event.seq, "at_ns": event.at }),
                    // The page learns of missing events from its lanes.
                    Next::Gap(_) | Next::Nothing => continue,
                    Next::Closed => return closing::shut_down(&mut socket).await,
                },
            },
            changed = plan.changed() => {
                if changed.is_err() {
                    return;
                }
                let plan = plan.borrow_and_update();
                json!({ "kind": "settings", "rate": plan.rate, "payload_bytes": plan.payload, "control": may_control })
            }
            message = socket.next() => match message {
                Some(Ok(message)) if message.is_close() => return closing::finish(&mut socket).await,
                Some(Ok(_)) => continue,
                Some(Err(error)) => return closing::close_for(&mut socket, &error).await,
                None => return,
            },
            () = &mut closing => return closing::shut_down(&mut socket).await,
        };
        let left_out = session.left_out.swap(0, Relaxed);
        if left_out > 0 {
            let message = json!({ "kind": "left_out", "chunks": left_out });
            if socket.feed(Message::text(message.to_string())).await.is_err() {
                return;
            }
        }
        // A page that does not read the message in this time is disconnected, as a subscriber would be.
        match timeout(SEND_TIMEOUT, socket.send(Message::text(message.to_string()))).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return,
        }
    }
}

fn describe(chunk: &Chunk) -> serde_json::Value {
    let mut data = String::with_capacity(chunk.data.len() * 2);
    for byte in &chunk.data {
        write!(data, "{byte:02x}").expect("writing to memory");
    }
    json!({
        "kind": "chunk",
        "lane": *chunk.lane,
        "connection": chunk.connection,
        "up": chunk.up,
        "at_ns": chunk.at_ns,
        "size": chunk.size,
        "data": data,
        "seqs": chunk.events.seqs,
        "event_bytes": chunk.events.event_bytes,
        "events": chunk.events.events,
    })
}
