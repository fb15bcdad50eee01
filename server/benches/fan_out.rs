//! One event to 1, 100 and 1,000 subscribers over each transport, beside the floor of bare `write()` calls.
//!
//! The times are CPU times of the threads that serve, not wall-clock times: what a delivery costs the server.

mod rig;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use protocol::Transport;
use rig::Rig;

fn fan_out(criterion: &mut Criterion) {
    for subscribers in [1, 100, 1_000] {
        let mut group = criterion.benchmark_group(format!("server CPU, one event to {subscribers}"));
        group.throughput(Throughput::Elements(subscribers as u64)).sample_size(10);
        let subjects = std::iter::once(None).chain(Transport::ALL.map(Some));
        for subject in subjects {
            let name = subject.map_or("floor", Transport::name);
            let mut rig = Rig::new(subject, subscribers);
            group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
                bencher.iter_custom(|events| {
                    let before = rig.cpu();
                    (0..events).for_each(|_| rig.deliver());
                    rig.cpu() - before
                });
            });
        }
        group.finish();
    }
}

criterion_group!(benches, fan_out);
criterion_main!(benches);
