//! Experiments: each measures the facts that one question needs. The `reports` crate derives drawings, tables and verdicts from them. An
//! experiment is a file here that measures, one of the same name in `protocol/src/facts/` with its facts, one in `reports/src/experiment/`
//! that derives, and an entry in [`ALL`].

mod browser;
mod capacity;
pub mod claims;
mod compared;
mod compression;
pub mod crossover;
mod fallback;
mod first_event;
mod frames;
mod handshake;
mod header_compression;
mod herd;
mod history;
mod idle;
mod keep_alive;
mod ladder;
mod layers;
mod loss;
pub mod memory;
mod multiplexing;
mod papers;
pub mod print;
mod rooms;
mod shared_feed;
pub mod sweep;
mod sweeps;
mod tls;
mod token_stream;
mod upstream;
mod wire_text;

use std::path::PathBuf;
use std::pin::Pin;

use anyhow::Context;
use protocol::facts::Facts;
use protocol::run::Part;

use crate::command::compare;
use crate::report::{self, Finished};

/// An entry in the list of experiments.
pub struct Entry {
    /// Its name on the command line and in links.
    pub name: &'static str,
    /// Its question, in a few words.
    pub about: &'static str,
    /// About how long it takes, in seconds.
    pub seconds: u64,
    /// Whether claims rest on it.
    pub claims: bool,
    /// Measures it. The seed determines schedules, orders and phases.
    pub run: fn(u64) -> Pending,
}

/// An experiment under way.
pub type Pending = Pin<Box<dyn Future<Output = anyhow::Result<Facts>>>>;

/// All experiments, in the order of a report.
pub const ALL: &[Entry] = &[
    Entry {
        name: "ladder",
        about: "messages on the wire over time, for three events",
        seconds: 4,
        claims: false,
        run: |seed| Box::pin(ladder::run(seed)),
    },
    Entry {
        name: "idle",
        about: "cost of idle subscribers",
        seconds: 28,
        claims: true,
        run: |seed| Box::pin(idle::run(seed)),
    },
    Entry {
        name: "poll-interval",
        about: "effect of the poll interval on latency and bytes",
        seconds: 70,
        claims: true,
        run: |seed| Box::pin(sweeps::poll_interval(seed)),
    },
    Entry {
        name: "delay",
        about: "latency over the network's delay, compared with theory",
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
        about: "the highest load within a latency bound, and the cost of a delivery on the way there",
        seconds: 700,
        claims: false,
        run: |seed| Box::pin(capacity::run(seed)),
    },
    Entry {
        name: "memory",
        about: "server memory of a waiting connection",
        seconds: 100,
        claims: false,
        run: |seed| Box::pin(memory::run(seed)),
    },
    Entry {
        name: "compared",
        about: "headers, framing and CPU of all transports side by side",
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
        about: "reactions of each side to a wrong WebSocket handshake",
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
        about: "cost of TLS for a connection, and for each event",
        seconds: 50,
        claims: true,
        run: |seed| Box::pin(tls::run(seed)),
    },
    Entry {
        name: "layers",
        about: "cost of STOMP, SockJS and Socket.IO over bare WebSocket",
        seconds: 105,
        claims: true,
        run: |seed| Box::pin(layers::run(seed)),
    },
    Entry {
        name: "rooms",
        about: "a message to some of the clients: rooms on the server, or a filter at each client",
        seconds: 10,
        claims: true,
        run: |seed| Box::pin(rooms::run(seed)),
    },
    Entry {
        name: "history",
        about: "the same events over every transport since 1995",
        seconds: 70,
        claims: true,
        run: |seed| Box::pin(history::run(seed)),
    },
    Entry {
        name: "fallback",
        about: "which transports work through faulty proxies, and what a fallback costs",
        seconds: 110,
        claims: true,
        run: |seed| Box::pin(fallback::run(seed)),
    },
    Entry {
        name: "multiplexing",
        about: "many subscribers on one HTTP/2 connection, and the seventh event source of a page",
        seconds: 120,
        claims: true,
        run: |seed| Box::pin(multiplexing::run(seed)),
    },
    Entry {
        name: "header-compression",
        about: "the headers of a poll over HTTP/1.1 and HTTP/2, the first one and later ones",
        seconds: 2,
        claims: true,
        run: |seed| Box::pin(header_compression::run(seed)),
    },
    Entry {
        name: "compression",
        about: "bytes, CPU and memory of compressed WebSockets, over kind and size of the payload",
        seconds: 240,
        claims: true,
        run: |seed| Box::pin(compression::run(seed)),
    },
    Entry {
        name: "first-event",
        about: "the time from nothing to the first event, with and without TLS and HTTP/2",
        seconds: 60,
        claims: true,
        run: |seed| Box::pin(first_event::run(seed)),
    },
    Entry {
        name: "loss",
        about: "which events wait for a lost packet, over TCP and over QUIC (Linux, as root)",
        seconds: 290,
        claims: true,
        run: |seed| Box::pin(loss::run(seed)),
    },
    Entry {
        name: "shared-feed",
        about: "two servers: a feed of their own each, or one that they share (needs nats-server in the path)",
        seconds: 12,
        claims: true,
        run: |seed| Box::pin(shared_feed::run(seed)),
    },
    Entry {
        name: "token-stream",
        about: "an answer of a language model, token by token: waiting for it, disconnecting, and a proxy that buffers",
        seconds: 50,
        claims: true,
        run: |seed| Box::pin(token_stream::run(seed)),
    },
    Entry {
        name: "browser",
        about: "the events of a browser's WebSocket, and what it does with data that nobody reads",
        seconds: 5,
        claims: true,
        run: |seed| Box::pin(browser::run(seed)),
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
        about: "published results, compared with theory and measured anew",
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

/// All experiments, a line each with its question.
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
    print::print_experiments(&run)?;
    println!("Report: {}", options.out.join("index.html").display());
    Ok(())
}

/// Runs experiments one after another, and reports progress on standard error. Each becomes a chapter of the report when it has finished.
///
/// # Errors
/// When one of them cannot be run.
pub async fn each(entries: &[&Entry], seed: u64, finished: &Finished) -> anyhow::Result<()> {
    for (index, entry) in entries.iter().enumerate() {
        let left: u64 = entries[index..].iter().map(|entry| entry.seconds).sum();
        let (number, count) = (index + 1, entries.len());
        eprintln!("{number:>2}/{count}  {:<14} about {:>3} s, {left:>4} s in all", entry.name, entry.seconds);
        let facts = (entry.run)(seed).await.with_context(|| format!("experiment {}", entry.name))?;
        debug_assert_eq!(facts.name(), entry.name);
        finished.push(Part::Measured(facts));
    }
    Ok(())
}
