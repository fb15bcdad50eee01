//! Renders a slide's Markdown as HTML, and inserts what its links and pictures refer to.
//!
//! A slide is plain Markdown, which other tools show with links and pictures. Here, a link or picture that is alone in its paragraph is
//! replaced:
//! - a picture `…/charts/NAME.svg` by the run's chart of that name, drawn for slides;
//! - the picture `../frame.svg` by itself, so that it has the colours of the theme;
//! - a link to `…/summary.csv` by the table of the run's comparison;
//! - a link to `…/FILE.rs#NAME` by the code that defines NAME, with the link's text above it;
//! - a link to the live page, `http://127.0.0.1:8080/?QUERY`, by that page in a frame; in print and in a file, where the page cannot be
//!   live, the block quote after the link is shown instead;
//! - a picture of the live page, `…/live-page.png`, by the lanes of the run.
//!
//! A link to `…/run.json#claim-N`, wherever it is, is followed by the run's verdict on that claim, and one to `…/run.json#figure-N` by the figure
//! that the verdict follows from.

use anyhow::Context;
use pulldown_cmark::{CodeBlockKind, CowStr, Event, Options, Parser, Tag, TagEnd, html};
use reports::html::escape;

use crate::figures::Figures;
use crate::language::Language;
use crate::source;

const LIVE: &str = "http://127.0.0.1:8080/?";
/// The relative path from a deck's directory to that of the project.
const PROJECT: &str = "../../../";
/// The diagram of a WebSocket frame, beside the decks.
const FRAME: (&str, &str) = ("../frame.svg", include_str!("../deck/frame.svg"));

/// Renders Markdown.
///
/// # Errors
/// When it refers to a chart, a claim or code that does not exist.
pub fn render(text: &str, language: &Language, figures: &Figures) -> anyhow::Result<String> {
    let events: Vec<Event> = Parser::new_ext(text, Options::ENABLE_TABLES).collect();
    render_events(&events, language, figures)
}

fn render_events(events: &[Event], language: &Language, figures: &Figures) -> anyhow::Result<String> {
    let mut rendered = Vec::new();
    let mut index = 0;
    while index < events.len() {
        let rest = &events[index..];
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
                match single(&rest[1..length - 1]) {
                    Some(label) if dest_url.starts_with(LIVE) => {
                        let recorded = block_quote(&rest[length..]);
                        let html = live(&dest_url[LIVE.len()..], &label, &render_events(recorded, language, figures)?);
                        (html_event(html), length + if recorded.is_empty() { 0 } else { recorded.len() + 2 })
                    }
                    Some(label) => match replacement(dest_url, &label, language, figures)? {
                        Some(html) => (html_event(html), length),
                        None => (rest[0].clone(), 1),
                    },
                    None => (rest[0].clone(), 1),
                }
            }
            [Event::Start(Tag::Link { dest_url, .. }), ..] if dest_url.contains("run.json#") => {
                let length = 1 + rest.iter().position(|event| *event == Event::End(TagEnd::Link)).expect("a link ends");
                (html_event(claim(dest_url, &label(&rest[1..length - 1]), language, figures)?), length)
            }
            _ => (rest[0].clone(), 1),
        };
        rendered.push(event);
        index += length;
    }
    let mut html = String::new();
    html::push_html(&mut html, rendered.into_iter());
    Ok(html)
}

fn html_event(html: String) -> Event<'static> {
    Event::Html(CowStr::from(html))
}

/// The content of the block quote that these events start with; empty if they start with something else.
fn block_quote<'a, 'b>(events: &'a [Event<'b>]) -> &'a [Event<'b>] {
    match events {
        [Event::Start(Tag::BlockQuote(_)), quoted @ ..] => {
            let end = quoted.iter().position(|event| matches!(event, Event::End(TagEnd::BlockQuote(_))));
            &quoted[..end.expect("a block quote ends")]
        }
        _ => &[],
    }
}

/// The element that the player fills with the live page. It contains the recording that is shown in print and in a file.
fn live(query: &str, label: &str, recorded: &str) -> String {
    let (query, label) = (escape(query), escape(label));
    format!(
        "<div class=\"live\" data-query=\"{query}\" title=\"{label}\">\n<div class=\"recorded\">\n{recorded}</div>\n</div>\n"
    )
}

/// The text of a link or picture, if these events are a single link or picture and nothing else.
fn single(events: &[Event]) -> Option<String> {
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

/// What replaces a link or picture that is alone in its paragraph; `None` if it remains a link or picture.
fn replacement(
    destination: &str,
    label: &str,
    language: &Language,
    figures: &Figures,
) -> anyhow::Result<Option<String>> {
    let caption = escape(label);
    let figure = |svg: &str| {
        let svg = language.dictionary.svg(svg);
        format!("<figure class=\"chart\" role=\"img\" aria-label=\"{caption}\">\n{svg}\n</figure>\n")
    };
    if destination == FRAME.0 {
        return Ok(Some(figure(FRAME.1)));
    }
    let Some(path) = destination.strip_prefix(PROJECT) else { return Ok(None) };
    let chart = path.split_once("/charts/").map(|(_, name)| figures.chart(name.trim_end_matches(".svg")));
    if let Some(svg) = chart.or_else(|| path.ends_with("/live-page.png").then(|| figures.lanes())) {
        return Ok(Some(figure(svg?)));
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
    let verdict =
        figures.verdict(number.with_context(|| format!("{destination} does not contain the number of a claim"))?)?;
    let label = escape(label);
    if destination.contains("#figure-") {
        let figure = escape(&language.dictionary.text(&verdict.figure));
        return Ok(format!("<span class=\"claim\">{label}: <small>{figure}</small></span>"));
    }
    let class = format!("{:?}", verdict.status).to_lowercase();
    let status = language.status(verdict.status);
    Ok(format!("<span class=\"claim\">{label} <b class=\"status {class}\">{status}</b></span>"))
}

fn table(language: &Language, figures: &Figures) -> String {
    let table = figures.table();
    let translated = |text: &str| escape(&language.dictionary.text(text));
    let headings: String = table
        .headings
        .iter()
        .zip(language.columns)
        .map(|((_, unit), heading)| format!("<th>{heading}<small>{}</small></th>", translated(unit)))
        .collect();
    let cells = |cells: &[String]| cells.iter().map(|cell| format!("<td>{cell}</td>")).collect::<String>();
    let rows: String = table
        .rows
        .iter()
        .map(|(name, row)| format!("<tr><th>{}</th>{}</tr>\n", translated(name), cells(row)))
        .collect();
    format!(
        "<table class=\"figures\"><thead><tr><th>{}</th>{headings}</tr></thead>\n<tbody>{rows}</tbody></table>\n<p class=\"scenario\">{}</p>\n",
        language.transport,
        translated(&table.scenario)
    )
}
