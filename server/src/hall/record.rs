//! The record of a run: what the phones have reported, in numbers and as files.

use std::fmt::Write;

use protocol::Transport;
use serde::Serialize;

use super::delays::{quantile, sorted};
use super::phone::{Phone, Report, Tally};
use super::question;
use super::rules::transports;

/// The edges between the classes of the distribution, in ms.
pub const EDGES_MS: [f64; 10] = [5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0, 2_000.0, 5_000.0];
/// How many full seconds the mean number of requests per second covers.
pub const MEAN_SECONDS: usize = 5;

/// The reports of all phones over one transport.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// The transport.
    pub transport: Transport,
    /// Reports that were kept. The other figures of delays are derived from them.
    pub count: usize,
    /// The delay that at least half of them do not exceed.
    pub median_ms: Option<f64>,
    /// The delay that at least 95 % of them do not exceed.
    pub p95_ms: Option<f64>,
    /// The longest delay.
    pub max_ms: Option<f64>,
    /// The largest bound of a phone's clock.
    pub clock_bound_ms: Option<f64>,
    /// How many delays are in each class: below the first edge, from each edge to the next, and from the last edge on.
    pub classes: Vec<u64>,
    /// Requests of the subscriptions, with and without events.
    pub requests: u64,
    /// Requests for each delivered event.
    pub requests_per_event: Option<f64>,
}

fn summary(transport: Transport, phones: &[Phone]) -> Summary {
    let reports = || phones.iter().flat_map(|phone| &phone.reports).filter(|report| report.transport == transport);
    let tallies = || phones.iter().filter_map(|phone| phone.tallies.get(&transport));
    let delays = sorted(reports());
    let mut classes = vec![0; EDGES_MS.len() + 1];
    for delay in &delays {
        classes[EDGES_MS.partition_point(|edge| edge <= delay)] += 1;
    }
    let requests = tallies().map(|tally| tally.requests).sum();
    let delivered = delays.len() as u64 + tallies().map(|tally| tally.left_out).sum::<u64>();
    Summary {
        transport,
        count: delays.len(),
        median_ms: quantile(&delays, 0.5),
        p95_ms: quantile(&delays, 0.95),
        max_ms: delays.last().copied(),
        clock_bound_ms: reports().map(|report| report.clock_bound_ms).max_by(f64::total_cmp),
        classes,
        requests,
        requests_per_event: (delivered > 0).then(|| requests as f64 / delivered as f64),
    }
}

/// The summary of each transport that a phone has used.
pub fn summaries(phones: &[Phone]) -> Vec<Summary> {
    let summaries = transports().into_iter().map(|transport| summary(transport, phones));
    summaries.filter(|summary| summary.count > 0 || summary.requests > 0).collect()
}

/// The whole record.
#[derive(Serialize)]
pub struct Run {
    edges_ms: [f64; 10],
    summary: Vec<Summary>,
    questions: Vec<question::View>,
    phones: Vec<PhoneRecord>,
}

#[derive(Serialize)]
struct PhoneRecord {
    phone: u32,
    missed: u64,
    repeated: u64,
    refused: u64,
    transports: Vec<(Transport, Tally)>,
    reports: Vec<Report>,
}

impl Run {
    /// The record of these phones.
    pub fn new(phones: &[Phone], questions: Vec<question::View>) -> Self {
        let record = |phone: &Phone| PhoneRecord {
            phone: phone.number,
            missed: phone.missed,
            repeated: phone.repeated,
            refused: phone.refused,
            transports: phone.tallies.iter().map(|(&transport, &tally)| (transport, tally)).collect(),
            reports: phone.reports.clone(),
        };
        Self { edges_ms: EDGES_MS, summary: summaries(phones), questions, phones: phones.iter().map(record).collect() }
    }
}

/// A row for each phone and event.
pub fn csv(phones: &[Phone]) -> String {
    let mut text = String::from("phone,event,transport,delay_ms,clock_bound_ms\n");
    for phone in phones {
        for Report { event, transport, delay_ms, clock_bound_ms } in &phone.reports {
            writeln!(text, "{},{event},{transport},{delay_ms},{clock_bound_ms}", phone.number)
                .expect("writing to memory");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_a_value_that_was_measured() {
        assert_eq!(quantile(&[], 0.5), None);
        assert_eq!((quantile(&[7.0], 0.5), quantile(&[7.0], 0.95)), (Some(7.0), Some(7.0)));
        let values: Vec<f64> = (1..=20).map(f64::from).collect();
        assert_eq!((quantile(&values, 0.5), quantile(&values, 0.95)), (Some(10.0), Some(19.0)));
        assert_eq!(quantile(&values[..3], 0.5), Some(2.0));
    }
}
