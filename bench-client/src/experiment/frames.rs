//! WebSocket frames by their bits, right and wrong, against the server's echo (RFC 6455, section 5).

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::Context;
use protocol::Transport;
use protocol::experiment::{Experiment, Standing, Table, Verdict};
use protocol::framing::websocket::{Opcode, frame_masked, parse};
use reports::number::thousands;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::spawn_local;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::handshake::{client::generate_key, derive_accept_key};

use super::evidence::{Answer, as_claimed, verdict};
use super::wire_text::{self, Heads};
use crate::bench::Bench;
use crate::counted::{Counted, SharedLedger};
use crate::lab::Setup;
use crate::place::Place;
use crate::subscriber::Target;

const MASK: [u8; 4] = *b"mask";
/// How long a frame may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// The payloads at whose sizes a header grows, and the largest before each.
const SIZES: [usize; 4] = [125, 126, 65_535, 65_536];
/// Header bytes down for each of these sizes (RFC 6455, section 5.2); with a mask, up, four more.
const HEADERS: [usize; 4] = [2, 4, 4, 10];
/// Events a second that are captured, how long, and the least that must have come.
const CAPTURED_RATE: f64 = 200.0;
const CAPTURED: Duration = Duration::from_secs(1);
const LEAST_EVENTS: u64 = 50;

/// A frame that came, or the end.
#[derive(Debug, Clone, PartialEq)]
enum Came {
    Frame {
        opcode: Opcode,
        header: Vec<u8>,
        payload: Vec<u8>,
    },
    End,
    /// Neither a frame nor the end, in the time that there was.
    Nothing,
}

impl Came {
    fn is(&self, wanted: Opcode, content: &[u8]) -> bool {
        matches!(self, Self::Frame { opcode, payload, .. } if *opcode == wanted && payload == content)
    }

    /// The code of a close frame.
    fn close_code(&self) -> Option<u16> {
        match self {
            Self::Frame { opcode: Opcode::Close, payload, .. } => Some(u16::from_be_bytes(*payload.first_chunk()?)),
            _ => None,
        }
    }

    fn in_words(&self) -> String {
        match self {
            Self::Frame { opcode: Opcode::Close, .. } => format!("close, code {}", self.close_code().unwrap_or(1005)),
            Self::Frame { opcode, payload, .. } if payload.len() > 20 => format!("{opcode:?}, {} bytes", payload.len()),
            Self::Frame { opcode, payload, .. } => {
                format!("{opcode:?} \"{}\"", String::from_utf8_lossy(payload).escape_debug())
            }
            Self::End => "the connection ended".into(),
            Self::Nothing => "nothing came in time".into(),
        }
    }
}

struct Trial {
    claim: u32,
    done: String,
    must: &'static str,
    came: Vec<Came>,
    /// Whether what came is what today's standard asks for.
    as_told: Answer,
}

/// Header bytes of a frame of some payload: up, with a mask, and down.
struct Header {
    payload: usize,
    up: usize,
    down: Vec<u8>,
}

/// HTTP heads behind the handshake, found by a search of captured bytes.
pub struct After {
    /// Over WebSocket.
    pub websocket: Heads,
    /// Over long polling, through the same relay: where the search must find some.
    pub long_polling: Heads,
    /// Events that came over the WebSocket.
    pub events: u64,
    /// Bytes captured of it.
    pub captured: usize,
}

/// Claims 22 and 23: trials that go as the standard has it refute the claim; `refuted` is how it then stands.
pub fn contradicted(trials: &[Answer], refuted: Standing) -> Standing {
    Answer::all(trials.iter().copied()).decides(refuted, Standing::Holds)
}

/// Claim 17: HTTP headers are sent in the first exchange only.
pub fn no_head_later(after: &After) -> Standing {
    // A search that finds nothing where there is something, or that had little to search, tells nothing.
    if after.websocket.count > 0 {
        Standing::DoesNotHold
    } else if after.long_polling.count == 0 || after.events < LEAST_EVENTS {
        Standing::NotMeasurable
    } else {
        Standing::Holds
    }
}

/// Claim 26: many logical connections share one TCP connection. `second` is whether a second handshake on an open WebSocket was
/// answered by another 101.
pub fn shared(second: Answer) -> Standing {
    second.decides(Standing::Holds, Standing::DoesNotHold)
}

/// Runs it.
pub async fn run(seed: u64) -> anyhow::Result<Experiment> {
    let bench = Bench::open(&Setup { seed, ..Setup::default() }).await?;
    let echo = bench.target.place.address;
    let mut trials = Vec::new();
    let mut try_out = async |claim, done: &str, must, bytes: Vec<u8>, frames, holds: fn(&[Came]) -> bool| {
        let came = exchange(echo, &bytes, frames).await.with_context(|| format!("trial: {done}"))?;
        trials.push(trial(claim, done, must, came, holds));
        anyhow::Ok(())
    };
    let masked = |opcode, payload: &[u8]| frame_masked(opcode, payload, MASK);
    try_out(20, "text", "the same text", masked(Opcode::Text, b"hello"), 1, |came| came[0].is(Opcode::Text, b"hello"))
        .await?;
    try_out(20, "a ping", "a pong with its payload", masked(Opcode::Ping, b"?"), 1, |came| {
        came[0].is(Opcode::Pong, b"?")
    })
    .await?;
    let mut unmasked = masked(Opcode::Text, b"hi");
    unmasked[1] &= 0x7f;
    try_out(20, "a frame without a mask", "close 1002", unmasked, 2, |came| came[0].close_code() == Some(1002)).await?;
    let mut reserved = masked(Opcode::Text, b"hi");
    reserved[0] |= 0x40;
    try_out(20, "RSV1 set, with no extension agreed on", "close 1002", reserved, 2, |came| {
        came[0].close_code() == Some(1002)
    })
    .await?;
    let mut fragments = masked(Opcode::Text, b"Hel");
    fragments[0] &= 0x7f;
    fragments.extend(masked(Opcode::Ping, b""));
    fragments.extend(masked(Opcode::Continuation, b"lo"));
    try_out(21, "a message in two frames, a ping between them", "a pong, then one message", fragments, 2, |came| {
        came[0].is(Opcode::Pong, b"") && came[1].is(Opcode::Text, b"Hello")
    })
    .await?;
    // Read as today's header, 0x00 and the first letter are an unmasked continuation of 104 bytes.
    let draft = [&[0x00][..], &[b'h'; 200], &[0xff]].concat();
    try_out(22, "the framing of the 2010 draft: 0x00, 200 letters, 0xFF", "close 1002", draft, 2, |came| {
        came[0].close_code() == Some(1002)
    })
    .await?;
    try_out(22, "text that is not UTF-8", "close 1007", masked(Opcode::Text, b"\xc3\x28"), 2, |came| {
        came[0].close_code() == Some(1007)
    })
    .await?;
    try_out(
        23,
        "bytes that are no text, as binary",
        "the same bytes",
        masked(Opcode::Binary, b"\xff\x00\xfe"),
        1,
        |came| came[0].is(Opcode::Binary, b"\xff\x00\xfe"),
    )
    .await?;
    try_out(
        25,
        "close, code 1000",
        "close 1000, then the end",
        masked(Opcode::Close, &1000u16.to_be_bytes()),
        2,
        |came| came[0].close_code() == Some(1000) && came[1] == Came::End,
    )
    .await?;
    let abrupt = exchange(rude().await?, b"", 1).await?;
    let done = "a server that ends the connection without a close frame";
    trials.push(trial(25, done, "the end alone: what a browser reports as 1006", abrupt, |came| came[0] == Came::End));

    let mut headers = Vec::new();
    for size in SIZES {
        let sent = masked(Opcode::Binary, &vec![b'x'; size]);
        let came = exchange(echo, &sent, 1).await?;
        let Came::Frame { header, .. } = &came[0] else { anyhow::bail!("no echo of {size} bytes") };
        headers.push(Header { payload: size, up: sent.len() - size, down: header.clone() });
    }
    // A second handshake on the connection of the first: its first letter, read as a frame's header, sets reserved bits.
    let second = second_handshake(echo).await?;
    let after = after(seed).await?;
    Ok(work_out(&trials, &headers, &second, &after))
}

/// A trial with what came of it; where nothing came in time, it decides nothing.
fn trial(claim: u32, done: &str, must: &'static str, came: Vec<Came>, holds: fn(&[Came]) -> bool) -> Trial {
    let as_told = if came.contains(&Came::Nothing) { Answer::Unclear } else { holds(&came).into() };
    Trial { claim, done: done.into(), must, came, as_told }
}

/// Captures a subscriber's bytes over WebSocket and over long polling, and searches both for HTTP heads.
async fn after(seed: u64) -> anyhow::Result<After> {
    let mut found = Vec::new();
    for transport in [Transport::WebSocket, Transport::LongPolling] {
        let mut bench = Bench::open(&Setup { seed, rate: CAPTURED_RATE, ..Setup::default() }).await?;
        let (address, captured) = wire_text::relay(bench.target.place.address).await?;
        let target = Target { place: Place::plain(address), ..bench.target.clone() };
        let crowd = bench.gather(transport, target, 1).await?;
        tokio::time::sleep(CAPTURED).await;
        let events = crowd.deliveries();
        // What leaving sends is not an event any more.
        found.push((captured.later_heads(), events, captured.length()));
        crowd.leave().await;
    }
    let [(websocket, events, captured), (long_polling, ..)] = found[..] else { anyhow::bail!("two were captured") };
    Ok(After { websocket, long_polling, events, captured })
}

fn handshake_request(address: SocketAddr) -> String {
    let key = generate_key();
    format!(
        "GET /echo HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: {key}\r\n\r\n"
    )
}

/// Shakes hands, sends bytes, and takes so many frames, or as many as come before the end.
async fn exchange(address: SocketAddr, bytes: &[u8], frames: usize) -> anyhow::Result<Vec<Came>> {
    timeout(3 * PATIENCE, exchange_at_leisure(address, bytes, frames)).await.context("no handshake, or no end of it")?
}

async fn exchange_at_leisure(address: SocketAddr, bytes: &[u8], frames: usize) -> anyhow::Result<Vec<Came>> {
    let mut wire = open(address).await?;
    wire.request(bytes).await?;
    let mut came = Vec::new();
    while came.len() < frames {
        let next = timeout(PATIENCE, next(&mut wire)).await.unwrap_or(Ok(Came::Nothing))?;
        let last = matches!(next, Came::End | Came::Nothing);
        came.push(next);
        if last {
            break;
        }
    }
    Ok(came)
}

/// A WebSocket to the server's echo.
async fn open(address: SocketAddr) -> anyhow::Result<Counted> {
    let mut wire = Counted::connect(address, None, None, SharedLedger::default()).await?;
    wire.request(handshake_request(address).as_bytes()).await?;
    let head = wire.head().await?;
    anyhow::ensure!(head.status == 101, "the handshake was answered with status {}", head.status);
    Ok(wire)
}

/// Whether a second handshake on an open WebSocket is answered by a second 101, and what comes instead.
async fn second_handshake(address: SocketAddr) -> anyhow::Result<(Answer, String)> {
    let mut wire = open(address).await?;
    wire.request(handshake_request(address).as_bytes()).await?;
    // Looked at as bytes: read as a frame, an answer of HTTP would be another thing.
    Ok(match timeout(PATIENCE, wire.fill()).await {
        Err(_) => (Answer::Unclear, Came::Nothing.in_words()),
        Ok(_) if wire.received.starts_with(b"HTTP/1.1 101") => (Answer::Yes, "another 101".into()),
        Ok(_) => (Answer::No, next(&mut wire).await?.in_words()),
    })
}

async fn next(wire: &mut Counted) -> anyhow::Result<Came> {
    loop {
        if let Some(header) = parse(&wire.received)? {
            let whole = header.length + header.payload_length as usize;
            if wire.received.len() >= whole {
                let mut bytes = wire.received.split_to(whole).to_vec();
                let payload = bytes.split_off(header.length);
                return Ok(Came::Frame { opcode: header.opcode, header: bytes, payload });
            }
        }
        // A reset is an end as well: our own last bytes may have met a closed socket.
        if wire.fill().await.is_err() {
            return Ok(Came::End);
        }
    }
}

/// A server that shakes hands, and then just ends the connection.
async fn rude() -> anyhow::Result<SocketAddr> {
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
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        stream.write_all(answer.as_bytes()).await
    });
    Ok(address)
}

/// The bits of a header, field by field: FIN, RSV1 to 3, opcode, MASK, length.
fn bits(header: &[u8]) -> String {
    let [first, second] = [header[0], header[1]];
    let extended: Vec<String> = header[2..].iter().map(|byte| format!("{byte:08b}")).collect();
    format!(
        "{:b} {:03b} {:04b}  {:b} {:07b}  {}",
        first >> 7,
        first >> 4 & 7,
        first & 15,
        second >> 7,
        second & 127,
        extended.join(" ")
    )
    .trim_end()
    .to_string()
}

fn work_out(trials: &[Trial], headers: &[Header], second: &(Answer, String), after: &After) -> Experiment {
    let failed: Vec<&Trial> = trials.iter().filter(|trial| trial.as_told != Answer::Yes).collect();
    let in_words = |came: &[Came]| came.iter().map(Came::in_words).collect::<Vec<_>>().join(", then ");
    let of = |number: u32| -> (Vec<Answer>, String) {
        let of = || trials.iter().filter(move |trial| trial.claim == number);
        let figure: Vec<String> = of().map(|trial| format!("{}: {}", trial.done, in_words(&trial.came))).collect();
        (of().map(|trial| trial.as_told).collect(), figure.join("; "))
    };
    let lengths: Vec<String> = headers
        .iter()
        .map(|header| format!("{} down and {} up for {} B", header.down.len(), header.up, header.payload))
        .collect();
    let as_long = headers.iter().zip(HEADERS).all(|(header, down)| header.down.len() == down && header.up == down + 4);
    let bits_answers = of(20).0.into_iter().chain([as_long.into()]).collect::<Vec<Answer>>();
    let rule = |number: u32, standing: Standing, figure: String, why: &str, prediction: &str, refuted_by: &str| {
        Verdict {
        figure,
        why: why.into(),
        prediction: prediction.into(),
        refuted_by: refuted_by.into(),
        working_point: "One connection to the server's echo for each trial, no events, loopback.".into(),
        turns_at: "Does not turn with a load or a setting: it is a rule of the protocol, and turns with an implementation that breaks it."
            .into(),
        ..verdict(number, standing)
    }
    };
    let verdicts = vec![
        Verdict {
            working_point: format!(
                "1 subscriber, {CAPTURED_RATE} events/s of 200 B, {} s, loopback, a browser's headers left out.",
                CAPTURED.as_secs()
            ),
            turns_at:
                "Does not turn with the load. It turns with the transport: over long polling each answer brings a head."
                    .into(),
            ..rule(
                17,
                no_head_later(after),
                format!(
                    "{} HTTP heads behind the handshake in {} captured bytes with {} events; the same search finds {} heads of {} B over \
                     long polling",
                    after.websocket.count,
                    thousands(after.captured as u64),
                    after.events,
                    after.long_polling.count,
                    thousands(after.long_polling.bytes as u64)
                ),
                "After 101 the connection carries frames only.",
                "No line of an HTTP head in what a relay captures behind the first head of each direction, however many events follow.",
                "One HTTP head or header field behind the handshake. The search counts only where it finds the heads of long polling.",
            )
        },
        rule(
            20,
            as_claimed(&bits_answers),
            format!("{}; header bytes: {}", of(20).1, lengths.join(", ")),
            "Headers take 2 to 14 bytes; the mask is demanded of clients, and reserved bits mean extensions.",
            "Headers of 2, 4 or 10 bytes down and four more up, as the payload is up to 125, up to 65,535 or more; a frame without a mask \
             and one with a reserved bit are refused with close 1002.",
            "A header of another length, or a wrong frame that is taken.",
        ),
        rule(
            21,
            as_claimed(&of(21).0),
            of(21).1,
            "The receiver puts fragments together; control frames may come between them.",
            "Two fragments with a ping between them come back as a pong and one message.",
            "Two messages, or an error.",
        ),
        rule(
            22,
            contradicted(&of(22).0, Standing::Outdated),
            of(22).1,
            "That was the 2010 draft. Today frames bear their length, and text must be valid UTF-8.",
            "A server takes a message framed by 0x00 and 0xFF.",
            "A close with 1002 (not a frame) of the draft's framing, and with 1007 of text that is not UTF-8.",
        ),
        rule(
            23,
            contradicted(&of(23).0, Standing::DoesNotHold),
            of(23).1,
            "Binary frames carry any bytes.",
            "Bytes that are no text are refused, or come back changed.",
            "The same bytes that come back in a binary frame.",
        ),
        rule(
            25,
            as_claimed(&of(25).0),
            of(25).1,
            "An end without a close frame is told apart: browsers report it as 1006, which is never sent.",
            "A close frame is answered by one with the same code, and then the connection ends; without one, it just ends.",
            "No close frame in answer, another code, or a connection that stays open.",
        ),
        Verdict {
            turns_at: "Turns with the protocol: HTTP/2 with RFC 8441 carries several WebSockets on one TCP connection."
                .into(),
            ..rule(
                26,
                shared(second.0),
                format!("a second handshake on the connection of an open WebSocket: {}", second.1),
                "It is read from RFC 6455: a frame has no field for a channel, and section 4.1 opens a connection for each WebSocket. The \
                 second handshake demonstrates it.",
                "A second handshake on an open WebSocket is answered by a second 101.",
                "A close frame, or the end of the connection, instead of a 101.",
            )
        },
    ];
    Experiment {
        name: "frames".into(),
        title: "Frames by their bits, right and wrong".into(),
        question: "What is in a frame, and what does the server do with one that breaks the rules?".into(),
        answer: vec![
            format!("{} of {} trials went as RFC 6455 has it.", trials.len() - failed.len(), trials.len()),
            format!("Frame headers: {}.", lengths.join(", ")),
        ],
        doubts: failed
            .iter()
            .map(|trial| format!("{}: must be {}, was {}.", trial.done, trial.must, in_words(&trial.came)))
            .collect(),
        tables: vec![
            Table {
                title: "The header of a real frame, down".into(),
                columns: [
                    "payload, bytes",
                    "header, bytes",
                    "with a mask, up",
                    "FIN, RSV, opcode, MASK, length, extended length",
                ]
                .map(Into::into)
                .to_vec(),
                rows: headers
                    .iter()
                    .map(|Header { payload, up, down }| {
                        vec![payload.to_string(), down.len().to_string(), up.to_string(), bits(down)]
                    })
                    .collect(),
            },
            Table {
                title: "Trials".into(),
                columns: ["what was sent", "what must come of it", "what came"].map(Into::into).to_vec(),
                rows: trials.iter().map(|trial| vec![trial.done.clone(), trial.must.into(), in_words(&trial.came)]).collect(),
            },
        ],
        verdicts,
        method: vec![
            "Frames are sent as bytes to the server's echo.".into(),
            "Heads behind the handshake are searched for in bytes that a relay captured, not in what the client's parser booked.".into(),
        ],
        ..Experiment::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_those_of_the_standards_example() {
        // RFC 6455, section 5.7: a single-frame unmasked text message "Hello", and 256 bytes of binary data.
        assert_eq!(bits(&[0x81, 0x05]), "1 000 0001  0 0000101");
        assert_eq!(bits(&[0x82, 0x7e, 0x01, 0x00]), "1 000 0010  0 1111110  00000001 00000000");
    }
}
