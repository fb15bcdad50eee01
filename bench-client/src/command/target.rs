//! `target`: servers of another kind, each described by a file, measured beside this lab's own.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::ensure;
use clap::Args;
use protocol::Transport;
use protocol::network::Network;
use protocol::payload::PayloadKind;
use protocol::result::{Headers, Scenario};
use protocol::schedule::Spacing;

use super::compare::{self, Fixed};
use super::conditions::{self, Conditions};
use reports::servers;

use crate::report;
use crate::round::series::{self, Equipment};
use crate::target::{self, TargetFile};

/// Measure servers of another kind.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Target files in TOML, each of which describes a server; the lab's own server is measured beside them, in the same rounds
    #[arg(value_name = "FILES", required_unless_present = "schema")]
    pub files: Vec<PathBuf>,
    /// Print the JSON schema of target files instead
    #[arg(long, conflicts_with = "files")]
    pub schema: bool,
    /// Do not measure the lab's own server
    #[arg(long)]
    pub alone: bool,
    /// Transports to measure, separated by commas; by default all that a file has
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub transports: Vec<Transport>,
    /// Subscribers connected at once
    #[arg(long, value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    pub subscribers: u32,
    /// Events per second
    #[arg(long, value_name = "EVENTS_PER_S", default_value_t = 20.0, value_parser = compare::rate)]
    pub rate: f64,
    /// Spacing of the events: periodic or poisson
    #[arg(long, value_name = "KIND", default_value_t)]
    pub schedule: Spacing,
    /// Payload of each event, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 200, value_parser = server::options::payload)]
    pub payload: usize,
    /// Rounds of each transport
    #[arg(long, value_name = "COUNT", default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub rounds: u32,
    /// Measurement window of each round; by default 1.5s, or longer if it would have fewer than ten events or six poll intervals
    #[arg(long, value_name = "DURATION", value_parser = compare::duration)]
    pub duration: Option<Duration>,
    /// Time from the start of one poll to the start of the next, for polling
    #[arg(long, value_name = "DURATION", default_value = "250ms", value_parser = compare::duration)]
    pub poll_interval: Duration,
    /// Network to model between client and server, as for compare, but without loss
    #[arg(long, value_name = "NAME|SETTINGS", default_value = "loopback")]
    pub network: Network,
    /// Seed of the schedule, the payloads and the order of rounds
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    #[command(flatten)]
    pub conditions: conditions::Options,
    /// Directory for the report; an earlier report there is moved to a directory below it
    #[arg(long, value_name = "DIR", default_value = "lab-report")]
    pub out: PathBuf,
}

/// Measures them, writes the report, and prints the table of all servers.
///
/// # Errors
/// When a file is wrong, a server does not start, or the report cannot be written; and, after the report is written, when some transport has no
/// sound round or a condition is broken.
pub fn target(options: &Options, command: String) -> anyhow::Result<()> {
    if options.schema {
        print!("{}", target::schema());
        return Ok(());
    }
    let targets: Vec<TargetFile> =
        options.files.iter().map(|path| TargetFile::read(path)).collect::<anyhow::Result<_>>()?;
    for (index, target) in targets.iter().enumerate() {
        ensure!(
            targets[..index].iter().all(|other| servers::anchor(&other.name) != servers::anchor(&target.name)),
            "two targets have the same name, '{}', but for characters other than letters and digits of ASCII",
            target.name
        );
    }
    ensure!(
        !options.network.loses_packets(),
        "--network: a network with loss or a queue is only for this lab's own server"
    );
    let wanted = |transport: &Transport| options.transports.is_empty() || options.transports.contains(transport);
    let offered = |target: &TargetFile| target.transports.keys().copied().filter(wanted).collect::<Vec<_>>();
    let own = Transport::all_where(|transport| targets.iter().any(|target| offered(target).contains(&transport)));
    ensure!(!own.is_empty(), "--transports: no target offers any of these");
    let conditions = Conditions::read(&options.conditions, &own)?;
    let run = report::make(&options.out, command, async |finished| {
        let base = base(options, own.clone()).await?;
        let own = (!options.alone).then(|| Scenario { transports: own.clone(), ..base.clone() });
        let others = targets.iter().map(|target| Scenario {
            transports: offered(target),
            target: Some(target.name.clone()),
            ..base.clone()
        });
        let scenarios: Vec<Scenario> =
            own.into_iter().chain(others).filter(|scenario| !scenario.transports.is_empty()).collect();
        compare::raise_open_files(&scenarios)?;
        let first = finished.begin(&scenarios);
        let equipment = Equipment { targets: &targets, ..Equipment::default() };
        series::rounds_at(&scenarios, equipment, true, |index, rounds| finished.rounds(first + index, rounds)).await?;
        Ok(())
    })?;
    if let Some(table) = reports::servers::table(&run) {
        println!("{}", reports::table::plain(&table));
    }
    for caveat in reports::servers::caveats() {
        println!("{}", reports::table::wrapped(&format!("Note: {caveat}"), "  "));
    }
    println!("\nReport: {}", options.out.join("index.html").display());
    compare::ensure_sound(&run)?;
    conditions.decide(&run, &options.out, false)
}

/// The scenario that all servers have, for all transports that are measured.
async fn base(options: &Options, transports: Vec<Transport>) -> anyhow::Result<Scenario> {
    let fixed = Fixed {
        transports,
        rate: options.rate,
        schedule: options.schedule,
        payload: options.payload,
        payload_kind: PayloadKind::Random,
        rounds: options.rounds,
        duration: options.duration,
        poll_interval: options.poll_interval,
        headers: Headers::Lean,
        network: options.network,
        seed: options.seed,
        ..compare::Options::default().fixed
    };
    compare::scenario(&fixed, options.subscribers).await
}
