//! The time from publishing an event until one subscriber has decoded it, over each transport on loopback; and the time to parse response
//! headers.
//!
//! The server and the subscriber each have a thread that does not sleep while it waits. So the time does not include waking an idle
//! processor. Polling has an interval of 1 ms, which is most of its time.

use std::cell::RefCell;
use std::hint::black_box;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bench_client::endpoint::Endpoint;
use bench_client::round::recorder::Recorder;
use bench_client::subscriber::Target;
use bench_client::subscriber::session;
use bench_client::subscriber::stop::Stop;
use bench_client::wire::http1;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use protocol::result::Headers;
use protocol::{Cursor, Transport, clock, payload};
use server::{Options, Server};
use tokio::runtime::{Builder, LocalOptions};

fn delivery(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("one event to one subscriber");
    for transport in Transport::ALL {
        group.bench_function(BenchmarkId::from_parameter(transport), |bencher| {
            bencher.iter_custom(|events| {
                let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
                runtime.expect("an event loop").block_on(deliver(transport, events))
            });
        });
    }
    group.finish();
}

/// Publishes events one after another, each when the one before was delivered. Returns how long that took.
async fn deliver(transport: Transport, events: u64) -> Duration {
    let free: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    let options = Options { listen: free, tcp_listen: free, rate: 0.0, history: 1_000, ..Options::default() };
    let server = Server::start(&options).expect("a server");
    let target = Target {
        headers: Headers::Browser,
        poll_interval: Duration::from_millis(1),
        ..Target::lean(Endpoint::plain(server.addresses().http), server.addresses().tcp)
    };
    let deliveries: Arc<AtomicU64> = Arc::default();
    let recorder = Rc::new(RefCell::new(Recorder::new(0..0, 0, deliveries.clone())));
    let stop = Stop::default();
    let run = session::run(
        transport,
        Rc::new(target),
        Cursor(0).into(),
        Duration::ZERO,
        Rc::default(),
        recorder,
        stop.stopped(),
    );
    let subscriber = tokio::task::spawn_local(run);
    let data = payload::random(1, 1, 200);
    let mut start = Instant::now();
    // The first event is not timed, since the subscriber connects meanwhile.
    for event in 0..=events {
        if event == 1 {
            start = Instant::now();
        }
        server.feed().publish(clock::now_ns(), &data);
        while deliveries.load(Ordering::Relaxed) <= event {
            tokio::task::yield_now().await;
        }
    }
    let elapsed = start.elapsed();
    stop.stop();
    subscriber.await.expect("the subscriber closes");
    elapsed
}

fn parsing(criterion: &mut Criterion) {
    let response = b"HTTP/1.1 200 OK\r\ncache-control: no-store\r\naccess-control-allow-origin: *\r\n\
        content-type: application/x-ndjson\r\ncursor: 123456\r\ncontent-length: 247\r\n\
        date: Thu, 01 Jan 2026 00:00:00 GMT\r\n\r\n";
    criterion.bench_function("parse response headers", |b| b.iter(|| http1::parse(black_box(response)).is_ok()));
}

criterion_group!(benches, delivery, parsing);
criterion_main!(benches);
