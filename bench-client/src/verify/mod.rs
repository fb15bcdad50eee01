//! `verify`: checks that measurements on this machine are correct. Each requirement is a check that measures and can fail.
//!
//! Each check is a file. A pure function, `judge`, decides whether its measurement meets the requirement. So a test can give it a wrong
//! measurement and expect it to fail.

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

/// Check on this machine that measurements are correct.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Run only the checks that take seconds
    #[arg(long)]
    quick: bool,
}

/// The result of a check.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// What is required.
    pub requirement: &'static str,
    /// The measured value.
    pub measured: String,
    /// What the measured value must be.
    pub bound: String,
    /// Whether it is within that bound.
    pub passed: bool,
}

/// Runs the checks and prints a table of their results.
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
        match kernel::check()? {
            Some(found) => add(vec![found]),
            None => println!("skipped: the kernel's counts, since this system has none"),
        }
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
            Err(reason) => println!("skipped: a packet capture, which needs root, ip and tshark; {reason}"),
        }
        if options.quick {
            println!(
                "skipped by --quick: twice as many client processes, memory per connection, the soak test, one transport under two labels"
            );
        } else {
            match processes::check().await? {
                Ok(found) => add(vec![found]),
                Err(reason) => println!("not measurable here: twice as many client processes; {reason}"),
            }
            add(memory::check().await?);
            add(soak::check().await?);
            add(vec![alike::check().await?]);
        }
        anyhow::Ok(())
    })?;
    let failed = findings.iter().filter(|finding| !finding.passed).count();
    println!("\n{} of {} checks passed", findings.len() - failed, findings.len());
    ensure!(failed == 0, "{failed} of {} checks failed", findings.len());
    Ok(())
}

fn print(finding: &Finding) {
    let verdict = if finding.passed { "pass" } else { "FAIL" };
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

    /// A sound round of one event, whose deliveries had these latencies, in ns; all its other figures are empty.
    pub fn round_with(latencies: impl IntoIterator<Item = u64>) -> Round {
        let mut latency_ns = Histogram::default();
        latencies.into_iter().for_each(|ns| latency_ns.record(ns));
        Round {
            transport: Transport::WebSocket,
            round: 1,
            sent: 1,
            delivered: 1,
            expected: Some(1),
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
                context_switches: None,
                resident_before_bytes: 0,
                resident_connected_bytes: 0,
            },
            client: ClientCost { cpu_ns: 0, processes: 1, lag_ns: Histogram::default(), connect_ns: 0 },
            packets: None,
            incidents: Vec::new(),
            failures: Vec::new(),
            warnings: Vec::new(),
        }
    }
}
