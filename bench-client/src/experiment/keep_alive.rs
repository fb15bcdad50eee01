//! Keep-alive: one connection for all requests, or a new one for each.

use std::time::Duration;

use protocol::experiment::{Drawing, Experiment, Line, Lines, Point, Standing, Table};
use protocol::network::Network;
use protocol::{Ledger, clock};
use reports::number::short;

use super::{axis, verdict};
use crate::bench::Bench;
use crate::counted::{Counted, SharedLedger};
use crate::headers::{self, Caller};
use crate::lab::Setup;
use crate::link::Link;
use crate::subscriber::Target;
use protocol::result::Headers;

const DELAYS_MS: [u64; 4] = [1, 5, 20, 50];
const REQUESTS: u32 = 20;

struct Asked {
    delay_ms: u64,
    keeps: bool,
    /// From wanting to ask to having the answer, in ms: the mean.
    answer_ms: f64,
    accepts: u64,
    ledger: Ledger,
}

/// Runs it.
pub async fn run(seed: u64) -> anyhow::Result<Experiment> {
    let mut found = Vec::new();
    for delay_ms in DELAYS_MS {
        for keeps in [true, false] {
            found.push(ask(delay_ms, keeps, seed).await?);
        }
    }
    Ok(work_out(&found))
}

async fn ask(delay_ms: u64, keeps: bool, seed: u64) -> anyhow::Result<Asked> {
    let mut bench = Bench::open(&Setup { seed, ..Setup::default() }).await?;
    let network = Network::with_delay(Duration::from_millis(delay_ms));
    let target = Target { network, ..bench.target.clone() };
    let before = bench.control.load().await?;
    let close = if keeps { "" } else { "Connection: close\r\n" };
    let head = headers::get(Headers::Lean, Caller::Fetch, &target.place, "/poll?after=0");
    let request = format!("{head}{close}\r\n");
    let ledger = SharedLedger::default();
    let mut kept: Option<Counted> = None;
    let mut total_ns = 0;
    for _ in 0..REQUESTS {
        let began = clock::now_ns();
        let mut wire = match kept.take() {
            Some(wire) => wire,
            None => {
                let link = Link::new(network, 7, None)?;
                Counted::connect(target.place.address, Some(link), None, ledger.clone()).await?
            }
        };
        wire.request(request.as_bytes()).await?;
        wire.head().await?;
        total_ns += clock::now_ns() - began;
        kept = keeps.then_some(wire);
    }
    drop(kept);
    let accepts = bench.since(&before, 0).await?.accepts;
    let (answer_ms, ledger) = (total_ns as f64 / f64::from(REQUESTS) / 1e6, *ledger.borrow());
    Ok(Asked { delay_ms, keeps, answer_ms, accepts, ledger })
}

fn work_out(found: &[Asked]) -> Experiment {
    let far = |keeps| found.iter().rfind(|asked| asked.keeps == keeps).expect("each was measured");
    let (kept, closed) = (far(true), far(false));
    let line = |keeps: bool, label: &str| Line {
        label: label.into(),
        transport: None,
        theory: false,
        points: found
            .iter()
            .filter(|asked| asked.keeps == keeps)
            .map(|asked| Point::new(asked.delay_ms as f64, asked.answer_ms))
            .collect(),
    };
    let figure = format!(
        "{REQUESTS} requests: {} connection kept alive, {} when each is closed; an answer after {} and {} ms at {} ms of delay",
        kept.accepts,
        closed.accepts,
        short(kept.answer_ms),
        short(closed.answer_ms),
        kept.delay_ms
    );
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
            lines: vec![line(true, "kept alive"), line(false, "closed")],
        })],
        tables: vec![Table {
            title: format!("{REQUESTS} requests"),
            columns: ["delay, ms", "connection", "accepts", "answer after, ms", "bytes a request", "segments a request"]
                .map(Into::into)
                .to_vec(),
            rows: found
                .iter()
                .map(|asked| {
                    vec![
                        asked.delay_ms.to_string(),
                        if asked.keeps { "kept alive" } else { "closed" }.into(),
                        asked.accepts.to_string(),
                        short(asked.answer_ms),
                        each(asked.ledger.wire_bytes()),
                        each(asked.ledger.segments_sent + asked.ledger.segments_received),
                    ]
                })
                .collect(),
        }],
        verdicts: vec![verdict(
            10,
            if kept.accepts == 1 && closed.accepts == u64::from(REQUESTS) { Standing::Outdated } else { Standing::Holds },
            figure,
            "True of HTTP/1.0. Since HTTP/1.1 a connection is kept unless one side says close (RFC 9112, section 9.3).",
        )],
        method: vec!["Accepts are the server's own count. Closing costs two more segments each way than are in the table, after the kernel was asked.".into()],
        ..Experiment::default()
    }
}
