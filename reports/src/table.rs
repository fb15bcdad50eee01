//! The comparison as a table: one for the terminal, one as CSV; the page has the same columns.

use protocol::experiment::Table;
use protocol::result::Comparison;

use crate::number::{short_or_dash, thousands};
use crate::summary::{Row, median, rows};

/// A column: its heading, its unit, and what stands in it.
pub struct Column {
    /// What it is.
    pub heading: &'static str,
    /// In which unit; empty for plain numbers.
    pub unit: &'static str,
    /// Name in CSV, unit included.
    pub name: &'static str,
    /// The value for a row; `None` where the samples do not carry it.
    pub value: fn(&Row) -> Option<f64>,
}

/// All columns behind the transport's name, in order.
pub const COLUMNS: [Column; 9] = [
    Column { heading: "p50", unit: "ms", name: "latency_p50_ms", value: |row| row.latency_ms(0.5) },
    Column { heading: "p99", unit: "ms", name: "latency_p99_ms", value: |row| row.latency_ms(0.99) },
    Column { heading: "p99.9", unit: "ms", name: "latency_p999_ms", value: |row| row.latency_ms(0.999) },
    Column {
        heading: "max",
        unit: "ms",
        name: "latency_max_ms",
        value: |row| row.latency.max().map(|ns| ns as f64 / 1e6),
    },
    Column {
        heading: "on the wire",
        unit: "B/event",
        name: "wire_bytes_per_event",
        value: |row| known(row, Row::wire_bytes_per_event),
    },
    Column {
        heading: "overhead",
        unit: "B/event",
        name: "overhead_bytes_per_event",
        value: |row| known(row, Row::overhead_bytes_per_event),
    },
    Column {
        heading: "requests",
        unit: "/event",
        name: "requests_per_event",
        value: |row| known(row, Row::requests_per_event),
    },
    Column {
        heading: "server CPU",
        unit: "us/event",
        name: "server_cpu_us_per_event",
        value: |row| median(&row.cpu_us()),
    },
    Column {
        heading: "memory",
        unit: "KiB/conn",
        name: "server_memory_kib_per_connection",
        value: |row| median(&row.memory_kib()),
    },
];

fn known(row: &Row, figure: fn(&Row) -> f64) -> Option<f64> {
    (row.sound > 0).then(|| figure(row))
}

/// The table as lines of text, about 100 columns wide.
pub fn text(comparison: &Comparison) -> String {
    let mut lines = vec![
        line("", COLUMNS.iter().map(|column| column.heading.into())),
        line("", COLUMNS.iter().map(|column| column.unit.into())),
    ];
    for row in rows(comparison) {
        let cells = COLUMNS.iter().map(|column| short_or_dash((column.value)(&row)));
        let mut text = line(row.transport.label(), cells);
        if row.rejected > 0 {
            text += &format!("   {} of {} rounds rejected", row.rejected, row.rejected + row.sound);
        }
        lines.push(text);
    }
    lines.join("\n") + "\n"
}

fn line(label: &str, cells: impl Iterator<Item = String>) -> String {
    let cells: String = cells.zip(WIDTHS).map(|(cell, width)| format!("{cell:>width$}")).collect();
    format!("{label:<13}{cells}").trim_end().to_string()
}

const WIDTHS: [usize; 9] = [8, 8, 8, 8, 13, 10, 10, 12, 10];

/// An experiment's table as lines of text, its columns as wide as what stands in them; cells of prose are left to the page.
pub fn plain(table: &Table) -> String {
    const WIDEST: usize = 60;
    let shown = |cell: &String| -> String { cell.chars().take(WIDEST).collect() };
    let rows = || std::iter::once(&table.columns).chain(&table.rows);
    let width = |column: usize| rows().map(|row| shown(&row[column]).chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..table.columns.len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{:<width$}", shown(cell)));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_string() + "\n"
    };
    format!("{}\n{}", table.title, rows().map(line).collect::<String>())
}

/// The table as CSV, numbers unrounded, empty where the samples carry none.
pub fn csv(comparison: &Comparison) -> String {
    let names: Vec<_> = COLUMNS.iter().map(|column| column.name).collect();
    let mut text = format!("transport,rounds,rejected_rounds,samples,{}\n", names.join(","));
    for row in rows(comparison) {
        let values: Vec<_> = COLUMNS
            .iter()
            .map(|column| (column.value)(&row).map_or(String::new(), |value| value.to_string()))
            .collect();
        let samples = row.latency.count();
        text += &format!("{},{},{},{samples},{}\n", row.transport, row.sound, row.rejected, values.join(","));
    }
    text
}

/// What the run compared, in one line.
pub fn scenario(comparison: &Comparison) -> String {
    let scenario = &comparison.scenario;
    let where_ = match &scenario.url {
        Some(url) => format!("server at {url}"),
        None => "loopback".to_string(),
    };
    let tls = match (scenario.tls, scenario.insecure) {
        (true, true) => ", over TLS with whoever answered",
        (true, false) => ", over TLS",
        (false, _) => "",
    };
    let network = match scenario.network.is_modelled() {
        true => format!(", modelled network: {}", scenario.network),
        false => String::new(),
    };
    let processes = match scenario.processes {
        1 => String::new(),
        processes => format!(" in {processes} processes"),
    };
    format!(
        "{} subscribers{processes}, {} events/s ({}), {} B payload, polls each {} ms, rounds: {} of {} s, {} headers, {where_}{tls}{network}",
        thousands(u64::from(scenario.subscribers)),
        scenario.rate,
        scenario.schedule,
        scenario.payload_bytes,
        scenario.poll_interval_ms,
        scenario.rounds,
        scenario.duration_ms as f64 / 1e3,
        match scenario.headers {
            protocol::result::Headers::Lean => "lean",
            protocol::result::Headers::Browser => "browser",
        },
    )
}
