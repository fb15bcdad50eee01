//! The lab's command line: `compare`, which is what it does when told nothing else, the experiments, `verify`, and `serve`.

use std::process::ExitCode;

use bench_client::experiment::{self, claims, sweep};
use bench_client::{audience, compare, demo, report, verify};
use clap::{Parser, Subcommand};

/// Measure how events travel from a server to many subscribers by polling, long polling, HTTP streaming, SSE, WebSocket
/// and raw TCP. Without a command it compares them all and draws the comparison.
#[derive(Parser)]
#[command(name = "bench-client", version, max_term_width = 100, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    compare: compare::Options,
}

#[derive(Subcommand)]
enum Command {
    /// Compare transports under the same load and draw the comparison
    Compare(compare::Options),
    /// Change one factor and draw what changes with it
    Sweep(sweep::Options),
    /// Find where polling, long polling, streaming or WebSocket costs least
    Crossover(experiment::Options),
    /// Test what course notes claim
    Claims(experiment::Options),
    /// Hold published results against theory and measure them anew
    Papers(experiment::Options),
    /// Run experiments by their names
    #[command(name = "experiment")]
    Experiment {
        /// Names, separated by commas; without one they are listed
        #[arg(value_name = "NAMES", value_delimiter = ',', value_parser = name)]
        names: Vec<&'static str>,
        #[command(flatten)]
        options: experiment::Options,
    },
    /// Run the comparison, all experiments, claims and papers: one report, in half an hour
    All(experiment::Options),
    /// Show the transports live in a browser
    Demo(demo::Options),
    /// Check that what the lab says of itself is true, on this machine
    Verify(verify::Options),
    /// Subscribe as one of several client processes, as standard input says
    #[command(hide = true)]
    Subscribe,
    /// Run the server alone
    Serve {
        #[command(flatten)]
        options: server::Options,
        /// End when the program that started this one ends
        #[arg(long, hide = true)]
        with_parent: bool,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match arguments.command {
        None => compare::compare(&arguments.compare, command_line()),
        Some(Command::Compare(options)) => compare::compare(&options, command_line()),
        Some(Command::Sweep(options)) => sweep::sweep(&options, command_line()),
        Some(Command::Crossover(options)) => named(&options, &["crossover"]),
        Some(Command::Claims(options)) => claims::claims(&options, command_line()),
        Some(Command::Papers(options)) => named(&options, &["papers"]),
        Some(Command::Experiment { names, .. }) if names.is_empty() => {
            print!("{}", experiment::list());
            Ok(())
        }
        Some(Command::Experiment { names, options }) => named(&options, &names),
        Some(Command::All(options)) => claims::all(&options, command_line()),
        Some(Command::Demo(options)) => demo::demo(&options),
        Some(Command::Verify(options)) => verify::verify(&options),
        Some(Command::Subscribe) => report::block_on(audience::help()),
        Some(Command::Serve { options, with_parent }) => {
            if with_parent {
                // Where the kernel refuses, a server may outlive a client that was killed; nothing worse.
                let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM));
            }
            server::run::run(&options)
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            server::output::complain(format_args!("bench-client: {error:#}"));
            // As shells have it for a program that Ctrl-C ended: 128 and the signal's number.
            if error.is::<report::Interrupted>() { ExitCode::from(130) } else { ExitCode::FAILURE }
        }
    }
}

/// Reads an experiment's name.
fn name(text: &str) -> Result<&'static str, String> {
    experiment::known(text).map(|entry| entry.name)
}

/// Runs experiments by their names.
fn named(options: &experiment::Options, names: &[&str]) -> anyhow::Result<()> {
    let entries = names.iter().map(|name| experiment::known(name).map_err(anyhow::Error::msg));
    experiment::run(options, command_line(), &entries.collect::<anyhow::Result<Vec<_>>>()?)
}

/// The command that repeats this run, as it is typed in a checkout.
fn command_line() -> String {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut command = "cargo run --release".to_string();
    if !arguments.is_empty() {
        command += &format!(" -- {}", arguments.join(" "));
    }
    command
}
