//! Draws the ladders of a recorded run like the lanes of the live page: one lane for each transport, with time from left to right.

use protocol::experiment::Ladder;
use protocol::transport::Family;

use super::sheet::{Anchor, FAINT, GRID, INK, Sheet, colour};
use crate::waiting;

/// The width within the frame of a live page.
const WIDTH: f64 = 1116.0;
const LANE: f64 = 84.0;
/// The left end of a lane's lines, and the distances of the server's and the client's line from the top of the lane.
const LEFT: f64 = 276.0;
const SERVER: f64 = 16.0;
const CLIENT: f64 = 68.0;
const AXIS: f64 = 38.0;

/// Draws the ladders of the lanes that the live page shows at first; the text is empty if there are none.
pub fn draw(ladders: &[&Ladder]) -> String {
    let is_shown = |ladder: &&&Ladder| {
        let row = ladder.transport.row();
        row.family == Family::Today && row.browser.is_some()
    };
    let lanes: Vec<_> = ladders.iter().filter(is_shown).collect();
    let Some(length) = lanes.iter().map(|lane| lane.length_ms).reduce(f64::max) else { return String::new() };
    let x = |ms: f64| LEFT + ms.clamp(0.0, length) / length * (WIDTH - LEFT - 54.0);
    let height = lanes.len() as f64 * LANE + AXIS;
    let mut sheet = Sheet::new(WIDTH, height);
    for tick in 0..=4 {
        let ms = f64::from(tick) * length / 4.0;
        sheet.line((x(ms), 0.0), (x(ms), height - AXIS), GRID, 1.0);
        sheet.text((x(ms), height - AXIS / 2.0), &format!("{ms:.0} ms"), FAINT, Anchor::Middle);
    }
    for (lane, top) in lanes.iter().zip(0..) {
        draw_lane(&mut sheet, lane, f64::from(top) * LANE, &x);
    }
    sheet.finish()
}

fn draw_lane(sheet: &mut Sheet, lane: &Ladder, top: f64, x: &impl Fn(f64) -> f64) {
    let colour = colour(lane.transport);
    let (server, client) = (top + SERVER, top + CLIENT);
    let bytes: u64 = lane.messages.iter().map(|message| message.bytes).sum();
    let waits = lane.delivered_ms.iter().zip(&lane.published_ms).map(|(delivered, published)| delivered - published);
    let longest = waits.fold(0.0, f64::max);
    sheet.line((0.0, top), (WIDTH, top), GRID, 1.0);
    sheet.rectangle((0.0, top), (8.0, LANE), &colour, 1.0);
    sheet.bold((20.0, top + 26.0), lane.transport.label(), Anchor::Start);
    sheet.text((20.0, top + 58.0), &format!("up to {longest:.0} ms, {bytes} B"), FAINT, Anchor::Start);
    for y in [server, client] {
        sheet.line((x(0.0), y), (x(lane.length_ms), y), INK, 1.5);
    }
    for (published, sent) in waiting::of_ladder(lane) {
        sheet.line((x(published), server), (x(sent), server), &colour, 8.0);
    }
    for message in lane.messages.iter().filter(|message| message.left_ms <= lane.length_ms) {
        let (from, to) = if message.up { (client, server) } else { (server, client) };
        let carries = message.label.contains("event");
        let ends = ((x(message.left_ms), from), (x(message.arrived_ms), to));
        sheet.arrow(ends.0, ends.1, if carries { &colour } else { FAINT }, if carries { 3.0 } else { 1.5 });
    }
    for (times, y, fill) in [(&lane.published_ms, server, INK), (&lane.delivered_ms, client, &*colour)] {
        times.iter().for_each(|&at| sheet.circle((x(at), y), 6.0, fill));
    }
}
