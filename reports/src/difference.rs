//! What differs between two runs: each figure of each transport, under every load that both have measured.

use std::path::Path;

use anyhow::ensure;
use protocol::experiment::{Drawing, Experiment, Line, Lines, Point, Table};
use protocol::result::{Comparison, Round, Scenario};
use protocol::run::Run;
use protocol::{Histogram, Transport};
use serde_json::Value;

use crate::experiment::draw::{axis, labelled, line};
use crate::judge::{is_sound, warnings};
use crate::number::{short, thousands};
use crate::statistics::{self, MIN_ROUNDS, Ratio};
use crate::summary::{cpu_us, is_cpu_doubtful, supported_quantile};
use crate::{chart, html, servers};

/// A figure of a round that is compared. Lower is better.
pub struct Figure {
    /// Its name in conditions, as in [`crate::table::Column::figure`].
    pub name: &'static str,
    /// Its heading and unit.
    pub heading: &'static str,
    of: fn(&Round) -> Option<f64>,
    is_doubtful: fn(&Round) -> bool,
}

/// The figures, in the order of tables.
pub const FIGURES: [Figure; 4] = [
    Figure { name: "p50", heading: "p50, ms", of: |round| latency_ms(round, 0.5), is_doubtful: is_latency_doubtful },
    Figure { name: "p99", heading: "p99, ms", of: |round| latency_ms(round, 0.99), is_doubtful: is_latency_doubtful },
    Figure { name: "cpu", heading: "server CPU, us/event", of: cpu_us, is_doubtful: is_cpu_doubtful },
    Figure { name: "wire", heading: "wire, B/event", of: wire_bytes, is_doubtful: |_| false },
];

fn latency_ms(round: &Round, quantile: f64) -> Option<f64> {
    supported_quantile(&round.latency_ns, &round.slowest_ns, quantile).map(|ns| ns as f64 / 1e6)
}

fn is_latency_doubtful(round: &Round) -> bool {
    !warnings(round).is_empty()
}

fn wire_bytes(round: &Round) -> Option<f64> {
    let ledger = round.window_ledger.unwrap_or(round.ledger);
    (ledger.events > 0).then(|| ledger.wire_bytes() as f64 / ledger.events as f64)
}

/// How a figure has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// It is significantly lower in the second run.
    Better,
    /// It is significantly higher in the second run.
    Worse,
    /// Equal runs could differ as much.
    NotDistinguishable,
    /// Too few rounds of one of the runs have it.
    Unknown,
}

impl Finding {
    fn in_words(self) -> &'static str {
        match self {
            Self::Better => "better",
            Self::Worse => "worse",
            Self::NotDistinguishable => "not distinguishable",
            Self::Unknown => "not comparable",
        }
    }
}

/// A figure in both runs.
pub struct Change {
    /// The load: the number of subscribers, and the server if it is of another kind.
    pub load: String,
    /// The transport.
    pub transport: Transport,
    /// The figure: an index into [`FIGURES`].
    pub figure: usize,
    /// Its geometric means over the rounds of the first run and of the second.
    pub means: [Option<f64>; 2],
    /// The second over the first, with its interval.
    pub ratio: Option<Ratio>,
    /// Whether they differ.
    pub finding: Finding,
}

/// Two runs, compared.
pub struct Difference<'a> {
    /// The loads that both have measured, from the first run and from the second.
    loads: Vec<[&'a Comparison; 2]>,
    /// All figures, by load and transport.
    pub changes: Vec<Change>,
    /// Reasons to doubt that only what was to be compared differs, in sentences.
    pub warnings: Vec<String>,
}

impl<'a> Difference<'a> {
    /// Compares two runs.
    ///
    /// # Errors
    /// When they have no load and no transport in common.
    pub fn of(before: &'a Run, after: &'a Run) -> anyhow::Result<Self> {
        let same = |one: &Comparison, other: &Comparison| {
            let [one, other] = [&one.scenario, &other.scenario];
            one.subscribers == other.subscribers && one.target == other.target
        };
        let loads: Vec<[&Comparison; 2]> = after
            .comparisons()
            .filter_map(|after| Some([before.comparisons().find(|before| same(before, after))?, after]))
            .collect();
        let mut changes: Vec<Change> = loads.iter().flat_map(|load| changes(*load)).collect();
        ensure!(
            !changes.is_empty(),
            "the two runs have nothing in common: no transport was compared with the same number of subscribers in both"
        );
        let ratios: Vec<Option<Ratio>> = changes.iter().map(|change| change.ratio).collect();
        for (change, differs) in changes.iter_mut().zip(statistics::differing(&ratios, 1)) {
            change.finding = match change.ratio {
                None => Finding::Unknown,
                Some(_) if !differs => Finding::NotDistinguishable,
                Some(ratio) if ratio.estimate > 1.0 => Finding::Worse,
                Some(_) => Finding::Better,
            };
        }
        let warnings = warnings_of(before, after, &loads);
        Ok(Self { loads, changes, warnings })
    }

    /// The comparison as a chapter: the results in sentences, both distributions of latency for each transport, and all figures.
    pub fn chapter(&self) -> Experiment {
        let counted = |finding| self.changes.iter().filter(|change| change.finding == finding).count();
        let differing = self.changes.iter().filter(|change| matches!(change.finding, Finding::Better | Finding::Worse));
        let sentences = differing.filter_map(sentence);
        let summary = format!(
            "Of {} figures, {} are worse, {} are better, {} are not distinguishable and {} are not comparable.",
            self.changes.len(),
            counted(Finding::Worse),
            counted(Finding::Better),
            counted(Finding::NotDistinguishable),
            counted(Finding::Unknown),
        );
        let row = |change: &Change| {
            let mean = |mean: Option<f64>| mean.map_or("-".into(), short);
            vec![
                change.load.clone(),
                change.transport.label().into(),
                FIGURES[change.figure].heading.into(),
                mean(change.means[0]),
                mean(change.means[1]),
                change.ratio.map_or("-".into(), |ratio| in_words(&ratio)),
                change.finding.in_words().into(),
            ]
        };
        Experiment {
            title: "Before and after".into(),
            question: "Which figures differ between two runs?".into(),
            answer: std::iter::once(summary).chain(sentences).collect(),
            doubts: self.warnings.clone(),
            drawings: self.loads.iter().flat_map(|load| curves(*load)).collect(),
            tables: vec![self.overview(), Table {
                title: "All figures".into(),
                columns: ["load", "transport", "figure", "before", "after", "after / before (95 %)", "finding"]
                    .map(Into::into)
                    .to_vec(),
                rows: self.changes.iter().map(row).collect(),
            }],
            method: vec![
                format!(
                    "Each figure is the geometric mean over the sound rounds that are not doubtful; it is compared if {MIN_ROUNDS} rounds of both runs \
                     have it. \
                     Where both runs have the same seed, rounds of the same number had the same events and are compared pair by pair."
                ),
                "A figure counts as different if its interval excludes 1 and its p-value passes Holm's procedure over all figures, so that two runs of \
                 the same program show any difference in at most one of twenty cases."
                    .into(),
                "Rounds of one run vary less than runs on different days, on a machine that others use too. Make both runs in one sitting, or allow for \
                 a margin."
                    .into(),
            ],
            ..Experiment::default()
        }
    }

    /// The ratios, with a row for each transport and a column for each figure.
    fn overview(&self) -> Table {
        let rows = self.changes.chunks(FIGURES.len()).map(|changes| {
            let cell = |change: &Change| match (change.ratio, change.finding) {
                (None, _) => "-".into(),
                (Some(ratio), Finding::Better | Finding::Worse) => {
                    format!("{} {}", short(ratio.estimate), change.finding.in_words())
                }
                (Some(ratio), _) => short(ratio.estimate),
            };
            let first = &changes[0];
            [first.load.clone(), first.transport.label().into()].into_iter().chain(changes.iter().map(cell)).collect()
        });
        let figures = ["p50", "p99", "CPU", "wire"];
        Table {
            title: "After / before; without a word, not distinguishable".into(),
            columns: ["load", "transport"].into_iter().chain(figures).map(Into::into).collect(),
            rows: rows.collect(),
        }
    }

    /// The chapter without the table of all figures, for a terminal.
    pub fn summary(&self) -> Experiment {
        Experiment { tables: vec![self.overview()], ..self.chapter() }
    }

    /// Writes the chapter as a page with its charts into a directory.
    ///
    /// # Errors
    /// When something cannot be drawn or written.
    pub fn write(&self, directory: &Path) -> anyhow::Result<()> {
        let chapter = self.chapter();
        let figures = chart::experiment(&chapter)?;
        for figure in &figures {
            crate::put(directory, &format!("charts/{}.svg", figure.name), figure.svg.as_bytes())?;
        }
        crate::put(directory, "index.html", html::alone(&chapter, &figures).as_bytes())
    }
}

/// The figures of all transports that both comparisons have; whether they differ is decided later.
fn changes([before, after]: [&Comparison; 2]) -> Vec<Change> {
    let paired = before.scenario.seed == after.scenario.seed;
    let both = |transport: &Transport| {
        [before, after].iter().all(|comparison| comparison.rounds_of(*transport).next().is_some())
    };
    let change = |transport: Transport, figure: usize| {
        let values = [before, after].map(|comparison| values(comparison, transport, &FIGURES[figure]));
        let of = |values: &[(u32, f64)]| values.iter().map(|value| value.1).collect::<Vec<f64>>();
        let ratio = match paired {
            true => {
                let pairs = values[1].iter().filter_map(|&(round, after)| {
                    let before = values[0].iter().find(|value| value.0 == round)?.1;
                    Some((after, before))
                });
                let (after, before): (Vec<f64>, Vec<f64>) = pairs.unzip();
                statistics::ratio(&after, &before)
            }
            false => statistics::unpaired_ratio(&of(&values[1]), &of(&values[0])),
        };
        Change {
            load: load(&after.scenario),
            transport,
            figure,
            means: values.map(|values| statistics::geometric_mean(&of(&values)).map(|mean| mean.0)),
            ratio,
            finding: Finding::Unknown,
        }
    };
    let transports = Transport::ALL.into_iter().filter(both);
    transports.flat_map(|transport| (0..FIGURES.len()).map(move |figure| change(transport, figure))).collect()
}

/// A load in words: the number of subscribers, and the server if it is of another kind.
pub fn load(scenario: &Scenario) -> String {
    let subscribers = format!("{} subscribers", thousands(u64::from(scenario.subscribers)));
    match &scenario.target {
        Some(target) => format!("{subscribers} at {target}"),
        None => subscribers,
    }
}

/// A figure of each sound round in which it is not doubtful, with the round's number.
fn values(comparison: &Comparison, transport: Transport, figure: &Figure) -> Vec<(u32, f64)> {
    let sound = comparison.rounds_of(transport).filter(|round| is_sound(round) && !(figure.is_doubtful)(round));
    sound.filter_map(|round| Some((round.round, (figure.of)(round)?))).collect()
}

fn in_words(ratio: &Ratio) -> String {
    format!("{} ({} to {})", short(ratio.estimate), short(ratio.low), short(ratio.high))
}

fn sentence(change: &Change) -> Option<String> {
    let ratio = change.ratio?;
    Some(format!(
        "{} with {}: {} is {}, {} times as much as before.",
        change.transport.label(),
        change.load,
        FIGURES[change.figure].heading.split(',').next().unwrap_or_default(),
        change.finding.in_words(),
        in_words(&ratio)
    ))
}

/// Both distributions of latency, a drawing for each transport.
fn curves([before, after]: [&Comparison; 2]) -> Vec<Drawing> {
    let curve = |comparison: &Comparison, transport: Transport| -> Vec<Point> {
        let sound: Vec<&Round> = comparison.rounds_of(transport).filter(|round| is_sound(round)).collect();
        let mut latency = Histogram::default();
        sound.iter().for_each(|round| latency.merge(&round.latency_ns));
        let points = (0..=150).map(|step| 1.0 - 10f64.powf(-f64::from(step) / 50.0));
        points
            .filter_map(|quantile| {
                Some(Point::new(latency.supported_quantile(quantile)? as f64 / 1e6, (1.0 - quantile) * 100.0))
            })
            .collect()
    };
    let transports = Transport::ALL.into_iter().filter(|&transport| after.rounds_of(transport).any(is_sound));
    transports
        .map(|transport| {
            Drawing::Lines(Lines {
                name: format!("latency-{}-{transport}", servers::anchor(&load(&after.scenario))),
                title: format!("{} with {}", transport.label(), load(&after.scenario)),
                caption: "The share of deliveries that took longer than the time at the bottom, before and after."
                    .into(),
                x: axis("delivery latency in ms", true),
                y: axis("share of deliveries that are later, in %", true),
                lines: vec![
                    labelled("before", curve(before, transport)),
                    Line { label: "after".into(), ..line(transport, curve(after, transport)) },
                ],
            })
        })
        .collect()
}

/// What differs besides the program: the machine, the settings, the versions.
fn warnings_of(before: &Run, after: &Run, loads: &[[&Comparison; 2]]) -> Vec<String> {
    let mut warnings = Vec::new();
    let machines = [before, after].map(|run| &run.environment);
    let facts = [
        ("processor", machines.map(|machine| machine.cpu.clone())),
        ("number of processors", machines.map(|machine| machine.cores.to_string())),
        ("kernel", machines.map(|machine| machine.kernel.clone())),
        ("version of the lab", machines.map(|machine| machine.version.clone())),
    ];
    for (name, [before, after]) in facts {
        if before != after {
            warnings.push(format!("Another {name}: {before} before, {after} after."));
        }
    }
    for (when, run) in [("before", before), ("after", after)] {
        if run.interrupted {
            warnings.push(format!("The run {when} was interrupted."));
        }
    }
    for [before, after] in loads {
        let settings = differing_settings(&before.scenario, &after.scenario);
        if !settings.is_empty() {
            warnings.push(format!("With {}, other settings: {}.", load(&after.scenario), settings.join("; ")));
        }
    }
    warnings
}

/// The settings of two scenarios that differ, but for those that change no figure's meaning.
fn differing_settings(before: &Scenario, after: &Scenario) -> Vec<String> {
    let fields = |scenario| match serde_json::to_value(scenario) {
        Ok(Value::Object(fields)) => fields,
        _ => serde_json::Map::new(),
    };
    let (before, after) = (fields(before), fields(after));
    let compared = after.iter().filter(|(name, _)| !["transports", "seed", "rounds"].contains(&name.as_str()));
    compared
        .filter_map(|(name, value)| {
            let earlier = before.get(name).unwrap_or(&Value::Null);
            (earlier != value).then(|| format!("{name} {earlier} before, {value} after"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::fabricated;

    fn run(factor: f64) -> Run {
        fabricated::run_of(fabricated::comparison(&[(Transport::Sse, factor), (Transport::WebSocket, 1.0)]))
    }

    fn findings(before: &Run, after: &Run, name: &str) -> Vec<(Transport, Finding)> {
        let difference = Difference::of(before, after).unwrap();
        let of_figure = difference.changes.iter().filter(|change| FIGURES[change.figure].name == name);
        of_figure.map(|change| (change.transport, change.finding)).collect()
    }

    #[test]
    fn a_figure_that_doubled_is_worse_and_an_equal_one_is_not_distinguishable() {
        let (before, after) = (run(1.0), run(2.0));
        let sse = (Transport::Sse, Finding::Worse);
        assert_eq!(findings(&before, &after, "cpu"), [sse, (Transport::WebSocket, Finding::NotDistinguishable)]);
        let sse = (Transport::Sse, Finding::Better);
        assert_eq!(findings(&after, &before, "cpu"), [sse, (Transport::WebSocket, Finding::NotDistinguishable)]);
    }

    #[test]
    fn runs_with_another_seed_are_compared_without_pairs_and_other_settings_are_told() {
        let (before, mut after) = (run(1.0), run(2.0));
        let protocol::run::Part::Comparison(comparison) = &mut after.parts[0] else { panic!() };
        (comparison.scenario.seed, comparison.scenario.rate) = (7, 99.0);
        assert_eq!(findings(&before, &after, "cpu")[0], (Transport::Sse, Finding::Worse));
        let warnings = Difference::of(&before, &after).unwrap().warnings;
        assert!(warnings[0].contains("rate 50.0 before, 99.0 after"), "{warnings:?}");
    }

    #[test]
    fn runs_without_a_common_load_are_an_error() {
        let (before, mut after) = (run(1.0), run(1.0));
        let protocol::run::Part::Comparison(comparison) = &mut after.parts[0] else { panic!() };
        comparison.scenario.subscribers = 7;
        let error = Difference::of(&before, &after).err().unwrap().to_string();
        assert!(error.contains("nothing in common"), "{error}");
    }
}
