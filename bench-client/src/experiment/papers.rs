//! Published results, each as a row: what was published, what theory predicts, what is measured here, and where the publication
//! errs.

use std::time::Duration;

use protocol::experiment::{Experiment, Table};
use protocol::network::Network;
use protocol::result::{Comparison, Headers, Round, Scenario};
use protocol::schedule::Spacing;
use protocol::{Layer, Transport};
use reports::number::short;
use reports::ranking::{in_words, paired};
use reports::statistics::FEWEST_ROUNDS;
use reports::summary::rows;
use reports::theory;

use crate::compare::warm_up_ms;
use crate::trial::{self, small};

/// A row: the source and what it says, and the three figures, with a remark.
struct Row {
    source: &'static str,
    what: &'static str,
    published: String,
    predicted: String,
    measured: String,
    remark: String,
}

/// Runs it.
pub async fn run(seed: u64) -> anyhow::Result<Experiment> {
    let mut lab = Lab { seed, rounds: Vec::new() };
    let mut table = Vec::new();
    table.extend(kaazing(&mut lab).await?);
    table.extend(appelqvist(&mut lab).await?);
    table.push(pimentel(&mut lab).await?);
    table.push(rfc_6202(&mut lab).await?);
    table.push(bozdag(&mut lab).await?);
    table.push(van_de_vyvere(&mut lab).await?);
    table.push(signalr(&mut lab).await?);
    let columns = ["source", "what", "published", "predicted", "measured here", "remark"];
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
                    vec![row.source.into(), row.what.into(), row.published, row.predicted, row.measured, row.remark]
                })
                .collect(),
        }],
        method: vec![
            "Where a publication's machines and networks cannot be had, its setting is taken over: rates, intervals, delays as a \
             modelled network. So shapes and ratios can be held against it, not milliseconds of its machines."
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
        let scenario =
            Scenario { seed: self.seed, warm_up_ms: warm_up_ms(scenario.subscribers, scenario.network), ..scenario };
        let scenarios = [scenario];
        let rounds = trial::rounds(&scenarios, false).await?.concat();
        let [scenario] = scenarios;
        self.rounds.push(Comparison { scenario, rounds });
        Ok(self.rounds.last().expect("it was just pushed"))
    }
}

/// The first sound round of a transport; a rejected one stands in only where there is no other, and the chapter says so.
fn round(comparison: &Comparison, transport: Transport) -> &Round {
    let mut rounds: Vec<&Round> = comparison.rounds_of(transport).collect();
    rounds.sort_by_key(|round| !round.is_sound());
    rounds.first().expect("it was measured")
}

fn mean_ms(comparison: &Comparison, transport: Transport) -> f64 {
    round(comparison, transport).latency_ns.mean().unwrap_or(f64::NAN) / 1e6
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
    Ok(vec![
        Row {
            source: SOURCE,
            what: "bytes of overhead: a poll, and a WebSocket message of 20 characters",
            published: format!("{PRINTED} and {FRAME}"),
            predicted: format!("{wire} ({} + {}) and {FRAME}", ON_THE_WIRE.0, ON_THE_WIRE.1),
            measured: format!("{} ({} + {}) and {}", short(poll), short(request), short(response), short(frame)),
            remark: "The article counts characters and leaves out line ends: its own headers are 909 bytes on the wire, not 871. \
                     Its 2 bytes are the framing of the draft of that year; today's header of a short message is 2 bytes as well."
                .into(),
        },
        Row {
            source: SOURCE,
            what: "overhead at 1,000 / 10,000 / 100,000 clients, a message a second, in Mbit/s",
            published: "6.6 / 66 / 665 against 0.015 / 0.153 / 1.526".into(),
            predicted: format!("{} against {}", each(PRINTED), each(FRAME)),
            measured: format!("{} against {}", each(poll), each(frame)),
            remark: "Worked out from the bytes of one message, there and here. 8 B N / 2^20 is what the article calls a megabit."
                .into(),
        },
        Row {
            source: SOURCE,
            what: "how many times the overhead of WebSocket",
            published: "500".into(),
            predicted: (PRINTED / FRAME).to_string(),
            measured: short(poll / frame),
            remark: "By the article's own figures it is 435.5. Its threefold latency sets a worst case against a best one.".into(),
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
        published: "281 + 191, 273 + 191, 8, 2".into(),
        predicted: "heads as the browser has them; SSE 8 and an id line and a chunk; 2".into(),
        measured: format!(
            "{}, {}, {}, {}",
            both(heads(found, Transport::Polling)),
            both(heads(found, Transport::LongPolling)),
            short(chunk_and_id),
            short(framing(found, Transport::WebSocket))
        ),
        remark: "Browsers say more of themselves today. SSE's 8 are `data: ` and a blank line; resuming takes an id line as well, and \
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
        duration_ms: 4_000,
        ..small(&[Transport::Polling, Transport::WebSocket])
    };
    let found = lab.compare(scenario).await?;
    let (polling, websocket) = (mean_ms(found, Transport::Polling), mean_ms(found, Transport::WebSocket));
    let predicted = PAUSE_MS / 2.0 + 2.0 * DELAY_MS;
    Ok(Row {
        source: "Pimentel & Nickerson 2012",
        what: "mean latency in ms at 4 events/s, 150 ms between polls, from Edmonton: polling, WebSocket, ratio",
        published: "151.3, 40.3, 3.75 (2.31 to 4.48 over four places)".into(),
        predicted: format!("{}, {}, {}", short(predicted), short(DELAY_MS), short(predicted / DELAY_MS)),
        measured: format!("{}, {}, {}", short(polling), short(websocket), short(polling / websocket)),
        remark: "Half the pause and two ways: a poller that pauses after each answer has an interval of pause and round trip. The \
                 network is modelled, so WebSocket's figure is the setting."
            .into(),
    })
}

async fn rfc_6202(lab: &mut Lab) -> anyhow::Result<Row> {
    let network = Network::with_delay(Duration::from_millis(40));
    let scenario = Scenario {
        rate: 5.0,
        network,
        schedule: Spacing::Poisson,
        subscribers: 10,
        duration_ms: 8_000,
        ..small(&[Transport::LongPolling, Transport::WebSocket])
    };
    let gap_ms = trial::gap_ms(network).await?;
    let found = lab.compare(scenario).await?;
    let delay = mean_ms(found, Transport::WebSocket);
    let expected = theory::long_polling(delay, gap_ms, 5.0);
    let latency = &round(found, Transport::LongPolling).latency_ns;
    let max = latency.max().unwrap_or(0) as f64 / 1e6;
    Ok(Row {
        source: "RFC 6202, section 2.2",
        what: "long polling's latency in network transits: average, longest",
        published: "close to 1, over 3".into(),
        predicted: format!("{}, {}", short(expected.mean_ms / delay), short(expected.max_ms / delay)),
        measured: format!("{}, {}", short(mean_ms(found, Transport::LongPolling) / delay), short(max / delay)),
        remark: "At 5 events/s and 40 ms each way. Close to one only while events are rare beside round trips; without loss the \
                 longest is three, not more."
            .into(),
    })
}

async fn bozdag(lab: &mut Lab) -> anyhow::Result<Row> {
    let scenario = Scenario {
        rate: 4.0,
        poll_interval_ms: 250,
        duration_ms: 1_500,
        subscribers: 50,
        rounds: FEWEST_ROUNDS,
        ..small(&[Transport::Polling, Transport::WebSocket])
    };
    let found = lab.compare(scenario).await?;
    let rows = rows(found);
    let ratio = match &rows[..] {
        [polling, websocket] => paired(websocket, polling, |figures| figures.cpu_us),
        _ => None,
    };
    let (measured, remark) = match ratio {
        Some(ratio) if ratio.high < 1.0 => (
            in_words(&ratio),
            "It does not hold here: a poll is a request to read and a head to write, a push is a write.",
        ),
        Some(ratio) if ratio.low > 1.0 => (in_words(&ratio), "It holds here."),
        Some(ratio) => (in_words(&ratio), "No difference is shown here."),
        None => ("too few sound rounds".into(), ""),
    };
    Ok(Row {
        source: "Bozdag et al. 2007",
        what: "server CPU an event, push over pull, at equal data: polls as often as events",
        published: "more than 1".into(),
        predicted: "less than 1: a write against a request and an answer".into(),
        measured,
        remark: format!("{remark} Theirs was a server with a thread or a continuation for each waiting request."),
    })
}

async fn van_de_vyvere(lab: &mut Lab) -> anyhow::Result<Row> {
    const INTERVALS_MS: [u64; 4] = [100, 250, 1_000, 2_000];
    let base = Scenario { rate: 20.0, subscribers: 50, duration_ms: 2_000, ..small(&[Transport::Sse]) };
    let per_second = |comparison: &Comparison, transport| {
        let server = &round(comparison, transport).server;
        server.cpu_ns as f64 / 1e3 / (server.window_ns as f64 / 1e9) / f64::from(comparison.scenario.subscribers)
    };
    let push = per_second(lab.compare(base.clone()).await?, Transport::Sse);
    let mut polls = Vec::new();
    for interval in INTERVALS_MS {
        let scenario = Scenario { poll_interval_ms: interval, transports: vec![Transport::Polling], ..base.clone() };
        polls.push((interval, per_second(lab.compare(scenario).await?, Transport::Polling)));
    }
    // One round each, so a little less shows nothing.
    let from = polls.iter().find(|(_, cost)| *cost * 1.25 < push).map(|(interval, _)| *interval);
    let costs: Vec<String> =
        polls.iter().map(|(interval, cost)| format!("{} at {interval} ms", short(*cost))).collect();
    Ok(Row {
        source: "Van de Vyvere et al. 2020",
        what: "where polling costs the server less than SSE, at 20 events/s: CPU in us for a subscriber, a second",
        published: "beyond some acceptable latency".into(),
        predicted: "where polls are rarer than events, and each brings many".into(),
        measured: format!("SSE {}; polling {}", short(push), costs.join(", ")),
        remark: match from {
            Some(interval) => format!(
                "Polling is clearly cheaper (by a quarter) from an interval of {interval} ms on, of those tried."
            ),
            None => "At none of the intervals tried.".into(),
        },
    })
}

async fn signalr(lab: &mut Lab) -> anyhow::Result<Row> {
    let network = Network::with_delay(Duration::from_millis(10));
    let scenario = Scenario {
        rate: 2_000.0,
        network,
        schedule: Spacing::Poisson,
        subscribers: 8,
        rounds: FEWEST_ROUNDS,
        ..small(&[Transport::LongPolling, Transport::WebSocket])
    };
    let found = lab.compare(scenario).await?;
    let ledger = &round(found, Transport::LongPolling).ledger;
    let batch = ledger.events as f64 / (ledger.requests - ledger.empty_polls).max(1) as f64;
    let rows = rows(found);
    let cpu = match &rows[..] {
        [long_polling, websocket] => paired(long_polling, websocket, |figures| figures.cpu_us),
        _ => None,
    };
    let late = mean_ms(found, Transport::LongPolling) / mean_ms(found, Transport::WebSocket);
    let expected = theory::long_polling(10.0, 20.0, 2_000.0);
    Ok(Row {
        source: "SignalR issue 2293",
        what: "long polling against WebSocket at 2,000 events/s: events an answer, CPU an event, latency",
        published: "more events a second over long polling".into(),
        predicted: format!("{}, less than 1, {}", short(expected.batch), short(expected.mean_ms / 10.0)),
        measured: format!("{}, {}, {}", short(batch), cpu.map_or("not shown".into(), |cpu| in_words(&cpu)), short(late)),
        remark: if cpu.is_some_and(|cpu| cpu.high < 1.0) {
            "It holds: an answer carries all that came in a round trip, so the server writes less often, and each event is later."
        } else {
            "No gain is shown here."
        }
        .into(),
    })
}
