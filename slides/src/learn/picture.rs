//! The pictures, as SVG or HTML, each with the same in words. They are as wide as a phone's screen, and scaled up on larger ones.

use protocol::Transport;
use protocol::experiment::{Cell, Lines, Map};
use protocol::facts::fallback::Attempt;
use protocol::facts::frames::FrameHeader;
use protocol::facts::ladder::{Chunk, WireTrace};
use reports::chart::scale::{Scale, tick_text};
use reports::html::escape;
use reports::number::{short, thousands};
use reports::summary::Row;

use super::texts::{Texts, Words, fill};
use crate::chart::sheet::{Anchor, FAINT, GRID, INK, Sheet, TEXT, apart, colour};
use crate::dictionary::Dictionary;
use crate::parts::{PARTS, bytes_per_event};
use crate::waiting;

/// The width of a picture, in units of its own.
const WIDTH: f64 = 600.0;

/// A picture, and the same in words.
pub struct Picture {
    /// SVG or HTML.
    pub html: String,
    /// The same in words, as an item of HTML for each part. It is empty where the picture is text itself.
    pub words: Vec<String>,
    /// Whether it shows messages over time and can be played.
    pub is_played: bool,
}

fn still(html: String, words: Vec<String>) -> Picture {
    Picture { html, words: escaped(words), is_played: false }
}

fn escaped(words: Vec<String>) -> Vec<String> {
    words.iter().map(|word| escape(word)).collect()
}

/// A sequence diagram of a trace: time runs down, and a thick line beside the server is an event that waits.
pub fn ladder(trace: &WireTrace, length_ms: f64, texts: &Texts) -> anyhow::Result<Picture> {
    const HEIGHT: f64 = 640.0;
    const CLIENT: f64 = 150.0;
    const SERVER: f64 = 440.0;
    const TOP: f64 = 44.0;
    let y = |ms: f64| TOP + ms / length_ms * (HEIGHT - TOP - 10.0);
    let colour = colour(trace.transport);
    let mut sheet = Sheet::new(WIDTH, HEIGHT);
    for (line, name) in [(CLIENT, &texts.phone), (SERVER, &texts.server)] {
        sheet.line((line, TOP), (line, HEIGHT), INK, 3.0);
        sheet.bold((line, 18.0), name, Anchor::Middle);
    }
    let mut words: Vec<(f64, String)> = Vec::new();
    let waits = waiting::of_trace(trace);
    for (index, (&(published, sent), &delivered)) in waits.iter().zip(&trace.delivered_ms).enumerate() {
        let number = (index + 1).to_string();
        let figures = |at: f64| {
            let took = format!("{:.0}", delivered - published);
            Words::from([("number", number.clone()), ("at", format!("{at:.0}")), ("took", took)])
        };
        words.push((published, fill(&texts.published, &figures(published))?));
        words.push((delivered, fill(&texts.delivered, &figures(delivered))?));
        // Two events that wait at the same time are side by side.
        let is_second = index > 0 && waits[index - 1].1 > published;
        let beside = SERVER + if is_second { 18.0 } else { 8.0 };
        sheet.at(published, |sheet| {
            if sent > published + 1.0 {
                sheet.line((beside, y(published)), (beside, y(sent)), &colour, 8.0);
            }
            sheet.circle((SERVER, y(published)), 7.0, INK);
        });
        sheet.at(delivered, |sheet| sheet.circle((CLIENT, y(delivered)), 8.0, &colour));
    }
    let shown = |chunk: &&Chunk| chunk.arrived_ms <= length_ms;
    for chunk in trace.chunks.iter().filter(shown) {
        let (from, to) = if chunk.up { (CLIENT, SERVER) } else { (SERVER, CLIENT) };
        let label = label(chunk, texts)?;
        let (stroke, width) = if chunk.events > 0 { (&*colour, 5.0) } else { (FAINT, 2.5) };
        let (left, arrived) = (y(chunk.left_ms), y(chunk.arrived_ms));
        sheet.at(chunk.left_ms, |sheet| {
            sheet.arrow((from, left), (to, arrived), stroke, width);
            if chunk.bytes > 0 || chunk.up {
                // The arrow has a gap for its label.
                let middle = ((from + to) / 2.0, (left + arrived) / 2.0);
                let half = width_of(&label) / 2.0;
                let slope = half * (arrived - left) / (to - from);
                let (start, end) = ((middle.0 - half, middle.1 - slope), (middle.0 + half, middle.1 + slope));
                sheet.line(start, end, "var(--paper)", 10.0);
                sheet.text(middle, &label, INK, Anchor::Middle);
            }
        });
        let what = Words::from([("label", label), ("bytes", chunk.bytes.to_string())]);
        let figures = Words::from([
            ("from", format!("{:.0}", chunk.left_ms)),
            ("to", format!("{:.0}", chunk.arrived_ms)),
            ("what", fill(&texts.what, &what)?),
        ]);
        words.push((chunk.left_ms, fill(if chunk.up { &texts.sent_up } else { &texts.sent_down }, &figures)?));
    }
    // Beside the lines: at the server the event's number, at the phone the time that it took.
    let names = (1..).map(|number| fill(&texts.event, &Words::from([("number", number.to_string())])));
    let names: Vec<String> = names.take(trace.published_ms.len()).collect::<anyhow::Result<_>>()?;
    let took: Vec<String> =
        trace.published_ms.iter().zip(&trace.delivered_ms).map(|(from, to)| format!("{:.0} ms", to - from)).collect();
    let mut column = |times: &[f64], labels: &[String], x: f64, anchor: Anchor| {
        let wanted: Vec<f64> = times.iter().map(|&ms| y(ms)).collect();
        for ((label, height), &at) in labels.iter().zip(apart(&wanted, HEIGHT - 14.0)).zip(times) {
            sheet.at(at, |sheet| sheet.text((x, height), label, INK, anchor));
        }
    };
    column(&trace.published_ms, &names, SERVER + 40.0, Anchor::Start);
    let numbered: Vec<String> = (1..).zip(&took).map(|(number, took)| format!("{number}: {took}")).collect();
    column(&trace.delivered_ms, &numbered, CLIENT - 20.0, Anchor::End);
    words.sort_by(|one, other| one.0.total_cmp(&other.0));
    let words = words.into_iter().map(|(_, word)| word).collect();
    Ok(Picture { html: sheet.finish(), words: escaped(words), is_played: true })
}

/// About the width of a text: letters of Korean are as wide as they are high.
fn width_of(text: &str) -> f64 {
    let width = |letter: char| if letter.is_ascii() { 0.56 } else { 1.0 };
    f64::from(TEXT) * text.chars().map(width).sum::<f64>()
}

/// What a message is: its method and path, its status, and the number of events in it.
fn label(chunk: &Chunk, texts: &Texts) -> anyhow::Result<String> {
    let events = match chunk.events {
        0 => String::new(),
        1 => format!(", {}", texts.one_event),
        count => format!(", {}", fill(&texts.events, &Words::from([("count", count.to_string())]))?),
    };
    let line = chunk.first_line.as_deref().unwrap_or_default();
    let mut words = line.split(' ');
    let (first, second) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    Ok(match first {
        "" => texts.connect.clone(),
        "GET" => format!("GET {}", second.split('?').next().unwrap_or_default()),
        _ => format!("{second}{events}"),
    })
}

/// The bytes of an event over some transports, in parts.
pub fn bars(rows: &[&Row], texts: &Texts, dictionary: &Dictionary) -> anyhow::Result<Picture> {
    const PITCH: f64 = 110.0;
    const TOP: f64 = 90.0;
    let mut sheet = Sheet::new(WIDTH, TOP + PITCH * rows.len() as f64);
    // A part without a byte, or with a fraction of one, would not be seen.
    let is_seen = |part: usize| rows.iter().any(|row| bytes_per_event(row)[part] >= 1.0);
    let seen = texts.parts.iter().zip(&PARTS).enumerate().filter(|(part, _)| is_seen(*part));
    for ((_, (name, layer)), index) in seen.zip(0..) {
        let (x, y) = (f64::from(index % 2) * 280.0, f64::from(index / 2) * 36.0);
        sheet.rectangle((x, y + 4.0), (24.0, 24.0), layer.variable, 1.0);
        sheet.text((x + 34.0, y + 16.0), name, INK, Anchor::Start);
    }
    let longest = rows.iter().map(|row| row.wire_bytes_per_event()).fold(f64::MIN_POSITIVE, f64::max);
    let mut words = Vec::new();
    for (row, index) in rows.iter().zip(0..) {
        let top = TOP + PITCH * f64::from(index);
        let (name, total) = (dictionary.text(row.transport.label()), short(row.wire_bytes_per_event()));
        sheet.text((0.0, top + 22.0), &name, INK, Anchor::Start);
        let mut from = 0.0;
        for (bytes, layer) in bytes_per_event(row).into_iter().zip(&PARTS) {
            let width = bytes / longest * (WIDTH - 120.0);
            sheet.rectangle((from, top + 42.0), (width, 48.0), layer.variable, 1.0);
            from += width;
        }
        sheet.bold((from + 12.0, top + 66.0), &format!("{total} B"), Anchor::Start);
        let present = bytes_per_event(row).into_iter().zip(&texts.parts).filter(|part| part.0 > 0.0);
        let parts = present
            .map(|(bytes, part)| fill(&texts.part, &Words::from([("part", part.clone()), ("bytes", short(bytes))])));
        words.push(format!("{name}: {total} B ({})", parts.collect::<anyhow::Result<Vec<_>>>()?.join(", ")));
    }
    Ok(still(sheet.finish(), words))
}

/// Handshakes directly, through a proxy, and through it within TLS, each with its response and its status.
pub fn ways(responses: &[(&str, &str); 3], texts: &Texts) -> anyhow::Result<Picture> {
    const PITCH: f64 = 215.0;
    const BOX: (f64, f64) = (240.0, 360.0);
    let mut sheet = Sheet::new(WIDTH, PITCH * 3.0);
    let mut words = Vec::new();
    for ((way, (response, status)), index) in texts.ways.iter().zip(responses).zip(0..) {
        let (top, has_proxy, is_tls) = (PITCH * f64::from(index), index > 0, index == 2);
        let opens = status.starts_with("101");
        let (result, paint) = if opens { (&texts.opens, "var(--good)") } else { (&texts.refused, "var(--bad)") };
        let (request, answer) = (top + 82.0, top + 142.0);
        sheet.bold((0.0, top + 18.0), way, Anchor::Start);
        if has_proxy {
            sheet.rectangle((BOX.0, top + 40.0), (BOX.1 - BOX.0, 120.0), GRID, 1.0);
            sheet.text(((BOX.0 + BOX.1) / 2.0, (request + answer) / 2.0), &texts.proxy, INK, Anchor::Middle);
        }
        sheet.text((0.0, request - 26.0), "GET, Upgrade", INK, Anchor::Start);
        sheet.text((0.0, (request + answer) / 2.0), &texts.phone, FAINT, Anchor::Start);
        sheet.text((WIDTH, (request + answer) / 2.0), &texts.server, FAINT, Anchor::End);
        if is_tls {
            // The proxy forwards what is within TLS as it is.
            sheet.text((WIDTH, request - 26.0), "TLS", FAINT, Anchor::End);
            for y in [request, answer] {
                sheet.rectangle((0.0, y - 11.0), (WIDTH, 22.0), "var(--accent)", 0.25);
            }
        }
        if has_proxy && !is_tls {
            sheet.arrow((0.0, request), (BOX.0, request), INK, 3.0);
            sheet.arrow((BOX.1, request), (WIDTH, request), INK, 3.0);
            sheet.text((WIDTH, request - 26.0), "GET", INK, Anchor::End);
        } else {
            sheet.arrow((0.0, request), (WIDTH, request), INK, 3.0);
        }
        sheet.arrow((WIDTH, answer), (0.0, answer), paint, 5.0);
        sheet.text((0.0, answer + 32.0), &format!("{status}: {result}"), paint, Anchor::Start);
        let figures = Words::from([("way", way.clone()), ("status", status.to_string()), ("result", result.clone())]);
        let text = fill(&texts.way, &figures)?;
        words.push(format!("{}<pre>{}</pre>", escape(&text), escape(response.trim_end())));
    }
    Ok(Picture { html: sheet.finish(), words, is_played: false })
}

/// A frame's header bit by bit and its payload, then the lengths of other headers.
pub fn frame(
    header: &[u8],
    payload: &[u8],
    headers: &[FrameHeader],
    polled: f64,
    texts: &Texts,
) -> anyhow::Result<Picture> {
    let bits: String = header.iter().map(|byte| format!("{byte:08b}")).collect();
    // FIN, RSV1 to 3, the opcode, MASK, and the length (RFC 6455, section 5.2).
    let fields = [0..1, 1..4, 4..8, 8..9, 9..16];
    let length = Words::from([("length", payload.len().to_string())]);
    let mut parts = String::new();
    for (field, name) in fields.into_iter().zip(&texts.bits) {
        let name = escape(&fill(name, &length)?);
        parts += &format!("<div><code>{}</code><span>{name}</span></div>\n", &bits[field]);
    }
    let bytes: String = payload
        .iter()
        .map(|&byte| format!("<code>{byte:02x} <b>{}</b></code> ", escape(&char::from(byte).to_string())))
        .collect();
    let message = escape(&texts.payload);
    let rows: String = headers
        .iter()
        .map(|header| {
            let (payload, down, up) = (thousands(header.payload_bytes), header.down.len(), header.up_bytes);
            format!("<tr><td>{payload} B</td><td>{down} B</td><td>{up} B</td></tr>\n")
        })
        .collect();
    let columns: String =
        texts.sizes.iter().map(|heading| format!("<th scope=\"col\">{}</th>", escape(heading))).collect();
    let compared = escape(&fill(&texts.headers_compared, &Words::from([("bytes", short(polled))]))?);
    let html = format!(
        "<div class=\"bits\">\n{parts}<div class=\"payload\"><span>{bytes}</span><span>{message}</span></div>\n</div>\n\
         <table class=\"sizes\"><thead><tr>{columns}</tr></thead>\n<tbody>{rows}</tbody></table>\n<p>{compared}</p>\n"
    );
    Ok(still(html, Vec::new()))
}

/// A dot for each event that was published, filled if it arrived.
pub fn attempts(attempts: &[&Attempt], texts: &Texts, dictionary: &Dictionary) -> anyhow::Result<Picture> {
    const PITCH: f64 = 105.0;
    let mut sheet = Sheet::new(WIDTH, PITCH * attempts.len() as f64);
    let mut words = Vec::new();
    for (attempt, index) in attempts.iter().zip(0..) {
        let top = PITCH * f64::from(index);
        let figures = Words::from([
            ("transport", dictionary.text(attempt.transport.label())),
            ("received", attempt.received.to_string()),
            ("published", attempt.published.to_string()),
            ("connections", (attempt.reconnects + 1).to_string()),
        ]);
        let text = fill(&texts.attempt, &figures)?;
        sheet.text((0.0, top + 20.0), &text, INK, Anchor::Start);
        let pitch = (WIDTH / attempt.published.max(1) as f64).min(54.0);
        for event in 0..attempt.published {
            let centre = (pitch * (event as f64 + 0.5), top + 64.0);
            sheet.circle(centre, 17.0, &colour(attempt.transport));
            if event >= attempt.received {
                sheet.circle(centre, 13.0, "var(--paper)");
            }
        }
        words.push(text);
    }
    Ok(still(sheet.finish(), words))
}

/// Figures over the number of subscribers.
pub fn lines(drawing: &Lines, texts: &Texts, dictionary: &Dictionary) -> anyhow::Result<Picture> {
    const HEIGHT: f64 = 600.0;
    let (left, right, top, bottom) = (74.0, WIDTH - 30.0, 50.0, 400.0);
    let points = || drawing.lines.iter().flat_map(|line| &line.points);
    let x = Scale::new(&drawing.x, points().map(|point| point.x), (left as i32, right as i32));
    let y = Scale::new(&drawing.y, points().map(|point| point.y), (bottom as i32, top as i32));
    let mut sheet = Sheet::new(WIDTH, HEIGHT);
    for tick in y.ticks() {
        let height = f64::from(y.pixel(tick));
        sheet.line((left, height), (right, height), GRID, 1.5);
        sheet.text((left - 10.0, height), &tick_text(tick), INK, Anchor::End);
    }
    for tick in x.ticks() {
        let across = f64::from(x.pixel(tick));
        sheet.line((across, top), (across, bottom), GRID, 1.5);
        sheet.text((across, bottom + 24.0), &tick_text(tick), INK, Anchor::Middle);
    }
    sheet.text((0.0, 16.0), &texts.y_label, FAINT, Anchor::Start);
    sheet.text((right, bottom + 58.0), &texts.x_label, FAINT, Anchor::End);
    let mut words = Vec::new();
    let measured = drawing.lines.iter().filter_map(|line| Some((line, line.transport?)));
    for ((line, transport), index) in measured.zip(0..) {
        let colour = colour(transport);
        let path: Vec<_> =
            line.points.iter().map(|point| (f64::from(x.pixel(point.x)), f64::from(y.pixel(point.y)))).collect();
        sheet.path(&path, &colour, 5.0, false);
        path.iter().for_each(|&at| sheet.mark(transport, at, 10.0));
        let name = dictionary.text(&line.label);
        let at = (f64::from(index % 2) * 300.0, bottom + 110.0 + f64::from(index / 2) * 44.0);
        sheet.mark(transport, (at.0 + 14.0, at.1), 11.0);
        sheet.text((at.0 + 36.0, at.1), &name, INK, Anchor::Start);
        let each = line
            .points
            .iter()
            .map(|point| fill(&texts.point, &Words::from([("x", thousands(point.x as u64)), ("y", short(point.y))])));
        let each = each.collect::<anyhow::Result<Vec<_>>>()?.join("; ");
        words.push(fill(&texts.line, &Words::from([("transport", name), ("points", each)]))?);
    }
    Ok(still(sheet.finish(), words))
}

/// The transport with the lowest cost, as a table; the cell at the top right is that of the question.
pub fn map(map: &Map, texts: &Texts, dictionary: &Dictionary) -> Picture {
    let content = |cell: &Cell| match cell.best {
        Some(best) if best.is_push() => (texts.push.clone(), Transport::WebSocket.name()),
        Some(best) => (dictionary.text(best.label()), best.name()),
        None if cell.cost.is_empty() => (texts.none.clone(), "tie"),
        None => (texts.tie.clone(), "tie"),
    };
    let mut body = String::new();
    for ((label, cells), row) in map.rows.iter().zip(&map.cells).zip(0..map.rows.len()).rev() {
        let cells: String = cells
            .iter()
            .zip(1..)
            .map(|(cell, column)| {
                let (name, kind) = content(cell);
                let is_asked = row + 1 == map.rows.len() && column == map.columns.len();
                let asked = if is_asked { " data-asked" } else { "" };
                let (name, cost) = (escape(&name), escape(&dictionary.text(&cell.cost)));
                format!("<td data-best=\"{kind}\"{asked}>{name} <small>{cost}</small></td>")
            })
            .collect();
        body += &format!("<tr><th scope=\"row\">{}</th>{cells}</tr>\n", escape(label));
    }
    let columns: String =
        map.columns.iter().map(|column| format!("<th scope=\"col\">{}</th>", escape(column))).collect();
    let html = format!(
        "<table class=\"map\">\n<thead><tr><td></td><th colspan=\"{}\">{}</th></tr>\n<tr><th>{}</th>{columns}</tr></thead>\n<tbody>{body}</tbody>\n</table>\n",
        map.columns.len(),
        escape(&texts.map_x),
        escape(&texts.map_y)
    );
    still(html, Vec::new())
}
