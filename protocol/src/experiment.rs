//! What an experiment found, worked out as far as a reader needs it: the answer, drawings as numbers, tables, verdicts.
//!
//! A drawing is kept as the numbers that are drawn, so that a report shows nothing that does not stand in `run.json`; the raw
//! rounds behind them, where there are any, stand beside it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Transport;
use crate::result::Comparison;

/// What an experiment found.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Experiment {
    /// Its name on the command line and in links.
    pub name: String,
    /// Its heading.
    pub title: String,
    /// What it asks.
    pub question: String,
    /// What it found, a sentence each.
    pub answer: Vec<String>,
    /// What makes it doubtful, a sentence each.
    pub doubts: Vec<String>,
    /// Its figures.
    pub drawings: Vec<Drawing>,
    /// Its tables.
    pub tables: Vec<Table>,
    /// What it says of claims that course notes make.
    pub verdicts: Vec<Verdict>,
    /// How it was done, and where its limits are, a sentence each.
    pub method: Vec<String>,
    /// The rounds behind it, one comparison for each setting.
    pub rounds: Vec<Comparison>,
}

/// A figure, as the numbers that are drawn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Drawing {
    /// Figures over a factor.
    Lines(Lines),
    /// Which transport is best where.
    Map(Map),
    /// What went over a wire, and when.
    Ladder(Ladder),
}

/// Figures over a factor, a line each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Lines {
    /// Its file's name without the ending.
    pub name: String,
    /// What is to be seen.
    pub title: String,
    /// How to read it.
    pub caption: String,
    /// The factor.
    pub x: Axis,
    /// The figure.
    pub y: Axis,
    /// The lines.
    pub lines: Vec<Line>,
}

/// An axis.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Axis {
    /// What it shows, unit included.
    pub label: String,
    /// Whether it is logarithmic.
    pub logarithmic: bool,
}

/// One line of a drawing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Line {
    /// Its name.
    pub label: String,
    /// The transport whose colour and mark it has, where it is one's.
    pub transport: Option<Transport>,
    /// Whether it is theory, drawn dashed, and not measured.
    pub theory: bool,
    /// Its points, from left to right.
    pub points: Vec<Point>,
}

/// A point of a line.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Point {
    /// The factor.
    pub x: f64,
    /// The figure: the mean over rounds, where there are several.
    pub y: f64,
    /// Its 95 % interval over rounds, where they carry one.
    pub interval: Option<(f64, f64)>,
}

impl Point {
    /// A point without an interval.
    pub fn new(x: f64, y: f64) -> Self {
        Self { x, y, interval: None }
    }
}

/// Which transport costs least, over two factors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Map {
    /// Its file's name without the ending.
    pub name: String,
    /// What is to be seen.
    pub title: String,
    /// How to read it.
    pub caption: String,
    /// The factor from left to right.
    pub x: String,
    /// Its values, as text.
    pub columns: Vec<String>,
    /// The factor from bottom to top.
    pub y: String,
    /// Its values, as text.
    pub rows: Vec<String>,
    /// The cells, row by row from the bottom.
    pub cells: Vec<Vec<Cell>>,
}

/// A cell of a map.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Cell {
    /// The transport that costs least; `None` where none is fast enough, or several cost about the same.
    pub best: Option<Transport>,
    /// What it costs, with its unit.
    pub cost: String,
    /// How it stands to the next: "WebSocket: 1.8 times that".
    pub against: String,
}

/// What went between a client and the server, and when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Ladder {
    /// Its file's name without the ending.
    pub name: String,
    /// What is to be seen.
    pub title: String,
    /// How to read it.
    pub caption: String,
    /// The transport.
    pub transport: Transport,
    /// The time shown, in ms.
    pub length_ms: f64,
    /// What crossed the wire, in the order in which it was sent.
    pub crossings: Vec<Crossing>,
    /// When events were published, in ms.
    pub published_ms: Vec<f64>,
    /// When the client had them, in ms.
    pub delivered_ms: Vec<f64>,
}

/// Bytes that went one way at once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Crossing {
    /// Whether they went from the client to the server.
    pub up: bool,
    /// When they left, in ms.
    pub left_ms: f64,
    /// When they arrived, in ms.
    pub arrived_ms: f64,
    /// How many they were.
    pub bytes: u64,
    /// What they were.
    pub label: String,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Table {
    /// What it shows.
    pub title: String,
    /// The headings, the first one that of the rows' names.
    pub columns: Vec<String>,
    /// The rows; each has a cell for each column.
    pub rows: Vec<Vec<String>>,
}

/// What was found of a claim.
///
/// The prediction, what refutes it, the working point and where the verdict turns are part of the result, so that a reader can
/// judge the verdict without the program. Results that were written before these fields existed leave them empty.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// The claim's number in the ledger of claims.
    pub claim: u32,
    /// What is claimed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub statement: String,
    /// Whether the claim was tested or only demonstrated.
    #[serde(default, skip_serializing_if = "Kind::is_test")]
    pub kind: Kind,
    /// How it stands.
    pub standing: Standing,
    /// The figure that says so, with the load under which it was measured.
    pub figure: String,
    /// Why, and within which limits, in a line.
    pub why: String,
    /// What must be measured if the claim is true.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prediction: String,
    /// The measurement that would refute it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub refuted_by: String,
    /// The load and the settings: subscribers, events a second, delay, poll interval, payload, as far as they matter.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub working_point: String,
    /// Where between the working points the verdict turns, or between which it does not.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub turns_at: String,
    /// The experiment that came to it; empty in that experiment's own chapter.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub experiment: String,
}

/// What kind of evidence a verdict rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A measurement that can come out either way.
    #[default]
    Test,
    /// A definition, shown at work: a standard or the construction of the lab settles it, and no measurement could.
    Demonstration,
}

impl Kind {
    fn is_test(&self) -> bool {
        *self == Self::Test
    }
}

/// How a claim stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Measured, and so.
    Holds,
    /// So under conditions, which are named.
    HoldsWithinLimits,
    /// Measured, and not so.
    DoesNotHold,
    /// It was so once.
    Outdated,
    /// The run cannot tell: an interval spans the bound, or too few rounds are sound.
    #[serde(alias = "not_shown")]
    NotMeasurable,
    /// Nothing here can test it yet.
    #[default]
    NotYet,
}

impl Standing {
    /// All of them, in the order in which they are counted.
    pub const ALL: [Standing; 6] =
        [Self::Holds, Self::HoldsWithinLimits, Self::DoesNotHold, Self::Outdated, Self::NotMeasurable, Self::NotYet];

    /// The words for people.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::HoldsWithinLimits => "holds within limits",
            Self::DoesNotHold => "does not hold",
            Self::Outdated => "outdated",
            Self::NotMeasurable => "not measurable here",
            Self::NotYet => "not yet tested",
        }
    }

    /// The words for so many claims that stand so: "15 hold".
    pub fn counted(self, count: usize) -> String {
        let words = match (self, count) {
            (Self::Holds, 1) => "holds",
            (Self::Holds, _) => "hold",
            (Self::HoldsWithinLimits, 1) => "holds within limits",
            (Self::HoldsWithinLimits, _) => "hold within limits",
            (Self::DoesNotHold, 1) => "does not hold",
            (Self::DoesNotHold, _) => "do not hold",
            (Self::Outdated, 1) => "is outdated",
            (Self::Outdated, _) => "are outdated",
            (Self::NotMeasurable, 1) => "is not measurable here",
            (Self::NotMeasurable, _) => "are not measurable here",
            (Self::NotYet, 1) => "is not yet tested",
            (Self::NotYet, _) => "are not yet tested",
        };
        format!("{count} {words}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_written_before_the_working_point_was_kept_still_loads() {
        let old = r#"{"claim":7,"standing":"not_shown","figure":"f","why":"w"}"#;
        let verdict: Verdict = serde_json::from_str(old).unwrap();
        assert_eq!((verdict.standing, verdict.kind), (Standing::NotMeasurable, Kind::Test));
        assert_eq!(verdict.working_point, "");
        let new = serde_json::to_string(&Verdict { standing: Standing::Holds, ..verdict }).unwrap();
        assert_eq!(new, old.replace("not_shown", "holds"), "what is empty is not written");
    }
}
