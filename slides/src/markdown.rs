//! A slide's Markdown as HTML, with what it names put in its place.
//!
//! All of it is plain Markdown that other tools render as links and pictures. Alone in its paragraph,
//! - a picture `…/charts/NAME.svg` becomes the run's chart of that name;
//! - a link to `…/summary.csv` becomes the table of its comparison;
//! - a link to `…/FILE.rs#NAME` becomes the code that defines NAME, the link's text above it;
//! - a link to the live page, `http://127.0.0.1:8080/?QUERY`, becomes that page, live; the quotation behind it is shown where the page
//!   cannot be live, in print and in a file;
//! - a picture of the live page, `…/live-page.png`, becomes the lanes of the run.
//!
//! Anywhere, a link to `…/run.json#claim-N` is followed by how the run found that claim to stand.

use anyhow::Context;
use pulldown_cmark::{CodeBlockKind, CowStr, Event, Options, Parser, Tag, TagEnd, html};
use reports::html::escape;

use crate::figures::Figures;
use crate::language::Language;
use crate::source;

const LIVE: &str = "http://127.0.0.1:8080/?";
/// From a deck's folder to the project's.
const PROJECT: &str = "../../../";

/// Renders Markdown.
///
/// # Errors
/// When it names what is not there.
pub fn render(text: &str, language: &Language, figures: &Figures) -> anyhow::Result<String> {
    let events: Vec<Event> = Parser::new_ext(text, Options::ENABLE_TABLES).collect();
    render_events(&events, language, figures)
}

fn render_events(events: &[Event], language: &Language, figures: &Figures) -> anyhow::Result<String> {
    let mut rendered = Vec::new();
    let mut at = 0;
    while at < events.len() {
        let rest = &events[at..];
        let (event, length) = match rest {
            [Event::Start(Tag::CodeBlock(kind)), Event::Text(code), Event::End(TagEnd::CodeBlock), ..] => {
                (html_event(code_block(kind, code)), 3)
            }
            [
                Event::Start(Tag::Paragraph),
                Event::Start(Tag::Image { dest_url, .. } | Tag::Link { dest_url, .. }),
                ..,
            ] => {
                let length = 1 + rest
                    .iter()
                    .position(|event| *event == Event::End(TagEnd::Paragraph))
                    .expect("a paragraph ends");
                match alone(&rest[1..length - 1]) {
                    Some(label) if dest_url.starts_with(LIVE) => {
                        let recorded = quotation(&rest[length..]);
                        let html = live(&dest_url[LIVE.len()..], &label, &render_events(recorded, language, figures)?);
                        (html_event(html), length + if recorded.is_empty() { 0 } else { recorded.len() + 2 })
                    }
                    Some(label) => match inserted(dest_url, &label, language, figures)? {
                        Some(html) => (html_event(html), length),
                        None => (rest[0].clone(), 1),
                    },
                    None => (rest[0].clone(), 1),
                }
            }
            [Event::Start(Tag::Link { dest_url, .. }), ..] if dest_url.contains("run.json#claim-") => {
                let length = 1 + rest.iter().position(|event| *event == Event::End(TagEnd::Link)).expect("a link ends");
                (html_event(claim(dest_url, &label(&rest[1..length - 1]), language, figures)?), length)
            }
            _ => (rest[0].clone(), 1),
        };
        rendered.push(event);
        at += length;
    }
    let mut html = String::new();
    html::push_html(&mut html, rendered.into_iter());
    Ok(html)
}

fn html_event(html: String) -> Event<'static> {
    Event::Html(CowStr::from(html))
}

/// What is quoted, if a quotation comes next.
fn quotation<'a, 'b>(events: &'a [Event<'b>]) -> &'a [Event<'b>] {
    match events {
        [Event::Start(Tag::BlockQuote(_)), quoted @ ..] => {
            let end = quoted.iter().position(|event| matches!(event, Event::End(TagEnd::BlockQuote(_))));
            &quoted[..end.expect("a quotation ends")]
        }
        _ => &[],
    }
}

/// A place for the live page, with what is shown there in print and in a file.
fn live(query: &str, label: &str, recorded: &str) -> String {
    let (query, label) = (escape(query), escape(label));
    format!(
        "<div class=\"live\" data-query=\"{query}\" title=\"{label}\">\n<div class=\"recorded\">\n{recorded}</div>\n</div>\n"
    )
}

/// The text of the one link or picture that these events are, if they are no more than that.
fn alone(events: &[Event]) -> Option<String> {
    let ends = |event: &Event| matches!(event, Event::End(TagEnd::Link | TagEnd::Image));
    let end = events.iter().position(ends)?;
    (end == events.len() - 1).then(|| label(&events[1..end]))
}

fn label(events: &[Event]) -> String {
    let text = |event: &Event| match event {
        Event::Text(text) | Event::Code(text) => text.to_string(),
        Event::SoftBreak => " ".into(),
        _ => String::new(),
    };
    events.iter().map(text).collect()
}

/// What a link or picture alone in its paragraph stands for; `None` where it is just that.
fn inserted(destination: &str, label: &str, language: &Language, figures: &Figures) -> anyhow::Result<Option<String>> {
    let caption = escape(label);
    let Some(path) = destination.strip_prefix(PROJECT) else { return Ok(None) };
    let chart = path.split_once("/charts/").map(|(_, name)| figures.chart(name.trim_end_matches(".svg")));
    if let Some(svg) = chart.or_else(|| path.ends_with("/live-page.png").then(|| figures.lanes())) {
        let svg = svg?;
        return Ok(Some(format!("<figure class=\"chart\" role=\"img\" aria-label=\"{caption}\">\n{svg}\n</figure>\n")));
    }
    if path.ends_with("/summary.csv") {
        return Ok(Some(table(language, figures)));
    }
    let Some((path, name)) = path.split_once('#') else { return Ok(None) };
    let code = source::highlight(&source::definition(path, name)?);
    Ok(Some(format!(
        "<figure class=\"code\"><figcaption>{caption} <span>{path}</span></figcaption><pre><code>{code}</code></pre></figure>\n"
    )))
}

fn code_block(kind: &CodeBlockKind, code: &str) -> String {
    let code = match kind {
        CodeBlockKind::Fenced(language) if matches!(&**language, "rust" | "js") => source::highlight(code),
        _ => escape(code),
    };
    format!("<pre><code>{code}</code></pre>\n")
}

fn claim(destination: &str, label: &str, language: &Language, figures: &Figures) -> anyhow::Result<String> {
    let number = destination.rsplit_once('-').and_then(|(_, number)| number.parse().ok());
    let verdict = figures.verdict(number.with_context(|| format!("{destination} names no claim by its number"))?)?;
    let class = format!("{:?}", verdict.standing).to_lowercase();
    let (words, figure) = (language.standing(verdict.standing), escape(&verdict.figure));
    Ok(format!(
        "<span class=\"claim\">{} <b class=\"standing {class}\">{words}</b> <small>{figure}</small></span>",
        escape(label)
    ))
}

fn table(language: &Language, figures: &Figures) -> String {
    let table = figures.table();
    let headings: String = table
        .headings
        .iter()
        .zip(language.columns)
        .map(|((_, unit), heading)| format!("<th>{heading}<small>{unit}</small></th>"))
        .collect();
    let cells = |cells: &[String]| cells.iter().map(|cell| format!("<td>{cell}</td>")).collect::<String>();
    let rows: String =
        table.rows.iter().map(|(name, row)| format!("<tr><th>{name}</th>{}</tr>\n", cells(row))).collect();
    format!(
        "<table class=\"figures\"><thead><tr><th>{}</th>{headings}</tr></thead>\n<tbody>{rows}</tbody></table>\n<p class=\"scenario\">{}</p>\n",
        language.transport,
        escape(&table.scenario)
    )
}
