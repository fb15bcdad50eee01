//! Parts that the drawings and chapters of several experiments share.

use crate::judge::{failures, warnings};
use protocol::Transport;
use protocol::experiment::{Axis, Line, Point};
use protocol::result::{Comparison, Round};

/// An axis with its label.
pub fn axis(label: &str, logarithmic: bool) -> Axis {
    Axis { label: label.into(), logarithmic }
}

/// A measured line of a transport.
pub fn line(transport: Transport, points: Vec<Point>) -> Line {
    Line { label: transport.label().into(), transport: Some(transport), theory: false, points }
}

/// A measured line that belongs to no transport.
pub fn labelled(label: &str, points: Vec<Point>) -> Line {
    Line { label: label.into(), transport: None, theory: false, points }
}

/// A line of theory that belongs to no transport.
pub fn dashed(label: &str, points: Vec<Point>) -> Line {
    Line { theory: true, ..labelled(label, points) }
}

/// Reasons to doubt some rounds: rejected ones and ones with warnings, a sentence each.
pub fn doubts(comparisons: &[&Comparison]) -> Vec<String> {
    let all = || comparisons.iter().flat_map(|comparison| &comparison.rounds);
    let sentence = |start: &str, reasons: Vec<(&Round, String)>| {
        let (round, reason) = reasons.first()?;
        let transport = round.transport.label();
        Some(format!("{start}: {} of {} rounds, the first of {transport} ({reason}).", reasons.len(), all().count()))
    };
    let rejected = all().filter_map(|round| Some((round, failures(round).first()?.to_string())));
    let warned = all().filter_map(|round| Some((round, warnings(round).first()?.to_string())));
    let rejected = sentence("Rejected and not counted", rejected.collect());
    rejected.into_iter().chain(sentence("Doubtful", warned.collect())).collect()
}
