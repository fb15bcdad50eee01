//! `GET /watch?session=S`: a WebSocket that sends a page its wire trace, the times at which events were due, and the current settings.

use std::fmt::Write;
use std::future::poll_fn;
use std::sync::Arc;
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
use crate::relay::{Conditions, Fault, Relay};

/// The largest message that a page may send here, in bytes. The protocol has no messages from the page.
pub const MAX_MESSAGE_BYTES: usize = 1 << 10;
/// How long a page may take to read a message.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);

/// How a page reaches the server: directly at `port`, or through the relay.
pub struct Network {
    /// The port of the server.
    pub port: u16,
    /// Whether it uses TLS.
    pub tls: bool,
    /// The relay.
    pub relay: Arc<Relay>,
}

/// Serves the page until either side ends the connection.
pub async fn run(
    mut socket: WebSocket,
    mut session: TraceSession,
    mut subscription: Subscription,
    mut plan: Receiver<Plan>,
    network: Network,
    may_control: bool,
    closing: impl Future<Output = ()>,
) {
    let mut closing = std::pin::pin!(closing);
    // The current settings are sent at once, and not only after the next change.
    plan.mark_changed();
    let mut conditions = network.relay.watch();
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
            changed = plan.changed() => match changed {
                Ok(()) => settings(&plan.borrow_and_update(), &conditions.borrow_and_update(), &network, may_control),
                Err(_) => return,
            },
            changed = conditions.changed() => match changed {
                Ok(()) => settings(&plan.borrow_and_update(), &conditions.borrow_and_update(), &network, may_control),
                Err(_) => return,
            },
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

/// The message with the settings: rate, payload and the relay's conditions, and whether the page may change them.
fn settings(plan: &Plan, conditions: &Conditions, network: &Network, may_control: bool) -> serde_json::Value {
    let faults = Fault::ALL.into_iter().filter(|fault| fault.exists(network.tls));
    json!({
        "kind": "settings",
        "rate": plan.rate,
        "schedule": plan.spacing,
        "payload_bytes": plan.payload,
        "control": may_control,
        "port": network.port,
        "relay_port": network.relay.port,
        "delay_ms": conditions.delay.as_millis() as u64,
        "fault": conditions.fault,
        "faults": faults.collect::<Vec<_>>(),
    })
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
