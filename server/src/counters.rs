//! Counters of this process: connections, requests, and the CPU time of measuring.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use protocol::clock;

/// Counters that connections increment.
#[derive(Default)]
pub struct Counters {
    open: AtomicU64,
    accepted: AtomicU64,
    refused: AtomicU64,
    stalled: AtomicU64,
    streams_refused: AtomicU64,
    floods: AtomicU64,
    compressions_refused: AtomicU64,
    answers_refused: AtomicU64,
    tokens_generated: AtomicU64,
    events_missing: AtomicU64,
    quic_retries: AtomicU64,
    handshakes_failed: AtomicU64,
    echoes_refused: AtomicU64,
    tokens_refused: AtomicU64,
    watches_refused: AtomicU64,
    requests: AtomicU64,
    /// CPU time of measuring itself, in ns. It is not caused by a transport, so it is not reported as load.
    measuring_ns: AtomicU64,
    /// When the current schedule began, in ns on the monotonic clock, and the number of its first event.
    schedule: Mutex<(u64, u64)>,
}

impl Counters {
    /// Counts a request.
    pub fn request(&self) {
        self.requests.fetch_add(1, Relaxed);
    }

    /// Counts an accepted connection, which is open until the returned guard is dropped.
    pub fn connection(self: &Arc<Self>) -> Open {
        self.accepted.fetch_add(1, Relaxed);
        self.open.fetch_add(1, Relaxed);
        Open(self.clone())
    }

    /// Counts a connection that was refused because there were too many.
    pub fn refused(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    /// Counts a client that was disconnected because it read nothing for too long.
    pub fn stalled(&self) {
        self.stalled.fetch_add(1, Relaxed);
    }

    /// Counts a request over HTTP/2 that was refused because there were too many streams.
    pub fn stream_refused(&self) {
        self.streams_refused.fetch_add(1, Relaxed);
    }

    /// How many requests over HTTP/2 were refused.
    pub fn streams_refused(&self) -> u64 {
        self.streams_refused.load(Relaxed)
    }

    /// Counts a client that was disconnected because it flooded the server with HTTP/2 frames.
    pub fn flooded(&self) {
        self.floods.fetch_add(1, Relaxed);
    }

    /// Counts a WebSocket that was not compressed because there was no memory for its compressors.
    pub fn compression_refused(&self) {
        self.compressions_refused.fetch_add(1, Relaxed);
    }

    /// How many WebSockets were not compressed for lack of memory.
    pub fn compressions_refused(&self) -> u64 {
        self.compressions_refused.load(Relaxed)
    }

    /// Counts a question that was not answered because there were too many answers.
    pub fn answer_refused(&self) {
        self.answers_refused.fetch_add(1, Relaxed);
    }

    /// How many questions were not answered.
    pub fn answers_refused(&self) -> u64 {
        self.answers_refused.load(Relaxed)
    }

    /// Counts a token of an answer.
    pub fn token_generated(&self) {
        self.tokens_generated.fetch_add(1, Relaxed);
    }

    /// How many tokens were generated, for all answers together.
    pub fn tokens_generated(&self) -> u64 {
        self.tokens_generated.load(Relaxed)
    }

    /// Counts events that are missing in a shared feed.
    pub fn add_missing(&self, count: u64) {
        self.events_missing.fetch_add(count, Relaxed);
    }

    /// How many events were missing in a shared feed.
    pub fn events_missing(&self) -> u64 {
        self.events_missing.load(Relaxed)
    }

    /// Counts a connection over QUIC that has to prove its address first.
    pub fn quic_retry(&self) {
        self.quic_retries.fetch_add(1, Relaxed);
    }

    /// How many connections over QUIC had to prove their address first.
    pub fn quic_retries(&self) -> u64 {
        self.quic_retries.load(Relaxed)
    }

    /// How many clients were disconnected because of a flood.
    pub fn floods(&self) -> u64 {
        self.floods.load(Relaxed)
    }

    /// Counts a failed TLS handshake.
    pub fn handshake_failed(&self) {
        self.handshakes_failed.fetch_add(1, Relaxed);
    }

    /// Counts a message that was not echoed because the server held too many bytes already.
    pub fn echo_refused(&self) {
        self.echoes_refused.fetch_add(1, Relaxed);
    }

    /// How many messages were not echoed.
    pub fn echoes_refused(&self) -> u64 {
        self.echoes_refused.load(Relaxed)
    }

    /// How many TLS handshakes failed.
    pub fn handshakes_failed(&self) -> u64 {
        self.handshakes_failed.load(Relaxed)
    }

    /// Counts a request with a wrong token.
    pub fn token_refused(&self) {
        self.tokens_refused.fetch_add(1, Relaxed);
    }

    /// Counts a refused trace session.
    pub fn watch_refused(&self) {
        self.watches_refused.fetch_add(1, Relaxed);
    }

    /// How many trace sessions were refused.
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

    /// How many clients were disconnected because they read nothing for too long.
    pub fn connections_stalled(&self) -> u64 {
        self.stalled.load(Relaxed)
    }

    /// Runs `work`, which is a part of measuring and not of serving. Its CPU time is subtracted from the reported load.
    pub fn measuring<T>(&self, work: impl FnOnce() -> T) -> T {
        let before = clock::thread_cpu_ns();
        let result = work();
        self.measuring_ns.fetch_add(clock::thread_cpu_ns() - before, Relaxed);
        result
    }

    /// Records that the current schedule began at `started_ns` (ns, monotonic clock) with event number `first`.
    pub fn schedule_begins(&self, started_ns: u64, first: u64) {
        *self.schedule.lock().expect("no holder panics") = (started_ns, first);
    }

    /// When the current schedule began, in ns on the monotonic clock, and the number of its first event.
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

    /// The CPU time of measuring itself so far, in ns.
    pub fn measuring_ns(&self) -> u64 {
        self.measuring_ns.load(Relaxed)
    }

    /// How many connections are open.
    pub fn open(&self) -> u64 {
        self.open.load(Relaxed)
    }
}

/// A guard that counts a connection as open until it is dropped.
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
