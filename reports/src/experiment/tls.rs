//! TLS: what it adds to each delivery and to opening a connection.

use anyhow::Context;
use protocol::experiment::{Drawing, Experiment, Line, Lines, Point, Status, Table, Verdict};
use protocol::facts::tls::{Opened, TlsFacts};
use protocol::{Layer, Transport};

use super::claims::verdict;
use super::draw::{axis, dashed, doubts, labelled};
use super::evidence::{Answer, CPU, Estimate, percent, pooled, times, utilisation};
use crate::number::{short, short_or_dash};
use crate::summary::{Row, median, rows};
use crate::table::scenario;

/// A record's header, the byte with its content type, and the tag (RFC 8446, section 5.2), in bytes.
const RECORD_BYTES: f64 = 22.0;
/// How far framing bytes per event may differ within TLS and without it: pings are sent now and then, and not with the events.
const MAX_FRAMING_DIFFERENCE: f64 = 0.1;
/// The largest number of records an event: pings and close frames have records of their own. There is no smallest, since a server that
/// lags puts several events into one record.
const MAX_RECORDS: f64 = 1.25;
/// The number of additional round trips to open a connection within TLS that counts as one.
const ONE_ROUND_TRIP: (f64, f64) = (0.75, 1.5);

/// The figures that decide claim 28.
pub struct Within {
    /// Framing bytes per event within TLS over without it; `None` where no round is sound.
    pub framing: Option<f64>,
    /// TLS records per event: bytes over the 22 that each adds.
    pub records: f64,
    /// Additional round trips to open a connection.
    pub round_trips: Estimate,
}

/// Claim 28: wss is ws within TLS.
pub fn ws_within_tls(within: &Within) -> Status {
    let Some(framing) = within.framing else { return Status::NotMeasurable };
    let same = Answer::from(
        (framing - 1.0).abs() <= MAX_FRAMING_DIFFERENCE && within.records > 0.0 && within.records <= MAX_RECORDS,
    );
    same.and(within.round_trips.between(ONE_ROUND_TRIP.0, ONE_ROUND_TRIP.1)).decides(Status::Holds, Status::DoesNotHold)
}

fn mean_ms(opened: &Opened) -> f64 {
    opened.ms.iter().sum::<f64>() / opened.ms.len() as f64
}

/// A count for each connection.
fn each(opened: &Opened, count: u64) -> String {
    short(count as f64 / opened.ms.len() as f64)
}

pub fn derive(facts: &TlsFacts) -> anyhow::Result<Experiment> {
    let TlsFacts { plain, within_tls, opened, connected_at_once, plain_opening_cpu_us, tls_opening_cpu_us } = facts;
    let [plain_rows, within_rows]: [Vec<Row>; 2] = [plain, within_tls].map(rows);
    let of = |rows: &'_ [Row], transport: Transport| {
        rows.iter().position(|row| row.transport == transport).with_context(|| format!("{transport} is missing"))
    };
    let per_event = |row: &Row, layer: Layer| row.ledger[layer] as f64 / row.events();
    let websocket = |rows: &[Row], layer| anyhow::Ok(per_event(&rows[of(rows, Transport::WebSocket)?], layer));
    let records = websocket(&within_rows, Layer::Tls)?;
    let sound = plain_rows.iter().chain(&within_rows).all(|row| row.sound > 0);
    let cpu = |transport| times((within_tls, transport), (plain, transport), CPU);
    let farthest = |tls| opened.iter().rfind(|opened| opened.tls == tls).context("opened connections are missing");
    let (without, with) = (farthest(false)?, farthest(true)?);
    let opening = format!(
        "Opening takes {} B instead of {} B, at {} ms of delay {} ms instead of {} ms, and {} us of the server's CPU instead of {} us",
        each(with, with.ledger.wire_bytes()),
        each(without, without.ledger.wire_bytes()),
        with.delay_ms,
        short(mean_ms(with)),
        short(mean_ms(without)),
        short(*tls_opening_cpu_us),
        short(*plain_opening_cpu_us)
    );
    let load = scenario(plain);
    let [busy_plain, busy_within] =
        [plain, within_tls].map(|comparison| percent(utilisation(comparison, Transport::WebSocket)));
    let delivery = format!(
        "To an event over WebSocket, TLS adds {} B ({RECORD_BYTES} B a record); server CPU a delivery, within TLS over without: {} times, \
         with the server at {busy_plain} of a processor without and {busy_within} within",
        short(records),
        cpu(Transport::WebSocket).in_words()
    );
    // The additional time of opening, connection by connection, in round trips of the longest delay.
    let additional: Vec<(f64, f64)> = with
        .ms
        .iter()
        .zip(&without.ms)
        .map(|(with_ms, without_ms)| (with_ms - without_ms, 2.0 * with.delay_ms as f64))
        .collect();
    let framing = websocket(&within_rows, Layer::Framing)? / websocket(&plain_rows, Layer::Framing)?;
    let decided =
        Within { framing: sound.then_some(framing), records: records / RECORD_BYTES, round_trips: pooled(&additional) };
    let latency = |row: &Row| short_or_dash(median(&row.each(|figures| figures.p50_ms)));
    let delivered = |plain: &Row| {
        let within = &within_rows[of(&within_rows, plain.transport)?];
        anyhow::Ok(vec![
            plain.transport.label().into(),
            short(per_event(within, Layer::Tls)),
            cpu(plain.transport).in_words(),
            latency(plain),
            latency(within),
        ])
    };
    let opened_row = |opened: &Opened| {
        vec![
            opened.delay_ms.to_string(),
            if opened.tls { "1.3" } else { "none" }.into(),
            short(mean_ms(opened)),
            each(opened, opened.ledger.wire_bytes()),
            opened.ledger.kernel.map_or_else(|| short_or_dash(None), |kernel| each(opened, kernel.segments())),
        ]
    };
    let connections = with.ms.len();
    Ok(Experiment {
        title: "TLS costs a round trip at the start, and 22 bytes a write from then on".into(),
        question: "What does TLS add to a connection, and to each event?".into(),
        answer: vec![format!("{opening}."), format!("{delivery}.")],
        doubts: doubts(&[plain, within_tls]),
        drawings: vec![Drawing::Lines(until_open(opened))],
        tables: vec![
            Table {
                title: "Deliveries without TLS and within it".into(),
                columns: ["transport", "TLS records, B/event", "server CPU, within over without", "p50, ms", "p50 within, ms"]
                    .map(Into::into)
                    .to_vec(),
                rows: plain_rows.iter().map(delivered).collect::<anyhow::Result<_>>()?,
            },
            Table {
                title: "Opening a WebSocket".into(),
                columns: ["delay, ms", "TLS", "open after, ms", "bytes", "segments"].map(Into::into).to_vec(),
                rows: opened.iter().map(opened_row).collect(),
            },
        ],
        verdicts: vec![Verdict {
            figure: format!(
                "{opening}. That is {} round trips more. Frame headers an event: {} times as many bytes within TLS as without. {delivery}",
                decided.round_trips.in_words(),
                decided.framing.map_or("an unknown number of".into(), short)
            ),
            why: "The same handshake and the same frames, inside TLS's records; the handshake of TLS comes first and takes one more round \
                  trip."
                .into(),
            prediction: format!(
                "Within TLS the frames are the same, each write becomes a record of {RECORD_BYTES} B more, and opening takes one round \
                 trip more (TLS 1.3)."
            ),
            refuted_by: format!(
                "Frame headers that differ by more than {} % an event, more than {MAX_RECORDS} records an event, or a number of additional \
                 round trips to open, over {connections} connections, whose interval lies outside {} to {}.",
                MAX_FRAMING_DIFFERENCE * 100.0,
                ONE_ROUND_TRIP.0,
                ONE_ROUND_TRIP.1
            ),
            working_point: format!(
                "Deliveries: {load}. Opening: {connections} connections one after another at {} ms of delay.",
                with.delay_ms
            ),
            turns_at: "Does not change with the load: bytes and round trips do not depend on it. The ratio of CPU may, and is given for this \
                       load alone. Where a session is resumed with early data, the additional round trip is not needed."
                .into(),
            ..verdict(28, ws_within_tls(&decided))
        }],
        method: vec![
            format!("{load}; and the same over TLS, rounds of both in one shuffled order."),
            "TLS 1.3, no session is resumed, the certificate is a self-signed one (ECDSA, P-256): a chain from an authority is longer by \
             its intermediate certificates."
                .into(),
            format!("The server's CPU for opening is the mean over {connected_at_once} WebSockets that connect at once."),
        ],
        ..Experiment::default()
    })
}

/// The time until a WebSocket is open, over the delay, with the round trips that it takes.
fn until_open(opened: &[Opened]) -> Lines {
    let measured = |tls: bool| -> Line {
        let points = opened.iter().filter(|opened| opened.tls == tls);
        let points = points.map(|opened| Point::new(opened.delay_ms as f64, mean_ms(opened)));
        labelled(if tls { "within TLS" } else { "without TLS" }, points.collect())
    };
    let theory = |label: &str, ways: f64| {
        let delays = opened.iter().filter(|opened| !opened.tls).map(|opened| opened.delay_ms as f64);
        dashed(label, delays.map(|delay| Point::new(delay, delay * ways)).collect())
    };
    let connections = opened.first().map_or(0, |opened| opened.ms.len());
    Lines {
        name: "tls-opening".into(),
        title: "TLS takes one more round trip until a WebSocket is open".into(),
        caption: format!(
            "From the decision to connect until 101 has arrived, the mean of {connections}. TCP takes a round trip, TLS 1.3 another, and \
             the WebSocket's handshake the last."
        ),
        x: axis("one-way delay in ms", false),
        y: axis("until it is open, in ms", false),
        lines: vec![measured(false), measured(true), theory("2 round trips", 4.0), theory("3 round trips", 6.0)],
    }
}
