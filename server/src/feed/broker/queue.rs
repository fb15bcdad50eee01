//! Publishes to the stream, one event after the other.
//!
//! An event is sent again, with the same id, until the broker has confirmed that it is stored; the broker stores an id once within its
//! window of two minutes. The next event is sent only then. So what goes through a server keeps its order, also across a restart of the broker, and
//! nothing is stored twice unless the broker is away for longer than that window.

use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::message::PublishMessage;
use ring::rand::{SecureRandom, SystemRandom};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tracing::warn;

use super::reader::{PUBLISHED_AT, to_unix_ns};

/// How many events may wait for the broker: at most 64 MB.
const MAX_WAITING: usize = 1_000;

/// How long a client's event may wait for the broker in all.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long to wait for a confirmation before the event is sent again.
const CONFIRMATION_TIMEOUT: Duration = Duration::from_secs(1);

/// The pause after an attempt that failed.
const PAUSE: Duration = Duration::from_millis(100);

/// Why an event was not published: the broker does not respond, or too many events are waiting for it. In the first case, the event may still
/// appear in the feed, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the broker of the feed does not respond; whether the event was published is unknown")]
pub struct Unavailable;

/// The events that wait for the broker. Cloning it is shallow.
#[derive(Clone)]
pub struct Queue(mpsc::Sender<Waiting>);

struct Waiting {
    /// When the event was due, in ns since 1970, since the clock of another machine is read with it.
    at_unix_ns: i64,
    data: String,
    /// For a client that waits for the event's number; `None` for an event of the schedule.
    client: Option<(Instant, oneshot::Sender<u64>)>,
}

impl Queue {
    /// Starts to publish, in a task of the current runtime.
    pub(super) fn start(context: jetstream::Context, subject: String) -> Self {
        let (sender, mut receiver) = mpsc::channel::<Waiting>(MAX_WAITING);
        tokio::spawn(async move {
            // Ids must differ from those of all other servers and of earlier runs.
            let server: u128 = rand_id();
            let mut number = 0u64;
            while let Some(waiting) = receiver.recv().await {
                // The client has been told that its event was not published, so it must not be any more.
                if waiting.client.as_ref().is_some_and(|(deadline, _)| Instant::now() >= *deadline) {
                    continue;
                }
                number += 1;
                let id = format!("{server:032x}-{number}");
                let publish = || {
                    PublishMessage::build()
                        .message_id(&id)
                        .header(PUBLISHED_AT, waiting.at_unix_ns.to_string().as_str())
                        .payload(waiting.data.clone().into())
                };
                let stored = until_stored(&context, &subject, publish);
                match waiting.client {
                    None => _ = stored.await,
                    Some((deadline, reply)) => {
                        if let Ok(seq) = timeout_at(deadline, stored).await {
                            // An error means that the client has gone.
                            let _ = reply.send(seq);
                        }
                    }
                }
            }
        });
        Self(sender)
    }

    /// Publishes a client's event; returns its sequence number.
    ///
    /// # Errors
    /// When too many events are waiting, or the broker does not respond within five seconds.
    pub async fn publish(&self, at: u64, data: &str) -> Result<u64, Unavailable> {
        let (reply, stored) = oneshot::channel();
        let deadline = Instant::now() + CLIENT_TIMEOUT;
        let client = Some((deadline, reply));
        self.0.try_send(Waiting { at_unix_ns: to_unix_ns(at), data: data.into(), client }).map_err(|_| Unavailable)?;
        timeout_at(deadline, stored).await.map_err(|_| Unavailable)?.map_err(|_| Unavailable)
    }

    /// Publishes an event of the schedule, from a thread, which waits if too many events are waiting.
    pub fn publish_scheduled(&self, at: u64, data: &str) {
        // An error means that the server is shutting down.
        let _ = self.0.blocking_send(Waiting { at_unix_ns: to_unix_ns(at), data: data.into(), client: None });
    }
}

/// Sends an event until the broker has stored it; returns its sequence number.
async fn until_stored(context: &jetstream::Context, subject: &str, publish: impl Fn() -> PublishMessage) -> u64 {
    loop {
        let confirmed = async { context.send_publish(subject.to_string(), publish()).await?.await };
        match timeout(CONFIRMATION_TIMEOUT, confirmed).await {
            Ok(Ok(confirmation)) => return confirmation.sequence,
            Ok(Err(error)) => warn!("the broker has not stored an event: {error}"),
            Err(_) => warn!("the broker has not confirmed an event"),
        }
        sleep(PAUSE).await;
    }
}

fn rand_id() -> u128 {
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes).expect("the system has random numbers");
    u128::from_ne_bytes(bytes)
}
