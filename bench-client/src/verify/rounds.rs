//! A round of every transport: all events once, one schedule for all, bytes that add up and agree with the kernel, counters
//! that agree with the server's, a publisher in time.

use protocol::Transport;
use protocol::result::{Comparison, Round, Scenario};

use super::{Finding, comparison_of};
use crate::trial::{self, small};

/// Publisher lateness that a quiet machine keeps, in us.
const IN_TIME_US: f64 = 100.0;

/// What was found, and the rounds that it was found in.
pub async fn check() -> anyhow::Result<(Vec<Finding>, Comparison)> {
    let scenario = small(&Transport::ALL);
    let mut rounds = Vec::new();
    for transport in Transport::ALL {
        rounds.push(trial::round(&scenario, transport).await?);
    }
    Ok((judge(&rounds, &scenario), comparison_of(&scenario, &rounds)))
}

fn judge(rounds: &[Round], scenario: &Scenario) -> Vec<Finding> {
    let delivered: u64 = rounds.iter().map(|round| round.delivered).sum();
    let due: u64 = rounds.iter().map(|round| round.sent * u64::from(scenario.subscribers)).sum();
    let faults: u64 =
        rounds.iter().map(|round| round.faults).map(|f| f.lost + f.duplicates + f.reordered + f.gaps).sum();
    let hashes = rounds.iter().all(|round| round.schedule_hash == rounds[0].schedule_hash);
    let negative: u64 = rounds.iter().map(|round| round.latency_ns.negative()).sum();
    let unexplained: i64 = rounds.iter().map(|round| round.ledger.unexplained_bytes().abs()).sum();
    let wire: u64 = rounds.iter().map(|round| round.ledger.wire_bytes()).sum();
    let kernel: u64 =
        rounds.iter().map(|round| round.ledger.kernel_received_bytes + round.ledger.kernel_sent_bytes).sum();
    let counters: Vec<_> =
        rounds.iter().flat_map(|round| &round.failures).filter(|why| why.starts_with("the server counted")).collect();
    let requests: u64 = rounds.iter().map(|round| round.ledger.requests).sum();
    let comparison = comparison_of(scenario, rounds);
    let late = reports::answer::publisher_late_ns(&comparison).unwrap_or(0) as f64 / 1e3;
    let marked = reports::answer::doubts(&comparison).iter().any(|doubt| doubt.starts_with("The publisher was late"));
    vec![
        Finding {
            requirement: "every event reaches every subscriber once and in order",
            measured: format!("{delivered} deliveries, {faults} faults"),
            bound: format!("{due} deliveries, 0 faults"),
            holds: due > 0 && delivered == due && faults == 0,
        },
        Finding {
            requirement: "every transport sees the same schedule",
            measured: format!("{} hashes, {}", rounds.len(), if hashes { "all equal" } else { "not all equal" }),
            bound: "all equal".into(),
            holds: hashes && rounds.len() > 1,
        },
        Finding {
            requirement: "no latency is negative on one host",
            measured: negative.to_string(),
            bound: "0".into(),
            holds: negative == 0,
        },
        Finding {
            requirement: "the ledger's layers add up to the counted bytes",
            measured: format!("{unexplained} of {wire} bytes unexplained"),
            bound: "0".into(),
            holds: unexplained == 0 && wire > 0,
        },
        Finding {
            requirement: "the kernel counted the same bytes (TCP_INFO)",
            measured: format!("{wire} by us, {kernel} by the kernel"),
            bound: "equal".into(),
            holds: wire == kernel,
        },
        Finding {
            requirement: "the server counted the same requests and connections",
            measured: format!("{requests} requests, {} differences", counters.len()),
            bound: "0 differences".into(),
            holds: counters.is_empty() && requests > 0,
        },
        Finding {
            requirement: "the publisher is in time, or the run is marked",
            measured: format!("p90 {late:.0} us late, {}", if marked { "marked" } else { "not marked" }),
            bound: format!("at most {IN_TIME_US} us, or marked"),
            holds: (late <= IN_TIME_US) != marked,
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::tests::round_with;

    fn failing(change: impl FnOnce(&mut Round)) -> Vec<&'static str> {
        let scenario = Scenario { subscribers: 1, ..small(&[Transport::Tcp]) };
        let mut rounds = [round_with([200_000]), round_with([200_000])];
        for round in &mut rounds {
            (round.sent, round.delivered) = (1, 1);
            round.ledger.requests = 1;
            (round.ledger.received_bytes, round.ledger.event_bytes, round.ledger.kernel_received_bytes) = (9, 9, 9);
        }
        change(&mut rounds[1]);
        judge(&rounds, &scenario).into_iter().filter(|found| !found.holds).map(|found| found.requirement).collect()
    }

    #[test]
    fn each_broken_mechanism_fails_the_check_that_is_there_for_it_and_no_other() {
        let none: [&str; 0] = [];
        assert_eq!(failing(|_| ()), none);
        let once = "every event reaches every subscriber once and in order";
        assert_eq!(failing(|round| round.delivered = 0), [once]);
        assert_eq!(failing(|round| round.faults.reordered = 1), [once]);
        assert_eq!(failing(|round| round.schedule_hash = "x".into()), ["every transport sees the same schedule"]);
        assert_eq!(failing(|round| round.latency_ns.record_between(2, 1)), ["no latency is negative on one host"]);
        // A header miscounted by a parser, and a read that was not counted at all.
        assert_eq!(failing(|round| round.ledger.event_bytes = 8), ["the ledger's layers add up to the counted bytes"]);
        assert_eq!(
            failing(|round| (round.ledger.received_bytes, round.ledger.event_bytes) = (8, 8)),
            ["the kernel counted the same bytes (TCP_INFO)"]
        );
        assert_eq!(
            failing(|round| round.failures.push("the server counted 2 requests, the subscribers 1".into())),
            ["the server counted the same requests and connections"]
        );
        // Late and said to be late is honest; the machine is at fault then, not the lab.
        assert_eq!(failing(|round| (0..200).for_each(|_| round.publisher_lateness_ns.record(500_000))), none);
    }
}
