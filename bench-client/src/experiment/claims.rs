//! The ledger of claims: what course notes say of these transports, each with the experiment that tests it and how it stands.

use protocol::experiment::{Experiment, Kind, Standing, Table, Verdict};
use protocol::run::Part;
use reports::table::wrapped;

use super::{ALL, Entry, Options};
use crate::{compare, report};

/// A claim, in our words; what kind of evidence it has; and what a test of it waits for, where there is none yet.
struct Claim {
    number: u32,
    statement: &'static str,
    kind: Kind,
    waits_for: &'static str,
}

const fn claim(number: u32, statement: &'static str) -> Claim {
    Claim { number, statement, kind: Kind::Test, waits_for: "" }
}

/// A claim that a definition settles: the lab shows it at work, and no measurement could refute it.
const fn demonstrated(number: u32, statement: &'static str) -> Claim {
    Claim { number, statement, kind: Kind::Demonstration, waits_for: "" }
}

const fn not_yet(number: u32, statement: &'static str, waits_for: &'static str) -> Claim {
    Claim { number, statement, kind: Kind::Test, waits_for }
}

const CLAIMS: [Claim; 33] = [
    claim(1, "Polling loads the server with every client, whether or not anything happens."),
    claim(2, "Polling is not real time."),
    claim(3, "A long poll is answered the moment there is an event."),
    claim(4, "Long polling loads the server less than polling."),
    claim(5, "When there are many messages, long polling is no better than polling."),
    claim(6, "One event for many long pollers brings them all back at once."),
    claim(7, "Streaming spares the repeated request, so it costs less than long polling."),
    claim(8, "All HTTP ways carry needlessly large headers with each message."),
    claim(9, "Over long polling and streaming it is hard to send from the client to the server."),
    claim(10, "HTTP does not keep its connection."),
    claim(11, "HTTP speaks only when asked; WebSocket is full duplex."),
    claim(12, "The handshake is a GET, of HTTP/1.1 or later."),
    claim(13, "It needs Upgrade and Connection, and is answered by 101."),
    claim(14, "The Accept is computed from the client's key, and a client refuses a wrong one."),
    claim(15, "The version is 13, and another is refused."),
    not_yet(
        16,
        "Sub-protocols and extensions are offered, and one is chosen.",
        "a sub-protocol that the server knows (what is offered may be declined, which the handshake's trials show)",
    ),
    claim(17, "HTTP headers are sent in the first exchange only."),
    claim(18, "It has no port of its own, so it passes firewalls."),
    claim(19, "CORS does not guard a WebSocket; the server must look at Origin."),
    claim(20, "A frame has FIN, RSV1 to 3, an opcode, a mask bit and a length of 7, 16 or 64 bits; clients mask."),
    claim(21, "A message may travel in several frames."),
    claim(22, "Data is text between 0x00 and 0xFF."),
    claim(23, "WebSocket carries only strings."),
    claim(24, "After the handshake there is no metadata at all."),
    claim(25, "A close frame is sent and answered, and then the connection ends."),
    demonstrated(26, "Many logical connections share one TCP connection."),
    demonstrated(27, "A TCP socket and a WebSocket differ in how they connect."),
    claim(28, "wss is ws within TLS."),
    not_yet(29, "WebSocket fixes no message format; sub-protocols such as STOMP do.", "STOMP as a sub-protocol"),
    not_yet(
        30,
        "A browser tells of open, message, error and close, and can send and close.",
        "a browser among the experiments; the live page shows it",
    ),
    not_yet(31, "Old browsers lack it; libraries fall back to other transports.", "the fallbacks as transports"),
    not_yet(32, "Socket.IO adds acknowledgements, rooms and broadcasts, at a cost.", "Socket.IO as a transport"),
    not_yet(33, "Using such a library from another origin takes an allow-list.", "Socket.IO as a transport"),
];

/// A claim's words, and what kind of evidence it has.
pub fn stated(number: u32) -> (&'static str, Kind) {
    CLAIMS.iter().find(|claim| claim.number == number).map_or(("", Kind::Test), |claim| (claim.statement, claim.kind))
}

/// Runs all experiments that claims rest on, and writes the ledger and them into one report.
///
/// # Errors
/// When an experiment cannot be run, or the report cannot be written.
pub fn claims(options: &Options, command: String) -> anyhow::Result<()> {
    let entries: Vec<&Entry> = ALL.iter().filter(|entry| entry.claims).collect();
    compare::raise_open_files(&[])?;
    let run = report::make(&options.out, command, async |finished| {
        let found = super::each(&entries, options.seed, finished).await?;
        finished.push_front(Part::Experiment(ledger(&found)));
        Ok(())
    })?;
    if let Some(ledger) = run.experiments().next() {
        println!("\n{}\n{}", ledger.title, reports::verdict::text(&ledger.verdicts));
        ledger.answer.iter().for_each(|sentence| println!("{}", wrapped(sentence, "")));
    }
    println!("Report: {}", options.out.join("index.html").display());
    Ok(())
}

/// The comparison, the ledger, every experiment, the papers: one report of all.
///
/// # Errors
/// When something cannot be run, or the report cannot be written.
pub fn all(options: &Options, command: String) -> anyhow::Result<()> {
    let entries: Vec<&Entry> = ALL.iter().collect();
    compare::raise_open_files(&[])?;
    let mut defaults = compare::Options::default();
    defaults.fixed.seed = options.seed;
    let run = report::make(&options.out, command, async |finished| {
        let whole = entries.iter().map(|entry| entry.seconds).sum::<u64>();
        eprintln!("The comparison first; the experiments after it take about {} min", whole.div_ceil(60));
        compare::measure(&defaults, finished).await?;
        let found = super::each(&entries, options.seed, finished).await?;
        finished.push_front(Part::Experiment(ledger(&found)));
        Ok(())
    })?;
    for experiment in run.experiments() {
        println!("\n{}", wrapped(&experiment.title, "  "));
        experiment.answer.iter().for_each(|sentence| println!("{}", wrapped(&format!("  {sentence}"), "  ")));
        experiment.doubts.iter().for_each(|doubt| println!("{}", wrapped(&format!("  Note: {doubt}"), "    ")));
    }
    println!("\nReport: {}", options.out.join("index.html").display());
    Ok(())
}

/// The ledger, from the verdicts that experiments have come to.
fn ledger(found: &[Experiment]) -> Experiment {
    let verdicts: Vec<Verdict> = CLAIMS.iter().map(|claim| entry(claim, found)).collect();
    let rows = verdicts.iter().map(|verdict| {
        vec![
            verdict.claim.to_string(),
            verdict.statement.clone(),
            verdict.standing.in_words().into(),
            match verdict.experiment.as_str() {
                "" => String::new(),
                name => format!("#{name}"),
            },
        ]
    });
    Experiment {
        name: "claims".into(),
        title: "What course notes claim, tested".into(),
        question: "Which of the things that are taught about these transports hold, and within which limits?".into(),
        answer: sums(&verdicts),
        tables: vec![Table {
            title: "The ledger of claims".into(),
            columns: ["", "claim", "verdict", "experiment"].map(Into::into).to_vec(),
            rows: rows.collect(),
        }],
        verdicts,
        method: vec![
            "A verdict follows from figures of this run by a rule, a function in the experiment's file. For each claim a test feeds \
             its rule with measurements that would turn it each way."
                .into(),
            "Where an interval spans the rule's bound, or fewer than five rounds are sound, or half of them are doubtful, the verdict \
             is \"not measurable here\". Counts of bytes and requests are exact and need no interval."
                .into(),
        ],
        ..Experiment::default()
    }
}

/// The verdict on a claim, with the experiment that came to it; or what its test waits for.
fn entry(claim: &Claim, found: &[Experiment]) -> Verdict {
    let tested = found.iter().find_map(|experiment| {
        let verdict = experiment.verdicts.iter().find(|verdict| verdict.claim == claim.number)?;
        Some(Verdict { experiment: experiment.name.clone(), ..verdict.clone() })
    });
    tested.unwrap_or_else(|| Verdict {
        why: match claim.waits_for {
            "" => "Its experiment was not run.".into(),
            missing => format!("Its test waits for {missing}."),
        },
        ..super::evidence::verdict(claim.number, Standing::NotYet)
    })
}

/// How many claims stand how, every standing included, and how many of the verdicts rest on a demonstration.
fn sums(verdicts: &[Verdict]) -> Vec<String> {
    let counted: Vec<String> = Standing::ALL
        .into_iter()
        .filter_map(|standing| {
            let count = verdicts.iter().filter(|verdict| verdict.standing == standing).count();
            (count > 0).then(|| standing.counted(count))
        })
        .collect();
    let shown: Vec<String> = verdicts
        .iter()
        .filter(|verdict| verdict.kind == Kind::Demonstration && verdict.standing != Standing::NotYet)
        .map(|verdict| verdict.claim.to_string())
        .collect();
    let mut answer = vec![format!("Of {} claims: {}.", verdicts.len(), counted.join(", "))];
    if !shown.is_empty() {
        answer.push(format!(
            "Claims settled by a definition and therefore demonstrated, not tested: {}.",
            shown.join(", ")
        ));
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::super::turns;
    use super::*;

    #[test]
    fn every_claim_is_listed_once_and_one_without_an_experiment_is_never_passed() {
        assert!(CLAIMS.iter().map(|claim| claim.number).eq(1..=33));
        let empty = ledger(&[]);
        assert!(empty.tables[0].rows.iter().all(|row| row[2] == "not yet tested"));
        let verdict = Verdict { figure: "f".into(), ..super::super::evidence::verdict(6, Standing::Holds) };
        let herd = Experiment { name: "herd".into(), verdicts: vec![verdict], ..Experiment::default() };
        let ledger = ledger(&[herd]);
        assert_eq!(ledger.tables[0].rows[5][2..], ["holds", "#herd"].map(String::from));
        assert_eq!((&*ledger.verdicts[5].experiment, &*ledger.verdicts[5].figure), ("herd", "f"));
    }

    #[test]
    fn every_standing_is_in_the_sum_and_the_parts_add_up_to_the_number_of_claims() {
        let of = |(number, standing): (usize, Standing)| super::super::evidence::verdict(number as u32 + 1, standing);
        let tested: Vec<Verdict> = Standing::ALL.into_iter().cycle().take(20).enumerate().map(of).collect();
        let found = Experiment { name: "all".into(), verdicts: tested, ..Experiment::default() };
        let answer = &ledger(&[found]).answer[0];
        let numbers: Vec<usize> =
            answer.split(|letter: char| !letter.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect();
        assert_eq!(numbers[0], CLAIMS.len(), "{answer}");
        assert_eq!(numbers.len(), 1 + Standing::ALL.len(), "each standing is counted: {answer}");
        assert_eq!(numbers[1..].iter().sum::<usize>(), CLAIMS.len(), "{answer}");
        assert!(answer.contains("are not measurable here"), "{answer}");
    }

    #[test]
    fn for_each_claim_that_is_tested_measurements_exist_that_turn_its_verdict() {
        let turned = turns::all();
        for claim in CLAIMS.iter().filter(|claim| claim.waits_for.is_empty()) {
            let standings: Vec<Standing> =
                turned.iter().filter(|turn| turn.0 == claim.number).map(|turn| turn.1).collect();
            let number = claim.number;
            let some = |of: &[Standing]| standings.iter().any(|standing| of.contains(standing));
            assert!(some(&[Standing::Holds, Standing::HoldsWithinLimits]), "claim {number} never holds: {standings:?}");
            assert!(some(&[Standing::DoesNotHold, Standing::Outdated]), "claim {number} never fails: {standings:?}");
            assert!(some(&[Standing::NotMeasurable]), "claim {number} is always measurable: {standings:?}");
        }
        assert!(
            turned.iter().all(|turn| CLAIMS.iter().any(|claim| claim.number == turn.0 && claim.waits_for.is_empty()))
        );
    }
}
