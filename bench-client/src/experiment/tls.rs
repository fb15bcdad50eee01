//! What TLS adds: to each delivery, and to opening a connection.

use std::time::Duration;

use protocol::experiment::{Drawing, Experiment, Line, Lines, Point, Standing, Table, Verdict};
use protocol::network::Network;
use protocol::result::{Comparison, Scenario};
use protocol::{Layer, Ledger, Transport, clock};
use reports::number::{short, short_or_dash};
use reports::statistics::FEWEST_ROUNDS;
use reports::summary::{Row, median, rows};

use super::axis;
use super::evidence::{Answer, CPU, Estimate, percent, pooled, times, utilisation, verdict};
use crate::bench::Bench;
use crate::lab::Setup;
use crate::subscriber::{Subscriber, Target};
use crate::transport::websocket;
use crate::trial::{self, small};

/// One that is answered, one that is streamed, one that is framed; the others go the same ways.
const TRANSPORTS: [Transport; 3] = [Transport::LongPolling, Transport::Ndjson, Transport::WebSocket];
const DELAYS_MS: [u64; 3] = [0, 20, 60];
/// Connections opened at each delay.
const OPENED: u32 = 10;
/// Connections whose opening the server's CPU time is the mean over.
const CROWD: u32 = 300;
/// A record's header, the byte that says what it holds, and the tag (RFC 8446, section 5.2).
const A_RECORD: f64 = 22.0;

/// How far framing bytes per event may differ within TLS and without it: pings come now and then, and not with the events.
const SAME_FRAMES: f64 = 0.1;
/// The most records an event: pings and close frames have records of their own. There is no least, since a server that is behind
/// puts several events into one record.
const MOST_RECORDS: f64 = 1.25;
/// Round trips that opening takes more within TLS, if that is one.
const ONE_MORE: (f64, f64) = (0.75, 1.5);

/// How long it took until a WebSocket was open, and what it took.
struct Opened {
    tls: bool,
    delay_ms: u64,
    /// Until it was open, in ms, of each.
    ms: Vec<f64>,
    ledger: Ledger,
}

impl Opened {
    fn mean_ms(&self) -> f64 {
        self.ms.iter().sum::<f64>() / self.ms.len() as f64
    }
}

/// What claim 28 is decided by.
pub struct Within {
    /// Framing bytes per event within TLS over without it; `None` where no round is sound.
    pub framing: Option<f64>,
    /// TLS records per event: bytes over the 22 that each adds.
    pub records: f64,
    /// Round trips that opening takes more.
    pub round_trips: Estimate,
}

/// Claim 28: wss is ws within TLS.
pub fn ws_within_tls(within: &Within) -> Standing {
    let Some(framing) = within.framing else { return Standing::NotMeasurable };
    let same =
        Answer::from((framing - 1.0).abs() <= SAME_FRAMES && within.records > 0.0 && within.records <= MOST_RECORDS);
    same.and(within.round_trips.between(ONE_MORE.0, ONE_MORE.1)).decides(Standing::Holds, Standing::DoesNotHold)
}

/// Runs it.
pub async fn run(seed: u64) -> anyhow::Result<Experiment> {
    let scenario = |tls| Scenario { rounds: FEWEST_ROUNDS, duration_ms: 700, seed, tls, ..small(&TRANSPORTS) };
    let [plain, within] = [scenario(false), scenario(true)];
    let scenarios = [plain, within];
    let found = trial::rounds(&scenarios, false).await?;
    let comparisons: Vec<Comparison> =
        scenarios.into_iter().zip(found).map(|(scenario, rounds)| Comparison { scenario, rounds }).collect();
    let mut opened = Vec::new();
    let mut cpu_us = [0.0; 2];
    for (tls, cpu_us) in [false, true].into_iter().zip(&mut cpu_us) {
        let mut bench = Bench::open(&Setup { seed, tls, ..Setup::default() }).await?;
        for delay_ms in DELAYS_MS {
            opened.push(open(&bench.target, delay_ms, tls).await?);
        }
        let before = bench.control.load().await?;
        let crowd = bench.gather(Transport::WebSocket, bench.target.clone(), CROWD).await?;
        *cpu_us = bench.since(&before, 0).await?.cpu_ms * 1e3 / f64::from(CROWD);
        crowd.leave().await;
    }
    Ok(work_out(comparisons, &opened, cpu_us))
}

/// Opens WebSockets over a delay, one after another: the mean time until each can be used.
async fn open(target: &Target, delay_ms: u64, tls: bool) -> anyhow::Result<Opened> {
    let network = Network::with_delay(Duration::from_millis(delay_ms));
    let target = Target { network, ..target.clone() };
    let (mut ms, mut ledger) = (Vec::new(), Ledger::default());
    for _ in 0..OPENED {
        let began = clock::now_ns();
        let mut subscriber = Subscriber::alone(&target).await?;
        websocket::handshake(&mut subscriber).await?;
        ms.push((clock::now_ns() - began) as f64 / 1e6);
        let recorder = subscriber.recorder.clone();
        drop(subscriber);
        ledger += *recorder.borrow().ledger.borrow();
    }
    Ok(Opened { tls, delay_ms, ms, ledger })
}

fn work_out(comparisons: Vec<Comparison>, opened: &[Opened], cpu_us: [f64; 2]) -> Experiment {
    let [plain, within]: [Vec<Row>; 2] = [&comparisons[0], &comparisons[1]].map(rows);
    let of = |rows: &[Row], transport| rows.iter().position(|row| row.transport == transport).expect("it was measured");
    let per_event = |row: &Row, layer: Layer| row.ledger[layer] as f64 / row.events();
    let at = |rows: &[Row], layer| per_event(&rows[of(rows, Transport::WebSocket)], layer);
    let records = at(&within, Layer::Tls);
    let sound = plain.iter().chain(&within).all(|row| row.sound > 0);
    let cpu = |transport| times((&comparisons[1], transport), (&comparisons[0], transport), CPU);
    let far = |tls| opened.iter().rfind(|opened| opened.tls == tls).expect("both were measured");
    let each = |opened: &Opened| opened.ledger.wire_bytes() as f64 / f64::from(OPENED);
    let (without, with) = (far(false), far(true));
    let opening = format!(
        "Opening takes {} B instead of {} B, at {} ms of delay {} ms instead of {} ms, and {} us of the server's CPU instead of {} us",
        short(each(with)),
        short(each(without)),
        with.delay_ms,
        short(with.mean_ms()),
        short(without.mean_ms()),
        short(cpu_us[1]),
        short(cpu_us[0])
    );
    let load = reports::table::scenario(&comparisons[0]);
    let [busy_plain, busy_within] = [0, 1].map(|index| percent(utilisation(&comparisons[index], Transport::WebSocket)));
    let delivery = format!(
        "To an event over WebSocket, TLS adds {} B ({A_RECORD} B a record); server CPU a delivery, within TLS over without: {} times, \
         with the server at {busy_plain} of a processor without and {busy_within} within",
        short(records),
        cpu(Transport::WebSocket).in_words()
    );
    // What opening takes more, connection by connection, in round trips of the longest delay.
    let more: Vec<(f64, f64)> = with
        .ms
        .iter()
        .zip(&without.ms)
        .map(|(with, without)| (with - without, 2.0 * far(true).delay_ms as f64))
        .collect();
    let decided = Within {
        framing: sound.then(|| at(&within, Layer::Framing) / at(&plain, Layer::Framing)),
        records: records / A_RECORD,
        round_trips: pooled(&more),
    };
    let latency =
        |rows: &[Row], transport| short_or_dash(median(&rows[of(rows, transport)].each(|figures| figures.p50_ms)));
    Experiment {
        name: "tls".into(),
        title: "TLS costs a round trip at the start, and 22 bytes a write from then on".into(),
        question: "What does TLS add to a connection, and to each event?".into(),
        answer: vec![format!("{opening}."), format!("{delivery}.")],
        doubts: super::doubts(&comparisons),
        drawings: vec![Drawing::Lines(until_open(opened))],
        tables: vec![
            Table {
                title: "Deliveries without TLS and within it".into(),
                columns: ["transport", "TLS records, B/event", "server CPU, within over without", "p50, ms", "p50 within, ms"]
                    .map(Into::into)
                    .to_vec(),
                rows: TRANSPORTS
                    .iter()
                    .map(|&transport| {
                        vec![
                            transport.label().into(),
                            short(per_event(&within[of(&within, transport)], Layer::Tls)),
                            cpu(transport).in_words(),
                            latency(&plain, transport),
                            latency(&within, transport),
                        ]
                    })
                    .collect(),
            },
            Table {
                title: "Opening a WebSocket".into(),
                columns: ["delay, ms", "TLS", "open after, ms", "bytes", "segments"].map(Into::into).to_vec(),
                rows: opened
                    .iter()
                    .map(|opened| {
                        let segments = opened.ledger.segments_sent + opened.ledger.segments_received;
                        vec![
                            opened.delay_ms.to_string(),
                            if opened.tls { "1.3" } else { "none" }.into(),
                            short(opened.mean_ms()),
                            short(each(opened)),
                            short(segments as f64 / f64::from(OPENED)),
                        ]
                    })
                    .collect(),
            },
        ],
        verdicts: vec![Verdict {
            figure: format!(
                "{opening}. That is {} round trips more. Frame headers an event: {} times as many bytes within TLS as without. {delivery}",
                decided.round_trips.in_words(),
                decided.framing.map_or("an unknown number of".into(), short)
            ),
            why: "The same handshake and the same frames, inside TLS's records; TLS shakes hands first, which takes one more round trip."
                .into(),
            prediction: format!(
                "Within TLS the frames are the same, each write becomes a record of {A_RECORD} B more, and opening takes one round trip \
                 more (TLS 1.3)."
            ),
            refuted_by: format!(
                "Frame headers that differ by more than {} % an event, more than {MOST_RECORDS} records an event, or round trips \
                 that opening takes more, over {OPENED} connections, whose interval lies outside {} to {}.",
                SAME_FRAMES * 100.0,
                ONE_MORE.0,
                ONE_MORE.1
            ),
            working_point: format!("Deliveries: {load}. Opening: {OPENED} connections one after another at {} ms of delay.", with.delay_ms),
            turns_at: "Does not turn with the load: bytes and round trips do not depend on it. The ratio of CPU may, and is given for this \
                       load alone. Where a session is resumed with early data, the round trip is spared."
                .into(),
            ..verdict(28, ws_within_tls(&decided))
        }],
        method: vec![
            format!("{load}; and the same over TLS, rounds of both in one shuffled order."),
            "TLS 1.3, no session is resumed, the certificate is a self-signed one (ECDSA, P-256): a chain from an authority is longer by \
             its intermediate certificates."
                .into(),
            format!("The server's CPU for opening is the mean over {CROWD} WebSockets that connect at once."),
        ],
        rounds: comparisons,
    }
}

/// How long until a WebSocket is open, over the delay, beside the round trips that it takes.
fn until_open(opened: &[Opened]) -> Lines {
    let measured = |tls: bool| Line {
        label: if tls { "within TLS" } else { "without TLS" }.into(),
        transport: None,
        theory: false,
        points: opened
            .iter()
            .filter(|opened| opened.tls == tls)
            .map(|opened| Point::new(opened.delay_ms as f64, opened.mean_ms()))
            .collect(),
    };
    let theory = |label: &str, ways: f64| Line {
        label: label.into(),
        transport: None,
        theory: true,
        points: DELAYS_MS.map(|delay| Point::new(delay as f64, delay as f64 * ways)).to_vec(),
    };
    Lines {
        name: "tls-opening".into(),
        title: "TLS takes one more round trip until a WebSocket is open".into(),
        caption: format!(
            "From wanting to connect until 101 has come, the mean of {OPENED}. TCP takes a round trip, TLS 1.3 another, and \
             the WebSocket's handshake the last."
        ),
        x: axis("one-way delay in ms", false),
        y: axis("until it is open, in ms", false),
        lines: vec![measured(false), measured(true), theory("2 round trips", 4.0), theory("3 round trips", 6.0)],
    }
}
