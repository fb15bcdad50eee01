//! The feed without sockets: publishing an event, reading a history, and waking subscribers.

use std::hint::black_box;
use std::rc::Rc;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use protocol::{Cursor, Envelope, payload};
use server::fan_out::{Dispatcher, Subscription};
use server::feed::{Encoding, Feed, Next};

fn feed(criterion: &mut Criterion) {
    let data = payload::random(1, 1, 200);

    let feed = Feed::new(1_000, usize::MAX);
    criterion.bench_function("feed/publish", |b| b.iter(|| feed.publish(black_box(1), &data)));

    let mut group = criterion.benchmark_group("feed");
    group.throughput(Throughput::Elements(1_000));
    let oldest = Cursor(feed.head().0 - 1_000);
    group.bench_function("read 1,000 events as a batch", |b| b.iter(|| feed.since(black_box(oldest), usize::MAX)));
    group.bench_function("read 1,000 events one by one", |b| {
        b.iter(|| {
            let mut cursor = oldest;
            while let Next::Event(entry) = feed.next(cursor) {
                black_box(entry.encoded(&Encoding::plain(Envelope::WebSocket)));
                cursor = Cursor(entry.seq);
            }
        });
    });
    group.finish();

    let mut group = criterion.benchmark_group("feed");
    group.throughput(Throughput::Elements(1_000));
    group.bench_function("wake 1,000 waiting subscribers", |b| {
        let feed = Arc::new(Feed::new(1, usize::MAX));
        let dispatcher = Rc::new(Dispatcher::default());
        let mut waiting: Vec<_> =
            (0..1_000).map(|_| Subscription::new(feed.clone(), dispatcher.clone(), None)).collect();
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        b.iter_batched(
            || waiting.iter_mut().for_each(|subscription| _ = subscription.poll_turn(&mut context)),
            |()| dispatcher.fan_out(&feed),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(benches, feed);
criterion_main!(benches);
