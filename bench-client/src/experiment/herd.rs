//! The herd: one event brings all long pollers back at once, and a restart brings everybody back at once.

use std::time::Duration;

use protocol::experiment::{Axis, Drawing, Experiment, Line, Lines, Point, Standing, Table, Verdict};
use protocol::{Transport, clock};
use reports::number::{short, thousands};
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::evidence::{Answer, verdict};
use super::{axis, line};
use crate::bench::{Bench, Spent};
use crate::control::Control;
use crate::lab::{OwnServer, Setup};
use crate::subscriber::{BackOff, Target};

const SIZES: [u32; 4] = [10, 100, 500, 1_000];
const TRANSPORTS: [Transport; 2] = [Transport::LongPolling, Transport::WebSocket];
/// How long after the event is looked at.
const AFTER: Duration = Duration::from_millis(100);
/// How long the subscribers that are not back by then are waited for.
const LATEST: Duration = Duration::from_secs(1);
/// Claim 6: the share of the subscribers that must be back in the 100 ms after the event, and the share below which they did not
/// all come back, however long they are waited for.
const AT_ONCE: f64 = 0.95;
const NOT_ALL: f64 = 0.5;
/// Subscribers that the restart brings back.
const RETURNING: u32 = 500;
/// How long the return is watched.
const WATCHED: Duration = Duration::from_millis(1_600);
/// How long between two looks at it.
const LOOK: Duration = Duration::from_millis(10);

struct Herd {
    transport: Transport,
    subscribers: u32,
    /// What the server did in the 100 ms after the event.
    spent: Spent,
    /// Requests a second after the event; those of the first 100 ms are in it.
    later: u64,
}

/// How many long pollers there were, and how many asked again.
pub struct Returned {
    /// Long pollers that had the event.
    pub subscribers: u32,
    /// Requests in the 100 ms after it.
    pub at_once: u64,
    /// Requests in the second after it.
    pub later: u64,
}

/// Claim 6: one event for many long pollers brings them all back at once.
pub fn all_come_back(returned: &[Returned]) -> Standing {
    let back = returned.iter().map(|size| {
        let share = |requests: u64| requests as f64 / f64::from(size.subscribers);
        match share(size.at_once) {
            at_once if at_once >= AT_ONCE => Answer::Yes,
            // On a machine that is busy they may need longer; subscribers that never came did not come back.
            _ if share(size.later) < NOT_ALL => Answer::No,
            _ => Answer::Unclear,
        }
    });
    Answer::all(back).decides(Standing::Holds, Standing::DoesNotHold)
}

/// Runs it.
pub async fn run(seed: u64) -> anyhow::Result<Experiment> {
    let mut found = Vec::new();
    for subscribers in SIZES {
        for transport in TRANSPORTS {
            found.push(one_event(transport, subscribers, seed).await?);
        }
    }
    let at_once = restart(BackOff::default(), seed).await?;
    let spread = restart(BackOff { jitter: Duration::from_secs(1), ..BackOff::default() }, seed).await?;
    Ok(work_out(&found, at_once, spread))
}

async fn one_event(transport: Transport, subscribers: u32, seed: u64) -> anyhow::Result<Herd> {
    let mut bench = Bench::open(&Setup { seed, ..Setup::default() }).await?;
    let crowd = bench.gather(transport, bench.target.clone(), subscribers).await?;
    // So that every long poll is waiting at the server.
    sleep(AFTER).await;
    let before = bench.control.load().await?;
    bench.control.publish("to all").await?;
    sleep(AFTER).await;
    let spent = bench.since(&before, 1).await?;
    let mut later = spent.requests;
    if transport == Transport::LongPolling && later < u64::from(subscribers) {
        sleep(LATEST - AFTER).await;
        // The reading in between is one more request of ours.
        later = bench.since(&before, 2).await?.requests;
    }
    crowd.leave().await;
    Ok(Herd { transport, subscribers, spent, later })
}

/// Connections that a server accepted after its restart, in steps of time: ms, and how many by then.
async fn restart(back_off: BackOff, seed: u64) -> anyhow::Result<Vec<(f64, u64)>> {
    let mut bench = Bench::open(&Setup { seed, ..Setup::default() }).await?;
    let target = Target { back_off, ..bench.target.clone() };
    let crowd = bench.gather(Transport::WebSocket, target, RETURNING).await?;
    let Bench { server, control, target } = bench;
    drop(control);
    // On a thread of its own, so that the subscribers meet the closed port while it is closed.
    let again = Setup { listen: [target.place.address, target.tcp], seed, ..Setup::default() };
    let restart = move || {
        drop(server);
        OwnServer::start(&again)
    };
    let server = spawn_blocking(restart).await??;
    let mut control = Control::connect(&server.place).await?;
    let began = clock::now_ns();
    let mut seen = vec![(0.0, 0)];
    while clock::now_ns() < began + WATCHED.as_nanos() as u64 {
        let load = control.load().await?;
        // Our own connection is the first of them. The time is that of the count: the answer may have waited for other figures.
        seen.push((load.now_ns.saturating_sub(began) as f64 / 1e6, load.connections_accepted - 1));
        sleep(LOOK).await;
    }
    crowd.leave().await;
    Ok(seen)
}

/// The most connections that were accepted in a time between two looks, as a rate: in a ms.
fn busiest(seen: &[(f64, u64)]) -> f64 {
    seen.windows(2).map(|pair| (pair[1].1 - pair[0].1) as f64 / (pair[1].0 - pair[0].0)).fold(0.0, f64::max)
}

fn work_out(found: &[Herd], at_once: Vec<(f64, u64)>, spread: Vec<(f64, u64)>) -> Experiment {
    let over = |figure: fn(&Spent) -> f64| -> Vec<Line> {
        let of = |transport| {
            let points = found.iter().filter(|herd| herd.transport == transport);
            line(transport, points.map(|herd| Point::new(f64::from(herd.subscribers), figure(&herd.spent))).collect())
        };
        TRANSPORTS.map(of).to_vec()
    };
    let of = |transport| found.iter().filter(move |herd| herd.transport == transport);
    let most = |transport| of(transport).next_back().expect("each was measured");
    let (herd, frames) = (most(Transport::LongPolling), most(Transport::WebSocket));
    let returned: Vec<Returned> = of(Transport::LongPolling)
        .map(|herd| Returned { subscribers: herd.subscribers, at_once: herd.spent.requests, later: herd.later })
        .collect();
    let figure = format!(
        "One event to {} long pollers: {} requests and {} ms of CPU within 100 ms; to as many WebSockets {} requests, {} ms",
        thousands(herd.subscribers.into()),
        thousands(herd.spent.requests),
        short(herd.spent.cpu_ms),
        frames.spent.requests,
        short(frames.spent.cpu_ms),
    );
    let shares: Vec<String> = returned
        .iter()
        .map(|size| format!("{} of {}", thousands(size.at_once), thousands(size.subscribers.into())))
        .collect();
    let returns = format!(
        "Requests within 100 ms of one event: {} long pollers; {} of {} WebSockets",
        shares.join(", "),
        frames.spent.requests,
        thousands(frames.subscribers.into())
    );
    let (peak, with_jitter) = (busiest(&at_once), busiest(&spread));
    let back = |label: &str, seen: Vec<(f64, u64)>| Line {
        label: label.into(),
        transport: None,
        theory: false,
        points: seen.into_iter().map(|(ms, accepted)| Point::new(ms, accepted as f64)).collect(),
    };
    let restarted = format!(
        "After a restart {RETURNING} WebSockets came back, up to {} a ms; with a second of jitter in their patience, up to {} a ms",
        short(peak),
        short(with_jitter)
    );
    Experiment {
        name: "herd".into(),
        title: "The herd".into(),
        question: "How much comes back to the server at once, after an event and after a restart?".into(),
        answer: vec![format!("{figure}."), format!("{restarted}.")],
        drawings: vec![
            Drawing::Lines(Lines {
                name: "herd-cpu".into(),
                title: format!("One event brings {} of {} long pollers back within 100 ms", thousands(herd.spent.requests), thousands(herd.subscribers.into())),
                caption: "CPU time of the server in the 100 ms after one event, delivering it included.".into(),
                x: axis("subscribers", true),
                y: axis("server CPU in the 100 ms after one event, in ms", true),
                lines: over(|spent| spent.cpu_ms),
            }),
            Drawing::Lines(Lines {
                name: "herd-restart".into(),
                title: format!("After a restart: up to {} connections a ms, with jitter up to {}", short(peak), short(with_jitter)),
                caption: "Connections accepted since the restart. All alike: each subscriber tries again 100 ms after it lost its \
                          connection. With jitter: up to a second later than that, at random."
                    .into(),
                x: Axis { label: "ms since the server was back".into(), logarithmic: false },
                y: axis("connections accepted", false),
                lines: vec![back("all alike", at_once), back("with jitter", spread)],
            }),
        ],
        tables: vec![Table {
            title: "In the 100 ms after one event".into(),
            columns: ["transport", "subscribers", "requests", "server CPU, ms"].map(Into::into).to_vec(),
            rows: found
                .iter()
                .map(|herd| {
                    vec![
                        herd.transport.label().into(),
                        herd.subscribers.to_string(),
                        herd.spent.requests.to_string(),
                        short(herd.spent.cpu_ms),
                    ]
                })
                .collect(),
        }],
        verdicts: vec![Verdict {
            figure: returns,
            why: "Each answer ends a request, and each client asks again at once.".into(),
            prediction: "As many requests within 100 ms of an event as there are long pollers; none over WebSocket.".into(),
            refuted_by: format!(
                "Fewer than {} % of the long pollers asking again within a second, at any of the sizes.",
                NOT_ALL * 100.0
            ),
            working_point: "One event to 10, 100, 500 and 1,000 subscribers, loopback, clients that ask again without a pause.".into(),
            turns_at: "Does not turn between 10 and 1,000 subscribers. It turns with the client: with a random pause before the next \
                       request they come back spread over that pause, as the restart with jitter shows."
                .into(),
            ..verdict(6, all_come_back(&returned))
        }],
        method: vec!["Each size has a server of its own, and one event. Requests are the server's own count.".into()],
        ..Experiment::default()
    }
}
