//! From measuring to a report: the event loop that all measuring runs on, and the files in the end.

use std::path::Path;

use anyhow::{Context, bail};
use protocol::run::{Part, Run, SCHEMA_VERSION};
use tokio::runtime::{Builder, LocalOptions};

use crate::environment::Watch;

/// Measures, writes the report to `out`, and gives the run.
///
/// # Errors
/// When `out` cannot be written to, which is found before anything is measured; when measuring fails or is interrupted.
pub fn make(
    out: &Path,
    command: String,
    measure: impl Future<Output = anyhow::Result<Vec<Part>>>,
) -> anyhow::Result<Run> {
    reports::prepare(out).context("--out")?;
    let watch = Watch::start();
    let parts = block_on(async {
        tokio::select! {
            parts = measure => parts,
            _ = tokio::signal::ctrl_c() => bail!("interrupted; no report was written"),
        }
    })?;
    let run = Run { schema_version: SCHEMA_VERSION, command, environment: watch.finish(), parts };
    reports::write(&run, out)?;
    Ok(run)
}

/// Runs a future on one thread, so that subscribers share their record without locks and no worker wakes another.
///
/// # Errors
/// When the event loop cannot be made, and those of the future.
pub fn block_on<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?.block_on(future)
}
