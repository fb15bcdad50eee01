//! `compare-runs`: what differs between two runs that were made before.

use std::path::PathBuf;

use anyhow::ensure;
use clap::Args;
use reports::difference::Difference;
use reports::threshold::Threshold;

use super::conditions;
use crate::experiment::print;

/// Compare two runs.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// The first run: the directory of its report, or its run.json
    #[arg(value_name = "BEFORE")]
    pub before: PathBuf,
    /// The second run
    #[arg(value_name = "AFTER")]
    pub after: PathBuf,
    /// Fail with exit code 2 if a figure of the second run is beyond a bound, like 'websocket.p99 > 20ms', or significantly worse than in the
    /// first, like 'worse by 10%'; can be repeated
    #[arg(long, value_name = "CONDITION")]
    pub fail_if: Vec<Threshold>,
    /// Directory for the page
    #[arg(long, value_name = "DIR", default_value = "lab-difference")]
    pub out: PathBuf,
}

/// Compares them, prints the result and writes a page.
///
/// # Errors
/// When a run cannot be read, they have nothing in common, the page cannot be written, or a condition is broken.
pub fn compare_runs(options: &Options) -> anyhow::Result<()> {
    let [before, after] = [conditions::run(&options.before)?, conditions::run(&options.after)?];
    ensure!(!options.out.join("run.json").exists(), "--out {} has the report of a run", options.out.display());
    let difference = Difference::of(&before, &after)?;
    difference.write(&options.out)?;
    print::print(&difference.summary());
    println!("Report: {}", options.out.join("index.html").display());
    conditions::decide(&options.fail_if, &after, Some(&difference))
}
