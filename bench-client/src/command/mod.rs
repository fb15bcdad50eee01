//! The command line of the load client: `compare`, which also runs without a command, the experiments, `verify`, `demo`, `serve`, and what
//! is drawn from runs: `redraw`, `lecture` and `export-site`.

pub mod compare;
mod compare_runs;
mod conditions;
mod demo;
mod drawn;
mod plan;
mod settings;
mod target;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::experiment::{self, claims, sweep};
use crate::round::{agents, worker};
use crate::test_bed::server_process;
use crate::{check, report, verify};

/// Measure how events get from a server to many subscribers by polling, long polling, HTTP streaming, SSE, WebSocket and raw TCP. Without a
/// command, all of them are compared.
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
    /// Compare transports under the same load
    Compare(compare::Options),
    /// Measure servers of another kind beside this lab's own
    Target(target::Options),
    /// Check a server of any kind against the contract of this lab's servers, for instance one that students have written
    Check(check::Options),
    /// Compare two runs that were made before
    CompareRuns(compare_runs::Options),
    /// Vary one factor, such as the event rate, and measure its effect
    Sweep(sweep::Options),
    /// Find the conditions under which each of polling, long polling, streaming and WebSocket costs least
    Crossover(experiment::Options),
    /// Test claims of course notes by measurement
    Claims(experiment::Options),
    /// Compare published results with theory, and measure them again
    Papers(experiment::Options),
    /// Run experiments by name
    #[command(name = "experiment")]
    Experiment {
        /// Names, separated by commas; without a name, all experiments are listed
        #[arg(value_name = "NAMES", value_delimiter = ',', value_parser = name)]
        names: Vec<&'static str>,
        #[command(flatten)]
        options: experiment::Options,
    },
    /// Run the comparison, all experiments, claims and papers, for one report; takes one to two hours
    All(experiment::Options),
    /// Extrapolate from a run what many subscribers need
    Plan(plan::Options),
    /// Show the transports live in a browser
    Demo(demo::Options),
    /// Generate every file of a report again, byte for byte, from the result of its run
    Redraw(drawn::Redraw),
    /// Render the lecture into self-contained pages, with and without the solutions of its exercises
    Lecture(drawn::Lecture),
    /// Write the story of /learn and the lecture as a site of files, which needs neither a server nor a network
    ///
    /// The story has eight scenes, each with a prediction and what was measured, in English (index.html) and in Korean (index.ko.html). Other
    /// pages can show a single scene in a frame: index.html?scene=3. The lecture is in the folder lecture.
    ExportSite(drawn::ExportSite),
    /// Check on this machine that measurements are correct
    Verify(verify::Options),
    /// Print a script that completes commands and options in a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page, for man -l
    Manual,
    /// Take part in a comparison that another machine runs, with a part of its subscribers
    Agent {
        /// Where the comparison waits for agents, with --agents and --agents-listen
        #[arg(long, value_name = "HOST:PORT")]
        join: String,
    },
    /// Run as one of several client processes, with commands on standard input
    #[command(hide = true)]
    Subscribe,
    /// Run a server whose options are JSON on standard input
    #[command(hide = true)]
    ServeChild,
    /// Run only the server
    Serve(server::Options),
}

/// Runs the program: parses the command line, and runs the command.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // An error means that nobody reads it.
            let _ = error.print();
            // Not 2, which is the exit code of a condition that is broken.
            return if error.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
        }
    };
    server::logging::start();
    let given: Vec<OsString> = std::env::args_os().skip(1).collect();
    let result = match arguments.command {
        None => completed(arguments.compare, &given),
        Some(Command::Compare(options)) => completed(options, given.get(1..).unwrap_or_default()),
        Some(Command::CompareRuns(options)) => compare_runs::compare_runs(&options),
        Some(Command::Target(options)) => target::target(&options, command_line()),
        Some(Command::Check(options)) => check::check(&options),
        Some(Command::Plan(options)) => plan::plan(&options),
        Some(Command::Completions { shell }) => {
            let name = Arguments::command().get_name().to_string();
            clap_complete::generate(shell, &mut Arguments::command(), name, &mut std::io::stdout());
            Ok(())
        }
        Some(Command::Manual) => {
            clap_mangen::Man::new(Arguments::command()).render(&mut std::io::stdout()).map_err(Into::into)
        }
        Some(Command::Sweep(options)) => sweep::sweep(&options, command_line()),
        Some(Command::Crossover(options)) => named(&options, &["crossover"]),
        Some(Command::Claims(options)) => claims::claims(&options, command_line()),
        Some(Command::Papers(options)) => named(&options, &["papers"]),
        Some(Command::Experiment { names, .. }) if names.is_empty() => {
            println!("{}", experiment::list().trim_end());
            Ok(())
        }
        Some(Command::Experiment { names, options }) => named(&options, &names),
        Some(Command::All(options)) => claims::all(&options, command_line()),
        Some(Command::Demo(options)) => demo::demo(&options),
        Some(Command::Redraw(options)) => drawn::redraw(&options),
        Some(Command::Lecture(options)) => drawn::lecture(&options),
        Some(Command::ExportSite(options)) => drawn::export_site(&options),
        Some(Command::Verify(options)) => verify::verify(&options),
        Some(Command::Agent { join }) => report::block_on(agents::run(&join)),
        Some(Command::Subscribe) => report::block_on(worker::run_child()),
        Some(Command::ServeChild) => server_process::run_child(),
        Some(Command::Serve(options)) => server::run::run(&options, std::future::pending()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            server::output::error_line(format_args!("bench-client: {error:#}"));
            // As shells have it for a program that Ctrl-C ended: 128 and the signal's number.
            match error.is::<report::Interrupted>() {
                true => ExitCode::from(130),
                false if error.is::<conditions::Broken>() || error.is::<check::NotMet>() => ExitCode::from(2),
                false => ExitCode::FAILURE,
            }
        }
    }
}

/// Runs the comparison, with options from a file if they name one.
fn completed(options: compare::Options, given: &[OsString]) -> anyhow::Result<()> {
    compare::compare(&settings::completed(options, given)?, command_line())
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

/// The command that repeats this run, as typed in a checkout of the repository.
fn command_line() -> String {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut command = "cargo run --release".to_string();
    if !arguments.is_empty() {
        command += &format!(" -- {}", arguments.join(" "));
    }
    command
}
