//! Measures two servers with a feed of their own each, and with one feed that they share in a stream of a broker: which events reach whom,
//! in which order, what a subscriber gets that goes from one server to the other, and the latency that the broker adds.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::BytesMut;
use protocol::facts::Facts;
use protocol::facts::shared_feed::{FeedTrial, Origins, Resumed, SharedFeedFacts};
use protocol::{Bookmark, Cursor, Event, Gap, chunked, clock};
use server::Options;
use server::feed::BrokerAddress;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::endpoint::Endpoint;
use crate::fault::Fault;
use crate::test_bed::TestBed;
use crate::test_bed::broker::Broker;
use crate::test_bed::control::Control;
use crate::test_bed::server_process::options;
use crate::wire::{Connection, SharedLedger};

/// Trials of each kind.
const TRIALS: u32 = 8;
/// Events through each server, in each part of a trial.
const EVENTS: u64 = 50;
/// The pause after an event whose latency is measured, so that it does not delay the next one.
const PAUSE: Duration = Duration::from_millis(2);
/// How long an event is waited for, the first time that none comes; then the trial waits no more.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How long a trial may take.
const TRIAL_TIMEOUT: Duration = Duration::from_secs(60);

/// Runs the experiment. Without a broker, it says why, and nothing is measured with a shared feed.
pub async fn run(seed: u64) -> anyhow::Result<Facts> {
    let broker = match Broker::start().await {
        Ok(broker) => Some(broker),
        Err(error) => {
            eprintln!("Not measured with a shared feed: {error:#}");
            None
        }
    };
    let mut trials = Vec::new();
    for number in 0..TRIALS {
        let shared = broker.as_ref().map(|broker| broker.stream(&format!("trial-{number}"))).transpose()?;
        let mut feeds = vec![None];
        feeds.extend(shared.map(Some));
        // Each kind is the first one as often as the other.
        let first = number as usize % feeds.len();
        feeds.rotate_left(first);
        for feed in feeds {
            let trial = timeout(TRIAL_TIMEOUT, trial(feed, seed));
            trials.push(trial.await.with_context(|| format!("a trial took longer than {TRIAL_TIMEOUT:?}"))??);
        }
    }
    let broker = broker.map(|broker| broker.version.clone());
    Ok(Facts::SharedFeed(SharedFeedFacts { events: EVENTS, broker, trials }))
}

/// A server, and the texts that were published through it.
struct Site {
    name: char,
    test_bed: TestBed,
    epoch: protocol::Epoch,
    /// When each text was sent, in ns.
    sent: HashMap<String, u64>,
    /// The number of the newest event that was published through it.
    newest: u64,
}

impl Site {
    async fn open(name: char, setup: &Options) -> anyhow::Result<Self> {
        let mut test_bed = TestBed::open(setup).await?;
        let epoch = test_bed.control.load().await?.epoch;
        Ok(Self { name, test_bed, epoch, sent: HashMap::new(), newest: 0 })
    }

    fn endpoint(&self) -> &Endpoint {
        &self.test_bed.target.endpoint
    }

    /// A subscription at this server from the beginning of the feed.
    async fn subscribe(&self) -> anyhow::Result<Subscription> {
        let start = Bookmark { cursor: Cursor(0), epoch: Some(self.epoch) };
        Subscription::open(self.endpoint(), start).await
    }

    async fn publish(&mut self) -> anyhow::Result<()> {
        let text = format!("{} {}", self.name, self.sent.len());
        let sent = clock::now_ns();
        self.newest = Control::publish(&mut self.test_bed.control, &text).await?;
        self.sent.insert(text, sent);
        Ok(())
    }

    async fn publish_many(&mut self) -> anyhow::Result<()> {
        for _ in 0..EVENTS {
            self.publish().await?;
        }
        Ok(())
    }

    /// How many of the events that were published through this server came.
    fn count(&self, events: &[Received]) -> u64 {
        let came: HashSet<&str> = events.iter().map(|event| &*event.text).collect();
        self.sent.keys().filter(|text| came.contains(text.as_str())).count() as u64
    }
}

/// An event that came.
struct Received {
    seq: u64,
    text: String,
    /// When, in ns.
    at: u64,
}

/// What a subscription has received so far.
#[derive(Default)]
struct Feed {
    events: RefCell<Vec<Received>>,
    gap: Cell<bool>,
    changed: Notify,
}

/// A subscription over HTTP streaming. Dropping it closes its connection.
struct Subscription {
    feed: Rc<Feed>,
    _reading: JoinSet<()>,
}

impl Subscription {
    async fn open(endpoint: &Endpoint, after: Bookmark) -> anyhow::Result<Self> {
        let ledger = SharedLedger::default();
        let mut wire = Connection::connect(endpoint.address, None, endpoint.tls.as_ref(), ledger).await?;
        let request = format!("GET /stream?after={after} HTTP/1.1\r\nHost: {}\r\n\r\n", endpoint.host);
        wire.request(request.as_bytes()).await?;
        let head = timeout(TIMEOUT, wire.head()).await.context("a stream does not begin")??;
        ensure!(head.status == 200 && head.chunked, "a stream begins with status {}", head.status);
        let feed = Rc::new(Feed::default());
        let (mut reading, receives) = (JoinSet::new(), feed.clone());
        // The stream ends with the server, after the trial.
        reading.spawn_local(async move { drop(receive(wire, &receives).await) });
        Ok(Self { feed, _reading: reading })
    }

    /// Waits until an event with this number, or a later one, has come, unless the trial has waited in vain once. If none comes in time, what
    /// is counted afterwards shows it.
    async fn wait_for(&self, seq: u64, timed_out: &Cell<bool>) {
        if timed_out.get() {
            return;
        }
        let came = || self.feed.events.borrow().iter().any(|event| event.seq >= seq);
        let wait = async {
            while !came() {
                self.feed.changed.notified().await;
            }
        };
        if timeout(TIMEOUT, wait).await.is_err() {
            timed_out.set(true);
        }
    }
}

/// Receives the events of a stream until its connection ends.
async fn receive(mut wire: Connection, feed: &Feed) -> Result<(), Fault> {
    let mut body = BytesMut::new();
    loop {
        // The first events may have come together with the headers.
        let at = clock::now_ns();
        while let Some((size, start)) = chunked::size(&wire.received)? {
            let length = start + size + chunked::END.len();
            if wire.received.len() < length {
                break;
            }
            body.extend_from_slice(&wire.received.split_to(length)[start..start + size]);
        }
        while let Some(end) = body.iter().position(|&byte| byte == b'\n') {
            let line = body.split_to(end + 1);
            match line.trim_ascii() {
                // A heartbeat.
                [] => {}
                line if Gap::is_announced_by(line) => feed.gap.set(true),
                line => {
                    let event = Event::decode(line).map_err(|error| Fault::NotHttp(error.to_string()))?;
                    feed.events.borrow_mut().push(Received { seq: event.seq, text: event.data.into(), at });
                }
            }
        }
        feed.changed.notify_one();
        wire.fill().await?;
    }
}

/// Two servers with this feed, or with a feed of their own each.
async fn trial(feed: Option<BrokerAddress>, seed: u64) -> anyhow::Result<FeedTrial> {
    let setup = Options { feed, seed, ..options() };
    let shared = setup.feed.is_some();
    let (mut a, mut b) = (Site::open('A', &setup).await?, Site::open('B', &setup).await?);
    let (at_a, at_b, leaving) = (a.subscribe().await?, b.subscribe().await?, a.subscribe().await?);
    let timed_out = Cell::new(false);
    for _ in 0..EVENTS {
        for (site, subscription) in [(&mut a, &at_a), (&mut b, &at_b)] {
            site.publish().await?;
            subscription.wait_for(site.newest, &timed_out).await;
            sleep(PAUSE).await;
        }
    }
    let one_after_another = a.sent.clone();
    tokio::try_join!(a.publish_many(), b.publish_many())?;
    let newest = |a: &Site, b: &Site| if shared { [a.newest.max(b.newest); 2] } else { [a.newest, b.newest] };
    let [newest_a, newest_b] = newest(&a, &b);
    tokio::join!(
        at_a.wait_for(newest_a, &timed_out),
        at_b.wait_for(newest_b, &timed_out),
        leaving.wait_for(newest_a, &timed_out)
    );
    let origins = |events: &[Received]| Origins { a: a.count(events), b: b.count(events) };
    let (received_a, received_b, differing) = {
        let (events_a, events_b) = (at_a.feed.events.borrow(), at_b.feed.events.borrow());
        let longest = events_a.len().max(events_b.len());
        let text = |events: &[Received], index: usize| events.get(index).map(|event| event.text.clone());
        let differing = (0..longest).filter(|&index| text(&events_a, index) != text(&events_b, index)).count() as u64;
        (origins(&events_a), origins(&events_b), differing)
    };
    let published = Origins { a: a.sent.len() as u64, b: b.sent.len() as u64 };
    let latencies = |subscription: &Subscription| {
        let events = subscription.feed.events.borrow();
        let latency = |event: &Received| Some((event.at - one_after_another.get(&event.text)?) as f64 / 1e6);
        events.iter().filter_map(latency).collect::<Vec<f64>>()
    };
    let (at_a_ms, at_b_ms) = (latencies(&at_a), latencies(&at_b));

    let cursor = Cursor(newest_a);
    drop(leaving);
    tokio::try_join!(a.publish_many(), b.publish_many())?;
    let [newest_a, newest_b] = newest(&a, &b);
    tokio::join!(at_a.wait_for(newest_a, &timed_out), at_b.wait_for(newest_b, &timed_out));
    let mut resumed = Vec::new();
    for epoch in [None, Some(a.epoch)] {
        let subscription = Subscription::open(b.endpoint(), Bookmark { cursor, epoch }).await?;
        subscription.wait_for(newest_b, &timed_out).await;
        let missed = if shared { 2 * EVENTS } else { EVENTS };
        let [received, repeated, other] = compare(&at_a.feed, cursor, &subscription.feed);
        let gap = subscription.feed.gap.get();
        resumed.push(Resumed { with_epoch: epoch.is_some(), gap, missed, received, repeated, other });
    }
    let disorder = [&at_a, &at_b].map(|subscription| disorder(&subscription.feed.events.borrow())).iter().sum();
    let timed_out = timed_out.get();
    Ok(FeedTrial {
        shared,
        at_a_ms,
        at_b_ms,
        published,
        received_a,
        received_b,
        differing,
        disorder,
        timed_out,
        resumed,
    })
}

/// How many events came again, or after a later one that was published through the same server: a text is the server's name and a number.
fn disorder(events: &[Received]) -> u64 {
    let mut latest: HashMap<&str, u64> = HashMap::new();
    let mut count = 0;
    for (server, number) in events.iter().filter_map(|event| event.text.split_once(' ')) {
        let Ok(number) = number.parse() else { continue };
        match latest.get(server) {
            Some(&latest) if number <= latest => count += 1,
            _ => _ = latest.insert(server, number),
        }
    }
    count
}

/// Compares what came after a cursor at the other server with what came to a subscriber that stayed at the first one: how many of its events
/// came in its order, came although they were before the cursor or had come, and were others.
fn compare(feed: &Feed, cursor: Cursor, resumed: &Feed) -> [u64; 3] {
    let events = feed.events.borrow();
    let positions: HashMap<&str, u64> = events.iter().map(|event| (&*event.text, event.seq)).collect();
    let [mut received, mut repeated, mut other] = [0; 3];
    let mut last = cursor.0;
    for event in resumed.events.borrow().iter() {
        match positions.get(&*event.text) {
            Some(&position) if position > last => {
                last = position;
                received += 1;
            }
            Some(_) => repeated += 1,
            None => other += 1,
        }
    }
    [received, repeated, other]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(events: &[(u64, &str)]) -> Feed {
        let events = events.iter().map(|&(seq, text)| Received { seq, text: text.into(), at: 0 }).collect();
        Feed { events: RefCell::new(events), ..Feed::default() }
    }

    #[tokio::test]
    async fn a_trial_waits_in_vain_only_once() {
        let subscription = |events| Subscription { feed: feed(events).into(), _reading: JoinSet::new() };
        let timed_out = Cell::new(false);
        // The newest event has come, though not as the last one.
        subscription(&[(1, "A 0"), (3, "A 2"), (2, "A 1")]).wait_for(3, &timed_out).await;
        assert!(!timed_out.get());
        let lacking = subscription(&[(1, "A 0")]);
        lacking.wait_for(2, &timed_out).await;
        assert!(timed_out.get());
        assert!(timeout(Duration::ZERO, lacking.wait_for(2, &timed_out)).await.is_ok(), "it waits again");
    }

    #[test]
    fn an_event_that_comes_again_or_after_a_later_one_of_its_server_is_out_of_order() {
        let of = |texts: &[&'static str]| {
            let numbered: Vec<(u64, &str)> = (1..).zip(texts.iter().copied()).collect();
            disorder(&feed(&numbered).events.borrow())
        };
        assert_eq!(of(&["A 0", "B 0", "B 1", "A 1", "B 2"]), 0);
        assert_eq!(of(&["A 9", "A 10", "B 0"]), 0);
        assert_eq!(of(&["A 0", "A 2", "B 0", "A 1", "A 3"]), 1);
        assert_eq!(of(&["A 0", "A 0", "A 1", "A 0"]), 2);
        // A loss is counted elsewhere.
        assert_eq!(of(&["A 0", "A 2"]), 0);
    }

    #[test]
    fn what_a_resumed_subscriber_received_is_counted_against_the_feed_that_it_left() {
        let first = feed(&[(1, "a"), (2, "b"), (3, "c"), (4, "d")]);
        let resumed = |events| compare(&first, Cursor(2), &feed(events));
        assert_eq!(resumed(&[(3, "c"), (4, "d")]), [2, 0, 0]);
        assert_eq!(resumed(&[(2, "b"), (3, "c"), (3, "c"), (4, "x")]), [1, 2, 1]);
        // In another order, the first one is late.
        assert_eq!(resumed(&[(4, "d"), (3, "c")]), [1, 1, 0]);
        assert_eq!(resumed(&[]), [0, 0, 0]);
    }
}
