//! The WebSocket handshake, right and wrong: what the server answers to a wrong request, and what our client does when a server
//! lies (RFC 6455, sections 4.1 and 4.2).

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use protocol::experiment::{Experiment, Standing, Table, Verdict};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::spawn_local;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::evidence::{Answer, as_claimed, verdict};
use crate::bench::Bench;
use crate::counted::{Counted, SharedLedger};
use crate::lab::Setup;
use crate::place::Place;
use crate::subscriber::{Subscriber, Target};
use crate::transport::websocket;

/// The key of RFC 6455, section 1.3, and the Accept that follows from it there.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// What is said of a client that has neither believed a lie nor refused it in that time.
const WAITS: &str = "waits";
/// The two trials with a proxy.
const PROXY: &str = "a right request, through a proxy that keeps Connection and Upgrade to itself";
const PROXY_WITHIN_TLS: &str = "the same within TLS, through the same proxy";

/// The load of all trials but those with a proxy.
const WORKING_POINT: &str = "One connection for each trial, no events, loopback.";

/// A trial: what was done, what must come of it, what came.
struct Trial {
    done: &'static str,
    must: &'static str,
    came: String,
    /// Whether what came is what must come of it.
    as_told: Answer,
}

/// Claim 18: it has no port of its own, so it passes firewalls. `bare` and `within_tls` say whether a handshake got through a proxy
/// that keeps hop-by-hop headers to itself.
pub fn passes(bare: Answer, within_tls: Answer) -> Standing {
    match (bare, within_tls) {
        (Answer::Yes, Answer::Yes) => Standing::Holds,
        (Answer::No, Answer::Yes) => Standing::HoldsWithinLimits,
        (_, Answer::No) => Standing::DoesNotHold,
        (Answer::Unclear, _) | (_, Answer::Unclear) => Standing::NotMeasurable,
    }
}

/// A wrong request for the server: what is done to a right one, and how its answer must begin and what it must hold.
struct Wrong {
    done: &'static str,
    change: fn(&str) -> String,
    must: &'static str,
    holds: fn(&str) -> bool,
}

const REQUESTS: [Wrong; 11] = [
    Wrong {
        done: "a right request, with the key of the RFC's own example",
        change: |request| request.into(),
        must: "101, and the Accept that the RFC works out",
        holds: |answer| answer.starts_with("HTTP/1.1 101") && answer.contains(ACCEPT),
    },
    Wrong {
        done: "POST instead of GET",
        change: |request| {
            request.replacen("GET", "POST", 1).replacen("Upgrade\r\n", "Upgrade\r\nContent-Length: 0\r\n", 1)
        },
        must: "405",
        holds: |answer| answer.starts_with("HTTP/1.1 405"),
    },
    Wrong {
        done: "HTTP/1.0",
        change: |request| request.replacen("HTTP/1.1", "HTTP/1.0", 1),
        must: "400",
        holds: |answer| answer.contains(" 400 "),
    },
    Wrong {
        done: "no Upgrade",
        change: |request| request.replacen("Upgrade: websocket\r\n", "", 1),
        must: "426, with Upgrade: websocket",
        holds: |answer| answer.starts_with("HTTP/1.1 426") && answer.to_lowercase().contains("upgrade: websocket"),
    },
    Wrong {
        done: "no Connection: Upgrade",
        change: |request| request.replacen("Connection: Upgrade\r\n", "", 1),
        must: "400",
        holds: |answer| answer.starts_with("HTTP/1.1 400"),
    },
    Wrong {
        done: "version 8",
        change: |request| request.replacen("Version: 13", "Version: 8", 1),
        must: "426, with Sec-WebSocket-Version: 13",
        holds: |answer| {
            answer.starts_with("HTTP/1.1 426") && answer.to_lowercase().contains("sec-websocket-version: 13")
        },
    },
    Wrong {
        done: "a key of 15 bytes",
        change: |request| request.replacen(KEY, "AAAAAAAAAAAAAAAAAAAA", 1),
        must: "400",
        holds: |answer| answer.starts_with("HTTP/1.1 400"),
    },
    Wrong {
        done: "sub-protocols and permessage-deflate offered",
        change: |request| {
            let offer = "Sec-WebSocket-Protocol: chat, stomp\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n";
            request.replacen("\r\n\r\n", &format!("\r\n{offer}"), 1)
        },
        must: "101, and neither is chosen: this server knows none",
        holds: |answer| {
            let answer = answer.to_lowercase();
            answer.starts_with("http/1.1 101") && !answer.contains("-protocol:") && !answer.contains("-extensions:")
        },
    },
    Wrong {
        done: "a page of another origin asks for the feed",
        change: |request| {
            request.replacen("/echo", "/ws", 1).replacen("\r\n\r\n", "\r\nOrigin: http://elsewhere.example\r\n\r\n", 1)
        },
        must: "403: the server looks at Origin, since no browser does it for a WebSocket",
        holds: |answer| answer.starts_with("HTTP/1.1 403"),
    },
    Wrong {
        done: "a page of another origin asks for /echo, which looks at no Origin",
        change: |request| request.replacen("\r\n\r\n", "\r\nOrigin: http://elsewhere.example\r\n\r\n", 1),
        must: "101, and nothing of CORS: only the server could have refused",
        holds: |answer| {
            answer.starts_with("HTTP/1.1 101") && !answer.to_lowercase().contains("access-control-allow-origin: http")
        },
    },
    Wrong {
        done: "a page of another origin polls",
        change: |_| "GET /poll?after=0 HTTP/1.1\r\nHost: localhost\r\nOrigin: http://elsewhere.example\r\n\r\n".into(),
        must: "an answer that says who may read it (CORS)",
        holds: |answer| answer.contains(" 204 ") && answer.to_lowercase().contains("access-control-allow-origin"),
    },
];

/// What a lying server answers to a key, and what the client must say to that.
struct Lie {
    done: &'static str,
    answer: fn(&str) -> String,
    must: &'static str,
}

const LIES: [Lie; 4] = [
    Lie {
        done: "the server answers with the Accept of another key",
        answer: |_| switching("websocket", ACCEPT),
        must: "does not follow from our key",
    },
    Lie {
        done: "the server repeats our key as its Accept",
        answer: |key| switching("websocket", key),
        must: "does not follow from our key",
    },
    Lie {
        done: "the server switches to another protocol",
        answer: |key| switching("telegraph", &derive_accept_key(key.as_bytes())),
        must: "other than websocket",
    },
    Lie {
        done: "the server answers 200",
        answer: |_| "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".into(),
        must: "status 200",
    },
];

fn switching(protocol: &str, accept: &str) -> String {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    )
}

/// Runs it.
pub async fn run(seed: u64) -> anyhow::Result<Experiment> {
    let bench = Bench::open(&Setup { seed, ..Setup::default() }).await?;
    let right = right(&bench.target.place.host);
    let mut trials = Vec::new();
    for Wrong { done, change, must, holds } in REQUESTS {
        let answer = ask(bench.target.place.clone(), &change(&right)).await?;
        trials.push(trial(done, must, &answer, holds));
    }
    let secured = Bench::open(&Setup { seed, tls: true, ..Setup::default() }).await?;
    let switched: fn(&str) -> bool = |answer| answer.contains(" 101 ");
    let mut through = [Answer::Unclear; 2];
    for ((bench, done, must, holds), through) in [
        (&bench, PROXY, "no 101", (|answer| !answer.contains(" 101 ")) as fn(&str) -> bool),
        (&secured, PROXY_WITHIN_TLS, "101", switched),
    ]
    .into_iter()
    .zip(&mut through)
    {
        let Place { address, tls, .. } = &bench.target.place;
        let answer =
            ask(Place { address: proxy(*address).await?, tls: tls.clone(), host: String::new() }, &right).await?;
        trials.push(trial(done, must, &answer, holds));
        *through = answer.as_deref().map_or(Answer::Unclear, |answer| switched(answer).into());
    }
    for Lie { done, answer, must } in LIES {
        let said = deceive(&bench.target, answer).await?;
        // A client that still waits has neither believed the lie nor refused it.
        let as_told = if said == WAITS { Answer::Unclear } else { said.contains(must).into() };
        trials.push(Trial { done, must, as_told, came: said });
    }
    Ok(work_out(&trials, through))
}

/// A trial with what came of it; no answer in time decides nothing.
fn trial(done: &'static str, must: &'static str, answer: &Option<String>, holds: fn(&str) -> bool) -> Trial {
    let first = |answer: &String| match answer.lines().next() {
        Some(line) => line.trim_start_matches("HTTP/1.1 ").to_string(),
        None => "the end of the connection".into(),
    };
    Trial {
        done,
        must,
        came: answer.as_ref().map_or("no answer in time".into(), first),
        as_told: answer.as_deref().map_or(Answer::Unclear, |answer| holds(answer).into()),
    }
}

fn right(host: &str) -> String {
    format!(
        "GET /echo HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: {KEY}\r\n\r\n"
    )
}

/// What a server answers, up to the end of its head; nothing where it ends the connection, `None` where no answer comes in time.
async fn ask(place: Place, request: &str) -> anyhow::Result<Option<String>> {
    let mut wire = Counted::connect(place.address, None, place.tls.as_ref(), SharedLedger::default()).await?;
    wire.request(request.as_bytes()).await?;
    let head = async {
        while !wire.received.windows(4).any(|end| end == b"\r\n\r\n") {
            if wire.fill().await.is_err() {
                break;
            }
        }
    };
    let came = timeout(PATIENCE, head).await;
    Ok(came.ok().map(|()| String::from_utf8_lossy(&wire.received).into_owned()))
}

/// Has our client shake hands with a server that answers so; what the client says to it.
async fn deceive(target: &Target, answer: fn(&str) -> String) -> anyhow::Result<String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let http = listener.local_addr()?;
    let liar = spawn_local(async move {
        let (mut stream, _) = listener.accept().await?;
        let request = head(&mut stream).await?;
        let key = request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap_or_default();
        stream.write_all(answer(key).as_bytes()).await?;
        // Open until the client leaves.
        stream.read(&mut [0]).await
    });
    let mut subscriber = Subscriber::alone(&Target { place: Place::plain(http), ..target.clone() }).await?;
    let shaken = timeout(PATIENCE, websocket::handshake(&mut subscriber)).await;
    liar.abort();
    Ok(match shaken {
        Err(_) => WAITS.into(),
        Ok(Ok(())) => "believes it".into(),
        Ok(Err(fault)) => format!("fails: {fault}"),
    })
}

/// A proxy as HTTP allows: what concerns the connection alone is not passed on (RFC 9110, section 7.6.1). What it cannot read, it
/// passes on as it is.
async fn proxy(to: SocketAddr) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    spawn_local(async move {
        let (mut near, _) = listener.accept().await?;
        let mut far = TcpStream::connect(to).await?;
        let mut first = [0];
        near.peek(&mut first).await?;
        if first[0].is_ascii_alphabetic() {
            let request = head(&mut near).await?;
            let kept = request
                .split_inclusive("\r\n")
                .filter(|line| !line.starts_with("Connection:") && !line.starts_with("Upgrade:"));
            far.write_all(kept.collect::<String>().as_bytes()).await?;
        }
        tokio::io::copy_bidirectional(&mut far, &mut near).await
    });
    Ok(address)
}

async fn head(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        bytes.push(stream.read_u8().await?);
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn work_out(trials: &[Trial], through: [Answer; 2]) -> Experiment {
    let failed: Vec<&Trial> = trials.iter().filter(|trial| trial.as_told != Answer::Yes).collect();
    let of = |done: &[&str]| -> (Vec<Answer>, String) {
        let of = || trials.iter().filter(|trial| done.iter().any(|part| trial.done.contains(part)));
        let figure: Vec<String> = of().map(|trial| format!("{}: {}", trial.done, trial.came)).collect();
        (of().map(|trial| trial.as_told).collect(), figure.join("; "))
    };
    let claim = |number, done: &[&str], why: &str, prediction: &str, refuted_by: &str| {
        let (answers, figure) = of(done);
        Verdict {
            figure,
            why: why.into(),
            prediction: prediction.into(),
            refuted_by: refuted_by.into(),
            working_point: WORKING_POINT.into(),
            turns_at: "Does not turn with a load or a setting: it is a rule of the protocol, and turns with an implementation that \
                       breaks it."
                .into(),
            ..verdict(number, as_claimed(&answers))
        }
    };
    let firewalls = Verdict {
        figure: of(&[PROXY, PROXY_WITHIN_TLS]).1,
        why: "It shares HTTP's ports, so firewalls let it pass; a proxy that drops hop-by-hop headers breaks it, and inside TLS no proxy \
              sees them. One note prints port 433: it is 443."
            .into(),
        prediction: "A handshake gets through a proxy that speaks HTTP, since it begins as HTTP on HTTP's port.".into(),
        refuted_by: "No 101 through the proxy, either bare or within TLS. It holds only within limits where TLS alone gets through."
            .into(),
        working_point: "One handshake each way, through a proxy that keeps Connection and Upgrade to itself (RFC 9110, section 7.6.1)."
            .into(),
        turns_at: "Turns between a bare connection and TLS, where the proxy reads HTTP; with a proxy that forwards the upgrade, both pass."
            .into(),
        ..verdict(18, passes(through[0], through[1]))
    };
    Experiment {
        name: "handshake".into(),
        title: "The handshake, right and wrong".into(),
        question: "What does each side do when the other's part of the WebSocket handshake is wrong?".into(),
        answer: vec![format!("{} of {} trials went as the standards have it.", trials.len() - failed.len(), trials.len())],
        doubts: failed.iter().map(|trial| format!("{}: must be {}, was {}.", trial.done, trial.must, trial.came)).collect(),
        tables: vec![Table {
            title: "Trials".into(),
            columns: ["what was done", "what must come of it", "what came"].map(Into::into).to_vec(),
            rows: trials.iter().map(|trial| vec![trial.done.into(), trial.must.into(), trial.came.clone()]).collect(),
        }],
        verdicts: vec![
            claim(
                12,
                &["POST instead", "HTTP/1.0"],
                "A handshake is a GET of HTTP/1.1 (RFC 6455, section 4.1).",
                "A handshake by POST, and one of HTTP/1.0, are refused.",
                "An answer other than 405 to a POST, or other than 400 to HTTP/1.0.",
            ),
            claim(
                13,
                &["no Upgrade", "no Connection", "a right request, with"],
                "Both headers are required; the answer is 101.",
                "A right request is answered by 101, one without Upgrade by 426, one without Connection: Upgrade by 400.",
                "A 101 to a request that lacks either header, or no 101 to a right one.",
            ),
            claim(
                14,
                &["key of the RFC", "key of 15", "Accept of another", "repeats our key"],
                "It proves that the peer speaks WebSocket and does not merely repeat what it is sent; it authenticates nobody.",
                "The server's Accept to the RFC's key is the RFC's; a client refuses an Accept that does not follow from its key.",
                "Another Accept, a 101 to a key of 15 bytes, or a client that believes a wrong Accept.",
            ),
            claim(
                15,
                &["version 8"],
                "An unknown version is refused with the one that is known (RFC 6455, section 4.4).",
                "Version 8 is answered by 426 with Sec-WebSocket-Version: 13.",
                "Any other answer to version 8.",
            ),
            firewalls,
            claim(
                19,
                &["asks for the feed", "asks for /echo", "origin polls"],
                "CORS guards what a page may read of HTTP; for a WebSocket the server must look at Origin itself.",
                "A page of another origin is let in by an endpoint that looks at no Origin, and kept out by one that does; a poll is \
                 answered with CORS headers.",
                "A refusal from an endpoint that looks at no Origin, or a 101 from one that does.",
            ),
        ],
        method: vec![
            "Requests are sent as bytes to the lab's own server; lies are told to the lab's own client, by a server made for it.".into(),
        ],
        ..Experiment::default()
    }
}
