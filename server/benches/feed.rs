//! The feed alone: publishing an event, catching up on a history, and waking those who wait.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use protocol::{Cursor, schedule};
use server::fan_out::WakeList;
use server::feed::{Feed, Next};
use server::subscription::Subscription;

fn feed(criterion: &mut Criterion) {
    let data = schedule::payload(1, 1, 200);

    let feed = Feed::new(1_000, usize::MAX);
    criterion.bench_function("feed/publish", |b| b.iter(|| feed.publish(black_box(1), &data)));

    let mut group = criterion.benchmark_group("feed");
    group.throughput(Throughput::Elements(1_000));
    let oldest = Cursor(feed.head().0 - 1_000);
    group.bench_function("catch up, a batch of 1,000", |b| b.iter(|| feed.since(black_box(oldest), usize::MAX)));
    group.bench_function("catch up, 1,000 one by one", |b| {
        b.iter(|| {
            let mut cursor = oldest;
            while let Next::Event(entry) = feed.next(cursor) {
                black_box(entry.framed(server::feed::Framing::WebSocket));
                cursor = Cursor(entry.seq);
            }
        });
    });
    group.finish();

    let mut group = criterion.benchmark_group("feed");
    group.throughput(Throughput::Elements(1_000));
    group.bench_function("wake 1,000 that wait", |b| {
        let feed = Arc::new(Feed::new(1, usize::MAX));
        let wake_list = Arc::new(WakeList::default());
        let mut waiting: Vec<_> =
            (0..1_000).map(|_| Subscription::new(feed.clone(), wake_list.clone(), None)).collect();
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        b.iter_batched(
            || waiting.iter_mut().for_each(|subscription| _ = subscription.poll_turn(&mut context)),
            |()| wake_list.fan_out(&feed),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(benches, feed);
criterion_main!(benches);
