//! WebSocket frames by their bits, right and wrong, against the server's echo (RFC 6455, section 5).

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::Context;
use protocol::experiment::{Experiment, Standing, Table};
use protocol::framing::websocket::{Opcode, frame_masked, parse};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::spawn_local;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::handshake::{client::generate_key, derive_accept_key};

use super::verdict;
use crate::bench::Bench;
use crate::counted::{Counted, SharedLedger};
use crate::lab::Setup;

const MASK: [u8; 4] = *b"mask";
/// How long a frame may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// The payloads at whose sizes a header grows, and the largest before each.
const SIZES: [usize; 4] = [125, 126, 65_535, 65_536];

/// A frame that came, or the end.
#[derive(Debug, Clone, PartialEq)]
enum Came {
    Frame { opcode: Opcode, header: Vec<u8>, payload: Vec<u8> },
    End,
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
        }
    }
}

struct Trial {
    claim: u32,
    done: String,
    must: &'static str,
    came: Vec<Came>,
    holds: bool,
}

/// Runs it.
pub async fn run(seed: u64) -> anyhow::Result<Experiment> {
    let mut bench = Bench::open(&Setup { seed, ..Setup::default() }).await?;
    let echo = bench.target.place.address;
    let mut trials = Vec::new();
    let mut try_out = async |claim, done: &str, must, bytes: Vec<u8>, frames, holds: fn(&[Came]) -> bool| {
        let came = exchange(echo, &bytes, frames).await.with_context(|| format!("trial: {done}"))?;
        trials.push(Trial { claim, done: done.into(), must, holds: holds(&came), came });
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
    trials.push(Trial {
        claim: 25,
        done: "a server that ends the connection without a close frame".into(),
        must: "the end alone: what a browser reports as 1006",
        holds: abrupt[0] == Came::End,
        came: abrupt,
    });

    let mut headers = Vec::new();
    for size in SIZES {
        let sent = masked(Opcode::Binary, &vec![b'x'; size]);
        let came = exchange(echo, &sent, 1).await?;
        let Came::Frame { header, .. } = &came[0] else { anyhow::bail!("no echo of {size} bytes") };
        headers.push((size, sent.len() - size, header.clone()));
    }
    // Two conversations with one server: as many connections.
    let before = bench.control.load().await?;
    for _ in 0..2 {
        exchange(echo, &masked(Opcode::Text, b"hi"), 1).await?;
    }
    let accepts = bench.since(&before, 0).await?.accepts;
    Ok(work_out(&trials, &headers, accepts))
}

/// Shakes hands, sends bytes, and takes so many frames, or as many as come before the end.
async fn exchange(address: SocketAddr, bytes: &[u8], frames: usize) -> anyhow::Result<Vec<Came>> {
    timeout(2 * PATIENCE, exchange_at_leisure(address, bytes, frames)).await.context("no handshake, or no end of it")?
}

async fn exchange_at_leisure(address: SocketAddr, bytes: &[u8], frames: usize) -> anyhow::Result<Vec<Came>> {
    let mut wire = Counted::connect(address, None, None, SharedLedger::default()).await?;
    let key = generate_key();
    let request = format!(
        "GET /echo HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: {key}\r\n\r\n"
    );
    wire.request(request.as_bytes()).await?;
    let head = wire.head().await?;
    anyhow::ensure!(head.status == 101, "the handshake was answered with status {}", head.status);
    wire.request(bytes).await?;
    let mut came = Vec::new();
    while came.len() < frames {
        let next = timeout(PATIENCE, next(&mut wire)).await.context("no frame came")??;
        let last = next == Came::End;
        came.push(next);
        if last {
            break;
        }
    }
    Ok(came)
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

fn work_out(trials: &[Trial], headers: &[(usize, usize, Vec<u8>)], accepts: u64) -> Experiment {
    let failed: Vec<&Trial> = trials.iter().filter(|trial| !trial.holds).collect();
    let came = |trial: &Trial| trial.came.iter().map(Came::in_words).collect::<Vec<_>>().join(", then ");
    let claim = |number: u32, standing: Standing, why: &str| {
        let of: Vec<&Trial> = trials.iter().filter(|trial| trial.claim == number).collect();
        // A trial that goes as today's standard has it bears out what the standard says, and refutes what is not so.
        let refutes = matches!(standing, Standing::DoesNotHold | Standing::Outdated);
        let standing = match of.iter().all(|trial| trial.holds) {
            true => standing,
            false if refutes => Standing::NotShown,
            false => Standing::DoesNotHold,
        };
        let figure: Vec<String> = of.iter().map(|trial| format!("{}: {}", trial.done, came(trial))).collect();
        verdict(number, standing, figure.join("; "), why)
    };
    let lengths: Vec<String> =
        headers.iter().map(|(size, up, down)| format!("{} down and {up} up for {size} B", down.len())).collect();
    let mut verdicts = vec![
        claim(
            20,
            Standing::Holds,
            "Headers take 2 to 14 bytes; the mask is demanded of clients, and reserved bits mean extensions.",
        ),
        claim(21, Standing::Holds, "The receiver puts fragments together; control frames may come between them."),
        claim(
            22,
            Standing::Outdated,
            "That was the 2010 draft. Today frames bear their length, and text must be valid UTF-8.",
        ),
        claim(23, Standing::DoesNotHold, "Binary frames carry any bytes."),
        claim(
            25,
            Standing::Holds,
            "An end without a close frame is told apart: browsers report it as 1006, which is never sent.",
        ),
        verdict(
            26,
            if accepts == 2 { Standing::DoesNotHold } else { Standing::NotShown },
            format!("Two conversations: {accepts} connections"),
            "Not in RFC 6455: each WebSocket has a connection of its own. HTTP/2 with RFC 8441 can share one.",
        ),
    ];
    verdicts[0].figure += &format!("; header bytes: {}", lengths.join(", "));
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
            .map(|trial| format!("{}: must be {}, was {}.", trial.done, trial.must, came(trial)))
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
                    .map(|(size, up, down)| vec![size.to_string(), down.len().to_string(), up.to_string(), bits(down)])
                    .collect(),
            },
            Table {
                title: "Trials".into(),
                columns: ["what was sent", "what must come of it", "what came"].map(Into::into).to_vec(),
                rows: trials.iter().map(|trial| vec![trial.done.clone(), trial.must.into(), came(trial)]).collect(),
            },
        ],
        verdicts,
        method: vec!["Frames are sent as bytes to the server's echo.".into()],
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
