//! What this process has used and done: the figures of `/load` and `/metrics`.

use std::fmt::Write;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use protocol::clock;
use protocol::status::Load;

use crate::feed::Feed;
use crate::options::Options;

/// Counts that the connections keep.
#[derive(Default)]
pub struct Counters {
    open: AtomicU64,
    accepted: AtomicU64,
    requests: AtomicU64,
    /// CPU time that measuring itself has cost, in ns; it is not the transports', so it is not reported as load.
    measuring_ns: AtomicU64,
}

impl Counters {
    /// Counts a request.
    pub fn request(&self) {
        self.requests.fetch_add(1, Relaxed);
    }

    /// Counts a connection, as open for as long as the guard lives.
    pub fn connection(self: &Arc<Self>) -> Open {
        self.accepted.fetch_add(1, Relaxed);
        self.upgraded()
    }

    /// Keeps a connection counted as open that was accepted as HTTP and goes on as a WebSocket.
    pub fn upgraded(self: &Arc<Self>) -> Open {
        self.open.fetch_add(1, Relaxed);
        Open(self.clone())
    }

    /// Runs what is part of measuring and not of serving; its CPU time is left out of the load.
    pub fn measuring<T>(&self, work: impl FnOnce() -> T) -> T {
        let before = clock::thread_cpu_ns();
        let result = work();
        self.measuring_ns.fetch_add(clock::thread_cpu_ns() - before, Relaxed);
        result
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

/// Takes all figures now.
pub fn read(counters: &Counters, feed: &Feed, tcp_port: u16, options: &Options) -> Load {
    let cpu_ns = clock::process_cpu_ns().saturating_sub(counters.measuring_ns.load(Relaxed));
    counters.measuring(|| Load {
        now_ns: clock::now_ns(),
        started_ns: feed.started_ns,
        cpu_ns,
        resident_bytes: resident_bytes(),
        context_switches: context_switches(),
        connections_open: counters.open(),
        connections_accepted: counters.accepted.load(Relaxed),
        requests: counters.requests.load(Relaxed),
        head: feed.head().0,
        history_bytes: feed.bytes() as u64,
        tcp_port,
        rate: options.rate,
        schedule: options.schedule,
        payload_bytes: options.payload as u32,
        seed: options.seed,
        threads: options.threads as u32,
    })
}

/// The same figures in the text format of Prometheus, under its conventional names.
pub fn metrics(load: &Load) -> String {
    let mut text = String::new();
    let mut metric = |name: &str, kind: &str, help: &str, value: f64| {
        write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n").expect("writing to memory");
    };
    let seconds = load.cpu_ns as f64 / 1e9;
    metric("process_cpu_seconds_total", "counter", "CPU time, user and system.", seconds);
    metric("process_resident_memory_bytes", "gauge", "Resident memory.", load.resident_bytes as f64);
    metric("lab_connections_open", "gauge", "Connections open now.", load.connections_open as f64);
    metric("lab_connections_accepted_total", "counter", "Connections accepted.", load.connections_accepted as f64);
    metric("lab_requests_total", "counter", "HTTP requests begun.", load.requests as f64);
    metric("lab_events_published_total", "counter", "Events published.", load.head as f64);
    metric("lab_history_bytes", "gauge", "Memory held by the event history.", load.history_bytes as f64);
    text
}

/// Resident memory in bytes, exact; `/proc/self/statm` may lag behind by some pages a processor. 0 where `/proc` is
/// missing.
fn resident_bytes() -> u64 {
    let rollup = fs::read_to_string("/proc/self/smaps_rollup").unwrap_or_default();
    field(&rollup, "Rss:").unwrap_or(0) * 1024
}

fn context_switches() -> u64 {
    let Ok(threads) = fs::read_dir("/proc/self/task") else { return 0 };
    threads
        .flatten()
        .filter_map(|thread| fs::read_to_string(thread.path().join("status")).ok())
        .map(|status| {
            field(&status, "voluntary_ctxt_switches:").unwrap_or(0)
                + field(&status, "nonvoluntary_ctxt_switches:").unwrap_or(0)
        })
        .sum()
}

fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_connection_is_counted_until_it_is_dropped() {
        let counters = Arc::new(Counters::default());
        let open = counters.connection();
        assert_eq!((counters.open(), counters.accepted.load(Relaxed)), (1, 1));
        drop(open);
        assert_eq!((counters.open(), counters.accepted.load(Relaxed)), (0, 1));
    }

    #[test]
    fn the_figures_of_this_process_are_there_and_move() {
        let (counters, feed) = (Counters::default(), Feed::new(1));
        let first = read(&counters, &feed, 0, &Options::default());
        assert!(first.resident_bytes > 100_000 && first.context_switches > 0, "{first:?}");
        let second = read(&counters, &feed, 0, &Options::default());
        assert!(second.cpu_ns >= first.cpu_ns && second.now_ns > first.now_ns);
    }

    #[test]
    fn every_metric_has_its_help_type_and_value() {
        let load = read(&Counters::default(), &Feed::new(1), 0, &Options::default());
        let text = metrics(&load);
        assert_eq!(text.lines().count() % 3, 0);
        assert!(text.contains("# TYPE lab_requests_total counter\nlab_requests_total 0\n"));
    }
}
