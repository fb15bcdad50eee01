//! `compare`: every transport under the same load, in seeded interleaved rounds with a fresh server each.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{bail, ensure};
use clap::{Args, FromArgMatches};
use protocol::Transport;
use protocol::network::Network;
use protocol::result::{Comparison, Headers, Scenario};
use protocol::schedule::Spacing;

use reports::table::wrapped;
use server::options::FASTEST;

use crate::control::Control;
use crate::place::Place;
use crate::report::{self, Finished};
use crate::trial;

/// Compare transports under the same load and draw the comparison.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Subscribers connected at once; several numbers, separated by commas, are several loads, each compared by itself: what an event
    /// costs an idle server and a busy one differs
    #[arg(long, value_name = "COUNTS", value_delimiter = ',', default_values_t = [50, 1000], value_parser = clap::value_parser!(u32).range(1..=50_000))]
    pub subscribers: Vec<u32>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "a doc comment would become the text of --help")]
    pub fixed: Fixed,
}

/// What a comparison holds fixed beside the number of subscribers.
#[derive(Debug, Clone, Args)]
#[group(id = "fixed")]
pub struct Fixed {
    /// Transports to compare, separated by commas
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_values_t = Transport::ALL)]
    pub transports: Vec<Transport>,
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
    #[arg(long, value_name = "COUNT", default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub rounds: u32,
    /// Measurement window of each round; by default 1.5s, and longer where events or polls are rare: ten events, six poll intervals
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub duration: Option<Duration>,
    /// Request headers: lean (what HTTP demands) or browser (what Chrome sends, with a cookie)
    #[arg(long, value_name = "KIND", default_value = "browser", value_parser = headers)]
    pub headers: Headers,
    /// Network to model between client and server: loopback (none), lan, wifi, broadband, mobile, intercontinental, or settings
    /// like delay=40ms,jitter=5ms,bandwidth=10mbit (one way; loss and congestion are not modelled)
    #[arg(long, value_name = "NAME|SETTINGS", default_value = "loopback")]
    pub network: Network,
    /// Seed of schedule, payloads, phases and the rounds' order
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Threads that serve connections in the server
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = server::options::threads, conflicts_with = "url")]
    pub threads: usize,
    /// Processes of the load client that share the subscribers; more than one where a single thread is too busy
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub processes: u32,
    /// Measure over TLS: https, wss, and raw TCP within it
    #[arg(long, conflicts_with = "url")]
    pub tls: bool,
    /// Measure the server that runs there, instead of a fresh one for each round
    #[arg(long, value_name = "http[s]://HOST:PORT")]
    pub url: Option<String>,
    /// Take whatever certificate the server at --url shows, a self-signed one too
    #[arg(long, requires = "url")]
    pub insecure: bool,
    /// Directory for the report; one that is there already is moved to a folder below it
    #[arg(long, value_name = "DIR", default_value = "lab-report")]
    pub out: PathBuf,
}

impl Default for Options {
    /// What the command line takes where it is told nothing.
    fn default() -> Self {
        Self::augment_args(clap::Command::new("compare"))
            .try_get_matches_from(["compare"])
            .and_then(|matches| Self::from_arg_matches(&matches))
            .expect("every option has a default")
    }
}

/// Reads a rate at which there is something to measure.
pub fn rate(text: &str) -> Result<f64, String> {
    match server::options::rate(text)? {
        0.0 => Err("there is nothing to measure at 0 events a second".into()),
        rate => Ok(rate),
    }
}

/// Reads a duration from 1 ms to an hour.
pub fn duration(text: &str) -> Result<Duration, String> {
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
    let run = report::make(&options.fixed.out, command, async |finished| measure(options, finished).await)?;
    for comparison in run.comparisons() {
        print(comparison);
    }
    for sentence in reports::loads::sentences(&run) {
        println!("{}", wrapped(&sentence, ""));
    }
    if let Some(disturbance) = reports::answer::disturbances(&run.environment) {
        println!("{}", wrapped(&format!("Note: {disturbance}"), "  "));
    }
    println!("\nReport: {}", options.fixed.out.join("index.html").display());
    let unsound: Vec<String> = run
        .comparisons()
        .flat_map(|comparison| {
            let rows = reports::summary::rows(comparison).into_iter().filter(|row| row.sound == 0);
            rows.map(|row| format!("{} with {} subscribers", row.transport.in_words(), comparison.scenario.subscribers))
        })
        .collect();
    ensure!(unsound.is_empty(), "no round passed its gates for: {}", unsound.join(", "));
    Ok(())
}

/// Measures a comparison for each load, their rounds interleaved.
///
/// # Errors
/// When the options make no scenario, or a server cannot be started or asked.
pub async fn measure(options: &Options, finished: &Finished) -> anyhow::Result<()> {
    let mut subscribers = options.subscribers.clone();
    subscribers.sort_unstable();
    subscribers.dedup();
    let mut scenarios = Vec::new();
    for subscribers in subscribers {
        scenarios.push(scenario(&options.fixed, subscribers).await?);
    }
    raise_open_files(&scenarios)?;
    let first = finished.begin(&scenarios);
    trial::rounds_into(&scenarios, true, |index, rounds| finished.rounds(first + index, rounds)).await?;
    Ok(())
}

fn print(comparison: &Comparison) {
    let scenario = wrapped(&reports::table::scenario(comparison), "  ");
    println!("\n{scenario}\n\n{}", reports::table::text(comparison));
    let rankings = reports::answer::rankings(comparison);
    rankings.iter().for_each(|line| println!("{}", wrapped(line, "  ")));
    if !rankings.is_empty() {
        println!("{}\n", wrapped(&format!("({})", reports::answer::LETTERS), " "));
    }
    for sentence in reports::answer::sentences(comparison) {
        println!("{}", wrapped(&sentence, ""));
    }
    for doubt in reports::answer::doubts(comparison) {
        println!("{}", wrapped(&format!("Note: {doubt}"), "  "));
    }
}

/// Makes sure that all subscribers of each scenario can be connected at once.
///
/// # Errors
/// When the system allows fewer open files.
pub fn raise_open_files(scenarios: &[Scenario]) -> anyhow::Result<()> {
    // A modelled link has a timer beside the socket.
    let files =
        |scenario: &Scenario| u64::from(scenario.subscribers) * if scenario.network.is_modelled() { 2 } else { 1 };
    let needed = scenarios.iter().map(files).max().unwrap_or(0) + SPARE_FILES;
    let limit = server::limits::raise_open_files();
    ensure!(
        needed <= limit,
        "{needed} open files are needed, but the limit is {limit}: raise it (ulimit -Hn {needed}) or ask for fewer subscribers"
    );
    Ok(())
}

/// Files that a process needs beside its connections.
const SPARE_FILES: u64 = 64;

/// The scenario that the options ask for, with so many subscribers.
///
/// # Errors
/// When a server that runs already cannot be asked, or publishes nothing.
pub async fn scenario(options: &Fixed, subscribers: u32) -> anyhow::Result<Scenario> {
    let mut transports = options.transports.clone();
    transports.sort();
    transports.dedup();
    // A server that runs already has a feed of its own, and says which.
    let running = match &options.url {
        None => None,
        Some(url) => Some(Control::connect(&Place::named(url, options.insecure)?).await?.load().await?),
    };
    match running.as_ref().map(|load| load.rate) {
        Some(rate) if rate <= 0.0 => {
            bail!("that server publishes nothing by itself; start it with a --rate of more than 0")
        }
        Some(rate) if rate > FASTEST => {
            bail!("that server says that it publishes {rate} events a second: not one of ours")
        }
        _ => {}
    }
    let running = running.as_ref();
    let rate = running.map_or(options.rate, |load| load.rate);
    let polls = transports.contains(&Transport::Polling);
    let duration = options.duration.unwrap_or_else(|| window(rate, polls.then_some(options.poll_interval)));
    Ok(Scenario {
        transports,
        subscribers,
        rate,
        schedule: running.map_or(options.schedule, |load| load.schedule),
        payload_bytes: running.map_or(options.payload as u32, |load| load.payload_bytes),
        poll_interval_ms: options.poll_interval.as_millis() as u64,
        rounds: options.rounds,
        warm_up_ms: warm_up_ms(subscribers, options.network)
            + if options.tls { tls_ms(subscribers, options.network) } else { 0 }
            + u64::from(options.processes - 1) * PROCESS_MS,
        duration_ms: duration.as_millis() as u64,
        headers: options.headers,
        network: options.network,
        server_threads: running.map_or(options.threads as u32, |load| load.threads),
        tls: options.tls || options.url.as_ref().is_some_and(|url| url.starts_with("https:")),
        processes: options.processes,
        seed: options.seed,
        url: options.url.clone(),
        insecure: options.insecure,
    })
}

/// A measurement window that holds enough of the slowest rhythm in it: one and a half seconds, ten events, and six polls.
fn window(rate: f64, poll_interval: Option<Duration>) -> Duration {
    let events = Duration::from_secs_f64((EVENTS_IN_A_WINDOW / rate).min(MAX_WINDOW.as_secs_f64()));
    let polls = poll_interval.unwrap_or_default() * POLLS_IN_A_WINDOW;
    MIN_WINDOW.max(events).max(polls).min(MAX_WINDOW)
}

/// Bounds of a window that is worked out.
const MIN_WINDOW: Duration = Duration::from_millis(1_500);
const MAX_WINDOW: Duration = Duration::from_secs(3600);
const EVENTS_IN_A_WINDOW: f64 = 10.0;
const POLLS_IN_A_WINDOW: u32 = 6;

/// Time for connecting and warming up, in ms.
pub fn warm_up_ms(subscribers: u32, network: Network) -> u64 {
    // Opening, a handshake and a first event take five ways; one more is to spare.
    WARM_UP_MS + u64::from(subscribers) * CONNECT_US / 1_000 + 6 * network.delay_us / 1_000
}

/// What TLS's handshakes add to that, in ms: a round trip, and work on both sides.
fn tls_ms(subscribers: u32, network: Network) -> u64 {
    u64::from(subscribers) * SHAKE_HANDS_US / 1_000 + 2 * network.delay_us / 1_000
}

/// Time allowed for TLS's handshake with a subscriber, in us.
const SHAKE_HANDS_US: u64 = 800;
/// Time allowed for a further client process to start, in ms.
const PROCESS_MS: u64 = 100;
/// Warming up beside connecting, in ms.
const WARM_UP_MS: u64 = 400;
/// Time allowed for a subscriber to connect, in us; both processes share two cores while they do.
const CONNECT_US: u64 = 700;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_holds_ten_events_and_six_polls() {
        let seconds = Duration::from_secs;
        assert_eq!(window(20.0, Some(Duration::from_millis(250))), MIN_WINDOW);
        assert_eq!(window(1.0, Some(seconds(1))), seconds(10));
        assert_eq!((window(20.0, Some(seconds(5))), window(20.0, None)), (seconds(30), MIN_WINDOW));
        assert_eq!(window(1e-9, None), MAX_WINDOW);
    }
}
