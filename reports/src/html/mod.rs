//! The report as one page that needs nothing beside itself: a chapter for each part of the run, the machine, the command.

mod comparison;
mod experiment;
mod verdicts;

use std::fmt::Write;

use protocol::experiment::Table;
use protocol::result::Environment;
use protocol::run::{Part, Run};

use crate::answer;
use crate::chart::Figure;
use crate::loads;
use crate::number::{short, thousands};

const STYLE: &str = include_str!("page.css");
/// The question that a comparison answers.
const QUESTION: &str = "Polling, long polling, HTTP streaming or WebSocket?";
/// The page; `figures` are those of each part, `loads` the one of several loads side by side.
pub fn page(run: &Run, figures: &[Vec<Figure>], loads: Option<&Figure>) -> String {
    let title = match &run.parts[..] {
        [Part::Experiment(experiment)] => &experiment.title,
        _ => QUESTION,
    };
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>Transport Lab: {title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n\
         <p class=\"kicker\">Transport Lab</p>\n<h1>{title}</h1>\n",
        title = escape(title)
    );
    page += &doubts("The machine was disturbed", answer::disturbances(&run.environment).as_slice());
    if run.interrupted {
        let note = "It was ended before all was measured; what had been finished by then is here.".to_string();
        page += &doubts("This run was interrupted", &[note]);
    }
    let alone = run.parts.len() == 1;
    if !alone {
        page += &contents(run);
    }
    let ledger = run.experiments().any(verdicts::is_ledger);
    for (part, figures) in run.parts.iter().zip(figures) {
        let (anchor, heading) = name(part);
        let chapter = match part {
            Part::Comparison(found) => comparison::chapter(found, figures),
            Part::Experiment(found) => experiment::chapter(found, figures, ledger),
        };
        let heading = if alone { String::new() } else { format!("<h1 class=\"chapter\">{}</h1>\n", escape(&heading)) };
        page += &format!("<article id=\"{anchor}\">\n{heading}{chapter}</article>\n");
        // The largest load is the last, and the one to carry on from.
        let is_last = |found| run.comparisons().last().is_some_and(|last| std::ptr::eq(found, last));
        if let Part::Comparison(found) = part
            && is_last(found)
        {
            page += &loads.map_or(String::new(), |loads| side_by_side(run, loads));
            page += &comparison::capacity(found);
        }
    }
    page += &machine(&run.environment);
    page += &format!("\n<section>\n<h2>The command</h2>\n<pre>{}</pre>\n", escape(&run.command));
    page + "<p>Every figure on this page is computed from <code>run.json</code>, which lies beside it with the raw histograms of \
            every round; <code>cargo run -p reports -- run.json</code> draws it again, byte for byte.</p>\n</section>\n\
            </main>\n</body>\n</html>\n"
}

/// A chapter's anchor and heading.
fn name(part: &Part) -> (String, String) {
    match part {
        Part::Comparison(found) => {
            let subscribers = found.scenario.subscribers;
            let heading = format!("The comparison with {} subscribers", thousands(u64::from(subscribers)));
            (format!("comparison-{subscribers}"), heading)
        }
        Part::Experiment(found) => (found.name.clone(), found.title.clone()),
    }
}

/// The chapter that sets several loads side by side.
fn side_by_side(run: &Run, figure: &Figure) -> String {
    let sentences: String = loads::sentences(run).iter().map(|text| format!("<p>{}</p>\n", escape(text))).collect();
    let tables: String = loads::table(run).iter().map(table).collect();
    format!(
        "<article id=\"loads\">\n<h1 class=\"chapter\">An idle server and a busy one</h1>\n<section class=\"answer\">\n{sentences}\
         </section>\n{}{tables}</article>\n",
        self::figure(figure)
    )
}

/// What the report holds, a link to each chapter.
fn contents(run: &Run) -> String {
    let mut text = "<nav>\n<h2>Contents</h2>\n<ol>\n".to_string();
    for part in &run.parts {
        let (anchor, title) = name(part);
        let question = match part {
            Part::Comparison(_) => "Under one load, what does each transport take?",
            Part::Experiment(found) => &found.question,
        };
        let (title, question) = (escape(&title), escape(question));
        writeln!(text, "<li><a href=\"#{anchor}\">{title}</a> <span>{question}</span></li>")
            .expect("writing to memory");
    }
    text + "</ol>\n</nav>\n"
}

/// A box of doubts below a heading; nothing where there are none.
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

/// A table without its title. A cell that begins with `#` and names a chapter is a link to it.
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

/// Whether cells hold sentences, which must wrap, rather than numbers.
fn is_prose(table: &Table) -> bool {
    table.rows.iter().flatten().any(|cell| cell.len() > 40)
}

fn machine(environment: &Environment) -> String {
    let percent = |share: Option<f64>| share.map_or("unknown".into(), |share| format!("{} %", short(share * 100.0)));
    let lines = [
        ("Processor", format!("{}, {} logical processors", environment.cpu, environment.cores)),
        ("Memory", format!("{} MiB", thousands(environment.memory_bytes >> 20))),
        ("Kernel", environment.kernel.clone()),
        ("Lab", format!("{}, commit {}", environment.version, environment.commit)),
        ("Time in which some task waited for a processor", percent(environment.cpu_pressure)),
        ("Processor time taken away by the hypervisor", percent(environment.steal)),
    ];
    let mut text = "<section>\n<h2>The machine</h2>\n<dl>\n".to_string();
    for (name, value) in lines {
        writeln!(text, "<dt>{name}</dt><dd>{}</dd>", escape(&value)).expect("writing to memory");
    }
    text + "</dl>\n</section>"
}

/// Text with what HTML would take for markup written out.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
