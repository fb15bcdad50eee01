//! `GET /load` and `GET /metrics`: the resources that this process has used, and its counters.

use std::fmt::Write;

use protocol::clock;
use protocol::status::Load;

use crate::feed::EventSink;
use crate::state::ServerState;

/// Reads all figures. Clocks and counters are read immediately; the figures from the sampler are at most 50 ms older.
pub async fn read(state: &ServerState) -> Load {
    let (counters, feed) = (&state.counters, &state.feed);
    let plan = state.plan.borrow().clone();
    let (schedule_started_ns, schedule_first) = counters.schedule();
    let mut load = Load {
        now_ns: clock::now_ns(),
        started_ns: feed.started_ns,
        schedule_started_ns,
        schedule_first,
        cpu_ns: clock::process_cpu_ns().saturating_sub(counters.measuring_ns()),
        resident_bytes: 0,
        context_switches: None,
        connections_open: counters.open(),
        connections_accepted: counters.accepted(),
        connections_refused: counters.connections_refused(),
        connections_stalled: counters.connections_stalled(),
        handshakes_failed: counters.handshakes_failed(),
        streams_refused: counters.streams_refused(),
        floods: counters.floods(),
        compressions_refused: counters.compressions_refused(),
        answers_refused: counters.answers_refused(),
        tokens_generated: counters.tokens_generated(),
        is_shared: matches!(state.sink, EventSink::Broker(_)),
        events_missing: counters.events_missing(),
        echoes_refused: counters.echoes_refused(),
        tokens_refused: counters.tokens_refused(),
        watches_refused: counters.watches_refused(),
        requests: counters.requests(),
        head: feed.head().0,
        epoch: feed.epoch,
        history_bytes: 0,
        tcp_port: state.addresses.tcp.port(),
        quic_port: state.addresses.quic.map_or(0, |address| address.port()),
        quic_certificate: state.quic_certificate.clone(),
        quic_retries: counters.quic_retries(),
        rate: plan.rate,
        schedule: plan.spacing,
        payload_bytes: plan.payload as u32,
        payload_kind: plan.payload_kind,
        seed: plan.seed,
        threads: state.threads as u32,
    };
    let sample = state.sampler.sample().await;
    (load.resident_bytes, load.context_switches) = (sample.resident_bytes, sample.context_switches);
    // The history is a part of the resident memory, so it is read after the sample.
    load.history_bytes = feed.bytes() as u64;
    load
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
    let stalled = load.connections_stalled as f64;
    metric("lab_connections_stalled_total", "counter", "Clients disconnected, because they read nothing.", stalled);
    metric(
        "lab_http2_streams_refused_total",
        "counter",
        "Requests over HTTP/2 refused because there were too many streams.",
        load.streams_refused as f64,
    );
    metric(
        "lab_http2_floods_total",
        "counter",
        "Clients disconnected because of a flood of HTTP/2 frames.",
        load.floods as f64,
    );
    let refused = load.compressions_refused as f64;
    metric("lab_compressions_refused_total", "counter", "WebSockets not compressed for lack of memory.", refused);
    metric("lab_answers_refused_total", "counter", "Questions not answered.", load.answers_refused as f64);
    metric("lab_tokens_generated_total", "counter", "Tokens of answers generated.", load.tokens_generated as f64);
    let missing = load.events_missing as f64;
    metric("lab_events_missing_total", "counter", "Events missing in the shared feed.", missing);
    let retries = load.quic_retries as f64;
    metric("lab_quic_retries_total", "counter", "QUIC connections that had to prove their address.", retries);
    metric("lab_tls_handshakes_failed_total", "counter", "Failed TLS handshakes.", load.handshakes_failed as f64);
    let refused = load.echoes_refused as f64;
    metric("lab_echoes_refused_total", "counter", "Messages not echoed, because too many bytes were held.", refused);
    metric("lab_tokens_refused_total", "counter", "Requests with a wrong token.", load.tokens_refused as f64);
    metric("lab_watches_refused_total", "counter", "Trace sessions refused.", load.watches_refused as f64);
    metric("lab_requests_total", "counter", "HTTP requests begun.", load.requests as f64);
    metric("lab_events_published_total", "counter", "Events published.", load.head as f64);
    metric("lab_history_bytes", "gauge", "Memory held by the event history.", load.history_bytes as f64);
    text
}
