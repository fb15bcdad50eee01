//! The sweeps that have claims or questions of their own: over the poll interval, the delay, the rate, the payload and the subscribers.

use anyhow::Context;
use protocol::Transport;
use protocol::experiment::{Drawing, Experiment, Line, Lines, Point, Status, Table, Verdict};
use protocol::facts::sweep::{SweepFacts, SweepPoint};
use protocol::result::Comparison;

use super::claims::verdict;
use super::draw::{axis, line};
use super::evidence::{
    Answer, BYTES, CPU, DELIVERIES_PER_S, Estimate, LATENCY, Measure, crossing, figure, percent, times, utilisation,
};
use super::sweep;
use crate::number::{short, thousands};
use crate::theory;

/// Claim 2: the share of the poll interval that mean latency must exceed; by theory it is half.
const MIN_WAIT: f64 = 0.25;
/// Claim 2: the latency up to which delivery counts as real time where the crossing is given, in ms.
const REAL_TIME_MS: f64 = 100.0;
/// Claim 3: the largest ratio of long polling's latency to WebSocket's that still counts as a response at once, and the smallest ratio that
/// counts as later than WebSocket.
const MAX_AT_ONCE: f64 = 1.5;
const MIN_LATER: f64 = 1.1;
/// Requests a second that the server counted in the window, from all of the scenario's subscribers together.
const REQUESTS_PER_S: Measure =
    Measure::counted(|round| (round.server.requests as f64, round.server.window_ns as f64 / 1e9));

/// Claim 2: polling is not real time. `wait` is the mean latency divided by the poll interval, at the longest interval.
pub fn waits_for_the_poll(wait: Estimate) -> Status {
    wait.above(MIN_WAIT).decides(Status::Holds, Status::DoesNotHold)
}

/// Claim 3: a long poll gets its response the moment there is an event. `near` and `far` are the ratios of its latency to WebSocket's, at
/// the shortest and the longest network delay.
pub fn responds_at_once(near: Estimate, far: Estimate) -> Status {
    match near.below(MAX_AT_ONCE) {
        Answer::Yes => far.above(MIN_LATER).decides(Status::HoldsWithinLimits, Status::Holds),
        other => other.decides(Status::Holds, Status::DoesNotHold),
    }
}

/// Claim 4: long polling loads the server less than polling. `requests` are the ratios of its requests a second to polling's, from the
/// lowest event rate to the highest. The result depends on a setting, so the claim holds within limits where the curve crosses 1.
pub fn sends_fewer_requests(requests: &[Estimate]) -> Status {
    let [rarest, .., busiest] = requests else { return Status::NotMeasurable };
    match (rarest.below(1.0), busiest.below(1.0)) {
        (Answer::Yes, Answer::Yes) => Status::Holds,
        (Answer::No, Answer::No) => Status::DoesNotHold,
        (Answer::Yes, Answer::No) | (Answer::No, Answer::Yes) => Status::HoldsWithinLimits,
        (Answer::Unclear, _) | (_, Answer::Unclear) => Status::NotMeasurable,
    }
}

/// Claim 5: when there are many messages, long polling is no better than polling. The two figures are the ratios of its requests and of its
/// latency to polling's, at the highest event rate: long polling is no better in both, in one, or in none.
pub fn no_better(requests: Estimate, latency: Estimate) -> Status {
    match (requests.below(1.0), latency.below(1.0)) {
        (Answer::No, Answer::No) => Status::Holds,
        (Answer::Yes, Answer::Yes) => Status::DoesNotHold,
        (Answer::No, Answer::Yes) | (Answer::Yes, Answer::No) => Status::HoldsWithinLimits,
        (Answer::Unclear, _) | (_, Answer::Unclear) => Status::NotMeasurable,
    }
}

/// The end points of a sweep.
fn ends(facts: &SweepFacts) -> anyhow::Result<(&SweepPoint, &SweepPoint)> {
    let first = facts.points.first().context("a sweep has points")?;
    Ok((first, facts.points.last().unwrap_or(first)))
}

/// A load as text: "50 subscribers, 10 events/s (Poisson)".
fn load(comparison: &Comparison) -> String {
    let scenario = &comparison.scenario;
    format!("{} subscribers, {} events/s (Poisson)", scenario.subscribers, scenario.rate)
}

/// The sweep over the poll interval: a shorter interval lowers latency and costs more requests.
pub fn poll_interval(facts: &SweepFacts) -> anyhow::Result<Experiment> {
    let experiment = sweep::derive(facts)?;
    let (shortest, longest) = ends(facts)?;
    let of = |point: &SweepPoint, measure| figure(&point.comparison, Transport::Polling, measure);
    let wait = of(longest, LATENCY).scaled(1.0 / longest.value);
    let curve: Vec<(f64, f64)> = facts.points.iter().map(|point| (point.value, of(point, LATENCY).value)).collect();
    let at = |point: &SweepPoint| {
        format!(
            "every {} ms: {} ms, {} B an event",
            point.value,
            of(point, LATENCY).in_words(),
            short(of(point, BYTES).value)
        )
    };
    let verdict = Verdict {
        figure: format!(
            "Mean latency of polls {}; {}; so {} of the interval at {} ms",
            at(longest),
            at(shortest),
            wait.in_words(),
            longest.value
        ),
        why: "Half the interval on average, the whole of it at worst; a shorter interval costs polls that bring no event.".into(),
        prediction: "An event waits for the next poll: half the interval T on average, so mean latency is d + T/2.".into(),
        refuted_by: format!("A mean latency whose interval lies below {MIN_WAIT} T, at T = {} ms.", longest.value),
        working_point: format!(
            "{}, polls every {} to {} ms, {} B, loopback.",
            load(&longest.comparison),
            shortest.value,
            longest.value,
            longest.comparison.scenario.payload_bytes
        ),
        turns_at: match crossing(&curve, REAL_TIME_MS) {
            Some(interval) => format!(
                "If {REAL_TIME_MS} ms count as real time, the verdict changes at an interval of {} ms (measured, interpolated): with shorter \
                 intervals, polling is real time.",
                short(interval)
            ),
            None => format!("Mean latency does not cross {REAL_TIME_MS} ms between the intervals tried."),
        },
        ..verdict(2, waits_for_the_poll(wait))
    };
    Ok(Experiment {
        title: "Effect of the poll interval on latency and bytes".into(),
        question: "How late is an event over polling, and what does a lower latency cost?".into(),
        verdicts: vec![verdict],
        ..experiment
    })
}

/// The sweep over the network's delay: the cost of a round trip for each event, compared with theory.
pub fn delay(facts: &SweepFacts) -> anyhow::Result<Experiment> {
    let experiment = sweep::derive(facts)?;
    let (nearest, farthest) = ends(facts)?;
    let ratio = |point: &SweepPoint| {
        let comparison = &point.comparison;
        times((comparison, Transport::LongPolling), (comparison, Transport::WebSocket), LATENCY)
    };
    let (near, far) = (ratio(nearest), ratio(farthest));
    let curve: Vec<(f64, f64)> = facts.points.iter().map(|point| (point.value, ratio(point).value)).collect();
    let scenario = &nearest.comparison.scenario;
    let verdict = Verdict {
        figure: format!(
            "At {} events/s, mean latency over WebSocket's: {} times at {} ms of delay, {} times at {} ms",
            scenario.rate,
            near.in_words(),
            nearest.value,
            far.in_words(),
            farthest.value
        ),
        why: "A request that waits gets its response at once; an event that is published while none waits, for a round trip after each \
              response, is late by up to that round trip."
            .into(),
        prediction: "Where events are rare compared with round trips, latency over long polling equals that over WebSocket.".into(),
        refuted_by: format!(
            "A ratio whose interval lies above {MAX_AT_ONCE} at {} ms of delay. The claim holds only within limits where the ratio is above \
             {MIN_LATER} at {} ms.",
            nearest.value, farthest.value
        ),
        working_point: format!(
            "{}, {} B, modelled delays of {} to {} ms each way.",
            load(&nearest.comparison),
            scenario.payload_bytes,
            nearest.value,
            farthest.value
        ),
        turns_at: match crossing(&curve, MAX_AT_ONCE) {
            Some(delay) => format!(
                "The ratio crosses {MAX_AT_ONCE} at {} ms of delay (measured, interpolated), where {} events are published in a round trip.",
                short(delay),
                short(scenario.rate * 2.0 * delay / 1e3)
            ),
            None => format!("The ratio does not cross {MAX_AT_ONCE} between the delays tried."),
        },
        ..verdict(3, responds_at_once(near, far))
    };
    Ok(Experiment {
        title: "Effect of the network delay on long polling".into(),
        question: "How much later than over WebSocket does an event arrive over long polling, as the delay grows?"
            .into(),
        verdicts: vec![verdict],
        ..experiment
    })
}

/// A point of the sweep over the rate: requests and costs of long polling compared with polling.
struct Rate {
    /// Events a second of the schedule.
    offered: f64,
    /// Events a second, as drawn at random and delivered.
    events_per_s: f64,
    /// Requests a second and a subscriber, of long polling and of polling.
    long_polls: f64,
    polls: f64,
    /// Ratios of long polling to polling.
    requests: Estimate,
    cpu: Estimate,
    latency: Estimate,
    /// The ratio of long polling's server CPU per event to that of HTTP streaming.
    over_streaming: Estimate,
    /// The share of a processor that the server used over long polling.
    utilisation: f64,
}

impl Rate {
    fn of(comparison: &Comparison) -> Self {
        let each = |transport, what| {
            figure(comparison, transport, what).scaled(1.0 / f64::from(comparison.scenario.subscribers))
        };
        let ratio = |what| times((comparison, Transport::LongPolling), (comparison, Transport::Polling), what);
        let long_polls = each(Transport::LongPolling, REQUESTS_PER_S);
        let polls = each(Transport::Polling, REQUESTS_PER_S).value;
        Self {
            offered: comparison.scenario.rate,
            events_per_s: each(Transport::LongPolling, DELIVERIES_PER_S).value,
            long_polls: long_polls.value,
            polls,
            // Polls follow the clock, so only the number of long polls varies.
            requests: long_polls.scaled(1.0 / polls),
            cpu: ratio(CPU),
            latency: ratio(LATENCY),
            over_streaming: times((comparison, Transport::LongPolling), (comparison, Transport::Ndjson), CPU),
            utilisation: utilisation(comparison, Transport::LongPolling),
        }
    }
}

/// The sweep over the rate of events: where long polling stops saving requests.
pub fn rate(facts: &SweepFacts) -> anyhow::Result<Experiment> {
    let mut experiment = sweep::derive(facts)?;
    let (first, _) = ends(facts)?;
    let scenario = &first.comparison.scenario;
    let rates: Vec<Rate> = facts.points.iter().map(|point| Rate::of(&point.comparison)).collect();
    let round_trip_ms = 2.0 * scenario.network.delay().as_secs_f64() * 1e3;
    let drawing = requests_per_s(&rates, scenario.poll_interval_ms as f64, round_trip_ms);
    experiment.drawings.push(Drawing::Lines(drawing));
    experiment.tables.push(against_polling(&rates));
    experiment.answer.push(match crosses(&rates, |rate| rate.over_streaming) {
        Some(rate) => {
            format!("Server CPU an event: long polling falls below HTTP streaming at {} events/s.", short(rate))
        }
        None => "Server CPU an event of long polling and of HTTP streaming cross nowhere between these rates.".into(),
    });
    Ok(Experiment {
        title: "Effect of the event rate on each transport".into(),
        question:
            "As events grow more frequent, which transport sends more requests, and which costs more for each event?"
                .into(),
        verdicts: rate_verdicts(&rates, &first.comparison),
        ..experiment
    })
}

/// Where a ratio crosses 1, in events a second.
fn crosses(rates: &[Rate], of: fn(&Rate) -> Estimate) -> Option<f64> {
    let curve: Vec<(f64, f64)> = rates.iter().map(|rate| (rate.events_per_s, of(rate).value)).collect();
    crossing(&curve, 1.0)
}

/// Claim 46: polling is always wasteful. Requests of long polling over those of polling, at each rate of events.
pub fn always_wasteful(over_polling: &[Estimate]) -> Status {
    Answer::all(over_polling.iter().map(|ratio| ratio.below(1.0))).decides(Status::Holds, Status::DoesNotHold)
}

fn rate_verdicts(rates: &[Rate], first: &Comparison) -> Vec<Verdict> {
    let [rarest, .., busiest] = rates else { return Vec::new() };
    let scenario = &first.scenario;
    let poll_interval_ms = scenario.poll_interval_ms;
    let polls_per_s = 1e3 / poll_interval_ms as f64;
    let delay_ms = scenario.network.delay_us as f64 / 1e3;
    let working_point = format!(
        "{} subscribers, {} to {} events/s (Poisson), polls every {poll_interval_ms} ms, {} B, {delay_ms} ms of delay each way.",
        scenario.subscribers,
        thousands(rarest.offered as u64),
        thousands(busiest.offered as u64),
        scenario.payload_bytes,
    );
    let at = |crossing: Option<f64>| match crossing {
        Some(rate) => format!("cross at {} events/s", short(rate)),
        None => "cross nowhere between the rates tried".into(),
    };
    let compared: Vec<String> = rates
        .iter()
        .map(|rate| {
            format!("{} against {} at {} events/s", short(rate.long_polls), short(rate.polls), short(rate.events_per_s))
        })
        .collect();
    let requests: Vec<Estimate> = rates.iter().map(|rate| rate.requests).collect();
    let busiest_words = format!("{} events/s", thousands(busiest.offered as u64));
    vec![
        Verdict {
            figure: format!(
                "Requests a second and a subscriber, long polling against polling: {}. They {}",
                compared.join(", "),
                at(crosses(rates, |rate| rate.requests))
            ),
            why: "It depends on a setting, not on the transport: a long poll is sent once per event and not once per interval, so long \
                  polling saves requests only while events are rarer than polls."
                .into(),
            prediction: format!(
                "Long polling sends about one request per event, polling one per interval: they are equal at 1 / interval = {polls_per_s} \
                 events/s."
            ),
            refuted_by: "More requests a second than polling at every rate; with fewer at every rate, the claim holds without limits.".into(),
            working_point: working_point.clone(),
            turns_at: format!(
                "The requests {} (measured, interpolated; theory: {polls_per_s}, which is 1 / interval). Server CPU an event: the curves \
                 {}. Requests go on growing until round trips bound them: one request per round trip is {} a second here.",
                at(crosses(rates, |rate| rate.requests)),
                at(crosses(rates, |rate| rate.cpu)),
                1e3 / (2.0 * delay_ms),
            ),
            ..verdict(4, sends_fewer_requests(&requests))
        },
        Verdict {
            figure: format!(
                "At {busiest_words}, long polling over polling: {} times the requests, {} times the mean latency, {} times the server \
                 CPU (the server used {} of a processor)",
                busiest.requests.in_words(),
                busiest.latency.in_words(),
                busiest.cpu.in_words(),
                percent(busiest.utilisation)
            ),
            why: "It depends on a setting here too: long polling sends more requests than polling, with a response for each round trip \
                  and all events published meanwhile; but its latency stays within a round trip, which polling's does not."
                .into(),
            prediction: format!("At {busiest_words}, long polling sends at least as many requests as polling, and its latency is no lower."),
            refuted_by: "Fewer requests and a lower latency than polling. With only one of the two, the claim holds within limits.".into(),
            working_point: working_point.clone(),
            turns_at: format!(
                "The requests {}; the latencies {}. In theory latencies meet where a round trip is as long as the poll interval.",
                at(crosses(rates, |rate| rate.requests)),
                at(crosses(rates, |rate| rate.latency))
            ),
            ..verdict(5, no_better(busiest.requests, busiest.latency))
        },
        Verdict {
            figure: format!(
                "Requests of long polling over those of polling: {} times at {} events/s, {} times at {busiest_words}",
                rarest.requests.in_words(),
                short(rarest.events_per_s),
                busiest.requests.in_words(),
            ),
            why: "A poll that finds nothing is wasted. Where events are more frequent than polls, each response carries several events, and polling \
                  sends fewer requests than long polling; the price is the time that events wait."
                .into(),
            prediction: "Polling sends more requests than long polling at every rate of events.".into(),
            refuted_by: "A rate at which it sends fewer.".into(),
            working_point,
            turns_at: format!("The requests {}.", at(crosses(rates, |rate| rate.requests))),
            ..verdict(46, always_wasteful(&requests))
        },
    ]
}

/// Long polls and polls a second, over the rate of events, with theory.
fn requests_per_s(rates: &[Rate], poll_interval_ms: f64, round_trip_ms: f64) -> Lines {
    let measured = |transport, of: fn(&Rate) -> f64| {
        line(transport, rates.iter().map(|rate| Point::new(rate.events_per_s, of(rate))).collect())
    };
    let theory = |transport: Transport, of: &dyn Fn(f64) -> f64| Line {
        label: format!("{}, theory", transport.label()),
        theory: true,
        ..line(transport, rates.iter().map(|rate| Point::new(rate.events_per_s, of(rate.events_per_s))).collect())
    };
    let crossing = crosses(rates, |rate| rate.requests);
    Lines {
        name: "rate-requests-a-second".into(),
        title: match crossing {
            Some(rate) => format!("Long polling sends more requests than polling from {} events a second on", short(rate)),
            None => "Long polls and polls a second".into(),
        },
        caption: "Requests a second and a subscriber, as the server counted them. Theory: one poll per interval; one long poll per \
                  event, until round trips bound them."
            .into(),
        x: axis("events a second", true),
        y: axis("requests a second of a subscriber", true),
        lines: vec![
            measured(Transport::Polling, |rate| rate.polls),
            measured(Transport::LongPolling, |rate| rate.long_polls),
            theory(Transport::Polling, &|_| 1e3 / poll_interval_ms),
            theory(Transport::LongPolling, &|rate| {
                rate * theory::long_polling(round_trip_ms / 2.0, round_trip_ms, rate).requests_per_event
            }),
        ],
    }
}

/// Requests, CPU and latency of long polling as ratios to polling.
fn against_polling(rates: &[Rate]) -> Table {
    let headings = [
        "events a second",
        "long polls a second",
        "polls a second",
        "requests",
        "server CPU",
        "mean latency",
        "CPU over streaming",
        "server busy",
    ];
    Table {
        title: "Ratios of long polling to polling (and of its CPU to that of HTTP streaming)".into(),
        columns: headings.map(Into::into).to_vec(),
        rows: rates
            .iter()
            .map(|rate| {
                vec![
                    short(rate.events_per_s),
                    short(rate.long_polls),
                    short(rate.polls),
                    rate.requests.in_words(),
                    rate.cpu.in_words(),
                    rate.latency.in_words(),
                    rate.over_streaming.in_words(),
                    percent(rate.utilisation),
                ]
            })
            .collect(),
    }
}

/// The sweep over the payload: the size of an event at which the overhead becomes negligible.
pub fn payload(facts: &SweepFacts) -> anyhow::Result<Experiment> {
    Ok(Experiment {
        title: "Effect of the payload size on the overhead".into(),
        question: "How large must an event be for the overhead of its transport to be negligible?".into(),
        ..sweep::derive(facts)?
    })
}

/// The sweep over the number of subscribers: the cost of fan-out.
pub fn subscribers(facts: &SweepFacts) -> anyhow::Result<Experiment> {
    let mut experiment = sweep::derive(facts)?;
    experiment.method.push(
        "The client's subscribers share one thread, so with many of them a good part of the latency is the client's own queue; rounds in \
         which that thread was busy are marked."
            .into(),
    );
    Ok(Experiment {
        title: "Effect of the number of subscribers".into(),
        question: "What does an event cost, and how late is it, when many subscribers receive it?".into(),
        ..experiment
    })
}
