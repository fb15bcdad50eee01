//! What the slides show of a run: its charts, the table of its comparison, and its verdicts on the claims.

use std::collections::HashMap;
use std::path::Path;

use anyhow::Context;
use protocol::experiment::{Experiment, Status, Table, Verdict};
use protocol::run::{Part, Run};
use reports::chapter;
use reports::number::short_or_dash;
use reports::summary::{Row, rows};
use reports::table::COLUMNS;

use crate::chart;

/// The recorded run that the lecture shows by default; the report in the same directory is made from the same file.
const RECORDED: &[u8] = include_bytes!("../../reports/record/all/run.json");

/// Later runs of some of its experiments, which also measure HTTP/2 and WebTransport. The lecture shows these instead.
const RECORDED_LATER: [&[u8]; 2] =
    [include_bytes!("../../reports/record/http2/run.json"), include_bytes!("../../reports/record/handshake/run.json")];

/// Reads the recorded run.
///
/// # Errors
/// When its schema has another version than this program reads.
pub fn recorded() -> anyhow::Result<Run> {
    reports::parse(RECORDED).context("the recorded run")
}

/// Recorded runs of experiments that `bench-client all` does not measure, since they need more than a loopback connection or take long.
const RECORDED_BESIDE: [&[u8]; 2] = [
    include_bytes!("../../reports/record/loss/run.json"),
    include_bytes!("../../reports/record/token-stream/run.json"),
];

/// The name of a part's experiment.
fn name(part: &Part) -> Option<String> {
    match part {
        Part::Experiment(experiment) => Some(experiment.name.clone()),
        Part::Measured(facts) => Some(facts.name().into()),
        Part::Comparison(_) | Part::Claims => None,
    }
}

/// The charts, the table and the verdicts of a run.
pub struct Figures {
    charts: HashMap<String, String>,
    lanes: String,
    tables: HashMap<String, Table>,
    verdicts: Vec<Verdict>,
    comparison: ComparisonTable,
}

/// The table of a comparison, with one row for each transport.
pub struct ComparisonTable {
    /// The compared scenario, in one line.
    pub scenario: String,
    /// The heading and the unit of each column after the first.
    pub headings: Vec<(&'static str, &'static str)>,
    /// The label and the figures of each transport.
    pub rows: Vec<(&'static str, Vec<String>)>,
}

/// The columns of the comparison that fit on a slide, by their names in CSV.
const SHOWN: [&str; 6] = [
    "latency_p50_ms",
    "latency_p99_ms",
    "wire_bytes_per_event",
    "overhead_bytes_per_event",
    "requests_per_event",
    "server_cpu_us_per_event",
];

/// The columns of the tables of experiments that slides show; each fits on a slide with these only. Tables are named as the report's files.
const TABLES: [(&str, &[&str]); 1] =
    [("token-stream-1", &["asked by", "first token after, ms", "bytes per token", "requests"])];

/// The columns of a table that have these headings.
fn columns_of(table: &Table, headings: &[&str]) -> anyhow::Result<Table> {
    let place = |heading: &&str| {
        let place = table.columns.iter().position(|column| column == heading);
        place.with_context(|| format!("the table “{}” has no column {heading}", table.title))
    };
    let places = headings.iter().map(place).collect::<anyhow::Result<Vec<_>>>()?;
    let shown = |row: &Vec<String>| places.iter().map(|&place| row[place].clone()).collect();
    Ok(Table {
        title: table.title.clone(),
        columns: shown(&table.columns),
        rows: table.rows.iter().map(shown).collect(),
    })
}

impl Figures {
    /// Draws the charts of the recorded run.
    ///
    /// # Errors
    /// When its schema has another version than this program reads, or its facts are incomplete.
    pub fn recorded() -> anyhow::Result<Self> {
        Self::with_later(recorded()?)
    }

    /// The same from the recorded run, which was read before.
    ///
    /// # Errors
    /// As with [`Self::recorded`].
    pub fn with_later(mut run: Run) -> anyhow::Result<Self> {
        for later in RECORDED_LATER {
            let later = reports::parse(later).context("a later recorded run")?;
            let measured_again: Vec<String> = later.parts.iter().filter_map(name).collect();
            run.parts.retain(|part| name(part).is_none_or(|name| !measured_again.contains(&name)));
            run.parts.extend(later.parts);
        }
        Self::of(run)
    }

    /// Draws the charts of the run in a file; without one, of the recorded run.
    ///
    /// # Errors
    /// When the file has no run that this program can read, the run has no comparison, or its facts are incomplete.
    pub fn read(file: Option<&Path>) -> anyhow::Result<Self> {
        match file {
            Some(file) => Self::of(reports::read(file)?),
            None => Self::recorded(),
        }
    }

    /// Draws the charts of a run. Experiments that it lacks because `bench-client all` does not measure them are the recorded ones.
    ///
    /// # Errors
    /// When the run has no comparison, or its facts are incomplete.
    pub fn of(mut run: Run) -> anyhow::Result<Self> {
        for beside in RECORDED_BESIDE {
            let beside = reports::parse(beside).context("a recorded run")?;
            let measured: Vec<String> = run.parts.iter().filter_map(name).collect();
            run.parts.extend(
                beside.parts.into_iter().filter(|part| name(part).is_some_and(|name| !measured.contains(&name))),
            );
        }
        let comparison =
            run.comparison().context("the lecture needs a run of `bench-client all`: this run has no comparison")?;
        let chapters = chapter::of(&run)?;
        let columns: Vec<_> = COLUMNS.iter().filter(|column| SHOWN.contains(&column.name)).collect();
        let cells = |row: &Row| columns.iter().map(|column| short_or_dash((column.value)(row))).collect();
        let comparison_table = ComparisonTable {
            scenario: reports::table::scenario(comparison),
            headings: columns.iter().map(|column| (column.heading, column.unit)).collect(),
            rows: rows(comparison).iter().map(|row| (row.transport.label(), cells(row))).collect(),
        };
        let experiments: Vec<&Experiment> =
            chapter::experiments(&chapters).map(|derived| &*derived.experiment).collect();
        let charts = chart::all(comparison, &experiments);
        let lanes = chart::lanes(&experiments);
        let named = |experiment: &&Experiment| {
            let name = experiment.name.clone();
            let tables = experiment.tables.clone().into_iter().zip(1..);
            tables.map(move |(table, number)| (format!("{name}-{number}"), table))
        };
        let all: HashMap<String, Table> = experiments.iter().flat_map(named).collect();
        let shown = TABLES.iter().filter_map(|(name, headings)| Some((name, all.get(*name)?, headings)));
        let shown = shown.map(|(name, table, headings)| anyhow::Ok((name.to_string(), columns_of(table, headings)?)));
        let tables = shown.collect::<anyhow::Result<_>>()?;
        let verdicts = experiments.iter().flat_map(|experiment| experiment.verdicts.clone()).collect();
        Ok(Self { charts, lanes, tables, verdicts, comparison: comparison_table })
    }

    /// A chart by its name, as SVG.
    ///
    /// # Errors
    /// When the run has no chart of that name.
    pub fn chart(&self, name: &str) -> anyhow::Result<&str> {
        let chart = self.charts.get(name);
        Ok(chart.with_context(|| format!("the run has no chart {name}; a run of `bench-client all` has them all"))?)
    }

    /// The ladders of all transports that a browser can use, drawn like the lanes of the live page, as SVG.
    ///
    /// # Errors
    /// When the run has no ladders.
    pub fn lanes(&self) -> anyhow::Result<&str> {
        anyhow::ensure!(!self.lanes.is_empty(), "the run has no ladders; a run of `bench-client all` has them");
        Ok(&self.lanes)
    }

    /// The run's verdict on a claim.
    ///
    /// # Errors
    /// When the run did not test the claim.
    pub fn verdict(&self, claim: u32) -> anyhow::Result<&Verdict> {
        let tested = |verdict: &&Verdict| verdict.claim == claim && verdict.status != Status::NotYet;
        let verdict = self.verdicts.iter().find(tested);
        verdict.with_context(|| format!("the run did not test claim {claim}; a run of `bench-client all` tests them"))
    }

    /// A table of an experiment by its name, with the columns that fit on a slide.
    ///
    /// # Errors
    /// When the run has no such table, or no columns of it are chosen for slides.
    pub fn table(&self, name: &str) -> anyhow::Result<&Table> {
        self.tables.get(name).with_context(|| format!("the run has no table {name} with columns for a slide"))
    }

    /// The table of the run's comparison.
    pub fn comparison(&self) -> &ComparisonTable {
        &self.comparison
    }
}
