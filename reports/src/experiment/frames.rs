//! WebSocket frames by their bits, right and wrong, sent to the server's echo (RFC 6455, section 5).

use protocol::envelope::websocket::Opcode;
use protocol::experiment::{Experiment, Status, Table, Verdict};
use protocol::facts::frames::{Capture, FrameHeader, FrameTrial, FramesFacts, Received, SecondHandshake, SentFrames};

use super::claims::verdict;
use super::evidence::{Answer, as_claimed};
use crate::number::thousands;

/// Header bytes from the server by the size of the payload (RFC 6455, section 5.2); from the client, with a mask, four more.
const HEADER_BYTES: [(u64, usize); 4] = [(125, 2), (126, 4), (65_535, 4), (65_536, 10)];
/// The smallest number of events that the capture must have.
const MIN_EVENTS: u64 = 50;

fn is(received: &Received, wanted: Opcode, content: &[u8]) -> bool {
    matches!(received, Received::Frame { opcode, payload, .. } if *opcode == wanted && payload == content)
}

/// The code of a close frame.
fn close_code(received: &Received) -> Option<u16> {
    match received {
        Received::Frame { opcode: Opcode::Close, payload, .. } => Some(u16::from_be_bytes(*payload.first_chunk()?)),
        Received::Frame { .. } | Received::End | Received::Nothing => None,
    }
}

fn in_words(received: &Received) -> String {
    match received {
        Received::Frame { opcode: Opcode::Close, .. } => {
            format!("close, code {}", close_code(received).unwrap_or(1005))
        }
        Received::Frame { opcode, payload, .. } if payload.len() > 20 => {
            format!("{opcode:?}, {} bytes", payload.len())
        }
        Received::Frame { opcode, payload, .. } => {
            format!("{opcode:?} \"{}\"", String::from_utf8_lossy(payload).escape_debug())
        }
        Received::End => "the connection ended".into(),
        Received::Nothing => "nothing arrived in time".into(),
    }
}

/// What a trial tests, and the required result.
struct Rule {
    claim: u32,
    sent: &'static str,
    required: &'static str,
    is_right: fn(&[Received]) -> bool,
}

fn rule(sent: SentFrames) -> Rule {
    let rule = |claim, sent, required, is_right| Rule { claim, sent, required, is_right };
    match sent {
        SentFrames::Text => {
            rule(20, "text", "the same text", |got| matches!(got, [text] if is(text, Opcode::Text, b"hello")))
        }
        SentFrames::Ping => {
            rule(20, "a ping", "a pong with its payload", |got| matches!(got, [pong] if is(pong, Opcode::Pong, b"?")))
        }
        SentFrames::Unmasked => rule(20, "a frame without a mask", "close 1002", |got| closes(got, 1002)),
        SentFrames::ReservedBit => {
            rule(20, "RSV1 set, without a negotiated extension", "close 1002", |got| closes(got, 1002))
        }
        SentFrames::Fragments => rule(
            21,
            "a message in two frames, a ping between them",
            "a pong, then one message",
            |got| matches!(got, [pong, text] if is(pong, Opcode::Pong, b"") && is(text, Opcode::Text, b"Hello")),
        ),
        SentFrames::Draft2010 => {
            rule(22, "the framing of the 2010 draft: 0x00, 200 letters, 0xFF", "close 1002", |got| closes(got, 1002))
        }
        SentFrames::InvalidUtf8 => rule(22, "text that is not UTF-8", "close 1007", |got| closes(got, 1007)),
        SentFrames::Binary => rule(
            23,
            "bytes that are not text, as binary",
            "the same bytes",
            |got| matches!(got, [echo] if is(echo, Opcode::Binary, b"\xff\x00\xfe")),
        ),
        SentFrames::Close => rule(25, "close, code 1000", "close 1000, then the end", |got| {
            closes(got, 1000) && got.get(1) == Some(&Received::End)
        }),
        SentFrames::NoCloseFrame => rule(
            25,
            "a server that ends the connection without a close frame",
            "the end alone, which a browser reports as 1006",
            |got| got.first() == Some(&Received::End),
        ),
    }
}

/// Whether a close frame with that code was received first.
fn closes(received: &[Received], code: u16) -> bool {
    received.first().and_then(close_code) == Some(code)
}

/// A trial with its result.
struct Trial<'a> {
    rule: Rule,
    received: &'a [Received],
    /// Whether the result is the one that today's standard requires.
    is_right: Answer,
}

impl<'a> Trial<'a> {
    /// Where nothing arrived in time, the trial decides nothing.
    fn of(trial: &'a FrameTrial) -> Self {
        let rule = rule(trial.sent);
        let is_right = match trial.received.contains(&Received::Nothing) {
            true => Answer::Unclear,
            false => (rule.is_right)(&trial.received).into(),
        };
        Self { rule, received: &trial.received, is_right }
    }

    fn result(&self) -> String {
        self.received.iter().map(in_words).collect::<Vec<_>>().join(", then ")
    }
}

/// Claims 22 and 23: trials with the result that the standard requires refute the claim; `refuted` is its status then.
pub fn contradicted(trials: &[Answer], refuted: Status) -> Status {
    Answer::all(trials.iter().copied()).decides(refuted, Status::Holds)
}

/// Claim 17: HTTP headers are sent in the first exchange only.
pub fn no_headers_later(capture: &Capture) -> Status {
    // A search that finds nothing where there is something, or that had few bytes to search, decides nothing.
    if capture.websocket.count > 0 {
        Status::DoesNotHold
    } else if capture.long_polling.count == 0 || capture.events < MIN_EVENTS {
        Status::NotMeasurable
    } else {
        Status::Holds
    }
}

/// The response to a second handshake on the connection of an open WebSocket, in words.
fn second_handshake(second: &SecondHandshake) -> String {
    match second {
        SecondHandshake::Switched => "another 101".into(),
        SecondHandshake::Received(received) => in_words(received),
    }
}

/// The bits of a header by field: FIN, RSV1 to 3, opcode, MASK, length, extended length.
fn bits(header: &[u8]) -> String {
    let [first, second, rest @ ..] = header else { return "no whole header".into() };
    let extended: Vec<String> = rest.iter().map(|byte| format!("{byte:08b}")).collect();
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

/// Whether a frame header is as long as the standard requires.
fn is_right_length(header: &FrameHeader) -> bool {
    let required = HEADER_BYTES.iter().find(|(payload, _)| *payload == header.payload_bytes);
    required.is_some_and(|(_, down)| header.down.len() == *down && header.up_bytes == *down as u64 + 4)
}

pub fn derive(facts: &FramesFacts) -> Experiment {
    let FramesFacts { trials, headers, second_handshake: second, capture } = facts;
    let trials: Vec<Trial> = trials.iter().map(Trial::of).collect();
    let failed: Vec<&Trial> = trials.iter().filter(|trial| trial.is_right != Answer::Yes).collect();
    let answers = |claim: u32| -> Vec<Answer> {
        trials.iter().filter(|trial| trial.rule.claim == claim).map(|trial| trial.is_right).collect()
    };
    let figure = |claim: u32| -> String {
        let of = trials.iter().filter(|trial| trial.rule.claim == claim);
        of.map(|trial| format!("{}: {}", trial.rule.sent, trial.result())).collect::<Vec<_>>().join("; ")
    };
    let lengths: Vec<String> = headers
        .iter()
        .map(|header| format!("{} down and {} up for {} B", header.down.len(), header.up_bytes, header.payload_bytes))
        .collect();
    let right_lengths = !headers.is_empty() && headers.iter().all(is_right_length);
    let bits_answers: Vec<Answer> = answers(20).into_iter().chain([right_lengths.into()]).collect();
    let verdict = |number: u32, status: Status, figure: String, why: &str, prediction: &str, refuted_by: &str| {
        Verdict {
        figure,
        why: why.into(),
        prediction: prediction.into(),
        refuted_by: refuted_by.into(),
        working_point: "One connection to the server's echo for each trial, no events, loopback.".into(),
        turns_at: "Does not change with a load or a setting: it is a rule of the protocol, and changes with an implementation that breaks it."
            .into(),
        ..verdict(number, status)
    }
    };
    let verdicts = vec![
        Verdict {
            working_point: format!(
                "1 subscriber, {} events/s of 200 B, {} s, loopback, without a browser's headers.",
                capture.rate, capture.seconds
            ),
            turns_at:
                "Does not change with the load. It changes with the transport: over long polling each response has headers."
                    .into(),
            ..verdict(
                17,
                no_headers_later(capture),
                format!(
                    "{} blocks of HTTP headers after the handshake in {} captured bytes with {} events; the same search finds {} blocks of \
                     {} B over long polling",
                    capture.websocket.count,
                    thousands(capture.captured_bytes),
                    capture.events,
                    capture.long_polling.count,
                    thousands(capture.long_polling.bytes)
                ),
                "After 101 the connection carries frames only.",
                "No line of HTTP headers in what a relay captures after the first headers of each direction, however many events follow.",
                "One block of HTTP headers or one header field after the handshake. The search counts only where it finds the headers of \
                 long polling.",
            )
        },
        verdict(
            20,
            as_claimed(&bits_answers),
            format!("{}; header bytes: {}", figure(20), lengths.join(", ")),
            "Headers take 2 to 14 bytes; the mask is required of clients, and reserved bits are for extensions.",
            "Headers of 2, 4 or 10 bytes down and four more up, as the payload is up to 125, up to 65,535 or more; a frame without a mask \
             and one with a reserved bit are refused with close 1002.",
            "A header of another length, or a wrong frame that is accepted.",
        ),
        verdict(
            21,
            as_claimed(&answers(21)),
            figure(21),
            "The receiver puts fragments together; control frames may be between them.",
            "The response to two fragments with a ping between them is a pong and one message.",
            "Two messages, or an error.",
        ),
        verdict(
            22,
            contradicted(&answers(22), Status::Outdated),
            figure(22),
            "That was the 2010 draft. Today frames have their length in the header, and text must be valid UTF-8.",
            "A server accepts a message between 0x00 and 0xFF.",
            "A close with 1002 (not a frame) after the draft's framing, and with 1007 after text that is not UTF-8.",
        ),
        verdict(
            23,
            contradicted(&answers(23), Status::DoesNotHold),
            figure(23),
            "Binary frames carry any bytes.",
            "Bytes that are not text are refused or changed.",
            "The same bytes in a binary frame from the echo.",
        ),
        verdict(
            25,
            as_claimed(&answers(25)),
            figure(25),
            "An end without a close frame is different: browsers report it as 1006, which is never sent.",
            "The response to a close frame is one with the same code, and then the connection ends; without one, it just ends.",
            "No close frame in response, another code, or a connection that stays open.",
        ),
    ];
    Experiment {
        title: "Frames by their bits, right and wrong".into(),
        question: "What is in a frame, and what does the server do with one that breaks the rules?".into(),
        answer: vec![
            format!("{} of {} trials had the result that RFC 6455 requires.", trials.len() - failed.len(), trials.len()),
            format!("Frame headers: {}.", lengths.join(", ")),
            format!(
                "A second handshake on the connection of an open WebSocket, over HTTP/1.1, received: {}.",
                second_handshake(second)
            ),
        ],
        doubts: failed
            .iter()
            .map(|trial| format!("{}: must be {}, was {}.", trial.rule.sent, trial.rule.required, trial.result()))
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
                    .map(|FrameHeader { payload_bytes, up_bytes, down }| {
                        vec![payload_bytes.to_string(), down.len().to_string(), up_bytes.to_string(), bits(down)]
                    })
                    .collect(),
            },
            Table {
                title: "Trials".into(),
                columns: ["frames sent", "required result", "result"].map(Into::into).to_vec(),
                rows: trials
                    .iter()
                    .map(|trial| vec![trial.rule.sent.into(), trial.rule.required.into(), trial.result()])
                    .collect(),
            },
        ],
        verdicts,
        method: vec![
            "Frames are sent as bytes to the server's echo.".into(),
            "HTTP headers after the handshake are searched for in bytes that a relay captured, not in the client's parser.".into(),
        ],
        ..Experiment::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_those_of_the_standard_s_example() {
        // RFC 6455, section 5.7: a single-frame unmasked text message "Hello", and 256 bytes of binary data.
        assert_eq!(bits(&[0x81, 0x05]), "1 000 0001  0 0000101");
        assert_eq!(bits(&[0x82, 0x7e, 0x01, 0x00]), "1 000 0010  0 1111110  00000001 00000000");
    }
}
