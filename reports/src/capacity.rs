//! Capacity: what many subscribers would need, carried on from what a run's few took. An extrapolation, and marked as one.

use protocol::experiment::Table;
use protocol::result::Comparison;

use crate::number::{short, thousands};
use crate::summary::{Row, median, rows};

/// The numbers of subscribers that are carried on to.
const SIZES: [f64; 3] = [1e4, 1e6, 1e7];
/// The server that is assumed: its cores, its memory in bytes, its link in bits a second.
const CORES: f64 = 16.0;
const MEMORY_BYTES: f64 = 64.0 * (1u64 << 30) as f64;
const LINK_BITS: f64 = 10e9;
/// The share of each that is to be used: peaks need the rest.
const FILLED: f64 = 0.5;

/// What a number of subscribers needs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Need {
    /// Servers, by whichever of the three runs out first.
    pub servers: f64,
    /// Cores, fully busy.
    pub cores: f64,
    /// Both ways, TCP and IP headers included, in bits a second.
    pub bits_per_s: f64,
    /// The server processes' memory for connections, in bytes; `None` where it was not measured.
    pub memory_bytes: Option<f64>,
}

/// What `subscribers` need over a transport, at the rate of events of its run.
pub fn need(row: &Row, rate: f64, subscribers: f64) -> Option<Need> {
    let cores = subscribers * rate * median(&row.cpu_us())? / 1e6;
    let bytes = row.wire_bytes_per_event() + row.ledger.tcp_ip_header_bytes() as f64 / row.events();
    let bits_per_s = subscribers * rate * bytes * 8.0;
    let memory_bytes = median(&row.memory_kib()).map(|kib| subscribers * kib.max(0.0) * 1024.0);
    let filled = [cores / CORES, bits_per_s / LINK_BITS, memory_bytes.unwrap_or(0.0) / MEMORY_BYTES];
    let servers = (filled.into_iter().fold(0.0, f64::max) / FILLED).ceil().max(1.0);
    Some(Need { servers, cores, bits_per_s, memory_bytes })
}

/// The table, with a row for each transport that has a sound round.
pub fn table(comparison: &Comparison) -> Table {
    let mut columns = vec!["Transport".to_string()];
    for size in SIZES {
        let size = thousands(size as u64);
        columns.extend([format!("{size}: servers"), "cores".into(), "Gbit/s".into(), "GiB".into()]);
    }
    let line = |row: &Row| {
        let cells = SIZES.into_iter().flat_map(|size| match need(row, comparison.scenario.rate, size) {
            Some(need) => [
                thousands(need.servers as u64),
                short(need.cores),
                short(need.bits_per_s / 1e9),
                need.memory_bytes.map_or("-".into(), |bytes| short(bytes / f64::from(1 << 30))),
            ],
            None => ["-"; 4].map(String::from),
        });
        std::iter::once(row.transport.label().to_string()).chain(cells).collect()
    };
    let sound: Vec<Row> = rows(comparison).into_iter().filter(|row| row.sound > 0).collect();
    Table { title: "If there were many more: an extrapolation".into(), columns, rows: sound.iter().map(line).collect() }
}

/// What the table takes for granted, in a paragraph.
pub fn assumptions(comparison: &Comparison) -> String {
    format!(
        "Not measured: carried on in a straight line from {} subscribers on one machine, at {} events a second to each of them. \
         CPU for each delivery, bytes for each event (TCP and IP headers included, 52 bytes a segment as loopback cuts them) and \
         memory for each connection are taken to stay what they were. A server has {CORES} cores, {} GiB and {} Gbit/s, each to be \
         filled by {} %. Both directions share the link, and what a short run paid for opening is in the bytes. What many servers need to tell each other of an event, what the kernel holds for a socket, and what \
         a network card spares the server are left out.",
        comparison.scenario.subscribers,
        comparison.scenario.rate,
        MEMORY_BYTES / f64::from(1 << 30),
        LINK_BITS / 1e9,
        FILLED * 100.0,
    )
}

#[cfg(test)]
mod tests {
    use protocol::{Histogram, Ledger, Transport};

    use super::*;
    use crate::summary::Figures;

    #[test]
    fn servers_follow_from_what_runs_out_first() {
        let figures =
            Figures { round: 1, p50_ms: None, p99_ms: None, cpu_us: Some(10.0), memory_bytes: Some(16.0 * 1024.0) };
        let ledger = Ledger { received_bytes: 1_000, events: 10, ..Ledger::default() };
        let empty = Histogram::default;
        let row = Row {
            transport: Transport::WebSocket,
            sound: 1,
            rejected: 0,
            latency: empty(),
            naive: empty(),
            lateness: empty(),
            ledger,
            figures: vec![figures],
        };
        // A million deliveries a second at 10 us are 10 cores, of which a server gives 8; memory would do with one.
        let need = need(&row, 1.0, 1e6).unwrap();
        assert_eq!((need.cores, need.servers, need.bits_per_s), (10.0, 2.0, 8e8));
        assert_eq!(need.memory_bytes, Some(16.0 * 1024.0 * 1e6));
    }
}
