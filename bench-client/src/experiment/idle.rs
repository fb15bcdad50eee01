//! Nothing happens: what subscribers cost a server whose feed is silent.

use std::time::Duration;

use protocol::Transport;
use protocol::experiment::{Drawing, Experiment, Line, Lines, Point, Standing, Table};
use reports::number::short;

use super::{axis, line, verdict};
use crate::bench::{Bench, Spent};
use crate::lab::Setup;

const SIZES: [u32; 3] = [10, 100, 1_000];
const TRANSPORTS: [Transport; 3] = [Transport::Polling, Transport::LongPolling, Transport::WebSocket];
const TIME: Duration = Duration::from_millis(1_500);

struct Idle {
    transport: Transport,
    subscribers: u32,
    spent: Spent,
}

impl Idle {
    fn requests_per_s(&self) -> f64 {
        self.spent.requests as f64 / self.spent.seconds
    }

    fn cpu_ms_per_s(&self) -> f64 {
        self.spent.cpu_ms / self.spent.seconds
    }
}

/// Runs it.
pub async fn run(seed: u64) -> anyhow::Result<Experiment> {
    let mut found = Vec::new();
    for subscribers in SIZES {
        for transport in TRANSPORTS {
            let mut bench = Bench::open(&Setup { seed, ..Setup::default() }).await?;
            let crowd = bench.gather(transport, bench.target.clone(), subscribers).await?;
            // Connecting is over when pollers have found their phase.
            tokio::time::sleep(bench.target.poll_interval).await;
            let spent = bench.over(TIME).await?;
            crowd.leave().await;
            found.push(Idle { transport, subscribers, spent });
        }
    }
    Ok(work_out(&found))
}

fn work_out(found: &[Idle]) -> Experiment {
    let lines = |figure: fn(&Idle) -> f64| -> Vec<Line> {
        let of = |transport| {
            let points = found.iter().filter(|idle| idle.transport == transport);
            line(transport, points.map(|idle| Point::new(f64::from(idle.subscribers), figure(idle))).collect())
        };
        TRANSPORTS.map(of).to_vec()
    };
    let most = |transport| found.iter().rfind(|idle| idle.transport == transport).expect("each was measured");
    let [polling, waiting, websocket] = TRANSPORTS.map(most);
    let figure = format!(
        "{} pollers, no event: {} requests and {} ms of CPU a second; as many long polls {} requests, {} ms; WebSockets {}, {} ms",
        polling.subscribers,
        short(polling.requests_per_s()),
        short(polling.cpu_ms_per_s()),
        short(waiting.requests_per_s()),
        short(waiting.cpu_ms_per_s()),
        short(websocket.requests_per_s()),
        short(websocket.cpu_ms_per_s()),
    );
    let least = found.iter().find(|idle| idle.transport == Transport::Polling).expect("it was measured");
    let grows = polling.requests_per_s() / least.requests_per_s();
    let as_many = f64::from(polling.subscribers) / f64::from(least.subscribers);
    let proportional = (grows / as_many - 1.0).abs() < 0.1;
    let title = format!(
        "While nothing happens: {} ms of CPU a second for {} pollers, {} ms for as many long polls",
        short(polling.cpu_ms_per_s()),
        polling.subscribers,
        short(waiting.cpu_ms_per_s())
    );
    Experiment {
        name: "idle".into(),
        title: "What silence costs".into(),
        question: "What do subscribers cost the server while there is no event?".into(),
        answer: vec![format!("{figure}.")],
        drawings: vec![Drawing::Lines(Lines {
            name: "idle-cpu".into(),
            title,
            caption: "CPU time of the server's process while no event was published. Polls come each 250 ms.".into(),
            x: axis("subscribers", true),
            y: axis("server CPU in ms a second", true),
            lines: lines(Idle::cpu_ms_per_s),
        })],
        tables: vec![Table {
            title: "Without an event".into(),
            columns: ["transport", "subscribers", "requests a second", "server CPU, ms a second"]
                .map(Into::into)
                .to_vec(),
            rows: found
                .iter()
                .map(|idle| {
                    vec![
                        idle.transport.label().into(),
                        idle.subscribers.to_string(),
                        short(idle.requests_per_s()),
                        short(idle.cpu_ms_per_s()),
                    ]
                })
                .collect(),
        }],
        verdicts: vec![verdict(
            1,
            match proportional {
                true => Standing::Holds,
                false if polling.spent.requests == 0 => Standing::DoesNotHold,
                false => Standing::HoldsWithinLimits,
            },
            figure,
            "The server answers every poll, event or not; its work grows with the clients and not with the news.",
        )],
        method: vec![
            "Each size has a server of its own; figures are differences of two readings 1.5 s apart, once each.".into(),
        ],
        ..Experiment::default()
    }
}
