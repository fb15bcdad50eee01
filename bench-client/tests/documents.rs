//! Tests of the README, of the lecture's exercises and of the instructor's guide: their commands are valid, and the files that they mention exist.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use protocol::Transport;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// The arguments of each command of the load client in a text, up to a `#` or a backquote.
fn commands(text: &str) -> Vec<Vec<String>> {
    let after = |line: &str| Some(line.split_once("cargo run --release -- ")?.1.split(['#', '`']).next()?.to_string());
    text.lines().filter_map(after).map(|line| words(&line)).collect()
}

/// The words of a command, as a shell divides it; quotes are single ones.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for (index, part) in line.split('\'').enumerate() {
        let quoted = index % 2 == 1;
        for letter in part.chars() {
            match letter.is_whitespace() && !quoted {
                true => words.push(String::new()),
                false => words.last_mut().expect("there is one").push(letter),
            }
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[test]
fn every_command_is_valid() {
    let texts = [
        "README.md",
        "slides/deck/en/11-exercises.md",
        "slides/deck/ko/11-exercises.md",
        "slides/GUIDE.md",
        "slides/GUIDE.ko.md",
        "slides/HANDOUT.md",
        "slides/HANDOUT.ko.md",
    ];
    let commands: Vec<_> = texts.into_iter().flat_map(|path| commands(&read(path))).collect();
    assert!(commands.len() > 15, "{commands:?}");
    // Commands that write no report are not run, since nothing would stop them.
    let none = ["verify", "agent", "demo", "check", "export-site", "--help", "completions", "manual"];
    // Those that read a report or a file of the reader's fail earlier.
    let writes_report = |arguments: &&Vec<String>| {
        !none.contains(&&*arguments[0])
            && !arguments.iter().any(|argument| argument.starts_with("lab-report") || argument.starts_with("my-"))
    };
    // Their options are parsed before the help is printed.
    for arguments in
        commands.iter().filter(|arguments| ["verify", "demo", "check", "export-site"].contains(&&*arguments[0]))
    {
        let output = Command::new(env!("CARGO_BIN_EXE_bench-client")).args(arguments).arg("--help").output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    for arguments in commands.iter().filter(writes_report).filter(|arguments| **arguments != ["experiment"]) {
        // The arguments are parsed before the directory is created, which fails.
        let output = Command::new(env!("CARGO_BIN_EXE_bench-client"))
            .args(arguments)
            .args(["--out", "/dev/null/nowhere"])
            .current_dir(root())
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains("cannot make the directory"), "{arguments:?}: {stderr}");
    }
}

#[test]
fn every_file_that_the_readme_mentions_exists() {
    let text = read("README.md");
    // In the map of the repository, files are indented below the folder of their crate.
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
            // The folder of the page's modules is given relative to the sources of its crate.
            let within_sources = root().join(crate_name).join("src").join(word);
            if !root().join(&path).exists() && !within_sources.exists() {
                missing.push(path);
            }
        }
    }
    // These directories do not belong to the repository; the program creates them.
    missing.retain(|path| !["target/", "charts/", "tables/", "earlier/"].iter().any(|created| path.ends_with(created)));
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn the_readme_s_table_of_endpoints_has_a_row_for_each_transport() {
    let text = read("README.md");
    for row in Transport::ALL.map(Transport::row) {
        let is_row =
            |line: &str| line.starts_with(&format!("| {}", row.in_words)) && line.contains(row.path.unwrap_or("SUB"));
        assert!(text.lines().any(is_row), "README.md, 'Talk to the server yourself', has no row for {}", row.name);
    }
}
