//! The experiment `shared-feed`: with a real broker (nats-server), two servers have one feed; without one, nothing is guessed.
//!
//! Needs nats-server: the one that `server/tests/clients/install` installs, or one in the path.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use protocol::experiment::{Experiment, Status};
use protocol::facts::Facts;
use protocol::facts::shared_feed::SharedFeedFacts;
use protocol::run::Part;

/// Runs the experiment with a path and an empty folder for temporary files; returns the facts, the chapter, and what was written to standard
/// error.
fn experiment(name: &str, path: OsString) -> (SharedFeedFacts, Experiment, String) {
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR")).join("shared-feed").join(name);
    let _ = fs::remove_dir_all(&scratch);
    let temporary = scratch.join("temporary");
    fs::create_dir_all(&temporary).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_bench-client"))
        .args(["experiment", "shared-feed", "--out"])
        .arg(scratch.join("report"))
        .env("PATH", path)
        .env("TMPDIR", &temporary)
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{stderr}");
    assert_eq!(fs::read_dir(temporary).unwrap().count(), 0, "the broker's store is still there");
    let run = reports::read(&scratch.join("report/run.json")).unwrap();
    let chapters = reports::chapter::of(&run).unwrap();
    let chapter = reports::chapter::experiments(&chapters).next().unwrap().experiment.clone().into_owned();
    match &run.parts[..] {
        [Part::Measured(Facts::SharedFeed(facts))] => (facts.clone(), chapter, stderr),
        parts => panic!("{} parts", parts.len()),
    }
}

#[test]
fn with_a_broker_two_servers_have_one_feed_and_without_it_they_have_two() {
    let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/clients/python/bin");
    let found = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::iter::once(installed).chain(std::env::split_paths(&found))).unwrap();
    let is_here = |folder: PathBuf| folder.join("nats-server").exists();
    if !std::env::split_paths(&path).any(is_here) {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "nats-server is missing: server/tests/clients/install");
        eprintln!("skipped: nats-server is not available; see server/tests/clients/install");
        return;
    }
    let (facts, chapter, _) = experiment("with-broker", path);
    assert!(facts.broker.is_some_and(|version| version.contains("nats-server")));
    for trial in &facts.trials {
        let both = 2 * facts.events;
        assert_eq!((trial.published.a, trial.published.b), (both, both));
        assert_eq!((trial.received_a.a, trial.disorder, trial.timed_out), (both, 0, false));
        if trial.shared {
            assert_eq!((trial.received_a, trial.received_b, trial.differing), (trial.published, trial.published, 0));
            assert_eq!((trial.at_a_ms.len(), trial.at_b_ms.len()), (facts.events as usize, facts.events as usize));
        } else {
            assert_eq!((trial.received_a.b, trial.received_b.a, trial.differing), (0, 0, both));
        }
        for resumed in &trial.resumed {
            let counts = (resumed.gap, resumed.missed, resumed.received, resumed.repeated, resumed.other);
            let expected = match (trial.shared, resumed.with_epoch) {
                (true, _) => (false, both, both, 0, 0),
                // The number means other events, and the server cannot know.
                (false, false) => (false, facts.events, 0, 0, facts.events),
                // The whole history of the other feed, after a gap.
                (false, true) => (true, facts.events, 0, 0, 3 * facts.events),
            };
            assert_eq!(counts, expected);
        }
    }
    assert_eq!(facts.trials.iter().filter(|trial| trial.shared).count(), facts.trials.len() / 2);
    assert_eq!((chapter.verdicts[0].claim, chapter.verdicts[0].status), (50, Status::Holds));
}

#[test]
fn without_a_broker_the_part_that_needs_one_is_not_measured() {
    let (facts, chapter, stderr) = experiment("without-broker", OsString::new());
    assert!(stderr.contains("Not measured with a shared feed: there is no nats-server in the path"), "{stderr}");
    assert!(facts.broker.is_none() && facts.trials.iter().all(|trial| !trial.shared));
    assert_eq!(chapter.verdicts[0].status, Status::NotMeasurable);
}
