//! Runs one round: connect, warm up, measure, drain, and judge; it knows of no transport what it does.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use anyhow::ensure;
use protocol::result::{CLIENT_LIMITED, ClientCost, Faults, Round, Scenario, ServerCost};
use protocol::status::{Load, Published};
use protocol::timetable::Timetable;
use protocol::{Bookmark, Cursor, Histogram, Transport, clock, fnv};
use reports::number;
use tokio::time::sleep;

use crate::audience::{Audience, Standing, Task};
use crate::control::{ClockOffset, Control};
use crate::crowd::Share;
use crate::place::Place;

/// How long the server may take to count the requests that subscribers sent in leaving.
const LAST_REQUESTS: Duration = Duration::from_millis(200);
/// How late after the window events that were due in it may still be published; and how long, beyond a poll interval, their
/// deliveries may take from then on.
const DRAIN: Duration = Duration::from_secs(2);
/// The share of the window for which the client may be busy before its own queue is a large part of every latency.
const BUSY: f64 = 0.4;
/// Lateness of a single event, or of a single look at the client's event loop, above which a round is doubtful, in ns.
const FROZEN_NS: u64 = 50_000_000;
/// Publisher lateness that is no cause for doubt, in ns, and the share of events that may be later.
const LATE_NS: u64 = 100_000;
const LATE_SHARE: f64 = 0.25;
/// Client lag that is no cause for doubt, in ns: timers have a granularity of 1 ms. And the share of the window that may be lost to
/// what lies beyond it.
const LAG_NS: u64 = 5_000_000;
const LOST_SHARE: f64 = 0.02;

/// Events since a schedule's beginning up to which it is worked out which of them are due; each takes some 10 ns.
const MAX_SCHEDULED: f64 = 1e9;

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
    let timetable = Timetable::of(&before);
    ensure!(timetable.rate == scenario.rate, "the server's rate was changed: it is {} events/s now", timetable.rate);
    ensure!(
        timetable.rate * window.end.saturating_sub(timetable.started_ns) as f64 / 1e9 < MAX_SCHEDULED,
        "that server's schedule is too long to be followed: {} events/s since {} s",
        timetable.rate,
        begin.saturating_sub(timetable.started_ns) / 1_000_000_000
    );
    // Now, since working it out later would hold up deliveries: a schedule that began days ago takes seconds.
    let due = timetable.due(window.clone());
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
        poll_origin_ns: clock::now_ns(),
        timetable: timetable.clone(),
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

    let last_due = due.last().map_or(0, |due| due.at);
    let sent =
        published(&mut control, before.head, &window, last_due, clock::now_ns() + DRAIN.as_nanos() as u64).await?;
    let times: HashSet<u64> = sent.iter().map(|event| event.at).collect();
    let unpublished = due.iter().filter(|due| !times.contains(&due.at)).count() as u64;
    let expected = sent.len() as u64 * u64::from(scenario.subscribers);
    let deadline = clock::now_ns() + drain.as_nanos() as u64;
    while audience.stand().await?.in_window < expected && clock::now_ns() < deadline {
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
        sent: sent.len() as u64 + unpublished,
        delivered: seen.delivered,
        schedule_hash: schedule_hash(&sent, before.started_ns),
        latency_ns: seen.latency_ns,
        naive_latency_ns: seen.naive_latency_ns,
        slowest_ns: seen.slowest_ns.into_values().collect(),
        publisher_lateness_ns,
        clock_bound_ns: clock.map(|offset| offset.bound_ns),
        ledger: seen.ledger,
        window_ledger: Some(end.audience.ledger - start.audience.ledger),
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
    if unpublished > 0 {
        round.failures.push(format!("{unpublished} of {} events that were due were never published", due.len()));
    }
    if Timetable::of(&after) != timetable {
        round.failures.push("the server's schedule was changed during the round".into());
    }
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

/// The events that were published in the window, and when they entered the feed. One that is due at `last_due` is waited for until
/// `deadline` (ns): a server that stands still at the window's end publishes late what was due before it.
async fn published(
    control: &mut Control,
    after: u64,
    window: &Range<u64>,
    last_due: u64,
    deadline: u64,
) -> anyhow::Result<Vec<Published>> {
    let mut all: Vec<Published> = Vec::new();
    let mut cursor = Cursor(after);
    let mut seen_last_due = last_due == 0;
    loop {
        let (page, next) = control.published(cursor).await?;
        let up_to_date = next == cursor;
        cursor = next;
        seen_last_due |= page.iter().any(|event| event.at >= last_due);
        // What a presenter publishes in the window comes before what enters the feed after it.
        let beyond = page.last().is_some_and(|event| event.entered >= window.end);
        all.extend(page.into_iter().filter(|event| window.contains(&event.at)));
        if seen_last_due && (up_to_date || beyond) || clock::now_ns() >= deadline {
            return Ok(all);
        }
        if up_to_date {
            sleep(Duration::from_millis(5)).await;
        }
    }
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

/// Fingerprint over each event's seq and offset from the feed's start, in hex.
fn schedule_hash(sent: &[Published], started_ns: u64) -> String {
    let words = sent.iter().flat_map(|event| [event.seq, event.at.wrapping_sub(started_ns)]);
    format!("{:016x}", fnv::hash(&words.flat_map(u64::to_le_bytes).collect::<Vec<_>>()))
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
    let Faults { lost, duplicates, reordered, gaps, reconnects, altered } = round.faults;
    for (count, what) in [
        (lost, "lost"),
        (duplicates, "delivered twice"),
        (reordered, "out of order"),
        (gaps, "gone from the history"),
        (altered, "with other bytes than were published"),
    ] {
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
    if round.ledger.cut_off > 0 {
        warnings.push(format!(
            "{} connections were cut off while the server was still sending: what came after that is not counted",
            round.ledger.cut_off
        ));
    }
    let percent = |share: f64| number::short(share * 100.0);
    let ms = |ns: u64| number::short(ns as f64 / 1e6);
    let share = client_share(round, scenario.processes.min(scenario.subscribers));
    let warnings = &mut round.warnings;
    if share > BUSY {
        warnings.push(format!(
            "{CLIENT_LIMITED}: the client was busy for {} % of the window, so events waited for it; --processes shares the work out",
            percent(share)
        ));
    }
    // A freeze is one sample of many, however long it lasts: so the longest counts, and no percentile.
    let lag = &round.client.lag_ns;
    if let Some(longest) = lag.max().filter(|&longest| longest > FROZEN_NS) {
        warnings.push(format!("{CLIENT_LIMITED}: the client stood still for {} ms", ms(longest)));
    }
    let lost = time_beyond(lag, LAG_NS) as f64 / round.server.window_ns.max(1) as f64;
    if lost > LOST_SHARE {
        warnings
            .push(format!("{CLIENT_LIMITED}: the client's event loop was late for {} % of the window", percent(lost)));
    }
    let lateness = &round.publisher_lateness_ns;
    if let Some(latest) = lateness.max().filter(|&latest| latest > FROZEN_NS) {
        warnings.push(format!("the server stood still: an event was published {} ms late", ms(latest)));
    }
    let late = lateness.count_beyond(LATE_NS) as f64 / lateness.count().max(1) as f64;
    if late > LATE_SHARE {
        warnings.push(format!("{} % of the events were published more than {} ms late", percent(late), ms(LATE_NS)));
    }
}

/// The share of a processor that each process of the client used in the window, in [0, 1].
fn client_share(round: &Round, processes: u32) -> f64 {
    round.client.cpu_ns as f64 / round.server.window_ns.max(1) as f64 / f64::from(processes.max(1))
}

/// What durations have beyond `limit_ns`, all together, in ns.
fn time_beyond(histogram: &Histogram, limit_ns: u64) -> u64 {
    histogram.buckets().map(|(ns, count)| ns.saturating_sub(limit_ns) * count).sum()
}

fn server_now(clock: Option<ClockOffset>) -> u64 {
    clock::now_ns().saturating_add_signed(clock.map_or(0, |offset| offset.ahead_ns))
}

async fn sleep_until(due_ns: u64, clock: Option<ClockOffset>) {
    sleep(Duration::from_nanos(due_ns.saturating_sub(server_now(clock)))).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::small;
    use crate::verify::tests::round_with;

    /// A sound round of a second: 50 events to 20 subscribers, and 50 looks at the client's event loop.
    fn sound() -> Round {
        let mut round = round_with([1_000_000; 1_000]);
        (round.sent, round.delivered, round.server.window_ns) = (50, 1_000, 1_000_000_000);
        round.publisher_lateness_ns = [20_000; 50].into_iter().collect();
        round.client.lag_ns = [1_200_000; 50].into_iter().collect();
        round
    }

    fn warnings(change: impl FnOnce(&mut Round)) -> Vec<String> {
        let mut round = sound();
        change(&mut round);
        judge(&mut round, &small(&[]));
        assert_eq!(round.failures, [""; 0]);
        round.warnings
    }

    #[test]
    fn a_frozen_client_is_told_from_a_frozen_server_by_a_single_late_sample() {
        assert_eq!(warnings(|_| ()), [""; 0]);
        let client = warnings(|round| round.client.lag_ns.record(600_000_000));
        assert!(client[0].contains("the client stood still for 600 ms"), "{client:?}");
        assert!(!client.iter().any(|warning| warning.contains("server")), "{client:?}");
        let server = warnings(|round| round.publisher_lateness_ns.record(600_000_000));
        assert_eq!(server, ["the server stood still: an event was published 600 ms late"]);
    }

    #[test]
    fn many_short_delays_are_doubtful_as_one_long_one_is() {
        // One in five looks 9 ms late: 4 ms beyond what is no cause for doubt, ten times in a second.
        let lag = warnings(|round| (0..10).for_each(|_| round.client.lag_ns.record(9_000_000)));
        assert!(lag[0].starts_with("client-limited: the client's event loop was late for"), "{lag:?}");
        let late = warnings(|round| (0..20).for_each(|_| round.publisher_lateness_ns.record(500_000)));
        assert!(late[0].contains("were published more than"), "{late:?}");
    }

    #[test]
    fn altered_events_reject_a_round() {
        let mut round = sound();
        round.faults.altered = 1;
        judge(&mut round, &small(&[]));
        assert_eq!(round.failures, ["1 events with other bytes than were published"]);
    }
}
