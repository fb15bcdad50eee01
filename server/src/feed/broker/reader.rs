//! Reads the stream into the server's feed, in order, and notices what is missing.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::jetstream::consumer::pull::{Ordered, OrderedConfig};
use async_nats::jetstream::stream::{Info, Stream};
use futures_util::StreamExt;
use protocol::{Epoch, clock};
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use super::super::Feed;
use crate::counters::Counters;

/// The header with the time at which an event was due, in ns since 1970.
pub const PUBLISHED_AT: &str = "Published-At";

/// How long the broker may take to accept a connection, to reply to a request, and to send the events that are in the stream at the start.
pub const TIMEOUT: Duration = Duration::from_secs(10);

/// After this time without an event, the stream is asked whether there is one. The client library notices a broker's restart only after a minute.
const SILENCE: Duration = Duration::from_secs(1);

/// Reads the stream.
pub struct Reader {
    /// The feed to which the events are added.
    pub feed: Arc<Feed>,
    stream: Stream,
    epoch: Epoch,
    newest: u64,
    /// How many events follow the last one that was read, as the broker said with it, or when the reader subscribed.
    pending: Option<u64>,
    counters: Arc<Counters>,
    messages: Option<Ordered>,
}

impl Reader {
    /// A reader that begins with the newest events, as many as the history keeps.
    pub fn new(stream: Stream, info: &Info, max_events: usize, max_bytes: usize, counters: Arc<Counters>) -> Self {
        let state = &info.state;
        let kept = (state.last_sequence + 1).saturating_sub(max_events as u64);
        let oldest = kept.max(state.first_sequence).max(1);
        let feed = Arc::new(Feed::shared(max_events, max_bytes, oldest, epoch(info)));
        Self { feed, stream, epoch: epoch(info), newest: oldest - 1, pending: None, counters, messages: None }
    }

    /// Reads the events that are in the stream, up to number `last`, unless that was deleted.
    ///
    /// # Errors
    /// When the stream cannot be continued.
    pub async fn catch_up(&mut self, last: u64) -> anyhow::Result<()> {
        while self.newest < last && self.pending != Some(0) {
            self.step().await?;
        }
        Ok(())
    }

    /// Reads until the stream cannot be continued; returns the reason.
    pub async fn run(mut self) -> anyhow::Error {
        loop {
            if let Err(failure) = self.step().await {
                return failure;
            }
        }
    }

    /// Waits for the next event and adds it to the feed. After some silence, or an error, the stream is asked what there is.
    async fn step(&mut self) -> anyhow::Result<()> {
        let message = match &mut self.messages {
            Some(messages) => timeout(SILENCE, messages.next()).await,
            None => {
                self.subscribe().await;
                return Ok(());
            }
        };
        match message {
            Ok(Some(Ok(message))) => {
                let seq = match message.info() {
                    Ok(info) => {
                        self.pending = Some(info.pending);
                        info.stream_sequence
                    }
                    Err(error) => anyhow::bail!("the broker sent a message without a sequence number: {error}"),
                };
                let headers = message.headers.as_ref();
                let at = headers.and_then(|headers| headers.get(PUBLISHED_AT)?.as_str().parse::<i64>().ok());
                let at = at.map_or_else(clock::now_ns, from_unix_ns);
                self.add(seq, at, &String::from_utf8_lossy(&message.payload));
                Ok(())
            }
            Ok(Some(Err(error))) => {
                warn!("the events of the broker were interrupted: {error}");
                self.messages = None;
                self.check().await
            }
            Ok(None) => {
                self.messages = None;
                self.check().await
            }
            Err(_silence) => self.check().await,
        }
    }

    fn add(&mut self, seq: u64, at: u64, data: &str) {
        // A consumer that was made anew may repeat an event.
        if seq <= self.newest {
            return;
        }
        let missing = self.feed.receive(seq, at, data);
        self.newest = seq;
        if missing > 0 {
            self.counters.add_missing(missing);
            warn!("{missing} events before number {seq} are missing in the stream");
        }
    }

    /// Subscribes to the events after the newest one.
    async fn subscribe(&mut self) {
        let start_sequence = self.newest + 1;
        let config =
            OrderedConfig { deliver_policy: DeliverPolicy::ByStartSequence { start_sequence }, ..Default::default() };
        let subscribed = async {
            let consumer = self.stream.create_consumer(config).await?;
            let pending = consumer.cached_info().num_pending;
            anyhow::Ok((pending, consumer.messages().await?))
        };
        match timeout(TIMEOUT, subscribed).await {
            Ok(Ok((pending, messages))) => (self.pending, self.messages) = (Some(pending), Some(messages)),
            Ok(Err(error)) => {
                warn!("cannot read the stream: {error:#}");
                sleep(SILENCE).await;
            }
            Err(_) => warn!("cannot read the stream: the broker does not respond"),
        }
    }

    /// Asks for the state of the stream, and subscribes anew if it has events that have not come.
    ///
    /// # Errors
    /// When the stream is another one, or has fewer events than this server: the numbers that are assigned next would stand for two events.
    async fn check(&mut self) -> anyhow::Result<()> {
        // Since messages may come while the reply is under way, only what was true before counts.
        let before = self.newest;
        let info = match timeout(TIMEOUT, self.stream.info()).await {
            Ok(Ok(info)) => info,
            Ok(Err(error)) => {
                warn!("the broker does not tell the state of the stream: {error}");
                sleep(SILENCE).await;
                return Ok(());
            }
            Err(_) => return Ok(()),
        };
        anyhow::ensure!(epoch(info) == self.epoch, "the stream was deleted and made anew; start the server again");
        let last = info.state.last_sequence;
        anyhow::ensure!(
            last >= before,
            "the broker has lost events that it had stored: its last one is {last}, and {before} was delivered; delete the stream and start the \
             servers again"
        );
        if last > self.newest && self.pending != Some(0) {
            info!("subscribing anew: the newest event is {}, and the stream has {last}", self.newest);
            self.messages = None;
        }
        Ok(())
    }
}

/// The epoch of a stream: when it was created, in ms since 1970.
fn epoch(info: &Info) -> Epoch {
    Epoch((info.created.unix_timestamp_nanos() / 1_000_000) as u64)
}

/// A time of the monotonic clock as ns since 1970. Both clocks are read now, so only their drift since that time is an error.
pub fn to_unix_ns(at: u64) -> i64 {
    let unix_ns = unix_now_ns() - (i128::from(clock::now_ns()) - i128::from(at));
    i64::try_from(unix_ns).unwrap_or(i64::MAX)
}

/// A time in ns since 1970 on the monotonic clock; 0 if it was before that clock began.
fn from_unix_ns(unix_ns: i64) -> u64 {
    let at = i128::from(clock::now_ns()) - (unix_now_ns() - i128::from(unix_ns));
    u64::try_from(at).unwrap_or(0)
}

fn unix_now_ns() -> i128 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as i128)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_survives_the_way_through_the_other_clock() {
        let at = clock::now_ns() - 1_000_000;
        assert!(
            from_unix_ns(to_unix_ns(at)).abs_diff(at) < 1_000_000,
            "a millisecond, since a test may be interrupted"
        );
        assert_eq!(from_unix_ns(0), 0);
    }
}
