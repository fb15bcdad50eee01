//! Faulty proxies: which transports work through each, and what a client that falls back waits and loses.

use protocol::experiment::{Experiment, Status, Table, Verdict};
use protocol::facts::fallback::{Attempt, FallbackFacts, Proxy};
use protocol::transport::Exchange;

use super::claims::verdict;
use super::evidence::Answer;
use crate::number::short;

/// The proxy in words.
fn label(proxy: Proxy) -> &'static str {
    match proxy {
        Proxy::None => "no fault",
        Proxy::DropsUpgrade => "drops Upgrade",
        Proxy::BuffersResponses => "buffers responses",
        Proxy::CutsSilence => "cuts after 5 s of silence",
        Proxy::Http10 => "speaks HTTP/1.0 to the server",
        Proxy::TlsWithoutUpgrade => "terminates TLS, drops Upgrade",
    }
}

/// Claim 31: where WebSocket does not work, a fallback does. For each proxy: whether WebSocket works, and whether another transport does.
pub fn falls_back(proxies: &[(Answer, Answer)]) -> Status {
    let blocked: Vec<_> = proxies.iter().filter(|(websocket, _)| *websocket != Answer::Yes).collect();
    if blocked.is_empty() {
        return Status::NotMeasurable;
    }
    Answer::all(blocked.iter().map(|(_, other)| *other)).decides(Status::Holds, Status::DoesNotHold)
}

/// Claim 43: wss passes every proxy. `websocket` is whether it works through a proxy that terminates TLS and drops Upgrade, and `other` whether
/// another transport does: if none works, the proxy itself does not.
pub fn passes_every_proxy(websocket: Answer, other: Answer) -> Status {
    match other {
        Answer::Yes => websocket.decides(Status::Holds, Status::DoesNotHold),
        Answer::No | Answer::Unclear => Status::NotMeasurable,
    }
}

/// Derives the experiment from its facts.
pub fn derive(facts: &FallbackFacts) -> Experiment {
    let FallbackFacts { timeout_ms, silence_ms, attempts } = facts;
    let of = |proxy| attempts.iter().filter(move |attempt| attempt.proxy == proxy);
    let works = |attempt: &Attempt| Answer::from(attempt.first_event_ms.is_some());
    let is_socket = |attempt: &Attempt| attempt.transport.exchange() == Exchange::Socket;
    let through = |proxy: Proxy| {
        let websocket = of(proxy).find(|attempt| is_socket(attempt)).map_or(Answer::Unclear, works);
        let others: Vec<Answer> = of(proxy).filter(|attempt| !is_socket(attempt)).map(works).collect();
        let other = if others.contains(&Answer::Yes) { Answer::Yes } else { Answer::all(others) };
        (websocket, other)
    };
    let row = |attempt: &Attempt| {
        let result = match (attempt.first_event_ms, &attempt.error) {
            (Some(ms), _) => format!("first event after {} ms", short(ms)),
            (None, Some(error)) => error.clone(),
            (None, None) => format!("no event within {} s", short(*timeout_ms as f64 / 1e3)),
        };
        let received = match attempt.published {
            0 => String::new(),
            published => format!("{} of {published}", attempt.received),
        };
        vec![
            label(attempt.proxy).into(),
            attempt.transport.label().into(),
            result,
            received,
            attempt.reconnects.to_string(),
        ]
    };
    // A client that tries one transport after another waits for each that fails.
    let tries = |proxy: Proxy| -> Vec<String> {
        let mut waited = 0.0;
        let mut failed: Vec<&str> = Vec::new();
        for attempt in of(proxy) {
            if let Some(ms) = attempt.first_event_ms {
                return vec![
                    label(proxy).into(),
                    attempt.transport.label().into(),
                    if failed.is_empty() { "none".into() } else { failed.join(", ") },
                    short(waited + ms),
                ];
            }
            failed.push(attempt.transport.label());
            // One that is refused at once need not be waited for.
            waited += attempt.failed_ms.unwrap_or(*timeout_ms as f64);
        }
        vec![label(proxy).into(), "none".into(), failed.join(", "), short(waited)]
    };
    let tried: Vec<Vec<String>> = Proxy::ALL.map(tries).to_vec();
    let blocked: Vec<&str> =
        Proxy::ALL.into_iter().filter(|&proxy| through(proxy).0 == Answer::No).map(label).collect();
    let lost: u64 = attempts.iter().map(|attempt| attempt.published.saturating_sub(attempt.received)).sum();
    let working = attempts.iter().filter(|attempt| attempt.first_event_ms.is_some()).count();
    let answer = format!(
        "{} In the {working} subscriptions that had a first event, {lost} events were lost, over a \
         silence of {} s in the middle.",
        match blocked.is_empty() {
            true => "None of these proxies stopped WebSocket.".into(),
            false => format!("WebSocket does not work through a proxy that {}.", blocked.join(", or ")),
        },
        short(*silence_ms as f64 / 1e3),
    );
    let figure = |proxy: Proxy| {
        let texts = of(proxy).map(|attempt| match attempt.first_event_ms {
            Some(ms) => format!("{} works ({} ms)", attempt.transport.label(), short(ms)),
            None => format!("{} fails", attempt.transport.label()),
        });
        format!("A proxy that {}: {}", label(proxy), texts.collect::<Vec<_>>().join(", "))
    };
    let transports: Vec<&str> = of(Proxy::None).map(|attempt| attempt.transport.label()).collect();
    let working_point = format!(
        "1 subscriber of each of {}, 11 events of which one is there before the client connects, a silence of {} s, loopback.",
        transports.join(", "),
        short(*silence_ms as f64 / 1e3)
    );
    let proxies = Proxy::ALL.map(through);
    let terminated = through(Proxy::TlsWithoutUpgrade);
    Experiment {
        title: "Through faulty proxies: what works, and what a fallback costs".into(),
        question: "Which transports work through a proxy that is not made for them, and what does a client lose by falling back?".into(),
        answer: vec![answer],
        tables: vec![
            Table {
                title: "Every transport through every proxy".into(),
                columns: ["proxy", "transport", "result", "events received", "reconnections"].map(Into::into).to_vec(),
                rows: attempts.iter().map(row).collect(),
            },
            Table {
                title: "A client that tries one transport after another".into(),
                columns: ["proxy", "ends with", "failed before", "first event after, ms"].map(Into::into).to_vec(),
                rows: tried,
            },
        ],
        verdicts: vec![
            Verdict {
                figure: figure(Proxy::DropsUpgrade),
                why: "A polled or streamed response is plain HTTP, which every proxy forwards. The price is the time until the client \
                      notices that a transport does not work."
                    .into(),
                prediction: "Where WebSocket does not work, at least one other transport does.".into(),
                refuted_by: "A proxy through which no transport brings an event.".into(),
                working_point: working_point.clone(),
                turns_at: "Changes with the proxy: today, browsers have WebSocket, and proxies are the reason for a fallback.".into(),
                ..verdict(31, falls_back(&proxies))
            },
            Verdict {
                figure: figure(Proxy::TlsWithoutUpgrade),
                why: "TLS hides the handshake from proxies that only forward bytes. A reverse proxy that terminates TLS sees it, and has to \
                      forward the upgrade itself."
                    .into(),
                prediction: "A WebSocket over TLS opens through every proxy.".into(),
                refuted_by: "A proxy that terminates TLS and through which the WebSocket does not open.".into(),
                working_point,
                turns_at: "Changes with the configuration of the proxy: it has to forward the headers Upgrade and Connection. A proxy that does so \
                           was not among those tried."
                    .into(),
                ..verdict(43, passes_every_proxy(terminated.0, terminated.1))
            },
        ],
        method: vec![
            format!(
                "For each proxy in turn, every transport has a subscriber behind it; all receive the same events. One without an event after \
                 {} s is given up.",
                short(*timeout_ms as f64 / 1e3)
            ),
            "The proxies are part of this program, and each has one fault that configurations of real ones have.".into(),
            "The server sends a heartbeat after 15 s of silence, which is later than the proxy that cuts a silent connection.".into(),
        ],
        ..Experiment::default()
    }
}
