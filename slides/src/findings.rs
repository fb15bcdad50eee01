//! Reads a run without the rounds of its experiments. The lecture does not show them, and they would take nearly all of the memory, some
//! hundreds of MB, since each of their histograms has a count for every bucket.

use anyhow::{Context, bail, ensure};
use protocol::experiment::{Drawing, Experiment, Table, Verdict};
use protocol::result::Environment;
use protocol::run::{Part, Run, SCHEMA_VERSION};
use serde::Deserialize;
use serde_json::value::RawValue;

/// A run whose parts are not parsed yet.
#[derive(Deserialize)]
struct Outline<'a> {
    schema_version: u32,
    command: String,
    environment: Environment,
    #[serde(default)]
    interrupted: bool,
    #[serde(borrow)]
    parts: Vec<&'a RawValue>,
}

/// The kind of a part; its other fields are ignored.
#[derive(Deserialize)]
struct Kind<'a> {
    kind: &'a str,
}

/// What the lecture shows of an experiment that an earlier version stored.
#[derive(Deserialize)]
struct Findings {
    name: String,
    drawings: Vec<Drawing>,
    #[serde(default)]
    tables: Vec<Table>,
    verdicts: Vec<Verdict>,
}

/// Reads a run: the whole comparison, but only the drawings, tables and verdicts of the experiments with rounds.
///
/// # Errors
/// When the text is no run, or its schema has another version than this program reads.
pub fn read(text: &[u8]) -> anyhow::Result<Run> {
    let outline: Outline = serde_json::from_slice(text).context("this is not the result of a run")?;
    let Outline { schema_version, command, environment, interrupted, parts } = outline;
    ensure!(
        schema_version == SCHEMA_VERSION,
        "schema version {schema_version}; this program reads version {SCHEMA_VERSION}"
    );
    let parts = parts.into_iter().map(|part| self::part(part.get())).collect::<anyhow::Result<_>>()?;
    Ok(Run { schema_version, command, environment, interrupted, parts })
}

fn part(text: &str) -> anyhow::Result<Part> {
    let Kind { kind } = serde_json::from_str(text)?;
    let found = match kind {
        "experiment" => serde_json::from_str(text)?,
        "measured" => {
            let Part::Measured(facts) = serde_json::from_str(text)? else {
                bail!("a part of the kind measured has facts")
            };
            // Facts without rounds are small, and the story shows some of them.
            if facts.rounds().is_empty() {
                return Ok(Part::Measured(facts));
            }
            let Experiment { name, drawings, tables, verdicts, .. } = reports::experiment::derive(&facts)?;
            Findings { name, drawings, tables, verdicts }
        }
        _ => return Ok(serde_json::from_str(text)?),
    };
    let Findings { name, drawings, tables, verdicts } = found;
    Ok(Part::Experiment(Experiment { name, drawings, tables, verdicts, ..Experiment::default() }))
}

#[cfg(test)]
mod tests {
    use reports::chapter::Derived;

    use super::*;

    #[test]
    fn a_run_is_read_without_the_rounds_of_its_experiments() {
        let recorded: &[u8] = include_bytes!("../../reports/record/all/run.json");
        let whole = reports::parse(recorded).unwrap();
        let found = read(recorded).unwrap();
        assert_eq!(found.comparison(), whole.comparison());
        let (found, whole) = (reports::chapter::of(&found).unwrap(), reports::chapter::of(&whole).unwrap());
        let experiments = |chapters| reports::chapter::experiments(chapters).collect::<Vec<_>>();
        let (found, whole) = (experiments(&found), experiments(&whole));
        let rounds = |all: &[&Derived]| all.iter().map(|derived| derived.rounds.len()).sum::<usize>();
        assert!(rounds(&whole) > 0);
        assert_eq!((found.len(), rounds(&found)), (whole.len(), 0));
        for (found, whole) in found.iter().zip(whole) {
            assert_eq!(found.experiment.drawings, whole.experiment.drawings);
            assert_eq!(found.experiment.verdicts, whole.experiment.verdicts);
        }
    }

    #[test]
    fn another_schema_version_is_an_error() {
        let recorded: &[u8] = include_bytes!("../../reports/record/all/run.json");
        let text = std::str::from_utf8(recorded).unwrap();
        let newer = text.replacen("\"schema_version\":2", "\"schema_version\":3", 1);
        let newer = newer.replacen("\"schema_version\": 2", "\"schema_version\": 3", 1);
        assert_ne!(newer, text);
        assert!(read(newer.as_bytes()).unwrap_err().to_string().starts_with("schema version 3;"));
    }
}
