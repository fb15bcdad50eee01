//! Measures subscribers that share HTTP/2 connections, and how many event sources a browser opens over each version of HTTP.

use protocol::facts::Facts;
use protocol::facts::memory::MemoryFacts;
use protocol::facts::multiplexing::MultiplexingFacts;
use protocol::result::{Comparison, Scenario};
use protocol::transport::{Carrier, Coding};
use protocol::{Envelope, Transport};
use reports::statistics::MIN_ROUNDS;

use super::memory;
use crate::round::series;
use crate::test_bed::TestBed;
use crate::test_bed::browser::PageServer;
use crate::test_bed::server_process::options;
use server::Options;

/// Subscribers on each HTTP/2 connection.
const STREAMS: [u32; 3] = [1, 10, 100];
/// Numbers of subscribers for the memory of a subscriber.
const SIZES: [u32; 4] = [500, 1_000, 1_500, 2_000];
/// Event sources that the page opens to each server: one more than browsers have connections of HTTP/1.1 to a host.
const SOURCES: u32 = 7;

/// The page. It reports to the address that it came from.
const PAGE: &str = r#"<!doctype html><meta charset="utf-8"><script type="module">
const sources = SOURCES;
const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const open = async (server) => {
  const opened = Array.from({ length: sources }, () => new EventSource(`${server}/sse`));
  await wait(1500);
  const began = performance.now();
  const request = fetch(`${server}/time`).then((response) => response.text()).then(() => performance.now() - began);
  const request_ms = await Promise.race([request, wait(2000).then(() => null)]);
  const open = opened.filter(({ readyState }) => readyState === EventSource.OPEN).length;
  opened.forEach((source) => source.close());
  await wait(200);
  const [, protocol] = await fetch(`${server}/time`).then(() => performance.getEntriesByType('resource'))
    .then((entries) => [null, entries.filter(({ name }) => name === `${server}/time`).at(-1)?.nextHopProtocol ?? '']);
  return { open, request_ms, protocol };
};
const http1 = await open('http://PLAIN');
const http2 = await open('https://SECURE');
const user_agent = navigator.userAgent;
await fetch('/report', { method: 'POST', body: JSON.stringify({ user_agent, sources, http1, http2 }) });
</script>"#;

/// Runs the experiment.
pub async fn run(seed: u64) -> anyhow::Result<Facts> {
    let scenario = |streams_per_connection| Scenario {
        rounds: MIN_ROUNDS,
        subscribers: 200,
        rate: 50.0,
        warm_up_ms: 800,
        duration_ms: 800,
        streams_per_connection,
        seed,
        ..Scenario::small(&transports(streams_per_connection))
    };
    let scenarios = STREAMS.map(scenario);
    let rounds = series::rounds(&scenarios, false).await?;
    let shared = scenarios.into_iter().zip(rounds).map(|(scenario, rounds)| Comparison { scenario, rounds }).collect();
    let mut memory: Vec<MemoryFacts> = Vec::new();
    for streams in STREAMS {
        memory.push(memory::measure(seed, &transports(streams), &SIZES, streams).await?);
    }
    let plain = TestBed::open(&Options { seed, ..options() }).await?;
    let secure = TestBed::open(&Options { seed, tls_self_signed: true, ..options() }).await?;
    let page = PAGE
        .replace("SOURCES", &SOURCES.to_string())
        .replace("PLAIN", &plain.target.endpoint.host)
        .replace("SECURE", &secure.target.endpoint.host);
    let tabs = PageServer::open().await?.report(page).await;
    Ok(Facts::Multiplexing(Box::new(MultiplexingFacts { shared, memory, tabs })))
}

/// Event streams and WebSockets over both versions of HTTP; with several streams per connection, over HTTP/2 only.
fn transports(streams: u32) -> Vec<Transport> {
    Transport::all_where(|transport| {
        let row = transport.row();
        matches!(row.envelope, Envelope::Sse | Envelope::WebSocket)
            && row.coding == Coding::Identity
            && (streams == 1 || row.carrier == Carrier::H2)
    })
}
