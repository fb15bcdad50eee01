//! A group of subscribers of one transport. It connects them, counts those that are connected, and closes them.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::time::Duration;

use protocol::schedule::{seeded, uniform};
use protocol::transport::Carrier;
use protocol::{Bookmark, Transport, clock};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::round::recorder::{Recorder, Shared};
use crate::subscriber::Target;
use crate::subscriber::session;
use crate::subscriber::stop::Stop;
use crate::wire::http2::Slot;

/// How many subscribers connect at once, in all processes together: fewer than fit into the server's queue of new connections. Over QUIC that
/// queue is the receive buffer of one UDP socket, which has room for some 90 datagrams by default.
fn connect_at_once(transport: Transport) -> usize {
    match transport.carrier() {
        Carrier::Tcp | Carrier::H1 | Carrier::H2 => 500,
        Carrier::H3 | Carrier::H3Streams | Carrier::H3Datagrams => 80,
    }
}

/// How long subscribers may take to close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);

/// A part of all subscribers: `count` of `of` subscribers, beginning with number `first`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// The number of the first one, from 0.
    pub first: u32,
    /// How many there are in this part.
    pub count: u32,
    /// How many there are in all parts.
    pub of: u32,
}

impl Share {
    /// All of `count` subscribers.
    pub fn all(count: u32) -> Self {
        Self { first: 0, count, of: count }
    }

    /// Splits it into that many parts, as equal as possible. Empty parts are omitted.
    pub fn split(self, parts: u32) -> impl Iterator<Item = Self> {
        let at = move |part: u32| (u64::from(self.count) * u64::from(part) / u64::from(parts)) as u32;
        let share = move |part| Self { first: self.first + at(part), count: at(part + 1) - at(part), of: self.of };
        (0..parts).map(share).filter(|share| share.count > 0)
    }
}

/// Subscribers that are connecting or connected.
pub struct SubscriberGroup {
    /// What they have observed.
    pub recorder: Shared,
    /// Time from starting to connect until all were connected, or the deadline, in ns.
    pub connect_ns: u64,
    stop: Stop,
    running: JoinSet<()>,
}

impl SubscriberGroup {
    /// Connects a share of the subscribers, which start at `after`, and waits until all are connected, at most until `deadline` (ns). `seed`
    /// determines the phases of pollers.
    pub async fn connect(
        transport: Transport,
        target: Target,
        after: Bookmark,
        share: Share,
        recorder: Recorder,
        seed: u64,
        deadline: u64,
    ) -> Self {
        let began = clock::now_ns();
        let recorder = Rc::new(RefCell::new(recorder));
        let mut group = Self { recorder, connect_ns: 0, stop: Stop::default(), running: JoinSet::new() };
        let (target, count) = (Rc::new(target), share.count as usize);
        let mut phases = seeded(seed ^ u64::from(share.first) << 32);
        let at_once = (connect_at_once(transport) * count / share.of.max(1) as usize).max(1);
        let mut slot = Rc::new(Slot::default());
        for batch in 0..count.div_ceil(at_once) {
            let until = count.min((batch + 1) * at_once);
            while group.running.len() < until {
                // Stratified: the interval is divided among the pollers, and each phase is random within its part. Independent random
                // phases would be a sample of a few dozen only, however many events there are.
                let number = f64::from(share.first) + group.running.len() as f64;
                let phase = (number + uniform(&mut phases)) / f64::from(share.of);
                let phase = target.poll_interval.mul_f64(phase);
                if group.running.len().is_multiple_of(target.streams_per_connection.max(1) as usize) {
                    slot = Rc::new(Slot::default());
                }
                let (target, recorder, stopped) = (target.clone(), group.recorder.clone(), group.stop.stopped());
                let session = session::run(transport, target, after, phase, slot.clone(), recorder, stopped);
                group.running.spawn_local(session);
            }
            while group.connected() < until as u32 && clock::now_ns() < deadline {
                sleep(Duration::from_millis(1)).await;
            }
            group.connect_ns = clock::now_ns() - began;
        }
        group
    }

    /// How many are connected, or have been.
    pub fn connected(&self) -> u32 {
        self.recorder.borrow().connected
    }

    /// Deliveries to all of them so far.
    pub fn deliveries(&self) -> u64 {
        self.recorder.borrow().deliveries()
    }

    /// Waits until that many deliveries have been made.
    pub async fn wait_for(&self, deliveries: u64) {
        // A check every millisecond would set a kernel timer each time, which costs more than an event does.
        poll_fn(|context| self.recorder.borrow_mut().poll_deliveries(deliveries, context.waker())).await;
    }

    /// As [`Self::wait_for`], but at most until `deadline` (ns). Returns whether they were made.
    pub async fn wait_for_until(&self, deliveries: u64, deadline: u64) -> bool {
        timeout(Duration::from_nanos(deadline.saturating_sub(clock::now_ns())), self.wait_for(deliveries)).await.is_ok()
    }

    /// Closes all subscriptions; returns what the subscribers have observed, and whether all have closed in time.
    pub async fn close(mut self) -> (Recorder, bool) {
        self.stop.stop();
        let all_closed = async { while self.running.join_next().await.is_some() {} };
        let all_closed = tokio::time::timeout(CLOSE_TIMEOUT, all_closed).await.is_ok();
        self.running.shutdown().await;
        (Rc::into_inner(self.recorder).expect("every subscriber has closed").into_inner(), all_closed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_all_of_the_subscribers_and_each_once() {
        let share = |first, count| Share { first, count, of: 10 };
        assert!(Share::all(10).split(3).eq([share(0, 3), share(3, 3), share(6, 4)]));
        assert!(Share::all(10).split(1).eq([Share::all(10)]));
        assert_eq!(Share::all(2).split(5).map(|share| share.count).sum::<u32>(), 2);
    }
}
