//! Several servers side by side: the lab's own, and those that target files describe.

use protocol::experiment::Table;
use protocol::result::{Comparison, Scenario};
use protocol::run::Run;

use crate::number::{short, short_or_dash};
use crate::summary::{Row, rows};

/// The name of the lab's own server among others.
const OWN: &str = "this lab";

/// The name of a scenario's server.
pub fn name(scenario: &Scenario) -> &str {
    scenario.target.as_deref().unwrap_or(OWN)
}

/// A name as a part of an anchor or a file's name: lower-case letters, digits and hyphens.
pub fn anchor(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect()
}

/// Whether a run has measured servers of another kind.
pub fn has_others(run: &Run) -> bool {
    run.comparisons().any(|comparison| comparison.scenario.target.is_some())
}

/// The table of all servers, by transport: empty if there is only the lab's own.
pub fn table(run: &Run) -> Option<Table> {
    if !has_others(run) {
        return None;
    }
    let mut all: Vec<(&Comparison, Row)> = run
        .comparisons()
        .flat_map(|comparison| rows(comparison).into_iter().map(move |row| (comparison, row)))
        .collect();
    // Stable, so the servers stay in the order in which they were named.
    all.sort_by_key(|(comparison, row)| (comparison.scenario.subscribers, row.transport));
    let line = |(comparison, row): &(&Comparison, Row)| {
        let cpu = match row.cpu() {
            Some((cpu, Some((low, high)))) => format!("{} ({} to {})", short(cpu), short(low), short(high)),
            Some((cpu, None)) => short(cpu),
            None => "not measured".into(),
        };
        vec![
            name(&comparison.scenario).into(),
            row.transport.label().into(),
            comparison.scenario.subscribers.to_string(),
            short_or_dash(row.latency_ms(0.5)),
            short_or_dash(row.latency_ms(0.99)),
            cpu,
            short_or_dash((row.sound > 0).then(|| row.wire_bytes_per_event())),
            format!("{} of {}", row.sound, row.sound + row.rejected),
        ]
    };
    Some(Table {
        title: "All servers".into(),
        columns: [
            "server",
            "transport",
            "subscribers",
            "p50, ms",
            "p99, ms",
            "server CPU, us/event (95 %)",
            "wire, B/event",
            "sound rounds",
        ]
        .map(Into::into)
        .to_vec(),
        rows: all.iter().map(line).collect(),
    })
}

/// The differences between servers that a comparison has to allow for, in sentences.
pub fn caveats() -> [&'static str; 3] {
    [
        "The load client publishes the events through a server of another kind by one HTTP request or one message on \
         a WebSocket each, and its latency includes that. The lab's own server publishes by itself.",
        "CPU time is that of the server's process and its children. A server that also handles requests to publish spends some of it on them.",
        "The servers differ in what they promise: this lab's keeps a history, numbers events, tells gaps and sends heartbeats.",
    ]
}

#[cfg(test)]
mod tests {
    use protocol::Transport;
    use protocol::run::Part;

    use super::*;
    use crate::experiment::fabricated;

    #[test]
    fn servers_stand_next_to_each_other_and_a_missing_cpu_time_is_not_zero() {
        let own = fabricated::comparison(&[(Transport::Sse, 2.0), (Transport::WebSocket, 1.0)]);
        let mut other = fabricated::comparison(&[(Transport::WebSocket, 0.0)]);
        other.scenario.target = Some("another".into());
        let mut run = fabricated::run_of(own);
        assert_eq!(table(&run), None);
        run.parts.push(Part::Comparison(other));
        let rows = table(&run).unwrap().rows;
        let column = |column: usize| rows.iter().map(|row| row[column].as_str()).collect::<Vec<_>>();
        assert_eq!(column(0), ["this lab", "this lab", "another"]);
        assert_eq!(column(1), ["SSE", "WebSocket", "WebSocket"]);
        assert_eq!(column(5)[2], "not measured");
    }
}
