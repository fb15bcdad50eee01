//! One round of every transport: every event is delivered once, the schedule is the same for all, the ledger's layers add up and agree with
//! the kernel, the counters agree with the server's, and the publisher is on time.

use protocol::Transport;
use protocol::result::{Comparison, Incident, Round, Scenario};

use super::{Finding, comparison_of};
use crate::round::series;

/// The largest lateness at p90 of a publisher that is on time, in us. An idle machine keeps it.
const MAX_LATENESS_US: f64 = 100.0;

/// The results, and the rounds on which they are based.
pub async fn check() -> anyhow::Result<(Vec<Finding>, Comparison)> {
    let scenario = Scenario::small(&Transport::ALL);
    let mut rounds = Vec::new();
    for transport in Transport::ALL {
        rounds.push(series::round(&scenario, transport).await?);
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
    // The kernel does not count the bytes of UDP sockets.
    let over_tcp = rounds.iter().filter(|round| round.transport.is_over_tcp());
    let wire_over_tcp: u64 = over_tcp.map(|round| round.ledger.wire_bytes()).sum();
    let kernel: u64 = rounds
        .iter()
        .filter_map(|round| round.ledger.kernel)
        .map(|kernel| kernel.received_bytes + kernel.sent_bytes)
        .sum();
    let counted_otherwise =
        |incident: &&Incident| matches!(incident, Incident::RequestsDiffer { .. } | Incident::ConnectionsDiffer { .. });
    let differences = rounds.iter().flat_map(|round| &round.incidents).filter(counted_otherwise).count();
    let requests: u64 = rounds.iter().map(|round| round.ledger.requests).sum();
    let comparison = comparison_of(scenario, rounds);
    let late = reports::answer::publisher_late_ns(&comparison).unwrap_or(0) as f64 / 1e3;
    let marked = reports::answer::doubts(&comparison).iter().any(|doubt| doubt.starts_with("The publisher was late"));
    vec![
        Finding {
            requirement: "every event is delivered once and in order",
            measured: format!("{delivered} deliveries, {faults} faults"),
            bound: format!("{due} deliveries, 0 faults"),
            passed: due > 0 && delivered == due && faults == 0,
        },
        Finding {
            requirement: "all transports have the same schedule",
            measured: format!("{} hashes, {}", rounds.len(), if hashes { "all equal" } else { "not all equal" }),
            bound: "all equal".into(),
            passed: hashes && rounds.len() > 1,
        },
        Finding {
            requirement: "no latency is negative on one host",
            measured: negative.to_string(),
            bound: "0".into(),
            passed: negative == 0,
        },
        Finding {
            requirement: "the ledger's layers add up to the counted bytes",
            measured: format!("{unexplained} of {wire} not attributed"),
            bound: "0".into(),
            passed: unexplained == 0 && wire > 0,
        },
        Finding {
            requirement: "the kernel counted the same bytes (TCP_INFO)",
            measured: format!("{wire_over_tcp} by us, {kernel} by the kernel"),
            bound: "equal".into(),
            passed: wire_over_tcp == kernel,
        },
        Finding {
            requirement: "the server counted the same requests and connections",
            measured: format!("{requests} requests, {differences} differences"),
            bound: "0 differences".into(),
            passed: differences == 0 && requests > 0,
        },
        Finding {
            requirement: "the publisher is on time, or the run is marked",
            measured: format!("p90 {late:.0} us late, {}", if marked { "marked" } else { "not marked" }),
            bound: format!("at most {MAX_LATENESS_US} us, or marked"),
            passed: (late <= MAX_LATENESS_US) != marked,
        },
    ]
}

#[cfg(test)]
mod tests {
    use protocol::Layer;
    use protocol::ledger::KernelCount;

    use super::*;
    use crate::verify::tests::round_with;

    fn failing(change: impl FnOnce(&mut Round)) -> Vec<&'static str> {
        let scenario = Scenario { subscribers: 1, ..Scenario::small(&[Transport::Tcp]) };
        let mut rounds = [round_with([200_000]), round_with([200_000])];
        for round in &mut rounds {
            (round.sent, round.delivered) = (1, 1);
            round.ledger.requests = 1;
            (round.ledger.received_bytes, round.ledger[Layer::Event]) = (9, 9);
            round.ledger.kernel = Some(KernelCount { received_bytes: 9, ..KernelCount::default() });
        }
        change(&mut rounds[1]);
        judge(&rounds, &scenario).into_iter().filter(|found| !found.passed).map(|found| found.requirement).collect()
    }

    #[test]
    fn each_wrong_figure_fails_its_own_check_and_no_other() {
        let none: [&str; 0] = [];
        assert_eq!(failing(|_| ()), none);
        let once = "every event is delivered once and in order";
        assert_eq!(failing(|round| round.delivered = 0), [once]);
        assert_eq!(failing(|round| round.faults.reordered = 1), [once]);
        assert_eq!(failing(|round| round.schedule_hash = "x".into()), ["all transports have the same schedule"]);
        assert_eq!(failing(|round| round.latency_ns.record_between(2, 1)), ["no latency is negative on one host"]);
        // A byte that the parser did not attribute, and a byte that was not counted at all.
        assert_eq!(
            failing(|round| round.ledger[Layer::Event] = 8),
            ["the ledger's layers add up to the counted bytes"]
        );
        assert_eq!(
            failing(|round| (round.ledger.received_bytes, round.ledger[Layer::Event]) = (8, 8)),
            ["the kernel counted the same bytes (TCP_INFO)"]
        );
        assert_eq!(
            failing(|round| round.incidents.push(Incident::RequestsDiffer { server: 2, client: 1 })),
            ["the server counted the same requests and connections"]
        );
        // A publisher that is late passes if the run is marked: then the machine is the cause.
        assert_eq!(failing(|round| (0..200).for_each(|_| round.publisher_lateness_ns.record(500_000))), none);
    }
}
