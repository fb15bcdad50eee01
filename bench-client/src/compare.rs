//! `compare`: every transport under the same load, in seeded interleaved rounds with a fresh server each.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use protocol::Transport;
use protocol::result::{Headers, Run, SCHEMA_VERSION, Scenario};
use protocol::schedule::{Spacing, seeded, uniform};
use tokio::runtime::{Builder, LocalOptions};

use crate::control::Control;
use crate::environment::Watch;
use crate::lab::{OwnServer, Setup, resolve};
use crate::progress::Progress;
use crate::runner::{self, Plan};

/// Compare transports under the same load and draw the comparison.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Transports to compare, separated by commas
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_values_t = Transport::ALL)]
    pub transports: Vec<Transport>,
    /// Subscribers connected at once
    #[arg(long, value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    pub subscribers: u32,
    /// Events a second
    #[arg(long, value_name = "EVENTS_PER_S", default_value_t = 20.0, value_parser = rate, allow_negative_numbers = true, conflicts_with = "url")]
    pub rate: f64,
    /// Spacing of the events: periodic or poisson
    #[arg(long, value_name = "KIND", default_value_t, conflicts_with = "url")]
    pub schedule: Spacing,
    /// Payload of each event, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 200, value_parser = server::options::payload, conflicts_with = "url")]
    pub payload: usize,
    /// Time from one poll's start to the next's, for polling; each poller starts at a random phase
    #[arg(long, value_name = "DURATION", default_value = "250ms", value_parser = duration)]
    pub poll_interval: Duration,
    /// Rounds of each transport
    #[arg(long, value_name = "COUNT", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub rounds: u32,
    /// Measurement window of each round
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = duration)]
    pub duration: Duration,
    /// Request headers: lean (what HTTP demands) or browser (what Chrome sends, with a cookie)
    #[arg(long, value_name = "KIND", default_value = "browser", value_parser = headers)]
    pub headers: Headers,
    /// Seed of schedule, payloads, phases and the rounds' order
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Threads that serve connections in the server
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = server::options::threads, conflicts_with = "url")]
    pub threads: usize,
    /// Measure the server that runs there, instead of a fresh one for each round
    #[arg(long, value_name = "http://HOST:PORT")]
    pub url: Option<String>,
    /// Directory for the report
    #[arg(long, value_name = "DIR", default_value = "lab-report")]
    pub out: PathBuf,
}

/// Reads a rate at which there is something to measure.
fn rate(text: &str) -> Result<f64, String> {
    match server::options::rate(text)? {
        0.0 => Err("there is nothing to measure at 0 events a second".into()),
        rate => Ok(rate),
    }
}

/// Reads a duration from 1 ms to an hour.
fn duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(duration) if (Duration::from_millis(1)..=Duration::from_secs(3600)).contains(&duration) => Ok(duration),
        _ => Err("a duration is a number with its unit, like 250ms or 2s, from 1ms to 1h".into()),
    }
}

fn headers(text: &str) -> Result<Headers, String> {
    match text {
        "lean" => Ok(Headers::Lean),
        "browser" => Ok(Headers::Browser),
        _ => Err("headers are lean or browser".into()),
    }
}

/// Runs the comparison, writes its report, and prints the answer.
///
/// # Errors
/// When the options make no scenario, a server cannot be started or asked, or the report cannot be written; and when no
/// round of some transport was sound, after the report is written.
pub fn compare(options: &Options, command: String) -> anyhow::Result<()> {
    // Before a minute of measuring, not after it.
    reports::prepare(&options.out).context("--out")?;
    let needed = u64::from(options.subscribers) + SPARE_FILES;
    let limit = server::limits::raise_open_files();
    ensure!(
        needed <= limit,
        "{} subscribers need {needed} open files, but the limit is {limit}: raise it (ulimit -Hn {needed}) or ask for fewer",
        options.subscribers
    );
    // One thread, so that subscribers share their record without locks; no worker wakes another.
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
    let run = runtime.block_on(async {
        tokio::select! {
            run = measure(options, command) => run,
            _ = tokio::signal::ctrl_c() => bail!("interrupted; no report was written"),
        }
    })?;
    reports::write(&run, &options.out)?;

    println!("\n{}\n\n{}", reports::table::scenario(&run), reports::table::text(&run));
    let rankings = reports::answer::rankings(&run);
    rankings.iter().for_each(|line| println!("{line}"));
    if !rankings.is_empty() {
        println!();
    }
    for sentence in reports::answer::sentences(&run) {
        println!("{sentence}");
    }
    for doubt in reports::answer::doubts(&run) {
        println!("Note: {doubt}");
    }
    println!("\nReport: {}", options.out.join("index.html").display());
    let unsound: Vec<_> =
        reports::summary::rows(&run).iter().filter(|row| row.sound == 0).map(|row| row.transport.name()).collect();
    ensure!(unsound.is_empty(), "no round passed its gates for: {}", unsound.join(", "));
    Ok(())
}

/// Files that a process needs beside its connections.
const SPARE_FILES: u64 = 64;

async fn measure(options: &Options, command: String) -> anyhow::Result<Run> {
    let scenario = scenario(options).await?;
    let mut progress = Progress::start(scenario.transports.len() * scenario.rounds as usize, a_round(&scenario));
    let watch = Watch::start();
    let mut rounds = Vec::new();
    for (round, transport) in order(&scenario) {
        progress.begin(transport);
        let (server, host, address) = match &scenario.url {
            Some(url) => {
                let (host, address) = resolve(url)?;
                (None, host, address)
            }
            None => {
                let server = OwnServer::start(&setup(&scenario))?;
                let address = server.http;
                (Some(server), address.to_string(), address)
            }
        };
        let plan = Plan {
            scenario: &scenario,
            transport,
            round,
            address,
            host,
            fresh: server.is_some(),
            deliveries: progress.deliveries.clone(),
        };
        let result = runner::run(&plan).await.with_context(|| format!("{transport}, round {round}"))?;
        drop(server);
        progress.end(&result);
        rounds.push(result);
    }
    progress.finish();
    Ok(Run { schema_version: SCHEMA_VERSION, command, scenario, environment: watch.finish(), rounds })
}

async fn scenario(options: &Options) -> anyhow::Result<Scenario> {
    let mut transports = options.transports.clone();
    transports.sort();
    transports.dedup();
    // A server that runs already has a feed of its own, and says which.
    let running = match &options.url {
        None => None,
        Some(url) => {
            let (host, address) = resolve(url)?;
            Some(Control::connect(address, &host).await?.load().await?)
        }
    };
    if running.as_ref().is_some_and(|load| load.rate <= 0.0) {
        bail!("that server publishes nothing by itself; start it with a --rate of more than 0");
    }
    let running = running.as_ref();
    Ok(Scenario {
        transports,
        subscribers: options.subscribers,
        rate: running.map_or(options.rate, |load| load.rate),
        schedule: running.map_or(options.schedule, |load| load.schedule),
        payload_bytes: running.map_or(options.payload as u32, |load| load.payload_bytes),
        poll_interval_ms: options.poll_interval.as_millis() as u64,
        rounds: options.rounds,
        warm_up_ms: WARM_UP_MS + u64::from(options.subscribers) * CONNECT_US / 1_000,
        duration_ms: options.duration.as_millis() as u64,
        headers: options.headers,
        server_threads: running.map_or(options.threads as u32, |load| load.threads),
        seed: options.seed,
        url: options.url.clone(),
    })
}

/// About how long a round takes: its window, warming up before it, and starting and ending the processes.
fn a_round(scenario: &Scenario) -> Duration {
    Duration::from_millis(scenario.warm_up_ms + scenario.duration_ms + 50)
}

/// Warming up beside connecting, in ms.
const WARM_UP_MS: u64 = 400;
/// Time allowed for a subscriber to connect, in us; both processes share two cores while they do.
const CONNECT_US: u64 = 700;

/// The server that a round of the scenario needs.
pub fn setup(scenario: &Scenario) -> Setup {
    // Room for the whole round, so that its publish times can be asked for afterwards; it is the same for all transports.
    let seconds = (scenario.warm_up_ms + scenario.duration_ms + 2 * scenario.poll_interval_ms) / 1_000 + 5;
    Setup {
        rate: scenario.rate,
        schedule: scenario.schedule.to_string(),
        seed: scenario.seed,
        payload: scenario.payload_bytes,
        history: (scenario.rate * seconds as f64 * 1.5) as u64 + 1_000,
        threads: scenario.server_threads,
        stall: None,
    }
}

/// Every round's transports in a shuffled order of its own: drift of the machine falls on all of them alike.
pub fn order(scenario: &Scenario) -> Vec<(u32, Transport)> {
    let mut random = seeded(scenario.seed);
    let mut order = Vec::new();
    for round in 1..=scenario.rounds {
        let mut transports = scenario.transports.clone();
        for last in (1..transports.len()).rev() {
            // Fisher and Yates.
            transports.swap(last, (uniform(&mut random) * (last + 1) as f64) as usize);
        }
        order.extend(transports.into_iter().map(|transport| (round, transport)));
    }
    order
}
