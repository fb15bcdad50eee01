//! The chapter of an experiment: its question, its results, its figures and tables, its method.

use protocol::experiment::Experiment;

use super::escape;
use crate::chart::Figure;

/// The chapter, with `charts` drawn from it. `ledger` is whether the report has a chapter of all claims.
pub fn chapter(experiment: &Experiment, charts: &[Figure], ledger: bool) -> String {
    let paragraph = |text: &String| format!("<p>{}</p>\n", escape(text));
    let answer: String = experiment.answer.iter().map(paragraph).collect();
    let question = escape(&experiment.question);
    let mut text = format!("<p class=\"question\">{question}</p>\n<section class=\"answer\">\n{answer}</section>\n");
    text += &super::doubts("Warnings", &experiment.doubts);
    charts.iter().for_each(|figure| text += &super::figure(figure));
    experiment.tables.iter().for_each(|found| text += &super::table(found));
    text += &super::verdicts::section(experiment, ledger);
    if !experiment.method.is_empty() {
        let items: String = experiment.method.iter().map(|line| format!("<li>{}</li>\n", escape(line))).collect();
        text += &format!("<section>\n<h2>How it was done</h2>\n<ul>\n{items}</ul>\n</section>\n");
    }
    text
}
