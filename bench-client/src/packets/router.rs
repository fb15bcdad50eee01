//! The router of one direction of a link: takes the packets of a device, loses some, and passes the others on after their delay.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use protocol::network::Network;
use protocol::result::PacketCount;
use protocol::schedule::{seeded, uniform};
use protocol::{clock, platform};
use rand_pcg::Pcg64Mcg;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tun_rs::SyncDevice;

use crate::wire::link::Direction;

/// Makes the seed of the jitter another than that of the loss.
const JITTER: u64 = 0x9e37_79b9_7f4a_7c15;
/// The longest wait, after which the router sees whether it has to stop.
const MAX_WAIT: Duration = Duration::from_millis(20);

/// Packets of one direction.
#[derive(Debug, Default)]
pub struct Counts {
    sent: AtomicU64,
    lost: AtomicU64,
    overflowed: AtomicU64,
}

impl Counts {
    /// The counts so far.
    pub fn so_far(&self) -> PacketCount {
        PacketCount {
            sent: self.sent.load(Relaxed),
            lost: self.lost.load(Relaxed),
            overflowed: self.overflowed.load(Relaxed),
        }
    }
}

/// One direction.
pub struct Router {
    network: Network,
    random: Pcg64Mcg,
    direction: Direction,
    counts: Arc<Counts>,
}

impl Router {
    /// A router whose packets are counted in `counts`; `seed` determines which ones are lost.
    pub fn new(network: Network, seed: u64, counts: Arc<Counts>) -> Self {
        Self { network, random: seeded(seed), direction: Direction::new(network, seed ^ JITTER, None), counts }
    }

    /// Passes packets on, until it is to stop or a device is gone.
    pub fn run(mut self, from: &SyncDevice, to: &SyncDevice, stop: &AtomicBool) {
        // Otherwise the kernel may wake this thread 50 us late.
        platform::sleep_precisely();
        let mut buffer = vec![0; 1 << 16];
        while !stop.load(Relaxed) {
            let due = self
                .direction
                .next_due()
                .map_or(MAX_WAIT, |due| Duration::from_nanos(due.saturating_sub(clock::now_ns())).min(MAX_WAIT));
            let due = Timespec { tv_sec: 0, tv_nsec: due.as_nanos() as _ };
            let _ = poll(&mut [PollFd::new(&from.as_fd(), PollFlags::IN)], Some(&due));
            while let Ok(length) = from.recv(&mut buffer) {
                self.enter(&buffer[..length]);
            }
            while let Some(packet) = self.direction.pop_arrived(clock::now_ns()) {
                if to.send(&packet).is_err() {
                    self.counts.overflowed.fetch_add(1, Relaxed);
                }
            }
        }
    }

    fn enter(&mut self, packet: &[u8]) {
        // IPv6 announces itself on a new device; nothing of ours uses it.
        if packet.first().is_none_or(|byte| byte >> 4 != 4) {
            return;
        }
        self.counts.sent.fetch_add(1, Relaxed);
        let now = clock::now_ns();
        if uniform(&mut self.random) * 1e6 < f64::from(self.network.loss_per_million) {
            self.counts.lost.fetch_add(1, Relaxed);
        } else if self
            .network
            .queue_bytes
            .is_some_and(|most| self.direction.waiting_bytes(now) + packet.len() as u64 > most)
        {
            self.counts.overflowed.fetch_add(1, Relaxed);
        } else {
            self.direction.push(now, Bytes::copy_from_slice(packet));
        }
    }
}
