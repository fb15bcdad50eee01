//! What the slides show of a run: its charts, the table of its comparison, and how it found the claims to stand.

use std::collections::HashMap;

use anyhow::Context;
use protocol::experiment::{Drawing, Ladder, Standing, Verdict};
use protocol::run::Run;
use reports::chart::{self, Figure};
use reports::number::short_or_dash;
use reports::summary::{Row, rows};
use reports::table::COLUMNS;

use crate::{findings, lanes};

/// The run that is kept with the lecture; the report beside it is drawn from the same file.
const RECORDED: &[u8] = include_bytes!("../../reports/record/all/run.json");

/// What a run has to show.
pub struct Figures {
    charts: HashMap<String, Figure>,
    lanes: String,
    verdicts: Vec<Verdict>,
    table: Table,
}

/// The table of a comparison: headings with their units, and a row a transport.
pub struct Table {
    /// What was compared, in one line.
    pub scenario: String,
    /// What stands above the columns behind the first one.
    pub headings: Vec<(&'static str, &'static str)>,
    /// The transport's name, and its figures.
    pub rows: Vec<(&'static str, Vec<String>)>,
}

/// What is shown of the comparison's columns, by their names in CSV: as many as a slide has room for.
const SHOWN: [&str; 6] = [
    "latency_p50_ms",
    "latency_p99_ms",
    "wire_bytes_per_event",
    "overhead_bytes_per_event",
    "requests_per_event",
    "server_cpu_us_per_event",
];

impl Figures {
    /// Draws what the lecture's own run has to show.
    ///
    /// # Errors
    /// When it was recorded by a version of the lab that this one does not understand.
    pub fn recorded() -> anyhow::Result<Self> {
        Self::of(&findings::read(RECORDED).context("the recorded run")?)
    }

    /// Draws what a run has to show.
    ///
    /// # Errors
    /// When the drawing library fails, or the run holds no comparison.
    pub fn of(run: &Run) -> anyhow::Result<Self> {
        let comparison =
            run.comparison().context("the lecture needs a run of `bench-client all`: this one holds no comparison")?;
        let charts = chart::of(run)?.into_iter().flatten().map(|figure| (figure.name.clone(), figure)).collect();
        let columns: Vec<_> = COLUMNS.iter().filter(|column| SHOWN.contains(&column.name)).collect();
        let cells = |row: &Row| columns.iter().map(|column| short_or_dash((column.value)(row))).collect();
        let table = Table {
            scenario: reports::table::scenario(comparison),
            headings: columns.iter().map(|column| (column.heading, column.unit)).collect(),
            rows: rows(comparison).iter().map(|row| (row.transport.label(), cells(row))).collect(),
        };
        let drawings = run.experiments().flat_map(|experiment| &experiment.drawings);
        let ladders: Vec<&Ladder> = drawings
            .filter_map(|drawing| match drawing {
                Drawing::Ladder(ladder) => Some(ladder),
                _ => None,
            })
            .collect();
        let lanes = lanes::draw(&ladders);
        let verdicts = run.experiments().flat_map(|experiment| experiment.verdicts.clone()).collect();
        Ok(Self { charts, lanes, verdicts, table })
    }

    /// A chart by its name, as SVG.
    ///
    /// # Errors
    /// When the run has none of that name.
    pub fn chart(&self, name: &str) -> anyhow::Result<&str> {
        let chart = self.charts.get(name);
        Ok(&chart
            .with_context(|| format!("the run has no chart {name}; a run of `bench-client all` has them all"))?
            .svg)
    }

    /// What crossed the wire over each transport that browsers have, drawn as the live page draws it, as SVG.
    ///
    /// # Errors
    /// When the run did not record it.
    pub fn lanes(&self) -> anyhow::Result<&str> {
        anyhow::ensure!(!self.lanes.is_empty(), "the run has no ladders; a run of `bench-client all` has them");
        Ok(&self.lanes)
    }

    /// How the run found a claim to stand.
    ///
    /// # Errors
    /// When it did not test it.
    pub fn verdict(&self, claim: u32) -> anyhow::Result<&Verdict> {
        let tested = |verdict: &&Verdict| verdict.claim == claim && verdict.standing != Standing::NotYet;
        let verdict = self.verdicts.iter().find(tested);
        verdict.with_context(|| format!("the run did not test claim {claim}; a run of `bench-client all` tests them"))
    }

    /// The table of its comparison.
    pub fn table(&self) -> &Table {
        &self.table
    }
}
