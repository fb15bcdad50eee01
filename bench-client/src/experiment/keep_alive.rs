//! Measures whether the server keeps its connection for the next request, or closes it after each response.
//!
//! The client never closes a connection by itself: it uses the one it has until the server has closed it. So the server's count of
//! accepted connections shows what the server does, and not how the client was written.

use std::time::Duration;

use protocol::clock;
use protocol::facts::Facts;
use protocol::facts::keep_alive::{KeepAliveFacts, RequestKind, RequestSeries};
use protocol::network::Network;
use protocol::result::Headers;
use protocol::transport::BrowserApi;
use tokio::time::timeout;

use crate::subscriber::Target;
use crate::subscriber::headers;
use crate::test_bed::TestBed;
use crate::test_bed::server_process::options;
use crate::wire::link::Link;
use crate::wire::{Connection, SharedLedger};
use server::Options;

const DELAYS_MS: [u64; 4] = [1, 5, 20, 50];
const REQUESTS: u32 = 20;

/// How long after a response the client waits for the end of the connection, besides the delay.
const END: Duration = Duration::from_millis(10);
/// How long a response may take, besides the delay.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A poll of one kind.
fn request(kind: RequestKind, target: &Target) -> String {
    let headers = headers::get(Headers::Lean, BrowserApi::Fetch, &target.endpoint, "/poll?after=0");
    match kind {
        RequestKind::Http11 => format!("{headers}\r\n"),
        RequestKind::Http11Close => format!("{headers}Connection: close\r\n\r\n"),
        RequestKind::Http10 => format!("{}\r\n", headers.replacen("HTTP/1.1", "HTTP/1.0", 1)),
    }
}

/// Runs it.
pub async fn run(seed: u64) -> anyhow::Result<Facts> {
    let mut series = Vec::new();
    for delay_ms in DELAYS_MS {
        for kind in RequestKind::ALL {
            series.push(measure(delay_ms, kind, seed).await?);
        }
    }
    Ok(Facts::KeepAlive(KeepAliveFacts { requests: REQUESTS, series }))
}

async fn measure(delay_ms: u64, kind: RequestKind, seed: u64) -> anyhow::Result<RequestSeries> {
    let mut test_bed = TestBed::open(&Options { seed, ..options() }).await?;
    let network = Network::with_delay(Duration::from_millis(delay_ms));
    let target = Target { network, ..test_bed.target.clone() };
    let before = test_bed.control.load().await?;
    let request = request(kind, &target);
    let ledger = SharedLedger::default();
    let mut open: Option<Connection> = None;
    let mut total_ns = 0;
    for _ in 0..REQUESTS {
        let began = clock::now_ns();
        let mut wire = loop {
            let mut wire = match open.take() {
                Some(wire) => wire,
                None => {
                    let link = Link::new(network, 7, None)?;
                    Connection::connect(target.endpoint.address, Some(link), None, ledger.clone()).await?
                }
            };
            wire.request(request.as_bytes()).await?;
            // Where the server closed the connection meanwhile, the client opens another and repeats the request, as browsers do.
            match timeout(TIMEOUT + 4 * network.delay(), wire.head()).await? {
                Ok(_) => break wire,
                Err(_) => anyhow::ensure!(clock::now_ns() < began + TIMEOUT.as_nanos() as u64, "no response to a poll"),
            }
        };
        total_ns += clock::now_ns() - began;
        // The next request uses this connection unless the server closes it.
        if timeout(END + network.delay(), wire.fill()).await.is_err() {
            open = Some(wire);
        }
    }
    drop(open);
    let accepts = test_bed.since(&before, 0).await?.accepts;
    let (mean_response_ms, ledger) = (total_ns as f64 / f64::from(REQUESTS) / 1e6, *ledger.borrow());
    Ok(RequestSeries { kind, delay_ms, mean_response_ms, accepts, ledger })
}
