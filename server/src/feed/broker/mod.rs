//! A feed that several servers share, in a stream of NATS JetStream.
//!
//! The stream numbers the events, so all servers have the same sequence numbers, whichever of them published an event. Each server reads the
//! stream from its own thread, checks that no number is missing, and keeps its own history (`reader.rs`). What is published through a
//! server goes to the stream first, one event after the other, until the broker has stored it (`queue.rs`).

mod address;
mod queue;
mod reader;

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;
use async_nats::jetstream;
use async_nats::jetstream::stream::{Config, StorageType, Stream};
use tokio::sync::{oneshot, watch};

pub use address::BrokerAddress;
pub use queue::{Queue, Unavailable};

use super::Feed;
use crate::counters::Counters;
use reader::{Reader, TIMEOUT};

/// How long the broker remembers the ids of published events. An event that is sent again within this time is stored once.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(120);

/// The connection to a broker, on a thread of its own. Dropping it ends the thread.
pub struct Broker {
    feed: Arc<Feed>,
    queue: Queue,
    failure: watch::Receiver<Option<String>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Broker {
    /// Connects to the broker, makes the stream if there is none, and reads the newest events, as many as the history keeps.
    ///
    /// # Errors
    /// When the broker cannot be reached, has no JetStream, or has another kind of stream under this name.
    pub fn start(
        address: &BrokerAddress,
        max_events: usize,
        max_bytes: usize,
        counters: Arc<Counters>,
    ) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (reader, queue) = runtime
            .block_on(async {
                let (context, mut stream) = connect(address).await?;
                let info = stream.info().await?.clone();
                let mut reader = Reader::new(stream, &info, max_events, max_bytes, counters);
                tokio::time::timeout(TIMEOUT, reader.catch_up(info.state.last_sequence))
                    .await
                    .context("the events of the stream took longer than 10 s")??;
                anyhow::Ok((reader, Queue::start(context, address.subject())))
            })
            .with_context(|| format!("cannot use the feed {address}"))?;
        let feed = reader.feed.clone();
        let (failed, failure) = watch::channel(None);
        let (stop, stopped) = oneshot::channel();
        let closing = feed.clone();
        let name = address.to_string();
        let thread = std::thread::Builder::new().name("broker".into()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    // An error means that the server was dropped.
                    _ = stopped => {}
                    failure = reader.run() => {
                        failed.send_replace(Some(format!("the feed {name} cannot be continued: {failure}")));
                        closing.close();
                    }
                }
            });
        })?;
        Ok(Self { feed, queue, failure, stop: Some(stop), thread: Some(thread) })
    }

    /// The feed of this server, to which the events of the stream are added.
    pub fn feed(&self) -> Arc<Feed> {
        self.feed.clone()
    }

    /// Where to publish.
    pub fn queue(&self) -> Queue {
        self.queue.clone()
    }

    /// Why the feed cannot be continued, as soon as that is known.
    pub fn failure(&self) -> watch::Receiver<Option<String>> {
        self.failure.clone()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn connect(address: &BrokerAddress) -> anyhow::Result<(jetstream::Context, Stream)> {
    let mut options = async_nats::ConnectOptions::new().name("transport-lab").connection_timeout(TIMEOUT);
    if let Some((user, password)) = address.credentials() {
        options = options.user_and_password(user, password);
    }
    let client =
        tokio::time::timeout(TIMEOUT, options.connect(address.server())).await.context("no connection in 10 s")?;
    let client = client.map_err(|error| anyhow::anyhow!("no broker responds there: {error}"))?;
    let context = jetstream::new(client);
    let subject = address.subject();
    let config = Config {
        name: address.stream.clone(),
        subjects: vec![subject.clone()],
        storage: StorageType::File,
        duplicate_window: DUPLICATE_WINDOW,
        max_bytes: 1 << 30,
        ..Config::default()
    };
    let mut stream =
        context.get_or_create_stream(config).await.context("the broker must have JetStream (nats-server -js)")?;
    let subjects = &stream.info().await?.config.subjects;
    anyhow::ensure!(
        *subjects == [subject.clone()],
        "the stream {} exists already, with the subjects {subjects:?} instead of {subject}: give the feed another name",
        address.stream
    );
    Ok((context, stream))
}
