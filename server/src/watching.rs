//! `GET /watch?session=S`: a WebSocket that tells a page what crossed its lanes' sockets, what was published, and the settings.

use std::fmt::Write;
use std::future::poll_fn;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use tokio::sync::watch::Receiver;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use crate::closing;
use crate::feed::Next;
use crate::frames::WebSocket;
use crate::publisher::Plan;
use crate::subscription::{Subscription, Turn};
use crate::tap::{Crossing, Watcher};

/// The largest message that a page may send, which it has no cause to.
pub const LARGEST: usize = 1 << 10;

/// How long a page may take nothing of what waits for it.
const MAX_SEND: Duration = Duration::from_secs(30);

/// Tells until either side ends it.
pub async fn session(
    mut socket: WebSocket,
    mut watcher: Watcher,
    mut subscription: Subscription,
    mut plan: Receiver<Plan>,
    may_control: bool,
    closing: impl Future<Output = ()>,
) {
    let mut closing = std::pin::pin!(closing);
    plan.mark_changed();
    loop {
        let told = tokio::select! {
            crossing = watcher.next() => match crossing {
                Some(crossing) => told_of(&crossing),
                None => return,
            },
            turn = poll_fn(|context| subscription.poll_turn(context)) => match turn {
                Turn::Heartbeat => json!({ "kind": "alive" }),
                Turn::Deliver => match subscription.take() {
                    Next::Event(event) => json!({ "kind": "published", "seq": event.seq, "at_ns": event.at }),
                    // What is gone is gone for this page as well; its lanes tell how much.
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
                Some(Ok(message)) if message.is_close() => return closing::leave(&mut socket).await,
                Some(Ok(_)) => continue,
                Some(Err(error)) => return closing::close_for(&mut socket, &error).await,
                None => return,
            },
            () = &mut closing => return closing::shut_down(&mut socket).await,
        };
        let left_out = watcher.left_out.swap(0, Relaxed);
        if left_out > 0 {
            let told = json!({ "kind": "left_out", "crossings": left_out });
            if socket.feed(Message::text(told.to_string())).await.is_err() {
                return;
            }
        }
        // A page that takes nothing for so long is given up, as a subscriber would be.
        match timeout(MAX_SEND, socket.send(Message::text(told.to_string()))).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return,
        }
    }
}

fn told_of(crossing: &Crossing) -> serde_json::Value {
    let mut data = String::with_capacity(crossing.data.len() * 2);
    for byte in &crossing.data {
        write!(data, "{byte:02x}").expect("writing to memory");
    }
    json!({
        "kind": "crossing",
        "lane": *crossing.lane,
        "connection": crossing.connection,
        "up": crossing.up,
        "at_ns": crossing.at_ns,
        "size": crossing.size,
        "data": data,
        "seqs": crossing.events.seqs,
        "event_bytes": crossing.events.event_bytes,
        "events": crossing.events.events,
    })
}
