//! The rounds of a comparison combined into a row for each transport: the figures that table, charts and sentences share.

use protocol::result::{Comparison, Round};
use protocol::{Histogram, Layer, Ledger, Transport};

use crate::judge::{is_sound, warnings};
use crate::statistics::geometric_mean;

/// The smallest number of events beyond a percentile for which it is given. Deliveries of one event are not independent of each other: if
/// an event is late, it is late for all subscribers.
pub const MIN_EVENTS_BEYOND: u64 = 5;

/// The figures of one transport. Rejected rounds are counted and otherwise left out.
#[derive(Debug, Clone)]
pub struct Row {
    /// The transport.
    pub transport: Transport,
    /// Rounds that passed all gates.
    pub sound: usize,
    /// Rounds that did not pass.
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
    /// The part of them that falls into the measurement windows, without opening and closing connections. In results of earlier versions it
    /// is equal to `whole`.
    pub ledger: Ledger,
    /// The figures of each sound round.
    pub figures: Vec<Figures>,
}

/// The figures of one round.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figures {
    /// Which of the transport's rounds it is, from 1; rounds of one number ran next to each other.
    pub round: u32,
    /// Whether the round's latencies are doubtful: they are shown, but not compared with others.
    pub is_latency_doubtful: bool,
    /// Whether the server's CPU time is doubtful: the round has a warning other than that the client was too slow.
    pub is_cpu_doubtful: bool,
    /// Median delivery latency, in ms.
    pub p50_ms: Option<f64>,
    /// Delivery latency that 99 % did not exceed, in ms, where the round has enough events.
    pub p99_ms: Option<f64>,
    /// Server CPU time per delivered event, in us.
    pub cpu_us: Option<f64>,
    /// The share of one processor that the server used in the window, in [0, 1] for a server with one thread; `None` if it was not measured.
    pub utilisation: Option<f64>,
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
        if !is_sound(round) {
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
        let ms =
            |quantile| supported_quantile(&round.latency_ns, &round.slowest_ns, quantile).map(|ns| ns as f64 / 1e6);
        row.figures.push(Figures {
            round: round.round,
            is_latency_doubtful: !warnings(round).is_empty(),
            is_cpu_doubtful: is_cpu_doubtful(round),
            p50_ms: ms(0.5),
            p99_ms: ms(0.99),
            cpu_us: cpu_us(round),
            utilisation: (round.server.cpu_ns > 0)
                .then(|| round.server.cpu_ns as f64 / round.server.window_ns.max(1) as f64),
        });
    }
    row
}

/// The duration in ns that a share `quantile` of the deliveries does not exceed, where ten deliveries and
/// [`MIN_EVENTS_BEYOND`] different events lie beyond it.
pub fn supported_quantile(latency: &Histogram, slowest: &Histogram, quantile: f64) -> Option<u64> {
    let ns = latency.supported_quantile(quantile)?;
    // Results of earlier versions do not have the slowest delivery of each event.
    (slowest.count() == 0 || events_from(slowest, ns) >= MIN_EVENTS_BEYOND).then_some(ns)
}

/// Events with at least one delivery that took `ns` or longer.
fn events_from(slowest: &Histogram, ns: u64) -> u64 {
    slowest.buckets().filter(|bucket| bucket.0 >= ns).map(|bucket| bucket.1).sum()
}

/// Whether the server's CPU time of a round is doubtful: the round has a warning other than that the client was too slow. A slow client
/// does not change the work of the server.
pub fn is_cpu_doubtful(round: &Round) -> bool {
    warnings(round).iter().any(|warning| !warning.is_of_client())
}

/// Server CPU time per delivered event of a round, in us; `None` where nothing was delivered, or it was not measured.
pub(crate) fn cpu_us(round: &Round) -> Option<f64> {
    let deliveries = round.server.deliveries as f64;
    (deliveries > 0.0 && round.server.cpu_ns > 0).then(|| round.server.cpu_ns as f64 / 1e3 / deliveries)
}

impl Figures {
    /// The median latency in ms, where it is not doubtful.
    pub fn reliable_p50_ms(&self) -> Option<f64> {
        self.p50_ms.filter(|_| !self.is_latency_doubtful)
    }

    /// The latency in ms that 99 % did not exceed, where it is not doubtful and the round has enough events.
    pub fn reliable_p99_ms(&self) -> Option<f64> {
        self.p99_ms.filter(|_| !self.is_latency_doubtful)
    }

    /// Server CPU time per delivered event in us, where it is not doubtful.
    pub fn reliable_cpu_us(&self) -> Option<f64> {
        self.cpu_us.filter(|_| !self.is_cpu_doubtful)
    }
}

impl Row {
    /// Wire bytes per delivered event, both ways, within the measurement windows.
    pub fn wire_bytes_per_event(&self) -> f64 {
        self.ledger.wire_bytes() as f64 / self.events()
    }

    /// Wire bytes per delivered event, without the event's own bytes.
    pub fn overhead_bytes_per_event(&self) -> f64 {
        self.ledger.overhead_bytes() as f64 / self.events()
    }

    /// Requests per delivered event.
    pub fn requests_per_event(&self) -> f64 {
        self.ledger.requests as f64 / self.events()
    }

    /// The share of requests whose response had no event, in [0, 1]; `None` where none was sent.
    pub fn empty_share(&self) -> Option<f64> {
        (self.ledger.requests > 0).then(|| self.ledger.empty_polls as f64 / self.ledger.requests as f64)
    }

    /// Wire bytes that are sent once for each connection: handshakes, and the request and response headers of a stream. The headers of polls
    /// are sent each time and are not included.
    pub fn opening_bytes(&self) -> f64 {
        let headers = self.whole[Layer::RequestHeaders] + self.whole[Layer::ResponseHeaders];
        let once = if self.ledger.requests == 0 { headers } else { 0 };
        (self.whole[Layer::Handshake] + once) as f64 / self.whole.connections.max(1) as f64
    }

    /// A figure of every sound round that has it.
    pub fn each(&self, figure: impl Fn(&Figures) -> Option<f64>) -> Vec<f64> {
        self.figures.iter().filter_map(figure).collect()
    }

    /// Server CPU time per delivered event, in us, with its 95 % interval where there are enough rounds: the geometric mean over the sound
    /// rounds, so that the ratio of two transports' figures is the mean ratio of their rounds. Doubtful rounds are left out unless
    /// all are doubtful.
    pub fn cpu(&self) -> Option<(f64, Option<(f64, f64)>)> {
        geometric_mean(&self.each(Figures::reliable_cpu_us))
            .or_else(|| geometric_mean(&self.each(|figures| figures.cpu_us)))
    }

    /// The estimate of [`Row::cpu`] without its interval.
    pub fn cpu_us(&self) -> Option<f64> {
        self.cpu().map(|cpu| cpu.0)
    }

    /// The share of one processor that the server used, in [0, 1] for a server with one thread: the median of the sound rounds.
    pub fn utilisation(&self) -> Option<f64> {
        median(&self.each(|figures| figures.utilisation))
    }

    /// Events in the ledger, with each delivery counted; at least 1, so that it can be a divisor.
    pub fn events(&self) -> f64 {
        self.ledger.events.max(1) as f64
    }

    /// The latency in ms that a share `quantile` does not exceed, where there are enough deliveries and events.
    pub fn latency_ms(&self, quantile: f64) -> Option<f64> {
        supported_quantile(&self.latency, &self.slowest, quantile).map(|ns| ns as f64 / 1e6)
    }

    /// Different events with a delivery at or beyond a percentile, where that percentile is given.
    pub fn events_beyond(&self, quantile: f64) -> Option<u64> {
        let ns = supported_quantile(&self.latency, &self.slowest, quantile)?;
        (self.slowest.count() > 0).then(|| events_from(&self.slowest, ns))
    }
}

/// The median: the middle value, or the mean of the two in the middle; `None` for an empty slice.
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

    /// A row that has only the server's CPU time per event, in us, round by round.
    pub fn row_with(transport: Transport, cpu_us: impl Iterator<Item = f64>) -> Row {
        let figures = (1..).zip(cpu_us).map(|(round, cpu_us)| Figures {
            round,
            is_latency_doubtful: false,
            is_cpu_doubtful: false,
            p50_ms: None,
            p99_ms: None,
            cpu_us: Some(cpu_us),
            utilisation: Some(0.5),
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
    fn the_median_is_the_middle_value() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(geometric_mean(&[1.0, 4.0]), Some((2.0, None)));
    }

    #[test]
    fn a_percentile_needs_several_late_events_and_not_only_many_late_deliveries() {
        let latency =
            |late: u64| -> Histogram { (0..10_000).map(|n| if n < late { 9_000_000 } else { 1_000_000 }).collect() };
        let slowest =
            |late: u64| -> Histogram { (0..200).map(|n| if n < late { 9_000_000 } else { 1_000_000 }).collect() };
        // Two hundred events to fifty subscribers: four late events are two per cent of the deliveries.
        assert_eq!(supported_quantile(&latency(200), &slowest(4), 0.99), None);
        assert!(supported_quantile(&latency(250), &slowest(5), 0.99).is_some());
        assert!(supported_quantile(&latency(200), &Histogram::default(), 0.99).is_some(), "earlier results");
    }

    #[test]
    fn headers_sent_once_are_opening_bytes_and_those_sent_with_each_poll_are_not() {
        let stream = Row {
            whole: Ledger { connections: 5, ..Ledger::default() }
                .with(Layer::RequestHeaders, 300)
                .with(Layer::ResponseHeaders, 200),
            ..row_with(Transport::Sse, [].into_iter())
        };
        assert_eq!(stream.opening_bytes(), 100.0);
        let polls = Row { ledger: Ledger { requests: 9, empty_polls: 3, ..stream.whole }, ..stream };
        assert_eq!((polls.opening_bytes(), polls.empty_share()), (0.0, Some(1.0 / 3.0)));
    }
}
