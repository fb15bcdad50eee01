//! The conditions of `--fail-if`, and the earlier run of `--baseline`: checked before a run, and decided after it.

use std::path::{Path, PathBuf};

use anyhow::ensure;
use clap::Args;
use protocol::Transport;
use protocol::run::Run;
use reports::difference::Difference;
use reports::threshold::Threshold;

use crate::experiment::print;

/// Below a report's directory, where the comparison with the baseline is written.
const FOLDER: &str = "baseline";

/// When a run fails.
#[derive(Debug, Clone, Default, Args)]
#[group(id = "conditions")]
pub struct Options {
    /// Fail with exit code 2 if a figure is beyond a bound, like 'websocket.p99 > 20ms', or significantly worse than in the --baseline, like
    /// 'websocket.cpu worse by 10%' or 'worse by 10%'; can be repeated
    #[arg(long, value_name = "CONDITION")]
    pub fail_if: Vec<Threshold>,
    /// An earlier run to compare with: the directory of its report, or its run.json
    #[arg(long, value_name = "DIR")]
    pub baseline: Option<PathBuf>,
}

/// Conditions that can be decided.
pub struct Conditions<'a> {
    thresholds: &'a [Threshold],
    baseline: Option<Run>,
}

/// The error of a run that breaks a condition, a line for each.
#[derive(Debug, thiserror::Error)]
#[error("{} broken:\n{}", if .0.len() == 1 { "a condition is" } else { "conditions are" }, .0.join("\n"))]
pub struct Broken(Vec<String>);

impl<'a> Conditions<'a> {
    /// Reads the baseline, and checks that each condition can be decided for these transports.
    ///
    /// # Errors
    /// When the baseline cannot be read, is missing, or a condition is about a transport that is not measured.
    pub fn read(options: &'a Options, transports: &[Transport]) -> anyhow::Result<Self> {
        let baseline = options.baseline.as_deref().map(run).transpose()?;
        for threshold in &options.fail_if {
            ensure!(
                baseline.is_some() || !threshold.needs_baseline(),
                "--fail-if '{threshold}' needs an earlier run: add --baseline DIR"
            );
            if let Some(transport) = threshold.transport() {
                ensure!(
                    transports.contains(&transport),
                    "--fail-if '{threshold}' is about a transport that is not measured; add {transport} to --transports"
                );
            }
        }
        Ok(Self { thresholds: &options.fail_if, baseline })
    }

    /// Compares the run with the baseline, if there is one: writes the comparison below `out`, and prints it unless `quiet`. Then decides the
    /// conditions.
    ///
    /// # Errors
    /// [`Broken`] if the run breaks some; and when the runs cannot be compared, or the comparison cannot be written.
    pub fn decide(&self, run: &Run, out: &Path, quiet: bool) -> anyhow::Result<()> {
        let difference = self.baseline.as_ref().map(|baseline| Difference::of(baseline, run)).transpose()?;
        if let Some(difference) = &difference {
            difference.write(&out.join(FOLDER))?;
            if !quiet {
                print::print(&difference.summary());
                println!("Comparison with the baseline: {}", out.join(FOLDER).join("index.html").display());
            }
        }
        decide(self.thresholds, run, difference.as_ref())
    }
}

/// Decides conditions.
///
/// # Errors
/// [`Broken`] if the run breaks some.
pub fn decide(thresholds: &[Threshold], run: &Run, difference: Option<&Difference<'_>>) -> anyhow::Result<()> {
    let changes = difference.map_or(&[][..], |difference| &difference.changes);
    let broken: Vec<String> = thresholds.iter().flat_map(|threshold| threshold.broken(run, changes)).collect();
    if broken.is_empty() { Ok(()) } else { Err(Broken(broken).into()) }
}

/// Reads the result of a run: a `run.json`, or the directory of its report.
///
/// # Errors
/// When there is none.
pub fn run(path: &Path) -> anyhow::Result<Run> {
    let file = if path.is_dir() { path.join("run.json") } else { path.into() };
    reports::read(&file)
}
