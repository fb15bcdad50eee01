//! Capacity: what many subscribers would need, carried on from the largest load that was measured. An extrapolation, and marked as one.

use protocol::experiment::Table;
use protocol::result::Comparison;

use crate::number::{short, thousands};
use crate::summary::{Row, rows};

/// The numbers of subscribers that are carried on to.
const SIZES: [f64; 3] = [1e4, 1e6, 1e7];
/// The server that is assumed: its cores, and its link in bits a second.
const CORES: f64 = 16.0;
const LINK_BITS: f64 = 10e9;
/// The share of each that is to be used: peaks need the rest.
const FILLED: f64 = 0.5;

/// What a number of subscribers needs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Need {
    /// Servers, by whichever runs out first.
    pub servers: f64,
    /// Cores, fully busy.
    pub cores: f64,
    /// The 95 % interval of that, where there are enough rounds.
    pub interval: Option<(f64, f64)>,
    /// Both ways, TCP and IP headers included, in bits a second.
    pub bits_per_s: f64,
}

/// What `subscribers` need over a transport, at the rate of events of its run. `cpu_us` is the server's CPU time per delivery with its
/// interval.
pub fn need(row: &Row, cpu_us: (f64, Option<(f64, f64)>), rate: f64, subscribers: f64) -> Need {
    let cores = |cpu_us: f64| subscribers * rate * cpu_us / 1e6;
    let headers = row.whole.tcp_ip_header_bytes() as f64 / row.whole.events.max(1) as f64;
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
        title: format!("If there were many more than {measured}: an extrapolation"),
        columns,
        rows: sound.iter().map(line).collect(),
    }
}

/// What the table takes for granted, in a paragraph.
pub fn assumptions(comparison: &Comparison) -> String {
    format!(
        "Not measured: carried on in a straight line from {} subscribers on one machine, at {} events a second to each of them. CPU for \
         each delivery and bytes for each event (TCP and IP headers included, 52 bytes a segment as loopback cuts them) are taken to stay \
         what they were. A server that was hardly busy when it was measured spends more on each delivery than a busy one, because it is \
         woken up for each; the less busy it was, the more the table asks for too many cores. A server has {CORES} cores and {} Gbit/s, \
         each to be filled by {} %. Both directions share the link. Memory, what many servers need to tell each other of an event, what \
         the kernel holds for a socket, and what a network card spares the server are left out.",
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
    fn servers_follow_from_what_runs_out_first_and_cores_carry_an_interval() {
        let ledger = Ledger { received_bytes: 1_000, events: 10, ..Ledger::default() };
        let row = Row { ledger, whole: ledger, ..row_with(Transport::WebSocket, [10.0].into_iter()) };
        // A million deliveries a second at 10 us are 10 cores, of which a server gives 8.
        let found = need(&row, (10.0, Some((8.0, 12.0))), 1.0, 1e6);
        assert_eq!((found.cores, found.servers, found.bits_per_s), (10.0, 2.0, 8e8));
        assert_eq!(found.interval, Some((8.0, 12.0)));
    }
}
