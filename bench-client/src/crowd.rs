//! Many subscribers of one transport: gathers them, counts who is connected, and sends them home.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::time::Duration;

use protocol::schedule::{seeded, uniform};
use protocol::{Bookmark, Transport, clock};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::recorder::{Recorder, Shared};
use crate::session;
use crate::stop::Stop;
use crate::subscriber::Target;

/// Subscribers that connect at once, in all processes: fewer than the server's queue of new connections holds.
const CONNECT_AT_ONCE: usize = 500;
/// How long subscribers may take to leave.
const LEAVE: Duration = Duration::from_secs(3);

/// Which of all subscribers some are: `count` of them from number `first` on, `of` all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// The first one's number, from 0.
    pub first: u32,
    /// How many they are.
    pub count: u32,
    /// How many all are.
    pub of: u32,
}

impl Share {
    /// All of so many.
    pub fn all(count: u32) -> Self {
        Self { first: 0, count, of: count }
    }

    /// The same in so many parts, as equal as can be; parts that would be empty are left out.
    pub fn split(self, parts: u32) -> impl Iterator<Item = Self> {
        let at = move |part: u32| (u64::from(self.count) * u64::from(part) / u64::from(parts)) as u32;
        let share = move |part| Self { first: self.first + at(part), count: at(part + 1) - at(part), of: self.of };
        (0..parts).map(share).filter(|share| share.count > 0)
    }
}

/// Subscribers that are connecting or connected.
pub struct Crowd {
    /// What they have seen.
    pub recorder: Shared,
    /// Time from starting to connect until all were connected, or were given up waiting for, in ns.
    pub connect_ns: u64,
    stop: Stop,
    running: JoinSet<()>,
}

impl Crowd {
    /// Connects a share of subscribers behind `after`, and waits until all are connected, but not beyond `deadline` (ns). `seed`
    /// decides at which phases pollers begin.
    pub async fn gather(
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
        let mut crowd = Self { recorder, connect_ns: 0, stop: Stop::default(), running: JoinSet::new() };
        let (target, count) = (Rc::new(target), share.count as usize);
        let mut phases = seeded(seed ^ u64::from(share.first) << 32);
        let at_once = (CONNECT_AT_ONCE * count / share.of.max(1) as usize).max(1);
        for group in 0..count.div_ceil(at_once) {
            let until = count.min((group + 1) * at_once);
            while crowd.running.len() < until {
                // Spread over the interval, each at random within its share of it: phases that are merely random would be a
                // sample of a few dozen, however many events fall into it.
                let number = f64::from(share.first) + crowd.running.len() as f64;
                let phase = (number + uniform(&mut phases)) / f64::from(share.of);
                let phase = target.poll_interval.mul_f64(phase);
                let (target, recorder, stopped) = (target.clone(), crowd.recorder.clone(), crowd.stop.told());
                crowd.running.spawn_local(session::run(transport, target, after, phase, recorder, stopped));
            }
            while crowd.connected() < until as u32 && clock::now_ns() < deadline {
                sleep(Duration::from_millis(1)).await;
            }
            crowd.connect_ns = clock::now_ns() - began;
        }
        crowd
    }

    /// How many are connected, or were.
    pub fn connected(&self) -> u32 {
        self.recorder.borrow().connected
    }

    /// Deliveries to all of them so far.
    pub fn deliveries(&self) -> u64 {
        self.recorder.borrow().deliveries()
    }

    /// Waits until that many deliveries have been made.
    pub async fn have(&self, deliveries: u64) {
        // To ask again each millisecond would have the kernel set a timer before each sleep, which costs more than an event does.
        poll_fn(|context| self.recorder.borrow_mut().poll_deliveries(deliveries, context.waker())).await;
    }

    /// The same, but not beyond `deadline` (ns); whether they were.
    pub async fn have_by(&self, deliveries: u64, deadline: u64) -> bool {
        timeout(Duration::from_nanos(deadline.saturating_sub(clock::now_ns())), self.have(deliveries)).await.is_ok()
    }

    /// Tells all to leave: what they have seen, and whether they left in time.
    pub async fn leave(mut self) -> (Recorder, bool) {
        self.stop.tell();
        let all_left = async { while self.running.join_next().await.is_some() {} };
        let all_left = tokio::time::timeout(LEAVE, all_left).await.is_ok();
        self.running.shutdown().await;
        (Rc::into_inner(self.recorder).expect("every subscriber has left").into_inner(), all_left)
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
