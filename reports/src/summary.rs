//! A run's rounds drawn together, a row for each transport: the figures that table, charts and sentences share.

use protocol::result::{CLIENT_LIMITED, Comparison, Round};
use protocol::{Histogram, Layer, Ledger, Transport};

use crate::statistics::geometric_mean;

/// The fewest events beyond a percentile for which it is given. Deliveries of one event are not independent of each other: of fifty
/// subscribers, all wait for the same late event.
pub const MIN_EVENTS_BEYOND: u64 = 5;

/// What a run found of one transport. Rejected rounds are counted and otherwise left out.
#[derive(Debug, Clone)]
pub struct Row {
    /// The transport.
    pub transport: Transport,
    /// Rounds that passed all gates.
    pub sound: usize,
    /// Rounds that did not.
    pub rejected: usize,
    /// Delivery latency t2 - t0 of all sound rounds, merged.
    pub latency: Histogram,
    /// The slowest delivery of each event, merged likewise; empty in results of earlier versions.
    pub slowest: Histogram,
    /// Naive latency t2 - t1, merged likewise.
    pub naive: Histogram,
    /// Publisher lateness t1 - t0, merged likewise.
    pub lateness: Histogram,
    /// The ledgers of all sound rounds, from connecting to leaving, added up.
    pub whole: Ledger,
    /// The part of them that falls into the windows: what standing subscriptions take. In results of earlier versions it is the
    /// whole.
    pub ledger: Ledger,
    /// What varies from round to round, of each sound one.
    pub figures: Vec<Figures>,
}

/// The figures of one round.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figures {
    /// Which of the transport's rounds it is, from 1; rounds of one number ran next to each other.
    pub round: u32,
    /// Whether something makes the round's latencies doubtful; they are shown and compared with no others.
    pub latency_in_doubt: bool,
    /// Whether something makes the server's CPU time doubtful: anything but a client that was too slow.
    pub cpu_in_doubt: bool,
    /// Median delivery latency, in ms.
    pub p50_ms: Option<f64>,
    /// Delivery latency that 99 % did not exceed, in ms, where the round's events carry it.
    pub p99_ms: Option<f64>,
    /// Server CPU time per delivered event, in us.
    pub cpu_us: Option<f64>,
    /// The share of one processor that the server used in the window, in [0, 1] for a server with one thread.
    pub utilisation: f64,
}

/// The rows of a run, in the order of [`Transport::ALL`].
pub fn rows(comparison: &Comparison) -> Vec<Row> {
    let measured = |transport: &Transport| comparison.rounds_of(*transport).next().is_some();
    Transport::ALL.into_iter().filter(measured).map(|transport| row(comparison, transport)).collect()
}

fn row(comparison: &Comparison, transport: Transport) -> Row {
    let mut row = Row {
        transport,
        sound: 0,
        rejected: 0,
        latency: Histogram::default(),
        slowest: Histogram::default(),
        naive: Histogram::default(),
        lateness: Histogram::default(),
        whole: Ledger::default(),
        ledger: Ledger::default(),
        figures: Vec::new(),
    };
    for round in comparison.rounds_of(transport) {
        if !round.is_sound() {
            row.rejected += 1;
            continue;
        }
        row.sound += 1;
        row.latency.merge(&round.latency_ns);
        row.slowest.merge(&round.slowest_ns);
        row.naive.merge(&round.naive_latency_ns);
        row.lateness.merge(&round.publisher_lateness_ns);
        row.whole += round.ledger;
        row.ledger += round.window_ledger.unwrap_or(round.ledger);
        let ms = |quantile| carried(&round.latency_ns, &round.slowest_ns, quantile).map(|ns| ns as f64 / 1e6);
        row.figures.push(Figures {
            round: round.round,
            latency_in_doubt: !round.warnings.is_empty(),
            cpu_in_doubt: is_cpu_in_doubt(round),
            p50_ms: ms(0.5),
            p99_ms: ms(0.99),
            cpu_us: cpu_us(round),
            utilisation: round.server.cpu_ns as f64 / round.server.window_ns.max(1) as f64,
        });
    }
    row
}

/// The duration in ns that a share `quantile` of the deliveries does not exceed, where ten deliveries and
/// [`MIN_EVENTS_BEYOND`] different events lie beyond it.
pub fn carried(latency: &Histogram, slowest: &Histogram, quantile: f64) -> Option<u64> {
    let ns = latency.carried_quantile(quantile)?;
    // Results of earlier versions do not say which events their samples are of.
    (slowest.count() == 0 || events_from(slowest, ns) >= MIN_EVENTS_BEYOND).then_some(ns)
}

/// Events of which some delivery took `ns` or longer.
fn events_from(slowest: &Histogram, ns: u64) -> u64 {
    slowest.buckets().filter(|bucket| bucket.0 >= ns).map(|bucket| bucket.1).sum()
}

/// Whether something makes the server's CPU time of a round doubtful: anything but a client that was too slow, which waits for events
/// and keeps the server from none.
pub fn is_cpu_in_doubt(round: &Round) -> bool {
    round.warnings.iter().any(|warning| !warning.starts_with(CLIENT_LIMITED))
}

/// Server CPU time per delivered event of a round, in us; `None` where nothing was delivered.
fn cpu_us(round: &Round) -> Option<f64> {
    let deliveries = round.server.deliveries as f64;
    (deliveries > 0.0).then(|| round.server.cpu_ns as f64 / 1e3 / deliveries)
}

impl Figures {
    /// The median latency in ms, where it is not in doubt.
    pub fn clear_p50_ms(&self) -> Option<f64> {
        self.p50_ms.filter(|_| !self.latency_in_doubt)
    }

    /// The latency in ms that 99 % did not exceed, where it is not in doubt and the round's events carry it.
    pub fn clear_p99_ms(&self) -> Option<f64> {
        self.p99_ms.filter(|_| !self.latency_in_doubt)
    }

    /// Server CPU time per delivered event in us, where it is not in doubt.
    pub fn clear_cpu_us(&self) -> Option<f64> {
        self.cpu_us.filter(|_| !self.cpu_in_doubt)
    }
}

impl Row {
    /// Wire bytes per delivered event, both ways, of standing subscriptions.
    pub fn wire_bytes_per_event(&self) -> f64 {
        self.ledger.wire_bytes() as f64 / self.events()
    }

    /// Wire bytes less the event's own, per delivered event.
    pub fn overhead_bytes_per_event(&self) -> f64 {
        self.ledger.overhead_bytes() as f64 / self.events()
    }

    /// Requests per delivered event.
    pub fn requests_per_event(&self) -> f64 {
        self.ledger.requests as f64 / self.events()
    }

    /// The share of requests that brought nothing, in [0, 1]; `None` where none was sent.
    pub fn empty_share(&self) -> Option<f64> {
        (self.ledger.requests > 0).then(|| self.ledger.empty_polls as f64 / self.ledger.requests as f64)
    }

    /// Wire bytes that a connection takes once: handshakes, and the heads of a response that then goes on. Polls have heads each time,
    /// and so none of these.
    pub fn opening_bytes(&self) -> f64 {
        let heads = self.whole[Layer::RequestHead] + self.whole[Layer::ResponseHead];
        let once = if self.ledger.requests == 0 { heads } else { 0 };
        (self.whole[Layer::Handshake] + once) as f64 / self.whole.connections.max(1) as f64
    }

    /// One figure of every sound round that has it.
    pub fn each(&self, figure: impl Fn(&Figures) -> Option<f64>) -> Vec<f64> {
        self.figures.iter().filter_map(figure).collect()
    }

    /// Server CPU time per delivered event, in us, with its 95 % interval where there are enough rounds: the geometric mean over the sound
    /// rounds, so that of two transports' figures the ratio is the mean ratio of their rounds. Rounds in doubt are left out where others
    /// are left.
    pub fn cpu(&self) -> Option<(f64, Option<(f64, f64)>)> {
        geometric_mean(&self.each(Figures::clear_cpu_us))
            .or_else(|| geometric_mean(&self.each(|figures| figures.cpu_us)))
    }

    /// The same without its interval.
    pub fn cpu_us(&self) -> Option<f64> {
        self.cpu().map(|cpu| cpu.0)
    }

    /// The share of one processor that the server used, in [0, 1] for a server with one thread: the median of the sound rounds.
    pub fn utilisation(&self) -> Option<f64> {
        median(&self.each(|figures| Some(figures.utilisation)))
    }

    /// Events the ledger's bytes brought, deliveries to different subscribers counted each; at least 1, so that it can divide.
    pub fn events(&self) -> f64 {
        self.ledger.events.max(1) as f64
    }

    /// The latency in ms that a share `quantile` does not exceed, where deliveries and events carry it.
    pub fn latency_ms(&self, quantile: f64) -> Option<f64> {
        carried(&self.latency, &self.slowest, quantile).map(|ns| ns as f64 / 1e6)
    }

    /// Different events with a delivery at or beyond a percentile, where that is given.
    pub fn events_beyond(&self, quantile: f64) -> Option<u64> {
        let ns = carried(&self.latency, &self.slowest, quantile)?;
        (self.slowest.count() > 0).then(|| events_from(&self.slowest, ns))
    }
}

/// The median: the middle value, or the mean of the two in the middle; `None` of nothing.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(sorted[middle]),
        _ => Some((sorted[middle - 1] + sorted[middle]) / 2.0),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A row of which nothing is known but the server's CPU time per event, in us, round by round.
    pub fn row_with(transport: Transport, cpu_us: impl Iterator<Item = f64>) -> Row {
        let figures = (1..).zip(cpu_us).map(|(round, cpu_us)| Figures {
            round,
            latency_in_doubt: false,
            cpu_in_doubt: false,
            p50_ms: None,
            p99_ms: None,
            cpu_us: Some(cpu_us),
            utilisation: 0.5,
        });
        let figures: Vec<_> = figures.collect();
        Row {
            transport,
            sound: figures.len(),
            rejected: 0,
            latency: Histogram::default(),
            slowest: Histogram::default(),
            naive: Histogram::default(),
            lateness: Histogram::default(),
            whole: Ledger::default(),
            ledger: Ledger::default(),
            figures,
        }
    }

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(geometric_mean(&[1.0, 4.0]), Some((2.0, None)));
    }

    #[test]
    fn fifty_deliveries_of_one_late_event_carry_no_percentile() {
        let latency =
            |late: u64| -> Histogram { (0..10_000).map(|n| if n < late { 9_000_000 } else { 1_000_000 }).collect() };
        let slowest =
            |late: u64| -> Histogram { (0..200).map(|n| if n < late { 9_000_000 } else { 1_000_000 }).collect() };
        // Two hundred events to fifty subscribers: four late events are two per cent of the deliveries.
        assert_eq!(carried(&latency(200), &slowest(4), 0.99), None);
        assert!(carried(&latency(250), &slowest(5), 0.99).is_some());
        assert!(carried(&latency(200), &Histogram::default(), 0.99).is_some(), "earlier results");
    }

    #[test]
    fn what_is_paid_once_is_told_apart_from_what_is_paid_for_each_event() {
        let stream = Row {
            whole: Ledger { request_head_bytes: 300, response_head_bytes: 200, connections: 5, ..Ledger::default() },
            ..row_with(Transport::Sse, [].into_iter())
        };
        assert_eq!(stream.opening_bytes(), 100.0);
        let polls = Row { ledger: Ledger { requests: 9, empty_polls: 3, ..stream.whole }, ..stream };
        assert_eq!((polls.opening_bytes(), polls.empty_share()), (0.0, Some(1.0 / 3.0)));
    }
}
