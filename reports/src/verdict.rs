//! The parts of a verdict in the order in which a report shows them, and the ledger of claims as text for a terminal.

use protocol::experiment::{Kind, Status, Verdict};

use crate::table::TERMINAL;

/// Indentation of the parts of a verdict, in characters.
const INDENT: usize = 20;

/// The parts of a verdict that are not empty, each with its heading.
pub fn parts(verdict: &Verdict) -> Vec<(&'static str, &str)> {
    let all: [(&'static str, &str); 6] = [
        ("Measured", &verdict.figure),
        ("Predicted", &verdict.prediction),
        ("Refuted by", &verdict.refuted_by),
        ("Working point", &verdict.working_point),
        ("Changes at", &verdict.turns_at),
        ("Why", &verdict.why),
    ];
    all.into_iter().filter(|(_, text)| !text.is_empty()).collect()
}

/// The status of a claim, and whether it was tested or demonstrated.
pub fn status(verdict: &Verdict) -> String {
    let name = verdict.status.in_words();
    match verdict.kind {
        Kind::Demonstration if verdict.status != Status::NotYet => format!("{name} (demonstrated, not tested)"),
        _ => name.into(),
    }
}

/// Verdicts one below the other, in lines that fit a terminal and are wrapped between words.
pub fn text(verdicts: &[Verdict]) -> String {
    let mut text = String::new();
    for verdict in verdicts {
        let Verdict { claim, statement, .. } = verdict;
        text += &format!("\n{claim:>3}  {}\n", wrapped(statement, 5));
        text += &part("Verdict", &status(verdict));
        parts(verdict).into_iter().for_each(|(heading, content)| text += &part(heading, content));
    }
    text
}

fn part(heading: &str, content: &str) -> String {
    format!("     {heading:<width$}{}\n", wrapped(content, INDENT), width = INDENT - 5)
}

/// Wraps text into lines that begin `indent` columns from the left. The first line's indent is already there.
fn wrapped(text: &str, indent: usize) -> String {
    let options = textwrap::Options::new(TERMINAL - indent).break_words(false);
    textwrap::wrap(text, options).join(&format!("\n{}", " ".repeat(indent)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_verdict_is_printed_in_lines_that_fit_a_terminal_and_no_word_is_truncated() {
        let long = "a request and its response, several times over, ".repeat(8) + "in the end";
        let verdict = Verdict {
            claim: 7,
            statement: "Streaming spares the repeated request.".into(),
            kind: Kind::Demonstration,
            status: Status::HoldsWithinLimits,
            figure: long.clone(),
            why: "why".into(),
            prediction: "prediction".into(),
            refuted_by: long.clone(),
            working_point: "50 events/s".into(),
            turns_at: "4 events/s".into(),
            ..Verdict::default()
        };
        let text = text(&[verdict]);
        assert!(text.lines().all(|line| line.chars().count() <= TERMINAL), "{text}");
        for part in [
            "  7  Streaming",
            "holds within limits (demonstrated",
            "Predicted",
            "Refuted by",
            "50 events/s",
            "Changes at",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let words = |text: &str| text.split_whitespace().map(String::from).collect::<Vec<_>>().join(" ");
        assert!(words(&text).contains(&words(&long)), "{text}");
    }
}
