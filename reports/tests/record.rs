//! The recorded run conforms to the schema, and every file generated from it is identical to the recorded one. Runs of earlier versions are
//! still read.

use std::fs;
use std::path::{Path, PathBuf};

use protocol::run::Run;
use reports::judge::is_sound;

fn record() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("record/all")
}

#[test]
fn the_schema_is_that_of_the_types() {
    let kept = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("schema.json")).unwrap();
    assert_eq!(kept, Run::schema(), "cargo run -p reports -- --schema > reports/schema.json");
}

#[test]
fn redrawing_the_recorded_run_gives_every_file_byte_for_byte() {
    redraw("all");
    redraw("http2");
    redraw("token-stream");
    redraw("loss");
    redraw("servers");
    redraw("handshake");
    redraw("shared-feed");
}

fn redraw(name: &str) {
    let record = record().join("..").join(name);
    let fresh = Path::new(env!("CARGO_TARGET_TMPDIR")).join("redrawn").join(name);
    let _ = fs::remove_dir_all(&fresh);
    let run = reports::read(&record.join("run.json")).unwrap();
    reports::write(&run, &fresh).unwrap();
    let mut compared = 0;
    for directory in ["", "charts", "tables"] {
        // A comparison has no tables of its own.
        for entry in fs::read_dir(record.join(directory)).into_iter().flatten().map(Result::unwrap) {
            if entry.file_type().unwrap().is_file() {
                let kept = fs::read(entry.path()).unwrap();
                let drawn = fs::read(fresh.join(directory).join(entry.file_name())).unwrap_or_default();
                let file = entry.file_name();
                assert!(kept == drawn, "{file:?} differs: cargo run -p reports -- reports/record/{name}/run.json");
                compared += 1;
            }
        }
    }
    let chapters = reports::chapter::of(&run).unwrap();
    let charts: usize = reports::chart::of(&chapters).unwrap().iter().map(Vec::len).sum();
    let loads = usize::from(reports::chart::loads(&run).unwrap().is_some());
    let tables: usize = reports::chapter::experiments(&chapters).map(|derived| derived.experiment.tables.len()).sum();
    assert_eq!(compared, 3 + charts + loads + tables, "run.json, summary.csv, index.html, every chart and every table");
}

#[test]
fn no_element_of_a_chart_is_outside_its_bounds() {
    let run = reports::read(&record().join("run.json")).unwrap();
    let chapters = reports::chapter::of(&run).unwrap();
    for figure in reports::chart::of(&chapters).unwrap().into_iter().flatten() {
        for (attribute, max) in
            [("x", 1280.0), ("y", 720.0), ("x1", 1280.0), ("x2", 1280.0), ("y1", 720.0), ("y2", 720.0)]
        {
            for part in figure.svg.split(&format!(" {attribute}=\"")).skip(1) {
                let value: f64 = part.split('"').next().unwrap().parse().unwrap();
                assert!((0.0..=max).contains(&value), "{}: {attribute}={value}", figure.name);
            }
        }
    }
}

#[test]
fn a_result_of_another_schema_and_a_file_that_is_no_result_are_errors() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let text = fs::read_to_string(record().join("run.json")).unwrap();
    let newer = directory.join("newer.json");
    fs::write(&newer, text.replacen("\"schema_version\":2", "\"schema_version\":999", 1)).unwrap();
    assert!(format!("{:#}", reports::read(&newer).unwrap_err()).contains("schema version 999"));
    let none = directory.join("none.json");
    fs::write(&none, "{}").unwrap();
    assert!(format!("{:#}", reports::read(&none).unwrap_err()).contains("no result of a run"));
}

#[test]
fn results_of_earlier_versions_are_still_read_and_drawn() {
    let earlier = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/earlier");
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("earlier");
    let _ = fs::remove_dir_all(&out);
    // Its histograms are lists of buckets, and its ledgers contain the kernel's counts.
    let run = reports::read(&earlier.join("comparison.json")).unwrap();
    let round = &run.comparison().unwrap().rounds[0];
    assert!(is_sound(round) && round.latency_ns.count() == round.delivered && round.ledger.kernel.is_some());
    reports::write(&run, &out.join("comparison")).unwrap();
    // Its experiments were stored with their texts.
    let run = reports::read(&earlier.join("experiments.json")).unwrap();
    reports::write(&run, &out.join("experiments")).unwrap();
    let page = fs::read_to_string(out.join("experiments/index.html")).unwrap();
    let chapters = reports::chapter::of(&run).unwrap();
    let names: Vec<&str> = reports::chapter::experiments(&chapters).map(|derived| &*derived.experiment.name).collect();
    assert_eq!(names, ["keep-alive", "handshake", "ladder"]);
    assert!(names.iter().all(|name| page.contains(&format!("id=\"{name}\""))), "every experiment has its chapter");
}
