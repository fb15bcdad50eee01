//! Measures responses to WebSocket frames, right and wrong, from the server's echo (RFC 6455, section 5).

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::Context;
use protocol::Transport;
use protocol::envelope::websocket::{Opcode, encode_masked, parse};
use protocol::facts::Facts;
use protocol::facts::frames::{Capture, FrameHeader, FrameTrial, FramesFacts, Received, SecondHandshake, SentFrames};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::spawn_local;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::handshake::{client::generate_key, derive_accept_key};

use super::wire_text;
use crate::endpoint::Endpoint;
use crate::subscriber::Target;
use crate::test_bed::TestBed;
use crate::test_bed::server_process::options;
use crate::wire::{Connection, SharedLedger};
use server::Options;

const MASK: [u8; 4] = *b"mask";
/// How long a frame may take.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Payload sizes at which the header grows, and the largest before each.
const SIZES: [usize; 4] = [125, 126, 65_535, 65_536];
/// Events a second that are captured, and for how long.
const CAPTURED_RATE: f64 = 200.0;
const CAPTURED: Duration = Duration::from_secs(1);

/// Runs it.
pub async fn run(seed: u64) -> anyhow::Result<Facts> {
    let test_bed = TestBed::open(&Options { seed, ..options() }).await?;
    let echo = test_bed.target.endpoint.address;
    let mut trials = Vec::new();
    for sent in SentFrames::ALL {
        let server = match sent {
            SentFrames::NoCloseFrame => closing_server().await?,
            SentFrames::Text
            | SentFrames::Ping
            | SentFrames::Unmasked
            | SentFrames::ReservedBit
            | SentFrames::Fragments
            | SentFrames::Draft2010
            | SentFrames::InvalidUtf8
            | SentFrames::Binary
            | SentFrames::Close => echo,
        };
        let (bytes, frames) = bytes(sent);
        let received = exchange(server, &bytes, frames).await.with_context(|| format!("trial: {sent:?}"))?;
        trials.push(FrameTrial { sent, received });
    }
    let mut headers = Vec::new();
    for size in SIZES {
        let sent = encode_masked(Opcode::Binary, &vec![b'x'; size], MASK);
        let received = exchange(echo, &sent, 1).await?;
        let [Received::Frame { header, .. }] = &received[..] else { anyhow::bail!("no echo of {size} bytes") };
        let up_bytes = (sent.len() - size) as u64;
        headers.push(FrameHeader { payload_bytes: size as u64, up_bytes, down: header.clone() });
    }
    let second_handshake = second_handshake(echo).await?;
    let capture = capture(seed).await?;
    Ok(Facts::Frames(FramesFacts { trials, headers, second_handshake, capture }))
}

/// The bytes of some frames, and how many frames to read at the most after them.
fn bytes(sent: SentFrames) -> (Vec<u8>, usize) {
    let masked = |opcode, payload: &[u8]| encode_masked(opcode, payload, MASK);
    match sent {
        SentFrames::Text => (masked(Opcode::Text, b"hello"), 1),
        SentFrames::Ping => (masked(Opcode::Ping, b"?"), 1),
        SentFrames::Unmasked => {
            let mut frame = masked(Opcode::Text, b"hi");
            frame[1] &= 0x7f;
            (frame, 2)
        }
        SentFrames::ReservedBit => {
            let mut frame = masked(Opcode::Text, b"hi");
            frame[0] |= 0x40;
            (frame, 2)
        }
        SentFrames::Fragments => {
            let mut frames = masked(Opcode::Text, b"Hel");
            frames[0] &= 0x7f;
            frames.extend(masked(Opcode::Ping, b""));
            frames.extend(masked(Opcode::Continuation, b"lo"));
            (frames, 2)
        }
        // Read as today's header, 0x00 and the first letter are an unmasked continuation of 104 bytes.
        SentFrames::Draft2010 => ([&[0x00][..], &[b'h'; 200], &[0xff]].concat(), 2),
        SentFrames::InvalidUtf8 => (masked(Opcode::Text, b"\xc3\x28"), 2),
        SentFrames::Binary => (masked(Opcode::Binary, b"\xff\x00\xfe"), 1),
        SentFrames::Close => (masked(Opcode::Close, &1000u16.to_be_bytes()), 2),
        SentFrames::NoCloseFrame => (Vec::new(), 1),
    }
}

/// Captures a subscriber's bytes over WebSocket and over long polling, and searches both for HTTP headers.
async fn capture(seed: u64) -> anyhow::Result<Capture> {
    let mut found = Vec::new();
    for transport in [Transport::WebSocket, Transport::LongPolling] {
        let mut test_bed = TestBed::open(&Options { seed, rate: CAPTURED_RATE, ..options() }).await?;
        let (address, captured) = wire_text::relay(test_bed.target.endpoint.address).await?;
        let target = Target { endpoint: Endpoint::plain(address), ..test_bed.target.clone() };
        let group = test_bed.connect(transport, target, 1).await?;
        tokio::time::sleep(CAPTURED).await;
        let events = group.deliveries();
        // Before the subscriber closes the connection, which sends more bytes.
        found.push((captured.later_headers(), events, captured.length()));
        group.close().await;
    }
    let [(websocket, events, captured_bytes), (long_polling, ..)] = found[..] else {
        anyhow::bail!("two transports were captured")
    };
    let seconds = CAPTURED.as_secs();
    Ok(Capture { rate: CAPTURED_RATE, seconds, websocket, long_polling, events, captured_bytes })
}

fn handshake_request(address: SocketAddr) -> String {
    let key = generate_key();
    format!(
        "GET /echo HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: {key}\r\n\r\n"
    )
}

/// Opens a WebSocket, sends bytes, and reads so many frames, or as many as arrive before the end.
async fn exchange(address: SocketAddr, bytes: &[u8], frames: usize) -> anyhow::Result<Vec<Received>> {
    timeout(3 * TIMEOUT, exchange_without_timeout(address, bytes, frames))
        .await
        .context("the handshake took too long")?
}

async fn exchange_without_timeout(address: SocketAddr, bytes: &[u8], frames: usize) -> anyhow::Result<Vec<Received>> {
    let mut wire = open(address).await?;
    wire.request(bytes).await?;
    let mut received = Vec::new();
    while received.len() < frames {
        let next = timeout(TIMEOUT, next(&mut wire)).await.unwrap_or(Ok(Received::Nothing))?;
        let last = matches!(next, Received::End | Received::Nothing);
        received.push(next);
        if last {
            break;
        }
    }
    Ok(received)
}

/// A WebSocket to the server's echo.
async fn open(address: SocketAddr) -> anyhow::Result<Connection> {
    let mut wire = Connection::connect(address, None, None, SharedLedger::default()).await?;
    wire.request(handshake_request(address).as_bytes()).await?;
    let head = wire.head().await?;
    anyhow::ensure!(head.status == 101, "the response to the handshake has status {}", head.status);
    Ok(wire)
}

/// Sends a second handshake on an open WebSocket. Its first letter, read as a frame's header, sets reserved bits.
async fn second_handshake(address: SocketAddr) -> anyhow::Result<SecondHandshake> {
    let mut wire = open(address).await?;
    wire.request(handshake_request(address).as_bytes()).await?;
    // The bytes are checked before they are read as a frame, since a response of HTTP would be no frame.
    Ok(match timeout(TIMEOUT, wire.fill()).await {
        Err(_) => SecondHandshake::Received(Received::Nothing),
        Ok(_) if wire.received.starts_with(b"HTTP/1.1 101") => SecondHandshake::Switched,
        Ok(_) => SecondHandshake::Received(next(&mut wire).await?),
    })
}

async fn next(wire: &mut Connection) -> anyhow::Result<Received> {
    loop {
        if let Some(header) = parse(&wire.received)? {
            let whole = header.length + header.payload_length as usize;
            if wire.received.len() >= whole {
                let mut bytes = wire.received.split_to(whole).to_vec();
                let payload = bytes.split_off(header.length);
                return Ok(Received::Frame { opcode: header.opcode, header: bytes, payload });
            }
        }
        // A reset is an end as well: the client's last bytes may have arrived at a closed socket.
        if wire.fill().await.is_err() {
            return Ok(Received::End);
        }
    }
}

/// A server that completes the handshake and then closes the connection without a close frame.
async fn closing_server() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    spawn_local(async move {
        let (mut stream, _) = listener.accept().await?;
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(stream.read_u8().await?);
        }
        let request = String::from_utf8_lossy(&request).into_owned();
        let key = request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap_or_default();
        let accept = derive_accept_key(key.as_bytes());
        let response = format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        stream.write_all(response.as_bytes()).await
    });
    Ok(address)
}
