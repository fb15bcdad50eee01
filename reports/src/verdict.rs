//! A verdict's parts in the order in which they are read, and the ledger of claims as text for a terminal.

use protocol::experiment::{Kind, Standing, Verdict};

use crate::table::TERMINAL;

/// How far the parts of a verdict stand from the left.
const INDENT: usize = 20;

/// The parts of a verdict that are there, each with its heading.
pub fn parts(verdict: &Verdict) -> Vec<(&'static str, &str)> {
    let all: [(&'static str, &str); 6] = [
        ("Measured", &verdict.figure),
        ("Predicted", &verdict.prediction),
        ("Refuted by", &verdict.refuted_by),
        ("Working point", &verdict.working_point),
        ("Turns at", &verdict.turns_at),
        ("Why", &verdict.why),
    ];
    all.into_iter().filter(|(_, text)| !text.is_empty()).collect()
}

/// How a claim stands, and whether that was tested.
pub fn standing(verdict: &Verdict) -> String {
    let words = verdict.standing.in_words();
    match verdict.kind {
        Kind::Demonstration if verdict.standing != Standing::NotYet => format!("{words} (demonstrated, not tested)"),
        _ => words.into(),
    }
}

/// Verdicts one below the other, in lines that fit a terminal and are broken between words.
pub fn text(verdicts: &[Verdict]) -> String {
    let mut text = String::new();
    for verdict in verdicts {
        let Verdict { claim, statement, .. } = verdict;
        text += &format!("\n{claim:>3}  {}\n", wrapped(statement, 5));
        text += &part("Verdict", &standing(verdict));
        parts(verdict).into_iter().for_each(|(heading, words)| text += &part(heading, words));
    }
    text
}

fn part(heading: &str, words: &str) -> String {
    format!("     {heading:<width$}{}\n", wrapped(words, INDENT), width = INDENT - 5)
}

/// The words in lines that begin `indent` columns from the left; the first line's indent is already there.
fn wrapped(words: &str, indent: usize) -> String {
    let options = textwrap::Options::new(TERMINAL - indent).break_words(false);
    textwrap::wrap(words, options).join(&format!("\n{}", " ".repeat(indent)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_verdict_is_printed_in_lines_that_fit_a_terminal_and_no_word_is_cut() {
        let long = "a requests and its answer, several times over, ".repeat(8) + "in the end";
        let verdict = Verdict {
            claim: 7,
            statement: "Streaming spares the repeated request.".into(),
            kind: Kind::Demonstration,
            standing: Standing::HoldsWithinLimits,
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
            "Turns at",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let words = |text: &str| text.split_whitespace().map(String::from).collect::<Vec<_>>().join(" ");
        assert!(words(&text).contains(&words(&long)), "{text}");
    }
}
