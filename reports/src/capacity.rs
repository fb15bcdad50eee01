//! Capacity: the servers, cores and bandwidth that many subscribers would need, extrapolated from the largest load that was measured. The
//! report marks the figures as an extrapolation.

use protocol::experiment::Table;
use protocol::ledger::KernelCount;
use protocol::result::Comparison;

use crate::number::{short, thousands};
use crate::summary::{Row, rows};

/// The numbers of subscribers of the extrapolation.
const SIZES: [f64; 3] = [1e4, 1e6, 1e7];
/// The assumed server.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Assumptions {
    /// Its cores.
    pub cores: f64,
    /// Its link, in bits a second.
    pub link_bits: f64,
}

/// The server of a report's table.
const SERVER: Assumptions = Assumptions { cores: 16.0, link_bits: 10e9 };
/// The share of each that is used; the rest is reserved for peaks.
const FILLED: f64 = 0.5;

/// The needs of a number of subscribers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Need {
    /// Servers, by the scarcer of cores and bandwidth.
    pub servers: f64,
    /// Cores, fully busy.
    pub cores: f64,
    /// The 95 % interval of `cores`, where there are enough rounds.
    pub interval: Option<(f64, f64)>,
    /// Bandwidth, both ways, TCP and IP headers included, in bits a second.
    pub bits_per_s: f64,
}

/// The needs of `subscribers` over a transport, at the event rate of its run. `cpu_us` is the server's CPU time per delivery in us, with its
/// interval.
pub fn need(
    row: &Row,
    cpu_us: (f64, Option<(f64, f64)>),
    rate: f64,
    subscribers: f64,
    Assumptions { cores: cores_of_one, link_bits }: Assumptions,
) -> Need {
    let cores = |cpu_us: f64| subscribers * rate * cpu_us / 1e6;
    let headers = row.whole.kernel.map_or(0, KernelCount::tcp_ip_header_bytes) as f64 / row.whole.events.max(1) as f64;
    let bits_per_s = subscribers * rate * (row.wire_bytes_per_event() + headers) * 8.0;
    let servers = ((cores(cpu_us.0) / cores_of_one).max(bits_per_s / link_bits) / FILLED).ceil().max(1.0);
    let interval = cpu_us.1.map(|(low, high)| (cores(low), cores(high)));
    Need { servers, cores: cores(cpu_us.0), interval, bits_per_s }
}

/// The table, with a row for each transport that has a sound round.
pub fn table(comparison: &Comparison) -> Table {
    let mut columns = vec!["Transport".to_string(), "server busy when measured".into()];
    for size in SIZES {
        let size = thousands(size as u64);
        columns.extend([format!("{size}: servers"), "cores (95 %)".into(), "Gbit/s".into()]);
    }
    let line = |row: &Row| {
        let cpu_us = row.cpu();
        let cells = SIZES.into_iter().flat_map(|size| match cpu_us {
            Some(cpu_us) => {
                let need = need(row, cpu_us, comparison.scenario.rate, size, SERVER);
                let interval = need.interval.map(|(low, high)| format!(" ({} to {})", short(low), short(high)));
                [
                    thousands(need.servers as u64),
                    short(need.cores) + &interval.unwrap_or_default(),
                    short(need.bits_per_s / 1e9),
                ]
            }
            None => ["-"; 3].map(String::from),
        });
        let busy = row.utilisation().map_or("-".into(), |share| format!("{} %", short(share * 100.0)));
        [row.transport.label().to_string(), busy].into_iter().chain(cells).collect()
    };
    let sound: Vec<Row> = rows(comparison).into_iter().filter(|row| row.sound > 0).collect();
    let measured = thousands(u64::from(comparison.scenario.subscribers));
    Table {
        title: format!("Extrapolation to many more than {measured} subscribers"),
        columns,
        rows: sound.iter().map(line).collect(),
    }
}

/// The assumptions of the table, in a paragraph.
pub fn assumptions(comparison: &Comparison) -> String {
    format!(
        "These figures are not measured. They are a linear extrapolation from {} subscribers on one machine, at {} events a second to each \
         of them. CPU time per delivery and bytes per event (TCP and IP headers included, 52 bytes a segment, with the segments of loopback) \
         are assumed to stay the same. A server that was hardly busy when it was measured uses more CPU time for each delivery than a busy \
         one, because each takes a wake-up; the less busy it was, the more the table overestimates the cores. A server has {} cores \
         and {} Gbit/s, and uses {} % of each. Both directions share the link. Memory, the traffic between servers, the kernel's memory \
         for sockets, and the work that a network card can take over are left out.",
        thousands(u64::from(comparison.scenario.subscribers)),
        comparison.scenario.rate,
        SERVER.cores,
        SERVER.link_bits / 1e9,
        FILLED * 100.0,
    )
}

/// The seconds of a month of 30 days.
const MONTH_S: f64 = 30.0 * 86_400.0;

/// What numbers of subscribers need, a table for each transport that has a sound round under the largest load. The loads are those of one run.
pub fn plan(loads: &[&Comparison], subscribers: &[u64], assumptions: Assumptions) -> Vec<Table> {
    let Some(&largest) = loads.iter().max_by_key(|load| load.scenario.subscribers) else { return Vec::new() };
    let rate = largest.scenario.rate;
    let table = |row: &Row| {
        let cpu_us = marginal_cpu_us(loads, row)?;
        let line = |&count: &u64| {
            let need = need(row, cpu_us, rate, count as f64, assumptions);
            let interval = need.interval.map(|(low, high)| format!(" ({} to {})", short(low), short(high)));
            let down = row.ledger.received_bytes as f64 / row.events() * rate * count as f64;
            let broker = need.servers * rate * row.ledger.content_bytes as f64 / row.events();
            vec![
                thousands(count),
                thousands(need.servers as u64),
                short(need.cores) + &interval.unwrap_or_default(),
                short(need.bits_per_s / 1e9),
                short(down * MONTH_S / 1e12),
                short(broker * 8.0 / 1e6),
            ]
        };
        Some(Table {
            title: format!("{}, {} events a second to each", row.transport.label(), short(rate)),
            columns: ["subscribers", "servers", "cores (95 %)", "Gbit/s", "TB a month", "broker, Mbit/s"]
                .map(Into::into)
                .to_vec(),
            rows: subscribers.iter().map(line).collect(),
        })
    };
    rows(largest).iter().filter(|row| row.sound > 0).filter_map(table).collect()
}

/// Server CPU time of one more delivery, in us: the slope between the smallest and the largest load. With one load, or where the larger load
/// took no more time, it is the mean of the largest load, with its interval.
fn marginal_cpu_us(loads: &[&Comparison], row: &Row) -> Option<(f64, Option<(f64, f64)>)> {
    let per_s = |load: &&Comparison| {
        let found = rows(load).into_iter().find(|found| found.transport == row.transport && found.sound > 0)?;
        let deliveries = load.scenario.rate * f64::from(load.scenario.subscribers);
        Some((deliveries, found.cpu_us()? * deliveries))
    };
    let mut points: Vec<(f64, f64)> = loads.iter().filter_map(per_s).collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    let slope = match points.as_slice() {
        [few, .., many] if many.0 > few.0 => Some((many.1 - few.1) / (many.0 - few.0)),
        _ => None,
    };
    match slope.filter(|&slope| slope > 0.0) {
        Some(slope) => Some((slope, None)),
        None => row.cpu(),
    }
}

/// The assumptions of a plan, in a paragraph.
pub fn plan_assumptions(loads: &[&Comparison], assumptions: Assumptions) -> String {
    let sizes: Vec<String> = loads.iter().map(|load| thousands(u64::from(load.scenario.subscribers))).collect();
    format!(
        "An extrapolation, not a measurement. CPU time for one more delivery is the slope between the smallest and the largest load that were \
         measured ({} subscribers), without an interval; with one load, or where more subscribers took no more time, it is the mean, which is too high \
         where the server was hardly busy. A server has {} cores and {} \
         Gbit/s, and uses {} % of each. Bandwidth is that of both directions, with TCP and IP headers for transports over TCP, traffic a month that towards the subscribers \
         without them. The broker, from which each server takes the feed once, sends each event to each server. Memory, TLS if it was not \
         measured, and reconnections are left out.",
        sizes.join(", "),
        assumptions.cores,
        assumptions.link_bits / 1e9,
        FILLED * 100.0
    )
}

#[cfg(test)]
mod tests {
    use protocol::{Ledger, Transport};

    use super::*;
    use crate::experiment::fabricated;
    use crate::summary::tests::row_with;

    #[test]
    fn the_scarcer_resource_determines_the_servers_and_cores_have_an_interval() {
        let ledger = Ledger { received_bytes: 1_000, events: 10, ..Ledger::default() };
        let row = Row { ledger, whole: ledger, ..row_with(Transport::WebSocket, [10.0].into_iter()) };
        // A million deliveries a second at 10 us need 10 cores; a server has 8 to use.
        let found = need(&row, (10.0, Some((8.0, 12.0))), 1.0, 1e6, SERVER);
        assert_eq!((found.cores, found.servers, found.bits_per_s), (10.0, 2.0, 8e8));
        assert_eq!(found.interval, Some((8.0, 12.0)));
    }

    #[test]
    fn one_more_delivery_costs_the_slope_between_two_loads() {
        let load = |subscribers, cpu_us| {
            let mut load = fabricated::comparison(&[(Transport::Sse, cpu_us)]);
            load.scenario.subscribers = subscribers;
            load
        };
        // 50 deliveries a second for each subscriber: 10 us each for 10 of them, 4 us each for 40.
        let (few, many) = (load(10, 10.0), load(40, 4.0));
        let row = &rows(&many)[0];
        let (slope, interval) = marginal_cpu_us(&[&few, &many], row).unwrap();
        assert!((slope - 2.0).abs() < 0.1 && interval.is_none(), "{slope}");
        let (mean, interval) = marginal_cpu_us(&[&many], row).unwrap();
        assert!((mean - 4.0).abs() < 0.1 && interval.is_some(), "{mean}");
        assert_eq!(plan(&[&few, &many], &[10, 100], SERVER)[0].rows.len(), 2);
    }
}
