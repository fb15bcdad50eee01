//! A run's rounds drawn together, a row for each transport: the figures that table, charts and sentences share.

use protocol::result::{Comparison, Round};
use protocol::{Histogram, Ledger, Transport};

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
    /// Naive latency t2 - t1, merged likewise.
    pub naive: Histogram,
    /// Publisher lateness t1 - t0, merged likewise.
    pub lateness: Histogram,
    /// The ledgers of all sound rounds, added up.
    pub ledger: Ledger,
    /// What varies from round to round, of each sound one.
    pub figures: Vec<Figures>,
}

/// The figures of one round.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figures {
    /// Which of the transport's rounds it is, from 1; rounds of one number ran next to each other.
    pub round: u32,
    /// Median delivery latency, in ms.
    pub p50_ms: Option<f64>,
    /// Delivery latency that 99 % did not exceed, in ms, where the round's samples carry it.
    pub p99_ms: Option<f64>,
    /// Server CPU time per delivered event, in us.
    pub cpu_us: Option<f64>,
    /// Server memory per connection, in bytes; negative where noise is larger than it. `None` where the server was not started
    /// for the round: what it freed after an earlier one it takes again without growing.
    pub memory_bytes: Option<f64>,
}

/// The rows of a run, in the order of [`Transport::ALL`].
pub fn rows(comparison: &Comparison) -> Vec<Row> {
    let measured = |transport: &Transport| comparison.rounds_of(*transport).next().is_some();
    Transport::ALL.into_iter().filter(measured).map(|transport| row(comparison, transport)).collect()
}

fn row(comparison: &Comparison, transport: Transport) -> Row {
    let subscribers = f64::from(comparison.scenario.subscribers.max(1));
    let mut row = Row {
        transport,
        sound: 0,
        rejected: 0,
        latency: Histogram::default(),
        naive: Histogram::default(),
        lateness: Histogram::default(),
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
        row.naive.merge(&round.naive_latency_ns);
        row.lateness.merge(&round.publisher_lateness_ns);
        row.ledger += round.ledger;
        let grown = round.server.resident_connected_bytes as f64 - round.server.resident_before_bytes as f64;
        let ms = |quantile| round.latency_ns.carried_quantile(quantile).map(|ns| ns as f64 / 1e6);
        row.figures.push(Figures {
            round: round.round,
            p50_ms: ms(0.5),
            p99_ms: ms(0.99),
            cpu_us: cpu_us(round),
            memory_bytes: comparison.scenario.url.is_none().then_some(grown / subscribers),
        });
    }
    row
}

/// Server CPU time per delivered event of a round, in us; `None` where nothing was delivered.
fn cpu_us(round: &Round) -> Option<f64> {
    let deliveries = round.server.deliveries as f64;
    (deliveries > 0.0).then(|| round.server.cpu_ns as f64 / 1e3 / deliveries)
}

impl Row {
    /// Wire bytes per delivered event, both ways, handshake included.
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

    /// One figure of every sound round that has it.
    pub fn each(&self, figure: impl Fn(&Figures) -> Option<f64>) -> Vec<f64> {
        self.figures.iter().filter_map(figure).collect()
    }

    /// Server CPU time per delivered event, in us, of each sound round.
    pub fn cpu_us(&self) -> Vec<f64> {
        self.each(|figures| figures.cpu_us)
    }

    /// Server memory per connection, in KiB, of each sound round.
    pub fn memory_kib(&self) -> Vec<f64> {
        self.each(|figures| figures.memory_bytes.map(|bytes| bytes / 1024.0))
    }

    /// Events the ledger's bytes brought; at least 1, so that it can divide.
    pub fn events(&self) -> f64 {
        self.ledger.events.max(1) as f64
    }

    /// The latency in ms that a share `quantile` does not exceed, where the samples carry it.
    pub fn latency_ms(&self, quantile: f64) -> Option<f64> {
        self.latency.carried_quantile(quantile).map(|ns| ns as f64 / 1e6)
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
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }
}
