//! What this process has used and done: the figures of `/load` and `/metrics`.

use std::fmt::Write;
use std::fs;

use protocol::clock;
use protocol::status::Load;

use crate::counters::Counters;
use crate::feed::Feed;
use crate::publisher::Plan;

/// Takes all figures now.
pub fn read(counters: &Counters, feed: &Feed, tcp_port: u16, threads: usize, plan: &Plan) -> Load {
    let cpu_ns = clock::process_cpu_ns().saturating_sub(counters.measuring_ns());
    counters.measuring(|| Load {
        now_ns: clock::now_ns(),
        started_ns: feed.started_ns,
        cpu_ns,
        resident_bytes: resident_bytes(),
        context_switches: context_switches(),
        connections_open: counters.open(),
        connections_accepted: counters.accepted(),
        connections_refused: counters.connections_refused(),
        connections_stalled: counters.connections_stalled(),
        handshakes_failed: counters.handshakes_failed(),
        tokens_refused: counters.tokens_refused(),
        watches_refused: counters.watches_refused(),
        requests: counters.requests(),
        head: feed.head().0,
        epoch: feed.epoch,
        history_bytes: feed.bytes() as u64,
        tcp_port,
        rate: plan.rate,
        schedule: plan.spacing,
        payload_bytes: plan.payload as u32,
        seed: plan.seed,
        threads: threads as u32,
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
    metric("lab_connections_refused_total", "counter", "Connections refused.", load.connections_refused as f64);
    metric("lab_connections_stalled_total", "counter", "Subscribers given up.", load.connections_stalled as f64);
    metric(
        "lab_tls_handshakes_failed_total",
        "counter",
        "Handshakes of TLS that failed.",
        load.handshakes_failed as f64,
    );
    metric("lab_tokens_refused_total", "counter", "Requests with a wrong token.", load.tokens_refused as f64);
    metric("lab_watches_refused_total", "counter", "Trace sessions refused.", load.watches_refused as f64);
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
    use crate::Options;

    fn plan() -> Plan {
        Options::default().plan()
    }

    #[test]
    fn the_figures_of_this_process_are_there_and_move() {
        let (counters, feed) = (Counters::default(), Feed::new(1));
        let first = read(&counters, &feed, 0, 1, &plan());
        assert!(first.resident_bytes > 100_000 && first.context_switches > 0, "{first:?}");
        let second = read(&counters, &feed, 0, 1, &plan());
        assert!(second.cpu_ns >= first.cpu_ns && second.now_ns > first.now_ns);
    }

    #[test]
    fn every_metric_has_its_help_type_and_value() {
        let load = read(&Counters::default(), &Feed::new(1), 0, 1, &plan());
        let text = metrics(&load);
        assert_eq!(text.lines().count() % 3, 0);
        assert!(text.contains("# TYPE lab_requests_total counter\nlab_requests_total 0\n"));
    }
}
