//! Measures, and writes the report. Contains the event loop that all measuring runs on, and collects the parts that are finished so far.

use std::cell::RefCell;
use std::path::Path;

use anyhow::{Context, bail};
use protocol::result::{Comparison, Round, Scenario};
use protocol::run::{Part, Run, SCHEMA_VERSION};
use tokio::runtime::{Builder, LocalOptions};

use crate::environment::Monitor;

/// The parts that a run has finished so far. They become a report even if the run is interrupted.
#[derive(Default)]
pub struct Finished(RefCell<Vec<Part>>);

impl Finished {
    /// Adds a part.
    pub fn push(&self, part: Part) {
        self.0.borrow_mut().push(part);
    }

    /// Adds a part after the comparisons at the beginning, and before all other parts.
    pub fn insert_after_comparisons(&self, part: Part) {
        let mut parts = self.0.borrow_mut();
        let first = parts.iter().take_while(|part| matches!(part, Part::Comparison(_))).count();
        parts.insert(first, part);
    }

    /// Adds a comparison without rounds for each scenario; returns the index of the first one, for [`Self::rounds`].
    pub fn begin(&self, scenarios: &[Scenario]) -> usize {
        let mut parts = self.0.borrow_mut();
        let first = parts.len();
        parts.extend(
            scenarios
                .iter()
                .map(|scenario| Part::Comparison(Comparison { scenario: scenario.clone(), rounds: Vec::new() })),
        );
        first
    }

    /// Replaces the rounds of the comparison with that index, which [`Self::begin`] has determined.
    pub fn rounds(&self, index: usize, rounds: &[Round]) {
        if let Some(Part::Comparison(comparison)) = self.0.borrow_mut().get_mut(index) {
            comparison.rounds = rounds.to_vec();
        }
    }

    /// Removes all parts, and returns them without the comparisons that have no round.
    fn take(&self) -> Vec<Part> {
        let mut parts = self.0.take();
        parts.retain(|part| !matches!(part, Part::Comparison(comparison) if comparison.rounds.is_empty()));
        parts
    }
}

/// The error of a run that was ended by Ctrl-C.
#[derive(Debug, thiserror::Error)]
#[error("interrupted by Ctrl-C")]
pub struct Interrupted;

/// Measures, writes the report of all finished parts to `out`, and returns the run. An earlier report in `out` is moved to a directory
/// below it.
///
/// # Errors
/// When `out` cannot be written to, which is checked before anything is measured; when measuring fails, or Ctrl-C ends it
/// ([`Interrupted`]). The report of the parts that are finished by then is written nevertheless, if there are any.
pub fn make(
    out: &Path,
    command: String,
    measure: impl AsyncFnOnce(&Finished) -> anyhow::Result<()>,
) -> anyhow::Result<Run> {
    reports::prepare(out).context("--out")?;
    let monitor = Monitor::start();
    let finished = Finished::default();
    let ended = block_on(async {
        tokio::select! {
            measured = measure(&finished) => measured,
            interrupted = tokio::signal::ctrl_c() => {
                interrupted?;
                Err(Interrupted.into())
            }
        }
    });
    let parts = finished.take();
    if parts.is_empty() {
        ended?;
        bail!("nothing was measured");
    }
    let interrupted = ended.is_err();
    let run = Run { schema_version: SCHEMA_VERSION, command, environment: monitor.finish(), interrupted, parts };
    if let Some(earlier) = reports::put_aside(out)? {
        eprintln!("The earlier report in {} was moved to {}", out.display(), earlier.display());
    }
    reports::write(&run, out)?;
    ended.with_context(|| format!("the results so far are in {}", out.join("index.html").display()))?;
    Ok(run)
}

/// Runs a future on one thread, so that subscribers share their recorder without locks and no thread has to wake another.
///
/// # Errors
/// When the event loop cannot be created, and those of the future.
pub fn block_on<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?.block_on(future)
}
