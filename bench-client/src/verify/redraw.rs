//! A result is complete: a report that is drawn again from `run.json` is the same, byte for byte. And rounds are interleaved.

use std::collections::BTreeMap;
use std::path::Path;
use std::{env, fs, process};

use protocol::Transport;
use protocol::result::{Comparison, Scenario};
use protocol::run::{Part, Run, SCHEMA_VERSION};

use super::Finding;
use crate::environment::Monitor;
use crate::round::series;

pub fn check(comparison: &Comparison) -> anyhow::Result<Vec<Finding>> {
    let order = series::order(&[Scenario { rounds: 5, ..comparison.scenario.clone() }]);
    let run = Run {
        schema_version: SCHEMA_VERSION,
        command: "verify".into(),
        environment: Monitor::start().finish(),
        interrupted: false,
        parts: vec![Part::Comparison(comparison.clone())],
    };
    let directory = env::temp_dir().join(format!("transport-lab-verify-{}", process::id()));
    let drawn = (|| {
        reports::write(&run, &directory.join("first"))?;
        reports::write(&reports::read(&directory.join("first/run.json"))?, &directory.join("second"))?;
        anyhow::Ok((files(&directory.join("first"))?, files(&directory.join("second"))?))
    })();
    let _ = fs::remove_dir_all(&directory);
    let (first, second) = drawn?;
    Ok(vec![judge_files(&first, &second), judge_order(&order)])
}

type Files = BTreeMap<String, Vec<u8>>;

fn files(directory: &Path) -> anyhow::Result<Files> {
    let mut files = Files::new();
    for folder in [directory.to_path_buf(), directory.join("charts")] {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                files.insert(entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path())?);
            }
        }
    }
    Ok(files)
}

fn judge_files(first: &Files, second: &Files) -> Finding {
    let differing = first.iter().filter(|(name, bytes)| second.get(*name) != Some(bytes)).count();
    Finding {
        requirement: "a report drawn again from its run.json is the same",
        measured: format!("{} files, {differing} differ", first.len()),
        bound: "0 differ".into(),
        passed: !first.is_empty() && differing == 0 && first.len() == second.len(),
    }
}

fn judge_order(order: &[(u32, usize, Transport)]) -> Finding {
    let passes: Vec<Vec<Transport>> =
        order.chunk_by(|a, b| a.0 == b.0).map(|pass| pass.iter().map(|round| round.2).collect()).collect();
    let complete = passes.iter().all(|pass| Transport::ALL.iter().all(|transport| pass.contains(transport)));
    let shuffled = passes.iter().any(|pass| pass != &passes[0]);
    Finding {
        requirement: "rounds are interleaved, each pass in a different order",
        measured: format!("{} passes, {}", passes.len(), if shuffled { "orders differ" } else { "one order" }),
        bound: "all transports in each, orders differ".into(),
        passed: complete && shuffled,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_differing_file_and_rounds_in_blocks_are_found() {
        let files = Files::from([("a".into(), vec![1])]);
        assert!(judge_files(&files, &files).passed);
        assert!(!judge_files(&files, &Files::from([("a".into(), vec![2])])).passed);
        let blocks: Vec<_> =
            Transport::ALL.iter().flat_map(|&transport| [(1, 0, transport), (2, 0, transport)]).collect();
        assert!(!judge_order(&blocks).passed);
        let same: Vec<_> = (1..=3).flat_map(|round| Transport::ALL.map(|transport| (round, 0, transport))).collect();
        assert!(!judge_order(&same).passed);
    }
}
