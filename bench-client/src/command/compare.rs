//! `compare`: every transport under the same load, in rounds whose order is shuffled by a seed. Each round has a new server process.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{bail, ensure};
use clap::{Args, FromArgMatches};
use protocol::Transport;
use protocol::network::Network;
use protocol::payload::PayloadKind;
use protocol::result::{Comparison, Headers, Scenario};
use protocol::run::Run;
use protocol::schedule::Spacing;
use protocol::transport::Exchange;

use reports::table::wrapped;
use server::options::MAX_RATE;

use super::conditions::{self, Conditions};
use crate::endpoint::Endpoint;
use crate::metrics::Metrics;
use crate::report::{self, Finished};
use crate::round::agents::Agents;
use crate::round::series::{self, Equipment};
use crate::test_bed::control::Control;

/// Compare transports under the same load.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Subscribers connected at once; several numbers, separated by commas, are several loads, each with its own comparison, since the
    /// cost of an event differs between an idle server and a busy one
    #[arg(long, value_name = "COUNTS", value_delimiter = ',', default_values_t = [50, 1000], value_parser = clap::value_parser!(u32).range(1..=50_000))]
    pub subscribers: Vec<u32>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "a doc comment would become the text of --help")]
    pub fixed: Fixed,
    #[command(flatten)]
    #[expect(missing_docs, reason = "a doc comment would become the text of --help")]
    pub conditions: conditions::Options,
    /// A file in TOML with options of this command, by their names without the dashes; options on the command line have precedence
    #[arg(long, value_name = "FILE")]
    pub scenario: Option<PathBuf>,
    /// Repeat an earlier run, with its settings: the directory of its report, or its run.json; options on the command line have precedence
    #[arg(long, value_name = "DIR", conflicts_with = "scenario")]
    pub again: Option<PathBuf>,
    /// Print the results as JSON instead of text
    #[arg(long)]
    pub json: bool,
}

/// The options of a comparison besides the number of subscribers.
#[derive(Debug, Clone, Args)]
#[group(id = "fixed")]
pub struct Fixed {
    /// Transports to compare, separated by commas
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_values_t = Transport::today())]
    pub transports: Vec<Transport>,
    /// Events per second
    #[arg(long, value_name = "EVENTS_PER_S", default_value_t = 20.0, value_parser = rate, allow_negative_numbers = true, conflicts_with = "url")]
    pub rate: f64,
    /// Spacing of the events: periodic or poisson
    #[arg(long, value_name = "KIND", default_value_t, conflicts_with = "url")]
    pub schedule: Spacing,
    /// Payload of each event, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 200, value_parser = server::options::payload, conflicts_with = "url")]
    pub payload: usize,
    /// Kind of payload: random (letters and digits, which hardly compress), text (English words) or json (quotes of a ticker)
    #[arg(long, value_name = "KIND", default_value_t, conflicts_with = "url")]
    pub payload_kind: PayloadKind,
    /// Time from the start of one poll to the start of the next, for polling; each poller has a random phase
    #[arg(long, value_name = "DURATION", default_value = "250ms", value_parser = duration)]
    pub poll_interval: Duration,
    /// Rounds of each transport
    #[arg(long, value_name = "COUNT", default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub rounds: u32,
    /// Measurement window of each round; by default 1.5s, or longer if it would have fewer than ten events or six poll intervals
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub duration: Option<Duration>,
    /// Request headers: lean (only those that HTTP requires) or browser (those of Chrome, with a cookie)
    #[arg(long, value_name = "KIND", default_value = "browser", value_parser = headers)]
    pub headers: Headers,
    /// Network to model between client and server: loopback (nothing is modelled), lan, wifi, broadband, mobile, intercontinental, or
    /// settings like delay=40ms,jitter=5ms,bandwidth=10mbit (one way); loss=1% and queue=64kB lose real packets (Linux, as root)
    #[arg(long, value_name = "NAME|SETTINGS", default_value = "loopback")]
    pub network: Network,
    /// Subscribers that share a connection over HTTP/2, each with a stream of its own
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub streams_per_connection: u32,
    /// Seed of the schedule, the payloads, the phases of pollers and the order of rounds
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Threads of the server that serve connections
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = server::options::threads, conflicts_with = "url")]
    pub threads: usize,
    /// Client processes that share the subscribers; needed when a single client thread is too busy
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub processes: u32,
    /// Agents that share the subscribers, each started on another machine as: bench-client agent --join HOST:PORT
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=64), requires = "url", conflicts_with = "processes")]
    pub agents: Option<u32>,
    /// Address on which to wait for the agents. It has no password: any agent that can reach it can join
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7070", requires = "agents")]
    pub agents_listen: SocketAddr,
    /// Serve the progress of the run for Prometheus at http://ADDRESS/metrics
    #[arg(long, value_name = "ADDRESS")]
    pub metrics: Option<SocketAddr>,
    /// Measure over TLS: https, wss, and raw TCP inside TLS
    #[arg(long, conflicts_with = "url")]
    pub tls: bool,
    /// Measure the server at this URL, instead of starting one for each round
    #[arg(long, value_name = "http[s]://HOST:PORT")]
    pub url: Option<String>,
    /// Accept any certificate of the server at --url, even a self-signed one
    #[arg(long, requires = "url")]
    pub insecure: bool,
    /// Directory for the report; an earlier report there is moved to a directory below it
    #[arg(long, value_name = "DIR", default_value = "lab-report")]
    pub out: PathBuf,
}

impl Default for Options {
    /// The options of a command line without arguments.
    fn default() -> Self {
        Self::augment_args(clap::Command::new("compare"))
            .try_get_matches_from(["compare"])
            .and_then(|matches| Self::from_arg_matches(&matches))
            .expect("every option has a default")
    }
}

/// Parses a rate, in events a second, which must be more than 0.
///
/// # Errors
/// When it is not such a number.
pub fn rate(text: &str) -> Result<f64, String> {
    match server::options::rate(text)? {
        0.0 => Err("there is nothing to measure at 0 events per second".into()),
        rate => Ok(rate),
    }
}

/// Parses a duration from 1 ms to an hour.
///
/// # Errors
/// When it is not such a duration.
pub fn duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(duration) if (Duration::from_millis(1)..=Duration::from_secs(3600)).contains(&duration) => Ok(duration),
        _ => Err("a duration is a number with a unit, like 250ms or 2s, from 1ms to 1h".into()),
    }
}

fn headers(text: &str) -> Result<Headers, String> {
    match text {
        "lean" => Ok(Headers::Lean),
        "browser" => Ok(Headers::Browser),
        _ => Err("headers are lean or browser".into()),
    }
}

/// Runs the comparison, writes its report, and prints a summary.
///
/// # Errors
/// When the options make no valid scenario, a server cannot be started or does not respond, or the report cannot be written; and, after the
/// report is written, when some transport has no sound round.
pub fn compare(options: &Options, command: String) -> anyhow::Result<()> {
    let conditions = Conditions::read(&options.conditions, &options.fixed.transports)?;
    let run = report::make(&options.fixed.out, command, async |finished| measure(options, finished).await)?;
    if options.json {
        println!("{}", reports::table::json(&run));
    } else {
        print_all(&run, &options.fixed.out);
    }
    ensure_sound(&run)?;
    conditions.decide(&run, &options.fixed.out, options.json)
}

/// Checks that each transport has a sound round under each load.
///
/// # Errors
/// When some have none.
pub fn ensure_sound(run: &Run) -> anyhow::Result<()> {
    let unsound: Vec<String> = run
        .comparisons()
        .flat_map(|comparison| {
            let rows = reports::summary::rows(comparison).into_iter().filter(|row| row.sound == 0);
            rows.map(|row| format!("{} with {} subscribers", row.transport.in_words(), comparison.scenario.subscribers))
        })
        .collect();
    ensure!(unsound.is_empty(), "every round was rejected for: {}", unsound.join(", "));
    Ok(())
}

fn print_all(run: &Run, out: &Path) {
    run.comparisons().for_each(print);
    for sentence in reports::loads::sentences(run) {
        println!("{}", wrapped(&sentence, ""));
    }
    if let Some(disturbance) = reports::answer::disturbances(&run.environment) {
        println!("{}", wrapped(&format!("Note: {disturbance}"), "  "));
    }
    println!("\nReport: {}", out.join("index.html").display());
}

/// Measures a comparison for each load; their rounds are interleaved.
///
/// # Errors
/// When the options make no valid scenario, or a server cannot be started or does not respond.
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
    let agents = match options.fixed.agents {
        Some(count) => Some(Agents::listen(options.fixed.agents_listen, count).await?),
        None => None,
    };
    let metrics = options.fixed.metrics.map(Metrics::serve).transpose()?;
    let equipment = Equipment { agents: agents.as_ref(), metrics: metrics.as_ref(), ..Equipment::default() };
    series::rounds_at(&scenarios, equipment, true, |index, rounds| finished.rounds(first + index, rounds)).await?;
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

/// Raises the limit on open files so that all subscribers of each scenario can be connected at once.
///
/// # Errors
/// When the system's hard limit is too low for that.
pub fn raise_open_files(scenarios: &[Scenario]) -> anyhow::Result<()> {
    // A modelled link has a timer besides the socket.
    let files =
        |scenario: &Scenario| u64::from(scenario.subscribers) * if scenario.network.is_modelled() { 2 } else { 1 };
    let needed = scenarios.iter().map(files).max().unwrap_or(0) + SPARE_FILES;
    let limit = server::limits::raise_open_files();
    ensure!(
        needed <= limit,
        "{needed} open files are needed, but the limit is {limit}; raise it (ulimit -Hn {needed}) or use fewer subscribers"
    );
    Ok(())
}

/// Open files that a process needs besides its connections.
const SPARE_FILES: u64 = 64;

/// The scenario of the options, with that many subscribers.
///
/// # Errors
/// When the server at `--url` does not respond, or publishes nothing.
pub async fn scenario(options: &Fixed, subscribers: u32) -> anyhow::Result<Scenario> {
    let mut transports = options.transports.clone();
    transports.sort();
    transports.dedup();
    // The server at --url has its own schedule and payload size, which it reports.
    let running = match &options.url {
        None => None,
        Some(url) => Some(Control::connect(&Endpoint::named(url, options.insecure)?).await?.load().await?),
    };
    match running.as_ref().map(|load| load.rate) {
        Some(rate) if rate <= 0.0 => {
            bail!("the server at --url publishes no events by itself; start it with a --rate of more than 0")
        }
        Some(rate) if rate > MAX_RATE => {
            bail!("the server at --url reports {rate} events per second, which no transport-lab server publishes")
        }
        _ => {}
    }
    ensure!(
        options.url.is_none() || !options.network.loses_packets(),
        "a network with loss or a queue is a link to a server that is started for each round; leave out --url, or the loss and the queue"
    );
    ensure!(
        !running.as_ref().is_some_and(|load| load.is_shared),
        "the server at --url shares its feed with others (--feed), so its schedule is not the only one; measure a server with a feed of its own"
    );
    let running = running.as_ref();
    let rate = running.map_or(options.rate, |load| load.rate);
    let polls = transports.iter().any(|transport| transport.exchange() == Exchange::Poll);
    let duration = options.duration.unwrap_or_else(|| window(rate, polls.then_some(options.poll_interval)));
    Ok(Scenario {
        subscribers,
        rate,
        schedule: running.map_or(options.schedule, |load| load.schedule),
        payload_bytes: running.map_or(options.payload as u32, |load| load.payload_bytes),
        payload_kind: running.map_or(options.payload_kind, |load| load.payload_kind),
        poll_interval_ms: options.poll_interval.as_millis() as u64,
        rounds: options.rounds,
        warm_up_ms: warm_up_ms(subscribers, options.network)
            + quic_ms(subscribers, &transports)
            + if options.tls { tls_ms(subscribers, options.network) } else { 0 }
            + u64::from(options.processes - 1) * PROCESS_MS
            + options.agents.map_or(0, |_| AGENT_MS),
        duration_ms: duration.as_millis() as u64,
        headers: options.headers,
        network: options.network,
        streams_per_connection: options.streams_per_connection,
        server_threads: running.map_or(options.threads as u32, |load| load.threads),
        tls: options.tls || options.url.as_ref().is_some_and(|url| url.starts_with("https:")),
        processes: options.processes,
        agents: options.agents.unwrap_or(0),
        seed: options.seed,
        target: None,
        url: options.url.clone(),
        insecure: options.insecure,
        transports,
    })
}

/// The default measurement window: long enough for ten events and six polls, and at least one and a half seconds.
fn window(rate: f64, poll_interval: Option<Duration>) -> Duration {
    let events = Duration::from_secs_f64((MIN_EVENTS_IN_WINDOW / rate).min(MAX_WINDOW.as_secs_f64()));
    let polls = poll_interval.unwrap_or_default() * MIN_POLLS_IN_WINDOW;
    MIN_WINDOW.max(events).max(polls).min(MAX_WINDOW)
}

/// Bounds of the default measurement window.
const MIN_WINDOW: Duration = Duration::from_millis(1_500);
const MAX_WINDOW: Duration = Duration::from_secs(3600);
const MIN_EVENTS_IN_WINDOW: f64 = 10.0;
const MIN_POLLS_IN_WINDOW: u32 = 6;

/// Time for connecting and warming up, in ms.
pub fn warm_up_ms(subscribers: u32, network: Network) -> u64 {
    // Opening the connection, a handshake and a first event take five one-way delays; one more is a reserve.
    let lossy = if network.loses_packets() { RETRANSMISSION_MS } else { 0 };
    WARM_UP_MS + lossy + u64::from(subscribers) * CONNECT_US / 1_000 + 6 * network.delay_us / 1_000
}

/// The time that TLS handshakes add to that, in ms: a round trip, and the work on both sides.
fn tls_ms(subscribers: u32, network: Network) -> u64 {
    u64::from(subscribers) * TLS_HANDSHAKE_US / 1_000 + 2 * network.delay_us / 1_000
}

/// The time that handshakes of QUIC add to that, in ms, if a transport needs them.
pub fn quic_ms(subscribers: u32, transports: &[Transport]) -> u64 {
    let quic = transports.iter().any(|transport| !transport.is_over_tcp());
    if quic { u64::from(subscribers) * QUIC_HANDSHAKE_US / 1_000 } else { 0 }
}

/// Time allowed for the handshake of QUIC of one subscriber and the request for its session, in us.
const QUIC_HANDSHAKE_US: u64 = 3_500;
/// Time allowed for the TLS handshake of one subscriber, in us.
const TLS_HANDSHAKE_US: u64 = 800;
/// Time allowed for agents to compare their clocks with the server's, in ms.
const AGENT_MS: u64 = 1_000;
/// Time allowed for each additional client process to start, in ms.
const PROCESS_MS: u64 = 100;
/// The time that connections may need to open if a packet is lost, in ms: TCP sends its first one again after a second (RFC 6298).
const RETRANSMISSION_MS: u64 = 3_000;
/// Time for warming up after connecting, in ms.
const WARM_UP_MS: u64 = 400;
/// Time allowed for one subscriber to connect, in us. Client and server share two cores meanwhile.
const CONNECT_US: u64 = 700;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_default_window_has_at_least_ten_events_and_six_polls() {
        let seconds = Duration::from_secs;
        assert_eq!(window(20.0, Some(Duration::from_millis(250))), MIN_WINDOW);
        assert_eq!(window(1.0, Some(seconds(1))), seconds(10));
        assert_eq!((window(20.0, Some(seconds(5))), window(20.0, None)), (seconds(30), MIN_WINDOW));
        assert_eq!(window(1e-9, None), MAX_WINDOW);
    }
}
