//! The README and the exercises of the lecture, as far as a machine can follow them: the commands are understood, the files are there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// The arguments of each command for the load client in a text, without what follows a `#` or a backquote.
fn commands(text: &str) -> Vec<Vec<String>> {
    let after = |line: &str| Some(line.split_once("cargo run --release -- ")?.1.split(['#', '`']).next()?.to_string());
    text.lines().filter_map(after).map(|line| line.split_whitespace().map(Into::into).collect()).collect()
}

#[test]
fn every_command_is_understood() {
    let texts = ["README.md", "slides/deck/en/09-exercises.md", "slides/deck/ko/09-exercises.md"];
    let commands: Vec<_> = texts.into_iter().flat_map(|path| commands(&read(path))).collect();
    assert!(commands.len() > 15, "{commands:?}");
    // These write no report, so there is nothing that keeps them from doing their work.
    let works = |arguments: &&Vec<String>| !["verify", "demo", "--help"].contains(&&*arguments[0]);
    for arguments in commands.iter().filter(works).filter(|arguments| **arguments != ["experiment"]) {
        // What the command is to do is read before the directory is tried.
        let output = Command::new(env!("CARGO_BIN_EXE_bench-client"))
            .args(arguments)
            .args(["--out", "/dev/null/nowhere"])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("cannot make the directory"), "{arguments:?}: {said}");
    }
}

#[test]
fn every_file_of_the_readmes_map_and_recipes_is_there() {
    let text = read("README.md");
    // The map sets files below the folder of their crate.
    let mut crate_name = "";
    let mut missing = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("    ").and_then(|line| line.split_once("/ ")).map(|(name, _)| name)
            && !name.starts_with(' ')
        {
            crate_name = name;
        }
        let in_the_map = line.starts_with("      ");
        for word in line.split([' ', '`', '(', ')', ',', ';', ':']) {
            let is_path = word.contains('/') && (word.ends_with(".rs") || word.ends_with(".js") || word.ends_with('/'));
            if !is_path || word.contains("NAME") || word.starts_with(['/', '.', '-']) || word.contains("//") {
                continue;
            }
            let path = if in_the_map { Path::new(crate_name).join(word) } else { PathBuf::from(word) };
            // The folder of page modules is named from its crate's sources.
            let within_sources = root().join(crate_name).join("src").join(word);
            if !root().join(&path).exists() && !within_sources.exists() {
                missing.push(path);
            }
        }
    }
    missing.retain(|path| !["target/", "charts/", "tables/", "earlier/"].iter().any(|made| path.ends_with(made)));
    assert!(missing.is_empty(), "{missing:?}");
}
