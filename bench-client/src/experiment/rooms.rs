//! Measures a message to some of the clients of Socket.IO: sent to a room, or to all clients, which filter.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::Bytes;
use protocol::envelope::engine_io::{self, Kind};
use protocol::facts::Facts;
use protocol::facts::rooms::{Addressed, RoomsFacts, Sent};
use protocol::{Transport, clock};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::fault::Fault;
use crate::subscriber::{Subscriber, Target};
use crate::test_bed::TestBed;
use crate::test_bed::server_process::options;
use crate::transport::{frames, websocket};
use server::Options;

const CLIENTS: u32 = 1_000;
const ADDRESSEES: [u32; 4] = [1, 10, 100, 1_000];
const MESSAGES: u32 = 20;
/// The data of a message.
const MESSAGE: &str = "a message of thirty-six characters!!";
/// How long a message may take to reach its last addressee.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What all clients together have received.
#[derive(Default)]
struct Received {
    messages: Cell<u64>,
    bytes: Cell<u64>,
    /// When the last message came, in ns.
    last_ns: Cell<u64>,
    /// The number of messages that is waited for.
    awaited: Cell<u64>,
    reached: Notify,
}

/// Runs the experiment.
pub async fn run(seed: u64) -> anyhow::Result<Facts> {
    let mut test_bed = TestBed::open(&Options { seed, ..options() }).await?;
    let received = Rc::new(Received::default());
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        let mut client = client(&test_bed.target).await?;
        // A client is in the room of each group that it belongs to.
        for addressees in ADDRESSEES.into_iter().filter(|&addressees| number < addressees) {
            call(&mut client, &format!("[\"join\",\"{addressees}\"]")).await?;
        }
        clients.spawn_local(listen(client, received.clone()));
    }
    let mut sender = client(&test_bed.target).await?;
    let mut addressed = Vec::new();
    for addressees in ADDRESSEES {
        let by_room = format!("[\"to_room\",\"{addressees}\",\"{MESSAGE}\"]");
        // With a filter, a message names the group that it is for, as the room's name does otherwise.
        let by_filter = format!("[\"broadcast\",[\"{addressees}\",\"{MESSAGE}\"]]");
        addressed.push(Addressed {
            addressees,
            by_room: send(&mut test_bed, &mut sender, &by_room, addressees, &received).await?,
            by_filter: send(&mut test_bed, &mut sender, &by_filter, CLIENTS, &received).await?,
        });
    }
    clients.shutdown().await;
    let message_bytes = MESSAGE.len() as u64;
    Ok(Facts::Rooms(RoomsFacts { clients: CLIENTS, messages: MESSAGES, message_bytes, addressed }))
}

/// A client with an open session on a WebSocket.
async fn client(target: &Target) -> anyhow::Result<Subscriber> {
    let mut client = Subscriber::alone(Transport::SocketIo, target).await?;
    websocket::open(&mut client).await?;
    Ok(client)
}

/// Emits an event and waits for its acknowledgement, whose argument is returned.
async fn call(client: &mut Subscriber, event: &str) -> anyhow::Result<u64> {
    frames::send(client, format!("421{event}").as_bytes()).await?;
    let reply = timeout(TIMEOUT, next(client)).await.context("no acknowledgement")??;
    let text = std::str::from_utf8(&reply)?;
    let argument = text.strip_prefix("431[").and_then(|rest| rest.strip_suffix(']'));
    let argument = argument.with_context(|| format!("instead of an acknowledgement came {text}"))?;
    Ok(argument.parse().unwrap_or(0))
}

/// The next packet that is not a ping; pings are replied to.
async fn next(client: &mut Subscriber) -> Result<Bytes, Fault> {
    loop {
        let text = frames::text(client).await?;
        if text != engine_io::PING {
            return Ok(text);
        }
        frames::reply(client, &engine_io::encode(Kind::Pong, b"")).await?;
    }
}

/// Counts the messages that a client receives, until the connection ends.
async fn listen(mut client: Subscriber, received: Rc<Received>) -> Result<(), Fault> {
    loop {
        let before = client.wire.ledger().received_bytes;
        let text = next(&mut client).await?;
        if text.starts_with(b"42[\"message\",") {
            received.last_ns.set(clock::now_ns());
            received.bytes.set(received.bytes.get() + client.wire.ledger().received_bytes - before);
            received.messages.set(received.messages.get() + 1);
            if received.messages.get() == received.awaited.get() {
                received.reached.notify_one();
            }
        }
    }
}

/// Sends messages one after another, each of which reaches `reached` clients.
async fn send(
    test_bed: &mut TestBed,
    sender: &mut Subscriber,
    event: &str,
    reached: u32,
    received: &Received,
) -> anyhow::Result<Sent> {
    let before = test_bed.control.load().await?;
    let (bytes, messages) = (received.bytes.get(), received.messages.get());
    let mut ms = Vec::new();
    for number in 1..=MESSAGES {
        received.awaited.set(messages + u64::from(number) * u64::from(reached));
        let began = clock::now_ns();
        let count = call(sender, event).await?;
        ensure!(count == u64::from(reached), "the server sent the message to {count} clients instead of {reached}");
        while received.messages.get() < received.awaited.get() {
            timeout(TIMEOUT, received.reached.notified()).await.context("a message did not reach all clients")?;
        }
        ms.push((received.last_ns.get() - began) as f64 / 1e6);
    }
    let spent = test_bed.since(&before, 0).await?;
    Ok(Sent {
        received_bytes: received.bytes.get() - bytes,
        received_messages: received.messages.get() - messages,
        server_cpu_ms: spent.cpu_ms,
        ms,
    })
}
