//! The comparison as a table for the terminal and as CSV; the page has the same columns.

use protocol::experiment::Table;
use protocol::result::{Comparison, Headers};
use protocol::run::Run;
use serde_json::{Map, Value, json};

use crate::number::{short_or_dash, thousands};
use crate::summary::{Row, rows};

/// Width of a terminal in characters. Tables are no wider, and sentences are wrapped at it.
pub const TERMINAL: usize = 80;

/// A column: its heading, its unit and its value for each row.
pub struct Column {
    /// The heading.
    pub heading: &'static str,
    /// The unit; empty for plain numbers.
    pub unit: &'static str,
    /// Name in CSV, unit included.
    pub name: &'static str,
    /// Name in conditions under which a run fails.
    pub figure: &'static str,
    /// Its width in the terminal, in characters; 0 where there is no room for it.
    pub width: usize,
    /// The value for a row; `None` where there are too few samples for it.
    pub value: fn(&Row) -> Option<f64>,
}

/// All columns after the transport's name, in order.
pub const COLUMNS: [Column; 11] = [
    Column {
        heading: "p50",
        unit: "ms",
        name: "latency_p50_ms",
        figure: "p50",
        width: 7,
        value: |row| row.latency_ms(0.5),
    },
    Column {
        heading: "p99",
        unit: "ms",
        name: "latency_p99_ms",
        figure: "p99",
        width: 7,
        value: |row| row.latency_ms(0.99),
    },
    Column {
        heading: "p99.9",
        unit: "ms",
        name: "latency_p999_ms",
        figure: "p99.9",
        width: 0,
        value: |row| row.latency_ms(0.999),
    },
    Column {
        heading: "max",
        unit: "ms",
        name: "latency_max_ms",
        figure: "max",
        width: 7,
        value: |row| row.latency.max().map(|ns| ns as f64 / 1e6),
    },
    Column {
        heading: "wire",
        unit: "B/event",
        name: "wire_bytes_per_event",
        figure: "wire",
        width: 9,
        value: |row| known(row, Row::wire_bytes_per_event),
    },
    Column {
        heading: "overhead",
        unit: "B/event",
        name: "overhead_bytes_per_event",
        figure: "overhead",
        width: 10,
        value: |row| known(row, Row::overhead_bytes_per_event),
    },
    Column {
        heading: "opening",
        unit: "B/connection",
        name: "opening_bytes_per_connection",
        figure: "opening",
        width: 0,
        value: |row| known(row, Row::opening_bytes),
    },
    Column {
        heading: "requests",
        unit: "/event",
        name: "requests_per_event",
        figure: "requests",
        width: 10,
        value: |row| known(row, Row::requests_per_event),
    },
    Column {
        heading: "empty",
        unit: "% of requests",
        name: "empty_polls_percent",
        figure: "empty",
        width: 0,
        value: |row| row.empty_share().map(|share| share * 100.0),
    },
    Column {
        heading: "server CPU",
        unit: "us/event",
        name: "server_cpu_us_per_event",
        figure: "cpu",
        width: 11,
        value: Row::cpu_us,
    },
    Column {
        heading: "busy",
        unit: "%",
        name: "server_busy_percent",
        figure: "busy",
        width: 6,
        value: |row| row.utilisation().map(|share| share * 100.0),
    },
];

fn known(row: &Row, figure: fn(&Row) -> f64) -> Option<f64> {
    (row.sound > 0).then(|| figure(row))
}

/// The table as lines of text, no wider than [`TERMINAL`].
pub fn text(comparison: &Comparison) -> String {
    let shown = || COLUMNS.iter().filter(|column| column.width > 0);
    let line = |label: &str, cells: Vec<String>| {
        let cells: String =
            cells.iter().zip(shown()).map(|(cell, column)| format!("{cell:>width$}", width = column.width)).collect();
        format!("{label:<13}{cells}").trim_end().to_string()
    };
    let mut lines = vec![
        line("", shown().map(|column| column.heading.into()).collect()),
        line("", shown().map(|column| column.unit.into()).collect()),
    ];
    for row in rows(comparison) {
        let cells = shown().map(|column| short_or_dash((column.value)(&row)));
        lines.push(line(row.transport.label(), cells.collect()));
    }
    lines.join("\n") + "\n"
}

/// The comparisons of a run as JSON, for other programs: an array with each load's scenario, and each transport's figures by their names in
/// CSV. A figure for which there are too few samples is `null`.
pub fn json(run: &Run) -> String {
    let figures = |row: &Row| -> Value {
        let figures = COLUMNS.iter().map(|column| (column.name.to_string(), json!((column.value)(row))));
        json!({
            "transport": row.transport,
            "rounds": row.sound,
            "rejected_rounds": row.rejected,
            "figures": figures.collect::<Map<_, _>>(),
        })
    };
    let comparison = |comparison: &Comparison| {
        json!({
            "scenario": comparison.scenario,
            "transports": rows(comparison).iter().map(figures).collect::<Vec<_>>(),
        })
    };
    Value::from(run.comparisons().map(comparison).collect::<Vec<_>>()).to_string()
}

/// Text broken between words into lines no wider than [`TERMINAL`], all but the first indented by `indent`.
pub fn wrapped(text: &str, indent: &str) -> String {
    textwrap::fill(text, textwrap::Options::new(TERMINAL).subsequent_indent(indent).break_words(false))
}

/// An experiment's table as lines of text no wider than [`TERMINAL`]: in columns where they fit; otherwise each row is a block with
/// its cells below each other.
pub fn plain(table: &Table) -> String {
    let rows = || std::iter::once(&table.columns).chain(&table.rows);
    let width = |column: usize| rows().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..table.columns.len()).map(width).collect();
    let title = wrapped(&table.title, "");
    if widths.iter().sum::<usize>() + 2 * widths.len().saturating_sub(1) > TERMINAL {
        return format!("{title}\n\n{}", table.rows.iter().map(|row| block(&table.columns, row)).collect::<String>());
    }
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_string() + "\n"
    };
    format!("{title}\n{}", rows().map(line).collect::<String>())
}

/// A row with its cells below each other: the first as its heading, the others after the names of their columns.
fn block(columns: &[String], row: &[String]) -> String {
    let cells = columns.iter().zip(row).skip(1).filter(|(_, cell)| !cell.is_empty()).map(|(column, cell)| {
        let name = if column.is_empty() { String::new() } else { format!("{column}: ") };
        wrapped(&format!("    {name}{cell}"), "      ") + "\n"
    });
    format!("{}\n{}", wrapped(row.first().map_or("", String::as_str), "  "), cells.collect::<String>())
}

/// Comparisons as CSV, each with the name of its chapter: a line for each transport of each comparison. Numbers are not rounded; a field
/// is empty where there are too few samples for its figure.
pub fn csv<'a>(comparisons: impl Iterator<Item = (&'a str, &'a Comparison)>) -> String {
    let names: Vec<_> = COLUMNS.iter().map(|column| column.name).collect();
    let mut text = format!(
        "chapter,subscribers,events_per_s,schedule,payload_bytes,poll_interval_ms,delay_ms,tls,headers,processes,seed,transport,rounds,rejected_rounds,samples,events,{}\n",
        names.join(",")
    );
    for (chapter, comparison) in comparisons {
        let scenario = &comparison.scenario;
        for row in rows(comparison) {
            let values: Vec<_> = COLUMNS
                .iter()
                .map(|column| (column.value)(&row).map_or(String::new(), |value| value.to_string()))
                .collect();
            text += &format!(
                "{chapter},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}\n",
                scenario.subscribers,
                scenario.rate,
                scenario.schedule,
                scenario.payload_bytes,
                scenario.poll_interval_ms,
                scenario.network.delay_us as f64 / 1e3,
                scenario.tls,
                headers(scenario.headers),
                scenario.processes,
                scenario.seed,
                row.transport,
                row.sound,
                row.rejected,
                row.latency.count(),
                row.slowest.count(),
                values.join(",")
            );
        }
    }
    text
}

/// A table as CSV (RFC 4180).
pub fn table_csv(table: &Table) -> String {
    let cell = |cell: &String| match cell.contains([',', '"', '\n']) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell.clone(),
    };
    let line = |row: &Vec<String>| row.iter().map(cell).collect::<Vec<_>>().join(",") + "\n";
    std::iter::once(&table.columns).chain(&table.rows).map(line).collect()
}

/// The scenario of a comparison in one line.
pub fn scenario(comparison: &Comparison) -> String {
    let scenario = &comparison.scenario;
    let where_ = match (&scenario.target, &scenario.url) {
        (Some(target), _) => target.clone(),
        (None, Some(url)) => format!("server at {url}"),
        (None, None) => "loopback".to_string(),
    };
    let tls = match (scenario.tls, scenario.insecure) {
        (true, true) => ", over TLS without verifying the certificate",
        (true, false) => ", over TLS",
        (false, _) => "",
    };
    let network = match scenario.network.is_modelled() {
        true if scenario.network.loses_packets() => format!(", over a link that loses packets: {}", scenario.network),
        true => format!(", modelled network: {}", scenario.network),
        false => String::new(),
    };
    let streams = match scenario.streams_per_connection {
        1 => String::new(),
        streams => format!(", {streams} on each HTTP/2 connection"),
    };
    let processes = match scenario.processes {
        1 => String::new(),
        processes => format!(" in {processes} processes"),
    };
    format!(
        "{} subscriber{}{processes}{streams}, {} events/s ({}), {} B payload, polls each {} ms, rounds: {} of {} s, {} headers, {where_}{tls}{network}",
        thousands(u64::from(scenario.subscribers)),
        if scenario.subscribers == 1 { "" } else { "s" },
        scenario.rate,
        scenario.schedule,
        scenario.payload_bytes,
        scenario.poll_interval_ms,
        scenario.rounds,
        scenario.duration_ms as f64 / 1e3,
        headers(scenario.headers),
    )
}

fn headers(headers: Headers) -> &'static str {
    match headers {
        Headers::Lean => "lean",
        Headers::Browser => "browser",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_no_wider_than_a_terminal() {
        assert!(13 + COLUMNS.iter().map(|column| column.width).sum::<usize>() <= TERMINAL);
    }

    #[test]
    fn a_table_that_is_too_wide_is_printed_in_blocks_without_truncation() {
        let text =
            "a sentence that is long enough to need several lines of a terminal, whatever the terminal is called";
        let table = Table {
            title: "T".into(),
            columns: ["claim", "why", "none"].map(String::from).to_vec(),
            rows: vec![["1", text, ""].map(String::from).to_vec()],
        };
        let plain = plain(&table);
        assert!(plain.lines().all(|line| line.chars().count() <= TERMINAL), "{plain}");
        assert_eq!(plain.split_whitespace().collect::<Vec<_>>().join(" "), format!("T 1 why: {text}"));
    }

    #[test]
    fn cells_with_commas_or_quotes_are_quoted_in_csv() {
        let table = Table {
            title: String::new(),
            columns: vec!["a".into(), "b, c".into()],
            rows: vec![vec!["1".into(), "say \"x\"".into()]],
        };
        assert_eq!(table_csv(&table), "a,\"b, c\"\n1,\"say \"\"x\"\"\"\n");
    }
}
