//! The eight scenes: the prediction that each asks for, the figures that its texts mention, and its picture.

use anyhow::{Context, ensure};
use protocol::experiment::Cell;
use protocol::facts::frames::{FrameTrial, Received, SentFrames};
use protocol::facts::handshake::HandshakeRequest;
use protocol::facts::ladder::Chunk;
use protocol::{Layer, Transport};
use reports::number::{short, thousands};
use serde::Serialize;

use super::measured::{self, Measured};
use super::picture::{self, Picture};
use super::texts::{Texts, Words};
use crate::dictionary::Dictionary;
use crate::waiting;

/// A scene, without its texts.
pub struct Scene {
    /// Its name in texts and addresses.
    pub name: &'static str,
    /// The number of the claim that it measures.
    pub claim: Option<u32>,
    /// The arguments of the command that measures it again.
    pub command: &'static str,
    pub prediction: Prediction,
    pub words: Words,
    pub picture: Picture,
}

/// What the reader predicts.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Prediction {
    /// One of several options, of which one is right.
    Choice { answer: usize },
    /// A value among steps. A prediction is close if it is at most `tolerance` steps from the one that is nearest to the answer.
    Slider { steps: Vec<f64>, answer: f64, tolerance: usize },
}

/// A response's status line without the version: "101 Switching Protocols".
fn status(response: &str) -> &str {
    let line = response.lines().next().unwrap_or_default();
    line.split_once(' ').map_or(line, |(_, status)| status).trim()
}

/// A response's status code.
fn code(response: &str) -> &str {
    status(response).split(' ').next().unwrap_or_default()
}

fn steps(from: u32, to: u32, by: u32) -> Vec<f64> {
    (from..=to).step_by(by as usize).map(f64::from).collect()
}

/// All scenes, in their order.
///
/// # Errors
/// When the run did not measure what a scene shows.
pub fn all(measured: &Measured, texts: &Texts, dictionary: &Dictionary) -> anyhow::Result<Vec<Scene>> {
    Ok(vec![
        ask(measured, texts)?,
        wait(measured, texts)?,
        stream(measured, texts, dictionary)?,
        upgrade(measured, texts)?,
        frame(measured, texts)?,
        cut(measured, texts, dictionary)?,
        scale(measured, texts, dictionary)?,
        choose(measured, texts, dictionary)?,
    ])
}

/// Polling: an event waits for the next request.
fn ask(measured: &Measured, texts: &Texts) -> anyhow::Result<Scene> {
    let trace = measured.trace(Transport::Polling)?;
    let waits = trace.published_ms.iter().zip(&trace.delivered_ms).map(|(published, delivered)| delivered - published);
    let slowest = waits.fold(0.0, f64::max);
    let responses: Vec<&Chunk> = trace.chunks.iter().filter(|chunk| !chunk.up && chunk.bytes > 0).collect();
    let empty = responses.iter().filter(|chunk| chunk.events == 0).count();
    Ok(Scene {
        name: "ask",
        claim: Some(2),
        command: "experiment ladder",
        prediction: Prediction::Slider { steps: steps(20, 200, 10), answer: slowest, tolerance: 1 },
        words: Words::from([
            ("interval", measured.ladder.poll_interval_ms.to_string()),
            ("delay", measured.ladder.delay_ms.to_string()),
            ("slowest", short(slowest)),
            ("empty", empty.to_string()),
            ("responses", responses.len().to_string()),
        ]),
        picture: picture::ladder(trace, measured.ladder.length_ms as f64, texts)?,
    })
}

/// Long polling: an event that is published while there is no request waits.
fn wait(measured: &Measured, texts: &Texts) -> anyhow::Result<Scene> {
    let trace = measured.trace(Transport::LongPolling)?;
    let length = measured.ladder.length_ms as f64;
    let waits = waiting::of_trace(trace).into_iter().map(|(published, sent)| sent - published);
    let (answer, waited) =
        waits.enumerate().max_by(|one, other| one.1.total_cmp(&other.1)).context("no event was published")?;
    let gaps = trace.published_ms.windows(2).map(|pair| pair[1] - pair[0]);
    let sent = trace.chunks.iter().filter(|chunk| chunk.up && chunk.bytes > 0 && chunk.arrived_ms <= length);
    ensure!(waited >= 1.0, "no event waited over long polling, although the scene says that one does");
    let which = texts.scenes["wait"].which.get(answer).context("there is no ordinal for the event that waited")?;
    Ok(Scene {
        name: "wait",
        claim: Some(3),
        command: "experiment ladder",
        prediction: Prediction::Choice { answer },
        words: Words::from([
            ("gap", format!("{:.0}", gaps.fold(f64::INFINITY, f64::min))),
            ("which", which.clone()),
            ("waited", short(waited)),
            ("requests", sent.count().to_string()),
            ("events", trace.published_ms.len().to_string()),
        ]),
        picture: picture::ladder(trace, length, texts)?,
    })
}

/// Streaming: headers once.
fn stream(measured: &Measured, texts: &Texts, dictionary: &Dictionary) -> anyhow::Result<Scene> {
    let (long, sse) = (measured.row(Transport::LongPolling)?, measured.row(Transport::Sse)?);
    let shown = [long, measured.row(Transport::Ndjson)?, sse];
    Ok(Scene {
        name: "stream",
        claim: Some(7),
        command: "",
        prediction: Prediction::Slider {
            steps: steps(240, 1_000, 20),
            answer: sse.wire_bytes_per_event(),
            tolerance: 1,
        },
        words: Words::from([
            ("event", short(sse.ledger[Layer::Event] as f64 / sse.events())),
            ("long", short(long.wire_bytes_per_event())),
            ("sse", short(sse.wire_bytes_per_event())),
            ("subscribers", measured.subscribers.to_string()),
            ("rate", measured.rate.to_string()),
        ]),
        picture: picture::bars(&shown, texts, dictionary)?,
    })
}

/// The handshake: an HTTP request, which a proxy may change.
fn upgrade(measured: &Measured, texts: &Texts) -> anyhow::Result<Scene> {
    let responses = [HandshakeRequest::Right, HandshakeRequest::ThroughProxy, HandshakeRequest::ThroughProxyWithinTls]
        .map(|request| measured.response(request));
    let [direct, plain, secure] = responses;
    let (direct, plain, secure) = (direct?, plain?, secure?);
    let opens = |response: &str| status(response).starts_with("101");
    let answer = match (opens(plain), opens(secure)) {
        (true, true) => 0,
        (false, true) => 1,
        (true, false) => 2,
        (false, false) => 3,
    };
    Ok(Scene {
        name: "upgrade",
        claim: Some(18),
        command: "experiment handshake",
        prediction: Prediction::Choice { answer },
        words: Words::from([("plain", code(plain).into()), ("secure", code(secure).into())]),
        picture: picture::ways(&[direct, plain, secure].map(|response| (response, status(response))), texts)?,
    })
}

/// A frame by its bits.
fn frame(measured: &Measured, texts: &Texts) -> anyhow::Result<Scene> {
    let is_text = |trial: &&FrameTrial| trial.sent == SentFrames::Text;
    let received = measured.frames.trials.iter().find(is_text).and_then(|trial| trial.received.first());
    let Some(Received::Frame { header, payload, .. }) = received else {
        anyhow::bail!("the run received no text frame");
    };
    ensure!(header.len() == 2, "the header of a short text frame has two bytes");
    let text = String::from_utf8(payload.clone()).context("a text frame is UTF-8")?;
    let steps = std::iter::once(0.0).chain((0..=10).map(|power| f64::from(1 << power))).collect();
    let headers = measured::header_bytes(measured.row(Transport::LongPolling)?);
    Ok(Scene {
        name: "frame",
        claim: Some(24),
        command: "experiment frames",
        prediction: Prediction::Slider { steps, answer: header.len() as f64, tolerance: 1 },
        words: Words::from([("text", text), ("header", header.len().to_string())]),
        picture: picture::frame(header, payload, &measured.frames.headers, headers, texts)?,
    })
}

/// A cut connection: a client that reconnects resumes after its cursor.
fn cut(measured: &Measured, texts: &Texts, dictionary: &Dictionary) -> anyhow::Result<Scene> {
    let attempts: Vec<_> = measured.cut().collect();
    let socket = attempts.iter().find(|attempt| attempt.transport == Transport::WebSocket);
    let socket = socket.context("no WebSocket went through the proxy that closes silent connections")?;
    ensure!(socket.reconnects > 0, "the proxy did not close the WebSocket");
    Ok(Scene {
        name: "break",
        claim: None,
        command: "experiment fallback",
        prediction: Prediction::Slider {
            steps: (0..=socket.published).map(|count| count as f64).collect(),
            answer: socket.received as f64,
            tolerance: 0,
        },
        words: Words::from([
            ("published", socket.published.to_string()),
            ("received", socket.received.to_string()),
            ("connections", (socket.reconnects + 1).to_string()),
            ("silence", (measured.fallback.silence_ms as f64 / 1e3).to_string()),
        ]),
        picture: picture::attempts(&attempts, texts, dictionary)?,
    })
}

/// Many subscribers while nothing happens.
fn scale(measured: &Measured, texts: &Texts, dictionary: &Dictionary) -> anyhow::Result<Scene> {
    let (subscribers, polling) = measured.most_idle(Transport::Polling)?;
    let (_, websocket) = measured.most_idle(Transport::WebSocket)?;
    let steps = vec![0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0];
    Ok(Scene {
        name: "scale",
        claim: Some(1),
        command: "experiment idle",
        prediction: Prediction::Slider { steps, answer: polling, tolerance: 1 },
        words: Words::from([
            ("subscribers", thousands(subscribers as u64)),
            ("interval", measured.idle_interval_ms.to_string()),
            ("websocket", short(websocket)),
            ("polling", short(polling)),
        ]),
        picture: picture::lines(&measured.idle, texts, dictionary)?,
    })
}

/// The transport that costs least, where events are most frequent and may be oldest.
fn choose(measured: &Measured, texts: &Texts, dictionary: &Dictionary) -> anyhow::Result<Scene> {
    let map = &measured.map;
    let cell = map.cells.last().and_then(|row| row.last()).context("the map has no cell")?;
    let (Some(rate), Some(age)) = (map.columns.last(), map.rows.last()) else { anyhow::bail!("the map has no axes") };
    let Cell { best, cost, against } = cell;
    ensure!(!cost.is_empty(), "no transport was in time where the scene asks for the cheapest");
    let answer = match best {
        None => 3,
        Some(best) if best.is_push() => 2,
        Some(best) if best.exchange() == Transport::LongPolling.exchange() => 1,
        Some(_) => 0,
    };
    Ok(Scene {
        name: "choose",
        claim: Some(46),
        command: "crossover",
        prediction: Prediction::Choice { answer },
        words: Words::from([
            ("rate", rate.clone()),
            ("age", age.clone()),
            ("cost", dictionary.text(cost)),
            ("best", best.map_or(texts.tie.clone(), |best| dictionary.text(best.label()))),
            ("against", dictionary.text(against)),
        ]),
        picture: picture::map(map, texts, dictionary),
    })
}
