//! Published results, each as a row: what was published, what theory predicts, what is measured here at which load, and where the
//! publication errs by its own figures.

use std::time::Duration;

use protocol::experiment::{Experiment, Table};
use protocol::network::Network;
use protocol::result::{Comparison, Headers, Round, Scenario};
use protocol::schedule::Spacing;
use protocol::{Layer, Transport};
use reports::number::{short, thousands};
use reports::statistics::FEWEST_ROUNDS;
use reports::theory;

use super::evidence::{
    Answer, DELIVERIES_PER_S, Estimate, LATENCY, Measure, crossing, figure, percent, pooled, times, utilisation,
};
use crate::compare::{raise_open_files, warm_up_ms};
use crate::trial::{self, small};

/// A row: the source and what it says, the load here, and the three figures, with a remark.
struct Row {
    source: &'static str,
    what: &'static str,
    load: String,
    published: String,
    predicted: String,
    measured: String,
    remark: String,
}

/// Server CPU time a second, in us.
const CPU_PER_S: Measure =
    Measure::cpu(|round| (round.server.cpu_ns as f64 / 1e3, round.server.window_ns as f64 / 1e9));
/// What each further process of the client is given to start, in ms.
const START_MS: u64 = 100;

/// Runs it.
pub async fn run(seed: u64) -> anyhow::Result<Experiment> {
    let mut lab = Lab { seed, rounds: Vec::new() };
    let mut table = Vec::new();
    table.extend(kaazing(&mut lab).await?);
    table.extend(appelqvist(&mut lab).await?);
    table.push(pimentel(&mut lab).await?);
    table.push(rfc_6202(&mut lab).await?);
    table.extend(bozdag(&mut lab).await?);
    table.push(van_de_vyvere(&mut lab).await?);
    table.push(signalr(&mut lab).await?);
    let columns = ["source", "what", "load here", "published", "predicted", "measured here", "remark"];
    Ok(Experiment {
        name: "papers".into(),
        title: "Published results, measured anew".into(),
        question: "What was published on this question, what does theory say, and what does this lab find?".into(),
        answer: vec![format!("{} published results, each with what theory predicts and what is measured here.", table.len())],
        doubts: super::doubts(&lab.rounds),
        tables: vec![Table {
            title: "Published, predicted, measured".into(),
            columns: columns.map(Into::into).to_vec(),
            rows: table
                .into_iter()
                .map(|row| {
                    let Row { source, what, load, published, predicted, measured, remark } = row;
                    vec![source.into(), what.into(), load, published, predicted, measured, remark]
                })
                .collect(),
        }],
        method: vec![
            "Where a publication's machines and networks cannot be had, its setting is taken over: rates, intervals, delays as a \
             modelled network. So shapes and ratios can be held against it, not milliseconds of its machines."
                .into(),
            "Times and CPU are of five rounds each, with 95 % intervals; bytes are exact, of one round.".into(),
            "SignalR's rounds offer more and more events, until deliveries fall behind if they can be brought to. A round that falls behind \
             may be rejected as a measurement of latency; its deliveries a second count here all the same."
                .into(),
        ],
        rounds: lab.rounds,
        ..Experiment::default()
    })
}

/// Runs rounds, and keeps them all.
struct Lab {
    seed: u64,
    rounds: Vec<Comparison>,
}

impl Lab {
    async fn compare(&mut self, scenario: Scenario) -> anyhow::Result<&Comparison> {
        let found = self.compare_all(vec![scenario]).await?;
        Ok(&found[0])
    }

    /// Compares scenarios, their rounds interleaved.
    async fn compare_all(&mut self, scenarios: Vec<Scenario>) -> anyhow::Result<&[Comparison]> {
        let seed = self.seed;
        let seeded = |scenario: Scenario| {
            let starting = START_MS * u64::from(scenario.processes - 1);
            Scenario { seed, warm_up_ms: warm_up_ms(scenario.subscribers, scenario.network) + starting, ..scenario }
        };
        let scenarios: Vec<Scenario> = scenarios.into_iter().map(seeded).collect();
        raise_open_files(&scenarios)?;
        let found = trial::rounds(&scenarios, false).await?;
        let first = self.rounds.len();
        self.rounds.extend(scenarios.into_iter().zip(found).map(|(scenario, rounds)| Comparison { scenario, rounds }));
        Ok(&self.rounds[first..])
    }
}

/// The first sound round of a transport; a rejected one stands in only where there is no other, and the chapter says so.
fn round(comparison: &Comparison, transport: Transport) -> &Round {
    let mut rounds: Vec<&Round> = comparison.rounds_of(transport).collect();
    rounds.sort_by_key(|round| !round.is_sound());
    rounds.first().expect("it was measured")
}

/// Subscribers and events a second: "50 subscribers, 20 events/s".
fn load(comparison: &Comparison) -> String {
    let Scenario { subscribers, rate, payload_bytes, .. } = comparison.scenario;
    format!("{} subscribers, {rate} events/s of {payload_bytes} B", thousands(subscribers.into()))
}

/// How a ratio above 1 that was published stands here.
fn more(ratio: Estimate) -> &'static str {
    match ratio.above(1.0) {
        Answer::Yes => "That push costs more is so here as well.",
        Answer::No => "That push costs more is not so here.",
        Answer::Unclear => "Whether push costs more cannot be told here.",
    }
}

/// Bytes of request and response heads of a poll that was answered with events.
fn heads(comparison: &Comparison, transport: Transport) -> (f64, f64) {
    let ledger = &round(comparison, transport).ledger;
    let answered = (ledger.requests - ledger.empty_polls).max(1) as f64;
    (ledger[Layer::RequestHead] as f64 / answered, ledger[Layer::ResponseHead] as f64 / answered)
}

fn framing(comparison: &Comparison, transport: Transport) -> f64 {
    let ledger = &round(comparison, transport).ledger;
    ledger[Layer::Framing] as f64 / ledger.events.max(1) as f64
}

/// Megabits a second as the article counts them: 8 bits a byte, 2^20 a mega.
fn mbps(bytes: f64, clients: f64) -> f64 {
    bytes * 8.0 * clients / f64::from(1 << 20)
}

async fn kaazing(lab: &mut Lab) -> anyhow::Result<Vec<Row>> {
    const SOURCE: &str = "Kaazing 2010";
    /// The article's overhead of a poll, and of a WebSocket message, in bytes.
    const PRINTED: f64 = 871.0;
    const FRAME: f64 = 2.0;
    /// The same headers with their line ends: what really crosses the wire, request and response.
    const ON_THE_WIRE: (f64, f64) = (716.0, 193.0);
    let scenario = Scenario {
        payload_bytes: 20,
        rate: 20.0,
        poll_interval_ms: 50,
        headers: Headers::Browser,
        ..small(&[Transport::Polling, Transport::WebSocket])
    };
    let found = lab.compare(scenario).await?;
    let (request, response) = heads(found, Transport::Polling);
    let (poll, frame) = (request + response, framing(found, Transport::WebSocket));
    let clients = [1e3, 1e4, 1e5];
    let each = |bytes: f64| clients.map(|clients| short(mbps(bytes, clients))).join(" / ");
    let wire = ON_THE_WIRE.0 + ON_THE_WIRE.1;
    let load = format!("{}, polls each 50 ms; bytes of one message depend on none of it", load(found));
    Ok(vec![
        Row {
            source: SOURCE,
            what: "bytes of overhead: a poll, and a WebSocket message of 20 characters",
            load: load.clone(),
            published: format!("{PRINTED} and {FRAME}"),
            predicted: format!("{wire} ({} + {}) and {FRAME}", ON_THE_WIRE.0, ON_THE_WIRE.1),
            measured: format!("{} ({} + {}) and {}", short(poll), short(request), short(response), short(frame)),
            remark: format!(
                "The article says that its request and response headers have {PRINTED} bytes. It counts characters and leaves out line \
                 ends: the headers that it prints are {} + {} = {wire} bytes on the wire. Its {FRAME} bytes are the framing of the draft \
                 of that year (0x00 and 0xFF); today's header of a short message is {FRAME} bytes as well.",
                ON_THE_WIRE.0, ON_THE_WIRE.1
            ),
        },
        Row {
            source: SOURCE,
            what: "overhead at 1,000 / 10,000 / 100,000 clients, a message a second, in Mbit/s",
            load: format!("worked out for these numbers of clients from the bytes of one message at {load}"),
            published: "6.6 / 66 / 665 against 0.015 / 0.153 / 1.526".into(),
            predicted: format!("{} against {}", each(PRINTED), each(FRAME)),
            measured: format!("{} against {}", each(poll), each(frame)),
            remark: "The article works it out as well, and measures nothing. 8 B N / 2^20 is what it calls a megabit."
                .into(),
        },
        Row {
            source: SOURCE,
            what: "how many times the overhead of WebSocket, and how many times its latency",
            load,
            published: "500:1 \"or even 1000:1\", and 3:1".into(),
            predicted: format!("{} and none: it depends on the interval", PRINTED / FRAME),
            measured: format!("{} for the overhead", short(poll / frame)),
            remark: format!(
                "The article says 500:1. Its own figures, {PRINTED} and {FRAME}, make it {}. Its 3:1 for latency compares polling's worst \
                 case with WebSocket's best.",
                PRINTED / FRAME
            ),
        },
    ])
}

async fn appelqvist(lab: &mut Lab) -> anyhow::Result<Vec<Row>> {
    let transports = [Transport::Polling, Transport::LongPolling, Transport::Sse, Transport::WebSocket];
    let scenario = Scenario {
        payload_bytes: 20,
        rate: 20.0,
        poll_interval_ms: 50,
        headers: Headers::Browser,
        ..small(&transports)
    };
    let found = lab.compare(scenario).await?;
    let both = |(request, response): (f64, f64)| format!("{} + {}", short(request), short(response));
    let chunk_and_id = framing(found, Transport::Sse);
    Ok(vec![Row {
        source: "Appelqvist & Ornmyr 2017",
        what: "header bytes a message: polling, long polling, SSE, WebSocket",
        load: format!("{}, polls each 50 ms; bytes of one message depend on none of it", load(found)),
        published: "281 + 191, 273 + 191, 8, 2".into(),
        predicted: "heads as the browser has them; SSE 8 and an id line and a chunk; 2".into(),
        measured: format!(
            "{}, {}, {}, {}",
            both(heads(found, Transport::Polling)),
            both(heads(found, Transport::LongPolling)),
            short(chunk_and_id),
            short(framing(found, Transport::WebSocket))
        ),
        remark: "Browsers send longer heads today. SSE's 8 bytes are `data: ` and a blank line; resuming takes an id line as well, and \
                 HTTP/1.1 a chunk's size."
            .into(),
    }])
}

async fn pimentel(lab: &mut Lab) -> anyhow::Result<Row> {
    /// What the publication measured over WebSocket from Edmonton, taken for the one-way delay, in ms.
    const DELAY_MS: f64 = 40.3;
    /// Its pause between an answer and the next poll, in ms.
    const PAUSE_MS: f64 = 150.0;
    let network = Network::with_delay(Duration::from_micros((DELAY_MS * 1e3) as u64));
    let scenario = Scenario {
        rate: 4.0,
        network,
        // A pause after each answer is an interval of the pause and the way there and back.
        poll_interval_ms: (PAUSE_MS + 2.0 * DELAY_MS).round() as u64,
        duration_ms: 1_500,
        rounds: FEWEST_ROUNDS,
        ..small(&[Transport::Polling, Transport::WebSocket])
    };
    let found = lab.compare(scenario).await?;
    let mean = |transport| figure(found, transport, LATENCY).in_words();
    let ratio = times((found, Transport::Polling), (found, Transport::WebSocket), LATENCY);
    let predicted = PAUSE_MS / 2.0 + 2.0 * DELAY_MS;
    Ok(Row {
        source: "Pimentel & Nickerson 2012",
        what: "mean latency in ms from Edmonton: polling, WebSocket, ratio",
        load: format!("{}, 150 ms between an answer and the next poll, {DELAY_MS} ms of delay each way", load(found)),
        published: "151.3, 40.3, 3.75 (2.31 to 4.48 over four places)".into(),
        predicted: format!("{}, {}, {}", short(predicted), short(DELAY_MS), short(predicted / DELAY_MS)),
        measured: format!("{}; {}; {}", mean(Transport::Polling), mean(Transport::WebSocket), ratio.in_words()),
        remark: "Theory has half the pause and two ways: a poller that pauses after each answer has an interval of pause and round trip. \
                 The network here is modelled, so WebSocket's figure is the setting."
            .into(),
    })
}

async fn rfc_6202(lab: &mut Lab) -> anyhow::Result<Row> {
    const DELAY_MS: u64 = 40;
    const RATE: f64 = 5.0;
    let network = Network::with_delay(Duration::from_millis(DELAY_MS));
    let scenario = Scenario {
        rate: RATE,
        network,
        schedule: Spacing::Poisson,
        subscribers: 10,
        duration_ms: 2_000,
        rounds: FEWEST_ROUNDS,
        ..small(&[Transport::LongPolling, Transport::WebSocket])
    };
    let gap_ms = trial::gap_ms(network).await?;
    let found = lab.compare(scenario).await?;
    let ratio = times((found, Transport::LongPolling), (found, Transport::WebSocket), LATENCY);
    let delay = figure(found, Transport::WebSocket, LATENCY).value;
    // Of some dozen events at random times there are more or fewer than the rate says.
    let drawn = figure(found, Transport::LongPolling, DELIVERIES_PER_S).value / f64::from(found.scenario.subscribers);
    let expected = theory::long_polling(delay, gap_ms, drawn);
    let sound = found.rounds_of(Transport::LongPolling).filter(|round| round.is_sound());
    let max = sound.filter_map(|round| round.latency_ns.max()).max().unwrap_or(0) as f64 / 1e6;
    Ok(Row {
        source: "RFC 6202, section 2.2",
        what: "long polling's latency in network transits: average, longest",
        load: format!("{} (Poisson), {DELAY_MS} ms of delay each way", load(found)),
        published: "close to 1, over 3".into(),
        predicted: format!("{}, {}", short(expected.mean_ms / delay), short(expected.max_ms / delay)),
        measured: format!("{}; {}", ratio.in_words(), short(max / delay)),
        remark: "The RFC names no rate. The average is close to one transit only while events are rare beside round trips. \"Over \
                 three\" takes loss or work at either end; without them the longest is three: an answer, a request, an answer."
            .into(),
    })
}

/// Push against pull at equal data: at the paper's own load, and at one that keeps the server busy.
async fn bozdag(lab: &mut Lab) -> anyhow::Result<Vec<Row>> {
    const CLIENTS: u32 = 1_000;
    const BUSY_PER_S: u64 = 50;
    let push_and_pull = |per_s: u64, duration_ms| Scenario {
        rate: per_s as f64,
        poll_interval_ms: 1_000 / per_s,
        duration_ms,
        subscribers: CLIENTS,
        rounds: FEWEST_ROUNDS,
        processes: 3,
        ..small(&[Transport::Polling, Transport::LongPolling])
    };
    let found = lab.compare_all(vec![push_and_pull(1, 2_000), push_and_pull(BUSY_PER_S, 800)]).await?;
    let row = |comparison: &Comparison, what, remark: &str| {
        let ratio = times((comparison, Transport::LongPolling), (comparison, Transport::Polling), CPU_PER_S);
        let share = |transport| percent(utilisation(comparison, transport));
        Row {
            source: "Bozdag et al. 2007",
            what,
            load: format!(
                "{}, polls each {} ms; the server had {} of a processor over polling, {} over long polling",
                load(comparison),
                comparison.scenario.poll_interval_ms,
                share(Transport::Polling),
                share(Transport::LongPolling)
            ),
            published: "7 times; the server saturates at 350 to 500 clients".into(),
            predicted: "about 1: a request and an answer for each event, either way".into(),
            measured: format!("{} times", ratio.in_words()),
            remark: format!("{} {remark}", more(ratio)),
        }
    };
    Ok(vec![
        row(
            &found[0],
            "server CPU, push (Comet, long polling) over pull, 1,000 clients, an event a second, a poll a second",
            "The paper compared push by Comet (Bayeux, long polling, on a Java server) with pull, publish and pull intervals of 1, 5, 15 \
             and 50 s, and 100 to 1,000 clients. This is its shortest interval and its largest number. Its server is not compared: this \
             one is nearly idle at that load, and pays for waking up: once an event over long polling, once a poll over polling.",
        ),
        row(
            &found[1],
            "the same at a load that keeps this server busy, which the paper did not have",
            "The paper's figures are of a server with a thread or a continuation for each waiting request; its cost of a waiting client is \
             not this one's.",
        ),
    ])
}

async fn van_de_vyvere(lab: &mut Lab) -> anyhow::Result<Row> {
    const INTERVALS_MS: [u64; 4] = [50, 100, 250, 1_000];
    const RATE: f64 = 20.0;
    let base = Scenario {
        rate: RATE,
        subscribers: 500,
        duration_ms: 1_000,
        rounds: FEWEST_ROUNDS,
        processes: 2,
        ..small(&[Transport::Sse])
    };
    let polling =
        |poll_interval_ms| Scenario { poll_interval_ms, transports: vec![Transport::Polling], ..base.clone() };
    let scenarios = std::iter::once(base.clone()).chain(INTERVALS_MS.map(polling)).collect();
    let found = lab.compare_all(scenarios).await?;
    let [sse, polls @ ..] = found else { anyhow::bail!("SSE and some intervals were measured") };
    let ratios: Vec<(f64, Estimate)> = INTERVALS_MS
        .iter()
        .zip(polls)
        .map(|(&interval, polls)| {
            (interval as f64, times((polls, Transport::Polling), (sse, Transport::Sse), CPU_PER_S))
        })
        .collect();
    let costs: Vec<String> =
        ratios.iter().map(|(interval, ratio)| format!("{} at {interval} ms", ratio.in_words())).collect();
    let curve: Vec<(f64, f64)> = ratios.iter().map(|(interval, ratio)| (*interval, ratio.value)).collect();
    let cheaper = ratios.iter().find(|(_, ratio)| ratio.below(1.0) == Answer::Yes);
    Ok(Row {
        source: "Van de Vyvere et al. 2020",
        what: "server CPU of polling over that of SSE, by the poll interval, and where polling becomes cheaper",
        load: format!(
            "{}; the server had {} of a processor over SSE",
            load(sse),
            percent(utilisation(sse, Transport::Sse))
        ),
        published: "SSE serves more than twice the clients (of up to 25,000) where updates are wanted at once; beyond some acceptable \
                    latency polling serves more"
            .into(),
        predicted: format!("cheaper where polls are rarer than events, each bringing many: beyond {} ms", 1e3 / RATE),
        measured: format!(
            "{}; they cross {}",
            costs.join(", "),
            crossing(&curve, 1.0).map_or("nowhere between these".into(), |at| format!("at {} ms", short(at)))
        ),
        remark: match cheaper {
            Some((interval, _)) => format!(
                "Of the intervals tried, {interval} ms is the shortest at which polling is shown to be cheaper. CPU at a fixed number of \
                 clients is compared here, not the number of clients that a server can bear."
            ),
            None => "Polling is shown to be cheaper at none of the intervals tried. CPU at a fixed number of clients is compared here, \
                     not the number of clients that a server can bear."
                .into(),
        },
    })
}

/// Of a transport, the rate at which most events arrived a second.
struct Most<'a> {
    transport: Transport,
    comparison: &'a Comparison,
    /// Deliveries a second, with their interval.
    delivered: Estimate,
    /// Deliveries a second that were due of what was published.
    due: f64,
}

impl<'a> Most<'a> {
    /// Over all rounds, rejected ones too: that deliveries fall behind is what is looked for.
    fn of(found: &'a [Comparison], transport: Transport) -> Self {
        let at = |comparison: &'a Comparison| {
            let rounds = || comparison.rounds_of(transport);
            let each: Vec<_> =
                rounds().map(|round| (round.server.deliveries as f64, round.server.window_ns as f64 / 1e9)).collect();
            let sent =
                rounds().map(|round| round.sent).sum::<u64>() as f64 * f64::from(comparison.scenario.subscribers);
            let seconds = rounds().count() as f64 * comparison.scenario.duration_ms as f64 / 1e3;
            Self { transport, comparison, delivered: pooled(&each), due: sent / seconds }
        };
        let all = found.iter().map(at);
        all.max_by(|left, right| left.delivered.value.total_cmp(&right.delivered.value)).expect("some rates were tried")
    }

    fn mean(&self, of: impl Fn(&Round) -> f64) -> f64 {
        let all: Vec<f64> = self.comparison.rounds_of(self.transport).map(of).collect();
        all.iter().sum::<f64>() / all.len().max(1) as f64
    }

    /// The share of a processor, of the server's process or of the client's.
    fn share(&self, cpu_ns: impl Fn(&Round) -> u64) -> f64 {
        self.mean(|round| cpu_ns(round) as f64 / round.server.window_ns.max(1) as f64)
    }

    /// Whether fewer events arrived than were due.
    fn is_behind(&self) -> bool {
        self.delivered.value < KEPT_UP * self.due
    }

    /// Whether the client used more of a processor than it could do without being what limits.
    fn is_client_limited(&self) -> bool {
        self.share(|round| round.client.cpu_ns) > BUSY_CLIENT
    }

    fn in_words(&self) -> String {
        let batch = match self.transport {
            Transport::LongPolling => {
                let batch = self.mean(|round| {
                    let ledger = &round.ledger;
                    ledger.events as f64 / (ledger.requests - ledger.empty_polls).max(1) as f64
                });
                format!(", {} events an answer", short(batch))
            }
            _ => String::new(),
        };
        format!(
            "{}: {} events/s of {} due{batch}, mean latency {} ms (server {}, client {} of a processor)",
            self.transport.label(),
            self.delivered.in_words(),
            short(self.due),
            short(self.mean(|round| round.latency_ns.mean().unwrap_or(f64::NAN) / 1e6)),
            percent(self.share(|round| round.server.cpu_ns)),
            percent(self.share(|round| round.client.cpu_ns)),
        )
    }
}

/// The share of the events due that arrive where a transport keeps up.
const KEPT_UP: f64 = 0.95;
/// The share of a processor above which the client's one thread is what limits.
const BUSY_CLIENT: f64 = 0.9;

/// Events a second that arrive, as the events offered grow towards more than can be delivered.
async fn signalr(lab: &mut Lab) -> anyhow::Result<Row> {
    const OFFERED: [f64; 2] = [20_000.0, 80_000.0];
    let transports = [Transport::LongPolling, Transport::WebSocket];
    let base = Scenario {
        schedule: Spacing::Poisson,
        subscribers: 20,
        duration_ms: 300,
        payload_bytes: 20,
        rounds: FEWEST_ROUNDS,
        ..small(&transports)
    };
    let found = lab.compare_all(OFFERED.map(|rate| Scenario { rate, ..base.clone() }).to_vec()).await?;
    let most = transports.map(|transport| Most::of(found, transport));
    let [long_polling, websocket] = &most;
    let limit = if !most.iter().all(Most::is_behind) {
        "Saturation was not reached: at least one of the two kept up with all that was published, so the figures are no limits."
    } else if most.iter().any(Most::is_client_limited) {
        "Saturation of the server could not be reached: the client's one thread limits first."
    } else {
        "Both fell behind while the client had time to spare, so the server and the publisher beside it are what limits."
    };
    Ok(Row {
        source: "SignalR issue 2293",
        what: "the most events a second that arrive: long polling against WebSocket",
        load: format!(
            "{} subscribers, {} events/s offered (Poisson, {} B), loopback",
            base.subscribers,
            OFFERED.map(short).join(" / "),
            base.payload_bytes
        ),
        published:
            "about 2.4 million against 1 million a second (MessagePack); the issue names no number of subscribers"
                .into(),
        predicted: "more over long polling only where a server writes each event by itself over WebSocket".into(),
        measured: format!(
            "{}; {}; so long polling has {} times as many",
            long_polling.in_words(),
            websocket.in_words(),
            short(long_polling.delivered.value / websocket.delivered.value)
        ),
        remark: format!(
            "The issue's answer is that long polling gains by the batch that gathers between polls, at the price of latency. This server \
             writes up to 64 waiting events at once over WebSocket as well, so the batch is not long polling's alone. {limit}"
        ),
    })
}
