//! The ledger of claims: what course notes say of these transports, each with the experiment that tests it and how it stands.

use protocol::experiment::{Experiment, Standing, Table};
use protocol::run::Part;

use super::{ALL, Entry, Options};
use crate::{compare, report};

/// A claim, in our words; and what a test of it waits for, where there is none yet.
struct Claim {
    number: u32,
    statement: &'static str,
    waits_for: &'static str,
}

const fn claim(number: u32, statement: &'static str) -> Claim {
    Claim { number, statement, waits_for: "" }
}

const fn not_yet(number: u32, statement: &'static str, waits_for: &'static str) -> Claim {
    Claim { number, statement, waits_for }
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
    claim(26, "Many logical connections share one TCP connection."),
    claim(27, "A TCP socket and a WebSocket differ in how they connect."),
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
        super::print(ledger);
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
        println!("\n{}", experiment.title);
        experiment.answer.iter().for_each(|sentence| println!("  {sentence}"));
        experiment.doubts.iter().for_each(|doubt| println!("  Note: {doubt}"));
    }
    println!("\nReport: {}", options.out.join("index.html").display());
    Ok(())
}

/// The ledger, from the verdicts that experiments have come to.
fn ledger(found: &[Experiment]) -> Experiment {
    let mut counts = [
        (Standing::Holds, 0),
        (Standing::HoldsWithinLimits, 0),
        (Standing::DoesNotHold, 0),
        (Standing::Outdated, 0),
        (Standing::NotYet, 0),
    ];
    let mut rows = Vec::new();
    for claim in &CLAIMS {
        let verdict = found.iter().find_map(|experiment| {
            let verdict = experiment.verdicts.iter().find(|verdict| verdict.claim == claim.number)?;
            Some((experiment, verdict))
        });
        let standing = verdict.map_or(Standing::NotYet, |(_, verdict)| verdict.standing);
        if let Some(count) = counts.iter_mut().find(|count| count.0 == standing) {
            count.1 += 1;
        }
        let (figure, why, experiment) = match verdict {
            Some((experiment, verdict)) => {
                (verdict.figure.clone(), verdict.why.clone(), format!("#{}", experiment.name))
            }
            None => (String::new(), format!("waits for {}", claim.waits_for), String::new()),
        };
        rows.push(vec![
            claim.number.to_string(),
            claim.statement.into(),
            standing.in_words().into(),
            figure,
            why,
            experiment,
        ]);
    }
    let counted: Vec<String> = counts
        .iter()
        .filter(|count| count.1 > 0)
        .map(|(standing, count)| format!("{count} {}", standing.in_words()))
        .collect();
    Experiment {
        name: "claims".into(),
        title: "What course notes claim, tested".into(),
        question: "Which of the things that are taught about these transports hold, and within which limits?".into(),
        answer: vec![format!("Of {} claims: {}.", CLAIMS.len(), counted.join(", "))],
        tables: vec![Table {
            title: "The ledger of claims".into(),
            columns: ["", "claim", "verdict", "figure", "why", "experiment"].map(Into::into).to_vec(),
            rows,
        }],
        method: vec![
            "A verdict follows from figures of this run; the rule for each is in its experiment's file.".into(),
        ],
        ..Experiment::default()
    }
}

#[cfg(test)]
mod tests {
    use protocol::experiment::Verdict;

    use super::*;

    #[test]
    fn every_claim_is_listed_once_and_one_without_an_experiment_is_never_passed() {
        assert!(CLAIMS.iter().map(|claim| claim.number).eq(1..=33));
        let empty = ledger(&[]);
        assert!(empty.tables[0].rows.iter().all(|row| row[2] == "not yet"));
        let verdict = Verdict { claim: 6, standing: Standing::Holds, figure: "f".into(), why: "w".into() };
        let herd = Experiment { name: "herd".into(), verdicts: vec![verdict], ..Experiment::default() };
        let row = &ledger(&[herd]).tables[0].rows[5];
        assert_eq!(row[2..], ["holds", "f", "w", "#herd"].map(String::from));
    }
}
