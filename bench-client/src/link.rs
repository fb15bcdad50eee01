//! A modelled network: bytes leave a link at their arrival and the delay, in order, no faster than its bandwidth.
//!
//! The link is the client's own, in user space: between what the subscriber sends and the socket, and between the socket and
//! what the subscriber sees. So the server's load is not touched by it, and no privilege is needed. It does not model loss,
//! retransmission, congestion control, or other traffic.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;

use bytes::Bytes;
use protocol::clock;
use protocol::network::Network;
use protocol::schedule::{seeded, uniform};
use rand_pcg::Pcg64Mcg;

use crate::alarm::Alarm;

/// What a link holds before it takes no more from the server, in bytes: a router's buffer. Beyond it the server waits, as it
/// would on a real path. What subscribers send is small, and not bounded.
const MOST_HELD: usize = 1 << 20;

/// What went over a link, for whoever wants to draw it.
pub type Trace = Rc<RefCell<Vec<Passage>>>;

/// Bytes that went over a link one way at once.
#[derive(Debug, Clone, PartialEq)]
pub struct Passage {
    /// Whether they went from the client to the server.
    pub up: bool,
    /// When they entered the link, in ns.
    pub left: u64,
    /// When they came out of it, in ns.
    pub arrived: u64,
    /// The bytes; none for the two passages that opening a connection takes.
    pub bytes: Bytes,
}

/// A link in both directions, for one connection.
pub struct Link {
    /// From the client to the server.
    pub up: Lane,
    /// From the server to the client.
    pub down: Lane,
    /// Wakes whoever waits for bytes to come out.
    pub alarm: Alarm,
}

impl Link {
    /// A link over `network`; `seed` decides on its jitter. What passes is written down where a `trace` is given.
    ///
    /// # Errors
    /// Those of opening its timer.
    pub fn new(network: Network, seed: u64, trace: Option<&Trace>) -> io::Result<Self> {
        let lane = |up, seed| Lane::new(network, seed, trace.map(|trace| (up, trace.clone())));
        Ok(Self { up: lane(true, seed), down: lane(false, !seed), alarm: Alarm::new()? })
    }

    /// Waits for as long as opening a connection takes: there and back.
    ///
    /// # Errors
    /// Those of the timer.
    pub async fn open(&mut self) -> io::Result<()> {
        for lane in [&mut self.up, &mut self.down] {
            let due = lane.enter(clock::now_ns(), Bytes::new());
            self.alarm.until(due).await?;
            lane.leave(clock::now_ns());
        }
        Ok(())
    }

    /// When the next bytes come out at either end, in ns.
    pub fn next_due(&self) -> Option<u64> {
        [self.up.due(), self.down.due()].into_iter().flatten().min()
    }
}

/// One direction of a link.
pub struct Lane {
    network: Network,
    random: Pcg64Mcg,
    under_way: VecDeque<UnderWay>,
    held: usize,
    /// When the last byte has been put on the wire, in ns.
    busy_until: u64,
    /// When the last byte comes out, in ns.
    last_due: u64,
    trace: Option<(bool, Trace)>,
}

struct UnderWay {
    entered: u64,
    due: u64,
    bytes: Bytes,
}

impl Lane {
    fn new(network: Network, seed: u64, trace: Option<(bool, Trace)>) -> Self {
        let (random, under_way) = (seeded(seed), VecDeque::new());
        Self { network, random, under_way, held: 0, busy_until: 0, last_due: 0, trace }
    }

    /// Takes bytes in at `now`, in ns; when they will come out.
    pub fn enter(&mut self, now: u64, bytes: Bytes) -> u64 {
        let serialising = match self.network.bandwidth_bits_per_s {
            Some(bits) => (bytes.len() as u128 * 8 * 1_000_000_000 / u128::from(bits)) as u64,
            None => 0,
        };
        self.busy_until = self.busy_until.max(now) + serialising;
        // Never before what went ahead: a connection's bytes stay in order.
        self.last_due = self.last_due.max(self.busy_until + self.delay());
        self.held += bytes.len();
        self.under_way.push_back(UnderWay { entered: now, due: self.last_due, bytes });
        self.last_due
    }

    /// When the next bytes come out, in ns.
    pub fn due(&self) -> Option<u64> {
        self.under_way.front().map(|next| next.due)
    }

    /// Takes out the next bytes, if they have come out by `now`.
    pub fn leave(&mut self, now: u64) -> Option<Bytes> {
        if self.due()? > now {
            return None;
        }
        let UnderWay { entered, due, bytes } = self.under_way.pop_front()?;
        self.held -= bytes.len();
        if let Some((up, trace)) = &self.trace {
            // A link that is emptied in the end says when they would have come.
            let arrived = if now == u64::MAX { due } else { now };
            trace.borrow_mut().push(Passage { up: *up, left: entered, arrived, bytes: bytes.clone() });
        }
        Some(bytes)
    }

    /// Whether it takes more.
    pub fn has_room(&self) -> bool {
        self.held < MOST_HELD
    }

    /// One delay, jitter included, in ns.
    fn delay(&mut self) -> u64 {
        let jitter = self.network.jitter_us as f64 * (2.0 * uniform(&mut self.random) - 1.0);
        ((self.network.delay_us as f64 + jitter) * 1e3) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn lane(network: &str) -> Lane {
        Lane::new(network.parse().unwrap(), 1, None)
    }

    #[test]
    fn bytes_come_out_after_the_delay_and_not_before() {
        let mut lane = lane("delay=40ms");
        assert_eq!(lane.enter(5 * MS, Bytes::from_static(b"a")), 45 * MS);
        assert_eq!((lane.due(), lane.leave(45 * MS - 1)), (Some(45 * MS), None));
        assert_eq!(lane.leave(45 * MS).unwrap(), "a");
        assert_eq!(lane.due(), None);
    }

    #[test]
    fn bandwidth_makes_bytes_wait_for_those_before_them_and_idle_time_is_not_saved_up() {
        // 8 Mbit a second: a thousand bytes take a millisecond.
        let mut lane = lane("delay=10ms,bandwidth=8mbit");
        let thousand = Bytes::from_static(&[0; 1_000]);
        assert_eq!(lane.enter(0, thousand.clone()), 11 * MS);
        assert_eq!(lane.enter(0, thousand.clone()), 12 * MS);
        assert_eq!(lane.enter(50 * MS, thousand), 61 * MS);
    }

    #[test]
    fn jitter_spreads_delays_evenly_and_never_changes_the_order() {
        let mut lane = lane("delay=40ms,jitter=5ms");
        // Far enough apart that order does not matter.
        let delays: Vec<u64> =
            (0..2_000).map(|index| lane.enter(index * 100 * MS, Bytes::new()) - index * 100 * MS).collect();
        let mean = delays.iter().sum::<u64>() / 2_000;
        assert!(delays.iter().all(|delay| (35 * MS..=45 * MS).contains(delay)));
        assert!((39_800_000..40_200_000).contains(&mean), "{mean}");
        let close: Vec<u64> = (0..2_000).map(|index| lane.enter(1_000_000 * MS + index, Bytes::new())).collect();
        assert!(close.is_sorted());
    }

    #[test]
    fn a_full_link_takes_no_more_until_something_has_left() {
        let mut lane = lane("delay=1ms");
        lane.enter(0, Bytes::from(vec![0; MOST_HELD]));
        assert!(!lane.has_room());
        assert!(lane.leave(MS).is_some() && lane.has_room());
    }
}
