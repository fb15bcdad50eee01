//! Prints experiments as text in a terminal.

use protocol::experiment::Experiment;
use protocol::run::Run;
use reports::chapter;
use reports::table::wrapped;

/// Prints every experiment of a run.
///
/// # Errors
/// When the facts of an experiment are incomplete.
pub fn print_experiments(run: &Run) -> anyhow::Result<()> {
    let chapters = chapter::of(run)?;
    chapter::experiments(&chapters).for_each(|derived| print(&derived.experiment));
    Ok(())
}

/// Prints an experiment.
pub fn print(experiment: &Experiment) {
    println!("\n{}\n{}", experiment.title, wrapped(&format!("  {}", experiment.question), "  "));
    experiment.answer.iter().for_each(|sentence| println!("{}", wrapped(sentence, "")));
    experiment.tables.iter().for_each(|table| println!("\n{}", reports::table::plain(table)));
    print!("{}", reports::verdict::text(&experiment.verdicts));
    experiment.doubts.iter().for_each(|doubt| println!("{}", wrapped(&format!("Note: {doubt}"), "  ")));
}
