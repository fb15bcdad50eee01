//! Capacity: the servers, cores and bandwidth that many subscribers would need, extrapolated from the largest load that was measured. The
//! report marks the figures as an extrapolation.

use protocol::experiment::Table;
use protocol::ledger::KernelCount;
use protocol::result::Comparison;

use crate::number::{short, thousands};
use crate::summary::{Row, rows};

/// The numbers of subscribers of the extrapolation.
const SIZES: [f64; 3] = [1e4, 1e6, 1e7];
/// The assumed server: its cores, and its link in bits a second.
const CORES: f64 = 16.0;
const LINK_BITS: f64 = 10e9;
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
pub fn need(row: &Row, cpu_us: (f64, Option<(f64, f64)>), rate: f64, subscribers: f64) -> Need {
    let cores = |cpu_us: f64| subscribers * rate * cpu_us / 1e6;
    let headers = row.whole.kernel.map_or(0, KernelCount::tcp_ip_header_bytes) as f64 / row.whole.events.max(1) as f64;
    let bits_per_s = subscribers * rate * (row.wire_bytes_per_event() + headers) * 8.0;
    let servers = ((cores(cpu_us.0) / CORES).max(bits_per_s / LINK_BITS) / FILLED).ceil().max(1.0);
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
                let need = need(row, cpu_us, comparison.scenario.rate, size);
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
         one, because each takes a wake-up; the less busy it was, the more the table overestimates the cores. A server has {CORES} cores \
         and {} Gbit/s, and uses {} % of each. Both directions share the link. Memory, the traffic between servers, the kernel's memory \
         for sockets, and the work that a network card can take over are left out.",
        thousands(u64::from(comparison.scenario.subscribers)),
        comparison.scenario.rate,
        LINK_BITS / 1e9,
        FILLED * 100.0,
    )
}

#[cfg(test)]
mod tests {
    use protocol::{Ledger, Transport};

    use super::*;
    use crate::summary::tests::row_with;

    #[test]
    fn the_scarcer_resource_determines_the_servers_and_cores_have_an_interval() {
        let ledger = Ledger { received_bytes: 1_000, events: 10, ..Ledger::default() };
        let row = Row { ledger, whole: ledger, ..row_with(Transport::WebSocket, [10.0].into_iter()) };
        // A million deliveries a second at 10 us need 10 cores; a server has 8 to use.
        let found = need(&row, (10.0, Some((8.0, 12.0))), 1.0, 1e6);
        assert_eq!((found.cores, found.servers, found.bits_per_s), (10.0, 2.0, 8e8));
        assert_eq!(found.interval, Some((8.0, 12.0)));
    }
}
