//! Requirements on WebSocket.

use std::time::{Duration, Instant};

use bytes::BytesMut;
use protocol::envelope::websocket::{Opcode, encode, encode_masked, parse};
use tokio_tungstenite::tungstenite::handshake::{client::generate_key, derive_accept_key};

use super::Requirement;
use super::feed::{DIFFICULT, Event, FUTURE, HEARTBEAT, SOON, beside_slow_reader, event, expect};
use super::http::Head;
use super::wire::{Fault, Outcome, STEP, Server, Wire};

/// The close code that tells a gap.
const GAP: u16 = 4410;
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
/// The longest payload that is accepted, in bytes.
const MAX_PAYLOAD_BYTES: u64 = 1 << 20;

/// All but the one that waits for a heartbeat.
pub const ALL: &[Requirement] = &[
    Requirement {
        id: "W1",
        points: 3,
        text: "The handshake at /ws?after=N is answered with 101 and the Sec-WebSocket-Accept that belongs to the key",
        see: "RFC 6455, section 4.2.2",
        run: |server| Socket::open(server, newest(server)?).map(|_| ()),
    },
    Requirement {
        id: "W2",
        points: 1,
        text: "A handshake without Sec-WebSocket-Key is refused with 400",
        see: "RFC 6455, section 4.2.1",
        run: |server| refused(server, &[UPGRADE, CONNECTION, VERSION], 400),
    },
    Requirement {
        id: "W3",
        points: 1,
        text: "A handshake for another version is refused with 426 and Sec-WebSocket-Version: 13",
        see: "RFC 6455, section 4.2.2",
        run: wrong_version,
    },
    Requirement {
        id: "W4",
        points: 3,
        text: "All events after the cursor come, each once and in order, as the JSON of a text message each",
        see: "RFC 6455, section 5.6",
        run: everything,
    },
    Requirement {
        id: "W5",
        points: 3,
        text: "A new event comes as soon as it is published",
        see: "RFC 6455, section 1.1",
        run: live,
    },
    Requirement {
        id: "W6",
        points: 2,
        text: "A WebSocket with a later cursor gets only the events after that",
        see: "the cursor is the number of the last event that was received",
        run: resumed,
    },
    Requirement {
        id: "W7",
        points: 1,
        text: "The frames of the server are not masked",
        see: "RFC 6455, section 5.1",
        run: unmasked,
    },
    Requirement {
        id: "W8",
        points: 2,
        text: "A text message from a client is published, and comes back as an event",
        see: "RFC 6455, section 5.3: its payload is masked",
        run: publishes,
    },
    Requirement {
        id: "W9",
        points: 2,
        text: "A message in several frames is one message",
        see: "RFC 6455, section 5.4",
        run: fragmented,
    },
    Requirement {
        id: "W10",
        points: 2,
        text: "A ping is answered with a pong of the same payload",
        see: "RFC 6455, section 5.5.2",
        run: pong,
    },
    Requirement {
        id: "W11",
        points: 2,
        text: "A close frame is answered with a close frame, and then the connection ends",
        see: "RFC 6455, section 5.5.1",
        run: closes,
    },
    Requirement {
        id: "W12",
        points: 1,
        text: "A frame that is not masked ends the connection with code 1002",
        see: "RFC 6455, section 5.1",
        run: |server| ends_with(server, &encode(Opcode::Text, b"not masked"), "a frame that is not masked", &[1002]),
    },
    Requirement {
        id: "W13",
        points: 1,
        text: "A text that is not UTF-8 ends the connection with code 1007",
        see: "RFC 6455, section 8.1",
        run: |server| {
            ends_with(server, &encode_masked(Opcode::Text, &[0xc3, 0x28], MASK), "a text that is not UTF-8", &[1007])
        },
    },
    Requirement {
        id: "W14",
        points: 1,
        text: "A message of more than 64 KiB ends the connection with code 1009",
        see: "RFC 6455, section 7.4.1",
        run: |server| {
            let long = vec![b'x'; (64 << 10) + 1];
            ends_with(server, &encode_masked(Opcode::Text, &long, MASK), "a message of 65,537 bytes", &[1009])
        },
    },
    Requirement {
        id: "W15",
        points: 1,
        text: "A frame with a reserved bit ends the connection with code 1002",
        see: "RFC 6455, section 5.2",
        run: |server| {
            let mut frame = encode_masked(Opcode::Text, b"reserved", MASK);
            frame[0] |= 0x20;
            ends_with(server, &frame, "a frame with the bit RSV2", &[1002])
        },
    },
    Requirement {
        id: "W16",
        points: 2,
        text: "A cursor beyond the newest event is answered with the close code 4410",
        see: "a client must learn that events are missing; codes from 4000 on are for applications (RFC 6455, section 7.4.2)",
        run: gap,
    },
    Requirement {
        id: "W17",
        points: 3,
        text: "A client that reads nothing delays no other client: 300 events of 32 KiB come to that within 20 seconds",
        see: "the server must not wait for one socket before it writes to the next",
        run: slow_reader,
    },
];

/// The one that waits for a heartbeat.
pub const IDLE: &[Requirement] = &[Requirement {
    id: "W18",
    points: 1,
    text: "Something comes on an idle WebSocket at least every 35 seconds: a ping will do",
    see: "RFC 6455, section 5.5.2",
    run: heartbeat,
}];

const UPGRADE: &str = "Upgrade: websocket";
const CONNECTION: &str = "Connection: Upgrade";
const VERSION: &str = "Sec-WebSocket-Version: 13";

fn newest(server: &Server) -> Result<u64, Fault> {
    server.publish("the last one")
}

/// An open WebSocket.
struct Socket {
    wire: Wire,
}

/// A frame that came.
struct Frame {
    opcode: Opcode,
    payload: BytesMut,
    is_masked: bool,
}

impl Socket {
    fn open(server: &Server, after: u64) -> Result<Self, Fault> {
        let key = generate_key();
        let headers = [UPGRADE, CONNECTION, VERSION, &format!("Sec-WebSocket-Key: {key}")];
        let mut wire = Wire::request(server, "GET", &format!("/ws?after={after}"), &headers, b"")?;
        let head = wire.head()?;
        if head.status != 101 {
            return Err(wire.fault(format!("status {}", head.status)));
        }
        let wanted = derive_accept_key(key.as_bytes());
        match head.header("Sec-WebSocket-Accept") {
            Some(accept) if accept == wanted => Ok(Self { wire }),
            accept => Err(wire.fault(format!(
                "Sec-WebSocket-Accept: {}, where {wanted} belongs to the key",
                accept.unwrap_or("(none)")
            ))),
        }
    }

    /// The next frame; `None` if there is none in time.
    fn frame(&mut self, deadline: Instant) -> Result<Option<Frame>, Fault> {
        self.wire.in_time()?;
        loop {
            match parse(&self.wire.received) {
                Err(error) => return Err(self.wire.fault(format!("a malformed frame: {error}"))),
                Ok(Some(header)) if header.payload_length > MAX_PAYLOAD_BYTES => {
                    return Err(self.wire.fault(format!("a frame of {} bytes", header.payload_length)));
                }
                Ok(Some(header)) if self.wire.received.len() as u64 >= header.length as u64 + header.payload_length => {
                    let length = header.length + header.payload_length as usize;
                    let payload = self.wire.received.split_to(length).split_off(header.length);
                    return Ok(Some(Frame { opcode: header.opcode, payload, is_masked: header.mask.is_some() }));
                }
                Ok(_) => {}
            }
            if !self.wire.fill(deadline)? {
                return Ok(None);
            }
        }
    }

    /// The next event; control frames before it are passed over.
    fn event(&mut self, within: Duration) -> Result<Option<Event>, Fault> {
        let deadline = Instant::now() + within;
        while let Some(frame) = self.frame(deadline)? {
            match frame.opcode {
                Opcode::Text => {
                    let text = String::from_utf8_lossy(&frame.payload).into_owned();
                    return event(&text).map(Some).map_err(|came| self.wire.fault(came));
                }
                Opcode::Close => {
                    return Err(self.wire.fault(format!("a close frame with code {}", code(&frame.payload))));
                }
                _ => {}
            }
        }
        Ok(None)
    }

    fn expect(&mut self, wanted: &[u64], within: Duration) -> Outcome {
        let deadline = Instant::now() + within;
        let mut events = Vec::new();
        while events.len() < wanted.len() {
            match self.event(deadline.saturating_duration_since(Instant::now()))? {
                Some(event) => events.push(event),
                None => break,
            }
        }
        expect(&self.wire, &events, wanted)
    }

    /// Receives everything up to a close frame, and returns its code.
    fn close_code(&mut self) -> Result<u16, Fault> {
        let deadline = Instant::now() + STEP;
        while let Some(frame) = self.frame(deadline)? {
            if frame.opcode == Opcode::Close {
                return Ok(code(&frame.payload));
            }
        }
        Err(self.wire.fault("no close frame"))
    }
}

/// The code of a close frame; 1005 if it has none (RFC 6455, section 7.1.5).
fn code(payload: &[u8]) -> u16 {
    match payload {
        [high, low, ..] => u16::from_be_bytes([*high, *low]),
        _ => 1005,
    }
}

fn refused(server: &Server, headers: &[&str], wanted: u16) -> Outcome {
    let (wire, head) = handshake(server, headers)?;
    if head.status == wanted { Ok(()) } else { Err(wire.fault(format!("status {}", head.status))) }
}

fn handshake(server: &Server, headers: &[&str]) -> Result<(Wire, Head), Fault> {
    let mut wire = Wire::request(server, "GET", "/ws?after=0", headers, b"")?;
    let head = wire.head()?;
    Ok((wire, head))
}

fn wrong_version(server: &Server) -> Outcome {
    let key = format!("Sec-WebSocket-Key: {}", generate_key());
    let (wire, head) = handshake(server, &[UPGRADE, CONNECTION, "Sec-WebSocket-Version: 12", &key])?;
    match (head.status, head.header("Sec-WebSocket-Version")) {
        (426, Some(version)) if version.contains("13") => Ok(()),
        (status, version) => {
            Err(wire.fault(format!("status {status}, Sec-WebSocket-Version: {}", version.unwrap_or("(none)"))))
        }
    }
}

fn everything(server: &Server) -> Outcome {
    let before = newest(server)?;
    let wanted = server.publish_all(20)?;
    let mut socket = Socket::open(server, before)?;
    socket.expect(&wanted, STEP)?;
    match socket.event(STEP / 8)? {
        None => Ok(()),
        Some(event) => Err(socket.wire.fault(format!("event {} after all {} had come", event.seq, wanted.len()))),
    }
}

fn live(server: &Server) -> Outcome {
    let mut socket = Socket::open(server, newest(server)?)?;
    for number in 0..3 {
        let seq = server.publish(&format!("live {number}"))?;
        socket.expect(&[seq], SOON)?;
    }
    Ok(())
}

fn resumed(server: &Server) -> Outcome {
    let seqs = server.publish_all(6)?;
    Socket::open(server, seqs[2])?.expect(&seqs[3..], STEP)
}

fn unmasked(server: &Server) -> Outcome {
    let mut socket = Socket::open(server, newest(server)?)?;
    server.publish("an event")?;
    match socket.frame(Instant::now() + STEP)? {
        Some(frame) if !frame.is_masked => Ok(()),
        Some(_) => Err(socket.wire.fault("a masked frame")),
        None => Err(socket.wire.fault("no frame")),
    }
}

fn publishes(server: &Server) -> Outcome {
    let mut socket = Socket::open(server, newest(server)?)?;
    // The length of the second one takes two more bytes of the header.
    for text in [DIFFICULT.to_string(), "x".repeat(300)] {
        socket.wire.send(
            &encode_masked(Opcode::Text, text.as_bytes(), MASK),
            &format!("a text message of {} bytes", text.len()),
        )?;
        match socket.event(SOON)? {
            Some(event) if event.data == text => {}
            Some(event) => return Err(socket.wire.fault(format!("an event with {:?}", event.data))),
            None => return Err(socket.wire.fault("no event")),
        }
    }
    Ok(())
}

fn fragmented(server: &Server) -> Outcome {
    let mut socket = Socket::open(server, newest(server)?)?;
    // The first frame ends within a letter of several bytes.
    let text = "one \u{1f600} two three".as_bytes();
    let mut first = encode_masked(Opcode::Text, &text[..6], MASK);
    first[0] &= 0x7f;
    let mut middle = encode_masked(Opcode::Continuation, &text[6..12], MASK);
    middle[0] &= 0x7f;
    let last = encode_masked(Opcode::Continuation, &text[12..], MASK);
    // A control frame may come between the parts.
    let ping = encode_masked(Opcode::Ping, b"between", MASK);
    socket.wire.send(&[first, middle, ping, last].concat(), "a message in three frames, with a ping between them")?;
    match socket.event(SOON)? {
        Some(event) if event.data.as_bytes() == text => Ok(()),
        Some(event) => Err(socket.wire.fault(format!("an event with {:?}", event.data))),
        None => Err(socket.wire.fault("no event")),
    }
}

fn pong(server: &Server) -> Outcome {
    let mut socket = Socket::open(server, newest(server)?)?;
    socket
        .wire
        .send(&encode_masked(Opcode::Ping, b"are you there?", MASK), "a ping with the payload \"are you there?\"")?;
    let deadline = Instant::now() + STEP;
    while let Some(frame) = socket.frame(deadline)? {
        if frame.opcode == Opcode::Pong {
            return match *frame.payload == *b"are you there?" {
                true => Ok(()),
                false => Err(socket.wire.fault(format!("a pong with {:?}", String::from_utf8_lossy(&frame.payload)))),
            };
        }
    }
    Err(socket.wire.fault("no pong"))
}

fn closes(server: &Server) -> Outcome {
    let mut socket = Socket::open(server, newest(server)?)?;
    socket.wire.send(&encode_masked(Opcode::Close, &1000u16.to_be_bytes(), MASK), "a close frame with code 1000")?;
    let code = socket.close_code()?;
    if !matches!(code, 1000 | 1005) {
        return Err(socket.wire.fault(format!("a close frame with code {code}")));
    }
    if socket.wire.ends() { Ok(()) } else { Err(socket.wire.fault("a close frame, but not the end of the connection")) }
}

fn ends_with(server: &Server, bytes: &[u8], told: &str, codes: &[u16]) -> Outcome {
    let mut socket = Socket::open(server, newest(server)?)?;
    socket.wire.send(bytes, told)?;
    let code = socket.close_code()?;
    if !codes.contains(&code) {
        return Err(socket.wire.fault(format!("a close frame with code {code}")));
    }
    if socket.wire.ends() {
        Ok(())
    } else {
        Err(socket.wire.fault("the close frame, but not the end of the connection"))
    }
}

fn gap(server: &Server) -> Outcome {
    let mut socket = Socket::open(server, FUTURE)?;
    let code = socket.close_code()?;
    if code == GAP { Ok(()) } else { Err(socket.wire.fault(format!("a close frame with code {code}"))) }
}

fn slow_reader(server: &Server) -> Outcome {
    let last = newest(server)?;
    let _slow = Socket::open(server, last)?;
    let mut other = Socket::open(server, last)?;
    beside_slow_reader(server, |seq| {
        other.expect(&[seq], STEP)?;
        other.wire.forget();
        Ok(())
    })
}

fn heartbeat(server: &Server) -> Outcome {
    let mut socket = Socket::open(server, server.newest)?;
    // What comes at the beginning is no heartbeat.
    let settled = Instant::now() + STEP;
    while socket.wire.fill(settled)? {}
    match socket.wire.fill(Instant::now() + HEARTBEAT)? {
        true => Ok(()),
        false => Err(socket.wire.fault("nothing within 35 s")),
    }
}
