//! Tests of `redraw`, `lecture` and `export-site`, which draw what was measured before.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bench-client")).args(arguments).output().unwrap()
}

/// An empty directory for one test.
fn scratch(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).unwrap();
    directory
}

/// The standard error of a command that must fail.
fn error(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(!output.status.success(), "{arguments:?} should have failed");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn reports_and_the_lecture_are_drawn_from_a_run_as_their_own_programs_draw_them() {
    let directory = scratch("drawn");
    let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("../reports/record/token-stream");
    let (result, out) = (recorded.join("run.json"), directory.join("report"));
    let output = run(&["redraw", result.to_str().unwrap(), "--out", out.to_str().unwrap()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("{}\n", out.join("index.html").display()));
    for file in ["run.json", "index.html", "summary.csv"] {
        assert_eq!(fs::read(out.join(file)).unwrap(), fs::read(recorded.join(file)).unwrap(), "{file}");
    }
    let slides = directory.join("slides");
    let output = run(&["lecture", "--out", slides.to_str().unwrap()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for page in ["en.html", "ko.html", "en-handout.html", "ko-handout.html"] {
        assert!(fs::read_to_string(slides.join(page)).unwrap().contains("<section class=\"slide "), "{page}");
    }
    for page in ["en-worksheet.html", "ko-worksheet.html", "en-guide.html", "ko-guide.html"] {
        assert!(fs::read_to_string(slides.join(page)).unwrap().contains("@page { size: A4;"), "{page}");
    }
    assert!(error(&["lecture", "--run", result.to_str().unwrap()]).contains("this run has no comparison"));
}

#[test]
fn a_site_is_exported_into_free_directories_only() {
    let directory = scratch("exported");
    let site = directory.join("site");
    for _ in 0..2 {
        let output = run(&["export-site", site.to_str().unwrap()]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let printed = String::from_utf8(output.stdout).unwrap();
        let pages: Vec<&Path> = printed.lines().map(Path::new).collect();
        assert_eq!(pages.len(), 10, "two of the story, eight of the lecture: {printed}");
        assert!(pages.iter().all(|page| page.is_file()) && pages[0] == site.join("index.html"), "{printed}");
    }
    let mine = directory.join("mine");
    fs::create_dir(&mine).unwrap();
    fs::write(mine.join("thesis.txt"), "mine").unwrap();
    let refusal = error(&["export-site", mine.to_str().unwrap()]);
    assert!(
        refusal.contains("contains thesis.txt, which is not of an exported site") && refusal.lines().count() == 1,
        "{refusal}"
    );
    assert_eq!(fs::read_dir(&mine).unwrap().count(), 1, "nothing was written");
    let below_a_file = error(&["export-site", mine.join("thesis.txt/site").to_str().unwrap()]);
    assert!(below_a_file.contains("cannot") && below_a_file.lines().count() == 1, "{below_a_file}");
}
