//! Turns the result of a run into charts, a table and a page. It opens no socket: all it knows stands in `run.json`.

pub mod answer;
pub mod capacity;
pub mod chart;
pub mod html;
pub mod loads;
pub mod number;
pub mod ranking;
pub mod statistics;
pub mod summary;
pub mod table;
pub mod theory;
pub mod verdict;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use protocol::run::{Run, SCHEMA_VERSION};

/// Writes `run.json` and all that is drawn from it into `directory`, which is made where it is missing: the page, the charts, each
/// comparison's rows in `summary.csv`, and each experiment's tables in `tables/`.
///
/// # Errors
/// When something cannot be written.
pub fn write(run: &Run, directory: &Path) -> anyhow::Result<()> {
    let mut json = serde_json::to_vec(run)?;
    json.push(b'\n');
    put(directory, "run.json", &json)?;
    let compared = run.comparisons().map(|comparison| ("comparison", comparison));
    let experiments =
        run.experiments().flat_map(|experiment| experiment.rounds.iter().map(|of| (&*experiment.name, of)));
    let measured = compared.chain(experiments);
    put(directory, "summary.csv", table::csv(measured).as_bytes())?;
    for experiment in run.experiments() {
        for (number, found) in (1..).zip(&experiment.tables) {
            put(directory, &format!("tables/{}-{number}.csv", experiment.name), table::table_csv(found).as_bytes())?;
        }
    }
    let figures = chart::of(run)?;
    let loads = chart::loads(run)?;
    for figure in figures.iter().flatten().chain(&loads) {
        put(directory, &format!("charts/{}.svg", figure.name), figure.svg.as_bytes())?;
    }
    put(directory, "index.html", html::page(run, &figures, loads.as_ref()).as_bytes())
}

/// What a report consists of.
const FILES: [&str; 5] = ["run.json", "summary.csv", "index.html", "charts", "tables"];

/// Makes room for a new report: one that lies in `directory` is moved, whole, into a numbered folder below `directory/earlier`; gives
/// that folder.
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

/// Makes sure that a report can be written to `directory`. Where that is missing, it is made and taken away again: a run that ends
/// without a result leaves nothing behind.
///
/// # Errors
/// When it cannot.
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
