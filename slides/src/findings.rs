//! A run without the rounds behind its experiments: what they found is all that the lecture shows, and the rounds take nearly all of
//! the memory, some hundreds of MB, since each of their histograms has a place for every bucket.

use anyhow::{Context, ensure};
use protocol::experiment::{Drawing, Experiment, Verdict};
use protocol::result::Environment;
use protocol::run::{Part, Run, SCHEMA_VERSION};
use serde::Deserialize;
use serde_json::value::RawValue;

/// A run whose parts are not read yet.
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

/// What kind of part it is; the part itself is passed over.
#[derive(Deserialize)]
struct Kind<'a> {
    kind: &'a str,
}

/// What the lecture shows of an experiment.
#[derive(Deserialize)]
struct Findings {
    drawings: Vec<Drawing>,
    verdicts: Vec<Verdict>,
}

/// Reads a run: its comparison as a whole, and of its experiments the drawings and verdicts.
///
/// # Errors
/// When it is no run, or one of a version that this program does not read.
pub fn read(text: &[u8]) -> anyhow::Result<Run> {
    let outline: Outline = serde_json::from_slice(text).context("no result of a run")?;
    let Outline { schema_version, command, environment, interrupted, parts } = outline;
    ensure!(
        schema_version == SCHEMA_VERSION,
        "schema version {schema_version}; this program reads version {SCHEMA_VERSION}"
    );
    let parts = parts.into_iter().map(|part| self::part(part.get())).collect::<Result<_, _>>()?;
    Ok(Run { schema_version, command, environment, interrupted, parts })
}

fn part(text: &str) -> serde_json::Result<Part> {
    let Kind { kind } = serde_json::from_str(text)?;
    if kind != "experiment" {
        return serde_json::from_str(text);
    }
    let Findings { drawings, verdicts } = serde_json::from_str(text)?;
    Ok(Part::Experiment(Experiment { drawings, verdicts, ..Experiment::default() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_read_without_the_rounds_of_its_experiments() {
        let recorded: &[u8] = include_bytes!("../../reports/record/all/run.json");
        let whole = reports::parse(recorded).unwrap();
        let found = read(recorded).unwrap();
        assert_eq!(found.comparison(), whole.comparison());
        assert_eq!(found.experiments().count(), whole.experiments().count());
        let rounds = |run: &Run| run.experiments().map(|experiment| experiment.rounds.len()).sum::<usize>();
        assert!(rounds(&whole) > 0);
        assert_eq!(rounds(&found), 0);
        for (found, whole) in found.experiments().zip(whole.experiments()) {
            assert_eq!((&found.drawings, &found.verdicts), (&whole.drawings, &whole.verdicts));
        }
    }

    #[test]
    fn another_version_is_not_read() {
        let recorded: &[u8] = include_bytes!("../../reports/record/all/run.json");
        let text = std::str::from_utf8(recorded).unwrap();
        let newer = text.replacen("\"schema_version\":2", "\"schema_version\":3", 1);
        let newer = newer.replacen("\"schema_version\": 2", "\"schema_version\": 3", 1);
        assert_ne!(newer, text);
        assert!(read(newer.as_bytes()).unwrap_err().to_string().starts_with("schema version 3;"));
    }
}
