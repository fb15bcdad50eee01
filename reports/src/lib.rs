//! Derives statistics, verdicts, tables, charts and a page from the facts of a run. It opens no socket; `run.json`
//! has everything that it needs.

pub mod answer;
pub mod capacity;
pub mod chapter;
pub mod chart;
pub mod difference;
pub mod experiment;
pub mod html;
pub mod judge;
pub mod loads;
pub mod number;
mod ranking;
mod scorecard;
pub mod servers;
pub mod statistics;
pub mod summary;
pub mod table;
pub mod theory;
pub mod threshold;
pub mod verdict;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use protocol::run::{Run, SCHEMA_VERSION};

/// Writes a report into `directory`, which is created if it is missing: `run.json`, the page, the charts, each comparison's rows in
/// `summary.csv`, and each experiment's tables in `tables/`.
///
/// # Errors
/// When something cannot be written.
pub fn write(run: &Run, directory: &Path) -> anyhow::Result<()> {
    let chapters = chapter::of(run)?;
    let mut json = serde_json::to_vec(run)?;
    json.push(b'\n');
    put(directory, "run.json", &json)?;
    let compared = run.comparisons().map(|comparison| ("comparison", comparison));
    let experiments = chapter::experiments(&chapters)
        .flat_map(|derived| derived.rounds.iter().map(|comparison| (&*derived.experiment.name, *comparison)));
    put(directory, "summary.csv", table::csv(compared.chain(experiments)).as_bytes())?;
    for derived in chapter::experiments(&chapters) {
        let name = &derived.experiment.name;
        for (number, found) in (1..).zip(&derived.experiment.tables) {
            put(directory, &format!("tables/{name}-{number}.csv"), table::table_csv(found).as_bytes())?;
        }
    }
    let figures = chart::of(&chapters)?;
    let loads = chart::loads(run)?;
    for figure in figures.iter().flatten().chain(&loads) {
        put(directory, &format!("charts/{}.svg", figure.name), figure.svg.as_bytes())?;
    }
    put(directory, "index.html", html::page(run, &chapters, &figures, loads.as_ref()).as_bytes())
}

/// Writes a report again from the result in `file`, next to it or into another directory. Returns its page.
///
/// # Errors
/// When the result cannot be read, or the report cannot be written.
pub fn redraw(file: &Path, directory: Option<&Path>) -> anyhow::Result<PathBuf> {
    let directory = directory.unwrap_or_else(|| file.parent().unwrap_or(Path::new(".")));
    write(&read(file)?, directory)?;
    Ok(directory.join("index.html"))
}

/// The files and directories of a report.
const FILES: [&str; 6] = ["run.json", "summary.csv", "index.html", "charts", "tables", "baseline"];

/// Moves an earlier report in `directory` into a numbered folder below `directory/earlier`, and returns that folder; `None` where there is
/// no earlier report.
///
/// # Errors
/// When something cannot be moved.
pub fn put_aside(directory: &Path) -> anyhow::Result<Option<PathBuf>> {
    if !directory.join("run.json").exists() {
        return Ok(None);
    }
    let earlier = directory.join("earlier");
    let free = (1..).map(|number| earlier.join(format!("{number}"))).find(|folder| !folder.exists());
    let folder = free.context("no number is free")?;
    fs::create_dir_all(&folder).with_context(|| format!("cannot make the directory {}", folder.display()))?;
    for name in FILES.into_iter().filter(|name| directory.join(name).exists()) {
        fs::rename(directory.join(name), folder.join(name)).with_context(|| format!("cannot move {name}"))?;
    }
    Ok(Some(folder))
}

/// Checks that a report can be written to `directory`. A missing directory is created and removed again, so that a run without a result
/// leaves no directory.
///
/// # Errors
/// When the directory cannot be created or written to.
pub fn prepare(directory: &Path) -> anyhow::Result<()> {
    ensure!(!directory.is_file(), "{} is a file, where a directory is wanted", directory.display());
    let missing: Vec<&Path> =
        directory.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists()).collect();
    put(directory, ".writable", b"")?;
    fs::remove_file(directory.join(".writable")).context("cannot remove what was just written")?;
    missing.into_iter().try_for_each(fs::remove_dir).context("cannot remove a directory that was just made")
}

/// Reads a result.
///
/// # Errors
/// When the file cannot be read or is not the result of a run that this version understands.
pub fn read(path: &Path) -> anyhow::Result<Run> {
    let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    parse(&text).with_context(|| path.display().to_string())
}

/// Parses the bytes of a `run.json`.
///
/// # Errors
/// When they are not the result of a run that this version understands.
pub fn parse(text: &[u8]) -> anyhow::Result<Run> {
    // The version is parsed first: a result of another version may lack fields that this version requires.
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
