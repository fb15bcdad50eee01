//! The sweeps that a report holds, with what they say of the claims.

use std::time::Duration;

use protocol::Transport;
use protocol::experiment::{Drawing, Experiment, Line, Lines, Point, Standing, Table, Verdict};
use protocol::network::Network;
use protocol::result::{Comparison, Headers, Scenario};
use protocol::schedule::Spacing;
use reports::number::{short, thousands};
use reports::{statistics, theory};

use super::evidence::{
    Answer, BYTES, CPU, DELIVERIES_PER_S, Estimate, LATENCY, Measure, crossing, figure, percent, times, utilisation,
    verdict,
};
use super::sweep::{Factor, Over, measure};
use super::{axis, line};
use crate::trial::small;

/// The four that the question is about.
const FOUR: [Transport; 4] = [Transport::Polling, Transport::LongPolling, Transport::Ndjson, Transport::WebSocket];
/// The fewest that carry an interval.
const ROUNDS: u32 = statistics::FEWEST_ROUNDS;
/// Claim 2: the share of the poll interval that mean latency must exceed; theory has half of it.
const LEAST_WAIT: f64 = 0.25;
/// Claim 2: what counts as real time where the crossing is given, in ms.
const REAL_TIME_MS: f64 = 100.0;
/// Claim 3: how many times WebSocket's latency still counts as the moment of the event, and from how many times it is shown to be
/// later than that of a push.
const AT_ONCE: f64 = 1.5;
const LATER: f64 = 1.1;
/// Requests that the server counted in the window, for a subscriber and a second; the subscribers are the scenario's.
const REQUESTS_PER_S: Measure =
    Measure::counted(|round| (round.server.requests as f64, round.server.window_ns as f64 / 1e9));

fn base(transports: &[Transport], seed: u64) -> Scenario {
    Scenario {
        rounds: ROUNDS,
        schedule: Spacing::Poisson,
        headers: Headers::Browser,
        poll_interval_ms: 250,
        seed,
        ..small(transports)
    }
}

/// Claim 2: polling is not real time. Mean latency over the poll interval, at the longest interval.
pub fn waits_for_the_poll(wait: Estimate) -> Standing {
    wait.above(LEAST_WAIT).decides(Standing::Holds, Standing::DoesNotHold)
}

/// Claim 3: a long poll is answered the moment there is an event. Its latency over WebSocket's, near and far.
pub fn answered_at_once(near: Estimate, far: Estimate) -> Standing {
    match near.below(AT_ONCE) {
        Answer::Yes => far.above(LATER).decides(Standing::HoldsWithinLimits, Standing::Holds),
        other => other.decides(Standing::Holds, Standing::DoesNotHold),
    }
}

/// Claim 4: long polling loads the server less than polling. Its requests a second over polling's, from the rarest events to the most
/// frequent: a setting decides, so it holds within limits wherever the curve crosses 1.
pub fn asks_less(requests: &[Estimate]) -> Standing {
    let [rarest, .., busiest] = requests else { return Standing::NotMeasurable };
    match (rarest.below(1.0), busiest.below(1.0)) {
        (Answer::Yes, Answer::Yes) => Standing::Holds,
        (Answer::No, Answer::No) => Standing::DoesNotHold,
        (Answer::Yes, Answer::No) | (Answer::No, Answer::Yes) => Standing::HoldsWithinLimits,
        (Answer::Unclear, _) | (_, Answer::Unclear) => Standing::NotMeasurable,
    }
}

/// Claim 5: when there are many messages, long polling is no better than polling. Its requests and its latency over polling's, at the
/// busiest rate: no better in both, in one, or in none.
pub fn no_better(requests: Estimate, latency: Estimate) -> Standing {
    match (requests.below(1.0), latency.below(1.0)) {
        (Answer::No, Answer::No) => Standing::Holds,
        (Answer::Yes, Answer::Yes) => Standing::DoesNotHold,
        (Answer::No, Answer::Yes) | (Answer::Yes, Answer::No) => Standing::HoldsWithinLimits,
        (Answer::Unclear, _) | (_, Answer::Unclear) => Standing::NotMeasurable,
    }
}

/// Over the poll interval: latency is bought with empty answers.
pub async fn poll_interval(seed: u64) -> anyhow::Result<Experiment> {
    let transports = [Transport::Polling, Transport::WebSocket];
    let scenario = Scenario { rate: 10.0, subscribers: 50, duration_ms: 1_200, ..base(&transports, seed) };
    let over = Over { factor: Factor::PollInterval, values: vec![25.0, 100.0, 250.0, 500.0] };
    let mut found = measure(&scenario, &over).await?;
    found.title = "The poll interval buys latency with empty answers".into();
    found.question = "How late is an event over polling, and what does it cost to be less late?".into();
    let of = |point: usize, what| figure(&found.rounds[point], Transport::Polling, what);
    let longest = over.values.len() - 1;
    let wait = of(longest, LATENCY).scaled(1.0 / over.values[longest]);
    let curve: Vec<(f64, f64)> =
        over.values.iter().enumerate().map(|(point, &x)| (x, of(point, LATENCY).value)).collect();
    let each = |point: usize| {
        format!(
            "each {} ms: {} ms, {} B an event",
            over.values[point],
            of(point, LATENCY).in_words(),
            short(of(point, BYTES).value)
        )
    };
    found.verdicts.push(Verdict {
        figure: format!(
            "Mean latency of polls {}; {}; so {} of the interval at {} ms",
            each(longest),
            each(0),
            wait.in_words(),
            over.values[longest]
        ),
        why: "Half the interval on average, the whole of it at worst; a shorter interval is paid for in polls that bring nothing.".into(),
        prediction: "An event waits for the next poll: half the interval T on average, so mean latency is d + T/2.".into(),
        refuted_by: format!("A mean latency whose interval lies below {LEAST_WAIT} T, at T = {} ms.", over.values[longest]),
        working_point: format!("50 subscribers, 10 events/s (Poisson), polls each 25 to {} ms, 200 B, loopback.", over.values[longest]),
        turns_at: match crossing(&curve, REAL_TIME_MS) {
            Some(interval) => format!(
                "If {REAL_TIME_MS} ms count as real time, it turns at an interval of {} ms (measured, interpolated): shorter ones are.",
                short(interval)
            ),
            None => format!("Mean latency crosses {REAL_TIME_MS} ms nowhere between the intervals tried."),
        },
        ..verdict(2, waits_for_the_poll(wait))
    });
    Ok(found)
}

/// Over the network's delay: the cost of a round trip for each event, and what theory says of it.
pub async fn delay(seed: u64) -> anyhow::Result<Experiment> {
    let transports = [Transport::LongPolling, Transport::WebSocket];
    let scenario = Scenario { rate: 25.0, subscribers: 4, duration_ms: 2_000, ..base(&transports, seed) };
    let over = Over { factor: Factor::Delay, values: vec![4.0, 12.0, 36.0, 100.0] };
    let mut found = measure(&scenario, &over).await?;
    found.title = "A long poll pays for the way back".into();
    found.question =
        "How much later than over WebSocket is an event over long polling, the farther the server is?".into();
    let ratio = |comparison: &Comparison| {
        times((comparison, Transport::LongPolling), (comparison, Transport::WebSocket), LATENCY)
    };
    let ratios: Vec<Estimate> = found.rounds.iter().map(ratio).collect();
    let (near, far) = (ratios[0], ratios[ratios.len() - 1]);
    let curve: Vec<(f64, f64)> = over.values.iter().zip(&ratios).map(|(&x, ratio)| (x, ratio.value)).collect();
    found.verdicts.push(Verdict {
        figure: format!(
            "At 25 events/s, mean latency over WebSocket's: {} times at 4 ms of delay, {} times at 100 ms",
            near.in_words(),
            far.in_words()
        ),
        why: "A request that waits is answered at once; an event that comes while none waits, for a round trip after each answer, is late \
              by up to that round trip."
            .into(),
        prediction: "Where events are rare beside round trips, latency over long polling is that over WebSocket.".into(),
        refuted_by: format!(
            "A ratio whose interval lies above {AT_ONCE} at 4 ms of delay. It holds only within limits where the ratio is above {LATER} at \
             100 ms."
        ),
        working_point: "4 subscribers, 25 events/s (Poisson), 200 B, modelled delays of 4 to 100 ms each way.".into(),
        turns_at: match crossing(&curve, AT_ONCE) {
            Some(delay) => format!(
                "The ratio crosses {AT_ONCE} at {} ms of delay (measured, interpolated), where {} events come in a round trip.",
                short(delay),
                short(25.0 * 2.0 * delay / 1e3)
            ),
            None => format!("The ratio crosses {AT_ONCE} nowhere between the delays tried."),
        },
        ..verdict(3, answered_at_once(near, far))
    });
    Ok(found)
}

/// A rate of the sweep over the rate, with what long polling asks and costs beside polling there.
struct Rate {
    /// Events a second, as the schedule had it.
    offered: f64,
    /// Events a second, as they were drawn and delivered.
    events_per_s: f64,
    /// Requests a second and a subscriber, of long polling and of polling.
    asks: f64,
    polls: f64,
    /// Long polling over polling.
    requests: Estimate,
    cpu: Estimate,
    latency: Estimate,
    /// Server CPU an event of long polling over HTTP streaming.
    over_streaming: Estimate,
    /// The share of a processor that the server had over long polling.
    utilisation: f64,
}

impl Rate {
    fn of(comparison: &Comparison) -> Self {
        let each = |transport, what| {
            figure(comparison, transport, what).scaled(1.0 / f64::from(comparison.scenario.subscribers))
        };
        let ratio = |what| times((comparison, Transport::LongPolling), (comparison, Transport::Polling), what);
        let asks = each(Transport::LongPolling, REQUESTS_PER_S);
        let polls = each(Transport::Polling, REQUESTS_PER_S).value;
        Self {
            offered: comparison.scenario.rate,
            events_per_s: each(Transport::LongPolling, DELIVERIES_PER_S).value,
            asks: asks.value,
            polls,
            // Polls come by the clock, so what varies is how often long polling asks.
            requests: asks.scaled(1.0 / polls),
            cpu: ratio(CPU),
            latency: ratio(LATENCY),
            over_streaming: times((comparison, Transport::LongPolling), (comparison, Transport::Ndjson), CPU),
            utilisation: utilisation(comparison, Transport::LongPolling),
        }
    }
}

/// Over the rate of events: when long polling stops sparing requests.
pub async fn rate(seed: u64) -> anyhow::Result<Experiment> {
    let network = Network::with_delay(Duration::from_millis(10));
    let scenario = Scenario { network, subscribers: 15, duration_ms: 2_000, ..base(&FOUR, seed) };
    let over = Over { factor: Factor::Rate, values: vec![2.0, 20.0, 200.0, 1_000.0] };
    let mut found = measure(&scenario, &over).await?;
    found.title = "Effect of the event rate on each transport".into();
    found.question =
        "As events grow more frequent, which transport sends more requests, and which pays more for each event?".into();
    let rates: Vec<Rate> = found.rounds.iter().map(Rate::of).collect();
    let gap_ms = 2.0 * scenario.network.delay().as_secs_f64() * 1e3;
    found.drawings.push(Drawing::Lines(requests_per_s(&rates, scenario.poll_interval_ms as f64, gap_ms)));
    found.tables.push(against_polling(&rates));
    found.answer.push(match crosses(&rates, |rate| rate.over_streaming) {
        Some(rate) => {
            format!("Server CPU an event: long polling falls below HTTP streaming at {} events/s.", short(rate))
        }
        None => "Server CPU an event of long polling and of HTTP streaming cross nowhere between these rates.".into(),
    });
    found.verdicts = rate_verdicts(&rates, scenario.poll_interval_ms);
    Ok(found)
}

/// Where a ratio to polling crosses 1, in events a second, with what theory has for requests.
fn crosses(rates: &[Rate], of: fn(&Rate) -> Estimate) -> Option<f64> {
    let curve: Vec<(f64, f64)> = rates.iter().map(|rate| (rate.events_per_s, of(rate).value)).collect();
    crossing(&curve, 1.0)
}

fn rate_verdicts(rates: &[Rate], poll_interval_ms: u64) -> Vec<Verdict> {
    let polls_per_s = 1e3 / poll_interval_ms as f64;
    let busiest = rates.last().expect("a sweep has points");
    let working_point = format!(
        "15 subscribers, {} to {} events/s (Poisson), polls each {poll_interval_ms} ms, 200 B, 10 ms of delay each way.",
        thousands(rates[0].offered as u64),
        thousands(busiest.offered as u64)
    );
    let at = |crossing: Option<f64>| match crossing {
        Some(rate) => format!("cross at {} events/s", short(rate)),
        None => "cross nowhere between the rates tried".into(),
    };
    let asked: Vec<String> = rates
        .iter()
        .map(|rate| {
            format!("{} against {} at {} events/s", short(rate.asks), short(rate.polls), short(rate.events_per_s))
        })
        .collect();
    let requests: Vec<Estimate> = rates.iter().map(|rate| rate.requests).collect();
    let busiest_words = format!("{} events/s", thousands(busiest.offered as u64));
    vec![
        Verdict {
            figure: format!(
                "Requests a second and a subscriber, long polling against polling: {}. They {}",
                asked.join(", "),
                at(crosses(rates, |rate| rate.requests))
            ),
            why: "A setting decides, not the transport: it asks once an event and not once an interval, so it spares requests only while \
                  events are rarer than polls."
                .into(),
            prediction: format!(
                "Long polling sends about one request an event, polling one an interval: they are equal at 1 / interval = {polls_per_s} \
                 events/s."
            ),
            refuted_by: "More requests a second than polling at every rate; fewer at every rate would make it hold without limits.".into(),
            working_point: working_point.clone(),
            turns_at: format!(
                "The requests {} (measured, interpolated; theory: {polls_per_s}, which is 1 / interval). Server CPU an event: the curves \
                 {}. Requests go on growing until a round trip bounds them: one over the round trip is 50 a second here.",
                at(crosses(rates, |rate| rate.requests)),
                at(crosses(rates, |rate| rate.cpu)),
            ),
            ..verdict(4, asks_less(&requests))
        },
        Verdict {
            figure: format!(
                "At {busiest_words}, long polling over polling: {} times the requests, {} times the mean latency, {} times the server \
                 CPU (the server had {} of a processor)",
                busiest.requests.in_words(),
                busiest.latency.in_words(),
                busiest.cpu.in_words(),
                percent(busiest.utilisation)
            ),
            why: "A setting decides here too: it asks more often than polling, an answer for each round trip with all that came \
                  meanwhile; but it stays as fresh as a round trip allows, which polling does not."
                .into(),
            prediction: format!("At {busiest_words}, long polling sends at least as many requests as polling, and is no fresher."),
            refuted_by: "Fewer requests and a lower latency than polling. One of the two leaves it true within limits.".into(),
            working_point,
            turns_at: format!(
                "The requests {}; the latencies {}. In theory latencies meet where a round trip is as long as the poll interval.",
                at(crosses(rates, |rate| rate.requests)),
                at(crosses(rates, |rate| rate.latency))
            ),
            ..verdict(5, no_better(busiest.requests, busiest.latency))
        },
    ]
}

/// Long polls and polls a second, over the rate of events, with theory.
fn requests_per_s(rates: &[Rate], poll_interval_ms: f64, gap_ms: f64) -> Lines {
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
            Some(rate) => format!("Long polling asks more often than polling from {} events a second on", short(rate)),
            None => "Long polls and polls a second".into(),
        },
        caption: "Requests a second and a subscriber, as the server counted them. Theory: polls come once an interval; long polls once \
                  an event, until a round trip bounds them."
            .into(),
        x: axis("events a second", true),
        y: axis("requests a second and a subscriber", true),
        lines: vec![
            measured(Transport::Polling, |rate| rate.polls),
            measured(Transport::LongPolling, |rate| rate.asks),
            theory(Transport::Polling, &|_| 1e3 / poll_interval_ms),
            theory(Transport::LongPolling, &|rate| {
                rate * theory::long_polling(gap_ms / 2.0, gap_ms, rate).requests_per_event
            }),
        ],
    }
}

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
        title: "Long polling over polling, times (and its CPU over that of HTTP streaming)".into(),
        columns: headings.map(Into::into).to_vec(),
        rows: rates
            .iter()
            .map(|rate| {
                vec![
                    short(rate.events_per_s),
                    short(rate.asks),
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

/// Over the payload: how large an event must be for the overhead not to matter.
pub async fn payload(seed: u64) -> anyhow::Result<Experiment> {
    let scenario = Scenario { rate: 20.0, duration_ms: 800, ..base(&FOUR, seed) };
    let over = Over { factor: Factor::Payload, values: vec![20.0, 200.0, 2_000.0, 20_000.0] };
    let mut found = measure(&scenario, &over).await?;
    found.title = "Overhead fades with the size of the event".into();
    found.question = "How large must an event be for its transport not to matter?".into();
    Ok(found)
}

/// Over the number of subscribers: fan-out, one after another.
pub async fn subscribers(seed: u64) -> anyhow::Result<Experiment> {
    let scenario = Scenario { rate: 5.0, ..base(&FOUR, seed) };
    let over = Over { factor: Factor::Subscribers, values: vec![1.0, 10.0, 100.0, 1_000.0] };
    let mut found = measure(&scenario, &over).await?;
    found.title = "Effect of the number of subscribers".into();
    found.question = "What does an event cost, and how late is it, when many are to get it?".into();
    found.method.push(
        "The client's subscribers share one thread, so with many of them a good part of the latency is the client's own \
         queue; rounds in which it was busy are marked."
            .into(),
    );
    Ok(found)
}
