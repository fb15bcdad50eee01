//! Measures bare WebSocket and the protocols on top of it: deliveries, memory, the time to the first event, acknowledged messages, and how the
//! server responds to their handshakes.

use std::time::Duration;

use anyhow::Context;
use protocol::envelope::{stomp, websocket as frame};
use protocol::facts::Facts;
use protocol::facts::layers::{LayersFacts, LibraryTrial, SentMessage, Trial};
use protocol::result::{Comparison, Headers, Scenario};
use protocol::transport::Family;
use protocol::{Envelope, Transport};
use reports::statistics::MIN_ROUNDS;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{first_event, memory};
use crate::round::series;
use crate::subscriber::{Subscriber, Target};
use crate::test_bed::TestBed;
use crate::test_bed::server_process::options;
use crate::transport::{frames, websocket};
use server::Options;

/// How long a response may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Numbers of subscribers for the memory of a connection.
const SIZES: [u32; 4] = [250, 500, 1_000, 2_000];
/// The data of the message that is sent and acknowledged.
const MESSAGE: &str = "a message of thirty-six characters!!";
/// The origin of another page, and one that the server's options name.
const FOREIGN: &str = "http://elsewhere.example";
const ALLOWED: &str = "http://friend.example";
/// The request with which Socket.IO's client begins.
const FIRST_REQUEST: &str = "/socket.io/?EIO=4&transport=polling";

/// WebSocket, and what is on top of it.
fn transports() -> Vec<Transport> {
    Transport::all_where(|transport| transport == Transport::WebSocket || transport.row().family == Family::Library)
}

/// Runs the experiment.
pub async fn run(seed: u64) -> anyhow::Result<Facts> {
    let scenario = Scenario {
        rounds: MIN_ROUNDS,
        subscribers: 200,
        rate: 100.0,
        warm_up_ms: 800,
        duration_ms: 1_000,
        seed,
        ..Scenario::small(&transports())
    };
    let rounds = series::rounds(std::slice::from_ref(&scenario), false).await?.concat();
    let memory = memory::measure(seed, &transports(), &SIZES, 1).await?;
    let mut test_bed = TestBed::open(&Options { seed, origins: vec![ALLOWED.into()], ..options() }).await?;
    test_bed.control.publish(MESSAGE).await?;
    let mut first_events = Vec::new();
    for headers in [Headers::Lean, Headers::Browser] {
        for delay_ms in first_event::DELAYS_MS {
            for transport in transports() {
                first_events.push(first_event::measure(&test_bed.target, transport, headers, delay_ms).await?);
            }
        }
    }
    let mut sent = Vec::new();
    for transport in transports() {
        sent.push(send(&test_bed.target, transport).await?);
    }
    let mut trials = Vec::new();
    for trial in Trial::ALL {
        trials.push(try_out(&test_bed.target, trial).await?);
    }
    let rounds = Comparison { scenario, rounds };
    let message_bytes = MESSAGE.len() as u64;
    Ok(Facts::Layers(Box::new(LayersFacts { rounds, memory, first_events, message_bytes, sent, trials })))
}

/// Sends a message on an open connection, and waits for its acknowledgement where the protocol has one.
async fn send(target: &Target, transport: Transport) -> anyhow::Result<SentMessage> {
    let mut subscriber = Subscriber::alone(transport, target).await?;
    websocket::open(&mut subscriber).await?;
    let (text, acknowledges) = match transport.envelope() {
        Envelope::Stomp => {
            let headers = [("destination", stomp::DESTINATION), ("receipt", "1")];
            (stomp::encode("SEND", &headers, MESSAGE.as_bytes()), Some(&b"RECEIPT"[..]))
        }
        Envelope::SockJs => (format!("[\"{MESSAGE}\"]").into_bytes(), None),
        Envelope::SocketIo => (format!("421[\"publish\",\"{MESSAGE}\"]").into_bytes(), Some(&b"431["[..])),
        _ => (MESSAGE.as_bytes().to_vec(), None),
    };
    let before = subscriber.wire.ledger().sent_bytes;
    frames::send(&mut subscriber, &text).await?;
    let up_bytes = subscriber.wire.ledger().sent_bytes - before;
    let mut acknowledgement_bytes = None;
    if let Some(beginning) = acknowledges {
        let acknowledged = async {
            loop {
                let text = frames::text(&mut subscriber).await?;
                if text.starts_with(beginning) {
                    return anyhow::Ok(frame::text(&text).len() as u64);
                }
            }
        };
        acknowledgement_bytes = Some(timeout(TIMEOUT, acknowledged).await??);
    }
    Ok(SentMessage { transport, up_bytes, acknowledgement_bytes })
}

/// Sends the request of a trial, and records the response.
async fn try_out(target: &Target, trial: Trial) -> anyhow::Result<LibraryTrial> {
    let handshake = |path: &str, more: &str| {
        format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n",
            host = target.endpoint.host
        )
    };
    let request = |origin: &str| {
        format!("GET {FIRST_REQUEST} HTTP/1.1\r\nHost: {}\r\nOrigin: {origin}\r\n\r\n", target.endpoint.host)
    };
    let request = match trial {
        Trial::KnownSubprotocol => handshake("/ws", "Sec-WebSocket-Protocol: soap, v12.stomp\r\n"),
        Trial::UnknownSubprotocol => handshake("/ws", "Sec-WebSocket-Protocol: soap\r\n"),
        Trial::Extension => handshake("/ws", "Sec-WebSocket-Extensions: permessage-deflate\r\n"),
        Trial::OwnOrigin => request(&target.endpoint.origin()),
        Trial::ForeignOrigin => request(FOREIGN),
        Trial::AllowedOrigin => request(ALLOWED),
        Trial::PlainWebSocket => handshake("/socket.io/", ""),
    };
    let mut stream = TcpStream::connect(target.endpoint.address).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut response = Vec::new();
    // The response is short, and comes in one write.
    timeout(TIMEOUT, async {
        while !response.windows(4).any(|end| end == b"\r\n\r\n") {
            if stream.read_buf(&mut response).await? == 0 {
                break;
            }
        }
        std::io::Result::Ok(())
    })
    .await??;
    let text = String::from_utf8_lossy(&response);
    let (headers, body) = text.split_once("\r\n\r\n").context("the response has no end of its headers")?;
    let header = |name: &str| {
        let lines = headers.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_string())
    };
    let status = headers.split(' ').nth(1).and_then(|status| status.parse().ok()).context("no status line")?;
    Ok(LibraryTrial {
        trial,
        status,
        subprotocol: header("sec-websocket-protocol"),
        extensions: header("sec-websocket-extensions"),
        allowed_origin: header("access-control-allow-origin"),
        body: body.trim_end().into(),
    })
}
