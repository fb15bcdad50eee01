//! A sequence diagram: time runs down, an arrow is what one side sent at once, and a band on the server's line is an event that waits there.

use protocol::experiment::Ladder;

use super::sheet::{Anchor, FAINT, INK, Sheet, WIDTH, apart, colour};
use crate::waiting;

const HEIGHT: f64 = 520.0;
/// The horizontal positions of the client's and the server's line.
const CLIENT: f64 = 400.0;
const SERVER: f64 = 690.0;
/// The heights at which time begins and ends.
const FROM: f64 = 48.0;
const TO: f64 = HEIGHT - 16.0;

/// Draws the messages of a transport.
pub fn draw(drawing: &Ladder) -> String {
    let y = |ms: f64| FROM + (ms / drawing.length_ms).clamp(0.0, 1.0) * (TO - FROM);
    let colour = colour(drawing.transport);
    let mut sheet = Sheet::new(WIDTH, HEIGHT);
    for (line, name) in [(CLIENT, "client"), (SERVER, "server")] {
        sheet.line((line, FROM), (line, TO), INK, 3.0);
        sheet.bold((line, 18.0), name, Anchor::Middle);
    }
    for (published, sent) in waiting::of_ladder(drawing) {
        sheet.line((SERVER, y(published)), (SERVER, y(sent)), &colour, 14.0);
    }
    let (mut from_client, mut from_server) = (Vec::new(), Vec::new());
    for message in drawing.messages.iter().filter(|message| message.left_ms <= drawing.length_ms) {
        let (from, to) = if message.up { (CLIENT, SERVER) } else { (SERVER, CLIENT) };
        sheet.arrow((from, y(message.left_ms)), (to, y(message.arrived_ms)), &colour, 3.0);
        let column = if message.up { &mut from_client } else { &mut from_server };
        column.push((y(message.left_ms), message.label.clone()));
    }
    column(&mut sheet, &from_client, CLIENT - 18.0, Anchor::End, INK);
    column(&mut sheet, &from_server, SERVER + 22.0, Anchor::Start, INK);
    let numbered = |times: &[f64]| -> Vec<(f64, usize)> { times.iter().map(|&ms| y(ms)).zip(1..).collect() };
    let published: Vec<_> = numbered(&drawing.published_ms)
        .into_iter()
        .map(|(at, number)| (at, format!("event {number} published")))
        .collect();
    let waits =
        drawing.delivered_ms.iter().zip(&drawing.published_ms).map(|(delivered, published)| delivered - published);
    let delivered: Vec<_> = numbered(&drawing.delivered_ms)
        .into_iter()
        .zip(waits)
        .map(|((at, number), wait)| (at, format!("event {number}: {wait:.0} ms")))
        .collect();
    for (times, line) in [(&published, SERVER), (&delivered, CLIENT)] {
        times.iter().for_each(|(at, _)| sheet.circle((line, *at), 8.0, INK));
    }
    column(&mut sheet, &published, WIDTH, Anchor::End, FAINT);
    column(&mut sheet, &delivered, 0.0, Anchor::Start, FAINT);
    sheet.finish()
}

/// A column of labels, each at its height, moved apart where they would overlap.
fn column(sheet: &mut Sheet, labels: &[(f64, String)], at: f64, anchor: Anchor, colour: &str) {
    let mut labels = labels.to_vec();
    labels.sort_by(|one, other| one.0.total_cmp(&other.0));
    let wanted: Vec<f64> = labels.iter().map(|label| label.0).collect();
    for ((_, text), height) in labels.iter().zip(apart(&wanted, TO)) {
        sheet.text((at, height), text, colour, anchor);
    }
}
