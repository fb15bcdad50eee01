//! The report as one page without external resources: a chapter for each part of the run, the machine, the command.

mod comparison;
mod experiment;
mod verdicts;

use std::fmt::Write;

use protocol::experiment::{Experiment, Table};
use protocol::result::Environment;
use protocol::run::Run;

use crate::answer;
use crate::chapter::{self, Chapter};
use crate::chart::Figure;
use crate::loads;
use crate::number::{short, thousands};
use crate::scorecard::{self, Scorecard};
use crate::servers;

const STYLE: &str = include_str!("page.css");
/// The question that a comparison answers.
const QUESTION: &str = "Polling, long polling, HTTP streaming or WebSocket?";

/// The page; `figures` are those of each chapter, `loads` the one of several loads side by side.
pub fn page(run: &Run, chapters: &[Chapter], figures: &[Vec<Figure>], loads: Option<&Figure>) -> String {
    let title = match chapters {
        [Chapter::Experiment(derived)] => &derived.experiment.title,
        _ => QUESTION,
    };
    let mut page = beginning(title);
    page += &doubts("The machine was disturbed", answer::disturbances(&run.environment).as_slice());
    if run.interrupted {
        let note = "The run was ended early; this report has the parts that were finished by then.".to_string();
        page += &doubts("This run was interrupted", &[note]);
    }
    let alone = chapters.len() == 1;
    page += &scorecard(run);
    if !alone {
        page += &contents(chapters);
    }
    let ledger = chapter::experiments(chapters).any(|derived| verdicts::is_ledger(&derived.experiment));
    for (chapter, figures) in chapters.iter().zip(figures) {
        let (anchor, heading) = name(chapter);
        let text = match chapter {
            Chapter::Comparison(found) => comparison::chapter(found, figures),
            Chapter::Experiment(derived) => experiment::chapter(&derived.experiment, figures, ledger),
        };
        let heading = if alone { String::new() } else { format!("<h1 class=\"chapter\">{}</h1>\n", escape(&heading)) };
        page += &format!("<article id=\"{anchor}\">\n{heading}{text}</article>\n");
        // The last comparison has the largest load, from which the capacity is extrapolated.
        let is_last = |found| run.comparisons().last().is_some_and(|last| std::ptr::eq(found, last));
        if let Chapter::Comparison(found) = *chapter
            && is_last(found)
        {
            page += &loads.map_or(String::new(), |loads| side_by_side(run, loads));
            page += &servers(run);
            if found.scenario.target.is_none() {
                page += &comparison::capacity(found);
            }
        }
    }
    page += &machine(&run.environment);
    page += &format!("\n<section>\n<h2>The command</h2>\n<pre>{}</pre>\n", escape(&run.command));
    page + "<p>Every figure on this page is computed from <code>run.json</code> in the same directory, which has the raw histograms of \
            every round; <code>cargo run -p reports -- run.json</code> generates the page again, byte for byte.</p>\n</section>\n"
        + END
}

/// A page of one chapter, which is not that of a run.
pub fn alone(chapter: &Experiment, figures: &[Figure]) -> String {
    beginning(&chapter.title) + "<article>\n" + &experiment::chapter(chapter, figures, false) + "</article>\n" + END
}

/// The beginning of a page, with its title as the heading.
fn beginning(title: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>Transport Lab: {title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n\
         <p class=\"kicker\">Transport Lab</p>\n<h1>{title}</h1>\n",
        title = escape(title)
    )
}

/// The end of a page.
const END: &str = "</main>\n</body>\n</html>\n";

/// A chapter's anchor and heading.
fn name(chapter: &Chapter) -> (String, String) {
    match chapter {
        Chapter::Comparison(found) => {
            let subscribers = found.scenario.subscribers;
            let with = format!("with {} subscribers", thousands(u64::from(subscribers)));
            match &found.scenario.target {
                Some(target) => (
                    format!("comparison-{}-{subscribers}", servers::anchor(target)),
                    format!("{}: the comparison {with}", capital(target)),
                ),
                None => (format!("comparison-{subscribers}"), format!("The comparison {with}")),
            }
        }
        Chapter::Experiment(derived) => (derived.experiment.name.clone(), derived.experiment.title.clone()),
    }
}

/// A name at the beginning of a heading.
fn capital(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

/// The chapter that compares several servers; empty if there is only the lab's own.
fn servers(run: &Run) -> String {
    let Some(all) = servers::table(run) else { return String::new() };
    let caveats = doubts("Before you compare them", &servers::caveats().map(String::from));
    format!(
        "<article id=\"servers\">\n<h1 class=\"chapter\">Several servers</h1>\n{caveats}{}</article>\n",
        table(&all)
    )
}

/// The chapter that compares several loads.
fn side_by_side(run: &Run, figure: &Figure) -> String {
    let sentences: String = loads::sentences(run).iter().map(|text| format!("<p>{}</p>\n", escape(text))).collect();
    let tables: String = loads::table(run).iter().map(table).collect();
    format!(
        "<article id=\"loads\">\n<h1 class=\"chapter\">An idle server and a busy one</h1>\n<section class=\"answer\">\n{sentences}\
         </section>\n{}{tables}</article>\n",
        self::figure(figure)
    )
}

/// What suits two applications, in a sentence and a table; empty for a run without figures of them.
fn scorecard(run: &Run) -> String {
    let Some(Scorecard { sentence, table, legend }) = scorecard::of(run) else { return String::new() };
    let (sentence, scores, legend) = (escape(&sentence), rows_of(&table), escape(&legend));
    format!("<section class=\"scorecard\">\n<p class=\"plain\">{sentence}</p>\n{scores}<p>{legend}</p>\n</section>\n")
}

/// The table of contents, with a link to each chapter.
fn contents(chapters: &[Chapter]) -> String {
    let mut text = "<nav>\n<h2>Contents</h2>\n<ol>\n".to_string();
    for chapter in chapters {
        let (anchor, title) = name(chapter);
        let question = match chapter {
            Chapter::Comparison(_) => "What does each transport cost under the same load?",
            Chapter::Experiment(derived) => &derived.experiment.question,
        };
        let (title, question) = (escape(&title), escape(question));
        writeln!(text, "<li><a href=\"#{anchor}\">{title}</a> <span>{question}</span></li>")
            .expect("writing to memory");
    }
    text + "</ol>\n</nav>\n"
}

/// A box of warnings below a heading; empty where there are none.
fn doubts(heading: &str, doubts: &[String]) -> String {
    if doubts.is_empty() {
        return String::new();
    }
    let items: String = doubts.iter().map(|doubt| format!("<li>{}</li>\n", escape(doubt))).collect();
    format!("<section class=\"doubts\">\n<h2>{heading}</h2>\n<ul>\n{items}</ul>\n</section>\n")
}

fn figure(figure: &Figure) -> String {
    let Figure { name, caption, svg } = figure;
    let (svg, caption) = (svg.trim_end(), escape(caption));
    format!("<figure id=\"{name}\">\n{svg}\n<figcaption>{caption}</figcaption>\n</figure>\n")
}

/// A table below its title.
fn table(table: &Table) -> String {
    format!("<section>\n<h2>{}</h2>\n{}</section>\n", escape(&table.title), rows_of(table))
}

/// A table without its title. A cell that begins with `#` is a link to the chapter that it names.
fn rows_of(table: &Table) -> String {
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
        "<div class=\"wide\">\n<table class=\"{}\">\n<thead>\n{}</thead>\n<tbody>\n{rows}</tbody>\n</table>\n</div>\n",
        if is_prose(table) { "prose" } else { "numbers" },
        line("th", &table.columns),
    )
}

/// Whether cells contain sentences, which must wrap, rather than numbers.
fn is_prose(table: &Table) -> bool {
    table.rows.iter().flatten().any(|cell| cell.len() > 40)
}

fn machine(environment: &Environment) -> String {
    let percent = |share: Option<f64>| share.map_or("unknown".into(), |share| format!("{} %", short(share * 100.0)));
    let lines = [
        ("Processor", format!("{}, {} logical processors", environment.cpu, environment.cores)),
        ("Memory", format!("{} MiB", thousands(environment.memory_bytes >> 20))),
        ("Kernel", environment.kernel.clone()),
        ("Version", format!("{}, commit {}", environment.version, environment.commit)),
        ("Time during which some task waited for a processor", percent(environment.cpu_pressure)),
        ("Processor time withheld by the hypervisor (steal)", percent(environment.steal)),
    ];
    let mut text = "<section>\n<h2>The machine</h2>\n<dl>\n".to_string();
    for (name, value) in lines {
        writeln!(text, "<dt>{name}</dt><dd>{}</dd>", escape(&value)).expect("writing to memory");
    }
    text + "</dl>\n</section>"
}

/// The text with the characters `&`, `<`, `>` and `"` replaced by HTML entities.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
