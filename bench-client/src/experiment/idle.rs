//! Nothing happens: what subscribers cost a server whose feed is silent.

use std::time::Duration;

use protocol::Transport;
use protocol::experiment::{Drawing, Experiment, Line, Lines, Point, Standing, Table, Verdict};
use reports::number::{short, thousands};
use reports::statistics::{self, FEWEST_ROUNDS};

use super::evidence::{Estimate, pooled, verdict};
use super::{axis, line};
use crate::bench::{Bench, Spent};
use crate::lab::Setup;

const SIZES: [u32; 3] = [10, 100, 1_000];
const TRANSPORTS: [Transport; 3] = [Transport::Polling, Transport::LongPolling, Transport::WebSocket];
/// Windows of each size, over which intervals are taken.
const WINDOWS: u32 = FEWEST_ROUNDS;
const WINDOW: Duration = Duration::from_millis(400);
/// Claim 1: the least growth of CPU time from 10 to 1,000 pollers, and the least ratio of pollers' CPU to idle WebSockets'. The first
/// is far below a hundred, since ten pollers mostly pay for waking the server up.
const LEAST_GROWTH: f64 = 5.0;
const LEAST_OVER_PUSH: f64 = 3.0;
/// The least CPU time that differs measurably from none, in ms.
const LEAST_CPU_MS: f64 = 1e-3;

/// A transport at a size, window by window.
struct Idle {
    transport: Transport,
    subscribers: u32,
    windows: Vec<Spent>,
}

impl Idle {
    fn per_s(&self, what: fn(&Spent) -> f64) -> Estimate {
        pooled(&self.windows.iter().map(|spent| (what(spent), spent.seconds)).collect::<Vec<_>>())
    }

    fn requests_per_s(&self) -> Estimate {
        self.per_s(|spent| spent.requests as f64)
    }

    fn cpu_ms_per_s(&self) -> Estimate {
        self.per_s(|spent| spent.cpu_ms)
    }

    /// How many times the CPU time of another, window by window.
    fn cpu_times(&self, other: &Self) -> Estimate {
        let cpu = |idle: &Self| -> Vec<f64> {
            idle.windows.iter().map(|spent| spent.cpu_ms.max(LEAST_CPU_MS) / spent.seconds).collect()
        };
        statistics::ratio(&cpu(self), &cpu(other)).into()
    }
}

/// What claim 1 is decided by, without an event.
pub struct Silence {
    /// CPU time of 1,000 pollers over that of 10.
    pub growth: Estimate,
    /// CPU time of 1,000 pollers over that of 1,000 WebSockets.
    pub over_push: Estimate,
}

/// Claim 1: polling loads the server with every client, whether or not anything happens.
pub fn polling_loads(silence: &Silence) -> Standing {
    let grows = silence.growth.above(LEAST_GROWTH);
    grows.and(silence.over_push.above(LEAST_OVER_PUSH)).decides(Standing::Holds, Standing::DoesNotHold)
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
            let mut windows = Vec::new();
            for _ in 0..WINDOWS {
                windows.push(bench.over(WINDOW).await?);
            }
            crowd.leave().await;
            found.push(Idle { transport, subscribers, windows });
        }
    }
    Ok(work_out(&found))
}

fn work_out(found: &[Idle]) -> Experiment {
    let lines = |figure: fn(&Idle) -> Estimate| -> Vec<Line> {
        let of = |transport| {
            let points = found.iter().filter(|idle| idle.transport == transport).map(|idle| {
                let Estimate { value, interval } = figure(idle);
                Point { x: f64::from(idle.subscribers), y: value, interval }
            });
            line(transport, points.collect())
        };
        TRANSPORTS.map(of).to_vec()
    };
    let most = |transport| found.iter().rfind(|idle| idle.transport == transport).expect("each was measured");
    let [polling, waiting, websocket] = TRANSPORTS.map(most);
    let least = found.iter().find(|idle| idle.transport == Transport::Polling).expect("it was measured");
    let silence = Silence { growth: polling.cpu_times(least), over_push: polling.cpu_times(websocket) };
    let of = |idle: &Idle| {
        format!(
            "{} requests and {} ms of CPU a second",
            short(idle.requests_per_s().value),
            short(idle.cpu_ms_per_s().value)
        )
    };
    let figure = format!(
        "Without an event, polls each 250 ms: {} pollers: {}; as many long polls: {}; as many WebSockets: {}. CPU of {} pollers over that of {}: {} times; over that of {} \
         WebSockets: {} times",
        thousands(polling.subscribers.into()),
        of(polling),
        of(waiting),
        of(websocket),
        thousands(polling.subscribers.into()),
        thousands(least.subscribers.into()),
        silence.growth.in_words(),
        thousands(websocket.subscribers.into()),
        silence.over_push.in_words(),
    );
    let title = format!(
        "While nothing happens: {} ms of CPU a second for {} pollers, {} ms for as many long polls",
        short(polling.cpu_ms_per_s().value),
        thousands(polling.subscribers.into()),
        short(waiting.cpu_ms_per_s().value)
    );
    Experiment {
        name: "idle".into(),
        title: "Cost of idle subscribers".into(),
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
                        short(idle.requests_per_s().value),
                        short(idle.cpu_ms_per_s().value),
                    ]
                })
                .collect(),
        }],
        verdicts: vec![Verdict {
            figure,
            why: "The server answers every poll, whether or not there is an event; its work grows with the number of clients, not with \
                  the number of events."
                .into(),
            prediction: "Without an event, N pollers with an interval of T send N / T requests a second, and CPU time grows with N. \
                         Subscribers that wait cost next to nothing."
                .into(),
            refuted_by: format!(
                "CPU time of 1,000 pollers that is less than {LEAST_GROWTH} times that of 10, or less than {LEAST_OVER_PUSH} times that \
                 of 1,000 idle WebSockets."
            ),
            working_point: "10, 100 and 1,000 subscribers, 0 events/s, polls each 250 ms, loopback.".into(),
            turns_at: "Does not turn with the number of subscribers between 10 and 1,000. It fades with the poll interval: at 25 s, \
                       1,000 pollers send 40 requests a second, as many as 10 do at 250 ms."
                .into(),
            ..verdict(1, polling_loads(&silence))
        }],
        method: vec![
            format!("Each size has a server of its own; figures are taken over {WINDOWS} windows of 0.4 s, one after another."),
        ],
        ..Experiment::default()
    }
}
