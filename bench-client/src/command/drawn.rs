//! `redraw`, `lecture` and `export-site`: pages that are drawn from runs that were made before. Nothing is measured.

use std::path::PathBuf;

use clap::Args;
use slides::{Destination, Figures, learn};

/// Generate every file of a report again, byte for byte, from the result of its run.
#[derive(Debug, Clone, Args)]
pub struct Redraw {
    /// The result of a run
    #[arg(value_name = "DIR/run.json")]
    pub run: PathBuf,
    /// Directory for the files, instead of the one that contains the result
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// Render the lecture into self-contained pages: for each language, one with the solutions of the exercises, a handout without them, a
/// worksheet and the instructor's guide. Open the slides in a browser, and press ? for the list of their keys.
#[derive(Debug, Clone, Args)]
pub struct Lecture {
    /// The run whose charts and figures are shown, instead of the recorded run that is built into this program
    #[arg(long, value_name = "DIR/run.json")]
    pub run: Option<PathBuf>,
    /// Directory to write to
    #[arg(long, value_name = "DIR", default_value = "lab-slides")]
    pub out: PathBuf,
}

/// Write the story and the lecture as a site of files.
#[derive(Debug, Clone, Args)]
pub struct ExportSite {
    /// Directory to write to: a new or an empty one, or one with a site that was exported before, which is replaced
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
}

/// Generates the report.
///
/// # Errors
/// When the result cannot be read, or the report cannot be written.
pub fn redraw(options: &Redraw) -> anyhow::Result<()> {
    println!("{}", reports::redraw(&options.run, options.out.as_deref())?.display());
    Ok(())
}

/// Renders the lecture.
///
/// # Errors
/// When the run cannot be read, or the pages cannot be written.
pub fn lecture(options: &Lecture) -> anyhow::Result<()> {
    print(&slides::write(&Figures::read(options.run.as_deref())?, Destination::File, &options.out)?);
    Ok(())
}

/// Writes the site.
///
/// # Errors
/// When the directory contains anything else than such a site, or cannot be written.
pub fn export_site(options: &ExportSite) -> anyhow::Result<()> {
    print(&learn::export(&options.directory)?);
    Ok(())
}

fn print(files: &[PathBuf]) {
    files.iter().for_each(|file| println!("{}", file.display()));
}
