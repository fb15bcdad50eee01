//! Runs one round: connects the subscribers, warms up, measures and drains. Records what went wrong; the `reports` crate judges it.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use anyhow::ensure;
use protocol::network::Network;
use protocol::result::{ClientCost, Incident, Packets, Round, Scenario, ServerCost};
use protocol::status::{Load, Published};
use protocol::timetable::Timetable;
use protocol::transport::Carrier;
use protocol::{Bookmark, Cursor, Histogram, Ledger, Transport, clock, fnv};
use tokio::time::sleep;
use tracing::debug;

use crate::endpoint::Endpoint;
use crate::packets::PacketNetwork;
use crate::round::agents::Agents;
use crate::round::group::Share;
use crate::round::processes::Subscribers;
use crate::round::task::{GroupStatus, Task};
use crate::target::control::{Figures, Foreign, SETTLING};
use crate::target::message::Source;
use crate::test_bed::control::{ClockOffset, Control};
use crate::wire::quic::QuicEndpoint;

/// How long the server may take to count the last requests of subscribers that are closing.
const LAST_REQUESTS_TIMEOUT: Duration = Duration::from_millis(200);
/// How long after the end of the window an event that was due in it may still be published. Its deliveries may then take as long again, and a
/// poll interval.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);
/// The most events of a schedule, since its beginning, that are computed to find those due in the window; each takes some 10 ns.
const MAX_SCHEDULED: f64 = 1e9;

/// The plan of a round: what is measured, and on which server.
pub struct Plan<'a> {
    /// The scenario; its list of transports is ignored.
    pub scenario: &'a Scenario,
    /// The transport to measure.
    pub transport: Transport,
    /// Which of the transport's rounds this is, from 1.
    pub round: u32,
    /// The server.
    pub endpoint: Endpoint,
    /// Whether the server was started for this round, so that the schedule begins with its feed.
    pub fresh: bool,
    /// The link to the server whose packets are lost, if the network loses some; it models the delay, too.
    pub packets: Option<&'a PacketNetwork>,
    /// The agents at which the subscribers are, if they are on other machines.
    pub agents: Option<&'a Agents>,
    /// What tells the figures of a server of another kind, and where it sends events; `None` for a server of this lab.
    pub foreign: Option<(Foreign, Source)>,
    /// Counts deliveries as they come, for the progress display.
    pub deliveries: Arc<AtomicU64>,
}

/// Runs the round.
///
/// # Errors
/// When the server cannot be reached, its rate is not the scenario's, or its schedule is too long to compute. Failures of subscribers are not
/// errors: they are in the result, which is then rejected.
pub async fn run(plan: Plan<'_>) -> anyhow::Result<Round> {
    let scenario = plan.scenario;
    let is_foreign = plan.foreign.is_some();
    let (mut control, source) = match (plan.foreign, plan.packets) {
        (Some((foreign, source)), _) => (Figures::Foreign(foreign.into()), Some(source)),
        (None, Some(packets)) => {
            (Figures::Lab(packets.at_server(Control::connect(&plan.endpoint)).await?.into()), None)
        }
        (None, None) => (Figures::Lab(Control::connect(&plan.endpoint).await?.into()), None),
    };
    let before = control.load().await?;
    let requests_before = control.requests();
    let one_host = plan.fresh || plan.endpoint.address.ip().is_loopback();
    let clock = if one_host { None } else { control.clock_offset().await? };

    let warm_up_ns = scenario.warm_up_ms * 1_000_000;
    let begin = match (is_foreign, plan.fresh) {
        (true, _) => before.started_ns + SETTLING.as_nanos() as u64,
        (false, true) => before.started_ns + warm_up_ns,
        (false, false) => server_now(clock) + warm_up_ns,
    };
    let window = begin..begin + scenario.duration_ms * 1_000_000;
    let timetable = Timetable::of(&before);
    ensure!(timetable.rate == scenario.rate, "the server's rate was changed to {} events/s", timetable.rate);
    ensure!(
        timetable.rate * window.end.saturating_sub(timetable.started_ns) as f64 / 1e9 < MAX_SCHEDULED,
        "the server's schedule is too long to compute: {} events/s for {} s",
        timetable.rate,
        begin.saturating_sub(timetable.started_ns) / 1_000_000_000
    );
    // Computed before the subscribers connect, since it would delay deliveries: a schedule that began days ago takes seconds.
    let due = timetable.due(window.clone());
    let events = (scenario.rate * scenario.duration_ms as f64 / 1_000.0).ceil() as usize;
    let expected = events * scenario.subscribers as usize;
    let ahead_ns = clock.map_or(0, |offset| offset.ahead_ns);
    let task = Task {
        transport: plan.transport,
        url: plan.endpoint.origin(),
        // A server that we have started ourselves has a self-signed certificate.
        insecure: plan.fresh || scenario.insecure,
        tcp: SocketAddr::new(plan.endpoint.address.ip(), before.tcp_port),
        quic: QuicEndpoint::of(&before, plan.endpoint.address.ip()),
        source,
        headers: scenario.headers,
        poll_interval: Duration::from_millis(scenario.poll_interval_ms),
        network: if plan.packets.is_some() { Network::default() } else { scenario.network },
        streams_per_connection: scenario.streams_per_connection,
        clock_ahead_ns: ahead_ns,
        after: Bookmark { cursor: Cursor(before.head), epoch: Some(before.epoch) },
        share: Share::all(scenario.subscribers),
        seed: scenario.seed ^ u64::from(plan.round),
        // A server of another kind need not keep events for those that come later.
        deadline: if is_foreign { before.started_ns } else { window.start.saturating_add_signed(-ahead_ns) },
        poll_origin_ns: clock::now_ns(),
        timetable: timetable.clone(),
        window: window.clone(),
        expected,
    };
    let drain = DRAIN_TIMEOUT + task.poll_interval;
    let mut subscribers = Subscribers::connect(task, scenario.processes, plan.agents, plan.deliveries.clone()).await?;

    debug!("subscribed; the window opens next");
    sleep_until(window.start, clock).await;
    subscribers.measure_lag(true).await?;
    let start = Reading::take(&mut control, &mut subscribers, plan.packets).await?;
    sleep_until(window.end, clock).await;
    debug!("the window has closed; draining");
    let end = Reading::take(&mut control, &mut subscribers, plan.packets).await?;
    subscribers.measure_lag(false).await?;

    let last_due = due.last().map_or(0, |due| due.at);
    let deadline = clock::now_ns() + DRAIN_TIMEOUT.as_nanos() as u64;
    let sent = published(&mut control, before.head, &window, last_due, deadline).await?;
    let times: HashSet<u64> = sent.iter().map(|event| event.at).collect();
    let unpublished = due.iter().filter(|due| !times.contains(&due.at)).count() as u64;
    let expected = sent.len() as u64 * u64::from(scenario.subscribers);
    let deadline = clock::now_ns() + drain.as_nanos() as u64;
    while subscribers.status().await?.in_window < expected && clock::now_ns() < deadline {
        sleep(Duration::from_millis(1)).await;
    }
    let (observed, lost_agents) = subscribers.close(&sent, plan.agents).await?;
    let mut after = control.load().await?;
    // The server may not have counted yet a request that was sent shortly before its subscriber closed.
    let counted = |load: &Load, of_ours: u64| load.requests.saturating_sub(before.requests + of_ours);
    let deadline = clock::now_ns() + LAST_REQUESTS_TIMEOUT.as_nanos() as u64;
    while counted(&after, control.requests() - requests_before) < observed.ledger.requests && clock::now_ns() < deadline
    {
        sleep(Duration::from_millis(1)).await;
        after = control.load().await?;
    }

    let mut publisher_lateness_ns = Histogram::default();
    sent.iter().for_each(|event| publisher_lateness_ns.record_between(event.at, event.entered));
    let mut round = Round {
        transport: plan.transport,
        round: plan.round,
        sent: sent.len() as u64 + unpublished,
        delivered: observed.delivered,
        expected: Some((sent.len() as u64 + unpublished) * u64::from(scenario.subscribers)),
        schedule_hash: schedule_hash(&sent, before.started_ns),
        latency_ns: observed.latency_ns,
        naive_latency_ns: observed.naive_latency_ns,
        slowest_ns: observed.slowest_ns.into_values().collect(),
        publisher_lateness_ns,
        clock_bound_ns: clock.map(|offset| offset.bound_ns).max(plan.agents.map(|_| end.subscribers.clock_bound_ns)),
        ledger: observed.ledger,
        // The kernel's counts are read when a connection ends, so there are none for a part of the time.
        window_ledger: Some(Ledger { kernel: None, ..end.subscribers.ledger - start.subscribers.ledger }),
        faults: observed.faults,
        server: server_cost(&before, &start, &end),
        client: ClientCost {
            cpu_ns: end.subscribers.cpu_ns - start.subscribers.cpu_ns,
            processes: scenario.processes.max(scenario.agents).min(scenario.subscribers),
            lag_ns: observed.lag_ns,
            connect_ns: start.subscribers.connect_ns,
        },
        packets: end.packets.zip(start.packets).map(|(end, start)| end.since(start)),
        incidents: Vec::new(),
        failures: Vec::new(),
        warnings: Vec::new(),
    };
    let incidents = &mut round.incidents;
    incidents.extend(lost_agents.into_iter().map(|agent| Incident::AgentLost { agent }));
    if unpublished > 0 {
        incidents.push(Incident::Unpublished { events: unpublished, due: due.len() as u64 });
    }
    if Timetable::of(&after) != timetable {
        incidents.push(Incident::ScheduleChanged);
    }
    let (connected, subscribers) = (start.subscribers.connected, scenario.subscribers);
    if connected < subscribers {
        incidents.push(Incident::NotConnected { connected, subscribers });
    }
    if let Some(error) = observed.given_up.first() {
        incidents.push(Incident::GaveUp { subscribers: observed.given_up.len() as u64, error: error.clone() });
    }
    if !observed.all_closed {
        incidents.push(Incident::NotClosed);
    }
    // A server that was started for this round has no other clients: it has counted the subscribers' requests, and our control requests.
    if plan.fresh {
        let (server, client) = (counted(&after, control.requests() - requests_before), round.ledger.requests);
        // Over HTTP/2, a request that is under way when its connection ends may be dropped before the server counts it: one per subscriber.
        let under_way = if plan.transport.carrier() == Carrier::H2 { u64::from(scenario.subscribers) } else { 0 };
        if !(server..=server + under_way).contains(&client) {
            incidents.push(Incident::RequestsDiffer { server, client });
        }
        let server = after.connections_accepted.saturating_sub(before.connections_accepted);
        let client = round.ledger.connections;
        if server != client {
            incidents.push(Incident::ConnectionsDiffer { server, client });
        }
    }
    Ok(round)
}

/// The events that were due in the window and have been published, and when they entered the feed. Waits until `deadline` (ns) for the event
/// that is due at `last_due`, since a server that is suspended at the window's end publishes the events before that with a delay.
async fn published(
    control: &mut Figures,
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
        // Events that a presenter publishes in the window come before those that enter the feed after it.
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

/// What the server and the client have used and done up to a moment.
struct Reading {
    load: Load,
    subscribers: GroupStatus,
    packets: Option<Packets>,
}

impl Reading {
    async fn take(
        control: &mut Figures,
        subscribers: &mut Subscribers,
        packets: Option<&PacketNetwork>,
    ) -> anyhow::Result<Self> {
        let load = control.load().await?;
        Ok(Self { load, subscribers: subscribers.status().await?, packets: packets.map(PacketNetwork::packets) })
    }
}

fn server_cost(before: &Load, start: &Reading, end: &Reading) -> ServerCost {
    let history_growth = start.load.history_bytes.saturating_sub(before.history_bytes);
    // A server at --url may be restarted between the readings. The figures are wrong then, but the subtraction must not overflow.
    let grown = |figure: fn(&Load) -> u64| figure(&end.load).saturating_sub(figure(&start.load));
    ServerCost {
        window_ns: grown(|load| load.now_ns),
        cpu_ns: grown(|load| load.cpu_ns),
        deliveries: end.subscribers.deliveries - start.subscribers.deliveries,
        // The second reading is itself a request.
        requests: grown(|load| load.requests).saturating_sub(1),
        accepts: grown(|load| load.connections_accepted),
        context_switches: end
            .load
            .context_switches
            .zip(start.load.context_switches)
            .map(|(to, from)| to.saturating_sub(from)),
        resident_before_bytes: before.resident_bytes,
        resident_connected_bytes: start.load.resident_bytes.saturating_sub(history_growth),
    }
}

/// A fingerprint of each event's sequence number and offset from the feed's start: FNV-1a, in hex.
fn schedule_hash(sent: &[Published], started_ns: u64) -> String {
    let numbers = sent.iter().flat_map(|event| [event.seq, event.at.wrapping_sub(started_ns)]);
    format!("{:016x}", fnv::hash(&numbers.flat_map(u64::to_le_bytes).collect::<Vec<_>>()))
}

fn server_now(clock: Option<ClockOffset>) -> u64 {
    clock::now_ns().saturating_add_signed(clock.map_or(0, |offset| offset.ahead_ns))
}

async fn sleep_until(due_ns: u64, clock: Option<ClockOffset>) {
    sleep(Duration::from_nanos(due_ns.saturating_sub(server_now(clock)))).await;
}
