//! Encodes and decodes one event in each envelope, without a socket: the CPU cost of each format.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use protocol::{Envelope, Event, chunked, payload};
use std::hint::black_box;

fn envelope(criterion: &mut Criterion) {
    let data = payload::random(1, 1, 200);
    let event = Event { seq: 123_456, at: 1_234_567_890_123, data: data.into() };
    let json = event.encode();
    let bytes = Throughput::Bytes(json.len() as u64);

    let mut group = criterion.benchmark_group("event");
    group.throughput(bytes.clone());
    group.bench_function("encode", |b| b.iter(|| black_box(&event).encode()));
    group.bench_function("decode", |b| b.iter(|| Event::decode(black_box(&json)).is_ok()));
    group.finish();

    for envelope in Envelope::ALL {
        let mut group = criterion.benchmark_group(format!("{envelope:?}"));
        group.throughput(bytes.clone());
        group.bench_function("encode", |b| b.iter(|| envelope.encode(123_456, black_box(&json))));
        let encoded = envelope.encode(123_456, &json);
        group.bench_function("decode", |b| b.iter(|| envelope.decode(black_box(&encoded), 0).is_ok()));
        group.finish();
    }

    let mut group = criterion.benchmark_group("chunk");
    group.throughput(bytes);
    group.bench_function("encode", |b| b.iter(|| chunked::encode(black_box(&json))));
    group.bench_function("size", |b| b.iter(|| chunked::size(black_box(b"f7\r\n")).is_ok()));
    group.finish();
}

criterion_group!(benches, envelope);
criterion_main!(benches);
