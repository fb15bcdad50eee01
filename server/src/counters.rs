//! What the process counts of itself as it goes: connections, requests, and what measuring costs.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use protocol::clock;

/// Counts that the connections keep.
#[derive(Default)]
pub struct Counters {
    open: AtomicU64,
    accepted: AtomicU64,
    refused: AtomicU64,
    stalled: AtomicU64,
    handshakes_failed: AtomicU64,
    echoes_refused: AtomicU64,
    tokens_refused: AtomicU64,
    watches_refused: AtomicU64,
    requests: AtomicU64,
    /// CPU time that measuring itself has cost, in ns; it is not the transports', so it is not reported as load.
    measuring_ns: AtomicU64,
    schedule: Mutex<(u64, u64)>,
}

impl Counters {
    /// Counts a request.
    pub fn request(&self) {
        self.requests.fetch_add(1, Relaxed);
    }

    /// Counts a connection, as open for as long as the guard lives.
    pub fn connection(self: &Arc<Self>) -> Open {
        self.accepted.fetch_add(1, Relaxed);
        self.open.fetch_add(1, Relaxed);
        Open(self.clone())
    }

    /// Counts a connection that was refused, because there were too many.
    pub fn refused(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    /// Counts a subscriber that was given up, because it took nothing for too long.
    pub fn stalled(&self) {
        self.stalled.fetch_add(1, Relaxed);
    }

    /// Counts a connection that came to no session of TLS.
    pub fn handshake_failed(&self) {
        self.handshakes_failed.fetch_add(1, Relaxed);
    }

    /// Counts a message that was not echoed, because too much was held already.
    pub fn echo_refused(&self) {
        self.echoes_refused.fetch_add(1, Relaxed);
    }

    /// How many messages were not echoed.
    pub fn echoes_refused(&self) -> u64 {
        self.echoes_refused.load(Relaxed)
    }

    /// How many connections came to no session of TLS.
    pub fn handshakes_failed(&self) -> u64 {
        self.handshakes_failed.load(Relaxed)
    }

    /// Counts a request with a wrong token.
    pub fn token_refused(&self) {
        self.tokens_refused.fetch_add(1, Relaxed);
    }

    /// Counts a page that was not let watch.
    pub fn watch_refused(&self) {
        self.watches_refused.fetch_add(1, Relaxed);
    }

    /// How many pages were not let watch.
    pub fn watches_refused(&self) -> u64 {
        self.watches_refused.load(Relaxed)
    }

    /// How many requests had a wrong token.
    pub fn tokens_refused(&self) -> u64 {
        self.tokens_refused.load(Relaxed)
    }

    /// How many connections were refused.
    pub fn connections_refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }

    /// How many subscribers were given up.
    pub fn connections_stalled(&self) -> u64 {
        self.stalled.load(Relaxed)
    }

    /// Runs what is part of measuring and not of serving; its CPU time is left out of the load.
    pub fn measuring<T>(&self, work: impl FnOnce() -> T) -> T {
        let before = clock::thread_cpu_ns();
        let result = work();
        self.measuring_ns.fetch_add(clock::thread_cpu_ns() - before, Relaxed);
        result
    }

    /// Notes that the schedule in force began at `started_ns` (monotonic clock) with event number `first`.
    pub fn schedule_begins(&self, started_ns: u64, first: u64) {
        *self.schedule.lock().expect("no holder panics") = (started_ns, first);
    }

    /// When the schedule in force began, in ns, and the number of its first event.
    pub fn schedule(&self) -> (u64, u64) {
        *self.schedule.lock().expect("no holder panics")
    }

    /// How many requests have begun.
    pub fn requests(&self) -> u64 {
        self.requests.load(Relaxed)
    }

    /// How many connections have been accepted.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Relaxed)
    }

    /// CPU time that measuring itself has cost so far, in ns.
    pub fn measuring_ns(&self) -> u64 {
        self.measuring_ns.load(Relaxed)
    }

    /// How many connections are open.
    pub fn open(&self) -> u64 {
        self.open.load(Relaxed)
    }
}

/// An open connection.
pub struct Open(Arc<Counters>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_connection_is_counted_until_it_is_dropped() {
        let counters = Arc::new(Counters::default());
        let open = counters.connection();
        assert_eq!((counters.open(), counters.accepted()), (1, 1));
        drop(open);
        assert_eq!((counters.open(), counters.accepted()), (0, 1));
    }
}
