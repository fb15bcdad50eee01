//! Runs one round: connect, warm up, measure, drain, and judge; it knows of no transport what it does.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use protocol::result::{ClientCost, Faults, Round, Scenario, ServerCost};
use protocol::status::{Load, Published};
use protocol::{Bookmark, Cursor, Histogram, Transport, clock};
use reports::number;
use tokio::time::sleep;

use crate::audience::{Audience, Standing, Task};
use crate::control::{ClockOffset, Control};
use crate::crowd::Share;
use crate::place::Place;

/// How long the server may take to count the requests that subscribers sent in leaving.
const LAST_REQUESTS: Duration = Duration::from_millis(200);
/// How long, beyond a poll interval, the last deliveries may take after the window.
const DRAIN: Duration = Duration::from_secs(2);
/// Publisher lateness in the tail above which a round is doubtful, in ns.
const LATE_NS: u64 = 100_000;
/// The share of the window for which the client may be busy before its own queue is a large part of every latency.
const BUSY: f64 = 0.4;
/// Client lag in the tail above which a round is doubtful, in ns: tokio's timers have a granularity of 1 ms.
const LAG_NS: u64 = 5_000_000;

/// What is measured, and where.
pub struct Plan<'a> {
    /// The scenario; its list of transports is not looked at.
    pub scenario: &'a Scenario,
    /// The transport to measure.
    pub transport: Transport,
    /// Which of the transport's rounds this is, from 1.
    pub round: u32,
    /// The server.
    pub place: Place,
    /// Whether the server was started for this round, so that its feed's start is the schedule's.
    pub fresh: bool,
    /// Counts deliveries as they come, for whoever watches.
    pub deliveries: Arc<AtomicU64>,
}

/// Runs the round.
///
/// # Errors
/// When the server cannot be asked. What goes wrong with subscribers fails the round, and is in the result.
pub async fn run(plan: &Plan<'_>) -> anyhow::Result<Round> {
    let scenario = plan.scenario;
    let mut control = Control::connect(&plan.place).await?;
    let before = control.load().await?;
    let questions = control.requests();
    let clock = if plan.place.address.ip().is_loopback() { None } else { Some(control.clock_offset().await?) };

    let warm_up_ns = scenario.warm_up_ms * 1_000_000;
    let begin = if plan.fresh { before.started_ns } else { server_now(clock) } + warm_up_ns;
    let window = begin..begin + scenario.duration_ms * 1_000_000;
    let events = (scenario.rate * scenario.duration_ms as f64 / 1_000.0).ceil() as usize;
    let expected = events * scenario.subscribers as usize;
    let ahead_ns = clock.map_or(0, |offset| offset.ahead_ns);
    let task = Task {
        transport: plan.transport,
        url: plan.place.origin(),
        // A server that we started ourselves has nobody to vouch for it.
        insecure: plan.fresh || scenario.insecure,
        tcp: SocketAddr::new(plan.place.address.ip(), before.tcp_port),
        headers: scenario.headers,
        poll_interval: Duration::from_millis(scenario.poll_interval_ms),
        network: scenario.network,
        clock_ahead_ns: ahead_ns,
        after: Bookmark { cursor: Cursor(before.head), epoch: Some(before.epoch) },
        share: Share::all(scenario.subscribers),
        seed: scenario.seed ^ u64::from(plan.round),
        deadline: window.start.saturating_add_signed(-ahead_ns),
        window: window.clone(),
        expected,
    };
    let drain = DRAIN + task.poll_interval;
    let mut audience = Audience::gather(task, scenario.processes, plan.deliveries.clone()).await?;

    sleep_until(window.start, clock).await;
    audience.measure_lag(true).await?;
    let start = Reading::take(&mut control, &mut audience).await?;
    sleep_until(window.end, clock).await;
    let end = Reading::take(&mut control, &mut audience).await?;
    audience.measure_lag(false).await?;

    let published = control.published(Cursor(before.head)).await?;
    let sent: Vec<Published> = published.into_iter().filter(|event| window.contains(&event.at)).collect();
    let due = sent.len() as u64 * u64::from(scenario.subscribers);
    let deadline = clock::now_ns() + drain.as_nanos() as u64;
    while audience.stand().await?.in_window < due && clock::now_ns() < deadline {
        sleep(Duration::from_millis(1)).await;
    }
    let seen = audience.leave(&sent).await?;
    let mut after = control.load().await?;
    // A request that was sent in leaving may still be on its way through the server.
    let counted = |load: &Load, questions: u64| load.requests.saturating_sub(before.requests + questions);
    let patience = clock::now_ns() + LAST_REQUESTS.as_nanos() as u64;
    while counted(&after, control.requests() - questions) < seen.ledger.requests && clock::now_ns() < patience {
        sleep(Duration::from_millis(1)).await;
        after = control.load().await?;
    }

    let mut publisher_lateness_ns = Histogram::default();
    sent.iter().for_each(|event| publisher_lateness_ns.record_between(event.at, event.entered));
    let mut round = Round {
        transport: plan.transport,
        round: plan.round,
        sent: sent.len() as u64,
        delivered: seen.delivered,
        schedule_hash: schedule_hash(&sent, before.started_ns),
        latency_ns: seen.latency_ns,
        naive_latency_ns: seen.naive_latency_ns,
        publisher_lateness_ns,
        clock_bound_ns: clock.map(|offset| offset.bound_ns),
        ledger: seen.ledger,
        faults: seen.faults,
        server: server_cost(&before, &start, &end),
        client: ClientCost {
            cpu_ns: end.audience.cpu_ns - start.audience.cpu_ns,
            lag_ns: seen.lag_ns,
            connect_ns: start.audience.connect_ns,
        },
        failures: Vec::new(),
        warnings: Vec::new(),
    };
    let connected = start.audience.connected;
    if connected < scenario.subscribers {
        round.failures.push(format!(
            "only {connected} of {} subscribers were connected when the window opened",
            scenario.subscribers
        ));
    }
    if let Some(why) = seen.given_up.first() {
        round.failures.push(format!("{} subscribers gave up: {why}", seen.given_up.len()));
    }
    if !seen.all_left {
        round.failures.push("some subscribers did not leave when told to".into());
    }
    // On a server of its own nobody else asks: what it counted is what the subscribers sent, and our own questions.
    let questions = control.requests() - questions;
    for (what, server, client) in [
        ("requests", after.requests.saturating_sub(before.requests + questions), round.ledger.requests),
        (
            "connections",
            after.connections_accepted.saturating_sub(before.connections_accepted),
            round.ledger.connections,
        ),
    ] {
        if plan.fresh && server != client {
            round.failures.push(format!("the server counted {server} {what}, the subscribers {client}"));
        }
    }
    judge(&mut round, scenario);
    Ok(round)
}

/// What both processes had used and done at a moment.
struct Reading {
    load: Load,
    audience: Standing,
}

impl Reading {
    async fn take(control: &mut Control, audience: &mut Audience) -> anyhow::Result<Self> {
        let load = control.load().await?;
        Ok(Self { load, audience: audience.stand().await? })
    }
}

fn server_cost(before: &Load, start: &Reading, end: &Reading) -> ServerCost {
    let history_growth = start.load.history_bytes.saturating_sub(before.history_bytes);
    // A server that runs already may be started anew between the readings; what it says is then nonsense, but no overflow.
    let grown = |figure: fn(&Load) -> u64| figure(&end.load).saturating_sub(figure(&start.load));
    ServerCost {
        window_ns: grown(|load| load.now_ns),
        cpu_ns: grown(|load| load.cpu_ns),
        deliveries: end.audience.deliveries - start.audience.deliveries,
        // The second reading is itself a request between the two.
        requests: grown(|load| load.requests).saturating_sub(1),
        accepts: grown(|load| load.connections_accepted),
        context_switches: grown(|load| load.context_switches),
        resident_before_bytes: before.resident_bytes,
        resident_connected_bytes: start.load.resident_bytes.saturating_sub(history_growth),
    }
}

/// FNV-1a, 64 bits, over each event's seq and offset from the feed's start, in hex.
fn schedule_hash(sent: &[Published], started_ns: u64) -> String {
    let words = sent.iter().flat_map(|event| [event.seq, event.at.wrapping_sub(started_ns)]);
    let hash = words
        .flat_map(u64::to_le_bytes)
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    format!("{hash:016x}")
}

/// Holds a round against the gates, and adds what it failed and what is doubtful.
pub fn judge(round: &mut Round, scenario: &Scenario) {
    let Round { failures, warnings, .. } = round;
    let expected = round.sent * u64::from(scenario.subscribers);
    if round.sent == 0 {
        failures.push("no event was scheduled in the window".into());
    }
    if round.delivered != expected {
        failures.push(format!("{} of {expected} deliveries came", round.delivered));
    }
    let Faults { lost, duplicates, reordered, gaps, reconnects } = round.faults;
    for (count, what) in
        [(lost, "lost"), (duplicates, "delivered twice"), (reordered, "out of order"), (gaps, "gone from the history")]
    {
        if count > 0 {
            failures.push(format!("{count} events {what}"));
        }
    }
    let unexplained = round.ledger.unexplained_bytes();
    if unexplained != 0 {
        failures.push(format!("{unexplained} wire bytes have no layer"));
    }
    let ledger = &round.ledger;
    for (what, counted, kernel) in [
        ("received", ledger.received_bytes, ledger.kernel_received_bytes),
        ("sent", ledger.sent_bytes, ledger.kernel_sent_bytes),
    ] {
        if counted != kernel {
            failures.push(format!("{counted} bytes {what} were counted, {kernel} by the kernel"));
        }
    }
    let negative = round.latency_ns.negative();
    if negative > 0 && round.clock_bound_ns.is_none() {
        failures.push(format!("{negative} latencies are negative on one clock"));
    }
    if round.latency_ns.overflow() > 0 {
        failures.push(format!("{} latencies are over 60 s", round.latency_ns.overflow()));
    }
    if reconnects > 0 {
        warnings.push(format!("{reconnects} connections broke and were resumed"));
    }
    let share = client_share(round, scenario.processes.min(scenario.subscribers));
    if share > BUSY {
        let percent = number::short(share * 100.0);
        round.warnings.push(format!(
            "client-limited: the client was busy for {percent} % of the window, so events waited for it"
        ));
    }
    let warnings = &mut round.warnings;
    for (histogram, limit_ns, what) in [
        (&round.publisher_lateness_ns, LATE_NS, "the publisher was late"),
        (&round.client.lag_ns, LAG_NS, "client-limited: the client's own event loop was late"),
    ] {
        let Some((percentile, ns)) = tail(histogram) else { continue };
        if ns > limit_ns {
            let ms = |ns: u64| number::short(ns as f64 / 1e6);
            warnings.push(format!("{what} by {} ms at {percentile}, more than {}", ms(ns), ms(limit_ns)));
        }
    }
}

/// The share of a processor that each process of the client used in the window, in [0, 1].
fn client_share(round: &Round, processes: u32) -> f64 {
    round.client.cpu_ns as f64 / round.server.window_ns.max(1) as f64 / f64::from(processes.max(1))
}

/// The farthest of p99, p90 and p50 that the samples carry, in ns.
fn tail(histogram: &Histogram) -> Option<(&'static str, u64)> {
    let percentiles = [("p99", 0.99), ("p90", 0.9), ("p50", 0.5)];
    percentiles.into_iter().find_map(|(name, quantile)| Some((name, histogram.carried_quantile(quantile)?)))
}

fn server_now(clock: Option<ClockOffset>) -> u64 {
    clock::now_ns().saturating_add_signed(clock.map_or(0, |offset| offset.ahead_ns))
}

async fn sleep_until(due_ns: u64, clock: Option<ClockOffset>) {
    sleep(Duration::from_nanos(due_ns.saturating_sub(server_now(clock)))).await;
}
