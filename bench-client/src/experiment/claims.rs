//! The commands `claims` and `all`, whose reports contain the table of claims.

use protocol::run::Part;
use reports::chapter;
use reports::table::wrapped;

use super::{ALL, Entry, Options};
use crate::command::compare;
use crate::report;

/// Runs all experiments that the claims are derived from, and writes one report of them and of the claims.
///
/// # Errors
/// When an experiment cannot be run, or the report cannot be written.
pub fn claims(options: &Options, command: String) -> anyhow::Result<()> {
    let entries: Vec<&Entry> = ALL.iter().filter(|entry| entry.claims).collect();
    compare::raise_open_files(&[])?;
    let run = report::make(&options.out, command, async |finished| {
        super::each(&entries, options.seed, finished).await?;
        finished.insert_after_comparisons(Part::Claims);
        Ok(())
    })?;
    // The report has no comparison, so the table of claims is its first chapter.
    if let Some(table) = chapter::experiments(&chapter::of(&run)?).next() {
        let table = &table.experiment;
        println!("\n{}\n{}", table.title, reports::verdict::text(&table.verdicts));
        table.answer.iter().for_each(|sentence| println!("{}", wrapped(sentence, "")));
    }
    println!("Report: {}", options.out.join("index.html").display());
    Ok(())
}

/// Runs the comparison and all experiments, and writes one report of them and of the claims.
///
/// # Errors
/// When the comparison or an experiment cannot be run, or the report cannot be written.
pub fn all(options: &Options, command: String) -> anyhow::Result<()> {
    let entries: Vec<&Entry> = ALL.iter().collect();
    compare::raise_open_files(&[])?;
    let mut defaults = compare::Options::default();
    defaults.fixed.seed = options.seed;
    let run = report::make(&options.out, command, async |finished| {
        let seconds = entries.iter().map(|entry| entry.seconds).sum::<u64>();
        eprintln!("The comparison is measured first; the experiments after it take about {} min", seconds.div_ceil(60));
        compare::measure(&defaults, finished).await?;
        super::each(&entries, options.seed, finished).await?;
        finished.insert_after_comparisons(Part::Claims);
        Ok(())
    })?;
    for derived in chapter::experiments(&chapter::of(&run)?) {
        let experiment = &derived.experiment;
        println!("\n{}", wrapped(&experiment.title, "  "));
        experiment.answer.iter().for_each(|sentence| println!("{}", wrapped(&format!("  {sentence}"), "  ")));
        experiment.doubts.iter().for_each(|doubt| println!("{}", wrapped(&format!("  Note: {doubt}"), "    ")));
    }
    println!("\nReport: {}", options.out.join("index.html").display());
    Ok(())
}
