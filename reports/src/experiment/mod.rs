//! Experiments: from the facts of each to its title, question, answer, drawings, tables, verdicts and method. Everything here is a pure
//! function of the facts, so a change of a rule or a sentence requires no new measurement.

mod browser;
pub mod capacity;
pub(crate) mod claims;
mod compared;
mod compression;
pub(crate) mod crossover;
pub(crate) mod draw;
mod evidence;
#[cfg(test)]
pub(crate) mod fabricated;
mod fallback;
mod first_event;
mod frames;
mod handshake;
mod header_compression;
mod herd;
mod history;
pub(crate) mod idle;
mod keep_alive;
mod ladder;
mod layers;
mod loss;
pub mod memory;
mod multiplexing;
mod papers;
mod rooms;
#[cfg(test)]
mod rule_cases;
mod shared_feed;
mod sweep;
mod sweeps;
mod tls;
mod token_stream;
pub(crate) mod upstream;

use protocol::experiment::Experiment;
use protocol::facts::Facts;

/// Derives an experiment from its facts. Its list of rounds is empty, since the facts contain them.
///
/// # Errors
/// When the facts are incomplete.
pub fn derive(facts: &Facts) -> anyhow::Result<Experiment> {
    let experiment = match facts {
        Facts::Ladder(facts) => ladder::derive(facts),
        Facts::Idle(facts) => idle::derive(facts)?,
        Facts::PollInterval(facts) => sweeps::poll_interval(facts)?,
        Facts::Delay(facts) => sweeps::delay(facts)?,
        Facts::Rate(facts) => sweeps::rate(facts)?,
        Facts::Payload(facts) => sweeps::payload(facts)?,
        Facts::Subscribers(facts) => sweeps::subscribers(facts)?,
        Facts::Capacity(facts) => capacity::derive(facts)?,
        Facts::Memory(facts) => memory::derive(facts),
        Facts::Compared(facts) => compared::derive(facts)?,
        Facts::Herd(facts) => herd::derive(facts)?,
        Facts::Upstream(facts) => upstream::derive(facts)?,
        Facts::KeepAlive(facts) => keep_alive::derive(facts)?,
        Facts::Handshake(facts) => handshake::derive(facts),
        Facts::Frames(facts) => frames::derive(facts),
        Facts::Tls(facts) => tls::derive(facts)?,
        Facts::Layers(facts) => layers::derive(facts)?,
        Facts::Rooms(facts) => rooms::derive(facts)?,
        Facts::History(facts) => history::derive(facts),
        Facts::Fallback(facts) => fallback::derive(facts),
        Facts::Multiplexing(facts) => multiplexing::derive(facts),
        Facts::HeaderCompression(facts) => header_compression::derive(facts),
        Facts::Compression(facts) => compression::derive(facts),
        Facts::FirstEvent(facts) => first_event::derive(facts),
        Facts::Loss(facts) => loss::derive(facts),
        Facts::SharedFeed(facts) => shared_feed::derive(facts),
        Facts::TokenStream(facts) => token_stream::derive(facts),
        Facts::Browser(facts) => browser::derive(facts),
        Facts::Crossover(facts) => crossover::derive(facts)?,
        Facts::Papers(facts) => papers::derive(facts)?,
        Facts::Sweep(facts) => sweep::derive(facts)?,
    };
    Ok(Experiment { name: facts.name().into(), ..experiment })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use protocol::run::{Part, Run};
    use serde_json::Value;

    use super::*;
    use crate::chapter;

    /// Names of fields with derived sentences.
    const DERIVED: [&str; 10] =
        ["answer", "title", "caption", "question", "label", "why", "verdict", "verdicts", "method", "doubts"];

    /// Every name of a field in a JSON value or schema.
    fn fields(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(map) => map.iter().for_each(|(name, value)| {
                found.insert(name.clone());
                fields(value, found);
            }),
            Value::Array(values) => values.iter().for_each(|value| fields(value, found)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn run(parts: Vec<Part>) -> Run {
        Run { parts, ..fabricated::run_of(fabricated::comparison(&[])) }
    }

    #[test]
    fn facts_have_no_field_for_a_sentence() {
        let mut names = BTreeSet::new();
        for facts in fabricated::facts() {
            let json = serde_json::to_value(&facts).unwrap();
            let mut found = BTreeSet::new();
            fields(&json, &mut found);
            let sentences: Vec<_> = DERIVED.iter().filter(|name| found.contains(**name)).collect();
            assert!(sentences.is_empty(), "{}: {sentences:?}", facts.name());
            if let Facts::Sweep(_) = facts {
                assert_eq!(json["experiment"], "sweep");
            } else {
                assert_eq!(json["experiment"], facts.name());
                assert!(names.insert(facts.name()), "{} twice", facts.name());
            }
        }
        assert_eq!(names.len(), 30);
    }

    #[test]
    fn an_experiment_redrawn_from_run_json_is_the_one_derived_when_it_was_measured() {
        let facts = fabricated::facts();
        let before: Vec<Experiment> = facts.iter().map(|facts| derive(facts).unwrap()).collect();
        for (experiment, facts) in before.iter().zip(&facts) {
            assert_eq!(experiment.name, facts.name());
            assert!(!experiment.title.is_empty() && !experiment.answer.is_empty(), "{}", facts.name());
            assert!(experiment.rounds.is_empty(), "the rounds are stored once, with the facts");
        }
        let parts = std::iter::once(Part::Claims).chain(facts.into_iter().map(Part::Measured));
        let run = run(parts.collect());
        let json = serde_json::to_vec(&run).unwrap();
        let read = crate::parse(&json).unwrap();
        let chapters = chapter::of(&read).unwrap();
        let mut after = chapter::experiments(&chapters).map(|derived| &*derived.experiment);
        let table = claims::table(&before.iter().collect::<Vec<_>>());
        assert_eq!(format!("{table:?}"), format!("{:?}", after.next().unwrap()), "the claims are derived again");
        // As text, since figures that are not numbers are equal to nothing.
        for (before, after) in before.iter().zip(after) {
            assert_eq!(format!("{before:?}"), format!("{after:?}"), "{}", before.name);
        }
    }

    #[test]
    fn incomplete_facts_are_an_error_and_no_panic() {
        let empty = Facts::KeepAlive(protocol::facts::keep_alive::KeepAliveFacts { requests: 0, series: Vec::new() });
        let run = run(vec![Part::Measured(empty)]);
        let error = format!("{:#}", chapter::of(&run).err().unwrap());
        assert_eq!(error, "the facts of the experiment keep-alive: HTTP/1.1 is missing");
    }
}
