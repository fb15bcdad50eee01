//! Measures an answer of a language model that comes token by token: over each transport, with a disconnection in the middle, and through a
//! proxy that buffers.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use bytes::BytesMut;
use protocol::answer::Question;
use protocol::envelope::sse;
use protocol::facts::Facts;
use protocol::facts::fallback::Proxy;
use protocol::facts::token_stream::{Answer, Disconnect, TokenStreamFacts, Way};
use protocol::mcp::{self, Message};
use protocol::network::Network;
use protocol::result::Headers;
use protocol::transport::{BrowserApi, Carrier, Exchange};
use protocol::{Cursor, Layer, Transport, chunked, clock};
use serde::Deserialize;
use tokio::task::{JoinSet, spawn_local};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use crate::fault::Fault;
use crate::round::recorder::{Recorder, Sample, Shared};
use crate::subscriber::headers;
use crate::subscriber::stop::Stop;
use crate::subscriber::{Subscriber, Target, session};
use crate::test_bed::TestBed;
use crate::test_bed::proxy;
use crate::test_bed::server_process::options;
use crate::transport::poll::poll;
use crate::transport::{frames, stream, websocket};
use server::Options;

/// The length of an answer, and its speed: that of a fast model in 2026.
const TOKENS: u32 = 200;
const RATE: f64 = 50.0;
/// Answers one after another for each way.
const REPETITIONS: u32 = 5;
const DELAY_MS: u64 = 20;
const POLL_INTERVAL_MS: u64 = 250;
/// The tokens of an answer whose client disconnects, and after how many it does.
const DISCONNECT_TOKENS: u32 = 100;
const DISCONNECT_AFTER: u64 = 40;
/// From the disconnection until the client resumes.
const AWAY: Duration = Duration::from_millis(500);
/// How long an answer may take beyond its own time.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The ways that are compared.
fn ways() -> Vec<Way> {
    // Those of today that a page can use, and SSE over HTTP/2, since that is how such answers come.
    let transports = Transport::all_where(|transport| match transport.row().browser {
        Some(BrowserApi::EventSource) => true,
        browser => browser.is_some() && transport.is_today(),
    });
    let events = transports.into_iter().map(Way::Events);
    [Way::Whole].into_iter().chain(events).chain([Way::Mcp]).collect()
}

/// Runs the experiment.
pub async fn run(seed: u64) -> anyhow::Result<Facts> {
    let mut test_bed = TestBed::open(&Options { seed, ..options() }).await?;
    let target = Target {
        headers: Headers::Browser,
        network: Network::with_delay(Duration::from_millis(DELAY_MS)),
        poll_interval: Duration::from_millis(POLL_INTERVAL_MS),
        ..test_bed.target.clone()
    };
    let mut answers = Vec::new();
    for _ in 0..REPETITIONS {
        answers.extend(at_once(&target, &ways(), TOKENS).await?);
    }
    let mut disconnects = Vec::new();
    for way in ways() {
        disconnects.push(disconnect(&mut test_bed, &target, way).await?);
        if let Way::Events(transport) = way
            && transport.is_push()
        {
            disconnects.push(resume(&mut test_bed, &target, transport).await?);
        }
    }
    let proxy = Proxy::BuffersResponses;
    let running = proxy::start(proxy, target.endpoint.address).await?;
    let target = Target { endpoint: running.endpoint.clone(), ..target };
    // The proxy speaks HTTP/1.1 only.
    let through_proxy: Vec<Way> = ways().into_iter().filter(|&way| asked_over(way).carrier() == Carrier::H1).collect();
    let buffered = at_once(&target, &through_proxy, DISCONNECT_TOKENS).await?;
    Ok(Facts::TokenStream(TokenStreamFacts {
        tokens: TOKENS,
        rate: RATE,
        delay_ms: DELAY_MS,
        poll_interval_ms: POLL_INTERVAL_MS,
        answers,
        disconnects,
        buffered,
        proxy,
    }))
}

/// The transport whose connection a question is sent on.
fn asked_over(way: Way) -> Transport {
    match way {
        Way::Whole | Way::Mcp => Transport::Sse,
        Way::Events(transport) => transport,
    }
}

/// One answer by each of these ways, all at the same time, each on a connection of its own.
async fn at_once(target: &Target, ways: &[Way], tokens: u32) -> anyhow::Result<Vec<Answer>> {
    let mut running = JoinSet::new();
    for &way in ways {
        let target = target.clone();
        running.spawn_local(async move {
            let reader = Reader::connect(way, &target).await?;
            reader.read(tokens).await.with_context(|| format!("an answer by {way:?}"))
        });
    }
    let mut answers = Vec::new();
    while let Some(answer) = running.join_next().await {
        answers.push(answer??);
    }
    let position = |way: Way| ways.iter().position(|&known| known == way);
    answers.sort_by_key(|answer| position(answer.way));
    Ok(answers)
}

/// A client that asks one question.
struct Reader {
    way: Way,
    subscriber: Subscriber,
    began_ns: u64,
}

impl Reader {
    /// Opens a connection.
    async fn connect(way: Way, target: &Target) -> anyhow::Result<Self> {
        let began_ns = clock::now_ns();
        Ok(Self { way, subscriber: Subscriber::alone(asked_over(way), target).await?, began_ns })
    }

    /// Asks, and receives the whole answer.
    async fn read(mut self, tokens: u32) -> anyhow::Result<Answer> {
        let time = Duration::from_secs_f64(f64::from(tokens) / RATE) + TIMEOUT;
        timeout(time, self.receive(tokens, tokens.into())).await.context("it took too long")??;
        let Self { way, subscriber, began_ns } = self;
        let recorder = subscriber.recorder.clone();
        close(subscriber).await;
        let recorder = recorder.borrow();
        let samples: Vec<&Sample> = recorder.samples.iter().filter(|sample| sample.seq <= tokens.into()).collect();
        ensure!(samples.len() == tokens as usize, "{} of {tokens} tokens were received", samples.len());
        let faults = recorder.faults.lost + recorder.faults.duplicates + recorder.faults.reordered;
        ensure!(faults == 0, "tokens were lost, repeated or in another order");
        let ms = |ns: u64| (ns.saturating_sub(began_ns) as f64 / 1e4).round() / 100.0;
        Ok(Answer {
            way,
            received: samples.len() as u64,
            received_ms: samples.iter().map(|sample| ms(sample.received)).collect(),
            due_ms: samples.iter().map(|sample| ms(sample.at)).collect(),
            ledger: *recorder.ledger.borrow(),
        })
    }

    /// Asks for `tokens` tokens, and receives until that many have come.
    async fn receive(&mut self, tokens: u32, until: u64) -> anyhow::Result<()> {
        let question = Question { tokens, rate: RATE, stream: true, ..Question::new("Why is the sky blue?") };
        let Self { way, subscriber, .. } = self;
        match *way {
            Way::Whole => whole(subscriber, &Question { stream: false, ..question }).await,
            Way::Mcp => call(subscriber, &question, until).await,
            Way::Events(transport) => match transport.exchange() {
                Exchange::Poll | Exchange::LongPoll => {
                    let path = ask_in_background(subscriber, &question).await?;
                    subscriber.target = Rc::new(Target { feed: path, ..(*subscriber.target).clone() });
                    polls(subscriber, until).await
                }
                Exchange::Stream => {
                    let accept = transport.envelope().content_type();
                    ensure!(post(subscriber, "/answer", &format!("Accept: {accept}\r\n"), &question).await?.0 == 200);
                    until_token(subscriber, until).await
                }
                Exchange::Socket => {
                    let request = subscriber.target.get_target(transport, "/answer/ws");
                    frames::upgrade(subscriber, request).await?;
                    websocket::publish(subscriber, &serde_json::to_string(&question)?).await?;
                    while subscriber.cursor().0 < until {
                        websocket::event(subscriber).await?;
                    }
                    Ok(())
                }
            },
        }
    }
}

/// Closes a connection, and completes its ledger.
async fn close(mut subscriber: Subscriber) {
    subscriber.wire.close().await;
}

/// Sends a question in a POST with these further headers; returns the status, the path of the answer and the length of the body.
async fn post(
    subscriber: &mut Subscriber,
    path: &str,
    more: &str,
    question: &Question,
) -> anyhow::Result<(u16, Option<String>, usize)> {
    let body = match path {
        "/mcp" => mcp::call(question),
        _ => serde_json::to_vec(question)?,
    };
    let Target { headers, endpoint, .. } = &*subscriber.target;
    let headers = headers::post(*headers, endpoint, path, body.len());
    // What the question is about replaces what a browser would accept.
    let headers: String = headers.split_inclusive("\r\n").filter(|line| !line.starts_with("Accept: ")).collect();
    let request = [format!("{headers}{more}\r\n").as_bytes(), &body].concat();
    subscriber.wire.request(&request).await?;
    let head = subscriber.wire.head().await?;
    subscriber.wire.attribute_request(Layer::RequestHeaders);
    subscriber.wire.attribute(Layer::ResponseHeaders, head.bytes);
    Ok((head.status, head.location, head.length.unwrap_or(0)))
}

/// Receives a body of that length.
async fn body(subscriber: &mut Subscriber, length: usize) -> anyhow::Result<BytesMut> {
    while subscriber.wire.received.len() < length {
        subscriber.wire.fill().await?;
    }
    Ok(subscriber.wire.received.split_to(length))
}

/// Receives the whole text, which counts as all of its tokens.
async fn whole(subscriber: &mut Subscriber, question: &Question) -> anyhow::Result<()> {
    #[derive(Deserialize)]
    struct Whole {
        text: String,
    }
    let (status, _, length) = post(subscriber, "/answer", "Accept: application/json\r\n", question).await?;
    ensure!(status == 200, "status {status}");
    let body = body(subscriber, length).await?;
    let Whole { text } = serde_json::from_slice(&body)?;
    ensure!(text == question.answer().collect::<String>(), "the text is another one");
    subscriber.wire.attribute(Layer::Event, length);
    let received = clock::now_ns();
    let spacing_ns = 1e9 / question.rate;
    for seq in 1..=question.tokens.into() {
        // The text says nothing about when a token was there; the last one has just been generated.
        let before = (f64::from(question.tokens) - seq as f64) * spacing_ns;
        record(subscriber, Sample { seq, at: received.saturating_sub(before as u64), received });
    }
    Ok(())
}

fn record(subscriber: &mut Subscriber, sample: Sample) {
    subscriber.wire.ledger().events += 1;
    let mut recorder = subscriber.recorder.borrow_mut();
    if subscriber.progress.event(sample.seq, &mut recorder.faults) {
        recorder.deliver(sample);
    }
}

/// Reads the body of the response up to a token, or to its end.
async fn until_token(subscriber: &mut Subscriber, until: u64) -> anyhow::Result<()> {
    let (recorder, cursor) = (subscriber.recorder.clone(), Cursor(until));
    let reached = async {
        while newest(&recorder) < cursor.0 {
            sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        ended = stream::read(subscriber) => match ended {
            Err(Fault::Ended(_) | Fault::Lost(_)) if newest(&recorder) >= until => Ok(()),
            Err(fault) => Err(fault.into()),
        },
        () = reached => Ok(()),
    }
}

fn newest(recorder: &Shared) -> u64 {
    recorder.borrow().samples.last().map_or(0, |sample| sample.seq)
}

/// Asks for an answer in the background; returns its path.
async fn ask_in_background(subscriber: &mut Subscriber, question: &Question) -> anyhow::Result<String> {
    let question = Question { stream: false, background: true, ..question.clone() };
    let (status, path, length) = post(subscriber, "/answer", "", &question).await?;
    ensure!(status == 202, "status {status}");
    body(subscriber, length).await?;
    subscriber.wire.attribute(Layer::Framing, length);
    path.context("the response does not name the answer")
}

/// Polls until a token has come.
async fn polls(subscriber: &mut Subscriber, until: u64) -> anyhow::Result<()> {
    let waits = subscriber.transport.exchange() == Exchange::LongPoll;
    let mut due = interval(subscriber.target.poll_interval);
    due.set_missed_tick_behavior(MissedTickBehavior::Skip);
    while subscriber.cursor().0 < until {
        if !waits {
            due.tick().await;
        }
        poll(subscriber).await?;
    }
    Ok(())
}

/// Calls the tool, and reads its progress until a token has come.
async fn call(subscriber: &mut Subscriber, question: &Question, until: u64) -> anyhow::Result<()> {
    let more = format!(
        "Accept: application/json, text/event-stream\r\nContent-Type: application/json\r\n{}",
        mcp::call_headers()
    );
    let (status, ..) = post(subscriber, "/mcp", &more, question).await?;
    ensure!(status == 200, "status {status}");
    let mut body = Vec::new();
    while newest(&subscriber.recorder) < until {
        let Some((size, start)) = chunked::size(&subscriber.wire.received)? else {
            subscriber.wire.fill().await?;
            continue;
        };
        let length = start + size + chunked::END.len();
        ensure!(size > 0, "the response ended early");
        while subscriber.wire.received.len() < length {
            subscriber.wire.fill().await?;
        }
        let chunk = subscriber.wire.received.split_to(length);
        body.extend_from_slice(&chunk[start..start + size]);
        let mut json_bytes = 0;
        while let Some((block, parsed)) = sse::split(&body) {
            let json = block.data.unwrap_or_default();
            match mcp::parse(&json)? {
                Message::Progress(event) => {
                    json_bytes += json.len();
                    record(subscriber, Sample { seq: event.seq, at: event.at, received: clock::now_ns() });
                }
                Message::Result(_) => bail!("the result came before its tokens"),
            }
            body.drain(..parsed);
        }
        subscriber.wire.attribute(Layer::Event, json_bytes);
        subscriber.wire.attribute(Layer::Framing, length - json_bytes);
    }
    Ok(())
}

/// Disconnects in the middle of an answer, and sees how much of it the server still generates. What was asked for in the background is
/// resumed by polling.
async fn disconnect(test_bed: &mut TestBed, target: &Target, way: Way) -> anyhow::Result<Disconnect> {
    let before = test_bed.control.load().await?.tokens_generated;
    let mut reader = Reader::connect(way, target).await?;
    let polls_for_it = matches!(way, Way::Events(transport) if !transport.is_push());
    match way {
        // There is no token before the last one.
        Way::Whole => {
            let asking = reader.receive(DISCONNECT_TOKENS, DISCONNECT_TOKENS.into());
            let away = Duration::from_secs_f64(DISCONNECT_AFTER as f64 / RATE);
            ensure!(timeout(away, asking).await.is_err(), "the text came early");
        }
        _ => {
            timeout(TIMEOUT, reader.receive(DISCONNECT_TOKENS, DISCONNECT_AFTER)).await.context("no tokens came")??
        }
    }
    let mut subscriber = reader.subscriber;
    let (recorder, feed, progress) =
        (subscriber.recorder.clone(), subscriber.target.clone(), subscriber.progress.bookmark());
    let received = newest(&recorder);
    subscriber.wire.close().await;
    drop(subscriber);
    sleep(AWAY).await;
    if polls_for_it {
        let mut again = Subscriber::alone(asked_over(way), &feed).await?;
        (again.recorder, again.progress) = (recorder.clone(), crate::round::recorder::Progress::new(progress));
        timeout(TIMEOUT, polls(&mut again, DISCONNECT_TOKENS.into())).await.context("no tokens came")??;
    } else {
        sleep(Duration::from_secs_f64(f64::from(DISCONNECT_TOKENS) / RATE)).await;
    }
    let generated = test_bed.control.load().await?.tokens_generated - before;
    Ok(ended(way, polls_for_it, received, generated, &recorder))
}

fn ended(way: Way, background: bool, before: u64, generated: u64, recorder: &Shared) -> Disconnect {
    let recorder = recorder.borrow();
    let faults = &recorder.faults;
    Disconnect {
        way,
        background,
        before,
        generated,
        received: recorder.samples.iter().filter(|sample| sample.seq <= DISCONNECT_TOKENS.into()).count() as u64,
        faults: faults.lost + faults.duplicates + faults.reordered,
    }
}

/// Asks for an answer in the background, subscribes to it over a push transport, disconnects in the middle, and subscribes again at its
/// cursor.
async fn resume(test_bed: &mut TestBed, target: &Target, transport: Transport) -> anyhow::Result<Disconnect> {
    let generated = test_bed.control.load().await?.tokens_generated;
    let question = Question { tokens: DISCONNECT_TOKENS, rate: RATE, ..Question::new("Why is the sky blue?") };
    let feed = {
        let mut subscriber = Subscriber::alone(transport, target).await?;
        let feed = ask_in_background(&mut subscriber, &question).await?;
        subscriber.wire.close().await;
        feed
    };
    let target = Rc::new(Target { feed, ..target.clone() });
    let recorder = Rc::new(RefCell::new(Recorder::new(0..u64::MAX, 0, Arc::default())));
    let mut before = 0;
    for until in [DISCONNECT_AFTER, DISCONNECT_TOKENS.into()] {
        let stop = Stop::default();
        let after = Cursor(newest(&recorder)).into();
        let (target, shared) = (target.clone(), recorder.clone());
        let running =
            spawn_local(session::run(transport, target, after, Duration::ZERO, Rc::default(), shared, stop.stopped()));
        let deadline = Instant::now() + TIMEOUT;
        while newest(&recorder) < until {
            ensure!(Instant::now() < deadline, "no tokens came over {transport}");
            sleep(Duration::from_millis(1)).await;
        }
        if until == DISCONNECT_AFTER {
            before = newest(&recorder);
        }
        stop.stop();
        running.await?;
        sleep(AWAY).await;
    }
    let generated = test_bed.control.load().await?.tokens_generated - generated;
    Ok(ended(Way::Events(transport), true, before, generated, &recorder))
}
