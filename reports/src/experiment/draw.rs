//! Parts that the drawings and chapters of several experiments share.

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
    let rejected: Vec<_> = all().filter(|round| !round.is_sound()).collect();
    let warned: Vec<_> = all().filter(|round| !round.warnings.is_empty()).collect();
    let sentence = |start: &str, some: &[&Round], why: &str| {
        let transport = some[0].transport.label();
        format!("{start}: {} of {} rounds, the first of {transport} ({why}).", some.len(), all().count())
    };
    let mut doubts = Vec::new();
    if !rejected.is_empty() {
        doubts.push(sentence("Rejected and not counted", &rejected, &rejected[0].failures[0]));
    }
    if !warned.is_empty() {
        doubts.push(sentence("Doubtful", &warned, &warned[0].warnings[0]));
    }
    doubts
}
