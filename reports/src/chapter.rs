//! The chapters of a report: each part of a run with what is derived from it.

use std::borrow::Cow;

use anyhow::Context;
use protocol::experiment::Experiment;
use protocol::result::Comparison;
use protocol::run::{Part, Run};

use crate::experiment;
use crate::experiment::claims;

/// A chapter of a report.
pub enum Chapter<'a> {
    /// Transports under the same load.
    Comparison(&'a Comparison),
    /// An experiment.
    Experiment(Box<Derived<'a>>),
}

/// An experiment with the rounds that it was derived from.
pub struct Derived<'a> {
    /// What was derived: drawings, tables, verdicts, sentences. Its own list of rounds is empty unless an earlier version stored it.
    pub experiment: Cow<'a, Experiment>,
    /// The rounds, one comparison for each setting.
    pub rounds: Vec<&'a Comparison>,
}

/// The chapters of a run, in its order.
///
/// # Errors
/// When facts are incomplete, as those of a file that was changed by hand.
pub fn of(run: &Run) -> anyhow::Result<Vec<Chapter<'_>>> {
    let mut chapters = run.parts.iter().map(chapter).collect::<anyhow::Result<Vec<_>>>()?;
    // The claims come last, since they are derived from all experiments.
    for (index, part) in run.parts.iter().enumerate() {
        if matches!(part, Part::Claims) {
            let found: Vec<&Experiment> = experiments(&chapters).map(|derived| &*derived.experiment).collect();
            let table = claims::table(&found);
            chapters[index] = derived(Cow::Owned(table), Vec::new());
        }
    }
    Ok(chapters)
}

/// The experiments among some chapters.
pub fn experiments<'a, 'b>(chapters: &'b [Chapter<'a>]) -> impl Iterator<Item = &'b Derived<'a>> {
    chapters.iter().filter_map(|chapter| match chapter {
        Chapter::Comparison(_) => None,
        Chapter::Experiment(derived) => Some(&**derived),
    })
}

fn chapter(part: &Part) -> anyhow::Result<Chapter<'_>> {
    Ok(match part {
        Part::Comparison(comparison) => Chapter::Comparison(comparison),
        Part::Measured(facts) => {
            let experiment =
                experiment::derive(facts).with_context(|| format!("the facts of the experiment {}", facts.name()))?;
            derived(Cow::Owned(experiment), facts.rounds())
        }
        // Filled in by `of` when all other chapters are there.
        Part::Claims => derived(Cow::Owned(Experiment::default()), Vec::new()),
        Part::Experiment(experiment) => derived(Cow::Borrowed(experiment), experiment.rounds.iter().collect()),
    })
}

fn derived<'a>(experiment: Cow<'a, Experiment>, rounds: Vec<&'a Comparison>) -> Chapter<'a> {
    Chapter::Experiment(Box::new(Derived { experiment, rounds }))
}
