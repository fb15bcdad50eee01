//! Published results, each as a row: the published figure, the prediction of theory, the figure measured here with its load, and where the
//! publication contradicts its own figures.

use anyhow::Context;
use protocol::experiment::{Experiment, Table};
use protocol::facts::papers::PapersFacts;
use protocol::result::{Comparison, Round, Scenario};
use protocol::transport::Exchange;
use protocol::{Layer, Transport};

use super::draw::doubts;
use super::evidence::{
    Answer, DELIVERIES_PER_S, Estimate, LATENCY, Measure, crossing, figure, percent, pooled, times, utilisation,
};
use crate::judge::is_sound;
use crate::number::{short, thousands};
use crate::theory;

/// A row: the source with its question, the load here, and the three figures, with a remark.
struct Row {
    source: &'static str,
    question: &'static str,
    load: String,
    published: String,
    predicted: String,
    measured: String,
    remark: String,
}

/// Server CPU time a second, in us.
const CPU_PER_S: Measure =
    Measure::cpu(|round| (round.server.cpu_ns as f64 / 1e3, round.server.window_ns as f64 / 1e9));

pub fn derive(facts: &PapersFacts) -> anyhow::Result<Experiment> {
    let mut table = Vec::new();
    table.extend(kaazing(&facts.kaazing)?);
    table.push(appelqvist(&facts.appelqvist)?);
    table.push(pimentel(&facts.pimentel, facts.pimentel_pause_ms));
    table.push(rfc_6202(&facts.rfc_6202, facts.rfc_6202_exchange_ms));
    table.extend(bozdag(&facts.bozdag, &facts.bozdag_busy));
    table.push(van_de_vyvere(&facts.van_de_vyvere_sse, &facts.van_de_vyvere_polling));
    table.push(signalr(&facts.signalr)?);
    let columns = ["source", "question", "load here", "published", "predicted", "measured here", "remark"];
    Ok(Experiment {
        title: "Published results, measured again".into(),
        question: "What was published on these transports, what does theory predict, and what is measured here?".into(),
        answer: vec![format!("{} published results, each with the prediction of theory and the figure measured here.", table.len())],
        doubts: doubts(&facts.comparisons()),
        tables: vec![Table {
            title: "Published, predicted, measured".into(),
            columns: columns.map(Into::into).to_vec(),
            rows: table
                .into_iter()
                .map(|row| {
                    let Row { source, question, load, published, predicted, measured, remark } = row;
                    vec![source.into(), question.into(), load, published, predicted, measured, remark]
                })
                .collect(),
        }],
        method: vec![
            "The machines and networks of a publication are not available, so only its setting is repeated: rates, intervals, and delays \
             as a modelled network. Shapes and ratios can be compared, but not the milliseconds of its machines."
                .into(),
            "Times and CPU are of five rounds each, with 95 % intervals; bytes are exact, of one round.".into(),
            "SignalR's rounds offer more and more events, until deliveries fall behind, if such a rate can be reached. A round that falls behind \
             may be rejected as a measurement of latency; its deliveries a second count here nevertheless."
                .into(),
        ],
        ..Experiment::default()
    })
}

/// The first sound round of a transport, or a rejected one where there is no other; the chapter's doubts name rejected rounds.
fn round(comparison: &Comparison, transport: Transport) -> anyhow::Result<&Round> {
    let mut rounds: Vec<&Round> = comparison.rounds_of(transport).collect();
    rounds.sort_by_key(|round| !is_sound(round));
    rounds.first().copied().with_context(|| format!("{transport} is missing"))
}

/// Subscribers, event rate and payload: "50 subscribers, 20 events/s of 200 B".
fn load(comparison: &Comparison) -> String {
    let Scenario { subscribers, rate, payload_bytes, .. } = comparison.scenario;
    format!("{} subscribers, {rate} events/s of {payload_bytes} B", thousands(subscribers.into()))
}

/// How a published ratio above 1 compares with the one measured here.
fn more(ratio: Estimate) -> &'static str {
    match ratio.above(1.0) {
        Answer::Yes => "Push costs more here as well.",
        Answer::No => "Push does not cost more here.",
        Answer::Unclear => "Whether push costs more cannot be decided here.",
    }
}

/// Bytes of request and response headers of a poll that brought events.
fn header_bytes(comparison: &Comparison, transport: Transport) -> anyhow::Result<(f64, f64)> {
    let ledger = &round(comparison, transport)?.ledger;
    let with_events = ledger.requests.saturating_sub(ledger.empty_polls).max(1) as f64;
    Ok((ledger[Layer::RequestHeaders] as f64 / with_events, ledger[Layer::ResponseHeaders] as f64 / with_events))
}

/// Envelope bytes of an event.
fn envelope_bytes(comparison: &Comparison, transport: Transport) -> anyhow::Result<f64> {
    let ledger = &round(comparison, transport)?.ledger;
    Ok(ledger[Layer::Framing] as f64 / ledger.events.max(1) as f64)
}

/// Megabits a second as Kaazing's article counts them: 8 bits a byte, 2^20 bits a megabit.
fn mbps(bytes: f64, clients: f64) -> f64 {
    bytes * 8.0 * clients / f64::from(1 << 20)
}

/// The load of a row that compares bytes of one message.
fn byte_load(comparison: &Comparison) -> String {
    let interval_ms = comparison.scenario.poll_interval_ms;
    format!("{}, polls every {interval_ms} ms; the bytes of one message do not depend on them", load(comparison))
}

fn kaazing(found: &Comparison) -> anyhow::Result<Vec<Row>> {
    const SOURCE: &str = "Kaazing 2010";
    /// The article's overhead of a poll, and of a WebSocket message, in bytes.
    const PRINTED: f64 = 871.0;
    const FRAME: f64 = 2.0;
    /// The same headers with their line ends, as they cross the wire: request and response.
    const ON_THE_WIRE: (f64, f64) = (716.0, 193.0);
    let (request, response) = header_bytes(found, Transport::Polling)?;
    let (poll, frame) = (request + response, envelope_bytes(found, Transport::WebSocket)?);
    let clients = [1e3, 1e4, 1e5];
    let each = |bytes: f64| clients.map(|clients| short(mbps(bytes, clients))).join(" / ");
    let wire = ON_THE_WIRE.0 + ON_THE_WIRE.1;
    let load = byte_load(found);
    Ok(vec![
        Row {
            source: SOURCE,
            question: "bytes of overhead: a poll, and a WebSocket message of 20 characters",
            load: load.clone(),
            published: format!("{PRINTED} and {FRAME}"),
            predicted: format!("{wire} ({} + {}) and {FRAME}", ON_THE_WIRE.0, ON_THE_WIRE.1),
            measured: format!("{} ({} + {}) and {}", short(poll), short(request), short(response), short(frame)),
            remark: format!(
                "According to the article, its request and response headers have {PRINTED} bytes. It counts characters and leaves out line \
                 ends: the headers that it prints are {} + {} = {wire} bytes on the wire. Its {FRAME} bytes are the framing of the draft \
                 of that year (0x00 and 0xFF); today's header of a short message is {FRAME} bytes as well.",
                ON_THE_WIRE.0, ON_THE_WIRE.1
            ),
        },
        Row {
            source: SOURCE,
            question: "overhead at 1,000 / 10,000 / 100,000 clients, a message a second, in Mbit/s",
            load: format!("computed for these numbers of clients from the bytes of one message at {load}"),
            published: "6.6 / 66 / 665 against 0.015 / 0.153 / 1.526".into(),
            predicted: format!("{} against {}", each(PRINTED), each(FRAME)),
            measured: format!("{} against {}", each(poll), each(frame)),
            remark: "The article computes these figures too, and measures nothing. Its megabit is 2^20 bits.".into(),
        },
        Row {
            source: SOURCE,
            question: "overhead and latency of polling, as multiples of those of WebSocket",
            load,
            published: "500:1 \"or even 1000:1\", and 3:1".into(),
            predicted: format!("{} for the overhead; none for latency, which depends on the interval", PRINTED / FRAME),
            measured: format!("{} for the overhead", short(poll / frame)),
            remark: format!(
                "The article claims 500:1. Its own figures, {PRINTED} and {FRAME}, make it {}. Its 3:1 for latency compares polling's worst \
                 case with WebSocket's best.",
                PRINTED / FRAME
            ),
        },
    ])
}

fn appelqvist(found: &Comparison) -> anyhow::Result<Row> {
    let both = |(request, response): (f64, f64)| format!("{} + {}", short(request), short(response));
    Ok(Row {
        source: "Appelqvist & Ornmyr 2017",
        question: "header bytes a message: polling, long polling, SSE, WebSocket",
        load: byte_load(found),
        published: "281 + 191, 273 + 191, 8, 2".into(),
        predicted: "the headers of the browser; 8, an id line and the size of a chunk for SSE; 2 for WebSocket".into(),
        measured: format!(
            "{}, {}, {}, {}",
            both(header_bytes(found, Transport::Polling)?),
            both(header_bytes(found, Transport::LongPolling)?),
            short(envelope_bytes(found, Transport::Sse)?),
            short(envelope_bytes(found, Transport::WebSocket)?)
        ),
        remark: "Browsers send longer headers today. SSE's 8 bytes are `data: ` and a blank line; resuming requires an id line as well, and \
                 HTTP/1.1 adds the size of a chunk."
            .into(),
    })
}

fn pimentel(found: &Comparison, pause_ms: f64) -> Row {
    // The mean that the publication measured over WebSocket from Edmonton is the one-way delay here.
    let delay_ms = found.scenario.network.delay_us as f64 / 1e3;
    let mean = |transport| figure(found, transport, LATENCY).in_words();
    let ratio = times((found, Transport::Polling), (found, Transport::WebSocket), LATENCY);
    let predicted = pause_ms / 2.0 + 2.0 * delay_ms;
    Row {
        source: "Pimentel & Nickerson 2012",
        question: "mean latency in ms from Edmonton: polling, WebSocket, ratio",
        load: format!("{}, {pause_ms} ms between a response and the next poll, {delay_ms} ms of delay each way", load(found)),
        published: "151.3, 40.3, 3.75 (2.31 to 4.48 over four locations)".into(),
        predicted: format!("{}, {}, {}", short(predicted), short(delay_ms), short(predicted / delay_ms)),
        measured: format!("{}; {}; {}", mean(Transport::Polling), mean(Transport::WebSocket), ratio.in_words()),
        remark: "Theory has half the pause and two one-way delays: a poller that pauses after each response has an interval of the pause \
                 and the round trip. The network here is modelled, so WebSocket's figure only repeats its setting."
            .into(),
    }
}

fn rfc_6202(found: &Comparison, exchange_ms: f64) -> Row {
    let delay_ms = found.scenario.network.delay_us as f64 / 1e3;
    let ratio = times((found, Transport::LongPolling), (found, Transport::WebSocket), LATENCY);
    let delay = figure(found, Transport::WebSocket, LATENCY).value;
    // With only a few dozen events at random times, the rate differs from that of the scenario.
    let drawn = figure(found, Transport::LongPolling, DELIVERIES_PER_S).value / f64::from(found.scenario.subscribers);
    let expected = theory::long_polling(delay, exchange_ms, drawn);
    let sound = found.rounds_of(Transport::LongPolling).filter(|round| is_sound(round));
    let max = sound.filter_map(|round| round.latency_ns.max()).max().unwrap_or(0) as f64 / 1e6;
    Row {
        source: "RFC 6202, section 2.2",
        question: "long polling's latency in network transits: average, longest",
        load: format!("{} (Poisson), {delay_ms} ms of delay each way", load(found)),
        published: "close to 1, over 3".into(),
        predicted: format!("{}, {}", short(expected.mean_ms / delay), short(expected.max_ms / delay)),
        measured: format!("{}; {}", ratio.in_words(), short(max / delay)),
        remark: "The RFC names no rate. The average is close to one transit only while events are rare compared with round trips. \"Over \
                 three\" requires loss or work at either end; without them the longest is three: a response, a request, a response."
            .into(),
    }
}

/// Push against pull with the same events: at the paper's own load, and at one that keeps the server busy.
fn bozdag(own_load: &Comparison, busy: &Comparison) -> [Row; 2] {
    let row = |comparison: &Comparison, question, remark: &str| {
        let ratio = times((comparison, Transport::LongPolling), (comparison, Transport::Polling), CPU_PER_S);
        let share = |transport| percent(utilisation(comparison, transport));
        Row {
            source: "Bozdag et al. 2007",
            question,
            load: format!(
                "{}, polls every {} ms; the server used {} of a processor over polling, {} over long polling",
                load(comparison),
                comparison.scenario.poll_interval_ms,
                share(Transport::Polling),
                share(Transport::LongPolling)
            ),
            published: "7 times; the server saturates at 350 to 500 clients".into(),
            predicted: "about 1: a request and a response for each event, either way".into(),
            measured: format!("{} times", ratio.in_words()),
            remark: format!("{} {remark}", more(ratio)),
        }
    };
    [
        row(
            own_load,
            "server CPU, push (Comet, long polling) over pull, 1,000 clients, an event a second, a poll a second",
            "The paper compared push by Comet (Bayeux, long polling, on a Java server) with pull, publish and pull intervals of 1, 5, 15 \
             and 50 s, and 100 to 1,000 clients. This is its shortest interval and its largest number. Its server is not compared: this \
             one is nearly idle at that load, and its CPU time is mostly wake-ups: one per event over long polling, one per poll over \
             polling.",
        ),
        row(
            busy,
            "the same at a load that keeps this server busy, which the paper did not have",
            "The paper's figures are of a server with a thread or a continuation for each waiting request, where a waiting client costs \
             something else than at this server.",
        ),
    ]
}

fn van_de_vyvere(sse: &Comparison, polling: &[Comparison]) -> Row {
    let ratio = |polling: &Comparison| {
        let ratio = times((polling, Transport::Polling), (sse, Transport::Sse), CPU_PER_S);
        (polling.scenario.poll_interval_ms as f64, ratio)
    };
    let ratios: Vec<(f64, Estimate)> = polling.iter().map(ratio).collect();
    let costs: Vec<String> =
        ratios.iter().map(|(interval, ratio)| format!("{} at {interval} ms", ratio.in_words())).collect();
    let curve: Vec<(f64, f64)> = ratios.iter().map(|(interval, ratio)| (*interval, ratio.value)).collect();
    let cheaper = ratios.iter().find(|(_, ratio)| ratio.below(1.0) == Answer::Yes);
    Row {
        source: "Van de Vyvere et al. 2020",
        question: "server CPU of polling over that of SSE, by the poll interval, and where polling becomes cheaper",
        load: format!(
            "{}; the server used {} of a processor over SSE",
            load(sse),
            percent(utilisation(sse, Transport::Sse))
        ),
        published: "SSE serves more than twice the clients (of up to 25,000) where updates are wanted at once; beyond some acceptable \
                    latency polling serves more"
            .into(),
        predicted: format!("polling is cheaper where a poll brings several events: beyond {} ms", 1e3 / sse.scenario.rate),
        measured: format!(
            "{}; both cost the same {}",
            costs.join(", "),
            crossing(&curve, 1.0).map_or("at no interval between these".into(), |at| format!("at {} ms", short(at)))
        ),
        remark: match cheaper {
            Some((interval, _)) => format!(
                "Of the intervals tried, {interval} ms is the shortest at which polling is shown to be cheaper. CPU at a fixed number of \
                 clients is compared here, not the largest number of clients of a server."
            ),
            None => "Polling is shown to be cheaper at none of the intervals tried. CPU at a fixed number of clients is compared here, \
                     not the largest number of clients of a server."
                .into(),
        },
    }
}

/// The largest number of events a second that arrived over a transport.
struct Peak<'a> {
    transport: Transport,
    comparison: &'a Comparison,
    /// Deliveries a second, with their interval.
    delivered: Estimate,
    /// Deliveries a second that were due for the published events.
    due: f64,
}

impl<'a> Peak<'a> {
    /// Over all rounds, rejected ones too, since the row looks for the rate at which deliveries fall behind.
    fn of(found: &'a [Comparison], transport: Transport) -> anyhow::Result<Self> {
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
        all.max_by(|left, right| left.delivered.value.total_cmp(&right.delivered.value)).context("no rate was tried")
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
        self.delivered.value < MIN_KEPT_UP * self.due
    }

    /// Whether the client used so much of a processor that it is the limit.
    fn is_client_limited(&self) -> bool {
        self.share(|round| round.client.cpu_ns) > MAX_CLIENT_BUSY
    }

    fn in_words(&self) -> String {
        let batch = match self.transport.exchange() {
            Exchange::LongPoll => {
                let batch = self.mean(|round| {
                    let ledger = &round.ledger;
                    ledger.events as f64 / ledger.requests.saturating_sub(ledger.empty_polls).max(1) as f64
                });
                format!(", {} events a response", short(batch))
            }
            Exchange::Poll | Exchange::Stream | Exchange::Socket => String::new(),
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

/// The share of the due events that arrive over a transport that keeps up.
const MIN_KEPT_UP: f64 = 0.95;
/// The share of a processor above which the client's one thread is the limit.
const MAX_CLIENT_BUSY: f64 = 0.9;

/// Events a second that arrive, as the offered rate grows towards more than can be delivered.
fn signalr(found: &[Comparison]) -> anyhow::Result<Row> {
    let scenario = &found.first().context("no rate was tried")?.scenario;
    let long_polling = Peak::of(found, Transport::LongPolling)?;
    let websocket = Peak::of(found, Transport::WebSocket)?;
    let limit = if !(long_polling.is_behind() && websocket.is_behind()) {
        "Saturation was not reached: at least one of the two kept up with all events published, so the figures are not limits."
    } else if long_polling.is_client_limited() || websocket.is_client_limited() {
        "Saturation of the server could not be reached: the client's one thread is the first limit."
    } else {
        "Both fell behind while the client had processor time left, so the server and its publisher are the limit."
    };
    let offered: Vec<String> = found.iter().map(|comparison| short(comparison.scenario.rate)).collect();
    Ok(Row {
        source: "SignalR issue 2293",
        question: "the largest number of events a second that arrive: long polling against WebSocket",
        load: format!(
            "{} subscribers, {} events/s offered (Poisson, {} B), loopback",
            scenario.subscribers,
            offered.join(" / "),
            scenario.payload_bytes
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
            "According to the issue, long polling gains by the batch that gathers between polls, at the cost of latency. This server \
             writes up to 64 waiting events at once over WebSocket as well, so batches are not special to long polling. {limit}"
        ),
    })
}
