//! A modelled network: a link that delivers bytes in order, each after the network's delay, and no faster than its bandwidth.
//!
//! The link is a queue in the client, in user space: between the subscriber and its socket, in both directions. So it does not change the
//! server's load, and needs no privileges. It does not model loss, retransmission, congestion control, or other traffic.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;

use bytes::Bytes;
use protocol::clock;
use protocol::network::Network;
use protocol::schedule::{seeded, uniform};
use rand_pcg::Pcg64Mcg;

use protocol::platform::Timer;

/// The most bytes in one direction of a link, like the buffer of a router. While it is full, nothing more is read from the server, which
/// then waits as on a real path. What subscribers send is small, and not bounded.
const MAX_QUEUED_BYTES: usize = 1 << 20;

/// A record of all bytes that crossed a link, for drawings.
pub type Trace = Rc<RefCell<Vec<Transit>>>;

/// Bytes that crossed a link together, in one direction.
#[derive(Debug, Clone, PartialEq)]
pub struct Transit {
    /// Whether they went from the client to the server.
    pub up: bool,
    /// When they entered the link, in ns.
    pub left: u64,
    /// When they arrived at its other end, in ns.
    pub arrived: u64,
    /// The bytes; empty for the two transits that opening a connection takes.
    pub bytes: Bytes,
}

/// A link in both directions, for one connection.
pub struct Link {
    /// From the client to the server.
    pub up: Direction,
    /// From the server to the client.
    pub down: Direction,
    /// Wakes the task when the next bytes arrive.
    pub timer: Timer,
}

impl Link {
    /// A link that models `network`; `seed` determines its jitter. With a `trace`, all bytes that cross it are recorded there.
    ///
    /// # Errors
    /// Those of creating its timer.
    pub fn new(network: Network, seed: u64, trace: Option<&Trace>) -> io::Result<Self> {
        let direction = |up, seed| Direction::new(network, seed, trace.map(|trace| (up, trace.clone())));
        Ok(Self { up: direction(true, seed), down: direction(false, !seed), timer: Timer::new()? })
    }

    /// Waits for as long as opening a TCP connection takes: one round trip.
    ///
    /// # Errors
    /// Those of the timer.
    pub async fn open(&mut self) -> io::Result<()> {
        for direction in [&mut self.up, &mut self.down] {
            let due = direction.push(clock::now_ns(), Bytes::new());
            self.timer.sleep_until(due).await?;
            direction.pop_arrived(clock::now_ns());
        }
        Ok(())
    }

    /// When the next bytes arrive at either end, in ns; `None` while the link is empty.
    pub fn next_due(&self) -> Option<u64> {
        [self.up.next_due(), self.down.next_due()].into_iter().flatten().min()
    }
}

/// One direction of a link: a queue of bytes, each with the time of its arrival.
pub struct Direction {
    network: Network,
    random: Pcg64Mcg,
    queue: VecDeque<Queued>,
    queued_bytes: usize,
    /// When the last byte has been put on the modelled wire, in ns.
    busy_until: u64,
    /// When the last byte arrives, in ns.
    last_due: u64,
    trace: Option<(bool, Trace)>,
}

struct Queued {
    entered: u64,
    due: u64,
    bytes: Bytes,
}

impl Direction {
    /// A direction of a link that models `network`; `seed` determines its jitter. With a trace, bytes that cross it are recorded there, with
    /// whether they go up.
    pub fn new(network: Network, seed: u64, trace: Option<(bool, Trace)>) -> Self {
        let (random, queue) = (seeded(seed), VecDeque::new());
        Self { network, random, queue, queued_bytes: 0, busy_until: 0, last_due: 0, trace }
    }

    /// Lets bytes enter the link at `now`, in ns; returns when they will arrive, in ns.
    pub fn push(&mut self, now: u64, bytes: Bytes) -> u64 {
        let serialising = match self.network.bandwidth_bits_per_s {
            Some(bits) => (bytes.len() as u128 * 8 * 1_000_000_000 / u128::from(bits)) as u64,
            None => 0,
        };
        self.busy_until = self.busy_until.max(now) + serialising;
        // Not before the bytes ahead of them: a connection's bytes stay in order.
        self.last_due = self.last_due.max(self.busy_until + self.delay());
        self.queued_bytes += bytes.len();
        self.queue.push_back(Queued { entered: now, due: self.last_due, bytes });
        self.last_due
    }

    /// When the next bytes arrive, in ns; `None` while nothing is queued.
    pub fn next_due(&self) -> Option<u64> {
        self.queue.front().map(|next| next.due)
    }

    /// Removes the next bytes and returns them, if they have arrived by `now`, in ns.
    pub fn pop_arrived(&mut self, now: u64) -> Option<Bytes> {
        if self.next_due()? > now {
            return None;
        }
        let Queued { entered, due, bytes } = self.queue.pop_front()?;
        self.queued_bytes -= bytes.len();
        if let Some((up, trace)) = &self.trace {
            // When a link is drained at the end, the trace has the time at which the bytes would have arrived.
            let arrived = if now == u64::MAX { due } else { now };
            trace.borrow_mut().push(Transit { up: *up, left: entered, arrived, bytes: bytes.clone() });
        }
        Some(bytes)
    }

    /// The bytes that wait at `now`, in ns, for those before them to be sent.
    pub fn waiting_bytes(&self, now: u64) -> u64 {
        let bits = self.network.bandwidth_bits_per_s.unwrap_or(0);
        (u128::from(self.busy_until.saturating_sub(now)) * u128::from(bits) / 8_000_000_000) as u64
    }

    /// Whether more bytes may enter.
    pub fn has_room(&self) -> bool {
        self.queued_bytes < MAX_QUEUED_BYTES
    }

    /// The delay of the next bytes, jitter included, in ns.
    fn delay(&mut self) -> u64 {
        let jitter = self.network.jitter_us as f64 * (2.0 * uniform(&mut self.random) - 1.0);
        ((self.network.delay_us as f64 + jitter) * 1e3) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn direction(network: &str) -> Direction {
        Direction::new(network.parse().unwrap(), 1, None)
    }

    #[test]
    fn bytes_arrive_after_the_delay_and_not_before() {
        let mut direction = direction("delay=40ms");
        assert_eq!(direction.push(5 * MS, Bytes::from_static(b"a")), 45 * MS);
        assert_eq!((direction.next_due(), direction.pop_arrived(45 * MS - 1)), (Some(45 * MS), None));
        assert_eq!(direction.pop_arrived(45 * MS).unwrap(), "a");
        assert_eq!(direction.next_due(), None);
    }

    #[test]
    fn bandwidth_delays_bytes_until_those_before_them_are_sent_and_idle_time_is_not_saved_up() {
        // 8 Mbit a second: a thousand bytes take a millisecond.
        let mut direction = direction("delay=10ms,bandwidth=8mbit");
        let thousand = Bytes::from_static(&[0; 1_000]);
        assert_eq!(direction.push(0, thousand.clone()), 11 * MS);
        assert_eq!(direction.push(0, thousand.clone()), 12 * MS);
        assert_eq!(direction.push(50 * MS, thousand), 61 * MS);
    }

    #[test]
    fn jitter_spreads_delays_evenly_and_never_changes_the_order() {
        let mut direction = direction("delay=40ms,jitter=5ms");
        // Far enough apart that order does not matter.
        let delays: Vec<u64> =
            (0..2_000).map(|index| direction.push(index * 100 * MS, Bytes::new()) - index * 100 * MS).collect();
        let mean = delays.iter().sum::<u64>() / 2_000;
        assert!(delays.iter().all(|delay| (35 * MS..=45 * MS).contains(delay)));
        assert!((39_800_000..40_200_000).contains(&mean), "{mean}");
        let close: Vec<u64> = (0..2_000).map(|index| direction.push(1_000_000 * MS + index, Bytes::new())).collect();
        assert!(close.is_sorted());
    }

    #[test]
    fn a_full_link_has_no_room_until_bytes_have_arrived() {
        let mut direction = direction("delay=1ms");
        direction.push(0, Bytes::from(vec![0; MAX_QUEUED_BYTES]));
        assert!(!direction.has_room());
        assert!(direction.pop_arrived(MS).is_some() && direction.has_room());
    }
}
