//! The same comparison at several loads: the cost of a delivery on an idle server differs from that on a busy one.

use protocol::Transport;
use protocol::experiment::{Axis, Line, Lines, Point, Table};
use protocol::result::Comparison;
use protocol::run::Run;

use crate::number::{short, short_or_dash, thousands};
use crate::ranking::{CRITERIA, Ranking, ranking};
use crate::servers;
use crate::summary::{Row, rows};

/// The comparisons of a run, where there is more than one and all are at one server.
fn loads(run: &Run) -> Option<Vec<&Comparison>> {
    let loads: Vec<&Comparison> = run.comparisons().collect();
    (loads.len() > 1 && !servers::has_others(run)).then_some(loads)
}

/// Server CPU time per delivery over the number of subscribers, a line for each transport; `None` for a single load.
pub fn drawing(run: &Run) -> Option<Lines> {
    let loads = loads(run)?;
    let rows: Vec<(u32, Vec<Row>)> =
        loads.iter().map(|comparison| (comparison.scenario.subscribers, rows(comparison))).collect();
    let point = |subscribers: u32, rows: &[Row], transport: Transport| {
        let (y, interval) = rows.iter().find(|row| row.transport == transport)?.cpu()?;
        Some(Point { x: f64::from(subscribers), y, interval })
    };
    let line = |transport: Transport| Line {
        label: transport.label().into(),
        transport: Some(transport),
        theory: false,
        points: rows.iter().filter_map(|(subscribers, rows)| point(*subscribers, rows, transport)).collect(),
    };
    let lines: Vec<Line> = Transport::ALL.into_iter().map(line).filter(|line| !line.points.is_empty()).collect();
    let axis = |label: &str| Axis { label: label.into(), logarithmic: true };
    Some(Lines {
        name: "server-cpu-by-load".into(),
        title: "The cost of a delivery depends on how busy the server is".into(),
        caption: format!(
            "CPU time of the server's process per delivered event, at {} events/s. With few subscribers the server sleeps between events, \
             and each wake-up takes CPU time; with many, one wake-up serves them all. Bars are 95 % intervals over rounds.",
            loads[0].scenario.rate
        ),
        x: axis("subscribers"),
        y: axis("server CPU per delivered event in us"),
        lines,
    })
}

/// Cost and latency of each transport at each load, and how busy the server was; `None` for a single load.
pub fn table(run: &Run) -> Option<Table> {
    let loads = loads(run)?;
    let rows: Vec<Vec<Row>> = loads.iter().map(|comparison| rows(comparison)).collect();
    let mut columns = vec!["Transport".to_string()];
    for comparison in &loads {
        let subscribers = thousands(u64::from(comparison.scenario.subscribers));
        columns.extend([format!("{subscribers}: us/event"), "busy %".into(), "p50 ms".into(), "p99 ms".into()]);
    }
    let line = |transport: Transport| {
        let cells = rows.iter().flat_map(|rows| {
            let row = rows.iter().find(|row| row.transport == transport);
            [
                short_or_dash(row.and_then(Row::cpu_us)),
                short_or_dash(row.and_then(Row::utilisation).map(|share| share * 100.0)),
                short_or_dash(row.and_then(|row| row.latency_ms(0.5))),
                short_or_dash(row.and_then(|row| row.latency_ms(0.99))),
            ]
        });
        std::iter::once(transport.label().to_string()).chain(cells).collect()
    };
    let measured = |transport: &Transport| rows.iter().flatten().any(|row| row.transport == *transport);
    let rows = Transport::ALL.into_iter().filter(measured).map(line).collect();
    Some(Table { title: "Comparison of the loads".into(), columns, rows })
}

/// The pairs of transports whose order by server CPU reverses from the smallest load to the largest, a sentence each.
pub fn sentences(run: &Run) -> Vec<String> {
    let Some(loads) = loads(run) else { return Vec::new() };
    let cpu = &CRITERIA[CRITERIA.len() - 1];
    let ranked: Vec<_> = loads
        .iter()
        .filter_map(|comparison| Some((comparison.scenario.subscribers, ranking(&rows(comparison), cpu)?)))
        .collect();
    let [(few, small), .., (many, large)] = &ranked[..] else { return Vec::new() };
    let reversed = reversed(small, large);
    let (few, many) = (thousands(u64::from(*few)), thousands(u64::from(*many)));
    if reversed.is_empty() {
        return vec![format!(
            "Between {few} and {many} subscribers no two transports significantly reverse their order by server CPU; the ties \
             may differ."
        )];
    }
    reversed
        .into_iter()
        .map(|(cheaper, dearer, before, after)| {
            format!(
                "With {few} subscribers, a delivery over {} costs the server {} times the CPU time of one over {}; with {many}, only {} times.",
                dearer.in_words(),
                short(before),
                cheaper.in_words(),
                short(after)
            )
        })
        .collect()
}

/// Pairs that differ significantly at both loads, but in opposite directions: the transport that is cheaper at the small load, the other
/// one, and the ratio of the other's CPU time to that of the first at each load.
fn reversed(small: &Ranking, large: &Ranking) -> Vec<(Transport, Transport, f64, f64)> {
    let opposite = |pair: &crate::ranking::Pair| {
        let other = large.pairs.iter().find(|other| other.greater == pair.lesser && other.lesser == pair.greater)?;
        (pair.differs && other.differs).then_some((
            pair.lesser,
            pair.greater,
            pair.ratio.estimate,
            1.0 / other.ratio.estimate,
        ))
    };
    small.pairs.iter().filter_map(opposite).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::tests::row_with;

    #[test]
    fn an_order_that_reverses_with_the_load_is_found() {
        let rank = |polling: f64, websocket: f64| {
            let of = |transport, cost: f64| {
                row_with(transport, [1.0, 1.1, 0.95, 1.05, 1.02].map(|noise| cost * noise).into_iter())
            };
            let rows = [of(Transport::Polling, polling), of(Transport::WebSocket, websocket)];
            ranking(&rows, &CRITERIA[2]).unwrap()
        };
        let found = reversed(&rank(15.0, 10.0), &rank(4.0, 8.0));
        let [(cheaper, dearer, before, after)] = found[..] else { panic!("{found:?}") };
        assert_eq!((cheaper, dearer), (Transport::WebSocket, Transport::Polling));
        assert!((before - 1.5).abs() < 1e-9 && (after - 0.5).abs() < 1e-9);
        assert_eq!(reversed(&rank(15.0, 10.0), &rank(9.0, 8.0)), []);
    }
}
