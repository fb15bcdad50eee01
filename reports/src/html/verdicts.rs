//! The verdicts of an experiment on claims, a card each, with the prediction, what would refute it, the working point, and where the
//! verdict changes.

use protocol::experiment::{Experiment, Verdict};

use super::escape;
use crate::verdict;

/// Whether an experiment is the ledger of claims, which names the experiment of each verdict.
pub fn is_ledger(experiment: &Experiment) -> bool {
    experiment.verdicts.iter().any(|verdict| !verdict.experiment.is_empty())
}

/// The cards of an experiment's verdicts. Where the report has a ledger, which shows them, other chapters link to its cards.
pub fn section(experiment: &Experiment, ledger: bool) -> String {
    if experiment.verdicts.is_empty() {
        return String::new();
    }
    let shown = if ledger && !is_ledger(experiment) { link } else { card };
    let verdicts: String = experiment.verdicts.iter().map(shown).collect();
    format!("<section class=\"verdicts\">\n<h2>Verdicts on claims</h2>\n{verdicts}</section>\n")
}

fn card(verdict: &Verdict) -> String {
    let Verdict { claim, statement, .. } = verdict;
    let mut parts: String = verdict::parts(verdict)
        .into_iter()
        .map(|(heading, text)| format!("<dt>{heading}</dt><dd>{}</dd>\n", escape(text)))
        .collect();
    if !verdict.experiment.is_empty() {
        parts += &format!("<dt>Experiment</dt><dd><a href=\"#{0}\">{0}</a></dd>\n", escape(&verdict.experiment));
    }
    let class = format!("{:?}", verdict.status).to_lowercase();
    format!(
        "<div class=\"verdict {class}\" id=\"claim-{claim}\">\n<h3>{claim}. {} <b>{}</b></h3>\n<dl>\n{parts}</dl>\n</div>\n",
        escape(statement),
        escape(&verdict::status(verdict)),
    )
}

fn link(verdict: &Verdict) -> String {
    let Verdict { claim, statement, .. } = verdict;
    let (statement, status) = (escape(statement), escape(&verdict::status(verdict)));
    format!("<p><a href=\"#claim-{claim}\">Claim {claim}</a>: {statement} <b>{status}</b></p>\n")
}

#[cfg(test)]
mod tests {
    use protocol::experiment::Status;

    use super::*;

    #[test]
    fn a_card_shows_every_part_and_other_chapters_of_a_report_with_a_ledger_link_to_it() {
        let verdict = Verdict {
            claim: 4,
            statement: "Long polling loads the server less than polling.".into(),
            status: Status::HoldsWithinLimits,
            figure: "2.00 < 4.00".into(),
            refuted_by: "more requests".into(),
            turns_at: "4 events/s".into(),
            ..Verdict::default()
        };
        let rate = Experiment { name: "rate".into(), verdicts: vec![verdict.clone()], ..Experiment::default() };
        let alone = section(&rate, false);
        for part in
            ["id=\"claim-4\"", "holds within limits", "2.00 &lt; 4.00", "Refuted by", "Changes at", "4 events/s"]
        {
            assert!(alone.contains(part), "{part}: {alone}");
        }
        let named = Verdict { experiment: "rate".into(), ..verdict };
        let ledger = Experiment { name: "claims".into(), verdicts: vec![named], ..Experiment::default() };
        assert!(section(&ledger, true).contains("href=\"#rate\""));
        let linked = section(&rate, true);
        assert!(linked.contains("href=\"#claim-4\"") && !linked.contains("id=\"claim-4\""), "{linked}");
    }
}
