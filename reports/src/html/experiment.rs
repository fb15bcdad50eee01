//! The chapter of an experiment: what it asks, what it found, its figures and tables, how it was done.

use protocol::experiment::{Experiment, Table};

use super::escape;
use crate::chart::Figure;

/// The chapter, with `charts` drawn from it.
pub fn chapter(experiment: &Experiment, charts: &[Figure]) -> String {
    let paragraph = |text: &String| format!("<p>{}</p>\n", escape(text));
    let answer: String = experiment.answer.iter().map(paragraph).collect();
    let question = escape(&experiment.question);
    let mut text = format!("<p class=\"question\">{question}</p>\n<section class=\"answer\">\n{answer}</section>\n");
    text += &super::doubts("What to doubt", &experiment.doubts);
    charts.iter().for_each(|figure| text += &super::figure(figure));
    experiment.tables.iter().for_each(|found| text += &table(found));
    if !experiment.method.is_empty() {
        let items: String = experiment.method.iter().map(|line| format!("<li>{}</li>\n", escape(line))).collect();
        text += &format!("<section>\n<h2>How it was done</h2>\n<ul>\n{items}</ul>\n</section>\n");
    }
    text
}

/// A table. A cell that begins with `#` and names a chapter is a link to it.
fn table(table: &Table) -> String {
    let cell = |text: &String| match text.strip_prefix('#') {
        Some(anchor) => format!("<a href=\"#{0}\">{0}</a>", escape(anchor)),
        None => escape(text),
    };
    let line = |tag: &str, cells: &[String]| -> String {
        let cells = cells.iter().enumerate().map(|(index, text)| {
            let tag = if index == 0 { "th" } else { tag };
            format!("<{tag}>{}</{tag}>", cell(text))
        });
        format!("<tr>{}</tr>\n", cells.collect::<String>())
    };
    let rows: String = table.rows.iter().map(|row| line("td", row)).collect();
    format!(
        "<section>\n<h2>{}</h2>\n<div class=\"wide\">\n<table class=\"{}\">\n<thead>\n{}</thead>\n<tbody>\n{rows}</tbody>\n\
         </table>\n</div>\n</section>\n",
        escape(&table.title),
        if is_prose(table) { "prose" } else { "numbers" },
        line("th", &table.columns),
    )
}

/// Whether cells hold sentences, which must wrap, rather than numbers.
fn is_prose(table: &Table) -> bool {
    table.rows.iter().flatten().any(|cell| cell.len() > 40)
}
