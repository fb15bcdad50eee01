//! Experiments: each asks one question, answers it from what it measures, and says what that means for the claims that
//! course notes make. An experiment is a file, and a line in [`ALL`].

mod capacity;
pub mod claims;
mod compared;
pub mod crossover;
mod evidence;
#[cfg(test)]
mod fabricated;
mod frames;
mod handshake;
mod herd;
mod idle;
mod keep_alive;
mod ladder;
pub mod memory;
pub mod papers;
pub mod sweep;
mod sweeps;
mod tls;
#[cfg(test)]
mod turns;
mod upstream;
mod wire_text;

use std::path::PathBuf;
use std::pin::Pin;

use anyhow::Context;
use protocol::Transport;
use protocol::experiment::{Axis, Experiment, Line, Point};
use protocol::result::Comparison;
use protocol::run::Part;
use reports::table::wrapped;

use crate::compare;
use crate::report::{self, Finished};

/// An experiment, as the lists and the command line know it.
pub struct Entry {
    /// Its name on the command line and in links.
    pub name: &'static str,
    /// What it asks, in a few words.
    pub about: &'static str,
    /// About how long it takes, in seconds.
    pub seconds: u64,
    /// Whether claims rest on it.
    pub claims: bool,
    /// Does it. The seed decides on schedules, orders and phases.
    pub run: fn(u64) -> Pending,
}

/// An experiment under way.
pub type Pending = Pin<Box<dyn Future<Output = anyhow::Result<Experiment>>>>;

/// All experiments, in the order of a report.
pub const ALL: &[Entry] = &[
    Entry {
        name: "ladder",
        about: "what goes over the wire, and when, for three events",
        seconds: 4,
        claims: false,
        run: |seed| Box::pin(ladder::run(seed)),
    },
    Entry {
        name: "idle",
        about: "what subscribers cost while nothing happens",
        seconds: 28,
        claims: true,
        run: |seed| Box::pin(idle::run(seed)),
    },
    Entry {
        name: "poll-interval",
        about: "a poller's latency against its bytes",
        seconds: 70,
        claims: true,
        run: |seed| Box::pin(sweeps::poll_interval(seed)),
    },
    Entry {
        name: "delay",
        about: "latency over the network's delay, held against theory",
        seconds: 115,
        claims: true,
        run: |seed| Box::pin(sweeps::delay(seed)),
    },
    Entry {
        name: "rate",
        about: "requests, bytes and CPU over the rate of events",
        seconds: 205,
        claims: true,
        run: |seed| Box::pin(sweeps::rate(seed)),
    },
    Entry {
        name: "payload",
        about: "how large an event must be for the overhead not to matter",
        seconds: 105,
        claims: false,
        run: |seed| Box::pin(sweeps::payload(seed)),
    },
    Entry {
        name: "subscribers",
        about: "latency and CPU over the number of subscribers",
        seconds: 145,
        claims: false,
        run: |seed| Box::pin(sweeps::subscribers(seed)),
    },
    Entry {
        name: "capacity",
        about: "the highest load within a latency bound, and what a delivery costs on the way there",
        seconds: 300,
        claims: false,
        run: |seed| Box::pin(capacity::run(seed)),
    },
    Entry {
        name: "memory",
        about: "what a waiting connection takes of the server's memory",
        seconds: 100,
        claims: false,
        run: |seed| Box::pin(memory::run(seed)),
    },
    Entry {
        name: "compared",
        about: "heads, framing and CPU of all transports side by side",
        seconds: 85,
        claims: true,
        run: |seed| Box::pin(compared::run(seed)),
    },
    Entry {
        name: "herd",
        about: "one event for many long pollers, and a restart for many subscribers",
        seconds: 12,
        claims: true,
        run: |seed| Box::pin(herd::run(seed)),
    },
    Entry {
        name: "upstream",
        about: "a message from a subscriber to all",
        seconds: 6,
        claims: true,
        run: |seed| Box::pin(upstream::run(seed)),
    },
    Entry {
        name: "keep-alive",
        about: "one connection for all requests, or one for each",
        seconds: 16,
        claims: true,
        run: |seed| Box::pin(keep_alive::run(seed)),
    },
    Entry {
        name: "handshake",
        about: "what each side does with a wrong WebSocket handshake",
        seconds: 2,
        claims: true,
        run: |seed| Box::pin(handshake::run(seed)),
    },
    Entry {
        name: "frames",
        about: "WebSocket frames by their bits, right and wrong",
        seconds: 5,
        claims: true,
        run: |seed| Box::pin(frames::run(seed)),
    },
    Entry {
        name: "tls",
        about: "what TLS adds to a connection, and to each event",
        seconds: 50,
        claims: true,
        run: |seed| Box::pin(tls::run(seed)),
    },
    Entry {
        name: "crossover",
        about: "which transport costs least, over event rate, staleness and delay",
        seconds: crossover::SECONDS,
        claims: false,
        run: |seed| Box::pin(crossover::run(seed)),
    },
    Entry {
        name: "papers",
        about: "published results, held against theory and measured anew",
        seconds: 230,
        claims: false,
        run: |seed| Box::pin(papers::run(seed)),
    },
];

/// Run some experiments, or all of them.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Seed of schedules, payloads, phases and the rounds' order
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Directory for the report
    #[arg(long, value_name = "DIR", default_value = "lab-report")]
    pub out: PathBuf,
}

/// Reads an experiment's name.
///
/// # Errors
/// When none has it; the message names all.
pub fn known(name: &str) -> Result<&'static Entry, String> {
    let entry = ALL.iter().find(|entry| entry.name == name);
    entry.ok_or_else(|| format!("no experiment is called '{name}'; there are:\n{}", list()))
}

/// All experiments, a line each with what it asks.
pub fn list() -> String {
    ALL.iter().map(|entry| format!("  {:<14} {} ({} s)\n", entry.name, entry.about, entry.seconds)).collect()
}

/// Runs experiments and writes one report of them.
///
/// # Errors
/// When one of them cannot be run, or the report cannot be written.
pub fn run(options: &Options, command: String, entries: &[&Entry]) -> anyhow::Result<()> {
    compare::raise_open_files(&[])?;
    let run = report::make(&options.out, command, async |finished| {
        each(entries, options.seed, finished).await?;
        Ok(())
    })?;
    run.experiments().for_each(print);
    println!("Report: {}", options.out.join("index.html").display());
    Ok(())
}

/// Runs experiments one after another, and says which is under way and how long all will take. Each becomes a chapter of the report when
/// it has finished.
///
/// # Errors
/// When one of them cannot be run.
pub async fn each(entries: &[&Entry], seed: u64, finished: &Finished) -> anyhow::Result<Vec<Experiment>> {
    let mut found = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let left: u64 = entries[index..].iter().map(|entry| entry.seconds).sum();
        let (number, count) = (index + 1, entries.len());
        eprintln!("{number:>2}/{count}  {:<14} about {:>3} s, {left:>4} s in all", entry.name, entry.seconds);
        let experiment = (entry.run)(seed).await.with_context(|| format!("experiment {}", entry.name))?;
        finished.push(Part::Experiment(experiment.clone()));
        found.push(experiment);
    }
    Ok(found)
}

/// Prints what an experiment found.
pub fn print(experiment: &Experiment) {
    println!("\n{}\n{}", experiment.title, wrapped(&format!("  {}", experiment.question), "  "));
    experiment.answer.iter().for_each(|sentence| println!("{}", wrapped(sentence, "")));
    experiment.tables.iter().for_each(|table| println!("\n{}", reports::table::plain(table)));
    print!("{}", reports::verdict::text(&experiment.verdicts));
    experiment.doubts.iter().for_each(|doubt| println!("{}", wrapped(&format!("Note: {doubt}"), "  ")));
}

fn axis(label: &str, logarithmic: bool) -> Axis {
    Axis { label: label.into(), logarithmic }
}

/// A measured line of a transport's.
fn line(transport: Transport, points: Vec<Point>) -> Line {
    Line { label: transport.label().into(), transport: Some(transport), theory: false, points }
}

/// What to doubt of rounds, in a sentence or two.
fn doubts(rounds: &[Comparison]) -> Vec<String> {
    let all = || rounds.iter().flat_map(|comparison| &comparison.rounds);
    let rejected: Vec<_> = all().filter(|round| !round.is_sound()).collect();
    let warned: Vec<_> = all().filter(|round| !round.warnings.is_empty()).collect();
    let of = |what: &str, some: &[&protocol::result::Round], why: &str| {
        let transport = some[0].transport.label();
        format!("{what}: {} of {} rounds, the first of {transport} ({why}).", some.len(), all().count())
    };
    let mut doubts = Vec::new();
    if !rejected.is_empty() {
        doubts.push(of("Rejected, and left out", &rejected, &rejected[0].failures[0]));
    }
    if !warned.is_empty() {
        doubts.push(of("Doubtful", &warned, &warned[0].warnings[0]));
    }
    doubts
}
