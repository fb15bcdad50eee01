//! From measuring to a report: the event loop that all measuring runs on, what has been finished so far, and the files in the end.

use std::cell::RefCell;
use std::path::Path;

use anyhow::{Context, bail};
use protocol::result::{Comparison, Round, Scenario};
use protocol::run::{Part, Run, SCHEMA_VERSION};
use tokio::runtime::{Builder, LocalOptions};

use crate::environment::Watch;

/// What a run has finished so far: what becomes a report even where the run is interrupted.
#[derive(Default)]
pub struct Finished(RefCell<Vec<Part>>);

impl Finished {
    /// Adds a chapter.
    pub fn push(&self, part: Part) {
        self.0.borrow_mut().push(part);
    }

    /// Adds a chapter before all others but the comparisons.
    pub fn push_front(&self, part: Part) {
        let mut parts = self.0.borrow_mut();
        let first = parts.iter().take_while(|part| matches!(part, Part::Comparison(_))).count();
        parts.insert(first, part);
    }

    /// Adds a comparison without rounds for each scenario; gives the number of the first, for [`Self::rounds`].
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

    /// Replaces the rounds of the comparison with that number.
    pub fn rounds(&self, number: usize, rounds: &[Round]) {
        if let Some(Part::Comparison(comparison)) = self.0.borrow_mut().get_mut(number) {
            comparison.rounds = rounds.to_vec();
        }
    }

    /// All of it, comparisons without a round left out.
    fn take(&self) -> Vec<Part> {
        let mut parts = self.0.take();
        parts.retain(|part| !matches!(part, Part::Comparison(comparison) if comparison.rounds.is_empty()));
        parts
    }
}

/// A run that was ended by Ctrl-C.
#[derive(Debug, thiserror::Error)]
#[error("interrupted by Ctrl-C")]
pub struct Interrupted;

/// Measures, writes the report of all that was finished to `out`, and gives the run. A report that was there before is moved aside.
///
/// # Errors
/// When `out` cannot be written to, which is found before anything is measured; when measuring fails, or Ctrl-C ends it
/// ([`Interrupted`]). What had been finished by then is written all the same, where there is anything.
pub fn make(
    out: &Path,
    command: String,
    measure: impl AsyncFnOnce(&Finished) -> anyhow::Result<()>,
) -> anyhow::Result<Run> {
    reports::prepare(out).context("--out")?;
    let watch = Watch::start();
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
    let run = Run { schema_version: SCHEMA_VERSION, command, environment: watch.finish(), interrupted, parts };
    if let Some(earlier) = reports::put_aside(out)? {
        eprintln!("The report that was in {} is now in {}", out.display(), earlier.display());
    }
    reports::write(&run, out)?;
    ended.with_context(|| format!("what had been finished is in {}", out.join("index.html").display()))?;
    Ok(run)
}

/// Runs a future on one thread, so that subscribers share their record without locks and no worker wakes another.
///
/// # Errors
/// When the event loop cannot be made, and those of the future.
pub fn block_on<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?.block_on(future)
}
