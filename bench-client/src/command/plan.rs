//! `plan`: what many subscribers would need, extrapolated from a run.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use protocol::result::Comparison;
use reports::capacity::{self, Assumptions};
use reports::table::{plain, wrapped};

use super::conditions;

/// Extrapolate what many subscribers need: servers, cores, bandwidth and traffic.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// The run: the directory of its report, or its run.json
    #[arg(value_name = "RUN", default_value = "lab-report")]
    pub run: PathBuf,
    /// Numbers of subscribers, separated by commas
    #[arg(long, value_name = "COUNTS", value_delimiter = ',', default_values_t = [10_000, 1_000_000, 10_000_000], value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    pub subscribers: Vec<u64>,
    /// Cores of a server
    #[arg(long, value_name = "COUNT", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1_024))]
    pub cores: u32,
    /// Bandwidth of a server's link, in Gbit/s
    #[arg(long, value_name = "GBITS", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub link: u32,
}

/// Prints the table.
///
/// # Errors
/// When the run cannot be read, or has no comparison.
pub fn plan(options: &Options) -> anyhow::Result<()> {
    let run = conditions::run(&options.run)?;
    let loads: Vec<&Comparison> = run.comparisons().filter(|comparison| comparison.scenario.target.is_none()).collect();
    loads.last().with_context(|| {
        format!("{} has no comparison at this lab's server to extrapolate from", options.run.display())
    })?;
    let assumptions = Assumptions { cores: f64::from(options.cores), link_bits: f64::from(options.link) * 1e9 };
    for table in capacity::plan(&loads, &options.subscribers, assumptions) {
        println!("{}", plain(&table));
    }
    println!("{}", wrapped(&capacity::plan_assumptions(&loads, assumptions), ""));
    Ok(())
}
