//! Making and reading the framings, an event at a time: what a transport's words cost before any socket is involved.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use protocol::framing::{chunked, line, sse, websocket};
use protocol::{Event, schedule};
use std::hint::black_box;

fn framing(criterion: &mut Criterion) {
    let data = schedule::payload(1, 1, 200);
    let event = Event { seq: 123_456, at: 1_234_567_890_123, data: data.into() };
    let json = event.encode();
    let bytes = Throughput::Bytes(json.len() as u64);

    let mut group = criterion.benchmark_group("event");
    group.throughput(bytes.clone());
    group.bench_function("encode", |b| b.iter(|| black_box(&event).encode()));
    group.bench_function("decode", |b| b.iter(|| Event::decode(black_box(&json)).is_ok()));
    group.finish();

    let mut group = criterion.benchmark_group("frame");
    group.throughput(bytes.clone());
    group.bench_function("line", |b| b.iter(|| line::frame(black_box(&json))));
    group.bench_function("sse", |b| b.iter(|| sse::frame(123_456, black_box(&json))));
    group.bench_function("websocket", |b| b.iter(|| websocket::frame(websocket::Opcode::Text, black_box(&json))));
    group.finish();

    let mut group = criterion.benchmark_group("split");
    group.throughput(bytes);
    let wire = line::frame(&json);
    group.bench_function("line", |b| b.iter(|| line::split(black_box(&wire)).is_some()));
    let size = b"f7\r\n";
    group.bench_function("chunk size", |b| b.iter(|| chunked::size(black_box(size)).is_ok()));
    let wire = sse::frame(123_456, &json);
    group.bench_function("sse", |b| b.iter(|| sse::split(black_box(&wire)).is_some()));
    let wire = websocket::frame(websocket::Opcode::Text, &json);
    group.bench_function("websocket", |b| b.iter(|| websocket::parse(black_box(&wire)).is_ok()));
    group.finish();
}

criterion_group!(benches, framing);
criterion_main!(benches);
