//! The chapter of an experiment: its answer, drawings as numbers, tables and verdicts.
//!
//! The `reports` crate derives it from the facts in `run.json` each time a report is drawn. Earlier versions stored it in `run.json`, with
//! the rounds that it was derived from, so it can still be read from there.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Transport;
use crate::result::Comparison;

/// The chapter of an experiment.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Experiment {
    /// Its name on the command line and in links.
    pub name: String,
    /// Its heading.
    pub title: String,
    /// Its question.
    pub question: String,
    /// Its answer, in sentences.
    pub answer: Vec<String>,
    /// Reasons to doubt it, in sentences.
    pub doubts: Vec<String>,
    /// Its figures.
    pub drawings: Vec<Drawing>,
    /// Its tables.
    pub tables: Vec<Table>,
    /// Its verdicts on claims of course notes.
    pub verdicts: Vec<Verdict>,
    /// Its method and its limits, in sentences.
    pub method: Vec<String>,
    /// The rounds that it was derived from, one comparison for each setting, where an earlier version stored it; otherwise empty.
    pub rounds: Vec<Comparison>,
}

/// A figure, as the numbers that are drawn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Drawing {
    /// Figures over a factor.
    Lines(Lines),
    /// The best transport over two factors.
    Map(Map),
    /// Messages on the wire over time.
    Ladder(Ladder),
}

/// Figures over a factor, a line each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Lines {
    /// Its file's name without the ending.
    pub name: String,
    /// Its title: the result in a sentence.
    pub title: String,
    /// Its caption: how to read it.
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
    /// Its label, with the unit.
    pub label: String,
    /// Whether it is logarithmic.
    pub logarithmic: bool,
}

/// One line of a drawing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Line {
    /// Its name.
    pub label: String,
    /// The transport whose colour and marker it has; `None` for a line that belongs to no transport.
    pub transport: Option<Transport>,
    /// Whether it shows theory, drawn dashed, instead of measurements.
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
    /// Its 95 % interval over rounds, where there are enough of them.
    pub interval: Option<(f64, f64)>,
}

impl Point {
    /// A point without an interval.
    pub fn new(x: f64, y: f64) -> Self {
        Self { x, y, interval: None }
    }
}

/// The transport with the lowest cost, over two factors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Map {
    /// Its file's name without the ending.
    pub name: String,
    /// Its title: the result in a sentence.
    pub title: String,
    /// Its caption: how to read it.
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
    /// Its cost, with the unit.
    pub cost: String,
    /// The comparison with the next: "WebSocket: 1.8 times that".
    pub against: String,
}

/// The messages between a client and the server over time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Ladder {
    /// Its file's name without the ending.
    pub name: String,
    /// Its title: the result in a sentence.
    pub title: String,
    /// Its caption: how to read it.
    pub caption: String,
    /// The transport.
    pub transport: Transport,
    /// The time shown, in ms.
    pub length_ms: f64,
    /// The messages, in the order in which they were sent.
    #[serde(alias = "crossings")]
    pub messages: Vec<Message>,
    /// When events were published, in ms.
    pub published_ms: Vec<f64>,
    /// When the client had decoded them, in ms.
    pub delivered_ms: Vec<f64>,
}

/// Bytes that went one way at once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Message {
    /// Whether they went from the client to the server.
    pub up: bool,
    /// When they left, in ms.
    pub left_ms: f64,
    /// When they arrived, in ms.
    pub arrived_ms: f64,
    /// How many they were.
    pub bytes: u64,
    /// A label for them.
    pub label: String,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Table {
    /// Its title.
    pub title: String,
    /// The headings; the first is that of the rows' names.
    pub columns: Vec<String>,
    /// The rows; each has a cell for each column.
    pub rows: Vec<Vec<String>>,
}

/// The verdict on a claim.
///
/// The prediction, what would refute it, the working point and where the verdict turns are included, so that a reader can judge the verdict
/// without the program. They are empty in results from before these fields existed.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// The claim's number in the table of claims.
    pub claim: u32,
    /// The claim.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub statement: String,
    /// Whether the claim was tested or only demonstrated.
    #[serde(default, skip_serializing_if = "Kind::is_test")]
    pub kind: Kind,
    /// Its status.
    #[serde(alias = "standing")]
    pub status: Status,
    /// The measured figures, with the load under which they were measured.
    pub figure: String,
    /// The reason, and the limits.
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
    /// The experiment that derived it; empty in that experiment's own chapter.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub experiment: String,
}

/// The kind of evidence of a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A measurement that can come out either way.
    #[default]
    Test,
    /// A demonstration of a definition: a standard or the design of the server settles it, and no measurement could.
    Demonstration,
}

impl Kind {
    fn is_test(&self) -> bool {
        *self == Self::Test
    }
}

/// The status of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Measured and true.
    Holds,
    /// True under conditions, which the verdict names.
    HoldsWithinLimits,
    /// Measured and false.
    DoesNotHold,
    /// True of an earlier version of a protocol.
    Outdated,
    /// The measurement is too uncertain: an interval spans the bound, or too few rounds are sound.
    #[serde(alias = "not_shown")]
    NotMeasurable,
    /// There is no test of it yet.
    #[default]
    NotYet,
}

impl Status {
    /// All of them, in the order of summaries.
    pub const ALL: [Self; 6] =
        [Self::Holds, Self::HoldsWithinLimits, Self::DoesNotHold, Self::Outdated, Self::NotMeasurable, Self::NotYet];

    /// The status in words.
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

    /// The words for a number of claims with this status: "15 hold".
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
        assert_eq!((verdict.status, verdict.kind), (Status::NotMeasurable, Kind::Test));
        assert_eq!(verdict.working_point, "");
        let new = serde_json::to_string(&Verdict { status: Status::Holds, ..verdict }).unwrap();
        let expected = old.replace("standing", "status").replace("not_shown", "holds");
        assert_eq!(new, expected, "empty fields are not written");
    }
}
