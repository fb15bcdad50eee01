//! The table of claims: statements of course notes about these transports, each with the experiment that tests it and its status.

use protocol::experiment::{Experiment, Kind, Status, Table, Verdict};

/// A claim with the kind of its evidence; `missing` is what a test of it would require, where there is no test.
struct Claim {
    number: u32,
    statement: &'static str,
    kind: Kind,
    missing: &'static str,
}

const fn claim(number: u32, statement: &'static str) -> Claim {
    Claim { number, statement, kind: Kind::Test, missing: "" }
}

/// A claim that a definition decides: an experiment demonstrates it, and no measurement could refute it.
const fn demonstrated(number: u32, statement: &'static str) -> Claim {
    Claim { number, statement, kind: Kind::Demonstration, missing: "" }
}

const fn not_yet(number: u32, statement: &'static str, missing: &'static str) -> Claim {
    Claim { number, statement, kind: Kind::Test, missing }
}

const CLAIMS: [Claim; 50] = [
    claim(1, "Polling loads the server with every client, whether or not anything happens."),
    claim(2, "Polling is not real time."),
    claim(3, "A long poll gets its response the moment there is an event."),
    claim(4, "Long polling loads the server less than polling."),
    claim(5, "When there are many messages, long polling is no better than polling."),
    claim(6, "One event for many long pollers brings them all back at once."),
    claim(7, "Streaming spares the repeated request, so it costs less than long polling."),
    claim(8, "All HTTP transports carry needlessly large headers with each message."),
    claim(9, "Over long polling and streaming it is hard to send from the client to the server."),
    claim(10, "HTTP does not keep its connection."),
    claim(11, "HTTP sends only in response to a request; WebSocket is full duplex."),
    claim(12, "The WebSocket handshake is a GET request."),
    claim(13, "The WebSocket handshake needs Upgrade and Connection, and the response is 101."),
    claim(14, "Sec-WebSocket-Accept is computed from the client's key, and a client refuses a wrong one."),
    claim(15, "The version of WebSocket is 13, and another is refused."),
    claim(16, "Sub-protocols and extensions are offered, and one is chosen."),
    claim(17, "HTTP headers are sent in the first exchange only."),
    claim(18, "WebSocket has no port of its own, so it passes firewalls."),
    claim(19, "CORS does not protect a WebSocket; the server must check Origin."),
    claim(20, "A frame has FIN, RSV1 to 3, an opcode, a mask bit and a length of 7, 16 or 64 bits; clients mask."),
    claim(21, "A message may travel in several frames."),
    claim(22, "Data is text between 0x00 and 0xFF."),
    claim(23, "WebSocket carries only strings."),
    claim(24, "After the handshake there is no metadata at all."),
    claim(25, "Each side sends a close frame, and then the connection ends."),
    claim(26, "Many WebSockets share one TCP connection."),
    demonstrated(27, "A TCP socket and a WebSocket differ in how they connect."),
    claim(28, "wss is ws within TLS."),
    claim(29, "WebSocket defines no message format; sub-protocols such as STOMP do."),
    claim(30, "A browser reports open, message, error and close, and can send and close."),
    claim(31, "Old browsers lack it; libraries fall back to other transports."),
    claim(32, "Socket.IO adds acknowledgements, rooms and broadcasts, at a cost."),
    claim(33, "Using such a library from another origin requires an allow-list."),
    not_yet(
        34,
        "WebSocket is part of HTML5.",
        "no measurement: the protocol is RFC 6455, and the browser's interface is a standard of its own (WHATWG WebSockets)",
    ),
    claim(35, "WebSocket gives the lowest latency."),
    demonstrated(36, "The handshake's key authenticates both sides."),
    not_yet(37, "wss uses port 433.", "no measurement: the port is 443, that of HTTPS (RFC 6455, section 11.1.2)"),
    demonstrated(38, "Socket.IO detects the browser and picks the best transport."),
    claim(39, "send() tells the page when the connection is slow."),
    demonstrated(40, "Streaming came after long polling."),
    not_yet(
        41,
        "HTTP is like a letter, WebSocket like a telephone, broadcast like radio.",
        "no measurement: it is an analogy; claims 11 and 47 measure what it stands for",
    ),
    demonstrated(42, "WebSocket replaces HTTP."),
    claim(43, "wss passes every proxy."),
    claim(44, "Under HTTP/2 nothing is left of WebSocket's advantage."),
    claim(45, "Compression makes text events small."),
    claim(46, "Polling is always wasteful."),
    claim(47, "A message to some of the clients needs rooms on the server."),
    claim(48, "A language model's answer needs WebSocket."),
    claim(49, "TCP's head-of-line blocking stops every stream on a connection."),
    claim(50, "More than one server needs a shared feed."),
];

/// A verdict on a claim, with the claim's statement and kind; the experiment fills in the rest.
pub fn verdict(claim: u32, status: Status) -> Verdict {
    let (statement, kind) = CLAIMS
        .iter()
        .find(|known| known.number == claim)
        .map_or(("", Kind::Test), |known| (known.statement, known.kind));
    Verdict { claim, status, statement: statement.into(), kind, ..Verdict::default() }
}

/// The table of claims, from the verdicts of experiments.
pub fn table(found: &[&Experiment]) -> Experiment {
    let verdicts: Vec<Verdict> = CLAIMS.iter().map(|claim| entry(claim, found)).collect();
    let rows = verdicts.iter().map(|verdict| {
        vec![
            verdict.claim.to_string(),
            verdict.statement.clone(),
            verdict.status.in_words().into(),
            match verdict.experiment.as_str() {
                "" => String::new(),
                name => format!("#{name}"),
            },
        ]
    });
    Experiment {
        name: "claims".into(),
        title: "Claims of course notes, tested".into(),
        question: "Which statements of course notes about these transports are true, and within which limits?".into(),
        answer: sums(&verdicts),
        tables: vec![Table {
            title: "The claims".into(),
            columns: ["", "claim", "verdict", "experiment"].map(Into::into).to_vec(),
            rows: rows.collect(),
        }],
        verdicts,
        method: vec![
            "A verdict follows from figures of this run by a rule, a function in the experiment's file. For each claim, a test applies \
             its rule to measurements that confirm the claim, refute it and decide nothing."
                .into(),
            "Where an interval spans the rule's bound, or fewer than five rounds are sound, or half of them are doubtful, the verdict \
             is \"not measurable here\". Counts of bytes and requests are exact and need no interval."
                .into(),
        ],
        ..Experiment::default()
    }
}

/// The verdict on a claim, with the name of its experiment; or the reason why there is none.
fn entry(claim: &Claim, found: &[&Experiment]) -> Verdict {
    // Of several experiments with a verdict, the last one in the report has measured most.
    let tested = found.iter().rev().find_map(|experiment| {
        let verdict = experiment.verdicts.iter().find(|verdict| verdict.claim == claim.number)?;
        Some(Verdict { experiment: experiment.name.clone(), ..verdict.clone() })
    });
    tested.unwrap_or_else(|| Verdict {
        why: match claim.missing {
            "" => "Its experiment was not run.".into(),
            missing => format!("A test of it needs {missing}."),
        },
        ..verdict(claim.number, Status::NotYet)
    })
}

/// The number of claims of each status, and the claims that were demonstrated and not tested.
fn sums(verdicts: &[Verdict]) -> Vec<String> {
    let counted: Vec<String> = Status::ALL
        .into_iter()
        .filter_map(|status| {
            let count = verdicts.iter().filter(|verdict| verdict.status == status).count();
            (count > 0).then(|| status.counted(count))
        })
        .collect();
    let demonstrated: Vec<String> = verdicts
        .iter()
        .filter(|verdict| verdict.kind == Kind::Demonstration && verdict.status != Status::NotYet)
        .map(|verdict| verdict.claim.to_string())
        .collect();
    let mut answer = vec![format!("Of {} claims: {}.", verdicts.len(), counted.join(", "))];
    if !demonstrated.is_empty() {
        answer.push(format!(
            "Claims decided by a definition, and therefore demonstrated instead of tested: {}.",
            demonstrated.join(", ")
        ));
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::rule_cases;

    #[test]
    fn every_claim_is_listed_once_and_one_without_an_experiment_is_not_yet_tested() {
        assert!(CLAIMS.iter().map(|claim| claim.number).eq(1..=50));
        let empty = super::table(&[]);
        assert!(empty.tables[0].rows.iter().all(|row| row[2] == "not yet tested"));
        let verdict = Verdict { figure: "f".into(), ..super::verdict(6, Status::Holds) };
        let herd = Experiment { name: "herd".into(), verdicts: vec![verdict], ..Experiment::default() };
        let table = table(&[&herd]);
        assert_eq!(table.tables[0].rows[5][2..], ["holds", "#herd"].map(String::from));
        assert_eq!((&*table.verdicts[5].experiment, &*table.verdicts[5].figure), ("herd", "f"));
    }

    #[test]
    fn every_status_is_in_the_sum_and_the_parts_add_up_to_the_number_of_claims() {
        let of = |(number, status): (usize, Status)| super::verdict(number as u32 + 1, status);
        let tested: Vec<Verdict> = Status::ALL.into_iter().cycle().take(20).enumerate().map(of).collect();
        let found = Experiment { name: "all".into(), verdicts: tested, ..Experiment::default() };
        let answer = &table(&[&found]).answer[0];
        let numbers: Vec<usize> =
            answer.split(|letter: char| !letter.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect();
        assert_eq!(numbers[0], CLAIMS.len(), "{answer}");
        assert_eq!(numbers.len(), 1 + Status::ALL.len(), "each status is counted: {answer}");
        assert_eq!(numbers[1..].iter().sum::<usize>(), CLAIMS.len(), "{answer}");
        assert!(answer.contains("are not measurable here"), "{answer}");
    }

    #[test]
    fn each_tested_claim_has_measurements_that_confirm_it_refute_it_and_decide_nothing() {
        let cases = rule_cases::all();
        for claim in CLAIMS.iter().filter(|claim| claim.missing.is_empty()) {
            let statuses: Vec<Status> = cases.iter().filter(|case| case.0 == claim.number).map(|case| case.1).collect();
            let number = claim.number;
            let some = |of: &[Status]| statuses.iter().any(|status| of.contains(status));
            assert!(some(&[Status::Holds, Status::HoldsWithinLimits]), "claim {number} never holds: {statuses:?}");
            assert!(some(&[Status::DoesNotHold, Status::Outdated]), "claim {number} never fails: {statuses:?}");
            assert!(some(&[Status::NotMeasurable]), "claim {number} is always measurable: {statuses:?}");
        }
        assert!(cases.iter().all(|case| CLAIMS.iter().any(|claim| claim.number == case.0 && claim.missing.is_empty())));
    }
}
