//! Conditions under which a run fails: a figure beyond a bound, such as `websocket.p99 > 20ms`, or a figure that is worse than in an earlier
//! run, such as `websocket.cpu worse by 10%`.

use std::fmt;
use std::str::FromStr;

use protocol::Transport;
use protocol::run::Run;

use crate::difference::{self, Change, FIGURES, Finding};
use crate::number::short;
use crate::statistics::MIN_ROUNDS;
use crate::summary::rows;
use crate::table::{COLUMNS, Column};

/// A condition under which a run fails. Without a transport it applies to each, without a figure to every one that is compared.
#[derive(Debug, Clone, PartialEq)]
pub struct Threshold {
    text: String,
    transport: Option<Transport>,
    condition: Condition,
}

#[derive(Debug, Clone, PartialEq)]
enum Condition {
    /// A figure, an index into [`COLUMNS`], is beyond a bound, in the column's unit.
    Beyond { column: usize, relation: Relation, bound: f64 },
    /// A figure, an index into [`FIGURES`], is significantly worse than before, by more than a factor.
    Worse { figure: Option<usize>, factor: f64 },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relation {
    Above,
    Below,
}

/// The error of a text that is not a condition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}; a condition is like 'websocket.p99 > 20ms', 'cpu > 50us' or 'websocket.cpu worse by 10%'")]
pub struct NoThreshold(String);

impl Threshold {
    /// Whether it needs an earlier run.
    pub fn needs_baseline(&self) -> bool {
        matches!(self.condition, Condition::Worse { .. })
    }

    /// The transport that it is about, if it is about one.
    pub fn transport(&self) -> Option<Transport> {
        self.transport
    }

    /// Where the run breaks it: a sentence for each figure. A figure that was not measured breaks it, too. `changes` are those against the
    /// earlier run.
    pub fn broken(&self, run: &Run, changes: &[Change]) -> Vec<String> {
        let is_ours = |transport: Transport| self.transport.is_none_or(|ours| ours == transport);
        match self.condition {
            Condition::Beyond { column, relation, bound } => {
                let Column { heading, unit, value, .. } = &COLUMNS[column];
                let of = |comparison: &protocol::result::Comparison| {
                    let load = difference::load(&comparison.scenario);
                    let rows = rows(comparison).into_iter().filter(|row| is_ours(row.transport));
                    let broken = rows.filter_map(|row| {
                        let about = format!("{self}: {} with {load}", row.transport.label());
                        match value(&row) {
                            None => Some(format!("{about}: {heading} was not measured")),
                            Some(value) if relation.is_met(value, bound) => {
                                Some(format!("{about}: {heading} is {} {unit}", short(value)))
                            }
                            Some(_) => None,
                        }
                    });
                    broken.collect::<Vec<_>>()
                };
                run.comparisons().flat_map(of).collect()
            }
            Condition::Worse { figure, factor } => {
                let of_figure = |change: &&Change| figure.is_none_or(|figure| figure == change.figure);
                let ours: Vec<&Change> =
                    changes.iter().filter(of_figure).filter(|change| is_ours(change.transport)).collect();
                if ours.iter().all(|change| change.finding == Finding::Unknown) {
                    return vec![format!(
                        "{self}: nothing could be compared: a run has fewer than {MIN_ROUNDS} sound rounds with the figure, or the baseline lacks it"
                    )];
                }
                ours.into_iter()
                    .filter_map(|change| {
                        let ratio = change.ratio.filter(|_| change.finding == Finding::Worse)?;
                        (ratio.low > factor).then(|| {
                            format!(
                                "{self}: {} with {}: {} is {} times as much as before (95 %: {} to {})",
                                change.transport.label(),
                                change.load,
                                FIGURES[change.figure].heading,
                                short(ratio.estimate),
                                short(ratio.low),
                                short(ratio.high)
                            )
                        })
                    })
                    .collect()
            }
        }
    }
}

impl Relation {
    fn is_met(self, value: f64, bound: f64) -> bool {
        match self {
            Self::Above => value > bound,
            Self::Below => value < bound,
        }
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Threshold {
    type Err = NoThreshold;

    fn from_str(text: &str) -> Result<Self, NoThreshold> {
        let text = text.trim();
        let wrong = |what: String| NoThreshold(what);
        let (transport, condition) = if let Some((subject, percent)) = text.split_once("worse by") {
            let percent = percent.trim();
            let number = percent.strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
            let number = number.filter(|number| (0.0..=1_000.0).contains(number));
            let number = number.ok_or_else(|| wrong(format!("'{percent}' is not a percentage from 0% to 1000%")))?;
            let (transport, name) = divided(subject.trim()).map_err(wrong)?;
            let named = |name: &str| FIGURES.iter().position(|figure| figure.name == name);
            let figure = match name {
                "" => None,
                name => Some(named(name).ok_or_else(|| {
                    wrong(format!("'{name}' is not compared with an earlier run; p50, p99, cpu and wire are"))
                })?),
            };
            (transport, Condition::Worse { figure, factor: 1.0 + number / 100.0 })
        } else {
            let (at, relation) = match (text.find('>'), text.find('<')) {
                (Some(at), None) => (at, Relation::Above),
                (None, Some(at)) => (at, Relation::Below),
                _ => return Err(wrong(format!("'{text}' has neither > nor < nor 'worse by'"))),
            };
            let (transport, name) = divided(text[..at].trim()).map_err(wrong)?;
            let column = COLUMNS.iter().position(|column| column.figure == name).ok_or_else(|| {
                let known: Vec<_> = COLUMNS.iter().map(|column| column.figure).collect();
                wrong(format!("no figure is called '{name}'; there are {}", known.join(", ")))
            })?;
            let bound = bound(text[at + 1..].trim(), COLUMNS[column].unit).map_err(wrong)?;
            (transport, Condition::Beyond { column, relation, bound })
        };
        Ok(Self { text: text.into(), transport, condition })
    }
}

/// The transport before the point, if there is one, and the figure after it. Figures have points of their own: p99.9.
fn divided(subject: &str) -> Result<(Option<Transport>, &str), String> {
    let is_figure = |name: &str| COLUMNS.iter().any(|column| column.figure == name);
    if subject.is_empty() || is_figure(subject) {
        return Ok((None, subject));
    }
    let (transport, figure) = subject.split_once('.').unwrap_or((subject, ""));
    match transport.parse() {
        Ok(transport) => Ok((Some(transport), figure)),
        Err(error) if subject.contains('.') => Err(format!("{error}")),
        Err(_) => Err(format!("'{subject}' is neither a figure nor a transport")),
    }
}

/// A bound with its unit, converted to the unit of a column.
fn bound(text: &str, unit: &str) -> Result<f64, String> {
    let units: &[(&str, f64)] = match unit {
        "ms" => &[("us", 1e-3), ("ms", 1.0), ("s", 1e3)],
        "us/event" => &[("us", 1.0), ("ms", 1e3)],
        "B/event" | "B/connection" => &[("kB", 1e3), ("B", 1.0)],
        "%" | "% of requests" => &[("%", 1.0)],
        _ => &[("", 1.0)],
    };
    let value = |(name, factor): &(&str, f64)| {
        let number = text.strip_suffix(name)?.trim().parse::<f64>().ok()?;
        (number.is_finite() && number >= 0.0).then_some(number * factor)
    };
    units.iter().find_map(value).ok_or_else(|| {
        let names: Vec<String> = units.iter().map(|(name, _)| format!("20{name}")).collect();
        format!("'{text}' is not a bound of this figure; write it like {}", names.join(" or "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::difference::Difference;
    use crate::experiment::fabricated;

    fn parsed(text: &str) -> Threshold {
        text.parse().unwrap()
    }

    #[test]
    fn bounds_have_the_units_of_their_figures() {
        let bound = |text: &str| match parsed(text).condition {
            Condition::Beyond { bound, .. } => bound,
            Condition::Worse { factor, .. } => factor,
        };
        assert_eq!((bound("websocket.p99 > 20ms"), bound("p99.9 > 0.5s"), bound("p50>500us")), (20.0, 500.0, 0.5));
        assert_eq!((bound("sse@h2.cpu > 1ms"), bound("wire > 2kB"), bound("requests < 0.5")), (1_000.0, 2_000.0, 0.5));
        assert_eq!((bound("worse by 10%"), bound("websocket.cpu worse by 50 %")), (1.1, 1.5));
        assert_eq!(parsed("sse@h2.cpu > 1ms").transport(), Some(Transport::SseH2));
        assert_eq!(parsed("long-polling worse by 5%").transport(), Some(Transport::LongPolling));
    }

    #[test]
    fn the_error_names_what_is_wrong_and_what_would_be_right() {
        for (text, fault) in [
            ("websocket.p98 > 20ms", "no figure is called 'p98'; there are p50, p99"),
            ("telegraph.p99 > 20ms", "no transport is called 'telegraph'"),
            ("telegraph > 20ms", "neither a figure nor a transport"),
            ("p99 20ms", "neither > nor <"),
            ("p99 > 20", "write it like 20us or 20ms or 20s"),
            ("p99 > -1ms", "is not a bound"),
            ("worse by much", "'much' is not a percentage"),
            ("busy worse by 5%", "'busy' is not compared"),
        ] {
            let error = text.parse::<Threshold>().unwrap_err().to_string();
            assert!(error.contains(fault) && error.contains("a condition is like"), "{text}: {error}");
        }
    }

    #[test]
    fn a_figure_beyond_its_bound_breaks_a_condition_and_so_does_one_that_was_not_measured() {
        let run = |factor| fabricated::run_of(fabricated::comparison(&[(Transport::Sse, factor)]));
        let (before, after) = (run(1.0), run(2.0));
        let difference = Difference::of(&before, &after).unwrap();
        let broken = |text: &str| parsed(text).broken(&after, &difference.changes);
        assert!(broken("sse.cpu worse by 50%")[0].starts_with("sse.cpu worse by 50%: SSE with 20 subscribers"));
        assert_eq!((broken("sse.cpu worse by 150%").len(), broken("websocket.cpu worse by 1%").len()), (0, 1));
        assert_eq!((broken("cpu > 1us").len(), broken("sse.cpu > 1ms").len(), broken("cpu < 1ms").len()), (1, 0, 1));
        assert!(broken("sse.p99.9 > 1s")[0].contains("was not measured"));
        assert!(broken("p99 worse by 1%")[0].contains("nothing could be compared"));
    }
}
