//! Renders a slide's Markdown as HTML, and inserts what its links and pictures refer to.
//!
//! A slide is plain Markdown, which other tools show with links and pictures. Here, a link or picture that is alone in its paragraph is
//! replaced:
//! - a picture `…/charts/NAME.svg` by the run's chart of that name, drawn for slides;
//! - the picture `../frame.svg` by itself, so that it has the colours of the theme;
//! - a link to `…/summary.csv` by the table of the run's comparison, and one to `…/tables/NAME.csv` by that table of an experiment;
//! - a link to `…/FILE.rs#NAME` by the code that defines NAME, with the link's text above it;
//! - a link to the live page, `http://127.0.0.1:8080/?QUERY`, by that page in a frame; in print and in a file, where the page cannot be
//!   live, the block quote after the link is shown instead;
//! - a link to another page of the server, by a link to it from where the slides are opened, or by nothing if it is not available there;
//! - a picture of the live page, `…/live-page.png`, by the lanes of the run.
//!
//! An item of a list that begins with a link to `…/run.json#claim-N` shows the run's verdict on that claim before the rest of the item. A link to
//! `…/run.json#figure-N`, wherever it is, is followed by the figure that the verdict follows from.

use anyhow::Context;
use protocol::experiment::{Table, Verdict};
use pulldown_cmark::{CodeBlockKind, CowStr, Event, Options, Parser, Tag, TagEnd, html};
use reports::html::escape;

use crate::destination::Destination;
use crate::figures::Figures;
use crate::language::Language;
use crate::source;

/// The address of the lab's server in the decks, and of its live page with a query.
const SERVER: &str = "http://127.0.0.1:8080/";
const LIVE: &str = "http://127.0.0.1:8080/?";
/// The relative path from a deck's directory to that of the project.
const PROJECT: &str = "../../../";
/// The diagram of a WebSocket frame, beside the decks.
const FRAME: (&str, &str) = ("../frame.svg", include_str!("../deck/frame.svg"));

/// What Markdown is rendered with.
#[derive(Clone, Copy)]
pub struct Page<'a> {
    /// The language of the deck.
    pub language: &'a Language,
    /// The figures that it refers to.
    pub figures: &'a Figures,
    /// Where the page is opened from.
    pub destination: Destination,
}

/// Renders Markdown.
///
/// # Errors
/// When it refers to a chart, a claim or code that does not exist.
pub fn render(text: &str, page: Page) -> anyhow::Result<String> {
    let events: Vec<Event> = Parser::new_ext(text, Options::ENABLE_TABLES).collect();
    render_events(&events, page)
}

fn render_events(events: &[Event], page: Page) -> anyhow::Result<String> {
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
                        let html = live(&dest_url[LIVE.len()..], &label, &render_events(recorded, page)?);
                        (html_event(html), length + if recorded.is_empty() { 0 } else { recorded.len() + 2 })
                    }
                    Some(label) if dest_url.starts_with(SERVER) => {
                        (html_event(entry(&dest_url[SERVER.len()..], &label, page)), length)
                    }
                    Some(label) => match replacement(dest_url, &label, page)? {
                        Some(html) => (html_event(html), length),
                        None => (rest[0].clone(), 1),
                    },
                    None => (rest[0].clone(), 1),
                }
            }
            // What follows a claim is its answer: the verdict, and a sentence.
            [Event::Start(Tag::Item), Event::Start(Tag::Link { dest_url, .. }), ..] if dest_url.contains("#claim-") => {
                let end = |of: TagEnd| rest.iter().position(|event| *event == Event::End(of));
                let link = 1 + end(TagEnd::Link).expect("a link ends");
                let length = end(TagEnd::Item).expect("an item ends");
                let (claim, status) = (escape(&label(&rest[2..link - 1])), status(dest_url, page)?);
                let answer = render_events(&rest[link..length], page)?;
                let html =
                    format!("<li><span class=\"claim\">{claim}</span> <span class=\"answer\">{status}{answer}</span>");
                (html_event(html), length)
            }
            [Event::Start(Tag::Link { dest_url, .. }), ..] if dest_url.contains("run.json#figure-") => {
                let length = 1 + rest.iter().position(|event| *event == Event::End(TagEnd::Link)).expect("a link ends");
                let figure = escape(&page.language.dictionary.text(&verdict(dest_url, page)?.figure));
                let label = escape(&label(&rest[1..length - 1]));
                (html_event(format!("<span class=\"claim\">{label}: <small>{figure}</small></span>")), length)
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

/// A link to a page of the lab, as a paragraph; nothing where that page is not available.
fn entry(path: &str, label: &str, page: Page) -> String {
    let Page { language: Language { code, .. }, destination, .. } = page;
    let target = match (destination, path, path.strip_prefix("slides/")) {
        (Destination::Server, "learn", _) => format!("/learn/{}", page.language.story),
        (Destination::Server, _, None) => format!("/{path}?lang={code}"),
        (Destination::Site, "learn", _) => format!("../{}", page.language.story),
        (_, _, Some(file)) => file.into(),
        (Destination::Site | Destination::File, _, None) => return String::new(),
    };
    format!("<p class=\"entry\"><a href=\"{target}\">{}</a></p>\n", escape(label))
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
fn replacement(destination: &str, label: &str, page: Page) -> anyhow::Result<Option<String>> {
    let caption = escape(label);
    let figure = |svg: &str| {
        let svg = page.language.dictionary.svg(svg);
        format!("<figure class=\"chart\" role=\"img\" aria-label=\"{caption}\">\n{svg}\n</figure>\n")
    };
    if destination == FRAME.0 {
        return Ok(Some(figure(FRAME.1)));
    }
    let Some(path) = destination.strip_prefix(PROJECT) else { return Ok(None) };
    let chart = path.split_once("/charts/").map(|(_, name)| page.figures.chart(name.trim_end_matches(".svg")));
    if let Some(svg) = chart.or_else(|| path.ends_with("/live-page.png").then(|| page.figures.lanes())) {
        return Ok(Some(figure(svg?)));
    }
    if path.ends_with("/summary.csv") {
        return Ok(Some(comparison(page)));
    }
    if let Some((_, name)) = path.split_once("/tables/") {
        return Ok(Some(table(page.figures.table(name.trim_end_matches(".csv"))?, page)));
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

/// The verdict on the claim that a link names, as a status. The claim itself is the link's text.
fn status(destination: &str, page: Page) -> anyhow::Result<String> {
    let status = verdict(destination, page)?.status;
    let class = format!("{status:?}").to_lowercase();
    Ok(format!("<b class=\"status {class}\">{}</b>", page.language.status(status)))
}

fn verdict<'a>(destination: &str, page: Page<'a>) -> anyhow::Result<&'a Verdict> {
    let number = destination.rsplit_once('-').and_then(|(_, number)| number.parse().ok());
    page.figures.verdict(number.with_context(|| format!("{destination} does not contain the number of a claim"))?)
}

/// The table of the run's comparison, with the compared scenario below it.
fn comparison(page: Page) -> String {
    let Page { language, figures, .. } = page;
    let table = figures.comparison();
    let translated = |text: &str| escape(&language.dictionary.text(text));
    let heading = |((_, unit), heading): (&(&str, &str), &str)| format!("{heading}<small>{}</small>", translated(unit));
    let headings = table.headings.iter().zip(language.columns).map(heading);
    let rows = table.rows.iter().map(|(name, row)| (translated(name), row.clone()));
    let scenario = translated(&table.scenario);
    rows_of(language.transport, headings, rows) + &format!("<p class=\"scenario\">{scenario}</p>\n")
}

/// The table of an experiment.
fn table(table: &Table, page: Page) -> String {
    let translated = |text: &str| escape(&page.language.dictionary.text(text));
    let headings = table.columns[1..].iter().map(|heading| translated(heading));
    let rows = table.rows.iter().map(|row| (translated(&row[0]), row[1..].to_vec()));
    rows_of(&translated(&table.columns[0]), headings, rows)
}

/// A table of figures from its headings, and from its rows with the name of each.
fn rows_of(
    first: &str,
    headings: impl Iterator<Item = String>,
    rows: impl Iterator<Item = (String, Vec<String>)>,
) -> String {
    let headings: String = headings.map(|heading| format!("<th>{heading}</th>")).collect();
    let cells = |cells: Vec<String>| cells.iter().map(|cell| format!("<td>{cell}</td>")).collect::<String>();
    let rows: String = rows.map(|(name, row)| format!("<tr><th>{name}</th>{}</tr>\n", cells(row))).collect();
    format!(
        "<table class=\"figures\"><thead><tr><th>{first}</th>{headings}</tr></thead>\n<tbody>{rows}</tbody></table>\n"
    )
}
