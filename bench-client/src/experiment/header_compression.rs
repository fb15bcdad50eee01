//! Measures the headers of one poll after another on the same connection.

use protocol::facts::Facts;
use protocol::facts::header_compression::{HeaderCompressionFacts, PollSeries};
use protocol::result::Headers;
use protocol::transport::Exchange;
use protocol::{Layer, Transport};

use crate::subscriber::{Subscriber, Target};
use crate::test_bed::TestBed;
use crate::test_bed::server_process::options;
use crate::transport::poll::poll;
use server::Options;

/// Polls of each series.
const POLLS: usize = 8;

/// Runs the experiment.
pub async fn run(seed: u64) -> anyhow::Result<Facts> {
    let mut series = Vec::new();
    for headers in [Headers::Lean, Headers::Browser] {
        for transport in Transport::all_where(|transport| transport.exchange() == Exchange::Poll) {
            let mut test_bed = TestBed::open(&Options { seed, ..options() }).await?;
            let target = Target { headers, ..test_bed.target.clone() };
            series.push(measure(&mut test_bed, transport, &target).await?);
        }
    }
    Ok(Facts::HeaderCompression(HeaderCompressionFacts { series }))
}

/// Polls after each event, and records the bytes of the headers.
async fn measure(test_bed: &mut TestBed, transport: Transport, target: &Target) -> anyhow::Result<PollSeries> {
    let mut subscriber = Subscriber::alone(transport, target).await?;
    let (mut request_bytes, mut response_bytes) = (Vec::new(), Vec::new());
    let mut before = *subscriber.wire.ledger();
    for _ in 0..POLLS {
        test_bed.control.publish("an event").await?;
        poll(&mut subscriber).await?;
        let after = *subscriber.wire.ledger();
        let new = after - before;
        anyhow::ensure!(new.events == 1, "a poll has brought {} events, not one", new.events);
        request_bytes.push(new[Layer::RequestHeaders]);
        response_bytes.push(new[Layer::ResponseHeaders]);
        before = after;
    }
    let handshake_bytes = before[Layer::Handshake];
    Ok(PollSeries { transport, headers: target.headers, request_bytes, response_bytes, handshake_bytes })
}
