//! Keep-alive: does the server keep its connection for the next request, or does it end it after each answer?
//!
//! The client never ends a connection by itself: it goes on with the one it has until the server has ended it. So the server's
//! count of accepted connections says what the server does, and not what the client was written to do.

use std::time::Duration;

use protocol::experiment::{Drawing, Experiment, Line, Lines, Point, Standing, Table, Verdict};
use protocol::network::Network;
use protocol::{Ledger, clock};
use reports::number::short;
use tokio::time::timeout;

use super::axis;
use super::evidence::verdict;
use crate::bench::Bench;
use crate::counted::{Counted, SharedLedger};
use crate::headers::{self, Caller};
use crate::lab::Setup;
use crate::link::Link;
use crate::subscriber::Target;
use protocol::result::Headers;

const DELAYS_MS: [u64; 4] = [1, 5, 20, 50];
const REQUESTS: u32 = 20;

/// How long after an answer the end of the connection is waited for, beside the delay.
const END: Duration = Duration::from_millis(10);
/// How long an answer may take, beside the delay.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a request says of its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// HTTP/1.1, and nothing more.
    Plain,
    /// HTTP/1.1 with `Connection: close`.
    Close,
    /// HTTP/1.0, and nothing more.
    Old,
}

impl Way {
    const ALL: [Way; 3] = [Self::Plain, Self::Close, Self::Old];

    fn in_words(self) -> &'static str {
        match self {
            Self::Plain => "HTTP/1.1",
            Self::Close => "HTTP/1.1 with Connection: close",
            Self::Old => "HTTP/1.0",
        }
    }

    fn request(self, target: &Target) -> String {
        let head = headers::get(Headers::Lean, Caller::Fetch, &target.place, "/poll?after=0");
        match self {
            Self::Plain => format!("{head}\r\n"),
            Self::Close => format!("{head}Connection: close\r\n\r\n"),
            Self::Old => format!("{}\r\n", head.replacen("HTTP/1.1", "HTTP/1.0", 1)),
        }
    }
}

struct Asked {
    way: Way,
    delay_ms: u64,
    /// From wanting to ask to having the answer, in ms: the mean.
    answer_ms: f64,
    /// Connections that the server accepted.
    accepts: u64,
    ledger: Ledger,
}

/// Connections that the server accepted for so many requests, in each way of asking.
pub struct Accepts {
    /// Requests in each way.
    pub requests: u64,
    /// With HTTP/1.1.
    pub plain: u64,
    /// With HTTP/1.1 and `Connection: close`, which obliges the server to end the connection: the control.
    pub close: u64,
}

/// Claim 10: HTTP does not keep its connection.
pub fn not_kept(accepts: &Accepts) -> Standing {
    // Where a connection that must end is not seen to end, the count tells nothing.
    if accepts.close != accepts.requests || accepts.plain == 0 {
        return Standing::NotMeasurable;
    }
    match accepts.plain {
        1 => Standing::Outdated,
        plain if plain == accepts.requests => Standing::Holds,
        _ => Standing::HoldsWithinLimits,
    }
}

/// Runs it.
pub async fn run(seed: u64) -> anyhow::Result<Experiment> {
    let mut found = Vec::new();
    for delay_ms in DELAYS_MS {
        for way in Way::ALL {
            found.push(ask(delay_ms, way, seed).await?);
        }
    }
    Ok(work_out(&found))
}

async fn ask(delay_ms: u64, way: Way, seed: u64) -> anyhow::Result<Asked> {
    let mut bench = Bench::open(&Setup { seed, ..Setup::default() }).await?;
    let network = Network::with_delay(Duration::from_millis(delay_ms));
    let target = Target { network, ..bench.target.clone() };
    let before = bench.control.load().await?;
    let request = way.request(&target);
    let ledger = SharedLedger::default();
    let mut open: Option<Counted> = None;
    let mut total_ns = 0;
    for _ in 0..REQUESTS {
        let began = clock::now_ns();
        let mut wire = loop {
            let mut wire = match open.take() {
                Some(wire) => wire,
                None => {
                    let link = Link::new(network, 7, None)?;
                    Counted::connect(target.place.address, Some(link), None, ledger.clone()).await?
                }
            };
            wire.request(request.as_bytes()).await?;
            // A connection that the server ended meanwhile is replaced and the request is sent again, as browsers do.
            match timeout(PATIENCE + 4 * network.delay(), wire.head()).await? {
                Ok(_) => break wire,
                Err(_) => anyhow::ensure!(clock::now_ns() < began + PATIENCE.as_nanos() as u64, "no answer to a poll"),
            }
        };
        total_ns += clock::now_ns() - began;
        // The next request goes on with this connection unless the server ends it.
        if timeout(END + network.delay(), wire.fill()).await.is_err() {
            open = Some(wire);
        }
    }
    drop(open);
    let accepts = bench.since(&before, 0).await?.accepts;
    let (answer_ms, ledger) = (total_ns as f64 / f64::from(REQUESTS) / 1e6, *ledger.borrow());
    Ok(Asked { way, delay_ms, answer_ms, accepts, ledger })
}

fn work_out(found: &[Asked]) -> Experiment {
    let far = |way| found.iter().rfind(|asked| asked.way == way).expect("each was measured");
    let [kept, closed, old] = Way::ALL.map(far);
    let line = |way: Way| Line {
        label: way.in_words().into(),
        transport: None,
        theory: false,
        points: found
            .iter()
            .filter(|asked| asked.way == way)
            .map(|asked| Point::new(asked.delay_ms as f64, asked.answer_ms))
            .collect(),
    };
    let figure = format!(
        "{REQUESTS} requests: the server accepted {} connection over HTTP/1.1, {} where each request says Connection: close, {} over \
         HTTP/1.0; an answer after {}, {} and {} ms at {} ms of delay",
        kept.accepts,
        closed.accepts,
        old.accepts,
        short(kept.answer_ms),
        short(closed.answer_ms),
        short(old.answer_ms),
        kept.delay_ms
    );
    // The most of all delays: one connection that was not kept is seen.
    let most = |way| found.iter().filter(|asked| asked.way == way).map(|asked| asked.accepts).max().unwrap_or(0);
    let accepts = Accepts { requests: REQUESTS.into(), plain: most(Way::Plain), close: most(Way::Close) };
    let each = |count: u64| short(count as f64 / f64::from(REQUESTS));
    Experiment {
        name: "keep-alive".into(),
        title: "One connection for all requests, or one for each".into(),
        question: "Does HTTP keep its connection, and what is lost where it does not?".into(),
        answer: vec![format!("{figure}.")],
        drawings: vec![Drawing::Lines(Lines {
            name: "keep-alive".into(),
            title: format!("{} times as long until the answer where each request has a new connection", short(closed.answer_ms / kept.answer_ms)),
            caption: "From wanting to ask until the answer is there, the mean of 20 requests.".into(),
            x: axis("one-way delay in ms", true),
            y: axis("until the answer, in ms", true),
            lines: vec![line(Way::Plain), line(Way::Close)],
        })],
        tables: vec![Table {
            title: format!("{REQUESTS} requests"),
            columns: ["delay, ms", "requests say", "accepts", "answer after, ms", "bytes a request", "segments a request"]
                .map(Into::into)
                .to_vec(),
            rows: found
                .iter()
                .map(|asked| {
                    vec![
                        asked.delay_ms.to_string(),
                        asked.way.in_words().into(),
                        asked.accepts.to_string(),
                        short(asked.answer_ms),
                        each(asked.ledger.wire_bytes()),
                        each(asked.ledger.segments_sent + asked.ledger.segments_received),
                    ]
                })
                .collect(),
        }],
        verdicts: vec![Verdict {
            figure,
            why: "It is true of HTTP/1.0. Since HTTP/1.1 a connection is kept unless one side says close (RFC 9112, section 9.3).".into(),
            prediction: "The server ends the connection after each answer, so that it accepts as many connections as there are requests.".into(),
            refuted_by: format!(
                "One accepted connection for all {REQUESTS} requests over HTTP/1.1, from a client that never ends a connection itself, \
                 while {REQUESTS} requests with Connection: close take {REQUESTS}."
            ),
            working_point: format!("{REQUESTS} requests one after another, 1 client, no events, delays of 1, 5, 20 and 50 ms each way."),
            turns_at: "Turns with the request: with Connection: close, and over HTTP/1.0, each takes a connection of its own. It does not \
                       turn with the delay between 1 and 50 ms."
                .into(),
            ..verdict(10, not_kept(&accepts))
        }],
        method: vec![
            "Accepts are the server's own count. The client ends no connection: after each answer it looks whether the server has ended \
             it, and goes on with it otherwise."
                .into(),
            "Closing costs two more segments each way than are in the table, after the kernel was asked.".into(),
        ],
        ..Experiment::default()
    }
}
