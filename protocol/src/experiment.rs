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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// The claim's number in the ledger of claims.
    pub claim: u32,
    /// How it stands.
    pub standing: Standing,
    /// The figure that says so.
    pub figure: String,
    /// Why, and within which limits, in a line.
    pub why: String,
}

/// How a claim stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
    /// Measured, and the rounds do not show it either way.
    NotShown,
    /// Nothing here can test it yet.
    NotYet,
}

impl Standing {
    /// The words for people.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::HoldsWithinLimits => "holds within limits",
            Self::DoesNotHold => "does not hold",
            Self::Outdated => "outdated",
            Self::NotShown => "not shown",
            Self::NotYet => "not yet",
        }
    }
}
