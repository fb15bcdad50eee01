//! `verify`: what makes a number of this lab true, each requirement as a check that runs for real and can fail.
//!
//! A check is a file. It measures something, and a pure function judges what was measured, so that tests can hand the judge a
//! broken measurement and see it refused.

mod alike;
mod burn;
mod capture;
mod freeze;
mod kernel;
mod link;
mod long_polling;
mod memory;
mod percentiles;
mod phases;
mod polling;
mod processes;
mod redraw;
mod rounds;
mod soak;
mod stall;
mod stop;
mod window_end;

use anyhow::ensure;
use protocol::result::{Comparison, Round, Scenario};

use crate::report;

/// Check that what the lab says of itself is true, on this machine.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Only the checks that take seconds
    #[arg(long)]
    quick: bool,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// What is required.
    pub requirement: &'static str,
    /// What was measured.
    pub measured: String,
    /// What it must be.
    pub bound: String,
    /// Whether it is.
    pub holds: bool,
}

/// Runs the checks and prints a table of what they found.
///
/// # Errors
/// When one of them fails.
pub fn verify(options: &Options) -> anyhow::Result<()> {
    server::limits::raise_open_files();
    let mut findings = Vec::new();
    report::block_on(async {
        let mut add = |found: Vec<Finding>| {
            found.iter().for_each(print);
            findings.extend(found);
        };
        println!("{:<58} {:<34} {:<30}", "requirement", "measured", "must be");
        add(percentiles::check());
        add(vec![burn::check().await?]);
        add(vec![kernel::check()?]);
        add(stop::check(options.quick).await?);
        add(stall::check().await?);
        add(vec![window_end::check().await?]);
        add(freeze::check().await?);
        let (found, comparison) = rounds::check().await?;
        add(found);
        add(redraw::check(&comparison)?);
        add(polling::check(options.quick).await?);
        add(vec![phases::check().await?]);
        add(link::check().await?);
        add(long_polling::check(options.quick).await?);
        match capture::check()? {
            Ok(found) => add(vec![found]),
            Err(why) => println!("skipped, since it takes root, ip and tshark: a packet capture; {why}"),
        }
        if options.quick {
            println!(
                "skipped by --quick: memory as a slope, a soak, one transport under two labels, twice the client processes"
            );
        } else {
            match processes::check().await? {
                Ok(found) => add(vec![found]),
                Err(why) => println!("not measurable here: twice the client processes; {why}"),
            }
            add(memory::check().await?);
            add(soak::check().await?);
            add(vec![alike::check().await?]);
        }
        anyhow::Ok(())
    })?;
    let failed = findings.iter().filter(|finding| !finding.holds).count();
    println!("\n{} of {} checks passed", findings.len() - failed, findings.len());
    ensure!(failed == 0, "{failed} of {} checks failed", findings.len());
    Ok(())
}

fn print(finding: &Finding) {
    let verdict = if finding.holds { "pass" } else { "FAIL" };
    println!("{:<58} {:<34} {:<30} {verdict}", finding.requirement, finding.measured, finding.bound);
}

/// A comparison that consists of these rounds.
fn comparison_of(scenario: &Scenario, rounds: &[Round]) -> Comparison {
    Comparison { scenario: scenario.clone(), rounds: rounds.to_vec() }
}

#[cfg(test)]
pub(crate) mod tests {
    use protocol::result::{ClientCost, Faults, ServerCost};
    use protocol::{Histogram, Ledger, Transport};

    use super::*;

    /// A round in which deliveries took as long as given, in ns, and of which nothing else is known.
    pub fn round_with(latencies: impl IntoIterator<Item = u64>) -> Round {
        let mut latency_ns = Histogram::default();
        latencies.into_iter().for_each(|ns| latency_ns.record(ns));
        Round {
            transport: Transport::WebSocket,
            round: 1,
            sent: 0,
            delivered: 0,
            schedule_hash: String::new(),
            latency_ns,
            slowest_ns: Histogram::default(),
            naive_latency_ns: Histogram::default(),
            publisher_lateness_ns: Histogram::default(),
            clock_bound_ns: None,
            ledger: Ledger::default(),
            window_ledger: None,
            faults: Faults::default(),
            server: ServerCost {
                window_ns: 0,
                cpu_ns: 0,
                deliveries: 0,
                requests: 0,
                accepts: 0,
                context_switches: 0,
                resident_before_bytes: 0,
                resident_connected_bytes: 0,
            },
            client: ClientCost { cpu_ns: 0, lag_ns: Histogram::default(), connect_ns: 0 },
            failures: Vec::new(),
            warnings: Vec::new(),
        }
    }
}
