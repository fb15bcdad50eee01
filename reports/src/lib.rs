//! Turns the result of a run into charts, a table and a page. It opens no socket: all it knows stands in `run.json`.

pub mod answer;
pub mod capacity;
pub mod chart;
pub mod html;
pub mod number;
pub mod ranking;
pub mod statistics;
pub mod summary;
pub mod table;
pub mod theory;
pub mod verdict;

use std::fs;
use std::path::Path;

use anyhow::{Context, ensure};
use protocol::run::{Part, Run, SCHEMA_VERSION};

/// Writes `run.json` and all that is drawn from it into `directory`, which is made where it is missing.
///
/// # Errors
/// When something cannot be written.
pub fn write(run: &Run, directory: &Path) -> anyhow::Result<()> {
    let mut json = serde_json::to_vec(run)?;
    json.push(b'\n');
    put(directory, "run.json", &json)?;
    if let Some(comparison) = run.comparison() {
        put(directory, "summary.csv", table::csv(comparison).as_bytes())?;
    }
    let mut figures = Vec::new();
    for part in &run.parts {
        figures.push(match part {
            Part::Comparison(comparison) => chart::comparison(comparison)?,
            Part::Experiment(experiment) => chart::experiment(experiment)?,
        });
    }
    for figure in figures.iter().flatten() {
        put(directory, &format!("charts/{}.svg", figure.name), figure.svg.as_bytes())?;
    }
    put(directory, "index.html", html::page(run, &figures).as_bytes())
}

/// Makes the directory for a report, and makes sure that it can be written to.
///
/// # Errors
/// When it cannot.
pub fn prepare(directory: &Path) -> anyhow::Result<()> {
    ensure!(!directory.is_file(), "{} is a file, where a directory is wanted", directory.display());
    put(directory, ".writable", b"")?;
    fs::remove_file(directory.join(".writable")).context("cannot remove what was just written")
}

/// Reads a result.
///
/// # Errors
/// When the file cannot be read or is not the result of a run that this version understands.
pub fn read(path: &Path) -> anyhow::Result<Run> {
    let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    parse(&text).with_context(|| path.display().to_string())
}

/// Reads a result that is there already: the bytes of a `run.json`.
///
/// # Errors
/// When they are not the result of a run that this version understands.
pub fn parse(text: &[u8]) -> anyhow::Result<Run> {
    // First the version alone: a result of another one may lack what this one takes for granted.
    let Version { schema_version } = serde_json::from_slice(text).context("no result of a run")?;
    ensure!(
        schema_version == SCHEMA_VERSION,
        "schema version {schema_version}; this program reads version {SCHEMA_VERSION}"
    );
    serde_json::from_slice(text).context("no result of a run")
}

#[derive(serde::Deserialize)]
struct Version {
    schema_version: u32,
}

fn put(directory: &Path, name: &str, content: &[u8]) -> anyhow::Result<()> {
    let path = directory.join(name);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).with_context(|| format!("cannot make the directory {}", parent.display()))?;
    }
    fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))
}
